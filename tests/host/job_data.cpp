#include "support/peers.hpp"

#include <pmixio/host/job_data.hpp>
#include <pmixio/session/responder.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using wire::data_type;
using wire::value;

const job three{"a", 3, 1000, 1000, "node7", 5, {{"site.key", value::string("x")}}};
const wire::proc server{"server", 9};

const value& at(const std::vector<wire::kval>& data, std::string_view key)
{
    for (const auto& each : data)
        if (each.key == key)
            return each.content;
    FAIL("no key ", std::string(key));
    throw 0;
}

template <class Encoding>
void check_round_trip(wire::buffer_kind kind)
{
    const wire::agreement with{kind, {}};
    const auto data = make_job_data(namespace_record(three), server);
    const auto frame = make_frame<Encoding>(101, data, with);
    REQUIRE(frame);
    const auto back =
        test::payload<message::job_data, Encoding>(test::bytes(frame->begin(), frame->end()), with);
    CHECK(back.nspace == "a");
    REQUIRE(back.entries.size() == data.entries.size());
    for (std::size_t i = 0; i != data.entries.size(); ++i) {
        CHECK(back.entries[i].job.key == data.entries[i].job.key);
        CHECK(back.entries[i].rank == data.entries[i].rank);
        CHECK(back.entries[i].process == data.entries[i].process);
        CHECK(back.entries[i].job.content == data.entries[i].job.content);
    }
}

} // namespace

TEST_CASE("keys of the job have the types that clients check")
{
    const auto data = job_level_data(three, server);
    CHECK(at(data, "pmix.job.size") == value::uint32(3));
    CHECK(at(data, "pmix.max.size") == value::uint32(3));
    CHECK(at(data, "pmix.job.napps") == value::uint32(1));
    CHECK(at(data, "pmix.num.nodes") == value::uint32(1));
    CHECK(at(data, "pmix.nlist") == value::string("node7"));
    CHECK(at(data, "pmix.jobid") == value::string("a"));
    CHECK(at(data, "pmix.offset") == value::uint32(0));
    CHECK(at(data, "pmix.srv.nspace") == value::string("server"));
    CHECK(at(data, "pmix.srv.rank") == value::uint32(9));
}

TEST_CASE("keys of node and session are there bare, for releases 2.x")
{
    const auto data = job_level_data(three, server);
    CHECK(at(data, "pmix.session.id") == value::uint32(5));
    CHECK(at(data, "pmix.univ.size") == value::uint32(3));
    CHECK(at(data, "pmix.hname") == value::string("node7"));
    CHECK(at(data, "pmix.nodeid") == value::uint32(0));
    CHECK(at(data, "pmix.node.size") == value::uint32(3));
    CHECK(at(data, "pmix.local.size") == value::uint32(3));
    CHECK(at(data, "pmix.lpeers") == value::string("0,1,2"));
    CHECK(at(data, "pmix.lldr") == value::rank(0));
}

TEST_CASE("keys of node, application and session are there in arrays, for later releases")
{
    const auto data = job_level_data(three, server);
    const std::vector<wire::info> session{{"pmix.session.id", 0, value::uint32(5)},
                                          {"pmix.univ.size", 0, value::uint32(3)}};
    CHECK(at(data, "pmix.ssn.arr") == value::infos(session));
    const std::vector<wire::info> node{
        {"pmix.hname", 0, value::string("node7")},  {"pmix.nodeid", 0, value::uint32(0)},
        {"pmix.node.size", 0, value::uint32(3)},    {"pmix.local.size", 0, value::uint32(3)},
        {"pmix.lpeers", 0, value::string("0,1,2")}, {"pmix.lldr", 0, value::rank(0)}};
    CHECK(at(data, "pmix.node.arr") == value::infos(node));
    const std::vector<wire::info> app{{"pmix.appnum", 0, value::uint32(0)},
                                      {"pmix.app.size", 0, value::uint32(3)},
                                      {"pmix.aldr", 0, value::rank(0)}};
    CHECK(at(data, "pmix.app.arr") == value::infos(app));
}

TEST_CASE("the host's own keys come last")
{
    CHECK(job_level_data(three, server).back() == wire::kval{"site.key", value::string("x")});
}

TEST_CASE("keys of a rank have the types that clients check")
{
    const auto data = process_level_data(three, 2);
    CHECK(at(data, "pmix.lrank") == value::uint16(2));
    CHECK(at(data, "pmix.nrank") == value::uint16(2));
    CHECK(at(data, "pmix.grank") == value::rank(2));
    CHECK(at(data, "pmix.apprank") == value::rank(2));
    CHECK(at(data, "pmix.appnum") == value::uint32(0));
    CHECK(at(data, "pmix.nodeid") == value::uint32(0));
    CHECK(at(data, "pmix.hname") == value::string("node7"));
}

