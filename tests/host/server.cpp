#include "support/refusing.hpp"
#include "support/run.hpp"
#include "support/served.hpp"

#include <pmixio/message/control.hpp>
#include <pmixio/server.hpp>

#include <doctest/doctest.h>

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::client;
using test::hello_bytes;
using test::native_credential;
using test::open_site;
using test::operator+;
using test::running;
using test::whole_job;
using wire::status;
using wire::value;

struct native_site : defaults {
    using security = securities<security::native>;
    using observer = counters;
};

struct claimed_site : defaults {
    using security = securities<security::native_claimed>;
};

using open_server = running<open_site>;
using open_client = client<open_server>;

/// What a client of this user is told that identifies itself by that module.
template <class Server>
std::string told(Server& s, std::string_view security)
{
    client c(s);
    c.write(hello_bytes({"a", 0}, "6.1.0", security, native_credential()));
    return test::show(c.read(8));
}

/// The one netlink socket of this process.
int netlink_socket()
{
    for (int fd = 0; fd != 1024; ++fd) {
        int family = 0;
        socklen_t size = sizeof family;
        if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_NETLINK)
            return fd;
    }
    throw std::runtime_error("no netlink socket is open");
}

message::commit commit_of(std::uint32_t n) { return {{{wire::scope::local, {{"k", value::uint32(n)}}}}}; }
} // namespace

TEST_CASE("a client is served from its handshake to its end")
{
    open_server s;
    open_client zero(s, {"a", 0}), one(s, {"a", 1});
    CHECK(s.under_test->sessions() == 2);
    zero.send(message::req{});
    CHECK(test::payload<message::job_data>(zero.answer()).nspace == "a");
    CHECK(zero.ask(commit_of(7)) == status::success);

    one.send(message::get{"a", 0, {}, "k"});
    const auto got = test::payload<message::get_reply>(one.answer());
    REQUIRE(got.sources.size() == 1);
    CHECK(got.sources[0].data == std::vector<wire::kval>{{"k", value::uint32(7)}});

    zero.send(whole_job());
    CHECK(one.ask(whole_job()) == status::success);
    CHECK(test::payload<message::status_reply>(zero.answer()).result == status::success);

    CHECK(zero.ask(message::finalize{}) == status::success);
    zero.link.close();
    s.until([&] { return s.under_test->sessions() == 1; });
    CHECK(s.under_test->observer().admitted == 2);
    CHECK(s.under_test->observer().refused == 0);
}

TEST_CASE("only registered processes have an environment")
{
    open_server s;
    const auto variables = s.under_test->environment_for({"a", 1}, s.at);
    CHECK(std::find(variables.begin(), variables.end(),
                    std::pair<std::string, std::string>("PMIX_RANK", "1")) != variables.end());
    CHECK_THROWS_WITH_AS(s.under_test->environment_for({"a", 2}, s.at), "pmixio::server: not registered: a.2",
                         std::invalid_argument);
    CHECK_THROWS_AS(s.under_test->environment_for({"x", 0}, s.at), std::invalid_argument);
}

TEST_CASE("a client whose user the kernel confirms is admitted, with a false credential it is not")
{
    running<native_site> s;
    if (!s.under_test->kernel_identity())
        return;
    client good(s);
    good.write(hello_bytes({"a", 0}, "4.2.2", "native", native_credential()));
    CHECK(test::show(good.read(8)) == "00 00 00 00 00 00 00 00");
    client bad(s);
    bad.write(hello_bytes({"a", 1}, "3.2.5", "native", bytes(8, std::byte{0x55})));
    CHECK(test::show(bad.read(8)) == "ff ff ff f4");
    client none(s);
    none.write(hello_bytes({"a", 1}, "3.2.5", "none"));
    CHECK(test::show(none.read(8)) == "ff ff ff d1");
}

