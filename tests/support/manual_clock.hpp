// manual_clock: time that passes only when a test says so.
#pragma once

#include <pmixio/detail/asio.hpp>

#include <atomic>
#include <chrono>

namespace pmixio::test {

/// A Clock for asio::basic_waitable_timer, and for everything in the library that has a Clock parameter. One time for
/// the whole program; tests that use it do not run at the same time. now() may be called from any thread.
struct manual_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<manual_clock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept { return time_point(duration(ticks_.load(std::memory_order_relaxed))); }

    /// Moves the time; timers notice when the context is asked next. See pass_time(io, d).
    static void advance(duration d) noexcept { ticks_.fetch_add(d.count(), std::memory_order_relaxed); }

private:
    static inline std::atomic<rep> ticks_{duration(std::chrono::hours(1)).count()};
};

using manual_timer = asio::basic_waitable_timer<manual_clock>;

} // namespace pmixio::test

/// How long Asio may sleep before it looks at the clock again: not at all. A pending timer keeps run() spinning.
template <>
struct asio::wait_traits<pmixio::test::manual_clock> {
    using duration = pmixio::test::manual_clock::duration;
    static duration to_wait_duration(const duration&) { return duration::zero(); }
    static duration to_wait_duration(const pmixio::test::manual_clock::time_point&) { return duration::zero(); }
};

namespace pmixio::test {

/// Moves the time and runs all that follows at once: the handlers of the timers now due, and theirs, until none is
/// ready. Does not wait for anything; poll() alone might miss a timer, because the kernel wakes Asio for it.
inline void pass_time(asio::io_context& io, manual_clock::duration d)
{
    io.restart();
    io.poll();
    manual_clock::advance(d);
    manual_timer last(io, manual_clock::now()); // due timers are taken from the queue together
    bool due = false;
    last.async_wait([&due](std::error_code) { due = true; });
    io.restart();
    while (!due)
        io.run_one();
    io.poll();
}

} // namespace pmixio::test
