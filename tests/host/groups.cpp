#include "support/peers.hpp"

#include <pmixio/host/collectives.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using test::event_of;
using test::payload;
using test::peer;
using wire::data_type;
using wire::status;
using wire::value;

constexpr auto all = wire::rank::wildcard;
constexpr wire::agreement newest{wire::buffer_kind::non_described, {6, 1, 0}};

using processes = std::vector<wire::proc>;
using infos = std::vector<wire::info>;

struct fixture {
    registry jobs{{"a", 4, 1000, 1000}, {"b", 2, 1000, 1000}, {"other", 2, 1001, 1001}};
    test::fake_deadlines clock;
    events listeners;
    collectives together{jobs, clock, listeners, {"server", 7}, 4};
    peer a0{{"a", 0}}, a1{{"a", 1}}, a2{{"a", 2}}, a3{{"a", 3}}, b0{{"b", 0}}, b1{{"b", 1}};

    void connect(peer& by, processes members, infos with = {})
    {
        message::connect request;
        request.processes = std::move(members);
        request.infos = std::move(with);
        together.connect(by.from, std::move(request), by.ask<message::connect_reply>());
    }
    void disconnect(peer& by, processes members, infos with = {})
    {
        message::disconnect request;
        request.processes = std::move(members);
        request.infos = std::move(with);
        together.disconnect(by.from, std::move(request), by.ask<message::status_reply>());
    }
    void fence(peer& by, processes members)
    {
        message::fence request;
        request.processes = std::move(members);
        together.fence(by.from, std::move(request), by.ask<message::status_reply>());
    }
    void construct(peer& by, std::string name, processes members, infos with = {})
    {
        together.construct(by.from, {std::move(name), std::move(members), std::move(with)},
                           by.ask<message::group_reply>(newest));
    }
    void destruct(peer& by, std::string name, infos with = {})
    {
        together.destruct(by.from, {std::move(name), {}, std::move(with)}, by.ask<message::status_reply>());
    }
    void leave(peer& by, std::string name)
    {
        together.leave(by.from, {std::move(name), {}}, by.ask<message::status_reply>());
    }
    void listen(peer& who)
    {
        listeners.add(who.from, {},
                      notifier<message::event>::to<wire::v41>(
                          pmixio::detail::local_ptr<outlet>(who.out.get()), {}));
    }
    void depart(peer& who, bool lost = true)
    {
        together.drop(who.from.session);
        jobs.find(who.from.who)->departed = true;
        const auto connected = together.departed(who.from.who);
        if (lost)
            listeners.lost(who.from.who, who.from.uid, {"server", 7}, connected, false);
    }
    /// Makes a group of these, all of whom are answered.
    void group(std::string name, std::vector<peer*> members, infos with = {})
    {
        processes named;
        for (const auto* each : members)
            named.push_back(each->from.who);
        for (auto* each : members)
            construct(*each, name, named, with);
        for (auto* each : members)
            REQUIRE(status_of(*each) == status::success);
    }
    static message::group_reply made(const peer& by)
    {
        return payload<message::group_reply>(by.last(), newest);
    }
    /// What the last answer begins with.
    static status status_of(const peer& by)
    {
        wire::cursor in(std::span<const std::byte>{by.last()}.subspan(wire::frame_header_size));
        message::status_reply said;
        wire::decoder<wire::v41> items(in, {});
        message::status_reply::items(said, items);
        return said.result;
    }
};

const processes pair{{"a", 0}, {"a", 1}}, across{{"a", 0}, {"b", 0}};

wire::info flag(std::string_view key) { return {std::string(key), 0, value::boolean(true)}; }
wire::info timeout(std::int32_t seconds)
{
    return {"pmix.timeout", 0, value::of<data_type::integer>(seconds)};
}

} // namespace

// connect and disconnect

TEST_CASE_FIXTURE(fixture, "who connects gets the job data of the other namespaces, and no more")
{
    const processes three{{"a", 0}, {"a", 1}, {"b", 0}};
    connect(a0, three);
    connect(b0, three);
    CHECK(a0.answers() == 0);
    connect(a1, three);
    for (const auto* each : {&a0, &a1}) {
        const auto reply = payload<message::connect_reply>(each->only());
        CHECK(reply.result == status::success);
        REQUIRE(reply.jobs.size() == 1);
        CHECK(reply.jobs[0].nspace == "b");
        CHECK(reply.jobs[0].data == foreign_job_data(*jobs.find("b"), {"server", 7}));
    }
    const auto reply = payload<message::connect_reply>(b0.only());
    REQUIRE(reply.jobs.size() == 1);
    CHECK(reply.jobs[0].nspace == "a");
    CHECK(together.pending() == 0);
    CHECK(together.kept_groups() == 1);
}