TEST_CASE(
    "where the kernel cannot be asked, native admits nobody and says so, and who does not ask it is served")
{
    for (const auto& refused : {test::refused_call{SYS_socket, 0, AF_NETLINK, EPERM},
                                test::refused_call{SYS_socket, 2, NETLINK_SOCK_DIAG, EPROTONOSUPPORT}})
        test::while_refused(refused, [] {
            running<native_site> proven;
            CHECK(proven.under_test->kernel_identity().error() == fault::kernel_unavailable);
            CHECK(told(proven, "native") == "ff ff ff f4");
            const auto& counted = proven.under_test->observer();
            CHECK(counted.admitted == 0);
            CHECK(counted.refused_by_reason ==
                  decltype(counted.refused_by_reason){{"kernel_unavailable", 1}});
            running<claimed_site> claimed;
            CHECK(told(claimed, "native") == "00 00 00 00 00 00 00 00");
            open_server open;
            CHECK(told(open, "none") == "00 00 00 00 00 00 00 00");
        });
}

TEST_CASE("when the kernel does not answer any more, native admits nobody until it does")
{
    running<native_site> s;
    REQUIRE(s.under_test->kernel_identity());
    for (const int call : {SYS_sendto, SYS_recvfrom}) {
        CHECK(told(s, "native") == "00 00 00 00 00 00 00 00");
        s.until([&] { return s.under_test->sessions() == 0; });
        test::while_refused({call, 0, netlink_socket(), ENOBUFS},
                            [&] { CHECK(told(s, "native") == "ff ff ff f4"); });
    }
    CHECK(told(s, "native") == "00 00 00 00 00 00 00 00");
    CHECK(s.under_test->observer().refused_by_reason.at("kernel_unavailable") == 2);
}

TEST_CASE("a refused peer is told why if its release listens, and closed in silence if not")
{
    open_server s;
    const auto told = [&](const wire::proc& who, std::string_view release) {
        open_client c(s);
        c.write(hello_bytes(who, release));
        return test::show(c.read(8));
    };
    CHECK(told({"nosuch", 0}, "4.2.2") == "");
    CHECK(told({"nosuch", 0}, "3.2.5") == "ff ff ff d2");
    CHECK(told({"nosuch", 0}, "6.1.0") == "ff ff ff d2");
    CHECK(told({"a", 2}, "6.1.0") == "ff ff ff d2");
    CHECK(s.under_test->observer().refused == 4);
    CHECK(s.under_test->sessions() == 0);
}

TEST_CASE("connections of one rank are limited, others are not affected")
{
    server_settings<open_site> settings;
    settings.limits.connections_per_rank = 2;
    open_server s(settings);
    open_client first(s, {"a", 0}), child(s, {"a", 0}), other(s, {"a", 1});
    open_client third(s);
    third.write(hello_bytes({"a", 0}, "6.1.0"));
    CHECK(test::show(third.read(8)) == "ff ff ff e3");
    first.link.close();
    s.until([&] { return s.under_test->sessions() == 2; });
    open_client again(s, {"a", 0});
}

TEST_CASE("handshakes under way are limited: the newest is refused")
{
    server_settings<open_site> settings;
    settings.limits.pending_handshakes = 1;
    open_server s(settings);
    open_client first(s);
    s.until([&] { return s.under_test->pending_handshakes() == 1; });
    open_client second(s);
    CHECK(test::show(second.read(8)) == "ff ff ff e3");
    first.write(hello_bytes({"a", 0}, "4.2.2"));
    CHECK(first.read(8).size() == 8);
}

TEST_CASE("a handshake that takes too long ends")
{
    server_settings<open_site> settings;
    settings.limits.handshake = 50ms;
    open_server s(settings);
    open_client silent(s);
    silent.write(bytes(3, std::byte{0xff}));
    CHECK(test::show(silent.read(8)) == "ff ff ff e8");
    CHECK(s.under_test->observer().timed_out == 1);
    CHECK(s.under_test->pending_handshakes() == 0);
}

TEST_CASE("commands that nobody serves are NOT_SUPPORTED, and the session lives")
{
    open_server s;
    open_client c(s, {"a", 0});
    CHECK(c.ask(message::allocate{}) == status::not_supported);
    CHECK(c.ask(message::abort{}) == status::not_supported);
    CHECK(c.ask(commit_of(1)) == status::success);
}

