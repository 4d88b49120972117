#include <pmixio/host/queries.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using wire::status;
using wire::value;

std::vector<wire::info> of(const char* nspace) { return {{"pmix.nspace", 0, value::string(nspace)}}; }

struct questions {
    message::infos_reply ask(std::vector<std::string> keys, std::vector<wire::info> qualifiers = {}) const
    {
        return under_test.look_up(from, {{{std::move(keys), std::move(qualifiers)}}}).answer();
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

    void set(wire::proc who, unsigned connections, bool departed, bool finalized, std::optional<int> code = {})
    {
        auto& process = *jobs.find(who);
        process.connections = connections;
        process.met = connections != 0 || departed;
        process.departed = departed;
        process.finalized = finalized;
        process.exit_code = code;
    }
    value table_of(const char* nspace) const { return ask_one("pmix.qry.ptable", of(nspace)); }

    registry jobs{{"zeta", 3, 1000, 100}, {"alpha", 2, 1000, 100}, {"foreign", 4, 2000, 100}};
    queries under_test{jobs, {"server", 0}};
    requester from{{"alpha", 1}, 1000, 1};
};

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
    CHECK(q.under_test.look_up(q.from, {}).answer().result == status::not_found);

    const auto partly = q.ask({"no.such.key", "pmix.job.size"});
    CHECK(partly.result == status::partial_success);
    REQUIRE(partly.infos);
    CHECK(partly.infos->size() == 1);
}

TEST_CASE("a table of processes has what the host says of them and how they are")
{
    questions q;
    CHECK(q.jobs.started({"zeta", 1}, 4711, "/bin/program"));
    CHECK(!q.jobs.started({"zeta", 3}, 4711, "/bin/program"));
    q.set({"zeta", 2}, 1, false, false);
    using wire::process_state;
    const std::vector<wire::proc_info> lines{
        {{"zeta", 0}, "localhost", "", 0, process_state::undefined},
        {{"zeta", 1}, "localhost", "/bin/program", 4711, process_state::running},
        {{"zeta", 2}, "localhost", "", 0, process_state::connected},
    };
    CHECK(q.table_of("zeta") == value::proc_infos(lines));
    CHECK(q.ask_one("pmix.qry.lptable", of("zeta")) == value::proc_infos(lines));
    CHECK(q.ask_one("pmix.qry.ptable", {{"pmix.procid", 0, value::of_proc({"zeta", 1})}}) ==
          value::proc_infos(std::span(lines).subspan(1, 1)));
    CHECK(q.ask({"pmix.qry.ptable"}, {{"pmix.procid", 0, value::of_proc({"zeta", 3})}}).result ==
          status::not_found);
    CHECK(q.ask({"pmix.qry.ptable"}, of("foreign")).result == status::not_found);
    q.jobs.add_tool({"tool", 1, 1000, 100}, 7);
    CHECK(q.table_of("tool") ==
          value::proc_infos(std::vector<wire::proc_info>{{{"tool", 7}, "localhost", "", 0, process_state::undefined}}));
}

TEST_CASE("how a process is: each kind of departure is told apart")
{
    questions q;
    const wire::proc who{"zeta", 0};
    using wire::process_state;
    const auto state = [&](unsigned connections, bool departed, bool finalized, std::optional<int> code = {}) {
        q.set(who, connections, departed, finalized, code);
        return q.jobs.find(who)->state();
    };
    CHECK(state(0, false, false) == process_state::undefined);
    CHECK(state(2, false, false) == process_state::connected);
    CHECK(state(0, true, true) == process_state::running);
    CHECK(state(0, true, false) == process_state::lost);
    CHECK(state(0, true, true, 0) == process_state::terminated);
    CHECK(state(0, true, false, 0) == process_state::not_finalized);
    CHECK(state(0, false, false, 0) == process_state::terminated); // it never connected
    CHECK(state(0, true, true, 3) == process_state::failed);
    CHECK(state(0, true, false, 137) == process_state::killed_by_signal);
    CHECK(state(1, false, false, 137) == process_state::connected); // a child of it
    q.jobs.find(who)->aborted = true;
    CHECK(state(0, true, false, 3) == process_state::called_abort);
}

TEST_CASE("the status of a job is SUCCESS until a process is lost or fails")
{
    questions q;
    const auto of_job = [&] { return q.ask_one("pmix.qry.jst", of("zeta")).get<wire::data_type::status>(); };
    q.set({"zeta", 1}, 1, false, false);
    q.set({"zeta", 2}, 0, true, true, 0);
    CHECK(of_job() == static_cast<std::int32_t>(status::success));
    q.set({"zeta", 1}, 0, true, false);
    CHECK(of_job() == static_cast<std::int32_t>(status::process_terminated));
}

