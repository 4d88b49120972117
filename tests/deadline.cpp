#include <pmixio/deadline.hpp>
#include <pmixio/rethrow.hpp>

#include "support/loops.hpp"
#include "support/manual_clock.hpp"
#include "support/memory_stream.hpp"
#include "support/run.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;
using namespace pmixio::test;
using pmixio::fault;
using pmixio::refusal;
using pmixio::result;
using pmixio::within;

const std::error_code aborted = asio::error::operation_aborted;
const std::error_code late = fault::handshake_timeout;

/// Neither copied nor default-constructed.
struct token {
    explicit token(int v) : value(std::make_unique<int>(v)) {}
    std::unique_ptr<int> value;
};

asio::awaitable<result<int>> ready(int value) { co_return value; }

asio::awaitable<result<token>> ready_token(int value)
{
    token t(value);
    co_return std::move(t);
}

asio::awaitable<result<void>> nothing() { co_return result<void>(); }
asio::awaitable<result<int>> refuse(std::error_code e) { co_return e; }

asio::awaitable<result<int>> fail(bool at_once)
{
    if (!at_once)
        co_await asio::post(asio::use_awaitable);
    throw std::runtime_error("from the operation");
    co_return 0;
}

/// One byte; says when its frame goes.
asio::awaitable<result<char>> read_byte(memory_stream& stream, std::shared_ptr<int> = nullptr)
{
    char byte = 0;
    std::error_code error;
    co_await stream.async_read_some(asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error));
    if (error)
        co_return error;
    co_return byte;
}

/// Five bytes by asio::async_read, an answer by asio::async_write.
asio::awaitable<result<std::string>> greet(memory_stream& stream)
{
    std::array<char, 5> in{};
    std::error_code error;
    co_await asio::async_read(stream, asio::buffer(in), asio::redirect_error(asio::use_awaitable, error));
    if (error)
        co_return error;
    const std::string answer = "hello";
    co_await asio::async_write(stream, asio::buffer(answer), asio::redirect_error(asio::use_awaitable, error));
    if (error)
        co_return error;
    co_return std::string(in.data(), in.size());
}

/// Waits for `until` and does not care about cancellation.
asio::awaitable<result<int>> stubborn(asio::steady_timer& until, int value)
{
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    std::error_code ignored;
    co_await until.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return value;
}

/// Yields `times` times to the context, then reads one byte.
asio::awaitable<result<char>> slow_start(memory_stream& stream, int times)
{
    for (int i = 0; i != times; ++i)
        co_await asio::post(asio::use_awaitable);
    co_return co_await read_byte(stream);
}

template <class T>
asio::awaitable<result<T>> limited(asio::awaitable<result<T>> operation, manual_clock::duration limit = 5s)
{
    return within<manual_clock>(limit, std::move(operation), late);
}

TEST_CASE("an operation in time gives its own result")
{
    asio::io_context io;
    CHECK(*run(io, within(5s, ready(7), late)) == 7);
    CHECK(run(io, within(5s, nothing(), late)).has_value());
    CHECK(*run(io, within(5s, ready_token(7), late))->value == 7);
    CHECK(run(io, within(5s, refuse(fault::truncated), late)).error() == fault::truncated);
    CHECK(run(io, within(5s, refuse(aborted), late)).error() == aborted);

    memory_stream stream(io.get_executor(), "x");
    CHECK(*run(io, within(5s, read_byte(stream), late)) == 'x');
    CHECK(run(io, within(5s, read_byte(stream), late)).error() == asio::error::eof);
    CHECK(io.poll() == 0);
}

TEST_CASE("an exception of the operation reaches the caller")
{
    asio::io_context io;
    CHECK_THROWS_WITH_AS((void)run(io, within(5s, fail(true), late)), "from the operation", std::runtime_error);
    CHECK_THROWS_WITH_AS((void)run(io, within(5s, fail(false), late)), "from the operation", std::runtime_error);
}

TEST_CASE("when the time is over the operation is cancelled and the caller's error given")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), "");
    stream.stall();
    auto alive = std::make_shared<int>();
    task<result<char>> t(io, limited(read_byte(stream, alive)));
    pass_time(io, 4999ms);
    CHECK_FALSE(t.done());
    CHECK(stream.waiting());
    pass_time(io, 1ms);
    REQUIRE(t.done());
    CHECK(t.get().error() == late);
    CHECK(late == refusal::timed_out);
    CHECK_FALSE(stream.busy());
    CHECK(alive.use_count() == 1);
    CHECK(io.poll() == 0);
}

