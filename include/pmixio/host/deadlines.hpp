// Deadlines of held requests: many of them, one timer.
#pragma once

#include <pmixio/detail/asio.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace pmixio {

/// Calls functions when their time has come. Where requests wait, a deadline is the exception: the interface keeps the
/// clock, and Asio, out of the code that holds them.
class deadline_service {
public:
    using duration = std::chrono::steady_clock::duration;

    /// A function that is still to be called. Destroying it takes the call back.
    class deadline {
    public:
        deadline() noexcept = default;
        deadline(deadline_service& owner, std::uint64_t id) noexcept : owner_(&owner), id_(id) {}
        deadline(deadline&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), id_(other.id_) {}
        deadline& operator=(deadline other) noexcept
        {
            std::swap(owner_, other.owner_), std::swap(id_, other.id_);
            return *this;
        }
        ~deadline()
        {
            if (owner_)
                owner_->cancel(id_);
        }

    private:
        deadline_service* owner_ = nullptr;
        std::uint64_t id_ = 0;
    };

    /// Calls `f` after `wait`, unless the deadline is destroyed before.
    [[nodiscard]] virtual deadline after(duration wait, std::function<void()> f) = 0;

protected:
    ~deadline_service() = default;

private:
    virtual void cancel(std::uint64_t id) noexcept = 0;
};

/// On a timer of `Clock`. Must outlive its deadlines; functions are called on the executor.
template <class Clock = std::chrono::steady_clock>
class deadlines final : public deadline_service {
public:
    template <class Executor>
    explicit deadlines(const Executor& executor) : state_(std::make_shared<state>(executor))
    {}
    ~deadlines() { state_->timer.cancel(); }

    deadline after(duration wait, std::function<void()> f) override
    {
        const auto id = ++last_;
        const auto at = Clock::now() + std::chrono::duration_cast<typename Clock::duration>(wait);
        const auto where = state_->queue.emplace(at, entry{id, std::move(f)});
        try {
            by_id_.emplace(id, where);
            if (where == state_->queue.begin())
                arm();
        } catch (...) { // nobody would take the call back
            by_id_.erase(id);
            state_->queue.erase(where);
            throw;
        }
        return {*this, id};
    }

    std::size_t pending() const noexcept { return state_->queue.size(); }

private:
    struct entry {
        std::uint64_t id;
        std::function<void()> call;
    };
    using queue = std::multimap<typename Clock::time_point, entry>;
    /// Shared with the wait under way, which may complete after the deadlines are gone.
    struct state {
        template <class Executor>
        explicit state(const Executor& executor) : timer(executor)
        {}
        asio::basic_waitable_timer<Clock> timer;
        pmixio::deadlines<Clock>::queue queue;
    };

    void arm()
    {
        state_->timer.expires_at(state_->queue.begin()->first);
        state_->timer.async_wait([this, alive = std::weak_ptr(state_)](std::error_code failed) {
            if (!failed && !alive.expired())
                expire();
        });
    }

    void expire()
    {
        const auto alive = std::weak_ptr(state_);
        while (!alive.expired() && !state_->queue.empty() && state_->queue.begin()->first <= Clock::now()) {
            auto first = state_->queue.extract(state_->queue.begin());
            by_id_.erase(first.mapped().id);
            first.mapped().call();
        }
        if (!alive.expired() && !state_->queue.empty())
            arm();
    }

    void cancel(std::uint64_t id) noexcept override
    {
        const auto found = by_id_.find(id);
        if (found == by_id_.end())
            return;
        state_->queue.erase(found->second);
        by_id_.erase(found);
        if (state_->queue.empty())
            state_->timer.cancel();
    }

    std::shared_ptr<state> state_;
    std::map<std::uint64_t, typename queue::iterator> by_id_;
    std::uint64_t last_ = 0;
};

} // namespace pmixio
