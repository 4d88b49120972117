#include "support/listening.hpp"
#include "support/run.hpp"

#include <pmixio/listen/probe.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace pmixio;
using namespace std::chrono_literals;
using test::run;

TEST_CASE("a listener answers, though it accepts nothing yet")
{
    asio::io_context io;
    const test::listening server(io);
    CHECK(run(io, probe(server.address.at, 10s)));
}

TEST_CASE("where nobody listens, a probe is refused")
{
    asio::io_context io;
    CHECK(run(io, probe(test::dead(io).at, 10s)).error() == asio::error::connection_refused);
}

TEST_CASE("a probe closes its connection and sends nothing")
{
    asio::io_context io;
    test::listening server(io);
    REQUIRE(run(io, probe(server.address.at, 10s)));
    auto accepted = run(io, server.open.accept());
    REQUIRE(accepted);
    char byte = 0;
    std::error_code ended;
    accepted->read_some(asio::buffer(&byte, 1), ended);
    CHECK(ended == asio::error::eof);
}

TEST_CASE("a probe does not wait longer than it may")
{
    asio::io_context io;
    const test::silent server(io);
    CHECK(run(io, probe(server.at(), 50ms)).error() == fault::rendezvous_timeout);
}

TEST_CASE("a probe can be cancelled")
{
    asio::io_context io;
    const test::silent server(io);
    test::task<result<void>> probing(io, probe(server.at(), 1h));
    io.poll();
    CHECK_FALSE(probing.done());
    probing.cancel();
    CHECK(test::finish(io, probing).error() == asio::error::operation_aborted);
}
