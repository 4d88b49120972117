#include "support/bytes.hpp"

#include <pmixio/host/registry.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

namespace {

using namespace pmixio;

} // namespace

TEST_CASE("a registered process is found with its job's user and group, others are not")
{
    const registry jobs{{"a", 2, 1000, 100}, {"b", 1, 0, 0}};
    REQUIRE(jobs.find_process("a", 1));
    CHECK(jobs.find_process("a", 1)->uid == 1000);
    CHECK(jobs.find_process("a", 1)->gid == 100);
    CHECK(jobs.find_process("b", 0)->uid == 0);
    CHECK(jobs.find_process("a", 2).error() == fault::unknown_rank);
    CHECK(jobs.find_process("a", wire::rank::wildcard).error() == fault::unknown_rank);
    CHECK(jobs.find_process("c", 0).error() == fault::unknown_namespace);
    CHECK(jobs.find_process("", 0).error() == fault::unknown_namespace);
}

TEST_CASE("records start empty, and stay where they are")
{
    registry jobs{{"a", 2, 0, 0}};
    auto* record = jobs.find(wire::proc{"a", 1});
    REQUIRE(record);
    CHECK(record->connections == 0);
    CHECK(!record->departed);
    CHECK(!record->committed);
    CHECK(record->local.empty());
    for (int i = 0; i != 1000; ++i)
        jobs.add({"job" + std::to_string(i), 1, 0, 0});
    CHECK(jobs.find(wire::proc{"a", 1}) == record);
    CHECK(jobs.find(wire::proc{"a", 2}) == nullptr);
    CHECK(jobs.find(wire::proc{"c", 0}) == nullptr);
}

TEST_CASE("a namespace keeps its description")
{
    registry jobs;
    auto& added = jobs.add({"a", 2, 1, 2, "node7", 5, {{"k", wire::value::uint32(1)}}});
    CHECK(jobs.find("a") == &added);
    CHECK(added.description().hostname == "node7");
    CHECK(added.description().session == 5);
    CHECK(added.description().infos.size() == 1);
    CHECK(added.processes().size() == 2);
}

TEST_CASE("a name cannot be registered twice, and the first stays")
{
    registry jobs{{"a", 2, 1000, 0}};
    CHECK_THROWS_AS(jobs.add({"a", 7, 0, 0}), std::invalid_argument);
    CHECK(jobs.find("a")->description().size == 2);
}

TEST_CASE("names that the protocol or older peers cannot carry are refused")
{
    registry jobs;
    for (const std::string& name : {std::string(), std::string(256, 'n'), std::string("a.b"),
                                    std::string("a;b"), std::string("a\0b", 3)}) {
        CAPTURE(name);
        CHECK_THROWS_AS(jobs.add({name, 1, 0, 0}), std::invalid_argument);
        CHECK(jobs.find(name) == nullptr);
    }
    CHECK_NOTHROW(jobs.add({std::string(255, 'n'), 1, 0, 0}));
}

TEST_CASE("a job cannot have ranks that mean something else")
{
    registry jobs;
    CHECK_THROWS_AS(jobs.add({"a", wire::rank::first_reserved, 0, 0}), std::invalid_argument);
    CHECK(jobs.find("a") == nullptr);
}

TEST_CASE("a job without processes has none")
{
    registry jobs{{"a", 0, 0, 0}};
    CHECK(jobs.find("a"));
    CHECK(jobs.find_process("a", 0).error() == fault::unknown_rank);
}

TEST_CASE("a namespace that is removed is gone with its data, and its name is free")
{
    registry jobs{{"a", 1, 0, 0}};
    jobs.find(wire::proc{"a", 0})->local.emplace("k", wire::value::uint32(1));
    CHECK(jobs.remove("a"));
    CHECK(!jobs.remove("a"));
    CHECK(jobs.find("a") == nullptr);
    jobs.add({"a", 1, 0, 0});
    CHECK(jobs.find(wire::proc{"a", 0})->local.empty());
}

TEST_CASE("a tool is found by its rank, is no process of a job, and takes no name twice")
{
    registry jobs{{"a", 2, 0, 0}};
    auto* tool = jobs.add_tool({"singleton.host.1", 0, 1000, 100}, 5);
    REQUIRE(tool);
    CHECK(tool->of_tool());
    CHECK(tool->description().size == 1);
    CHECK(jobs.find(wire::proc{"singleton.host.1", 5}) == &tool->processes()[0]);
    CHECK(!jobs.find(wire::proc{"singleton.host.1", 4}));
    CHECK(!jobs.find(wire::proc{"singleton.host.1", 6}));
    CHECK(jobs.find_process("singleton.host.1", 5).error() == fault::unknown_namespace);

    CHECK(!jobs.add_tool({"singleton.host.1", 1, 0, 0}, 6));
    CHECK(!jobs.add_tool({"a", 1, 0, 0}, 9));
    CHECK(!jobs.add_tool({"", 1, 0, 0}, 0));
    CHECK(!jobs.add_tool({std::string(256, 'n'), 1, 0, 0}, 0));
    CHECK(!jobs.add_tool({"t", 1, 0, 0}, wire::rank::wildcard));
    CHECK(jobs.add_tool({std::string(255, 'n'), 1, 0, 0}, wire::rank::first_reserved - 1));

    int all = 0, tools = 0;
    jobs.for_each([&](const namespace_record& each) { ++all, tools += each.of_tool(); });
    CHECK(all == 3);
    CHECK(tools == 2);
}

TEST_CASE("the applications of a job add up to it")
{
    registry jobs;
    job what{"a", 3, 1000, 1000};
    what.applications = {{1}, {1}};
    CHECK_THROWS_AS(jobs.add(what), std::invalid_argument);
    what.applications.push_back({1});
    CHECK(jobs.add(what).description().applications.size() == 3);
}
