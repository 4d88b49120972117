#include "support/bytes.hpp"
#include "support/manual_clock.hpp"

#include <pmixio/host/deadlines.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::pass_time;
using service = deadlines<test::manual_clock>;
using deadline = deadline_service::deadline;

struct fixture {
    asio::io_context io;
    service clock{io.get_executor()};
    std::string called;

    deadline after(deadline_service::duration wait, char name)
    {
        return clock.after(wait, [this, name] { called += name; });
    }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "a function is called when its time has come, not before, and once")
{
    const auto one = after(5s, 'a');
    pass_time(io, 4s);
    CHECK(called.empty());
    pass_time(io, 1s);
    CHECK(called == "a");
    CHECK(clock.pending() == 0);
    pass_time(io, 10s);
    CHECK(called == "a");
}

TEST_CASE_FIXTURE(fixture, "functions are called in the order of their times, then of their making")
{
    const auto c = after(3s, 'c'), a = after(1s, 'a'), b = after(2s, 'b'), d = after(3s, 'd');
    pass_time(io, 1s);
    CHECK(called == "a");
    pass_time(io, 2s);
    CHECK(called == "abcd");
}

TEST_CASE_FIXTURE(fixture, "a deadline that is destroyed is not met")
{
    auto first = std::make_optional(after(1s, 'a'));
    const auto second = after(2s, 'b');
    first.reset();
    CHECK(clock.pending() == 1);
    pass_time(io, 3s);
    CHECK(called == "b");
}

TEST_CASE_FIXTURE(fixture, "a deadline moves, and taking its place takes the call back")
{
    auto one = after(1s, 'a');
    auto two = std::move(one);
    one = deadline();
    two = after(1s, 'b');
    CHECK(clock.pending() == 1);
    pass_time(io, 1s);
    CHECK(called == "b");
}

TEST_CASE_FIXTURE(fixture, "without deadlines the timer does not keep a context alive")
{
    {
        const auto one = after(24h, 'a');
        const auto two = after(48h, 'b');
        io.poll();
        CHECK(!io.stopped());
    }
    io.poll();
    CHECK(io.stopped());
}

TEST_CASE_FIXTURE(fixture, "a function may make and destroy deadlines, its own too")
{
    std::optional<deadline> own, other(after(1s, 'x')), next;
    own = clock.after(0s, [&] {
        called += 'a';
        own.reset();
        other.reset();
        next = after(1s, 'n');
    });
    pass_time(io, 0s);
    CHECK(called == "a");
    pass_time(io, 1s);
    CHECK(called == "an");
}

TEST_CASE("a function may destroy the service")
{
    asio::io_context io;
    auto clock = std::make_unique<service>(io.get_executor());
    std::optional<deadline> one, two;
    bool late = false;
    one = clock->after(1s, [&] {
        one.reset(), two.reset();
        clock.reset();
    });
    two = clock->after(1s, [&] { late = true; });
    pass_time(io, 1s);
    CHECK(!clock);
    CHECK(!late);
}

TEST_CASE("a service that goes while its timer runs leaves nothing behind")
{
    asio::io_context io;
    {
        service clock(io.get_executor());
        const auto one = clock.after(1s, [] { FAIL("called"); });
    }
    pass_time(io, 2s);
    CHECK(io.stopped());
}
