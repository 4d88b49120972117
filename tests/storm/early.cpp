// Servers, listeners, registries and contexts that go while everything is under way.
#include "support/run.hpp"
#include "support/served.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <system_error>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::client;
using test::open_site;
using test::running;
using wire::status;

/// Decides when it is told to. Its coroutines keep what they need.
struct undecided_host {
    struct state {
        explicit state(asio::io_context& io) : decision(io, asio::steady_timer::time_point::max()) {}
        asio::steady_timer decision;
        int waiting = 0, decided = 0;
    };
    std::shared_ptr<state> kept;

    asio::awaitable<status> abort(requester, message::abort)
    {
        co_await decide(kept);
        co_return status::success;
    }
    asio::awaitable<result<wire::proc>> tool_connected(tool_request)
    {
        co_await decide(kept);
        co_return wire::proc{}; // the server is to name it
    }
    static asio::awaitable<void> decide(std::shared_ptr<state> with)
    {
        ++with->waiting;
        std::error_code decided;
        co_await with->decision.async_wait(asio::redirect_error(asio::use_awaitable, decided));
        ++with->decided;
    }
};

} // namespace

TEST_CASE("a host that decides when the server and its jobs are gone touches neither")
{
    for (const bool decides : {true, false}) {
        CAPTURE(decides);
        auto host = std::make_unique<undecided_host>();
        running<open_site, undecided_host> s(*host);
        const auto kept = host->kept = std::make_shared<undecided_host::state>(s.io);
        client asks(s, {"a", 0}), tool(s);
        asks.send(message::abort{});
        tool.write(test::tool_hello(peer_kind::tool_needs_id, {}, ::geteuid(), "6.1.0", {}, "none"));
        s.until([&] { return kept->waiting == 2; });

        if (decides) // just before, and nobody has seen it
            kept->decision.cancel();
        s.under_test.reset();
        s.at.close();
        s.io.restart(), s.io.poll(); // serve() is over
        s.open.reset();
        s.known.reset();
        host.reset();
        s.until([&] { return kept->decided == 2; }); // what it would decide is not wanted any more: cancelled
        CHECK(asks.read(1).empty());
        CHECK(tool.read(1).empty());
    }
}

TEST_CASE("a server serves its peers when its listener is gone, and others from the next one")
{
    running<open_site> s;
    client stays(s, {"a", 0});
    s.open.reset();
    CHECK(stays.ask(message::commit{}) == status::success);

    s.open = std::make_unique<listener>(s.io, loopback());
    asio::co_spawn(s.io, s.under_test->serve(*s.open), [](std::exception_ptr, std::error_code) {});
    CHECK(stays.ask(message::commit{}) == status::success);
}

TEST_CASE("a drain of a server that goes ends")
{
    server_settings<open_site> settings;
    settings.limits.handshake = 1h;
    running<open_site> s(settings);
    client stays(s, {"a", 0}), half(s);
    half.write(test::bytes(10, std::byte{0xff}));
    test::task<bool> draining(s.io, s.under_test->drain(1h));
    s.until([&] { return s.under_test->pending_handshakes() == 1; });
    CHECK(!draining.done());
    s.under_test.reset();
    test::finish(s.io, draining);
    CHECK(stays.read(1).empty());
    CHECK(half.read(1).empty());
}
