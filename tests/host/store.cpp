#include "support/peers.hpp"

#include <pmixio/host/store.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using test::peer;
using wire::data_type;
using wire::scope;
using wire::status;
using wire::value;

/// Two jobs of user 1000, "a" with three ranks and "b" with two, and one of user 2000.
struct fixture {
    registry jobs{{"a", 3, 1000, 1000}, {"b", 2, 1000, 1000}, {"other", 1, 2000, 2000}};
    test::fake_deadlines clock;
    store data{jobs, clock, {"server", 9}};
    peer asks{{"a", 0}};

    void put(const wire::proc& who, std::vector<message::commit::bucket> buckets)
    {
        peer from(who);
        data.commit(from.from, {std::move(buckets)}, from.ask<message::status_reply>());
        CHECK(from.status() == status::success);
    }
    /// As clients do: the same in both buckets.
    void put(const wire::proc& who, const std::string& name, std::uint32_t content)
    {
        const std::vector<wire::kval> one{{name, value::uint32(content)}};
        put(who, {{scope::local, one}, {scope::remote, one}});
    }
    void get(peer& by, message::get request)
    {
        data.get(by.from, std::move(request), by.ask<message::get_reply>());
    }
    void get(const wire::proc& whose, std::optional<std::string> key, std::vector<wire::info> infos = {})
    {
        get(asks, {whose.nspace, whose.rank, std::move(infos), std::move(key)});
    }
    void depart(const wire::proc& who)
    {
        jobs.find(who)->departed = true;
        data.departed(who);
    }
};

const wire::info immediate{"pmix.immediate", 0, value::boolean(true)};
wire::info timeout(std::int32_t seconds)
{
    return {"pmix.timeout", 0, value::of<data_type::integer>(seconds)};
}

std::vector<message::get_reply::source> sources(const peer& of)
{
    const auto reply = test::payload<message::get_reply>(of.last());
    CHECK(reply.result == status::success);
    return reply.sources;
}

/// The one value of the one source.
std::optional<std::uint32_t> number(const peer& of)
{
    const auto all = sources(of);
    REQUIRE(all.size() == 1);
    REQUIRE(all[0].data.size() == 1);
    return all[0].data[0].content.get<data_type::uint32>();
}

const wire::value* find(const message::get_reply::source& in, std::string_view name)
{
    for (const auto& each : in.data)
        if (each.key == name)
            return &each.content;
    return nullptr;
}

} // namespace

TEST_CASE_FIXTURE(fixture, "a get of what is there is answered at once, under the process's name")
{
    put({"a", 1}, "k", 5);
    get({"a", 1}, "k");
    CHECK(number(asks) == 5);
    CHECK(sources(asks)[0].id == wire::proc{"a", 1});
    CHECK(asks.answers() == 1);
    CHECK(data.held() == 0);
}

TEST_CASE_FIXTURE(fixture, "who asks again, to refresh what it has, gets what is there now, and waits only for what is not")
{
    const wire::info again{"pmix.get.refresh", 0, value::boolean(true)};
    put({"a", 1}, "k", 5);
    get({"a", 1}, "k", {again});
    CHECK(number(asks) == 5);
    put({"a", 1}, "k", 6);
    get({"a", 1}, "k", {again});
    CHECK(number(asks) == 6);
    get({"a", 1}, "later", {again});
    CHECK(data.held() == 1);
    CHECK(asks.answers() == 2);
}

TEST_CASE_FIXTURE(fixture, "a get answers with all that its process has put, not only with the key")
{
    put({"a", 1}, "k", 5);
    put({"a", 1}, "other", 6);
    get({"a", 1}, "k");
    CHECK(sources(asks)[0].data.size() == 2);
}