TEST_CASE_FIXTURE(fixture, "processes of one namespace connect without data")
{
    connect(a0, pair);
    connect(a1, pair);
    CHECK(payload<message::connect_reply>(a0.only()) == message::connect_reply{});
}

TEST_CASE_FIXTURE(fixture, "a fence, a connect and a disconnect of the same participants are three operations")
{
    connect(a0, pair);
    connect(a1, pair);
    connect(a0, pair);
    disconnect(a0, pair);
    fence(a0, pair);
    CHECK(together.pending() == 3);
    CHECK(a0.answers() == 1);
    fence(a1, pair);
    CHECK(a0.answers() == 2);
    disconnect(a1, pair);
    CHECK(a0.answers() == 3);
    connect(a1, pair);
    CHECK(a0.answers() == 4);
}

TEST_CASE_FIXTURE(fixture, "what is not connected, as it was written, cannot disconnect")
{
    disconnect(a0, pair);
    CHECK(status_of(a0) == status::invalid_operation);
    connect(a0, pair);
    disconnect(a0, pair); // not yet
    CHECK(status_of(a0) == status::invalid_operation);
    connect(a1, pair);
    disconnect(a0, {{"a", 0}});
    CHECK(status_of(a0) == status::invalid_operation);
    disconnect(a0, pair);
    disconnect(a0, pair);
    disconnect(a1, {{"a", 1}, {"a", 0}});
    CHECK(status_of(a1) == status::success);
    CHECK(together.kept_groups() == 0);
    CHECK(status_of(a0) == status::invalid_operation); // the second time
    CHECK(together.pending() == 0);
    disconnect(a1, pair);
    CHECK(status_of(a1) == status::invalid_operation);
}

TEST_CASE_FIXTURE(fixture, "who has connected twice disconnects twice")
{
    for (int i = 0; i != 2; ++i) {
        connect(a0, pair);
        connect(a1, pair);
    }
    CHECK(together.kept_groups() == 1);
    for (int i = 0; i != 2; ++i) {
        CHECK(together.kept_groups() == 1);
        disconnect(a0, pair);
        disconnect(a1, pair);
        CHECK(status_of(a0) == status::success);
    }
    CHECK(together.kept_groups() == 0);
}

TEST_CASE_FIXTURE(fixture, "a connect that times out has connected nobody, a disconnect has not disconnected")
{
    connect(a0, across, {timeout(1)});
    clock.expire_all();
    CHECK(a0.status() == status::timeout);
    CHECK(together.kept_groups() == 0);
    connect(a0, across);
    connect(b0, across);
    disconnect(b0, across, {timeout(1)});
    clock.expire_all();
    CHECK(status_of(b0) == status::timeout);
    CHECK(together.kept_groups() == 1);
}

TEST_CASE_FIXTURE(fixture, "who is left of a connect is connected: PARTIAL_SUCCESS, with the data")
{
    const processes three{{"a", 0}, {"a", 1}, {"b", 0}};
    connect(a0, three);
    connect(b0, three);
    depart(a1);
    const auto reply = payload<message::connect_reply>(b0.only());
    CHECK(reply.result == status::partial_success);
    CHECK(reply.jobs.size() == 1);
    disconnect(a0, three);
    disconnect(b0, three);
    CHECK(status_of(a0) == status::partial_success);
    CHECK(together.kept_groups() == 0);
}