TEST_CASE("what a client publishes is found by another, until it is lost if it lasts no longer")
{
    open_server s;
    open_client asks(s, {"b", 0}), waits(s, {"b", 0});
    waits.send(message::lookup{0, {"k", "l"}, {{"pmix.wait", 0, value::uint32(0)}}});
    s.until([&] { return s.under_test->held_lookups() == 1; });
    {
        open_client publishes(s, {"a", 0});
        const wire::info until_it_departs{"pmix.persist", 0, value::uint32(2)};
        CHECK(publishes.ask(message::publish{0, {until_it_departs, {"k", 0, value::uint32(7)}}}) ==
              status::success);
        asks.send(message::lookup{0, {"k"}, {}});
        const message::lookup_reply found{status::success, {{{"a", 0}, "k", value::uint32(7)}}};
        CHECK((test::payload<message::lookup_reply>(asks.answer()) == found));
        CHECK(publishes.ask(message::publish{0, {{"l", 0, {}}}}) == status::success);
        CHECK(test::payload<message::lookup_reply>(waits.answer()).found.size() == 2);
        CHECK(publishes.ask(message::unpublish{0, {"l"}, {}}) == status::success);
        CHECK(publishes.ask(message::publish{0, {{"of the job", 0, {}}}}) == status::success);
    }
    s.until([&] { return s.under_test->sessions() == 2; });
    CHECK(asks.ask(message::lookup{0, {"k"}, {}}) == status::not_found);
    CHECK(s.under_test->published_bytes() > 0);
    s.under_test->remove_namespace("a");
    CHECK(s.under_test->published_bytes() == 0);
    waits.send(message::lookup{0, {"k"}, {{"pmix.wait", 0, value::uint32(0)}}});
    s.until([&] { return s.under_test->held_lookups() == 1; });
    waits.link.close();
    s.until([&] { return s.under_test->held_lookups() == 0; });
}

TEST_CASE("a malformed request is UNPACK_FAILURE, and the session lives")
{
    open_server s;
    open_client c(s, {"a", 0});
    auto frame = make_frame<wire::v41>(++c.tag, message::get{"a", 0, {}, "k"}, {}).value();
    frame.pop_back();
    frame[11] = static_cast<std::byte>(std::to_integer<int>(frame[11]) - 1);
    c.write(frame);
    CHECK(test::payload<message::status_reply>(c.answer()).result == status::unpack_failure);
    CHECK(s.under_test->observer().malformed == 1);
    CHECK(c.ask(commit_of(1)) == status::success);
}

TEST_CASE("nobody sends or gets a type that only another encoding of the same form has")
{
    open_server s;
    open_client v41(s, {"a", 0}), v21(s);
    auto hello = hello_bytes({"a", 1}, "4.2.2");
    const auto name = test::bytes_of("v41");
    std::ranges::copy(test::bytes_of("v21"),
                      std::search(hello.begin(), hello.end(), name.begin(), name.end()));
    v21.write(hello);
    CHECK(v21.read(8).size() == 8);

    const auto ask = [&](const auto& request) {
        v21.write(make_frame<wire::v3>(++v21.tag, request, {}).value());
        return test::payload<message::status_reply, wire::v21>(v21.answer()).result;
    };
    const auto later = value::of<wire::data_type::iof_channel>(1);
    CHECK(ask(message::commit{{{wire::scope::local, {{"k", later}}}}}) == status::unpack_failure);
    CHECK(ask(commit_of(1)) == status::success);
    CHECK(v41.ask(message::commit{{{wire::scope::local, {{"later", later}}}}}) == status::success);
    CHECK(ask(message::get{"a", 0, {}, "later"}) == status::error);
}

TEST_CASE("deregistration of events and heartbeats are not answered")
{
    open_server s;
    open_client c(s, {"a", 0});
    CHECK(c.ask(message::register_events{}) == status::success);
    c.send(message::deregister_events{{status::error}});
    c.write(make_frame<wire::v41>(wire::heartbeat_tag, message::finalize{}, {}).value());
    CHECK(c.ask(commit_of(1)) == status::success); // the next answer is this one's
}

TEST_CASE("an event goes from one client to the others")
{
    open_server s;
    open_client from(s, {"a", 0}), to(s, {"a", 1});
    CHECK(to.ask(message::register_events{}) == status::success);
    CHECK(from.ask(message::notify{status::error, wire::data_range::session, {}}) == status::success);
    to.answer(wire::event_tag);
}

