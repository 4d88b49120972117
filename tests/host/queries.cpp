#include <pmixio/host/queries.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

using namespace pmixio;
using wire::status;
using wire::value;

struct questions {
    message::infos_reply ask(std::vector<std::string> keys, std::vector<wire::info> qualifiers = {}) const
    {
        return under_test.answer(from, {{{std::move(keys), std::move(qualifiers)}}});
    }
    /// Of the only key.
    value ask_one(std::string key, std::vector<wire::info> qualifiers = {}) const
    {
        const auto reply = ask({key}, std::move(qualifiers));
        CHECK(reply.result == status::success);
        REQUIRE(reply.infos);
        REQUIRE(reply.infos->size() == 1);
        CHECK(reply.infos->front().key == key);
        return reply.infos->front().content;
    }

    registry jobs{{"zeta", 3, 1000, 100}, {"alpha", 2, 1000, 100}, {"foreign", 4, 2000, 100}};
    queries under_test{jobs, {"server", 0}};
    requester from{{"alpha", 1}, 1000, 1};
};

std::vector<wire::info> of(const char* nspace) { return {{"pmix.nspace", 0, value::string(nspace)}}; }

} // namespace

TEST_CASE("namespaces are those the requester may see, without tools")
{
    questions q;
    q.jobs.add_tool({"tool", 1, 1000, 100}, 0);
    CHECK(q.ask_one("pmix.qry.ns") == value::string("alpha,zeta"));
    q.from.uid = 0;
    CHECK(q.ask_one("pmix.qry.ns") == value::string("alpha,foreign,zeta"));
    q.from.uid = 3000;
    CHECK(q.ask_one("pmix.qry.ns") == value::string(""));
}

TEST_CASE("keys of jobs and ranks are found by qualifiers")
{
    questions q;
    CHECK(q.ask_one("pmix.job.size") == value::uint32(2)); // its own
    CHECK(q.ask_one("pmix.job.size", of("zeta")) == value::uint32(3));
    auto rank = of("zeta");
    rank.push_back({"pmix.rank", 0, value::rank(2)});
    CHECK(q.ask_one("pmix.lrank", rank) == value::uint16(2));
    CHECK(q.ask_one("pmix.lrank", {{"pmix.procid", 0, value::of_proc({"zeta", 1})}}) == value::uint16(1));
}

TEST_CASE("what is not there is not found, and partly is said")
{
    questions q;
    CHECK(q.ask({"pmix.job.size"}, of("foreign")).result == status::not_found);
    CHECK(q.ask({"pmix.job.size"}, of("nosuch")).result == status::not_found);
    CHECK(q.ask({"pmix.job.size"}, {{"pmix.nspace", 0, value::uint32(1)}}).result == status::not_found);
    CHECK(q.ask({"pmix.lrank"}, {{"pmix.procid", 0, value::of_proc({"zeta", 3})}}).result ==
          status::not_found);
    CHECK(q.ask({"no.such.key"}).result == status::not_found);
    CHECK(!q.ask({"no.such.key"}).infos);
    CHECK(q.under_test.answer(q.from, {}).result == status::not_found);

    const auto partly = q.ask({"no.such.key", "pmix.job.size"});
    CHECK(partly.result == status::partial_success);
    REQUIRE(partly.infos);
    CHECK(partly.infos->size() == 1);
}
