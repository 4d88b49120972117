#include "support/peers.hpp"

#include <pmixio/host/publications.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using test::bytes;
using test::peer;
using wire::data_range;
using wire::data_type;
using wire::persistence;
using wire::status;
using wire::value;

wire::info in(data_range range)
{
    return {"pmix.range", 0, value::of<data_type::data_range>(static_cast<std::uint8_t>(range))};
}
wire::info lasting(persistence p)
{
    return {"pmix.persist", 0, value::of<data_type::persistence>(static_cast<std::uint8_t>(p))};
}
wire::info number(std::string name, std::int32_t n)
{
    return {std::move(name), 0, value::of<data_type::integer>(n)};
}
wire::info timeout(std::int32_t seconds) { return number("pmix.timeout", seconds); }
wire::info wait(std::int32_t keys) { return number("pmix.wait", keys); }
wire::info named(const wire::proc& who) { return {"pmix.evrange", 0, value::of_proc(who)}; }

constexpr data_range everywhere[] = {data_range::undefined, data_range::local, data_range::session,
                                     data_range::global};
constexpr persistence all_persistences[] = {persistence::indefinite, persistence::first_read,
                                            persistence::process, persistence::application,
                                            persistence::session};

/// Two jobs of user 1000 in session 5, and one of user 2000 in session 6.
struct fixture {
    registry jobs{{"a", 3, 1000, 1000, "localhost", 5, {}},
                  {"b", 2, 1000, 1000, "localhost", 5, {}},
                  {"other", 1, 2000, 2000, "localhost", 6, {}}};
    test::fake_deadlines clock;
    publications published{jobs, clock, 1u << 20};
    peer a0{{"a", 0}}, a1{{"a", 1}}, a2{{"a", 2}}, b0{{"b", 0}}, other{{"other", 0}, 2000}, root{{"b", 1}, 0};

    status publish(peer& by, std::vector<wire::info> infos)
    {
        published.publish(by.from, {0, std::move(infos)}, by.ask<message::status_reply>());
        return test::payload<message::status_reply>(by.last()).result;
    }
    status unpublish(peer& by, std::vector<std::string> keys, std::vector<wire::info> infos = {})
    {
        published.unpublish(by.from, {0, std::move(keys), std::move(infos)}, by.ask<message::status_reply>());
        return test::payload<message::status_reply>(by.last()).result;
    }
    void ask(peer& by, std::vector<std::string> keys, std::vector<wire::info> infos = {})
    {
        published.lookup(by.from, {0, std::move(keys), std::move(infos)}, by.ask<message::lookup_reply>());
    }
    /// The last answer: what was found, by key; its publisher and number.
    static std::map<std::string, std::pair<wire::proc, std::uint32_t>> found(const peer& by)
    {
        const auto reply = test::payload<message::lookup_reply>(by.last());
        CHECK(reply.result == status::success);
        std::map<std::string, std::pair<wire::proc, std::uint32_t>> all;
        for (const auto& each : reply.found)
            CHECK(all.try_emplace(each.key, each.publisher, each.content.get<data_type::uint32>().value())
                      .second);
        return all;
    }
    /// Whether that process finds the key now.
    bool sees(peer& by, std::string name, std::vector<wire::info> infos = {})
    {
        ask(by, {std::move(name)}, std::move(infos));
        const auto outcome = test::payload<message::lookup_reply>(by.last()).result;
        CHECK((outcome == status::success || outcome == status::not_found));
        return outcome == status::success;
    }
    /// As a server does when the last connection of a process is closed.
    void depart(peer& who)
    {
        published.drop(who.from.session);
        published.departed(who.from.who);
    }
    void remove(const std::string& nspace)
    {
        published.forget(nspace);
        jobs.remove(nspace);
    }
};

const wire::info one{"one", 0, value::uint32(1)}, two{"two", 0, value::uint32(2)},
    three{"three", 0, value::uint32(3)};

} // namespace