TEST_CASE("processes connect, disconnect, make a group, leave it and end it")
{
    open_server s;
    open_client c(s, {"b", 0});
    message::connect connect;
    connect.processes = {{"b", 0}};
    message::disconnect disconnect;
    disconnect.processes = connect.processes;
    CHECK(c.ask(disconnect) == status::invalid_operation);
    CHECK(c.ask(connect) == status::success);
    CHECK(c.ask(disconnect) == status::success);
    CHECK(c.ask(message::group_construct{"g", {{"b", 0}}, {}}) == status::success);
    CHECK(c.ask(message::group_construct{"g", {{"b", 0}}, {}}) == status::exists);
    CHECK(c.ask(message::group_destruct{"g", {}, {}}) == status::success);
    CHECK(c.ask(message::group_leave{"g", {}}) == status::not_found);
    const message::notify news{
        status::group_construct_complete,
        wire::data_range::custom,
        {{"pmix.grp.id", 0, value::string("g")}, {"pmix.evrange", 0, value::of_proc({"b", 0})}}};
    CHECK(c.ask(news) == status::success);
    CHECK(s.under_test->groups() == 1);
    CHECK(c.ask(news) == status::exists);
    CHECK(c.ask(message::group_leave{"g", {}}) == status::success);
    CHECK(s.under_test->groups() == 0);
}

TEST_CASE("a process is told when one that it is connected with is lost, and not when it finalizes")
{
    for (const bool finalizes : {true, false}) {
        open_server s;
        open_client stays(s, {"b", 0});
        CHECK(stays.ask(message::register_events{}) == status::success);
        message::connect connect;
        connect.processes = {{"a", 0}, {"b", 0}};
        stays.send(connect);
        {
            open_client leaves(s, {"a", 0});
            leaves.send(connect);
            leaves.answer();
            stays.answer();
            if (finalizes)
                CHECK(leaves.ask(message::finalize{}) == status::success);
        }
        if (!finalizes)
            stays.answer(wire::event_tag);
        s.until([&] { return s.under_test->sessions() == 1; });
        CHECK(stays.ask(commit_of(1)) == status::success);
        CHECK(s.under_test->groups() == 1);
    }
}

namespace {

message::register_events for_lost() { return {{status::process_terminated}, {}}; }

wire::process_state known_state(open_server& s, const wire::proc& who) { return s.known->find(who)->state(); }

/// The process that the next event is about, and its code.
std::pair<wire::proc, status> next_event(open_client& c)
{
    const auto frame = c.answer(wire::event_tag);
    wire::cursor in(std::span<const std::byte>(frame).subspan(wire::frame_header_size));
    CHECK(*message::read_command<wire::v41>(in, {}) == wire::command::notify);
    const auto event = *message::read<message::event, wire::v41>(in, {});
    CHECK(event.source == wire::proc{"pmixio", 0});
    const auto whom = processes_attribute(event.infos, key::affected);
    REQUIRE(whom.size() == 1);
    return {whom[0], event.code};
}

} // namespace

TEST_CASE("others of its job hear of a process that is lost if they registered for that, then or later")
{
    open_server s;
    open_client before(s, {"a", 0}), by_default(s, {"a", 0}), of_another(s, {"b", 0});
    CHECK(before.ask(for_lost()) == status::success);
    CHECK(by_default.ask(message::register_events{}) == status::success);
    CHECK(of_another.ask(for_lost()) == status::success);
    {
        open_client lost(s, {"a", 1});
    }
    CHECK(next_event(before) == std::pair{wire::proc{"a", 1}, status::process_terminated});
    s.under_test->process_exited({"a", 1}, 137); // which is nothing new
    open_client late(s, {"a", 0});
    CHECK(late.ask(for_lost()) == status::success);
    CHECK(next_event(late) == std::pair{wire::proc{"a", 1}, status::process_terminated});
    for (auto* each : {&before, &by_default, &of_another, &late})
        CHECK(each->ask(commit_of(1)) == status::success); // and no event before this answer
    CHECK(known_state(s, {"a", 1}) == wire::process_state::killed_by_signal);
}

