#include "support/peers.hpp"

#include <pmixio/host/collectives.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <vector>

namespace {

using namespace pmixio;
using test::peer;
using wire::data_type;
using wire::status;
using wire::value;

constexpr auto all = wire::rank::wildcard;

struct fixture {
    registry jobs{{"a", 4, 1000, 1000}, {"b", 2, 1000, 1000}, {"other", 2, 1001, 1001}};
    test::fake_deadlines clock;
    events listeners;
    collectives fences{jobs, clock, listeners, {"server", 0}, 1};
    peer a0{{"a", 0}}, a1{{"a", 1}}, a2{{"a", 2}}, a3{{"a", 3}}, b0{{"b", 0}};

    void fence(peer& by, std::vector<wire::proc> members, std::vector<wire::info> infos = {})
    {
        message::fence request;
        request.processes = std::move(members);
        request.infos = std::move(infos);
        fences.fence(by.from, std::move(request), by.ask<message::status_reply>());
    }
    /// As a server does when the last connection of a process is closed.
    void depart(peer& who)
    {
        fences.drop(who.from.session);
        jobs.find(who.from.who)->departed = true;
        fences.departed(who.from.who);
    }
};

const std::vector<wire::proc> pair{{"a", 0}, {"a", 1}};
const std::vector<wire::proc> whole{{"a", all}};

wire::info collect(bool yes) { return {"pmix.collect", 0, value::boolean(yes)}; }
wire::info timeout(std::int32_t seconds)
{
    return {"pmix.timeout", 0, value::of<data_type::integer>(seconds)};
}

} // namespace

