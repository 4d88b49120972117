// What is allocated, and what happens without: no memory, at each allocation of an admission and of a command in turn. What
// Asio needs to start an operation that a coroutine waits for is exempt then: Asio ends the program without it.
#include "support/exempt.hpp"
#include "support/served.hpp"
#include "support/staged.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <deque>
#include <limits>
#include <map>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace pmixio;
using test::exempt;
using test::stage;

constexpr auto never = std::numeric_limits<std::size_t>::max();
thread_local std::size_t fails_at = never, counted = 0;

void* allocate(std::size_t size, std::size_t alignment)
{
    if (fails_at != never && !exempt::now() && counted++ == fails_at)
        throw std::bad_alloc();
    void* memory = std::aligned_alloc(alignment, (size + alignment) / alignment * alignment);
    if (!memory)
        throw std::bad_alloc();
    return memory;
}

/// While it lives, allocation number `n` (from 0) of this thread fails; exempt ones do not count.
struct failing_allocation {
    explicit failing_allocation(std::size_t n) noexcept { counted = 0, fails_at = n; }
    failing_allocation(const failing_allocation&) = delete;
    ~failing_allocation() { fails_at = never; }
    static bool met() noexcept { return counted > fails_at; }
};

/// Allocations of this thread while it lives.
struct counting {
    counting() noexcept { counted = 0, fails_at = never - 1; }
    counting(const counting&) = delete;
    ~counting() { fails_at = never; }
    static std::size_t now() noexcept { return counted; }
};

void poll(stage& s)
{
    s.io.restart();
    s.io.poll();
}

} // namespace