TEST_CASE("a process that finalizes, or is closed with its job, is not lost")
{
    open_server s;
    open_client hears(s, {"a", 0});
    CHECK(hears.ask(for_lost()) == status::success);
    {
        open_client done(s, {"a", 1});
        CHECK(done.ask(message::finalize{}) == status::success);
    }
    s.until([&] { return s.under_test->sessions() == 1; });
    CHECK(known_state(s, {"a", 1}) == wire::process_state::running);
    s.under_test->process_exited({"a", 1});
    CHECK(known_state(s, {"a", 1}) == wire::process_state::terminated);
    CHECK(hears.ask(commit_of(1)) == status::success);
    CHECK(s.under_test->kept_events() == 0);
    open_client again(s, {"a", 1});
    s.under_test->close_sessions();
    CHECK(s.under_test->kept_events() == 0);
}

TEST_CASE("a process departs with its last connection: children that share its identity are no process of "
          "their own")
{
    open_server s;
    open_client hears(s, {"a", 0});
    CHECK(hears.ask(for_lost()) == status::success);
    {
        open_client child(s, {"a", 1});
        {
            open_client parent(s, {"a", 1});
        }
        s.until([&] { return s.under_test->sessions() == 2; });
        s.under_test->process_exited({"a", 1});
        CHECK(known_state(s, {"a", 1}) == wire::process_state::connected);
        CHECK(hears.ask(commit_of(1)) == status::success);
        CHECK(child.ask(commit_of(1)) == status::success);
    }
    CHECK(next_event(hears) == std::pair{wire::proc{"a", 1}, status::process_terminated});
    CHECK(known_state(s, {"a", 1}) == wire::process_state::not_finalized);
}

TEST_CASE("a process that ends before it connects is lost, by the host's word")
{
    open_server s;
    open_client hears(s, {"a", 0});
    CHECK(hears.ask(for_lost()) == status::success);
    s.under_test->process_exited({"a", 1}, 3);
    s.under_test->process_exited({"a", 1}, 3);
    s.under_test->process_exited({"a", 2}, 3);
    CHECK(next_event(hears) == std::pair{wire::proc{"a", 1}, status::process_terminated});
    CHECK(known_state(s, {"a", 1}) == wire::process_state::failed);
    CHECK(hears.ask(commit_of(1)) == status::success);
}

TEST_CASE("a host raises events about a process, a job or itself")
{
    open_server s;
    open_client zero(s, {"a", 0}), one(s, {"a", 1}), other(s, {"b", 0});
    for (auto* each : {&zero, &one, &other})
        CHECK(each->ask(message::register_events{}) == status::success);
    constexpr auto code = static_cast<status>(-1234);
    const wire::proc job{"a", wire::rank::wildcard};
    CHECK(s.under_test->notify({"a", 1}, code, wire::data_range::nspace));
    CHECK(next_event(zero) == std::pair{wire::proc{"a", 1}, code});
    CHECK(s.under_test->notify(job, code, wire::data_range::nspace));
    CHECK(next_event(zero) == std::pair{job, code});
    CHECK(next_event(one) == std::pair{job, code});
    CHECK(s.under_test->notify(s.under_test->name(), code, wire::data_range::global));
    for (auto* each : {&zero, &one, &other})
        CHECK(next_event(*each) == std::pair{s.under_test->name(), code});
    CHECK(!s.under_test->notify({"a", 2}, code, wire::data_range::global));
    CHECK(!s.under_test->notify({"nosuch", wire::rank::wildcard}, code, wire::data_range::global));
    CHECK(s.under_test->kept_events() == 3);
    CHECK(s.under_test->remove_namespace("a"));
    CHECK(s.under_test->kept_events() == 1);
}

TEST_CASE("who waits for a client that is lost is released")
{
    open_server s;
    open_client waits(s, {"a", 0});
    {
        open_client lost(s, {"a", 1});
        waits.send(message::get{"a", 1, {}, "k"});
        s.until([&] { return s.under_test->held_gets() == 1; });
    }
    CHECK(test::payload<message::status_reply>(waits.answer()).result == status::not_found);
    CHECK(waits.ask(whole_job()) == status::partial_success);
}

TEST_CASE("who waits for a process that exits before it connects is released")
{
    open_server s;
    open_client waits(s, {"a", 0});
    waits.send(whole_job());
    s.until([&] { return s.under_test->pending_collectives() == 1; });
    s.under_test->process_exited({"a", 1});
    CHECK(test::payload<message::status_reply>(waits.answer()).result == status::partial_success);
}