TEST_CASE_FIXTURE(fixture, "nobody connects to processes of another user")
{
    connect(a0, {{"a", 0}, {"other", 0}});
    CHECK(a0.status() == status::not_found);
    CHECK(together.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "a connected process that is lost is an event for the rest, one that finalizes is not")
{
    connect(a0, across);
    connect(b0, across);
    connect(a1, {{"a", 1}, {"b", 1}});
    connect(b1, {{"a", 1}, {"b", 1}});
    peer of_b0({"b", 0}), of_b1({"b", 1}), stranger({"a", 2});
    for (auto* each : {&of_b0, &of_b1, &stranger})
        listen(*each);
    depart(a1, false);
    depart(a0, true);
    const auto event = event_of(of_b0);
    CHECK(event.code == status::process_terminated);
    CHECK(event.source == wire::proc{"server", 7});
    CHECK(event.infos == infos{{"pmix.evproc", 0, value::of_proc({"a", 0})}});
    CHECK(of_b1.answers() == 0);
    CHECK(stranger.answers() == 0);
    CHECK(together.kept_groups() == 2);
    depart(b0);
    depart(b1);
    CHECK(together.kept_groups() == 0);
}

// groups

TEST_CASE_FIXTURE(fixture, "a group is made when all have joined, and each gets its members and a context of its own")
{
    construct(a0, "g", pair, {flag("pmix.grp.actxid")});
    CHECK(a0.answers() == 0);
    construct(a1, "g", {{"a", 1}, {"a", 0}});
    for (const auto* each : {&a0, &a1})
        CHECK(made(*each) == message::group_reply{status::success, pair, 1});
    construct(a0, "h", {{"a", all}});
    for (auto* each : {&a1, &a2, &a3})
        construct(*each, "h", {{"a", all}}, {flag("pmix.grp.actxid")});
    CHECK(made(a0) == message::group_reply{status::success, {{"a", 0}, {"a", 1}, {"a", 2}, {"a", 3}}, 2});
    CHECK(together.kept_groups() == 2);
}

TEST_CASE_FIXTURE(fixture, "nobody asks for a context: there is none")
{
    group("g", {&a0, &a1});
    CHECK(made(a0) == message::group_reply{status::success, pair, {}});
}

TEST_CASE_FIXTURE(fixture, "a name in use is EXISTS at once, of a group or a namespace, until the group has ended")
{
    group("g", {&a0, &a1});
    construct(a2, "g", {{"a", 2}});
    CHECK(a2.status() == status::exists);
    construct(a0, "b", {{"a", 0}});
    CHECK(status_of(a0) == status::exists);
    construct(a0, "other", {{"a", 0}}); // another user's: not seen
    CHECK(status_of(a0) == status::success);
    destruct(a0, "g");
    construct(a3, "g", {{"a", 3}});
    CHECK(a3.status() == status::exists);
    destruct(a1, "g");
    CHECK(status_of(a0) == status::success);
    construct(a3, "g", {{"a", 3}});
    CHECK(status_of(a3) == status::success);
}

TEST_CASE_FIXTURE(fixture, "of two makings of one name the second is EXISTS, of two endings NOT_FOUND")
{
    construct(a0, "g", pair);
    construct(a0, "g", pair);
    construct(a1, "g", pair);
    CHECK(status_of(a0) == status::exists);
    CHECK(together.pending() == 0);
    construct(a1, "g", pair);
    CHECK(status_of(a1) == status::exists);
    CHECK(together.kept_groups() == 1);
    destruct(a0, "g");
    destruct(a0, "g");
    destruct(a1, "g");
    CHECK(status_of(a0) == status::not_found);
    CHECK(together.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "users have names of their own")
{
    peer o0({"other", 0}, 1001);
    group("g", {&a0});
    construct(o0, "g", {{"other", 0}});
    CHECK(status_of(o0) == status::success);
    destruct(a1, "g");
    CHECK(a1.status() == status::bad_parameter);
    destruct(o0, "h");
    CHECK(status_of(o0) == status::not_found);
    construct(o0, "h", {{"other", 0}, {"a", 0}});
    CHECK(status_of(o0) == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "who disagrees on the members fails for all, who is none of them at once")
{
    construct(a0, "g", pair);
    construct(a2, "g", {{"a", 2}});
    CHECK(a2.status() == status::bad_parameter);
    construct(a1, "g", {{"a", 0}, {"a", 1}, {"a", 2}});
    CHECK(a0.status() == status::bad_parameter);
    CHECK(a1.status() == status::bad_parameter);
    CHECK(together.kept_groups() == 0);
}

TEST_CASE_FIXTURE(fixture, "a group needs a name that could be a namespace's, and members that take part")
{
    construct(a0, "", pair);
    CHECK(status_of(a0) == status::bad_parameter);
    construct(a0, std::string(256, 'g'), pair);
    CHECK(status_of(a0) == status::bad_parameter);
    construct(a0, "g", {});
    CHECK(status_of(a0) == status::bad_parameter);
    construct(a0, "g", pair, {{"pmix.grp.btstrp", 0, value::uint32(2)}});
    CHECK(status_of(a0) == status::not_supported);
    construct(a0, "g", pair, {{"pmix.grp.add", 0, value::of_proc({"a", 2})}});
    CHECK(status_of(a0) == status::not_supported);
    CHECK(together.pending() == 0);
    construct(a0, std::string(255, 'g'), {{"a", 0}});
    CHECK(status_of(a0) == status::success);
}

TEST_CASE_FIXTURE(fixture, "a group that a member does not live to see is aborted, or of the rest if it may be")
{
    construct(a0, "g", pair);
    depart(a1);
    CHECK(a0.status() == status::group_construct_abort);
    CHECK(together.kept_groups() == 0);
    const processes three{{"a", 0}, {"a", 1}, {"a", 2}};
    for (const auto* may : {"pmix.grp.ftcoll", "pmix.grp.opt"}) {
        construct(a0, may, three);
        construct(a2, may, three, {flag(may)});
        CHECK(made(a0) == message::group_reply{status::success, {{"a", 0}, {"a", 2}}, {}});
    }
    CHECK(together.kept_groups() == 2);
}

TEST_CASE_FIXTURE(fixture, "a construct that times out has made no group, a destruct has ended none")
{
    construct(a0, "g", pair, {timeout(1)});
    clock.expire_all();
    CHECK(a0.status() == status::timeout);
    group("g", {&a0, &a1});
    destruct(a0, "g", {timeout(1)});
    clock.expire_all();
    CHECK(status_of(a0) == status::timeout);
    CHECK(together.kept_groups() == 1);
}

TEST_CASE_FIXTURE(fixture, "a member that leaves the server leaves PARTIAL_SUCCESS to a destruct, or its event")
{
    group("g", {&a0, &a1, &a2});
    group("h", {&a0, &a1, &a2}, {flag("pmix.grp.notterm")});
    peer of_a0({"a", 0}), of_a3({"a", 3});
    listen(of_a0);
    listen(of_a3);
    for (const auto* name : {"g", "h"}) {
        destruct(a0, name);
        destruct(a1, name);
    }
    const auto before = a0.answers();
    depart(a2, false);
    REQUIRE(a0.answers() == before + 2);
    CHECK(payload<message::status_reply>(a0.out->frames[before]).result == status::partial_success);
    CHECK(payload<message::status_reply>(a0.out->frames[before + 1]).result == status::success);
    CHECK(together.kept_groups() == 0);
    CHECK(of_a0.answers() == 0); // there is no such group any more
}

TEST_CASE_FIXTURE(fixture, "members of a group that was made so hear of one that leaves the server")
{
    group("g", {&a0, &a1});
    group("h", {&a0, &a2}, {flag("pmix.grp.notterm")});
    peer of_a0({"a", 0}), of_a3({"a", 3});
    listen(of_a0);
    listen(of_a3);
    depart(a1);
    CHECK(of_a0.answers() == 0);
    depart(a2, false);
    const auto event = event_of(of_a0);
    CHECK(event.code == status::group_member_failed);
    CHECK(event.infos ==
          infos{{"pmix.evproc", 0, value::of_proc({"a", 2})}, {"pmix.grp.id", 0, value::string("h")}});
    CHECK(of_a3.answers() == 0);
    CHECK(together.kept_groups() == 2);
    depart(a0);
    CHECK(together.kept_groups() == 0);
}

TEST_CASE_FIXTURE(fixture, "a group's name stands for its members, by rank in the group too")
{
    group("g", {&a1, &a3});
    fence(a1, {{"g", all}});
    fence(a3, {{"a", 1}, {"a", 3}});
    CHECK(status_of(a1) == status::success);
    fence(a3, {{"g", 1}, {"a", 2}});
    fence(a2, {{"a", 2}, {"a", 3}});
    CHECK(status_of(a3) == status::success);
    fence(a1, {{"g", 0}, {"g", 2}});
    CHECK(status_of(a1) == status::not_found);
    fence(a0, {{"g", all}});
    CHECK(a0.status() == status::bad_parameter);
    connect(a1, {{"g", all}});
    connect(a3, {{"g", all}});
    CHECK(status_of(a1) == status::success);
    disconnect(a1, {{"a", 1}, {"a", 3}});
    disconnect(a3, {{"g", all}});
    CHECK(status_of(a1) == status::success);
    construct(a1, "larger", {{"g", all}, {"a", 0}});
    construct(a3, "larger", {{"g", all}, {"a", 0}});
    CHECK(a0.answers() == 1);
    construct(a0, "larger", {{"a", 0}, {"a", 1}, {"a", 3}});
    CHECK(made(a1).members == processes{{"a", 0}, {"a", 1}, {"a", 3}});
}

TEST_CASE_FIXTURE(fixture, "ranks in a group stay when a member leaves the server, who is not waited for")
{
    group("g", {&a0, &a1, &a2});
    depart(a1);
    fence(a0, {{"g", all}});
    fence(a2, {{"g", all}});
    CHECK(status_of(a0) == status::partial_success);
    fence(a0, {{"g", 0}, {"g", 2}});
    fence(a2, {{"a", 0}, {"a", 2}});
    CHECK(status_of(a0) == status::success);
}

TEST_CASE_FIXTURE(fixture, "who leaves a group is waited for in its name no more, and the others hear of it")
{
    group("g", {&a0, &a1, &a2});
    peer of_a0({"a", 0}), of_a2({"a", 2});
    listen(of_a0);
    listen(of_a2);
    fence(a0, {{"g", all}});
    fence(a1, {{"a", all}});
    leave(a2, "g");
    CHECK(status_of(a2) == status::success);
    const auto event = event_of(of_a0);
    CHECK(event.code == status::group_left);
    CHECK(event.source == wire::proc{"a", 2});
    CHECK(of_a2.answers() == 0);
    fence(a1, {{"g", all}});
    CHECK(status_of(a0) == status::success);
    CHECK(together.pending() == 1); // that of the whole job
    leave(a2, "g");
    CHECK(status_of(a2) == status::not_found);
    destruct(a2, "g");
    CHECK(status_of(a2) == status::bad_parameter);
    destruct(a0, "g");
    leave(a1, "g");
    CHECK(status_of(a0) == status::success);
    CHECK(together.kept_groups() == 0);
    fence(a0, {{"a", all}});
    fence(a2, {{"a", all}});
    CHECK(a1.answers() == 3);
    fence(a3, {{"a", all}});
    CHECK(a1.answers() == 4);
}

TEST_CASE_FIXTURE(fixture, "a group that all have left is gone")
{
    group("g", {&a0, &a1});
    leave(a0, "g");
    leave(a1, "g");
    CHECK(together.kept_groups() == 0);
    destruct(a0, "g");
    CHECK(status_of(a0) == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "the news of a group that was made by invitation makes it, that of a leave ends it")
{
    message::notify news{status::group_construct_complete, wire::data_range::custom, {}};
    CHECK(together.heard(a0.from, news) == status::bad_parameter);
    news.infos = {{"pmix.grp.id", 0, value::string("g")}};
    CHECK(together.heard(a0.from, news) == status::bad_parameter); // of nobody
    news.infos.push_back({"pmix.evrange", 0, value::of_proc({"a", all})});
    CHECK(together.heard(b0.from, news) == status::bad_parameter); // of others
    CHECK(together.kept_groups() == 0);
    CHECK(together.heard(a0.from, news) == status::success);
    CHECK(together.heard(a1.from, news) == status::exists);
    const message::notify left{status::group_left, wire::data_range::custom, {news.infos[0]}};
    destruct(a0, "g");
    destruct(a1, "g");
    destruct(a2, "g");
    CHECK(a0.answers() == 0);
    CHECK(together.heard(a3.from, left) == status::success);
    CHECK(a0.status() == status::success);
    CHECK(together.heard(a3.from, left) == status::success); // an event like others
    CHECK(together.heard(a3.from, {status::group_left, wire::data_range::local, {}}) == status::success);
}

TEST_CASE_FIXTURE(fixture, "groups and connections of a user are limited, and of others not affected")
{
    for (const auto* name : {"1", "2", "3"})
        group(name, {&a0, &a1});
    connect(a0, pair);
    connect(a1, pair);
    CHECK(status_of(a0) == status::success); // the fourth
    construct(a0, "5", pair);
    construct(a1, "5", pair);
    CHECK(status_of(a0) == status::out_of_resource);
    CHECK(status_of(a1) == status::out_of_resource);
    connect(a0, {{"a", 0}});
    CHECK(status_of(a0) == status::out_of_resource);
    connect(a0, pair); // again
    connect(a1, pair);
    CHECK(status_of(a0) == status::success);
    message::notify news{status::group_construct_complete, wire::data_range::custom, {}};
    news.infos = {{"pmix.grp.id", 0, value::string("g")}, {"pmix.evrange", 0, value::of_proc({"a", 0})}};
    CHECK(together.heard(a0.from, news) == status::out_of_resource);
    CHECK(together.kept_groups() == 4);
    peer o0({"other", 0}, 1001);
    construct(o0, "5", {{"other", 0}});
    CHECK(status_of(o0) == status::success);
    destruct(a0, "1");
    destruct(a1, "1");
    construct(a0, "5", {{"a", 0}});
    CHECK(status_of(a0) == status::success);
}

TEST_CASE_FIXTURE(fixture, "with a namespace go its processes' groups and connections, and it from others' groups")
{
    group("g", {&a0, &b0});
    group("of b", {&b0, &b1});
    connect(a0, across);
    connect(b0, across);
    destruct(a0, "g");
    together.forget("b");
    CHECK(status_of(a0) == status::not_found);
    CHECK(together.kept_groups() == 1);
    destruct(a0, "g");
    CHECK(status_of(a0) == status::success);
}
