// listener: one TCP endpoint on which peers arrive.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/limits.hpp>
#include <pmixio/listen/socket.hpp>
#include <pmixio/result.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace pmixio {

/// The address of this machine that only its own processes reach, any free port.
inline asio::ip::tcp::endpoint loopback() { return {asio::ip::address_v4::loopback(), 0}; }

/// Listens on one exact address, with the largest backlog the system has; close-on-exec, as are all accepted sockets.
/// Use it from its executor only. Destroying it closes it.
class listener {
public:
    using endpoint = asio::ip::tcp::endpoint;

    /// Opens, binds and listens. Throws std::system_error, and std::invalid_argument for a wildcard address.
    template <class Context>
    listener(Context&& executor_or_context, const endpoint& at)
        : acceptor_(std::forward<Context>(executor_or_context)), retry_(acceptor_.get_executor())
    {
        if (at.address().is_unspecified())
            throw std::invalid_argument(
                "pmixio::listener: a wildcard address would offer interfaces nobody chose");
        const int fd =
            check(::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
        std::error_code failed;
        acceptor_.assign(at.protocol(), fd, failed);
        if (failed) {
            ::close(fd);
            throw std::system_error(failed, "pmixio::listener");
        }
        if (at.port() != 0)
            acceptor_.set_option(asio::ip::tcp::acceptor::reuse_address(true));
        acceptor_.bind(at);
        acceptor_.listen(asio::socket_base::max_listen_connections);
        acceptor_.native_non_blocking(true);
        at_ = acceptor_.local_endpoint();
    }

    auto get_executor() noexcept { return acceptor_.get_executor(); }
    /// Where peers connect, with the real port.
    const endpoint& local_endpoint() const noexcept { return at_; }

    /// The next connection.
    ///
    /// Completes when there is one. Connections that were aborted before they could be accepted are skipped; when the
    /// process or system is out of descriptors or memory, `on_pause(code)` is called, once until accept works again,
    /// and the next try is made after `pause`.
    /// Errors: operation_aborted when cancelled or closed; what the system says about a listening socket that is broken.
    /// One accept at a time.
    template <class OnPause>
    asio::awaitable<result<socket>> accept(std::chrono::steady_clock::duration pause, OnPause on_pause)
    {
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        while (true) {
            if (!acceptor_.is_open() || cancellation.cancelled() != asio::cancellation_type::none)
                co_return make_error_code(asio::error::operation_aborted);

            endpoint remote;
            auto length = static_cast<::socklen_t>(remote.capacity());
            const int fd =
                ::accept4(acceptor_.native_handle(), remote.data(), &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
            std::error_code failed;
            if (fd >= 0) {
                paused_ = false;
                remote.resize(length);
                asio::ip::tcp::socket taken(acceptor_.get_executor());
                taken.assign(at_.protocol(), fd, failed);
                if (!failed)
                    co_return socket(std::move(taken), at_, remote);
                ::close(fd);
                co_return failed;
            }
            switch (errno) {
            case EAGAIN:
                co_await acceptor_.async_wait(asio::socket_base::wait_read,
                                              asio::redirect_error(asio::use_awaitable, failed));
                break;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM:
                if (!std::exchange(paused_, true))
                    on_pause(std::error_code(errno, std::system_category()));
                retry_.expires_after(pause);
                co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
                break;
            case ECONNABORTED:
            case EINTR:
            case EPROTO:
            case EPERM:
            case ENETDOWN:
            case ENOPROTOOPT:
            case EHOSTDOWN:
            case ENONET:
            case EHOSTUNREACH:
            case EOPNOTSUPP:
            case ENETUNREACH:
            case ETIMEDOUT:
                break; // about the connection that was to be accepted, not about this socket: accept(2)
            default: co_return std::error_code(errno, std::system_category());
            }
        }
    }
    asio::awaitable<result<socket>> accept()
    {
        return accept(limits{}.accept_pause, [](std::error_code) {});
    }

    /// Stops listening; an accept under way completes with operation_aborted.
    void close()
    {
        std::error_code ignored;
        acceptor_.close(ignored);
        retry_.cancel();
    }

private:
    static int check(int result)
    {
        if (result < 0)
            throw std::system_error(errno, std::system_category(), "pmixio::listener");
        return result;
    }

    asio::ip::tcp::acceptor acceptor_;
    asio::steady_timer retry_;
    endpoint at_;
    bool paused_ = false;
};

} // namespace pmixio