TEST_CASE("job data is all of the job, then one blob per rank")
{
    const auto data = make_job_data(namespace_record(three), server);
    CHECK(data.nspace == "a");
    const auto job_keys = job_level_data(three, server).size();
    REQUIRE(data.entries.size() == job_keys + 3);
    for (std::uint32_t rank = 0; rank != 3; ++rank) {
        const auto& entry = data.entries[job_keys + rank];
        CHECK(entry.job.key == "pmix.pblob");
        CHECK(entry.rank == rank);
        CHECK(entry.process == process_level_data(three, rank));
    }
}

TEST_CASE("job data can be read again in every encoding and buffer kind")
{
    for (const auto kind : {wire::buffer_kind::non_described, wire::buffer_kind::fully_described}) {
        check_round_trip<wire::v21>(kind);
        check_round_trip<wire::v3>(kind);
        check_round_trip<wire::v4>(kind);
        check_round_trip<wire::v41>(kind);
        check_round_trip<wire::v61>(kind);
    }
}

TEST_CASE("a job without processes has data, and no blobs")
{
    const job none{"a", 0, 0, 0};
    CHECK(make_job_data(namespace_record(none), server).entries.size() ==
          job_level_data(none, server).size());
    CHECK(at(job_level_data(none, server), "pmix.lpeers") == value::string(""));
}

TEST_CASE("a tool has the rank it brought, and is alone")
{
    const namespace_record tool({"tool", 1, 1000, 1000}, 7);
    const auto data = make_job_data(tool, server);
    CHECK(data.entries.back().rank == 7);
    CHECK(data.entries.back().process == process_level_data(tool.description(), 0));
    CHECK(at(*level_data(tool, 7, server), "pmix.lrank") == value::uint16(0));
    CHECK(at(*level_data(tool, wire::rank::wildcard, server), "pmix.job.size") == value::uint32(1));
    CHECK(!level_data(tool, 0, server));
    CHECK(!level_data(tool, 8, server));
}

TEST_CASE("what a foreign process learns of a job has an array for each rank")
{
    const auto data = foreign_job_data(namespace_record(three), server);
    const auto job_keys = job_level_data(three, server);
    REQUIRE(data.size() == job_keys.size() + 3);
    CHECK(std::equal(job_keys.begin(), job_keys.end(), data.begin()));
    for (std::uint32_t rank = 0; rank != 3; ++rank) {
        std::vector<wire::info> keys{{"pmix.rank", 0, value::rank(rank)}};
        for (const auto& each : process_level_data(three, rank))
            keys.push_back({each.key, 0, each.content});
        CHECK(data[job_keys.size() + rank] == wire::kval{"pmix.pdata", value::infos(keys)});
    }
}

TEST_CASE("a job of several applications has an array of each, and its ranks know theirs")
{
    job several{"a", 5, 1000, 1000, "node7"};
    several.applications = {{2, "one -x", "/tmp"}, {0}, {3}};
    const auto data = job_level_data(several, server);
    CHECK(at(data, "pmix.job.napps") == value::uint32(3));
    std::vector<value> arrays;
    for (const auto& each : data)
        if (each.key == "pmix.app.arr")
            arrays.push_back(each.content);
    CHECK(arrays == std::vector<value>{
                        value::infos(std::vector<wire::info>{{"pmix.appnum", 0, value::uint32(0)},
                                                             {"pmix.app.size", 0, value::uint32(2)},
                                                             {"pmix.aldr", 0, value::rank(0)},
                                                             {"pmix.app.argv", 0, value::string("one -x")},
                                                             {"pmix.wdir", 0, value::string("/tmp")}}),
                        value::infos(std::vector<wire::info>{{"pmix.appnum", 0, value::uint32(1)},
                                                             {"pmix.app.size", 0, value::uint32(0)},
                                                             {"pmix.aldr", 0, value::rank(2)}}),
                        value::infos(std::vector<wire::info>{{"pmix.appnum", 0, value::uint32(2)},
                                                             {"pmix.app.size", 0, value::uint32(3)},
                                                             {"pmix.aldr", 0, value::rank(2)}})});
    const auto numbers = [&](wire::rank_type rank) {
        const auto keys = process_level_data(several, rank);
        return std::pair(at(keys, "pmix.appnum").to_integer().value(),
                         at(keys, "pmix.apprank").to_integer().value());
    };
    CHECK(numbers(1) == std::pair<std::int64_t, std::int64_t>(0, 1));
    CHECK(numbers(2) == std::pair<std::int64_t, std::int64_t>(2, 0));
    CHECK(numbers(4) == std::pair<std::int64_t, std::int64_t>(2, 2));
}
