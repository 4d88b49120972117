// Each limit of a server: kept just below it, and met at it.
#include "support/staged.hpp"
#include "support/temporary_directory.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::hello_bytes;
using test::memory_socket;
using test::memory_stream;
using test::pass_time;
using test::stage;
using test::task;
using test::operator+;

const bytes greeting = hello_bytes({"b", 0}, "6.1.0");

/// How an admission that nothing holds up ends.
std::error_code outcome(stage& s)
{
    task<result<void>> admission(s.io, s.admit());
    s.poll();
    REQUIRE(admission.done());
    return admission.get().error();
}

/// One more connection of the stage's server, which says `begin`.
struct another {
    memory_stream far;
    task<result<void>> admission;

    another(stage& s, bytes begin)
        : far(s.io.get_executor(), std::move(begin)),
          admission(s.io, s.under_test->admit(memory_socket(far.stall())))
    {
        s.poll();
    }
    std::error_code end() { return admission.done() ? admission.get().error() : std::error_code(); }
};

/// The status that a request of the stage's client is answered with.
template <class M>
wire::status answer(stage& s, const M& request)
{
    const auto before = static_cast<std::ptrdiff_t>(s.far.output().size());
    s.far.feed(make_frame<wire::v41>(wire::first_request_tag, request, {}).value());
    s.poll();
    const bytes reply(s.far.output().begin() + before, s.far.output().end());
    return test::payload<message::status_reply>(reply).result;
}

/// A request whose answer is small, of exactly this many bytes of payload.
bytes request_of(std::size_t payload)
{
    for (std::string key;; key += 'k') {
        const message::get absent{"a", 0, {{"pmix.immediate", 0, wire::value::boolean(true)}}, key};
        auto frame = make_frame<wire::v41>(wire::first_request_tag, absent, {}).value();
        if (frame.size() == wire::frame_header_size + payload)
            return frame;
        REQUIRE(frame.size() < wire::frame_header_size + payload);
    }
}

} // namespace

TEST_CASE("handshake: a deadline for all of it, that no byte puts off")
{
    stage s(limits{}, {});
    task<result<void>> admission(s.io, s.admit());
    s.poll();
    for (std::size_t sent = 0; sent != 5; ++sent) { // a byte a second, the last just in time
        pass_time(s.io, sent == 4 ? 1s - 1ns : 1s);
        s.far.feed(std::span(greeting).subspan(sent, 1));
        s.poll();
    }
    CHECK(!admission.done());
    SUBCASE("met")
    {
        pass_time(s.io, 1ns);
        s.far.feed(std::span(greeting).subspan(5));
        s.poll();
        CHECK(admission.get().error() == fault::handshake_timeout);
        CHECK(s.left_over() == "");
    }
    SUBCASE("kept")
    {
        s.far.feed(std::span(greeting).subspan(5));
        s.poll();
        CHECK(admission.get());
    }
}

TEST_CASE("handshake_bytes: the payload of a request")
{
    limits bounds;
    bounds.handshake_bytes = greeting.size() - wire::frame_header_size;
    stage kept(bounds, greeting);
    CHECK(!outcome(kept));
    bounds.handshake_bytes -= 1;
    stage met(bounds, greeting);
    CHECK(outcome(met) == fault::handshake_too_large);
    CHECK(met.left_over() == "");
}

TEST_CASE(
    "pending_handshakes and pending_per_user: the newest is refused, and served when there is room again")
{
    for (const bool per_user : {false, true}) {
        CAPTURE(per_user);
        limits bounds;
        (per_user ? bounds.pending_per_user : bounds.pending_handshakes) = 3;
        stage s(bounds, {});
        task<result<void>> admission(s.io, s.admit());
        another second(s, {}), third(s, hello_bytes({"b", 0}, "6.1.0")); // admitted: below the limit
        CHECK(third.admission.done());
        CHECK(!third.end());
        another again(s, {}), over(s, greeting);
        CHECK(over.end() == (per_user ? fault::too_many_of_user : fault::too_many_pending));
        CHECK(s.under_test->pending_handshakes() == 3);
        CHECK(s.under_test->sessions() == 1);
        second.far.end_input();
        s.poll();
        another late(s, greeting);
        CHECK(late.admission.done());
        CHECK(!late.end());
        s.under_test->stop();
        s.poll();
    }
}

TEST_CASE("connections_per_rank: children share the identity of their parent")
{
    limits bounds;
    bounds.connections_per_rank = 2;
    stage s(bounds, greeting);
    CHECK(!outcome(s));
    another child(s, greeting);
    CHECK(!child.end());
    another grandchild(s, greeting);
    CHECK(grandchild.end() == fault::too_many_connections);
    another of_a(s, hello_bytes({"a", 0}, "6.1.0"));
    CHECK(!of_a.end());
    child.far.end_input();
    s.poll();
    another next(s, greeting);
    CHECK(!next.end());
    s.under_test->close_sessions();
    s.poll();
}

