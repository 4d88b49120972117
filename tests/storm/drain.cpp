// Draining while handshakes, fences and gets are under way.
#include "support/run.hpp"
#include "support/served.hpp"

#include <doctest/doctest.h>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::client;
using test::hello_bytes;
using wire::status;
using wire::value;

using open_server = test::running<test::open_site>;
using open_client = client<open_server>;

/// Rank 0 waits in a fence, rank 1 for data of rank 0, and another is in the middle of its handshake.
struct busy {
    busy()
    {
        fence = test::whole_job();
        zero.send(fence);
        one.send(message::get{"a", 0, {}, "k"});
        half.write({hello.begin(), hello.begin() + 20});
        s.until([&] {
            return s.under_test->pending_collectives() == 1 && s.under_test->held_gets() == 1 &&
                   s.under_test->pending_handshakes() == 1;
        });
    }
    void finish_handshake()
    {
        half.write({hello.begin() + 20, hello.end()});
        CHECK(test::show(half.read(8)).starts_with("00 00 00 00"));
    }
    void turn() { s.io.restart(), s.io.poll(); }

    open_server s;
    open_client zero{s, {"a", 0}}, one{s, {"a", 1}}, half{s};
    const test::bytes hello = hello_bytes({"b", 0}, "4.2.2");
    message::fence fence;
};

} // namespace

TEST_CASE("a drain that is over before all is done ends every session, and what they wait for")
{
    busy b;
    CHECK(!test::run(b.s.io, b.s.under_test->drain(20ms)));
    CHECK(b.s.under_test->sessions() == 0);
    CHECK(b.s.under_test->held_gets() == 0);
    CHECK(b.s.under_test->pending_collectives() == 0);
    CHECK(b.zero.read(1).empty());
    CHECK(b.one.read(1000).size() < 1000); // closed, perhaps after it heard that rank 0 is gone

    CHECK(b.s.under_test->pending_handshakes() == 1); // not ended, and not waited for
    CHECK(test::run(b.s.io, b.s.under_test->drain(1h)));
    b.finish_handshake();
    CHECK(!test::run(b.s.io, b.s.under_test->drain(1ms)));
    CHECK(b.half.read(1).empty());
    CHECK(b.s.under_test->observer().closed == 3);
}

TEST_CASE("a drain with time enough lets fences, gets and handshakes end well")
{
    busy b;
    b.s.at.close();
    test::task<bool> draining(b.s.io, b.s.under_test->drain(1h));
    b.turn();
    CHECK(b.zero.ask(message::commit{{{wire::scope::local, {{"k", value::uint32(7)}}}}}) == status::success);
    CHECK(test::payload<message::get_reply>(b.one.answer(101)).sources.size() == 1);
    CHECK(b.one.ask(b.fence) == status::success);
    CHECK(test::payload<message::status_reply>(b.zero.answer(101)).result == status::success);
    b.finish_handshake();

    for (auto* each : {&b.zero, &b.one, &b.half}) {
        b.turn();
        CHECK(!draining.done());
        CHECK(each->ask(message::finalize{}) == status::success);
        each->link.close();
    }
    CHECK(test::finish(b.s.io, draining));
    CHECK(b.s.under_test->observer().closed == 3);
}
