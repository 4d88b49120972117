// Who is admitted by what proof, and how many may try at once.
#include "support/manual_clock.hpp"
#include "support/run.hpp"
#include "support/served.hpp"

#include <pmixio/client.hpp>
#include <pmixio/security/dummy_handshake.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::bytes_of;
using test::client;
using test::hello_bytes;
using test::hex;
using test::open_site;
using test::running;
using test::show;

struct stepwise_site : defaults {
    using security = securities<security::dummy_handshake, security::none>;
    using observer = counters;
};

const bytes dymmy = bytes_of(std::string_view("dymmy_cred\0", 11));

/// Takes as long as it is told.
struct slow {
    static constexpr std::string_view name = "slow";
    static constexpr bool blocks = true;
    result<security::proof> validate(const security::evidence& e) const
    {
        while (!*go)
            std::this_thread::sleep_for(1ms);
        return security::proof{e.uid, e.gid};
    }
    std::shared_ptr<std::atomic<bool>> go = std::make_shared<std::atomic<bool>>(true);
};
struct slow_site : defaults {
    using security = securities<slow, security::none>;
    using observer = counters;
};

/// Its pool goes first: it waits for what runs there.
struct slow_server {
    std::shared_ptr<std::atomic<bool>> go = std::make_shared<std::atomic<bool>>(false);
    running<slow_site> served;
    std::unique_ptr<asio::thread_pool> pool;

    static server_settings<slow_site> settings(asio::thread_pool& pool, std::shared_ptr<std::atomic<bool>> go)
    {
        server_settings<slow_site> s;
        s.pool = pool.get_executor();
        s.limits.handshake = 300ms;
        std::get<slow>(s.policies).go = std::move(go);
        return s;
    }
    explicit slow_server(std::unique_ptr<asio::thread_pool> threads = std::make_unique<asio::thread_pool>(1))
        : served(settings(*threads, go)), pool(std::move(threads))
    {}
    ~slow_server() { *go = true; }
};

} // namespace

TEST_CASE("both halves of a module with an exchange come to an end, and commands follow")
{
    running<stepwise_site> s;
    client_settings<stepwise_site> settings;
    settings.who = {"a", 1};
    settings.securities = "dummy_handshake";
    test::task<result<client_session<stepwise_site>>> connecting(
        s.io, connect<stepwise_site>({{}, s.at.local_endpoint()}, settings));
    s.until([&] { return connecting.done(); });
    auto session = connecting.get();
    REQUIRE(session);
    CHECK(session->who().rank == 1);
    test::task<result<message::job_data>> asking(s.io, session->request(message::req{}));
    s.until([&] { return asking.done(); });
    CHECK(asking.get()->nspace == "a");
    CHECK(s.under_test->observer().admitted == 1);
}

TEST_CASE("who does not name a module with an exchange never hears of it")
{
    running<stepwise_site> s;
    for (const auto* names : {"", "none", "native,none"}) {
        client c(s);
        c.write(hello_bytes({"a", 0}, "6.1.0", names));
        CHECK(show(c.read(4)) == "00 00 00 00");
    }
    client named(s);
    named.write(hello_bytes({"a", 0}, "6.1.0", "dummy_handshake", dymmy));
    CHECK(show(named.read(4)) == "ff ff ff f2");
}

TEST_CASE("an exchange that fails ends in silence: no status can be told from the rest")
{
    running<stepwise_site> s;
    client wrong(s), none(s), good(s);
    for (auto* each : {&wrong, &none, &good})
        each->write(hello_bytes({"a", 0}, "6.1.0", "dummy_handshake", dymmy));
    CHECK(wrong.read(4 + 8 + 32).size() == 44);
    wrong.write(hex("01 00 00 00"));
    CHECK(wrong.read(1).empty());
    CHECK(none.read(44).size() == 44);
    none.link.close();
    CHECK(good.read(44).size() == 44);
    good.write(bytes(4));
    CHECK(good.read(4).size() == 4);
    s.until([&] { return s.under_test->pending_handshakes() == 0; });
    CHECK(s.under_test->observer().refused_by_reason.at("exchange_failed") == 1);
    CHECK(s.under_test->observer().refused_by_reason.at("closed_inside_message") == 1);
    CHECK(s.under_test->sessions() == 1);
}

TEST_CASE("a policy that blocks needs a pool")
{
    asio::io_context io;
    registry jobs;
    CHECK_THROWS_WITH_AS((server<slow_site>(io.get_executor(), jobs)),
                         "pmixio::server: \"slow\" blocks: server_settings::pool is missing", std::invalid_argument);
    server_settings<slow_site> settings;
    settings.offered.securities = {false, true};
    CHECK_NOTHROW((server<slow_site>(io.get_executor(), jobs, settings)));
}

TEST_CASE("a policy that hangs costs its peer the deadline, and others nothing")
{
    slow_server s;
    client stuck(s.served);
    stuck.write(hello_bytes({"a", 0}, "6.1.0", "slow"));
    client other(s.served, {"a", 1}); // by none, meanwhile
    CHECK(show(stuck.read(8)) == "ff ff ff e8");
    CHECK(s.served.under_test->observer().timed_out == 1);
    *s.go = true;
    client again(s.served);
    again.write(hello_bytes({"a", 0}, "6.1.0", "slow"));
    CHECK(again.read(8).size() == 8);
}

TEST_CASE("a server may go while a policy blocks")
{
    slow_server s;
    client stuck(s.served);
    stuck.write(hello_bytes({"a", 0}, "6.1.0", "slow"));
    s.served.until([&] { return s.served.under_test->pending_handshakes() == 1; });
    s.served.under_test.reset();
    s.served.io.restart();
    s.served.io.poll();
    *s.go = true;
    s.pool->join();
    s.served.io.restart();
    s.served.io.poll();
    std::error_code end;
    std::byte any;
    stuck.link.non_blocking(false);
    stuck.link.read_some(asio::buffer(&any, 1), end);
    CHECK(end);
}

TEST_CASE("one user's handshakes are limited, below the limit for all")
{
    server_settings<open_site> settings;
    settings.limits.pending_handshakes = 10;
    settings.limits.pending_per_user = 3;
    running<open_site> s(settings);
    client one(s), two(s), three(s);
    s.until([&] { return s.under_test->pending_handshakes() == 3; });
    client four(s);
    CHECK(show(four.read(8)) == "ff ff ff e3");
    CHECK(s.under_test->observer().refused_by_reason.at("too_many_of_user") == 1);
    two.write(hello_bytes({"a", 0}, "4.2.2"));
    CHECK(two.read(8).size() == 8);
    client five(s, {"a", 1}); // there is room again, and who is admitted does not count
    CHECK(s.under_test->sessions() == 2);
}