TEST_CASE("groups_per_user: groups that exist; beyond, none is made")
{
    limits bounds;
    bounds.groups_per_user = 2;
    stage s(bounds, greeting);
    CHECK(!outcome(s));
    for (const char* name : {"one", "two", "three"})
        s.far.feed(
            make_frame<wire::v41>(wire::first_request_tag, message::group_construct{name, {{"b", 0}}, {}}, {})
                .value());
    s.poll();
    CHECK(s.under_test->groups() == 2);
    const bytes last(s.far.output().end() - wire::frame_header_size - 2, s.far.output().end());
    CHECK(test::payload<message::status_reply>(last).result == wire::status::out_of_resource);
    s.far.end_input();
    s.poll();
    CHECK(s.left_over() == "");
}

TEST_CASE("kept_events and kept_event_bytes: events of one user; beyond, the oldest go")
{
    const auto kept = [](const limits& bounds, int events) {
        stage s(bounds, greeting);
        CHECK(!outcome(s));
        for (int i = 0; i != events; ++i)
            s.far.feed(make_frame<wire::v41>(wire::first_request_tag,
                                             message::notify{static_cast<wire::status>(-1000 - i),
                                                             wire::data_range::session,
                                                             {{"k", 0, wire::value::string("text")}}},
                                             {})
                           .value());
        s.poll();
        return s.under_test->kept_events();
    };
    limits bounds;
    bounds.kept_events = 2;
    CHECK(kept(bounds, 2) == 2);
    CHECK(kept(bounds, 3) == 2);
    bounds.kept_event_bytes = 0;
    while (kept(bounds, 1) == 0)
        bounds.kept_event_bytes += 16;
    CHECK(kept(bounds, 2) == 1);
    bounds.kept_event_bytes *= 2;
    CHECK(kept(bounds, 2) == 2);
}

TEST_CASE("registered_codes: of one connection; beyond, nothing is registered")
{
    limits bounds;
    bounds.registered_codes = 3;
    stage s(bounds, greeting);
    CHECK(!outcome(s));
    const auto told = [&](message::register_events request) {
        s.far.feed(make_frame<wire::v41>(wire::first_request_tag, std::move(request), {}).value());
        s.poll();
        const bytes last(s.far.output().end() - wire::frame_header_size - 2, s.far.output().end());
        return test::payload<message::status_reply>(last).result;
    };
    constexpr auto one = static_cast<wire::status>(-1000), two = static_cast<wire::status>(-1001);
    CHECK(told({{one, two}, {}}) == wire::status::success);
    CHECK(told({{one}, {{"pmix.evproc", 0, wire::value::of_proc({"a", 0})}}}) ==
          wire::status::out_of_resource);
    CHECK(told({}) == wire::status::success);
    CHECK(told({}) == wire::status::out_of_resource);
    s.under_test->close_sessions();
    s.poll();
}

TEST_CASE("message_bytes: the payload of a message; beyond, its sender is told and closed")
{
    limits bounds;
    bounds.message_bytes = 200;
    for (const bool met : {false, true}) {
        stage s(bounds, greeting);
        CHECK(!outcome(s));
        s.far.feed(request_of(met ? 201 : 200));
        s.poll();
        CHECK(s.under_test->sessions() == (met ? 0 : 1));
        const auto reply = bytes(s.far.output().begin() + 8, s.far.output().end());
        CHECK(test::payload<message::status_reply>(reply).result ==
              (met ? wire::status::bad_parameter : wire::status::not_found));
        s.far.end_input();
        s.poll();
        CHECK(s.left_over() == "");
    }
}

TEST_CASE("queued_output: what a peer has not read")
{
    limits bounds;
    bounds.unread_output = 1u << 30;
    const auto ask = make_frame<wire::v41>(wire::first_request_tag, message::req{}, {}).value();
    std::size_t one = 0;
    {
        stage measured(bounds, greeting);
        CHECK(!outcome(measured));
        measured.far.feed(ask);
        measured.poll();
        one = measured.far.output().size() - 8;
    }
    bounds.queued_output = 3 * one;
    stage s(bounds, greeting);
    s.far.take_only(8);
    CHECK(!outcome(s));
    for (int i = 0; i != 3; ++i)
        s.far.feed(ask);
    s.poll();
    CHECK(s.under_test->sessions() == 1);
    s.far.feed(ask);
    s.poll();
    CHECK(s.under_test->sessions() == 0);
    CHECK(s.left_over() == "");
}