TEST_CASE("the deadline is for the whole operation, a slow sender does not extend it")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), "");
    stream.stall();
    task<result<std::string>> t(io, limited(greet(stream)));
    for (int i = 0; i != 4; ++i) {
        pass_time(io, 1s);
        stream.feed("x");
        pass_time(io, 0s);
    }
    CHECK_FALSE(t.done());
    CHECK(stream.unread().empty());
    pass_time(io, 1s);
    REQUIRE(t.done());
    CHECK(t.get().error() == late);
}

TEST_CASE("a limit of nothing still lets what is ready finish, and a huge one never ends")
{
    asio::io_context io;
    CHECK(*run(io, limited(ready(7), 0s)) == 7);
    memory_stream stream(io.get_executor(), "");
    stream.stall();
    CHECK(run(io, limited(read_byte(stream), 0s)).error() == late);
    CHECK(run(io, limited(read_byte(stream), -1h)).error() == late);
    task<result<char>> t(io, limited(read_byte(stream), manual_clock::duration::max()));
    pass_time(io, 24h * 365 * 100);
    CHECK_FALSE(t.done());
    stream.feed("x");
    CHECK(*finish(io, t) == 'x');
    task<result<char>> real(io, within(std::chrono::nanoseconds::max(), read_byte(stream), late));
    io.poll();
    stream.feed("y");
    CHECK(*finish(io, real) == 'y');
}

TEST_CASE("an operation that misses the cancellation between two waits still ends")
{
    asio::io_context io;
    for (int hops = 0; hops != 6; ++hops)
        for (int steps = 0; steps != 10; ++steps) {
            memory_stream stream(io.get_executor(), "");
            stream.stall();
            task<result<char>> t(io, limited(slow_start(stream, hops)));
            for (int i = 0; i != steps; ++i)
                io.poll_one();
            pass_time(io, 6s);
            REQUIRE(t.done());
            CHECK(t.get().error() == late);
            CHECK_FALSE(stream.busy());
        }
}

TEST_CASE("an operation that ignores cancellation is waited for, and its value dropped")
{
    asio::io_context io;
    asio::steady_timer until(io, asio::steady_timer::time_point::max());
    SUBCASE("by expiry")
    {
        task<result<int>> t(io, limited(stubborn(until, 7)));
        pass_time(io, 1h);
        CHECK_FALSE(t.done());
        until.cancel();
        CHECK(finish(io, t).error() == late);
    }
    SUBCASE("by the caller, more than once")
    {
        task<result<int>> t(io, limited(stubborn(until, 7)));
        io.poll();
        t.cancel();
        pass_time(io, 0s);
        t.cancel();
        pass_time(io, 1h);
        CHECK_FALSE(t.done());
        until.cancel();
        CHECK(finish(io, t).error() == aborted);
    }
}

TEST_CASE("what happens first decides between expiry and the caller's cancellation")
{
    asio::io_context io;
    asio::steady_timer until(io, asio::steady_timer::time_point::max());
    task<result<int>> t(io, limited(stubborn(until, 7)));
    pass_time(io, 6s);
    t.cancel();
    pass_time(io, 1s);
    until.cancel();
    CHECK(finish(io, t).error() == late);
}

TEST_CASE("an exception thrown because of the cancellation is not passed on, any other is")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), "");
    stream.stall();
    const auto throws_aborted = [](memory_stream& s) -> asio::awaitable<result<int>> {
        char byte = 0;
        co_await s.async_read_some(asio::buffer(&byte, 1), asio::use_awaitable);
        co_return 1;
    };
    task<result<int>> t(io, limited(throws_aborted(stream)));
    pass_time(io, 6s);
    CHECK(finish(io, t).error() == late);

    const auto throws_other = [](memory_stream& s) -> asio::awaitable<result<int>> {
        char byte = 0;
        std::error_code error;
        co_await s.async_read_some(asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error));
        throw std::runtime_error("while stopping");
        co_return 1;
    };
    task<result<int>> other(io, limited(throws_other(stream)));
    pass_time(io, 6s);
    CHECK_THROWS_WITH_AS((void)finish(io, other), "while stopping", std::runtime_error);
}

TEST_CASE("operation_aborted that nobody asked for is the operation's own exception")
{
    asio::io_context io;
    const auto odd = []() -> asio::awaitable<result<int>> {
        throw std::system_error(asio::error::operation_aborted);
        co_return 1;
    };
    CHECK_THROWS_AS((void)run(io, within(5s, odd(), late)), std::system_error);
}

