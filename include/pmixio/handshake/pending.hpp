// Handshakes under way: how many there are, and the one deadline all of them have.
#pragma once

#include <pmixio/deadline.hpp>
#include <pmixio/detail/asio.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>

namespace pmixio {

/// Connections that are not admitted yet, oldest first. As all have the same time, one timer serves them all, and it is set
/// once per expiry, not once per connection.
template <class Clock = std::chrono::steady_clock>
class handshake_queue {
    struct waiter {
        typename Clock::time_point until;
        std::uint64_t owner;
        void* self;
        void (*expire)(void*, bool);
    };
    using position = typename std::list<waiter>::iterator;

public:
    template <class Executor>
    handshake_queue(const Executor& executor, typename Clock::duration limit)
        : limit_(limit), timer_(std::make_shared<timer>(executor))
    {}
    ~handshake_queue() { timer_->cancel(); }

    /// One connection in the queue, from construction to leave() or destruction. Must not outlive the queue.
    template <class Socket>
    class entry {
    public:
        /// `owner`: whose connection it is, for of().
        entry(handshake_queue& queue, Socket& connection, std::uint64_t owner)
            : queue_(&queue), connection_(&connection)
        {
            at_ =
                queue.waiting_.insert(queue.waiting_.end(), {detail::later<Clock>(Clock::now(), queue.limit_),
                                                             owner, this, expire});
            try {
                queue.arm();
            } catch (...) {
                leave();
                throw;
            }
        }
        entry(const entry&) = delete;
        ~entry() { leave(); }

        void leave() noexcept
        {
            if (!queue_)
                return;
            (expired_ ? queue_->late_ : queue_->waiting_).erase(at_);
            queue_->rest();
            queue_ = nullptr;
        }
        /// Whether the time was over before leave(); the connection's operations were cancelled then.
        bool expired() const noexcept { return expired_; }
        /// Raised when the connection's operations are cancelled: for steps that are none of the connection's.
        interruption& stop() noexcept { return stop_; }

    private:
        static void expire(void* self, bool late)
        {
            auto& me = *static_cast<entry*>(self);
            std::error_code ignored;
            me.expired_ |= late;
            me.connection_->cancel(ignored);
            me.connection_->shutdown(asio::socket_base::shutdown_receive,
                                     ignored); // for a read that is yet to begin
            me.stop_.raise();
        }

        handshake_queue* queue_;
        Socket* connection_;
        position at_;
        interruption stop_;
        bool expired_ = false;
    };

    std::size_t size() const noexcept { return waiting_.size() + late_.size(); }

    /// How many are of this owner. Looks at each: ask only when there are many.
    std::size_t of(std::uint64_t owner) const noexcept
    {
        const auto theirs = [&](const waiter& each) { return each.owner == owner; };
        return static_cast<std::size_t>(std::count_if(waiting_.begin(), waiting_.end(), theirs) +
                                        std::count_if(late_.begin(), late_.end(), theirs));
    }

    /// While nobody accepts, the timer does not keep a context alive that has nothing else to do.
    void accepting(bool yes)
    {
        accepting_ += yes ? 1 : -1;
        rest();
    }

    /// Cancels the operations of all connections in the queue.
    void cancel()
    {
        for (auto& each : waiting_)
            each.expire(each.self, false);
    }

private:
    using timer = asio::basic_waitable_timer<Clock>;

    void arm()
    {
        if (armed_)
            return;
        timer_->expires_at(waiting_.front().until);
        timer_->async_wait([this, alive = std::weak_ptr(timer_)](std::error_code failed) {
            if (alive.expired())
                return;
            armed_ = false;
            if (!failed)
                expire();
            if (!waiting_.empty())
                arm();
        });
        armed_ = true;
    }

    void expire()
    {
        while (!waiting_.empty() && waiting_.front().until <= Clock::now()) {
            late_.splice(late_.end(), waiting_, waiting_.begin());
            late_.back().expire(late_.back().self, true);
        }
    }

    void rest()
    {
        if (armed_ && waiting_.empty() && accepting_ == 0)
            timer_->cancel();
    }

    typename Clock::duration limit_;
    std::shared_ptr<timer> timer_;
    std::list<waiter> waiting_;
    std::list<waiter> late_; ///< expired, and their coroutines have not noticed yet
    int accepting_ = 0;
    bool armed_ = false;
};

} // namespace pmixio