TEST_CASE("a namespace that is removed takes its sessions with it, and no others")
{
    open_server s;
    open_client gone(s, {"a", 0}), stays(s, {"b", 0});
    stays.send(message::get{"a", 1, {}, "k"});
    s.until([&] { return s.under_test->held_gets() == 1; });
    CHECK(s.under_test->remove_namespace("a"));
    CHECK(!s.under_test->remove_namespace("a"));
    CHECK(test::payload<message::status_reply>(stays.answer()).result == status::not_found);
    CHECK(gone.read(1).empty());
    CHECK(s.under_test->sessions() == 1);
    CHECK(stays.ask(commit_of(1)) == status::success);
}

TEST_CASE("jobs come and go while another runs")
{
    open_server s;
    open_client zero(s, {"a", 0}), one(s, {"a", 1});
    for (int round = 0; round != 50; ++round) {
        const auto nspace = "job-" + std::to_string(round);
        s.jobs.add({nspace, 1, ::geteuid(), ::getegid()});
        open_client visitor(s, {nspace, 0});
        CHECK(visitor.ask(commit_of(7)) == status::success);
        zero.send(message::get{nspace, 0, {}, "nothing yet"});
        CHECK(visitor.ask(message::publish{0, {{"k" + nspace, 0, value::uint32(1)}}}) == status::success);
        CHECK(s.under_test->remove_namespace(nspace));
        CHECK(test::payload<message::status_reply>(zero.answer()).result == status::not_found);
        CHECK(visitor.read(1).empty());
        zero.send(whole_job());
        CHECK(one.ask(whole_job()) == status::success);
        CHECK(test::payload<message::status_reply>(zero.answer()).result == status::success);
    }
    CHECK(s.under_test->sessions() == 2);
    CHECK(s.under_test->published_bytes() == 0);
    CHECK(s.under_test->held_gets() == 0);
}

TEST_CASE("a drain waits for sessions, and ends those that stay")
{
    open_server s;
    CHECK(test::run(s.io, s.under_test->drain(1h)));
    {
        open_client c(s, {"a", 0});
        test::task<bool> draining(s.io, s.under_test->drain(1h));
        s.io.restart(), s.io.poll();
        CHECK(!draining.done());
        c.link.close();
        CHECK(test::finish(s.io, draining));
    }
    open_client stays(s, {"a", 0});
    CHECK(!test::run(s.io, s.under_test->drain(1ms)));
    CHECK(s.under_test->sessions() == 0);
    CHECK(stays.read(1).empty());
}

TEST_CASE("a server that goes with sessions, held requests and handshakes leaves nothing behind")
{
    for (const bool runs_on : {false, true}) {
        open_server s;
        open_client c(s, {"a", 0}), half(s);
        half.write(bytes(20, std::byte{0}));
        c.send(message::get{"a", 1, {{"pmix.timeout", 0, value::uint32(60)}}, "k"});
        c.send(whole_job());
        s.until([&] { return s.under_test->pending_collectives() == 1; });
        s.under_test.reset();
        if (runs_on) {
            s.at.close();
            s.io.restart(), s.io.poll();
        }
        CHECK(c.link.is_open());
    }
}

TEST_CASE("two servers in one process share nothing")
{
    open_server left, right;
    open_client l(left, {"a", 0}), r(right, {"a", 0});
    CHECK(l.ask(commit_of(1)) == status::success);
    r.send(message::get{"a", 0, {{"pmix.immediate", 0, {}}}, "k"});
    CHECK(test::payload<message::status_reply>(r.answer()).result == status::not_found);
}

namespace {

struct telling_host {
    int connections = 0, finals = 0, losses = 0;
    std::vector<status> aborts;

    void connected(const identity&) { ++connections; }
    void finalized(const requester&) { ++finals; }
    void lost(const requester&) { ++losses; }
    asio::awaitable<status> abort(requester, message::abort request)
    {
        aborts.push_back(request.code);
        co_return status::success;
    }
};

} // namespace