TEST_CASE_FIXTURE(fixture, "commits merge by key, and the last value wins")
{
    put({"a", 1}, "k", 5);
    put({"a", 1}, "l", 6);
    put({"a", 1}, "k", 7);
    get({"a", 1}, std::nullopt);
    const auto all = sources(asks);
    REQUIRE(all.size() == 1);
    CHECK(all[0].data.size() == 2);
    CHECK(*find(all[0], "k") == value::uint32(7));
    CHECK(*find(all[0], "l") == value::uint32(6));
}

TEST_CASE_FIXTURE(fixture, "processes of this node see what is local or global, not what is remote")
{
    put({"a", 1}, {{scope::local, {{"l", value::uint32(1)}}},
                   {scope::remote, {{"r", value::uint32(2)}}},
                   {scope::global, {{"g", value::uint32(3)}}}});
    get({"a", 1}, std::nullopt);
    const auto all = sources(asks);
    CHECK(all[0].data.size() == 2);
    CHECK(find(all[0], "l"));
    CHECK(find(all[0], "g"));

    const auto& record = *jobs.find(wire::proc{"a", 1});
    CHECK(record.local.size() == 2);
    CHECK(record.remote.size() == 2);
    CHECK(record.remote.at("g") == value::uint32(3));
    CHECK(record.remote.at("r") == value::uint32(2));
}

TEST_CASE_FIXTURE(fixture, "a process cannot put keys of the server's own")
{
    put({"a", 1}, {{scope::global, {{"pmix.job.size", value::uint32(1)}, {"k", value::uint32(2)}}}});
    get({"a", 1}, std::nullopt);
    CHECK(number(asks) == 2);
}

TEST_CASE_FIXTURE(fixture, "a commit from a job that was removed is refused")
{
    jobs.remove("a");
    data.commit(asks.from, {}, asks.ask<message::status_reply>());
    CHECK(asks.status() == status::not_found);
}

TEST_CASE_FIXTURE(fixture,
                  "a get without a key is answered when its process has committed anything, even nothing")
{
    get({"a", 1}, std::nullopt);
    CHECK(asks.answers() == 0);
    put({"a", 1}, {});
    CHECK(asks.answers() == 1);
    const auto all = sources(asks);
    REQUIRE(all.size() == 1);
    CHECK(all[0].data.empty());
}