TEST_CASE_FIXTURE(fixture,
                  "what is published is found, with its publisher, by processes of any job of the user")
{
    CHECK(publish(a0, {one, two}) == status::success);
    for (auto* by : {&a0, &a1, &b0}) {
        ask(*by, {"two", "one"});
        CHECK(found(*by) == decltype(found(*by)){{"one", {{"a", 0}, 1}}, {"two", {{"a", 0}, 2}}});
    }
}

TEST_CASE_FIXTURE(fixture, "a lookup finds what there is of its keys, and NOT_FOUND if that is nothing")
{
    publish(a0, {one});
    publish(a1, {two});
    ask(b0, {"nosuch", "two", "one", "two"});
    CHECK(found(b0) == decltype(found(b0)){{"one", {{"a", 0}, 1}}, {"two", {{"a", 1}, 2}}});
    ask(a2, {"nosuch", "neither"});
    CHECK(a2.status() == status::not_found);
    CHECK(published.held() == 0);
}

TEST_CASE_FIXTURE(fixture, "directives are not published")
{
    publish(a0, {in(data_range::global), lasting(persistence::session), timeout(5), wait(1), named({"a", 0}),
                 number("pmix.euid", 1000), number("pmix.egid", 1000), one});
    for (const auto* name : {"pmix.range", "pmix.persist", "pmix.timeout", "pmix.wait", "pmix.evrange",
                             "pmix.euid", "pmix.egid"})
        CHECK(!sees(a0, name));
    CHECK(sees(a0, "one"));
    CHECK(clock.waits.empty());
}

TEST_CASE_FIXTURE(fixture,
                  "a publication of nothing, a lookup of nothing, and directives out of range are BAD_PARAM")
{
    CHECK(publish(a0, {}) == status::bad_parameter);
    CHECK(publish(a0, {in(data_range::local)}) == status::bad_parameter);
    CHECK(publish(a0, {one, in(static_cast<data_range>(8))}) == status::bad_parameter);
    CHECK(publish(a0, {one, lasting(static_cast<persistence>(5))}) == status::bad_parameter);
    CHECK(publish(a0, {one, {"pmix.range", 0, value::string("global")}}) == status::bad_parameter);
    CHECK(publish(a0, {one, {"pmix.persist", 0, {}}}) == status::bad_parameter);
    CHECK(unpublish(a0, {}, {in(static_cast<data_range>(8))}) == status::bad_parameter);
    ask(a1, {});
    CHECK(a1.status() == status::bad_parameter);
    ask(a2, {"one"}, {in(static_cast<data_range>(8))});
    CHECK(a2.status() == status::bad_parameter);
    CHECK(published.bytes() == 0);
}

TEST_CASE_FIXTURE(fixture, "a list of who may have access is NOT_SUPPORTED, rather than ignored")
{
    for (const auto* name : {"pmix.aperms", "pmix.auids", "pmix.agids"})
        CHECK(publish(a0, {one, {name, 0, value::uint32(7)}}) == status::not_supported);
    CHECK(!sees(a0, "one"));
    CHECK(published.bytes() == 0);
}

TEST_CASE_FIXTURE(
    fixture,
    "a key is in one range once, whoever of the user publishes it, and a refused publication is none")
{
    for (const auto range : everywhere) {
        if (range == data_range::undefined) // the same as session
            continue;
        CHECK(publish(a0, {one, in(range)}) == status::success);
        CHECK(publish(a0, {one, in(range)}) == status::duplicate_key);
        CHECK(publish(b0, {two, one, three, in(range)}) == status::duplicate_key);
    }
    CHECK(publish(b0, {one}) == status::duplicate_key);
    CHECK(publish(b0, {one, in(data_range::undefined)}) == status::duplicate_key);
    CHECK(!sees(a0, "two"));
    CHECK(!sees(a0, "three"));
    CHECK(publish(b0, {two, three, two}) == status::duplicate_key);
    CHECK(!sees(a0, "three"));
    ask(a0, {"one"});
    CHECK(found(a0).at("one").first == wire::proc{"a", 0});
}

