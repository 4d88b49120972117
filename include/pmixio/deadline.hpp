// within(): one operation under one deadline.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/result.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

namespace pmixio {

/// Lets somebody else than the caller end an operation that runs under within(): it completes as when its caller is
/// cancelled. Raised before, it ends the operation's first wait. Must outlive the operation; one operation at a time.
class interruption {
public:
    interruption() = default;
    interruption(const interruption&) = delete;

    void raise()
    {
        raised_ = true;
        if (wake_)
            wake_(timer_);
    }
    bool raised() const noexcept { return raised_; }

    /// For within(): what raise() is to cancel, until detached.
    template <class Timer>
    void attach(Timer& timer) noexcept
    {
        timer_ = &timer;
        wake_ = [](void* waiting) { static_cast<Timer*>(waiting)->cancel(); };
    }
    void detach() noexcept { wake_ = nullptr; }

private:
    void* timer_ = nullptr;
    void (*wake_)(void*) = nullptr;
    bool raised_ = false;
};

/// Runs `operation` for at most `limit`, which counts from the co_await. One timer for the whole operation, however
/// many reads and writes it makes, so a slow sender cannot extend it.
///     auto hello = co_await within(5s, parse_handshake<site>(sock), fault::handshake_timeout);
///
/// Completes with what comes first, and only when the operation is over:
///   - the operation's result, or its exception;
///   - `on_expiry`, when the time is over: the operation is cancelled and waited for, whatever it then returns is
///     dropped. An operation that ignores cancellation is waited for, however long it takes;
///   - operation_aborted, when the caller is cancelled, or `by` is raised: as on expiry. A caller that was cancelled
///     before gets it at once, nothing is started.
/// Exceptions always reach the caller, but for the operation_aborted that co_await throws in a cancelled coroutine:
/// that one ends as the second or third case.
///
/// Lifetimes: no part of the operation is left when within() completes, so it may refer to the caller's objects. Only
/// if the execution context is destroyed meanwhile, the operation's frame and the caller's go in either order.
/// Threads: the caller's executor must be a strand or a single-threaded context. The operation runs there, as a
/// thread of execution with a cancellation state of its own; it sees any kind of cancellation as `terminal`.
/// May be nested, and may be used by any number of coroutines at a time.
template <class Clock = std::chrono::steady_clock, class T, class Executor>
asio::awaitable<result<T>, Executor> within(std::type_identity_t<typename Clock::duration> limit,
                                            asio::awaitable<result<T>, Executor> operation,
                                            std::error_code on_expiry, interruption* by = nullptr);

// Below: implementation.

namespace detail {

/// What within() shares with the operation it has spawned. Lives in within()'s frame, which stays until `done`.
template <class T, class Timer>
struct deadline_race {
    explicit deadline_race(const typename Timer::executor_type& ex) : timer(ex) {}

    Timer timer; ///< within() waits for it: it expires at the deadline, or is cancelled when done
    asio::cancellation_signal stop; ///< reaches whatever the operation waits for
    std::optional<result<T>> outcome;
    std::exception_ptr thrown;
    bool done = false; ///< the operation is over and its frames are gone
};

/// Puts the outcome aside, so that co_spawn has no value to carry: it would need a default constructor.
template <class T, class Timer, class Executor>
asio::awaitable<void, Executor> run_in_race(asio::awaitable<result<T>, Executor> operation,
                                            deadline_race<T, Timer>& race)
{
    race.outcome.emplace(co_await std::move(operation));
}

/// Completion handler of the operation. It has the cancellation slot as a member and no executor of its own, because
/// for bind_cancellation_slot(slot, handler) newer releases of Asio allocate one more signal.
template <class Race>
struct finish_race {
    using cancellation_slot_type = asio::cancellation_slot;
    cancellation_slot_type get_cancellation_slot() const noexcept { return race->stop.slot(); }

    void operator()(std::exception_ptr thrown) const
    {
        race->thrown = std::move(thrown);
        race->done = true;
        race->timer.cancel();
    }

    Race* race;
};

/// Not local to within(): g++ 12.2 crashed on the coroutine with a local enumeration, depending on its other options.
enum class deadline_state { running, expired, cancelled };

/// True for what co_await throws in a coroutine that was cancelled.
inline bool is_cancellation(const std::exception_ptr& thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const std::system_error& e) {
        return e.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

/// start + wait, or the end of time when that is beyond it.
template <class Clock>
typename Clock::time_point later(typename Clock::time_point start, typename Clock::duration wait) noexcept
{
    constexpr auto end = Clock::time_point::max();
    return wait > Clock::duration::zero() && wait > end - start ? end : start + wait;
}

} // namespace detail

template <class Clock, class T, class Executor>
asio::awaitable<result<T>, Executor> within(std::type_identity_t<typename Clock::duration> limit,
                                            asio::awaitable<result<T>, Executor> operation,
                                            std::error_code on_expiry, interruption* by)
{
    using timer_type = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;
    using detail::deadline_state;
    using race_type = detail::deadline_race<T, timer_type>;
    const std::error_code aborted = asio::error::operation_aborted;

    auto caller = co_await asio::this_coro::cancellation_state;
    if (caller.cancelled() != asio::cancellation_type::none)
        co_return aborted;

    auto executor = co_await asio::this_coro::executor;
    race_type race(executor);
    race.timer.expires_at(detail::later<Clock>(Clock::now(), limit));
    if (by)
        by->attach(race.timer);
    detail::finish_race<race_type> finish{&race};
    asio::co_spawn(executor, detail::run_in_race(std::move(operation), race), finish);

    // From here on this frame must not go before the operation is done: no co_await may throw.
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    auto state = deadline_state::running;
    bool interrupted =
        caller.cancelled() != asio::cancellation_type::none || // by the operation's first steps
        (by && by->raised());
    bool over = false;
    while (!race.done) {
        if (state == deadline_state::running && (interrupted || over)) {
            state = over ? deadline_state::expired : deadline_state::cancelled;
            race.timer.expires_at(Clock::time_point::max());
            race.stop.emit(asio::cancellation_type::terminal);
            continue;
        }
        std::error_code ended;
        try {
            co_await race.timer.async_wait(asio::redirect_error(asio::use_awaitable_t<Executor>(), ended));
        } catch (...) {
            std::terminate(); // out of memory
        }
        over = !ended;
        interrupted = !!ended;
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (by)
        by->detach();

    if (race.thrown && (state == deadline_state::running || !detail::is_cancellation(race.thrown)))
        std::rethrow_exception(race.thrown);
    if (state == deadline_state::expired)
        co_return on_expiry;
    if (state == deadline_state::cancelled)
        co_return aborted;
    co_return *std::move(race.outcome);
}

} // namespace pmixio