/// Shows what the caller sees after within().
asio::awaitable<int> caller_after(memory_stream& stream, bool throws, std::optional<result<char>>& outcome, bool& kept)
{
    co_await asio::this_coro::throw_if_cancelled(throws);
    outcome = co_await limited(read_byte(stream));
    kept = co_await asio::this_coro::throw_if_cancelled() == throws;
    co_return 1;
}

TEST_CASE("a cancelled caller gets operation_aborted as a value, its cancellation settings are as before")
{
    for (const bool throws : {true, false}) {
        asio::io_context io;
        memory_stream stream(io.get_executor(), "");
        stream.stall();
        std::optional<result<char>> outcome;
        bool kept = false;
        task<int> t(io, caller_after(stream, throws, outcome, kept));
        run_until(io, [&] { return stream.waiting(); });
        t.cancel();
        CHECK(finish(io, t) == 1);
        REQUIRE(outcome);
        CHECK(outcome->error() == aborted);
        CHECK(kept);
        CHECK_FALSE(stream.busy());
    }
}

TEST_CASE("the caller's settings are kept on every way out")
{
    asio::io_context io;
    const auto check = [](int what) -> asio::awaitable<bool> {
        co_await asio::this_coro::throw_if_cancelled(true);
        try {
            if (what == 0)
                (void)co_await within(5s, ready(1), late);
            else if (what == 1)
                (void)co_await within(5s, refuse(late), late);
            else
                (void)co_await within(5s, fail(what == 2), late);
        } catch (const std::runtime_error&) {
        }
        co_return co_await asio::this_coro::throw_if_cancelled();
    };
    for (int what = 0; what != 4; ++what)
        CHECK(run(io, check(what)));
}

TEST_CASE("a caller that is already cancelled starts nothing")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), "x");
    // where co_await itself does not throw; for the other case see cancelled_before_start()
    const auto late_caller = [](memory_stream& s, bool& in, bool& go) -> asio::awaitable<result<char>> {
        co_await asio::this_coro::throw_if_cancelled(false);
        in = true;
        while (!go)
            co_await asio::post(asio::use_awaitable);
        co_return co_await limited(read_byte(s));
    };
    bool in = false;
    bool go = false;
    task<result<char>> inside(io, late_caller(stream, in, go));
    run_until(io, [&] { return in; });
    inside.cancel();
    go = true;
    CHECK(finish(io, inside).error() == aborted);
    CHECK(stream.calls() == 0);
}

TEST_CASE("an operation that cancels its own caller in its first step is told so")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), "");
    stream.stall();
    std::optional<task<result<char>>> t;
    const auto suicidal = [](memory_stream& s, std::optional<task<result<char>>>& self) -> asio::awaitable<result<char>> {
        self->cancel();
        co_return co_await read_byte(s);
    };
    t.emplace(io, limited(suicidal(stream, t)));
    CHECK(finish(io, *t).error() == aborted);
    CHECK_FALSE(stream.busy());
}

TEST_CASE("within may be nested, the inner and the outer deadline keep their errors")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), "");
    stream.stall();
    const auto nested = [&](auto outer, auto inner) {
        return within<manual_clock>(outer, within<manual_clock>(inner, read_byte(stream), fault::output_limit), late);
    };
    task<result<char>> a(io, nested(5s, 1s));
    pass_time(io, 2s);
    CHECK(finish(io, a).error() == fault::output_limit);
    task<result<char>> b(io, nested(1s, 5s));
    pass_time(io, 2s);
    CHECK(finish(io, b).error() == late);
    task<result<char>> c(io, nested(5s, 5s));
    run_until(io, [&] { return stream.waiting(); });
    c.cancel();
    CHECK(finish(io, c).error() == aborted);
}

TEST_CASE("an operation under a deadline passes the loops as it does without")
{
    const auto op = [](memory_stream& s) { return within(5s, greet(s), late); };
    const conversation talk("HELLO", "hello");
    each_chunk(talk, op);
    CHECK(fail_at_each_call(talk, op) == 2);
    CHECK(fail_at_each_call(talk, op, 2) == 6);
    refuse_each_prefix(talk, op);
    cancelled_before_start(talk, op);
    CHECK(cancelled_at_each_wait(talk, op, 2) == 6);
    cancelled_at_each_step(talk, op, 2);
}