TEST_CASE_FIXTURE(fixture, "a get is held until its process commits the key, however many commits that takes")
{
    get({"a", 1}, "k");
    CHECK(data.held() == 1);
    put({"a", 2}, "k", 1);
    put({"b", 1}, "k", 2);
    put({"a", 1}, "l", 3);
    CHECK(asks.answers() == 0);
    put({"a", 1}, {{scope::remote, {{"k", value::uint32(4)}}}});
    CHECK(asks.answers() == 0);
    put({"a", 1}, "k", 5);
    CHECK(asks.answers() == 1);
    CHECK(*find(sources(asks)[0], "k") == value::uint32(5));
    CHECK(data.held() == 0);
    put({"a", 1}, "k", 6);
    CHECK(asks.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "one commit answers all who wait for it, and the committer itself once")
{
    peer second({"a", 0}), third({"a", 2}), patient({"a", 2});
    get({"a", 1}, "k");
    get(second, {"a", 1, {}, "k"});
    get(third, {"a", 1, {}, std::nullopt});
    get(patient, {"a", 1, {}, "never"});
    put({"a", 1}, "k", 5);
    CHECK(number(asks) == 5);
    CHECK(number(second) == 5);
    CHECK(number(third) == 5);
    CHECK(patient.answers() == 0);
    CHECK(data.held() == 1);
    data.drop(patient.from.session);
}

TEST_CASE_FIXTURE(fixture, "an immediate get is never held")
{
    get({"a", 1}, "k", {immediate});
    CHECK(asks.status() == status::not_found);
    CHECK(data.held() == 0);
}

TEST_CASE_FIXTURE(fixture, "an attribute without content means yes")
{
    get({"a", 1}, "k", {{"pmix.immediate", 0, {}}});
    CHECK(asks.status() == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "an immediate get of what is there is answered")
{
    put({"a", 1}, "k", 5);
    get({"a", 1}, "k", {immediate});
    CHECK(number(asks) == 5);
}

TEST_CASE_FIXTURE(fixture, "rank wildcard means the data of the job")
{
    get({"a", wire::rank::wildcard}, "pmix.job.size");
    const auto all = sources(asks);
    REQUIRE(all.size() == 1);
    CHECK(all[0].id == wire::proc{"a", wire::rank::wildcard});
    CHECK(*find(all[0], "pmix.job.size") == value::uint32(3));
    CHECK(*find(all[0], "pmix.srv.nspace") == value::string("server"));
}

TEST_CASE_FIXTURE(fixture,
                  "rank wildcard without a key gives all of the job, and never what processes have put")
{
    put({"a", 1}, "k", 5);
    get({"a", wire::rank::wildcard}, std::nullopt);
    CHECK(find(sources(asks)[0], "pmix.max.size"));
    CHECK(!find(sources(asks)[0], "k"));
}

TEST_CASE_FIXTURE(fixture, "nobody waits for data of the job")
{
    get({"a", wire::rank::wildcard}, "k");
    CHECK(asks.status() == status::not_found);
    CHECK(data.held() == 0);
}

TEST_CASE_FIXTURE(fixture, "reserved keys of a rank come from the server, before that rank has connected")
{
    get({"a", 2}, "pmix.lrank");
    const auto all = sources(asks);
    REQUIRE(all.size() == 1);
    CHECK(all[0].id == wire::proc{"a", 2});
    CHECK(*find(all[0], "pmix.lrank") == value::uint16(2));
}

TEST_CASE_FIXTURE(fixture, "nobody waits for a reserved key")
{
    get({"a", 2}, "pmix.nosuch");
    CHECK(asks.status() == status::not_found);
    CHECK(data.held() == 0);
}

TEST_CASE_FIXTURE(fixture,
                  "rank undefined finds whoever has put the key, and the answer stays under that rank")
{
    put({"a", 1}, "k", 5);
    get({"a", wire::rank::undefined}, "k");
    CHECK(number(asks) == 5);
    CHECK(sources(asks)[0].id == wire::proc{"a", wire::rank::undefined});
}

TEST_CASE_FIXTURE(fixture, "a get with rank undefined is held until somebody of the namespace has the key")
{
    get({"a", wire::rank::undefined}, "k");
    put({"a", 1}, "l", 4);
    put({"b", 1}, "k", 4);
    CHECK(asks.answers() == 0);
    put({"a", 2}, "k", 5);
    CHECK(number(asks) == 5);
}

TEST_CASE_FIXTURE(fixture, "names that are not registered are not found, immediate or not")
{
    for (const auto& infos : {std::vector<wire::info>{}, {immediate}})
        for (const auto& whose : {wire::proc{"nosuch", 0}, wire::proc{"a", 3}, wire::proc{"", 0}}) {
            peer by({"a", 0});
            get(by, {whose.nspace, whose.rank, infos, "k"});
            CHECK(by.status() == status::not_found);
        }
    CHECK(data.held() == 0);
}

TEST_CASE_FIXTURE(fixture, "an immediate get from another user's namespace is not found")
{
    put({"other", 0}, "k", 5);
    get({"other", 0}, "k", {immediate});
    CHECK(asks.status() == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "another user's job data is not found")
{
    get({"other", wire::rank::wildcard}, "pmix.job.size");
    CHECK(asks.status() == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "a get from another namespace has the data of that job in front")
{
    put({"b", 1}, "k", 5);
    get({"b", 1}, "k");
    const auto all = sources(asks);
    REQUIRE(all.size() == 2);
    CHECK(all[0].id == wire::proc{"b", wire::rank::wildcard});
    CHECK(*find(all[0], "pmix.job.size") == value::uint32(2));
    CHECK(all[1].id == wire::proc{"b", 1});
    CHECK(*find(all[1], "k") == value::uint32(5));
}

TEST_CASE_FIXTURE(fixture, "a get of another job has that job's data once, with its ranks")
{
    get({"b", wire::rank::wildcard}, "pmix.job.size");
    const auto all = sources(asks);
    REQUIRE(all.size() == 1);
    CHECK(all[0].id == wire::proc{"b", wire::rank::wildcard});
    CHECK(find(all[0], "pmix.pdata"));
}

TEST_CASE_FIXTURE(fixture, "root sees the jobs of all users")
{
    put({"other", 0}, "k", 5);
    asks.from.uid = 0;
    get({"other", 0}, "k");
    CHECK(sources(asks).size() == 2);
}

TEST_CASE_FIXTURE(fixture, "a get held for another namespace has the data of that job in front too")
{
    get({"b", 1}, "k");
    CHECK(asks.answers() == 0);
    put({"b", 1}, "k", 5);
    CHECK(sources(asks).size() == 2);
}

TEST_CASE_FIXTURE(fixture, "a held get ends with TIMEOUT when its own time is over")
{
    get({"a", 1}, "k", {timeout(3)});
    CHECK(clock.waits == std::vector<deadline_service::duration>{std::chrono::seconds(3)});
    clock.expire_all();
    CHECK(asks.status() == status::timeout);
    CHECK(data.held() == 0);
    put({"a", 1}, "k", 5);
    CHECK(asks.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "a get that was answered in time has no deadline left")
{
    get({"a", 1}, "k", {timeout(3)});
    put({"a", 1}, "k", 5);
    CHECK(number(asks) == 5);
    CHECK(clock.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "a get without a time, or one that is 0 or less, waits without limit")
{
    get({"a", 1}, "k");
    get({"a", 1}, "k", {timeout(0)});
    get({"a", 1}, "k", {timeout(-1)});
    CHECK(clock.waits.empty());
    CHECK(data.held() == 3);
    data.drop(asks.from.session);
    CHECK(asks.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "a get that is answered at once needs no deadline")
{
    put({"a", 1}, "k", 5);
    get({"a", 1}, "k", {timeout(3)});
    CHECK(clock.waits.empty());
}

TEST_CASE_FIXTURE(fixture, "who waits for a process that departs gets NOT_FOUND, others wait on")
{
    peer other({"a", 0});
    get({"a", 1}, "k", {timeout(9)});
    get(other, {"a", 2, {}, "k"});
    depart({"a", 1});
    CHECK(asks.status() == status::not_found);
    CHECK(other.answers() == 0);
    CHECK(clock.pending() == 0);
    data.drop(other.from.session);
}

TEST_CASE_FIXTURE(fixture, "what a process has put survives it, what it has not put does not come")
{
    put({"a", 1}, "k", 5);
    depart({"a", 1});
    get({"a", 1}, "k");
    CHECK(number(asks) == 5);
    peer late({"a", 2});
    get(late, {"a", 1, {}, "l"});
    CHECK(late.status() == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "a get with rank undefined does not wait where everybody has departed")
{
    for (std::uint32_t rank = 0; rank != 3; ++rank)
        depart({"a", rank});
    get({"a", wire::rank::undefined}, "k");
    CHECK(asks.status() == status::not_found);
}

TEST_CASE_FIXTURE(fixture, "a closed session waits for nothing, and is not answered")
{
    peer other({"a", 0});
    get({"a", 1}, "k", {timeout(9)});
    get({"a", 1}, "l");
    get(other, {"a", 1, {}, "k"});
    data.drop(asks.from.session);
    CHECK(data.held() == 1);
    CHECK(clock.pending() == 0);
    put({"a", 1}, "k", 5);
    CHECK(asks.answers() == 0);
    CHECK(number(other) == 5);
}

TEST_CASE_FIXTURE(fixture, "who waits for data of a namespace that is forgotten gets NOT_FOUND")
{
    peer other({"b", 0});
    get({"b", 1}, "k");
    get(other, {"a", 1, {}, "k"});
    data.forget("b");
    jobs.remove("b");
    CHECK(asks.status() == status::not_found);
    CHECK(other.answers() == 0);
    CHECK(data.held() == 1);
    data.drop(other.from.session);
}

TEST_CASE("a store that goes answers who still waits")
{
    registry jobs{{"a", 2, 0, 0}};
    test::fake_deadlines clock;
    peer asks({"a", 0}, 0);
    {
        store data(jobs, clock, {"server", 0});
        data.get(asks.from, {"a", 1, {timeout(3)}, "k"}, asks.ask<message::get_reply>());
    }
    CHECK(asks.status() == status::error);
    CHECK(clock.pending() == 0);
}

TEST_CASE_FIXTURE(fixture, "a job's data is answered under its name")
{
    data.job_data(asks.from, asks.ask<message::job_data>());
    CHECK(test::payload<message::job_data>(asks.only()).nspace == "a");
}

TEST_CASE_FIXTURE(fixture, "the data of a removed job is not found")
{
    jobs.remove("a");
    data.job_data(asks.from, asks.ask<message::job_data>());
    CHECK(asks.status() == status::not_found);
}

TEST_CASE("strings that a process has compressed are inflated, within a limit, if they are what they say")
{
    const auto compressed = [](std::uint32_t length, const std::string& stream) {
        test::bytes content(sizeof length);
        std::memcpy(content.data(), &length, sizeof length);
        for (const char c : stream)
            content.push_back(static_cast<std::byte>(c));
        wire::byte_buffer raw;
        wire::writer out(raw);
        wire::output<wire::flex_form> packed(out, false);
        packed.code(data_type::compressed_string), packed.object(content);
        wire::cursor in(raw);
        wire::input<wire::flex_form> from(in, false);
        wire::byte_buffer scratch;
        return value::decode(from, data_type::storage_access_type, false, scratch);
    };
    // Not zlib: a stream is a letter, which stands for as many of it as are asked for.
    const store::inflate repeat = [](std::span<const std::byte> stream, std::size_t length) {
        return stream.size() == 1 ? std::optional(std::string(length, static_cast<char>(stream[0])))
                                  : std::nullopt;
    };
    registry jobs{{"a", 2, 1000, 1000}};
    test::fake_deadlines clock;
    store data(jobs, clock, {"server", 9}, repeat, 10);
    peer zero({"a", 0});
    data.commit(zero.from,
                {{{scope::local,
                   {{"nul", compressed(2, std::string(1, '\0'))},
                    {"six", compressed(6, "x")},
                    {"seven", compressed(7, "y")}, // 13 are too many
                    {"four", compressed(4, "z")},
                    {"broken", compressed(0, "no")},
                    {"object", value::object(test::bytes(3))}}}}},
                zero.ask<message::status_reply>());
    CHECK(zero.status() == status::success);
    const auto& kept = jobs.find(wire::proc{"a", 0})->local;
    CHECK(kept.at("six") == value::string("xxxxxx"));
    CHECK(kept.at("seven") == compressed(7, "y"));
    CHECK(kept.at("four") == value::string("zzzz"));
    CHECK(kept.at("broken") == compressed(0, "no"));
    CHECK(kept.at("nul") == compressed(2, std::string(1, '\0')));
    CHECK(kept.at("object") == value::object(test::bytes(3)));

    store without(jobs, clock, {"server", 9});
    peer one({"a", 1});
    without.commit(one.from, {{{scope::local, {{"six", compressed(6, "x")}}}}},
                   one.ask<message::status_reply>());
    CHECK(jobs.find(wire::proc{"a", 1})->local.at("six") == compressed(6, "x"));
}
