// Two servers, each on a context and a thread of its own, with a job each.
#include "support/storm.hpp"

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;

struct neighbours {
    neighbours()
    {
        one.host.other = other.under_test->entrance();
        other.host.other = one.under_test->entrance();
        for (auto* each : {&one, &other})
            each->check_calm();
    }
    /// Accept at one address, besides their own.
    void share()
    {
        at_one = std::make_unique<listener>(one.io, loopback(), share_port);
        at_other = std::make_unique<listener>(other.io, at_one->local_endpoint(), share_port);
        asio::co_spawn(one.io, one.under_test->serve(*at_one), [](std::exception_ptr, std::error_code) {});
        asio::co_spawn(other.io, other.under_test->serve(*at_other),
                       [](std::exception_ptr, std::error_code) {});
    }
    test::storm_plan plan(test::stormed& of, std::uint64_t seed) const
    {
        auto made = of.plan(0, seed);
        if (at_one)
            made.at = at_one->local_endpoint();
        return made;
    }

    test::stormed one{1, "storm"}, other{1, "tempest"};
    std::unique_ptr<listener> at_one, at_other; ///< null: not shared
};

constexpr auto duration = 6s;

} // namespace

TEST_CASE("servers on two threads are stormed, by a port of their own and by one that they share")
{
    for (const bool shared : {false, true}) {
        CAPTURE(shared);
        neighbours s;
        if (shared)
            s.share();
        asio::io_context io;
        test::storm at_one(io, s.plan(s.one, 5)), at_other(io, s.plan(s.other, 6));
        asio::steady_timer clock(io, duration);
        clock.async_wait([&](std::error_code) { at_one.stop(), at_other.stop(); });

        std::atomic<bool> over = false;
        std::thread first([&] { s.one.run_while([&] { return !over; }); });
        std::thread second([&] { s.other.run_while([&] { return !over; }); });
        io.run_for(duration + 60s);
        over = true;
        first.join();
        second.join();

        fmt::print("{}{}", at_one.summary(duration), at_other.summary(duration));
        for (const auto* each : {&at_one, &at_other}) {
            CHECK(each->over());
            CHECK(each->wrong == std::vector<std::string>());
        }
        // Until both are calm: what is on its way from the one keeps the other busy.
        s.one.until([&] {
            s.other.io.restart(), s.other.io.poll();
            return s.one.under_test->pending_handshakes() + s.other.under_test->pending_handshakes() == 0;
        });
        std::uint64_t handed_over = 0;
        for (auto* each : {&s.one, &s.other}) {
            each->check_calm();
            handed_over += each->under_test->observer().handed_over;
        }
        const auto strangers = at_one.done["refused"] + at_other.done["refused"];
        CHECK(handed_over >= strangers);
        CHECK((handed_over != strangers) == shared);
    }
}

TEST_CASE("of two servers that share a port one goes while connections are handed over to it")
{
    const auto descriptors = test::open_descriptors();
    {
        neighbours s;
        s.share();
        asio::io_context io;
        auto doomed = s.plan(s.one, 7), bereft = s.plan(s.other, 8);
        doomed.may_fail = bereft.may_fail = true; // who waits to be accepted by the one is reset
        test::storm at_one(io, doomed), at_other(io, bereft);
        std::atomic<bool> half_time = false, over = false;
        std::thread first([&] {
            s.one.run_while([&] { return !half_time; });
            s.one.under_test.reset();
            s.at_one->close();
            s.one.at.close();
            s.one.io.restart();
            s.one.io.run_for(60s); // until nothing of that server is left
        });
        std::thread second([&] { s.other.run_while([&] { return !over; }); });
        asio::steady_timer clock(io, duration / 2);
        clock.async_wait([&](std::error_code) {
            half_time = true;
            clock.expires_after(duration / 2);
            clock.async_wait([&](std::error_code) { at_one.stop(), at_other.stop(); });
        });
        io.run_for(duration + 60s);
        over = true;
        first.join();
        second.join();

        fmt::print("{}{}", at_one.summary(duration), at_other.summary(duration));
        CHECK(s.one.io.stopped());
        CHECK(at_one.over());
        CHECK(at_other.over());
        s.other.check_calm();
        CHECK(s.other.under_test->observer().handed_over != 0);
        CHECK(s.other.under_test->observer().refused_by_reason.at("unknown_namespace") != 0);
    }
    CHECK(test::open_descriptors() == descriptors);
}