TEST_CASE_FIXTURE(fixture, "each namespace, process and publisher has its own of the ranges that are theirs")
{
    CHECK(publish(a0, {one, in(data_range::nspace)}) == status::success);
    CHECK(publish(a1, {one, in(data_range::nspace)}) == status::duplicate_key);
    CHECK(publish(b0, {one, in(data_range::nspace)}) == status::success);
    for (const auto range : {data_range::proc_local, data_range::custom}) {
        CHECK(publish(a0, {one, in(range)}) == status::success);
        CHECK(publish(a1, {one, in(range)}) == status::success);
        CHECK(publish(a1, {one, in(range)}) == status::duplicate_key);
    }
    CHECK(publish(a0, {one, in(data_range::resource_manager)}) == status::success);
    CHECK(publish(b0, {one, in(data_range::resource_manager)}) == status::duplicate_key);
}

TEST_CASE_FIXTURE(fixture,
                  "who may find what is published: everybody, by the ranges that one node cannot tell apart")
{
    for (const auto range : everywhere) {
        publish(a0, {one, in(range)});
        for (const auto searched : everywhere)
            CHECK(sees(b0, "one", {in(searched)}));
        unpublish(a0, {});
    }
}

TEST_CASE_FIXTURE(fixture,
                  "who may find what is published: the namespace, the process, those named, or nobody")
{
    const auto seen_by = [&](const std::vector<wire::info>& directives) {
        auto infos = directives;
        infos.push_back(one);
        CHECK(publish(a0, infos) == status::success);
        std::string who;
        for (auto* by : {&a0, &a1, &a2, &b0})
            if (sees(*by, "one"))
                who += by->from.who.nspace + std::to_string(by->from.who.rank) + ' ';
        CHECK(unpublish(a0, {"one"}) == status::success);
        CHECK(published.bytes() == 0);
        return who;
    };
    CHECK(seen_by({in(data_range::nspace)}) == "a0 a1 a2 ");
    CHECK(seen_by({in(data_range::proc_local)}) == "a0 ");
    CHECK(seen_by({in(data_range::custom), named({"a", 2})}) == "a2 ");
    CHECK(seen_by({in(data_range::custom), named({"b", wire::rank::wildcard})}) == "b0 ");
    CHECK(seen_by({in(data_range::custom)}) == "");
    CHECK(seen_by({in(data_range::resource_manager)}) == "");
    CHECK(seen_by({named({"b", 0})}) == "a0 a1 a2 b0 "); // only for range custom
}

TEST_CASE_FIXTURE(fixture, "a lookup looks at publishers in its own range only")
{
    publish(a0, {one});
    CHECK(sees(a1, "one", {in(data_range::nspace)}));
    CHECK(!sees(b0, "one", {in(data_range::nspace)}));
    CHECK(sees(a0, "one", {in(data_range::proc_local)}));
    CHECK(!sees(a1, "one", {in(data_range::proc_local)}));
    CHECK(sees(b0, "one", {in(data_range::custom), named({"a", 0})}));
    CHECK(!sees(b0, "one", {in(data_range::custom), named({"a", 1})}));
    CHECK(!sees(b0, "one", {in(data_range::resource_manager)}));

    publish(b0, {one, in(data_range::nspace)});
    ask(b0, {"one"}, {in(data_range::nspace)});
    CHECK(found(b0).at("one").first == wire::proc{"b", 0});
}