TEST_CASE("expiry after each number of handlers leaves nothing behind")
{
    for (int steps = 0;; ++steps) {
        asio::io_context io;
        memory_stream stream(io.get_executor(), "HELLO", 1);
        auto alive = std::make_shared<int>();
        const auto op = [](memory_stream& s, std::shared_ptr<int>) -> asio::awaitable<result<std::string>> {
            co_return co_await greet(s);
        };
        task<result<std::string>> t(io, limited(op(stream, alive)));
        int ran = 0;
        while (ran != steps && !t.done())
            ran += static_cast<int>(io.poll_one());
        const bool whole_run = t.done();
        manual_clock::advance(6s);
        const auto got = finish(io, t);
        CHECK((got.has_value() || got.error() == late));
        CHECK_FALSE(stream.busy());
        CHECK(alive.use_count() == 1);
        if (whole_run)
            return;
    }
}

TEST_CASE("the context may be destroyed at any point")
{
    for (int steps = 0; steps != 30; ++steps) {
        auto alive = std::make_shared<int>();
        {
            asio::io_context io;
            const auto owner = [](asio::io_context& context, std::shared_ptr<int> a) -> asio::awaitable<void> {
                memory_stream stream(context.get_executor(), "HE", 1); // in the frame that waits for it
                stream.stall();
                auto got = co_await limited(greet(stream));
                CHECK_FALSE(got.has_value());
                (void)a;
            };
            asio::co_spawn(io, owner(io, alive), pmixio::rethrow);
            for (int i = 0; i != steps; ++i)
                io.poll_one();
        }
        CHECK(alive.use_count() == 1);
    }
}

TEST_CASE("a real socket: expiry cancels its read, the socket remains open")
{
    asio::io_context io;
    asio::local::stream_protocol::socket ours(io);
    asio::local::stream_protocol::socket theirs(io);
    asio::local::connect_pair(ours, theirs);
    const auto read = [](auto& s) -> asio::awaitable<result<char>> {
        char byte = 0;
        std::error_code error;
        co_await asio::async_read(s, asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error));
        if (error)
            co_return error;
        co_return byte;
    };
    CHECK(run(io, within(5ms, read(ours), late)).error() == late);
    CHECK(ours.is_open());
    asio::write(theirs, asio::buffer("x", 1));
    CHECK(*run(io, within(5s, read(ours), late)) == 'x');
    {
        asio::io_context other; // destroyed with the operation under way
        asio::local::stream_protocol::socket a(other);
        asio::local::stream_protocol::socket b(other);
        asio::local::connect_pair(a, b);
        task<result<char>> t(other, within(5s, read(a), late));
        other.poll();
        CHECK_FALSE(t.done());
    }
}

TEST_CASE("on a strand of a thread pool")
{
    asio::thread_pool pool(3);
    auto strand = asio::make_strand(pool);
    constexpr int count = 200;
    std::atomic<int> in_time = 0;
    std::atomic<int> timed_out = 0;
    const auto one = [](bool ends, std::atomic<int>& good, std::atomic<int>& bad) -> asio::awaitable<void> {
        const auto op = [](bool e) -> asio::awaitable<result<int>> {
            asio::steady_timer t(co_await asio::this_coro::executor, e ? asio::steady_timer::duration(1us)
                                                                       : asio::steady_timer::duration(1h));
            std::error_code error;
            co_await t.async_wait(asio::redirect_error(asio::use_awaitable, error));
            if (error)
                co_return error;
            co_return 1;
        };
        auto got = co_await within(ends ? asio::steady_timer::duration(1h) : asio::steady_timer::duration(1us), op(ends), late);
        got ? ++good : ++bad;
    };
    for (int i = 0; i != count; ++i)
        asio::co_spawn(i % 2 ? asio::any_io_executor(strand) : asio::any_io_executor(asio::make_strand(pool)),
                       one(i % 3 == 0, in_time, timed_out), pmixio::rethrow);
    pool.join();
    CHECK(in_time == (count + 2) / 3);
    CHECK(timed_out == count - (count + 2) / 3);
}

TEST_CASE("a thread of execution on a concrete executor type works as well")
{
    using executor = asio::io_context::executor_type;
    asio::io_context io;
    int got = 0;
    const auto op = []() -> asio::awaitable<result<int>, executor> {
        co_await asio::post(asio::use_awaitable_t<executor>());
        co_return 7;
    };
    const auto caller = [&]() -> asio::awaitable<void, executor> {
        auto r = co_await within(5s, op(), late);
        got = r ? *r : -1;
    };
    asio::co_spawn(io, caller, pmixio::rethrow);
    io.run();
    CHECK(got == 7);
}

} // namespace
