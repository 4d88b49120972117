#include <pmixio/handshake/pending.hpp>

#include "support/bytes.hpp"
#include "support/manual_clock.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::pass_time;

struct connection {
    int cancelled = 0;
    void cancel(std::error_code&) { ++cancelled; }
    void shutdown(asio::socket_base::shutdown_type, std::error_code&) {}
};

using queue = handshake_queue<test::manual_clock>;
using entry = queue::entry<connection>;

struct fixture {
    asio::io_context io;
    queue waiting{io.get_executor(), 5s};
    connection a, b, c;
};

} // namespace

TEST_CASE_FIXTURE(fixture, "each connection is cancelled at its own deadline")
{
    entry one(waiting, a, 7);
    pass_time(io, 2s);
    entry two(waiting, b, 7);
    entry three(waiting, c, 7);
    CHECK(waiting.size() == 3);
    pass_time(io, 2s);
    CHECK(a.cancelled == 0);
    pass_time(io, 1s);
    CHECK(a.cancelled == 1);
    CHECK(one.expired());
    CHECK(b.cancelled == 0);
    CHECK(!two.expired());
    pass_time(io, 2s);
    CHECK(b.cancelled == 1);
    CHECK(c.cancelled == 1);
    CHECK(waiting.size() == 3);
    one.leave(), two.leave(), three.leave();
    CHECK(waiting.size() == 0);
    CHECK(one.expired());
}

TEST_CASE_FIXTURE(fixture, "a connection that left in time is not cancelled, in whatever order they leave")
{
    auto one = std::make_unique<entry>(waiting, a, 7);
    entry two(waiting, b, 7);
    entry three(waiting, c, 7);
    two.leave();
    two.leave();
    one.reset();
    CHECK(waiting.size() == 1);
    pass_time(io, 6s);
    CHECK(a.cancelled == 0);
    CHECK(b.cancelled == 0);
    CHECK(!two.expired());
    CHECK(c.cancelled == 1);
}

TEST_CASE_FIXTURE(fixture, "a connection may come when the timer was just put to rest")
{
    entry(waiting, a, 7).leave();
    entry two(waiting, b, 7);
    pass_time(io, 5s);
    CHECK(a.cancelled == 0);
    CHECK(b.cancelled == 1);
}

TEST_CASE_FIXTURE(fixture, "cancel reaches all that wait, and is no expiry")
{
    entry one(waiting, a, 7);
    entry two(waiting, b, 7);
    waiting.cancel();
    CHECK(a.cancelled == 1);
    CHECK(b.cancelled == 1);
    CHECK(!one.expired());
}

TEST_CASE_FIXTURE(fixture, "an empty queue does not keep a context alive when nobody accepts")
{
    {
        entry one(waiting, a, 7);
        io.poll();
        CHECK(!io.stopped());
    }
    io.poll();
    CHECK(io.stopped());
}

TEST_CASE_FIXTURE(fixture, "the timer of an empty queue rests when accepting ends")
{
    waiting.accepting(true);
    {
        entry one(waiting, a, 7);
    }
    io.poll();
    waiting.accepting(false);
    io.restart();
    io.poll();
    CHECK(io.stopped());
}

TEST_CASE("a queue that goes while its timer runs leaves nothing behind")
{
    asio::io_context io;
    connection a;
    {
        queue waiting(io.get_executor(), 5s);
        waiting.accepting(true);
        entry one(waiting, a, 7);
    }
    pass_time(io, 6s);
    CHECK(a.cancelled == 0);
}

TEST_CASE_FIXTURE(fixture, "the connections of an owner are counted until their coroutines leave")
{
    entry one(waiting, a, 1);
    pass_time(io, 2s);
    entry two(waiting, b, 2);
    entry three(waiting, c, 1);
    CHECK(waiting.of(1) == 2);
    CHECK(waiting.of(2) == 1);
    CHECK(waiting.of(3) == 0);
    pass_time(io, 3s);
    CHECK(one.expired());
    CHECK(waiting.of(1) == 2);
    one.leave();
    CHECK(waiting.of(1) == 1);
}

TEST_CASE_FIXTURE(fixture, "expiry and cancel stop what is no operation of the connection")
{
    entry one(waiting, a, 1);
    pass_time(io, 5s);
    CHECK(one.stop().raised());
    entry two(waiting, b, 1);
    CHECK(!two.stop().raised());
    waiting.cancel();
    CHECK(two.stop().raised());
}