TEST_CASE("cleanup_bytes: what one user's processes have registered to be removed")
{
    limits bounds;
    const auto told = [&] {
        stage s(bounds, greeting);
        CHECK(!outcome(s));
        const auto reply = answer(
            s, message::job_control{{}, {{"pmix.reg.cleanup", 0, wire::value::string("/no/such/file")}}});
        const auto used = s.under_test->cleanup_bytes();
        s.under_test->remove_namespace("b");
        CHECK(s.under_test->cleanup_bytes() == 0);
        return std::pair(reply, used);
    };
    const auto [registered, used] = told();
    CHECK(registered == wire::status::success);
    bounds.cleanup_bytes = used;
    CHECK(told() == std::pair(wire::status::success, used));
    bounds.cleanup_bytes = used - 1;
    CHECK(told() == std::pair(wire::status::out_of_resource, std::size_t{0}));
}

TEST_CASE("cleanup_entries: what is looked at when files are removed")
{
    for (const bool met : {false, true}) {
        test::temporary_directory dir;
        test::write_file(dir / "1", ""), test::write_file(dir / "2", "");
        limits bounds;
        bounds.cleanup_entries = met ? 2 : 3; // the directory is one
        stage s(bounds, greeting);
        CHECK(!outcome(s));
        CHECK(
            answer(s,
                   message::job_control{{}, {{"pmix.reg.cleanupdir", 0, wire::value::string(dir.path())}}}) ==
            wire::status::success);
        s.under_test->remove_namespace("b");
        CHECK(std::filesystem::exists(dir.path()) == met);
    }
}

TEST_CASE("monitors_per_session: what is watched; beyond, nothing more is")
{
    limits bounds;
    bounds.monitors_per_session = 2;
    stage s(bounds, greeting);
    CHECK(!outcome(s));
    message::monitor beats;
    beats.what.key = "pmix.monitor.mbeat";
    beats.directives = {{"pmix.monitor.btime", 0, wire::value::uint32(60)}};
    CHECK(answer(s, beats) == wire::status::success);
    CHECK(answer(s, beats) == wire::status::success);
    CHECK(answer(s, beats) == wire::status::out_of_resource);
    CHECK(s.under_test->monitors() == 2);
    s.far.end_input();
    s.poll();
    CHECK(s.left_over() == "");
}

TEST_CASE("published_bytes: what one user's processes have published")
{
    const message::publish one{0, {{"k", 0, {}}}};
    limits bounds;
    const auto told = [&] {
        stage s(bounds, greeting);
        CHECK(!outcome(s));
        const auto reply = answer(s, one);
        CHECK(s.under_test->sessions() == 1);
        const auto used = s.under_test->published_bytes();
        s.under_test->close_sessions();
        s.poll();
        return std::pair(reply, used);
    };
    const auto [published, used] = told();
    CHECK(published == wire::status::success);
    bounds.published_bytes = used;
    CHECK(told() == std::pair(wire::status::success, used));
    bounds.published_bytes = used - 1;
    CHECK(told() == std::pair(wire::status::out_of_resource, std::size_t{0}));
}

TEST_CASE("forwarded_bytes: output of one job that nobody has pulled yet; beyond, the oldest goes")
{
    limits bounds;
    const auto kept = [&](const std::string& text) {
        stage s(bounds, greeting);
        for (int i = 0; i != 3; ++i)
            s.under_test->forward_output({"a", 0}, message::channels::out, text);
        s.under_test->forward_output({"b", 0}, message::channels::out, text);
        const auto both = s.under_test->forwarded_bytes();
        s.under_test->remove_namespace("b");
        return std::pair(s.under_test->forwarded_bytes(), both - s.under_test->forwarded_bytes());
    };
    const auto [three, one] = kept("text");
    CHECK(three == 3 * one);
    bounds.forwarded_bytes = three;
    CHECK(kept("text") == std::pair(three, one));
    bounds.forwarded_bytes = three - 1;
    CHECK(kept("text") == std::pair(2 * one, one));
}

TEST_CASE("pulled_per_session: processes whose output one session pulls")
{
    limits bounds;
    bounds.pulled_per_session = 3;
    stage s(bounds, greeting);
    CHECK(!outcome(s));
    const auto ask = [&](std::vector<wire::proc> of) {
        s.far.feed(make_frame<wire::v41>(wire::first_request_tag,
                                         message::iof_pull{std::move(of), {}, message::channels::out, 1}, {})
                       .value());
        s.poll();
    };
    ask({{"a", 0}, {"a", 1}});
    ask({{"a", wire::rank::wildcard}});
    CHECK(s.under_test->output_pulls() == 2);
    ask({{"b", 0}});
    CHECK(s.under_test->output_pulls() == 2);
    const bytes last(s.far.output().end() - wire::frame_header_size - 2, s.far.output().end());
    CHECK(test::payload<message::status_reply>(last).result == wire::status::out_of_resource);
    s.far.end_input();
    s.poll();
    CHECK(s.left_over() == "");
}