void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new[](std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment)
{
    return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

TEST_CASE("an admission for which there is no memory is refused, and the next one is not")
{
    std::size_t met = 0;
    for (std::size_t n = 0;; ++n) {
        CAPTURE(n);
        stage s;
        bool failed = false;
        {
            std::optional<test::task<result<void>>> admission;
            const failing_allocation here(n);
            try {
                auto operation = s.admit();
                const exempt spawning;
                admission.emplace(s.io, std::move(operation));
            } catch (const std::bad_alloc&) { // the caller's: nothing has begun
                failed = true;
            }
            try {
                poll(s);
            } catch (const std::bad_alloc&) { // Asio's, for telling that the coroutine has ended
            }
            const exempt looking;
            if (admission && admission->done())
                failed = admission->get().error() == std::errc::not_enough_memory;
            if (!failing_allocation::met()) {
                CHECK_FALSE(failed);
                CHECK(s.under_test->sessions() == 1);
                break;
            }
        }
        ++met;
        if (failed)
            CHECK(s.under_test->sessions() == 0);
        else // no memory for what only watches, or for the session's first wait
            CHECK(s.under_test->observer().admitted == 1);
        s.under_test->close_sessions();
        poll(s);
        CHECK(s.left_over() == "");

        test::memory_stream next(s.io.get_executor(), test::hello_bytes({"b", 0}, "6.1.0"));
        next.stall();
        CHECK(test::run(s.io, s.under_test->admit(test::memory_socket(next))));
        s.under_test->close_sessions();
        poll(s);
    }
    CHECK(met > 3);
}

TEST_CASE("a connection that cannot be handed over for want of memory is refused at one of its ends, and the "
          "next one is not")
{
    struct pointing_host {
        entrance there;
        entrance elsewhere(std::string_view) const { return there; }
    };
    std::size_t met = 0;
    for (bool failed = true; failed; ++met) {
        CAPTURE(met);
        asio::io_context io;
        registry near_jobs{{"a", 1, ::geteuid(), ::getegid()}}, far_jobs{{"b", 1, ::geteuid(), ::getegid()}};
        server<test::open_site> far(io.get_executor(), far_jobs);
        pointing_host host{far.entrance()};
        server<test::open_site, pointing_host> near(io.get_executor(), near_jobs, host);
        listener at(io, loopback());
        std::deque<asio::ip::tcp::socket> peers;
        const auto come = [&] {
            peers.emplace_back(io).connect(at.local_endpoint());
            asio::write(peers.back(), asio::buffer(test::hello_bytes({"b", 0}, "6.1.0")));
            return test::run(io, at.accept()).value();
        };
        auto first = come();
        bool begun = false;
        {
            std::optional<test::task<result<void>>> admission;
            const failing_allocation here(met);
            try {
                auto operation = near.admit(std::move(first));
                const exempt spawning;
                admission.emplace(io, std::move(operation));
                begun = true;
            } catch (const std::bad_alloc&) { // the caller's
            }
            try {
                io.restart(), io.poll();
            } catch (const std::bad_alloc&) { // Asio's, for telling that the coroutine has ended
            }
            failed = failing_allocation::met();
        }
        io.restart(), io.poll();
        const auto &seen_near = near.observer(), &seen_far = far.observer();
        CHECK(seen_near.accepted == begun);
        CHECK(seen_near.accepted == seen_near.refused + seen_near.handed_over);
        CHECK(seen_far.accepted == seen_near.handed_over);
        CHECK(seen_far.accepted == seen_far.refused + seen_far.admitted);
        const auto before = seen_far.admitted;
        CHECK((before == 1 || failed));
        CHECK(test::run(io, near.admit(come())));
        io.restart(), io.poll();
        CHECK(seen_far.admitted == before + 1);
    }
    CHECK(met > 5);
}

TEST_CASE("a command for which there is no memory ends its session, and leaves nothing behind")
{
    const auto requests = stage::requests();
    for (std::span<const std::byte> rest = requests; !rest.empty();) {
        const auto header = wire::frame_header::parse(rest.first<wire::frame_header_size>());
        const auto request = rest.first(wire::frame_header_size + header.nbytes);
        rest = rest.subspan(request.size());
        CAPTURE(header.tag);
        std::size_t met = 0;
        for (std::size_t n = 0;; ++n) {
            CAPTURE(n);
            stage s;
            REQUIRE(test::run(s.io, s.admit()));
            poll(s);
            s.far.feed(request);
            {
                const failing_allocation here(n);
                poll(s);
                if (!failing_allocation::met()) {
                    CHECK(s.under_test->sessions() == 1);
                    break;
                }
            }
            ++met;
            s.far.end_input();
            poll(s);
            s.under_test->close_sessions();
            poll(s);
            CHECK(s.left_over() == "");
        }
        CHECK(met > 0);
    }
}

TEST_CASE("a publication for which there is no memory is none")
{
    const wire::info big{"big", 0, wire::value::string(std::string(1000, 'x'))}, small{"small", 0, {}};
    const wire::info custom[] = {{"pmix.range", 0, wire::value::uint32(6)},
                                 {"pmix.evrange", 0, wire::value::of_proc({"a", 0})}};
    registry jobs{{"a", 1, 1000, 1000}};
    test::fake_deadlines clock;
    test::peer by({"a", 0});
    std::size_t met = 0, whole = 0;
    for (std::size_t n = 0; whole == 0; ++n) {
        CAPTURE(n);
        publications published(jobs, clock, 1u << 20);
        message::publish request{0, {big, small, custom[0], custom[1]}};
        auto reply = by.ask<message::status_reply>();
        const auto answers = by.answers();
        try {
            const failing_allocation here(n);
            published.publish(by.from, std::move(request), std::move(reply));
        } catch (const std::bad_alloc&) {
            ++met;
            CHECK(published.bytes() == 0);
            continue;
        }
        if (by.answers() != answers && !by.out->failed)
            whole = published.bytes();
        else
            CHECK(published.bytes() > 0);
        by.out->failed = {};
    }
    CHECK(met > 5);
    CHECK(whole > 1000);
}

TEST_CASE("allocations of a handshake and of a message")
{
    struct native_site : defaults {
        using security = securities<security::native>;
    };
    test::running<native_site> s;
    const auto join = [&] {
        test::client c(s);
        c.write(test::hello_bytes({"a", 0}, "4.2.2", "native", test::native_credential()));
        const auto before = s.under_test->sessions();
        const counting here;
        while (s.under_test->sessions() == before) {
            s.io.restart();
            s.io.poll();
        }
        return std::pair(std::move(c), counting::now());
    };
    const auto ask = [&](auto& c, const auto& request) {
        c.send(request);
        std::array<std::byte, 4096> reply;
        std::error_code nothing_yet = asio::error::would_block;
        const counting here;
        for (std::size_t n = 0; n == 0; n = c.link.read_some(asio::buffer(reply), nothing_yet)) {
            s.io.restart();
            s.io.poll();
        }
        return counting::now();
    };
    const auto first = join(); // Asio keeps what it has allocated once
    auto [c, handshake] = join();
    message::fence alone;
    alone.processes = {{"a", 0}};
    const message::get unknown{"a", 0, {{"pmix.immediate", 0, wire::value::boolean(true)}}, "k"};
    for (int warm = 0; warm != 2; ++warm)
        ask(c, message::commit{}), ask(c, alone), ask(c, unknown);
    const std::map<std::string, std::pair<std::size_t, std::size_t>> costs{
        {"a handshake", {handshake, detail::address_sanitized ? 5 : 4}},
        {"an empty commit", {ask(c, message::commit{}), 1}},
        {"a fence of one", {ask(c, alone), 5}},
        {"a get that finds nothing", {ask(c, unknown), 4}},
    };
    for (const auto& each : costs) {
        MESSAGE(each.first, ": ", each.second.first, " allocations");
        CAPTURE(each.first);
        CHECK(each.second.first <= each.second.second);
    }
}