TEST_CASE("a host hears of processes that connect, finalize, are lost and want others killed")
{
    telling_host host;
    running<open_site, telling_host> s(host);
    {
        client zero(s, {"a", 0}), one(s, {"a", 1});
        CHECK(host.connections == 2);
        CHECK(zero.ask(message::abort{static_cast<status>(42), "why", {}}) == status::success);
        CHECK(host.aborts == std::vector<status>{static_cast<status>(42)});
        CHECK(zero.ask(message::finalize{}) == status::success);
        CHECK(host.finals == 1);
    }
    s.until([&] { return s.under_test->sessions() == 0; });
    CHECK(host.losses == 1);
}

namespace {

/// Keeps one value itself.
struct keeping_host {
    std::optional<wire::pdata> kept;
    std::vector<::uid_t> users;
    bool fails = false;

    asio::awaitable<status> publish(requester from, message::publish request)
    {
        users.push_back(from.uid);
        if (fails)
            throw std::runtime_error("the host's");
        kept = wire::pdata{from.who, request.infos.at(0).key, request.infos.at(0).content};
        co_return status::success;
    }
    asio::awaitable<message::lookup_reply> lookup(requester, message::lookup)
    {
        if (!kept)
            co_return message::lookup_reply{status::not_found, {}};
        co_return message::lookup_reply{status::success, {*kept}};
    }
    asio::awaitable<status> unpublish(requester, message::unpublish request)
    {
        kept.reset();
        co_return request.keys.empty() ? status::success : status::exists;
    }
};

} // namespace

TEST_CASE("a host may keep itself what processes publish")
{
    keeping_host host;
    running<open_site, keeping_host> s(host);
    client publishes(s, {"a", 0}), asks(s, {"b", 0});
    CHECK(asks.ask(message::lookup{0, {"k"}, {}}) == status::not_found);
    CHECK(publishes.ask(message::publish{4711, {{"k", 0, value::uint32(7)}}}) == status::success);
    CHECK(host.users == std::vector{::geteuid()});
    asks.send(message::lookup{0, {"k"}, {}});
    CHECK(test::payload<message::lookup_reply>(asks.answer()).found == std::vector{*host.kept});
    CHECK(s.under_test->published_bytes() == 0);
    CHECK(publishes.ask(message::unpublish{0, {"k"}, {}}) == status::exists);
    CHECK(!host.kept);
    host.fails = true;
    publishes.send(message::publish{0, {{"k", 0, {}}}});
    CHECK_THROWS_WITH_AS(s.until([] { return false; }), "the host's", std::runtime_error);
    CHECK(test::payload<message::status_reply>(publishes.answer()).result == status::error);
}

namespace {

struct reading_host {
    std::vector<message::iof_push> input;

    asio::awaitable<status> iof_push(requester, message::iof_push request)
    {
        input.push_back(std::move(request));
        co_return status::success;
    }
};

/// The next forwarded piece, as text.
template <class Client>
std::string forwarded(Client& to)
{
    const auto piece = test::payload<message::output>(to.answer(wire::io_forwarding_tag));
    return piece.source.nspace + std::to_string(piece.source.rank) + ' ' +
           std::to_string(static_cast<int>(piece.channel)) + ' ' + std::to_string(piece.reference) + ' ' +
           std::string(reinterpret_cast<const char*>(piece.data.data()), piece.data.size());
}

} // namespace

TEST_CASE("output of processes goes to who pulls it, until it finalizes, and what comes before is kept")
{
    open_server s;
    auto& server = *s.under_test;
    client tool(s, {"b", 0});
    server.forward_output({"a", 1}, message::channels::out, "early\n");
    CHECK(server.forwarded_bytes() != 0);
    tool.send(message::iof_pull{{{"a", wire::rank::wildcard}}, {}, message::channels::all, 5});
    const auto reply = test::payload<message::iof_pull_reply>(tool.answer());
    CHECK(forwarded(tool) == "a1 2 5 early\n");
    server.forward_output({"a", 0}, message::channels::err, "late\n");
    CHECK(forwarded(tool) == "a0 4 5 late\n");
    CHECK(tool.ask(message::iof_deregister{{}, reply.reference}) == status::success);
    server.forward_output({"a", 0}, message::channels::err, "not pulled\n");
    CHECK(tool.ask(message::iof_deregister{{}, reply.reference}) == status::not_found);

    tool.send(message::iof_pull{{{"a", 0}}, {}, message::channels::out, 6});
    tool.answer();
    CHECK(server.output_pulls() == 1);
    CHECK(tool.ask(message::finalize{}) == status::success);
    CHECK(server.output_pulls() == 0);
    server.remove_namespace("a");
    CHECK(server.forwarded_bytes() == 0);
    server.forward_output({"a", 0}, message::channels::out, "of nobody\n");
    CHECK(server.forwarded_bytes() == 0);
}

