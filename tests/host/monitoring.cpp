#include "support/peers.hpp"
#include "support/temporary_directory.hpp"

#include <pmixio/host/monitoring.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::event_of;
using test::peer;
using test::write_file;
using wire::data_type;
using wire::status;
using wire::value;

wire::info number(const char* name, std::uint32_t n) { return {name, 0, value::uint32(n)}; }
wire::info text(const char* name, const std::string& s) { return {name, 0, value::string(s)}; }
wire::info flag(const char* name) { return {name, 0, value::boolean(true)}; }

struct fixture {
    test::fake_deadlines clock;
    events listeners;
    monitoring watched{clock, listeners, 3};
    peer a0{{"a", 0}, ::geteuid()}, a1{{"a", 1}, ::geteuid()}, b0{{"b", 0}, ::geteuid()};
    test::temporary_directory dir;

    fixture()
    {
        for (auto* each : {&a0, &a1, &b0})
            add(*each);
    }
    void add(peer& who)
    {
        listeners.add(who.from, {},
                      notifier<message::event>::to<wire::v41>(detail::local_ptr<outlet>(who.out.get()), {}));
    }
    std::optional<status> ask(wire::info what, std::vector<wire::info> how = {},
                              status alert = status::success)
    {
        return watched.serve(a0.from, {std::move(what), alert, std::move(how)});
    }
    std::optional<status> ask_for_beats(std::vector<wire::info> how, status alert = status::success)
    {
        return ask(flag("pmix.monitor.mbeat"), std::move(how), alert);
    }
    /// Whether somebody has heard of something since the last time.
    bool alerted()
    {
        CHECK(a0.answers() == 0);
        const bool heard = a1.answers() + b0.answers() != 0;
        a1.out->frames.clear(), b0.out->frames.clear();
        return heard;
    }
    bool alerts_after_a_window()
    {
        clock.expire_once();
        return alerted();
    }
    /// The size, and times of access and modification.
    static void make_file(const std::string& path, std::size_t size, std::time_t accessed,
                          std::time_t modified)
    {
        write_file(path, std::string(size, 'x'));
        const struct ::timespec times[] = {{accessed, 0}, {modified, 0}};
        REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "heartbeats keep it quiet; a window without one is told once, until the next")
{
    CHECK(ask_for_beats({number("pmix.monitor.btime", 7)}) == status::success);
    CHECK(clock.waits == std::vector<test::fake_deadlines::duration>{7s});
    for (int i = 0; i != 3; ++i) {
        watched.beat(a0.from.session);
        watched.beat(a1.from.session);
        CHECK(!alerts_after_a_window());
    }
    CHECK(alerts_after_a_window());
    CHECK(!alerts_after_a_window());
    watched.beat(a0.from.session);
    CHECK(!alerts_after_a_window());
    CHECK(alerts_after_a_window());
    CHECK(ask(flag("pmix.monitor.beat")) == status::success); // a heartbeat that is a request
    CHECK(!alerts_after_a_window());
    CHECK(alerts_after_a_window());
}

TEST_CASE_FIXTURE(fixture, "the event comes from the process, for its namespace, with the request's id")
{
    CHECK(ask_for_beats({number("pmix.monitor.btime", 1), text("pmix.monitor.id", "mine")}) ==
          status::success);
    clock.expire_once();
    const auto event = event_of(a1);
    CHECK(event.code == status::heartbeat_alert);
    CHECK(event.source == wire::proc{"a", 0});
    CHECK(event.range == wire::data_range::nspace);
    CHECK(event.infos == std::vector{text("pmix.monitor.id", "mine")});
    CHECK(b0.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "the request says which code, and for whom")
{
    const wire::info custom{"pmix.range", 0, value::of<data_type::data_range>(6)},
        b{"pmix.evrange", 0, value::of_proc({"b", 0})};
    CHECK(ask_for_beats({number("pmix.monitor.btime", 1), custom, b}, static_cast<status>(-5000)) ==
          status::success);
    clock.expire_once();
    CHECK(a1.answers() == 0);
    CHECK(event_of(b0).code == static_cast<status>(-5000));
}

TEST_CASE_FIXTURE(fixture, "as many windows may be missed as the request says")
{
    CHECK(ask_for_beats({number("pmix.monitor.btime", 1), number("pmix.monitor.bdrop", 2)}) ==
          status::success);
    for (int i = 0; i != 2; ++i) {
        CHECK(!alerts_after_a_window());
        CHECK(!alerts_after_a_window());
        watched.beat(a0.from.session);
        CHECK(!alerts_after_a_window());
    }
    CHECK(!alerts_after_a_window());
    CHECK(!alerts_after_a_window());
    CHECK(alerts_after_a_window());
}

TEST_CASE_FIXTURE(fixture, "a file that changes in what is watched keeps it quiet")
{
    const auto path = dir / "file";
    const char* what = "";
    SUBCASE("size") { what = "pmix.monitor.fsize"; }
    SUBCASE("access") { what = "pmix.monitor.faccess"; }
    SUBCASE("modification") { what = "pmix.monitor.fmod"; }
    const std::string key = what;
    make_file(path, 1, 100, 100);
    CHECK(ask(text("pmix.monitor.fmon", path), {number("pmix.monitor.ftime", 5), flag(what)}) ==
          status::success);
    CHECK(clock.waits == std::vector<test::fake_deadlines::duration>{5s});
    CHECK(alerts_after_a_window());
    make_file(path, 1 + (key == "pmix.monitor.fsize"), 100 + (key == "pmix.monitor.faccess"),
              100 + (key == "pmix.monitor.fmod"));
    CHECK(!alerts_after_a_window());
    make_file(path, key == "pmix.monitor.fsize" ? 2 : 7, // all but what is watched
              key == "pmix.monitor.faccess" ? 101 : 200, key == "pmix.monitor.fmod" ? 101 : 200);
    CHECK(alerts_after_a_window());
    CHECK(!alerts_after_a_window());
    make_file(path, 9, 900, 900);
    CHECK(!alerts_after_a_window());
    clock.expire_once();
    CHECK(event_of(a1).code == status::file_alert);
}

TEST_CASE_FIXTURE(fixture, "files that are not there, or not the requester's, give no sign")
{
    const auto path = dir / "file";
    const std::vector how{number("pmix.monitor.ftime", 1),
                          text("pmix.monitor.fsize", "a string counts as true")};
    CHECK(ask(text("pmix.monitor.fmon", path), how) == status::success);
    CHECK(alerts_after_a_window());
    make_file(path, 1, 1, 1); // now it is
    CHECK(!alerts_after_a_window());
    watched.drop(a0.from.session);

    peer stranger{{"c", 0}, ::geteuid() + 1}, friend_of_theirs{{"c", 1}, ::geteuid() + 1};
    add(friend_of_theirs);
    CHECK(watched.serve(stranger.from, {text("pmix.monitor.fmon", path), status::success, how}) ==
          status::success);
    make_file(path, 2, 2, 2);
    clock.expire_once();
    CHECK(event_of(friend_of_theirs).code == status::file_alert);
}

TEST_CASE_FIXTURE(fixture, "what makes no sense is BAD_PARAM, and what is unknown not for us")
{
    const auto every = number("pmix.monitor.btime", 1), check = number("pmix.monitor.ftime", 1),
               size = flag("pmix.monitor.fsize");
    const auto file = [&](const std::string& path) { return text("pmix.monitor.fmon", path); };
    CHECK(ask_for_beats({}) == status::bad_parameter);
    CHECK(ask_for_beats({number("pmix.monitor.btime", 0)}) == status::bad_parameter);
    CHECK(ask_for_beats({text("pmix.monitor.btime", "soon")}) == status::bad_parameter);
    CHECK(ask_for_beats({{"pmix.monitor.btime", 0, value::uint64(1ull << 32)}}) == status::bad_parameter);
    CHECK(ask_for_beats({every, text("pmix.monitor.bdrop", "few")}) == status::bad_parameter);
    CHECK(ask_for_beats({every, number("pmix.range", 8)}) == status::bad_parameter);
    CHECK(ask_for_beats({every, text("pmix.monitor.id", std::string(512, 'x'))}) == status::bad_parameter);
    CHECK(ask_for_beats({check}) == status::bad_parameter);
    CHECK(ask(file("/file"), {size}) == status::bad_parameter);
    CHECK(ask(file("/file"), {check}) == status::bad_parameter);
    CHECK(ask(file("file"), {check, size}) == status::bad_parameter);
    CHECK(ask(file('/' + std::string(4095, 'x')), {check, size}) == status::bad_parameter);
    CHECK(ask(file(std::string("/a\0b", 4)), {check, size}) == status::bad_parameter);
    CHECK(ask(flag("pmix.monitor.fmon"), {check, size}) == status::bad_parameter);
    CHECK(ask(flag("pmix.monitor.else"), {every}) == std::nullopt);
    CHECK(watched.active() == 0);
    CHECK(clock.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "monitors are cancelled by id, or all of the session; of others none")
{
    const auto every = number("pmix.monitor.btime", 1);
    CHECK(ask_for_beats({every, text("pmix.monitor.id", "one")}) == status::success);
    CHECK(ask_for_beats({every, text("pmix.monitor.id", "two")}) == status::success);
    CHECK(watched.serve(b0.from, {flag("pmix.monitor.mbeat"), status::success, {every}}) == status::success);
    CHECK(ask(text("pmix.monitor.cancel", "three")) == status::not_found);
    CHECK(ask(text("pmix.monitor.cancel", "one")) == status::success);
    CHECK(ask(text("pmix.monitor.cancel", "one")) == status::not_found);
    CHECK(watched.active() == 2);
    CHECK(ask({"pmix.monitor.cancel", 0, {}}) == status::success);
    CHECK(ask({"pmix.monitor.cancel", 0, {}}) == status::not_found);
    CHECK(watched.active() == 1);
    CHECK(clock.pending() == 1);
    watched.drop(b0.from.session);
    CHECK(clock.pending() == 0);
    CHECK(!alerts_after_a_window());
}

TEST_CASE_FIXTURE(fixture, "a session has no more than the limit")
{
    const auto every = number("pmix.monitor.btime", 1);
    for (int i = 0; i != 3; ++i)
        CHECK(ask_for_beats({every}) == status::success);
    CHECK(ask_for_beats({every}) == status::out_of_resource);
    CHECK(watched.serve(b0.from, {flag("pmix.monitor.mbeat"), status::success, {every}}) == status::success);
    CHECK(watched.active() == 4);
    watched.beat(a0.from.session); // all of them hear it
    watched.beat(b0.from.session);
    CHECK(!alerts_after_a_window());
}

TEST_CASE_FIXTURE(fixture, "a session that ends when it is told does no harm")
{
    CHECK(ask_for_beats({number("pmix.monitor.btime", 1)}) == status::success);
    a1.out->on_send = [&] { watched.drop(a0.from.session); };
    clock.expire_once();
    CHECK(a1.answers() == 1);
    CHECK(watched.active() == 0);
    CHECK(clock.pending() == 0);
}
