// Everything at once, with servers and clients on different threads.
#include "support/storm.hpp"

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;

constexpr auto duration = 60s;
constexpr std::uint64_t seed = 1;

} // namespace

TEST_CASE("after a storm of clients that come, ask, fail, go and are killed nothing is left of them")
{
    test::stormed s(2);
    s.check_calm(); // and all that is opened once is open
    const auto descriptors = test::open_descriptors();
    std::uint64_t killed = 0;
    {
        test::killed_clients victims(s.plan(1, seed));
        asio::io_context io;
        test::storm clients(io, s.plan(0, seed));
        asio::steady_timer over(io, duration);
        over.async_wait([&](std::error_code) { clients.stop(); });

        std::atomic<bool> done = false;
        const auto begin = std::chrono::steady_clock::now();
        std::thread weather([&] {
            io.run_for(duration + 60s);
            done = true;
        });
        s.run_while([&] { return !done; });
        weather.join();
        killed = victims.stop();

        fmt::print("{}{:8} killed\n", clients.summary(std::chrono::steady_clock::now() - begin), killed);
        std::fflush(stdout);
        CHECK(clients.over());
        CHECK(clients.wrong == std::vector<std::string>());
        for (const auto name : clients.script_names())
            CHECK_MESSAGE(clients.done[name] != 0, std::string(name));
        CHECK(clients.done["stall"] != 0);
    }
    CHECK(killed != 0);
    s.check_calm();
    CHECK(s.under_test->observer().timed_out != 0);
    CHECK(s.host.aborts != 0);
    CHECK(s.host.finals != 0);
    CHECK(s.host.losses != 0);
    CHECK(test::open_descriptors() == descriptors);
}

TEST_CASE("of two servers that are stormed on two threads one goes, and the other does not notice")
{
    test::stormed goes(1), stays(1);
    stays.check_calm();
    asio::io_context io;
    auto doomed = goes.plan(0, 2);
    doomed.may_fail = true;
    test::storm at_goes(io, doomed), at_stays(io, stays.plan(0, 3));

    std::atomic<bool> half_time = false, over = false;
    std::thread first([&] {
        goes.run_while([&] { return !half_time; });
        goes.until(
            [&] { return goes.under_test->sessions() != 0 && goes.under_test->pending_handshakes() != 0; });
        goes.under_test.reset();
        goes.at.close();
        goes.io.restart();
        goes.io.run_for(60s); // until nothing of that server is left
    });
    std::thread second([&] { stays.run_while([&] { return !over; }); });
    const auto begin = std::chrono::steady_clock::now();
    asio::steady_timer clock(io, 4s);
    clock.async_wait([&](std::error_code) {
        half_time = true;
        clock.expires_after(4s);
        clock.async_wait([&](std::error_code) {
            at_goes.stop();
            at_stays.stop();
        });
    });
    io.run_for(120s);
    over = true;
    first.join();
    second.join();

    fmt::print("{}{}", at_goes.summary(4s), at_stays.summary(std::chrono::steady_clock::now() - begin));
    CHECK(goes.io.stopped());
    CHECK(at_goes.over());
    CHECK(at_goes.done.size() > 3);
    CHECK(at_stays.over());
    CHECK(at_stays.wrong == std::vector<std::string>());
    stays.check_calm();
}

TEST_CASE("a server may go at any moment of a storm, and its context soon after")
{
    const auto descriptors = test::open_descriptors();
    auto random = test::numbers(4);
    unsigned busy = 0;
    for (std::uint64_t round = 0; round != 30; ++round) {
        CAPTURE(round);
        std::optional<test::storm> clients;
        auto s = std::make_unique<test::stormed>(1);
        auto plan = s->plan(0, round);
        plan.may_fail = true;
        clients.emplace(s->io, plan);
        for (auto handlers = random() % 3000; handlers != 0; --handlers)
            s->io.run_one();

        busy += s->under_test->sessions() != 0 && s->under_test->pending_handshakes() != 0;
        s->under_test.reset();
        if (random() % 2) {
            s->at.close();
            s->known.reset();
            s->until([&] { return clients->over(); });
        }
        s.reset();
    }
    CHECK(busy != 0);
    CHECK(test::open_descriptors() == descriptors);
}