TEST_CASE_FIXTURE(fixture, "users see their own only, root sees all, and each user has keys of its own")
{
    CHECK(publish(a0, {one}) == status::success);
    CHECK(publish(other, {{"one", 0, value::uint32(21)}, two}) == status::success);
    ask(a1, {"one", "two"});
    CHECK(found(a1) == decltype(found(a1)){{"one", {{"a", 0}, 1}}});
    ask(other, {"one"});
    CHECK(found(other).at("one").second == 21);
    ask(root, {"one", "two"});
    CHECK(found(root) == decltype(found(root)){{"one", {{"a", 0}, 1}}, {"two", {{"other", 0}, 2}}});
    CHECK(publish(root, {{"two", 0, value::uint32(22)}}) == status::success);
    ask(root, {"two"});
    CHECK(found(root).at("two").second == 22); // its own before others'
    ask(a1, {"two"});
    CHECK(test::payload<message::status_reply>(a1.last()).result == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "the uid in a message is not believed")
{
    published.publish(other.from, {1000, {one}}, other.ask<message::status_reply>());
    CHECK(!sees(a0, "one"));
    published.lookup(a0.from, {2000, {"one"}, {}}, a0.ask<message::lookup_reply>());
    CHECK(test::payload<message::status_reply>(a0.last()).result == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "a process takes back its own keys, all or those named, and nobody else's")
{
    publish(a0, {one, two, three});
    publish(a1, {{"four", 0, value::uint32(4)}});
    CHECK(unpublish(a1, {"one"}) == status::success);
    CHECK(unpublish(b0, {}) == status::success);
    CHECK(sees(b0, "one"));
    CHECK(unpublish(a0, {"nosuch", "one", "four"}) == status::success);
    CHECK(!sees(b0, "one"));
    CHECK(sees(b0, "two"));
    CHECK(unpublish(a0, {}) == status::success);
    CHECK(!sees(b0, "two"));
    CHECK(!sees(b0, "three"));
    CHECK(sees(b0, "four"));
    CHECK(publish(b0, {one}) == status::success);
    CHECK(unpublish(a0, {}) == status::success);
    CHECK(sees(a0, "one"));
}

TEST_CASE_FIXTURE(fixture, "a range named in taking back narrows it")
{
    publish(a0, {one, in(data_range::nspace)});
    publish(a0, {one, two, in(data_range::global)});
    unpublish(a0, {"one"}, {in(data_range::global)});
    CHECK(!sees(b0, "one"));
    CHECK(sees(a1, "one"));
    CHECK(sees(b0, "two"));
    unpublish(a0, {}, {in(data_range::nspace)});
    CHECK(!sees(a1, "one"));
    CHECK(sees(b0, "two"));
}

TEST_CASE_FIXTURE(fixture, "a later user of a publisher's name cannot take back what is not its own")
{
    publish(a0, {one, lasting(persistence::indefinite)});
    remove("a");
    peer successor({"a", 0}, 2000);
    CHECK(unpublish(successor, {}) == status::success);
    CHECK(sees(b0, "one"));
}

TEST_CASE_FIXTURE(fixture, "what is to be read once is gone after the first answer with it")
{
    publish(a0, {one, two, lasting(persistence::first_read)});
    CHECK(!sees(other, "one"));
    ask(b0, {"one"});
    CHECK(found(b0).size() == 1);
    CHECK(!sees(a1, "one"));
    CHECK(sees(a1, "two"));
    CHECK(publish(a0, {one}) == status::success);
}

TEST_CASE_FIXTURE(fixture, "a lookup that does not find enough reads nothing")
{
    publish(a0, {one, lasting(persistence::first_read)});
    ask(b0, {"one", "two"}, {wait(0)});
    CHECK(b0.answers() == 0);
    CHECK(sees(a1, "one"));
    published.drop(b0.from.session);
}

TEST_CASE_FIXTURE(
    fixture, "what is published ends with its publisher, its job or its session, as its persistence says")
{
    const auto publish_all = [&](peer& by) {
        std::uint32_t n = 0;
        for (const auto each : all_persistences)
            CHECK(publish(by, {{std::to_string(n++), 0, value::uint32(n)}, lasting(each)}) ==
                  status::success);
        CHECK(publish(by, {{"default", 0, value::uint32(9)}}) == status::success);
    };
    const auto left = [&](peer& by) {
        ask(by, {"0", "2", "3", "4", "default"});
        std::string keys;
        for (const auto& [name, content] : found(by))
            keys += name + ' ';
        return keys;
    };
    publish_all(a0);
    CHECK(left(b0) == "0 2 3 4 default ");
    depart(a1);
    CHECK(left(b0) == "0 2 3 4 default ");
    depart(a0);
    CHECK(left(b0) == "0 3 4 default ");
    publish(b0, {{"of b", 0, value::uint32(1)}});
    remove("a");
    CHECK(left(b0) == "0 4 "); // b is of the same session
    CHECK(sees(b0, "of b"));
    remove("other");
    CHECK(left(b0) == "0 4 ");
    remove("b");
    CHECK(left(b0) == "0 ");
    CHECK(sees(b0, "1"));
    CHECK(!sees(b0, "1"));
}

TEST_CASE_FIXTURE(fixture, "what a process that never left had published goes with its namespace")
{
    publish(a0, {one, lasting(persistence::process)});
    publish(b0, {two, lasting(persistence::process)});
    remove("a");
    CHECK(!sees(b0, "one"));
    CHECK(sees(b0, "two"));
    published.forget("nosuch");
    CHECK(sees(b0, "two"));
}

TEST_CASE_FIXTURE(fixture, "a process whose namespace is gone publishes nothing")
{
    remove("a");
    CHECK(publish(a0, {one}) == status::not_found);
    CHECK(published.bytes() == 0);
}

TEST_CASE_FIXTURE(fixture, "a lookup waits for all of its keys, or for as many as it says")
{
    peer two_of_three({"a", 1}), any({"a", 1}), more_than_all({"a", 1}), flag({"a", 1});
    ask(a1, {"one", "two", "three"}, {wait(0)});
    ask(two_of_three, {"one", "two", "three"}, {wait(2)});
    ask(any, {"one", "two", "three"}, {wait(1)});
    ask(more_than_all, {"one", "two", "two"}, {wait(3)});
    ask(flag, {"one", "two"}, {{"pmix.wait", 0, {}}});
    CHECK(published.held() == 5);
    publish(a0, {one});
    CHECK(found(any).size() == 1);
    CHECK(published.held() == 4);
    publish(b0, {two});
    CHECK(found(two_of_three).size() == 2);
    CHECK(found(more_than_all).size() == 2);
    CHECK(found(flag).size() == 2);
    CHECK(a1.answers() == 0);
    publish(a2, {three});
    CHECK(found(a1) ==
          decltype(found(a1)){{"one", {{"a", 0}, 1}}, {"two", {{"b", 0}, 2}}, {"three", {{"a", 2}, 3}}});
    CHECK(published.held() == 0);
    for (auto* each : {&a1, &two_of_three, &any, &more_than_all, &flag})
        CHECK(each->answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "a lookup that waits is answered at once if enough is there")
{
    publish(a0, {one, two});
    ask(b0, {"one", "two"}, {wait(0), timeout(3)});
    CHECK(found(b0).size() == 2);
    ask(a1, {"one", "three"}, {wait(1)});
    CHECK(found(a1).size() == 1);
    CHECK(clock.waits.empty());
}

TEST_CASE_FIXTURE(fixture,
                  "two lookups that wait for one key are both answered, unless it is to be read once")
{
    ask(a1, {"one"}, {wait(1)});
    ask(b0, {"one"}, {wait(1)});
    SUBCASE("kept")
    {
        publish(a0, {one});
        CHECK(found(a1).size() == 1);
        CHECK(found(b0).size() == 1);
    }
    SUBCASE("read once: the first has it")
    {
        publish(a0, {one, lasting(persistence::first_read)});
        CHECK(found(a1).size() == 1);
        CHECK(b0.answers() == 0);
        publish(a0, {one});
        CHECK(found(b0).size() == 1);
    }
    CHECK(published.held() == 0);
}

TEST_CASE_FIXTURE(fixture, "a lookup that waits is not answered with what it may not see")
{
    ask(b0, {"one"}, {wait(1)});
    publish(a0, {one, in(data_range::nspace)});
    publish(other, {one});
    CHECK(b0.answers() == 0);
    ask(root, {"three"}, {wait(1)});
    publish(other, {three});
    CHECK(found(root).size() == 1);
    publish(a0, {one});
    CHECK(found(b0).at("one").first == wire::proc{"a", 0});
}

TEST_CASE_FIXTURE(fixture, "a lookup that waits ends with TIMEOUT when its own time is over")
{
    publish(a0, {one});
    ask(b0, {"one", "two"}, {wait(0), timeout(3)});
    ask(a1, {"two"}, {wait(0), timeout(0)});
    CHECK(clock.waits == std::vector<deadline_service::duration>{std::chrono::seconds(3)});
    clock.expire_all();
    CHECK(b0.status() == status::timeout);
    CHECK(a1.answers() == 0);
    publish(a0, {two});
    CHECK(b0.answers() == 1);
    CHECK(a1.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "a lookup that was answered in time, or not held, has no deadline left")
{
    ask(b0, {"one"}, {wait(1), timeout(3)});
    publish(a0, {one});
    CHECK(found(b0).size() == 1);
    CHECK(clock.pending() == 0);
    ask(a1, {"nosuch"}, {timeout(3)});
    CHECK(a1.status() == status::not_found);
    CHECK(clock.waits.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a closed session waits for nothing, and is not answered")
{
    peer sibling({"a", 1});
    ask(a1, {"one"}, {wait(1), timeout(9)});
    ask(sibling, {"one"}, {wait(1)});
    published.drop(a1.from.session);
    CHECK(published.held() == 1);
    CHECK(clock.pending() == 0);
    publish(a0, {one});
    CHECK(a1.answers() == 0);
    CHECK(found(sibling).size() == 1);
}

TEST_CASE_FIXTURE(fixture, "all that a user has here is counted, and given back")
{
    CHECK(published.bytes() == 0);
    publish(a0, {one});
    const auto small = published.bytes();
    CHECK(small > 0);
    publish(
        a1,
        {{"big", 0, value::object(bytes(5000))}, in(data_range::custom), named({"a", wire::rank::wildcard})});
    CHECK(published.bytes() > small + 5000);
    CHECK(publish(a1, {two, {"one", 0, value::object(bytes(5000))}}) == status::duplicate_key);
    unpublish(a1, {});
    CHECK(published.bytes() == small);
    ask(b0, {"nosuch"}, {wait(1), in(data_range::custom), named({"a", 0})});
    CHECK(published.bytes() > small);
    published.drop(b0.from.session);
    CHECK(published.bytes() == small);
    unpublish(a0, {});
    CHECK(published.bytes() == 0);
}

TEST_CASE_FIXTURE(fixture, "beyond its limit a user publishes nothing and does not wait, and others do")
{
    const wire::info big{"big", 0, value::object(bytes(600'000))}, as_big{"as big", 0, big.content};
    CHECK(publish(a0, {one, big}) == status::success);
    const auto used = published.bytes();
    CHECK(publish(b0, {two, as_big}) == status::out_of_resource);
    CHECK(published.bytes() == used);
    CHECK(!sees(a0, "two"));
    CHECK(publish(other, {as_big}) == status::success);
    std::vector<std::string> many(1000);
    for (std::size_t i = 0; i != many.size(); ++i)
        many[i] = "k" + std::to_string(i);
    ask(a1, many, {wait(0)});
    CHECK(a1.status() == status::out_of_resource);
    ask(a2, {"k0"}, {wait(0)});
    CHECK(a2.answers() == 0);
    unpublish(a0, {"big"});
    CHECK(publish(b0, {two, as_big}) == status::success);
    published.drop(a2.from.session);
}

TEST_CASE("publications that go answer who still waits")
{
    registry jobs{{"a", 2, 0, 0}};
    test::fake_deadlines clock;
    peer waits({"a", 0}, 0);
    {
        publications published(jobs, clock, 1u << 20);
        published.lookup(waits.from, {0, {"k"}, {wait(0), timeout(3)}}, waits.ask<message::lookup_reply>());
    }
    CHECK(waits.status() == status::error);
    CHECK(clock.pending() == 0);
}