TEST_CASE_FIXTURE(fixture, "a fence of the whole job ends when all have joined, for each once")
{
    for (auto* each : {&a0, &a1, &a2}) {
        fence(*each, whole);
        CHECK(fences.pending() == 1);
        CHECK(each->answers() == 0);
    }
    fence(a3, whole);
    for (auto* each : {&a0, &a1, &a2, &a3})
        CHECK(each->status() == status::success);
    CHECK(fences.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "a fence of one process ends at once")
{
    fence(a2, {{"a", 2}});
    CHECK(a2.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "a subset ends without the others")
{
    fence(a0, pair);
    fence(a1, pair);
    CHECK(a0.status() == status::success);
    CHECK(a1.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "participants are a set: their order and repetition do not matter")
{
    fence(a0, {{"a", 0}, {"a", 1}});
    fence(a1, {{"a", 1}, {"a", 0}, {"a", 1}});
    CHECK(a0.status() == status::success);
    CHECK(a1.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "a fence may span namespaces")
{
    const std::vector<wire::proc> both{{"a", 0}, {"b", 0}};
    fence(a0, both);
    CHECK(a0.answers() == 0);
    fence(b0, both);
    CHECK(a0.status() == status::success);
    CHECK(b0.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "fences of different participants run side by side")
{
    fence(a0, pair);
    fence(a0, {{"a", 0}, {"a", 2}});
    fence(a0, whole);
    CHECK(fences.pending() == 3);
    fence(a2, {{"a", 0}, {"a", 2}});
    CHECK(a2.status() == status::success);
    CHECK(a0.answers() == 1);
    fence(a1, pair);
    CHECK(a1.status() == status::success);
    CHECK(a0.answers() == 2);
    CHECK(fences.pending() == 1);
}

TEST_CASE_FIXTURE(fixture, "all ranks by wildcard and all ranks by number are two operations")
{
    const std::vector<wire::proc> numbered{{"a", 0}, {"a", 1}, {"a", 2}, {"a", 3}};
    for (auto* each : {&a0, &a1, &a2}) {
        fence(*each, whole);
        fence(*each, numbered);
    }
    fence(a3, whole);
    CHECK(fences.pending() == 1);
    CHECK(a0.answers() == 1);
    fence(a3, numbered);
    CHECK(fences.pending() == 0);
    for (auto* each : {&a0, &a1, &a2, &a3})
        CHECK(each->answers() == 2);
}

TEST_CASE_FIXTURE(fixture, "a rank that a wildcard has already named counts once")
{
    const std::vector<wire::proc> twice{{"a", all}, {"a", 1}};
    for (auto* each : {&a0, &a1, &a2})
        fence(*each, twice);
    CHECK(a0.answers() == 0);
    fence(a3, twice);
    CHECK(a3.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "a process's second contribution begins the next operation of that name")
{
    fence(a0, pair);
    fence(a0, pair);
    CHECK(fences.pending() == 2);
    fence(a1, pair);
    CHECK(a0.answers() == 1);
    CHECK(a1.answers() == 1);
    fence(a1, pair);
    CHECK(a0.answers() == 2);
    CHECK(a1.answers() == 2);
    CHECK(fences.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "sessions of one process are one participant")
{
    peer child({"a", 0});
    fence(a0, pair);
    fence(child, pair);
    CHECK(fences.pending() == 2);
    fence(a1, pair);
    CHECK(a0.status() == status::success);
    CHECK(child.answers() == 0);
    fences.drop(child.from.session);
}

TEST_CASE_FIXTURE(fixture, "a participant that leaves is not waited for: the rest gets PARTIAL_SUCCESS")
{
    fence(a0, whole);
    fence(a1, whole);
    depart(a2);
    CHECK(a0.answers() == 0);
    fence(a3, whole);
    for (auto* each : {&a0, &a1, &a3})
        CHECK(each->status() == status::partial_success);
    CHECK(a2.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "the departure of the last one missing ends the operation")
{
    fence(a0, pair);
    depart(a1);
    CHECK(a0.status() == status::partial_success);
    CHECK(fences.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "a participant that joined and left gets nothing, the rest PARTIAL_SUCCESS")
{
    fence(a0, pair);
    depart(a0);
    CHECK(fences.pending() == 0);
    fence(a1, pair);
    CHECK(a0.answers() == 0);
    CHECK(a1.status() == status::partial_success);
}

TEST_CASE_FIXTURE(fixture, "a participant that had left before is not waited for")
{
    depart(a1);
    depart(a2);
    fence(a0, pair);
    CHECK(a0.status() == status::partial_success);
    fence(a3, whole);
    CHECK(a3.answers() == 0);
    fence(a0, whole);
    CHECK(a3.status() == status::partial_success);
}

TEST_CASE_FIXTURE(fixture, "an operation whose participants have all left is gone")
{
    fence(a0, pair);
    depart(a0);
    depart(a1);
    CHECK(fences.pending() == 0);
    CHECK(a0.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "an operation is gone with all that have joined, and does not meet those who come back")
{
    peer again({"a", 0});
    fence(a0, pair);
    fence(a0, whole);
    fence(a1, whole);
    depart(a0);
    CHECK(fences.pending() == 1);
    jobs.find(a0.from.who)->departed = false;
    fence(again, pair);
    fence(a1, pair);
    CHECK(again.status() == status::success);
    CHECK(a1.status() == status::success);
    depart(a1);
    CHECK(fences.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "a departure does not touch operations of others")
{
    fence(a0, pair);
    depart(a2);
    fence(a1, pair);
    CHECK(a0.status() == status::success);
    CHECK(a1.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "a participant that comes back may join, and changes nothing for the rest")
{
    fence(a0, whole);
    depart(a1);
    jobs.find(a1.from.who)->departed = false;
    fence(a1, whole);
    fence(a2, whole);
    CHECK(a0.answers() == 0);
    fence(a3, whole);
    for (auto* each : {&a0, &a1, &a2, &a3})
        CHECK(each->status() == status::partial_success);
}

TEST_CASE_FIXTURE(fixture, "the first time limit among the contributions ends the operation for all")
{
    fence(a0, whole);
    CHECK(clock.waits.empty());
    fence(a1, whole, {timeout(5)});
    fence(a2, whole, {timeout(1)});
    CHECK(clock.waits == std::vector<deadline_service::duration>{std::chrono::seconds(5)});
    clock.expire_all();
    for (auto* each : {&a0, &a1, &a2})
        CHECK(each->status() == status::timeout);
    CHECK(a3.answers() == 0);
    CHECK(fences.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "an operation that ended in time has no deadline left")
{
    fence(a0, pair, {timeout(5)});
    fence(a1, pair, {timeout(5)});
    CHECK(a0.status() == status::success);
    CHECK(clock.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "contributions that agree on collection succeed")
{
    fence(a0, pair, {collect(true)});
    fence(a1, pair, {{"pmix.collect", 0, {}}});
    CHECK(a0.status() == status::success);
    CHECK(a1.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "collection that is not asked for is the same as declined")
{
    fence(a0, pair, {collect(false)});
    fence(a1, pair);
    CHECK(a0.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "contributions that disagree on collection fail for all, when all have joined")
{
    fence(a0, whole, {collect(true)});
    fence(a1, whole);
    fence(a2, whole, {collect(true)});
    CHECK(a0.answers() == 0);
    fence(a3, whole, {collect(true)});
    for (auto* each : {&a0, &a1, &a2, &a3})
        CHECK(each->status() == status::bad_parameter);
}

TEST_CASE_FIXTURE(fixture, "a participant that is not registered is NOT_FOUND at once")
{
    fence(a0, {{"a", 0}, {"nosuch", 0}});
    CHECK(a0.status() == status::not_found);
    fence(a1, {{"a", 1}, {"a", 4}});
    CHECK(a1.status() == status::not_found);
    fence(a2, {{"a", 2}, {"nosuch", all}});
    CHECK(a2.status() == status::not_found);
    CHECK(fences.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "a participant of another user is NOT_FOUND at once, like one that is not registered")
{
    fence(a0, {{"a", 0}, {"other", 0}});
    CHECK(a0.status() == status::not_found);
    peer root({"a", 1}, 0); // users are those of the jobs
    fence(root, {{"a", 1}, {"other", all}});
    CHECK(root.status() == status::not_found);
    CHECK(fences.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "who is not among the participants cannot contribute")
{
    fence(a2, pair);
    CHECK(a2.status() == status::bad_parameter);
    fence(b0, whole);
    CHECK(b0.status() == status::bad_parameter);
    fence(a3, {});
    CHECK(a3.status() == status::bad_parameter);
    CHECK(fences.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "a closed session is not answered, and its contribution stands")
{
    fence(a0, pair);
    fences.drop(a0.from.session);
    fence(a1, pair);
    CHECK(a0.answers() == 0);
    CHECK(a1.status() == status::success);
}

TEST_CASE_FIXTURE(fixture, "operations with processes of a namespace that is forgotten end with NOT_FOUND")
{
    fence(a0, {{"a", 0}, {"b", 0}});
    fence(a0, {{"a", 0}, {"b", all}});
    fence(a1, pair);
    fences.forget("b");
    CHECK(a0.answers() == 2);
    CHECK(test::payload<message::status_reply>(a0.out->frames[0]).result == status::not_found);
    CHECK(test::payload<message::status_reply>(a0.out->frames[1]).result == status::not_found);
    CHECK(a1.answers() == 0);
    CHECK(fences.pending() == 1);
    fences.drop(a1.from.session);
}

TEST_CASE("collectives that go answer who still waits")
{
    registry jobs{{"a", 2, 0, 0}};
    test::fake_deadlines clock;
    events listeners;
    peer waits({"a", 0}, 0);
    {
        collectives fences(jobs, clock, listeners, {"server", 0}, 1);
        message::fence request;
        request.processes = whole;
        request.infos = {timeout(4)};
        fences.fence(waits.from, request, waits.ask<message::status_reply>());
    }
    CHECK(waits.status() == status::error);
    CHECK(clock.pending() == 0);
}