TEST_CASE("who pulls output and does not read it is ended at its limit, and nobody else is")
{
    server_settings<open_site> settings;
    settings.limits.queued_output = 1u << 20;
    open_server s(settings);
    client deaf(s, {"b", 0}), reads(s, {"a", 0});
    const message::iof_pull pull{{{"a", 1}}, {}, message::channels::out, 1};
    deaf.send(pull);
    deaf.answer();
    reads.send(pull);
    reads.answer();
    const std::string text(10'000, 'x');
    std::size_t pieces = 0;
    s.until([&] {
        s.under_test->forward_output({"a", 1}, message::channels::out, text);
        ++pieces;
        CHECK(forwarded(reads).size() == 7 + text.size());
        return s.under_test->sessions() == 1;
    });
    CHECK(pieces > settings.limits.queued_output / (text.size() + 100));
    CHECK(s.under_test->output_pulls() == 1);
    CHECK(reads.ask(message::finalize{}) == status::success);
}

TEST_CASE("input for a job is given to the host, by the processes that the sender may see")
{
    reading_host host;
    running<open_site, reading_host> s(host);
    s.jobs.add({"foreign", 1, ::geteuid() + 1, 0});
    client tool(s, {"b", 0});
    message::iof_push input{{{"a", wire::rank::wildcard}, {"b", 0}}, {}, bytes(2, std::byte{'x'})};
    CHECK(tool.ask(input) == status::success);
    input.targets = {{"a", 0}, {"a", 1}, {"b", 0}};
    CHECK(host.input == std::vector{input});
    CHECK(tool.ask(message::iof_push{{{"a", 2}}, {}, {}}) == status::not_found);
    CHECK(tool.ask(message::iof_push{}) == status::success);
    CHECK(host.input.size() == 2);
    if (::geteuid() != 0) // who may see everybody
        CHECK(tool.ask(message::iof_push{{{"foreign", 0}}, {}, {}}) == status::not_found);
}

TEST_CASE("who has reset its connection behind a request is not admitted, and is nobody's user")
{
    struct seen {
        int admitted = 0, refused = 0, of_a_user = 0;
        void on(const event::admitted&) { ++admitted; }
        void on(const event::refused& e) { ++refused, of_a_user += e.uid.has_value(); }
    };
    struct site : open_site {
        using observer = seen;
    };
    running<site> s;
    std::vector<asio::ip::tcp::socket>
        others; ///< of the same user, with the addresses of those that are gone
    for (const std::size_t cut : {0U, 20U, 1000U})
        for (const auto& behind :
             {bytes{}, test::hex("00 00 00 00 00 00 00 65 00 00 00 02 00 00 00 00 02 02")}) {
            auto sent = hello_bytes({"a", 0}, "6.1.0") + behind;
            sent.resize(std::min(cut, sent.size()));
            const auto from = [&](const asio::ip::tcp::endpoint& at) {
                asio::ip::tcp::socket c(s.io, at); // bound, so that the port is free for the next
                c.connect(s.at.local_endpoint());
                return c;
            };
            auto gone = from(loopback());
            const auto at = gone.local_endpoint();
            asio::write(gone, asio::buffer(sent));
            gone.set_option(asio::socket_base::linger(true, 0));
            gone.close();
            others.push_back(from(at));
        }
    s.until([&] { return s.under_test->observer().refused == static_cast<int>(others.size()); });
    CHECK(s.under_test->observer().admitted == 0);
    CHECK(s.under_test->observer().of_a_user == 0);
    CHECK(s.under_test->sessions() == 0);
    client served(s, {"a", 0});
    CHECK(s.under_test->sessions() == 1);
}
