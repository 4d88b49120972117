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
    entry one(waiting, a);
    pass_time(io, 2s);
    entry two(waiting, b);
    entry three(waiting, c);
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
    auto one = std::make_unique<entry>(waiting, a);
    entry two(waiting, b);
    entry three(waiting, c);
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
    entry(waiting, a).leave();
    entry two(waiting, b);
    pass_time(io, 5s);
    CHECK(a.cancelled == 0);
    CHECK(b.cancelled == 1);
}

TEST_CASE_FIXTURE(fixture, "cancel reaches all that wait, and is no expiry")
{
    entry one(waiting, a);
    entry two(waiting, b);
    waiting.cancel();
    CHECK(a.cancelled == 1);
    CHECK(b.cancelled == 1);
    CHECK(!one.expired());
}

TEST_CASE_FIXTURE(fixture, "an empty queue does not keep a context alive when nobody accepts")
{
    {
        entry one(waiting, a);
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
        entry one(waiting, a);
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
        entry one(waiting, a);
    }
    pass_time(io, 6s);
    CHECK(a.cancelled == 0);
}
