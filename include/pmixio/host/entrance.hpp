// entrance: where a server takes over connections that another server of the process has accepted.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/descriptor.hpp>
#include <pmixio/error.hpp>
#include <pmixio/limits.hpp>
#include <pmixio/listen/socket.hpp>
#include <pmixio/result.hpp>
#include <pmixio/security/kernel_peer.hpp>
#include <pmixio/wire/writer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pmixio {

namespace detail {

/// A connection between two servers: no part of it belongs to an executor.
struct passage {
    descriptor connection;
    asio::ip::tcp::endpoint local, remote;
    wire::byte_buffer request; ///< whole
    result<security::kernel_peer> kernel =
        fault::kernel_unavailable; ///< holds as long as the connection does
    std::uint64_t owner = 0;       ///< as it counts against limits::pending_per_user
};

/// Connections on their way to one server: all that servers of different threads share.
class inbox : public std::enable_shared_from_this<inbox> {
public:
    /// `admit` is called on the executor, until close().
    inbox(asio::any_io_executor executor, const limits& bounds, std::function<void(passage)> admit)
        : executor_(std::move(executor)), most_(bounds.pending_handshakes),
          most_of_owner_(bounds.pending_per_user), admit_(std::move(admit))
    {}

    /// From any thread. `from` has no connection any more when this succeeds. Faults: unknown_namespace once it is closed;
    /// too_many_pending, too_many_of_user. Throws std::bad_alloc.
    result<void> put(socket& from, passage next)
    {
        const std::lock_guard lock(mutex_);
        if (!executor_)
            return fault::unknown_namespace;
        if (waiting_.size() >= most_)
            return fault::too_many_pending;
        if (waiting_.size() >= most_of_owner_ && of(next.owner) >= most_of_owner_)
            return fault::too_many_of_user;
        next.local = from.local();
        next.remote = from.remote();
        auto& kept = waiting_.emplace_back(std::move(next));
        try {
            if (!scheduled_)
                schedule();
        } catch (const std::bad_alloc&) {
            waiting_.pop_back();
            throw;
        }
        std::error_code ignored;
        kept.connection = descriptor(from.release(ignored));
        return {};
    }

    /// On the executor. What is still on its way.
    std::deque<passage> close()
    {
        const std::lock_guard lock(mutex_);
        executor_ = {}; // its context may go now
        return std::exchange(waiting_, {});
    }

private:
    static constexpr unsigned at_a_time = 32;

    std::size_t of(std::uint64_t owner) const
    {
        return static_cast<std::size_t>(std::count_if(
            waiting_.begin(), waiting_.end(), [&](const passage& each) { return each.owner == owner; }));
    }
    void schedule()
    {
        asio::post(executor_, [self = shared_from_this()] { self->deliver(); });
        scheduled_ = true;
    }
    std::optional<passage> take()
    {
        const std::lock_guard lock(mutex_);
        if (waiting_.empty()) {
            scheduled_ = false;
            return std::nullopt;
        }
        std::optional<passage> next(std::move(waiting_.front()));
        waiting_.pop_front();
        return next;
    }
    /// After some, others of the executor have their turn; without memory for that they wait.
    bool pause() noexcept
    {
        const std::lock_guard lock(mutex_);
        try {
            if (executor_)
                schedule();
        } catch (const std::bad_alloc&) {
            return false;
        }
        return true;
    }
    void deliver()
    {
        unsigned n = 0;
        while (auto next = take()) {
            admit_(*std::move(next));
            if (++n % at_a_time == 0 && pause())
                return;
        }
    }

    std::mutex mutex_;
    asio::any_io_executor executor_; ///< none: closed
    std::deque<passage> waiting_;
    bool scheduled_ = false;
    const std::size_t most_, most_of_owner_;
    const std::function<void(passage)> admit_;
};

} // namespace detail

/// A way into a server for connections that other servers of the process have accepted: what a host's `elsewhere` returns,
/// see upcalls.hpp. Copies may be kept and used on any thread, also when the server is gone: then it leads nowhere.
class entrance {
public:
    /// Leads nowhere.
    entrance() = default;
    explicit entrance(std::shared_ptr<detail::inbox> to) noexcept : to_(std::move(to)) {}

    /// For servers: detail::inbox::put().
    result<void> pass(socket& from, detail::passage next) const
    {
        if (!to_)
            return fault::unknown_namespace;
        return to_->put(from, std::move(next));
    }

private:
    std::shared_ptr<detail::inbox> to_;
};

/// The `elsewhere` of most hosts: which other server has which job. A host, or part of one; each server has its own, so that
/// no thread waits for another.
struct signpost {
    std::map<std::string, entrance, std::less<>> jobs;

    entrance elsewhere(std::string_view nspace) const
    {
        const auto at = jobs.find(nspace);
        return at == jobs.end() ? entrance() : at->second;
    }
};

} // namespace pmixio