TEST_CASE("namespaces come with the command lines that the host has said")
{
    questions q;
    job with{"beta", 1, 1000, 100};
    with.applications.push_back({1, "program -x"});
    q.jobs.add(with);
    const auto one = [](std::vector<wire::info> infos) {
        return wire::info{"pmix.qry.nsinfo", 0, value::infos(infos)};
    };
    const auto beta = one({{"pmix.nspace", 0, value::string("beta")}, {"pmix.cmd.line", 0, value::string("program -x")}});
    CHECK(q.ask_one("pmix.qry.nsinfo", of("beta")) == value::infos({&beta, 1}));
    const auto alpha = one({{"pmix.nspace", 0, value::string("alpha")}});
    CHECK(q.ask_one("pmix.qry.nsinfo", of("alpha")) == value::infos({&alpha, 1}));
    CHECK(q.ask({"pmix.qry.nsinfo"}, of("foreign")).result == status::not_found);
    q.from = {{"foreign", 0}, 2000, 1};
    const auto foreign = one({{"pmix.nspace", 0, value::string("foreign")}});
    CHECK(q.ask_one("pmix.qry.nsinfo") == value::infos({&foreign, 1}));
}

TEST_CASE("what can be asked can be asked for")
{
    questions q;
    const auto keys = q.ask_one("pmix.qry.keys");
    const std::string names(keys.get<wire::data_type::string>().value());
    CHECK(names.starts_with("pmix.qry.ns,"));
    for (std::size_t at = 0; at != std::string::npos;) {
        const auto end = names.find(',', at);
        const auto name = names.substr(at, end == std::string::npos ? end : end - at);
        if (name != "pmix.qry.mem")
            CHECK_MESSAGE(q.ask({name}, of("zeta")).result == status::success, name);
        at = end == std::string::npos ? end : end + 1;
    }
}

TEST_CASE("the memory of the server is told its own user, and root")
{
    questions q;
    q.from.uid = ::geteuid();
    CHECK(q.ask_one("pmix.qry.mem").is(wire::data_type::data_array));
    q.from.uid = ::geteuid() + 1;
    CHECK(q.ask({"pmix.qry.mem"}).result == status::not_found);
}

TEST_CASE("what is left to ask has the qualifiers it came with, and its answers count")
{
    questions q;
    const auto ask = [&](const message::infos_reply& hosts) {
        auto found = q.under_test.look_up(q.from, {{{{"pmix.job.size", "its own"}, of("zeta")},
                                                    {{"pmix.qry.ns"}, {}},
                                                    {{"another"}, of("foreign")}}});
        CHECK(found.unknown == message::query{{{{"its own"}, of("zeta")}, {{"another"}, of("foreign")}}});
        found.add(hosts);
        return std::move(found).answer();
    };
    const wire::info one{"its own", 0, value::uint32(7)};
    auto all = ask({status::success, std::vector{one}});
    CHECK(all.result == status::success);
    REQUIRE(all.infos);
    CHECK(all.infos->size() == 3);
    CHECK(all.infos->back() == one);
    CHECK(ask({status::partial_success, std::vector{one}}).result == status::partial_success);
    CHECK(ask({status::no_permissions, std::nullopt}).result == status::partial_success);

    const auto nothing = [&](status hosts) {
        auto found = q.under_test.look_up(q.from, {{{{"its own"}, {}}}});
        found.add({hosts, std::nullopt});
        return std::move(found).answer().result;
    };
    CHECK(nothing(status::no_permissions) == status::no_permissions);
    CHECK(nothing(status::success) == status::not_found);
}

// RESOLVE

TEST_CASE("the processes of a job are on its node, and those of all jobs if none is named")
{
    questions q;
    using procs = std::vector<wire::proc>;
    const auto peers = [&](wire::text node, wire::text nspace) { return q.under_test.peers(q.from, {node, nspace}); };
    CHECK(peers(std::nullopt, "alpha").peers == procs{{"alpha", 0}, {"alpha", 1}});
    CHECK(peers("localhost", "alpha").peers == procs{{"alpha", 0}, {"alpha", 1}});
    CHECK(peers("", "").peers == procs{{"alpha", 0}, {"alpha", 1}, {"zeta", 0}, {"zeta", 1}, {"zeta", 2}});
    CHECK(peers("elsewhere", "alpha") == message::peers_reply{});
    CHECK(peers(std::nullopt, "foreign").result == status::invalid_namespace);
    CHECK(peers(std::nullopt, "nosuch").result == status::invalid_namespace);
}

TEST_CASE("the nodes of a job, and of all jobs, each once")
{
    questions q;
    job far{"far", 1, 1000, 100};
    far.hostname = "another";
    q.jobs.add(far);
    const auto nodes = [&](wire::text nspace) { return q.under_test.nodes(q.from, {nspace}); };
    CHECK(nodes("far").nodes == "another");
    CHECK(nodes(std::nullopt).nodes == "another,localhost");
    CHECK(nodes("foreign").result == status::invalid_namespace);
}
