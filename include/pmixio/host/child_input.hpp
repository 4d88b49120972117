// child_input: what a process reads, written as fast as it does.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/local_ptr.hpp>

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <ctime>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace pmixio {

/// A queue in front of a pipe that somebody reads at their own pace, or not at all. Nothing waits for it, and a reader who is
/// gone raises no signal. Destroying it closes the pipe; what was not written is lost.
class child_input {
public:
    enum class outcome { taken, full, closed };

    /// `to`: our end of the pipe. Holds up to `limit` bytes that were not written yet.
    explicit child_input(asio::posix::stream_descriptor to, std::size_t limit = 1 << 20)
        : queue_(new queue(std::move(to), limit))
    {}
    child_input(const child_input&) = delete;
    child_input& operator=(const child_input&) = delete;
    ~child_input() { queue_->close(); }

    /// Takes all of it or nothing. `full`: there is no room for it now. `closed`: end() was called, or nobody reads any more.
    outcome push(std::span<const std::byte> bytes)
    {
        if (queue_->ended || !queue_->to.is_open())
            return outcome::closed;
        if (bytes.size() > queue_->limit - queue_->waiting.size())
            return outcome::full;
        queue_->waiting.insert(queue_->waiting.end(), bytes.begin(), bytes.end());
        queue_->flush();
        return queue_->to.is_open() ? outcome::taken : outcome::closed;
    }

    /// What IOF_PUSH brings: no data, or data of no bytes, are the end.
    outcome give(const std::optional<std::vector<std::byte>>& bytes)
    {
        if (bytes && !bytes->empty())
            return push(*bytes);
        end();
        return outcome::taken;
    }

    /// The reader finds the end behind what was pushed.
    void end()
    {
        queue_->ended = true;
        queue_->flush();
    }

private:
    struct queue : detail::local_counted {
        queue(asio::posix::stream_descriptor pipe, std::size_t most) : to(std::move(pipe)), limit(most)
        {
            to.non_blocking(true);
        }

        void close()
        {
            std::error_code ignored;
            to.close(ignored);
            waiting.clear();
        }

        void flush()
        {
            if (blocked || !to.is_open())
                return;
            while (!waiting.empty()) {
                const auto n = write_quietly(to.native_handle(), waiting);
                if (n < 0 && errno == EAGAIN)
                    return wait();
                if (n < 0)
                    return close();
                waiting.erase(waiting.begin(), waiting.begin() + n);
            }
            if (ended)
                close();
        }

        void wait()
        {
            blocked = true;
            to.async_wait(asio::posix::stream_descriptor::wait_write,
                          [me = detail::local_ptr<queue>(this)](std::error_code) {
                              me->blocked = false;
                              me->flush();
                          });
        }

        /// write(2) without SIGPIPE, whatever this thread does with it otherwise.
        static ssize_t write_quietly(int fd, std::span<const std::byte> bytes)
        {
            ::sigset_t pipe, before, pending;
            ::sigemptyset(&pipe);
            ::sigaddset(&pipe, SIGPIPE);
            ::sigpending(&pending);
            ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
            const auto n = ::write(fd, bytes.data(), bytes.size());
            const int error = errno;
            if (constexpr ::timespec now{}; n < 0 && error == EPIPE && !::sigismember(&pending, SIGPIPE))
                ::sigtimedwait(&pipe, nullptr, &now);
            ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
            errno = error;
            return n;
        }

        asio::posix::stream_descriptor to;
        std::size_t limit;
        std::vector<std::byte> waiting;
        bool blocked = false, ended = false;
    };

    detail::local_ptr<queue> queue_;
};

} // namespace pmixio
