#include "support/peers.hpp"

#include <pmixio/host/forwarding.hpp>
#include <pmixio/host/targets.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

using namespace pmixio;
using message::channels;
using test::peer;
using wire::status;

constexpr auto everything = channels::out | channels::err | channels::diagnostics;
constexpr auto whole = wire::rank::wildcard;
constexpr std::size_t upkeep = sizeof(message::output) + 1; // of a namespace with a short name

/// Two jobs of user 1000, and one of user 2000. Tools of both, and of root.
struct fixture {
    registry jobs{{"a", 3, 1000, 1000}, {"b", 1, 1000, 1000}, {"o", 1, 2000, 2000}};
    forwarding known{jobs, 1000, 4};
    peer tool{{"tool", 0}}, second{{"tool2", 0}}, other{{"tool3", 0}, 2000}, root{{"tool4", 0}, 0},
        a0{{"a", 0}};

    void ask(peer& by, std::vector<wire::proc> of, channels wanted = everything, std::uint64_t reference = 7,
             std::vector<wire::info> directives = {})
    {
        known.pull(by.from, {std::move(of), std::move(directives), wanted, reference},
                   notifier<message::output>::to<wire::v41>(detail::local_ptr<outlet>(by.out.get()), {}),
                   by.ask<message::iof_pull_reply>());
    }
    /// The server's reference.
    std::uint64_t pull(peer& by, std::vector<wire::proc> of, channels wanted = everything,
                       std::uint64_t reference = 7)
    {
        const auto before = by.answers();
        ask(by, std::move(of), wanted, reference);
        REQUIRE(by.answers() > before);
        const auto reply = test::payload<message::iof_pull_reply>(by.out->frames[before]);
        CHECK(reply.result == status::success);
        return reply.reference;
    }
    status refused(peer& by, std::vector<wire::proc> of, channels wanted = everything)
    {
        ask(by, std::move(of), wanted);
        return test::payload<message::status_reply>(by.last()).result;
    }
    status deregister(peer& by, std::uint64_t reference)
    {
        known.deregister(by.from, {{}, reference}, by.ask<message::status_reply>());
        return test::payload<message::status_reply>(by.last()).result;
    }
    void says(const char* nspace, wire::rank_type rank, std::string_view text, channels on = channels::out)
    {
        known.output({nspace, rank}, on, text);
    }
    /// What was forwarded to that peer so far, as "rank channel reference text" of namespace a, the first letter of others.
    static std::string got(const peer& by)
    {
        std::string all;
        for (const auto& frame : by.out->frames) {
            if (wire::frame_header::parse(std::span(frame).first<wire::frame_header_size>()).tag !=
                wire::io_forwarding_tag)
                continue;
            const auto piece = test::payload<message::output>(frame);
            CHECK(piece.infos.empty());
            all += (piece.source.nspace == "a" ? "" : piece.source.nspace) +
                   std::to_string(piece.source.rank) + ' ' + std::to_string(static_cast<int>(piece.channel)) +
                   ' ' + std::to_string(piece.reference) + ' ' +
                   std::string(reinterpret_cast<const char*>(piece.data.data()), piece.data.size()) + '|';
        }
        return all;
    }
};

} // namespace

TEST_CASE_FIXTURE(fixture,
                  "output goes to who pulls its process and channel, with the reference of the puller")
{
    pull(tool, {{"a", 1}}, channels::err, 300);
    pull(second, {{"a", 0}, {"b", 0}}, channels::out | channels::diagnostics, 0);
    for (const auto* nspace : {"a", "b"})
        for (const auto on : {channels::out, channels::err, channels::diagnostics})
            says(nspace, 0, "zero\n", on);
    says("a", 1, "one\n", channels::err);
    CHECK(got(tool) == "1 4 300 one\n|");
    CHECK(got(second) == "0 2 0 zero\n|0 8 0 zero\n|b0 2 0 zero\n|b0 8 0 zero\n|");
}

TEST_CASE_FIXTURE(fixture, "a whole namespace may be pulled, and nothing of another comes with it")
{
    pull(tool, {{"a", whole}});
    says("a", 0, "x");
    says("b", 0, "y");
    says("a", 2, "z", channels::err);
    CHECK(got(tool) == "0 2 7 x|2 4 7 z|");
}

TEST_CASE_FIXTURE(fixture,
                  "a registration gets output once, however often it names its source, and each its own")
{
    pull(tool, {{"a", 1}, {"a", whole}, {"a", 1}, {"a", whole}}, everything, 1);
    pull(tool, {{"a", 1}, {"a", 1}}, everything, 2);
    pull(second, {{"a", whole}}, everything, 3);
    says("a", 1, "x");
    says("a", 2, "y");
    CHECK(got(tool) == "1 2 2 x|1 2 1 x|2 2 1 y|");
    CHECK(got(second) == "1 2 3 x|2 2 3 y|");
}

TEST_CASE_FIXTURE(fixture, "no text says that the channel is closed")
{
    pull(tool, {{"a", 0}});
    says("a", 0, "");
    CHECK(got(tool) == "0 2 7 |");
}

TEST_CASE_FIXTURE(fixture,
                  "a process does not get its own output back, and without another puller it is kept")
{
    pull(a0, {{"a", whole}});
    says("a", 0, "mine");
    says("a", 1, "a neighbour's");
    CHECK(got(a0) == "1 2 7 a neighbour's|");
    pull(tool, {{"a", whole}});
    CHECK(got(tool) == "0 2 7 mine|");
}

TEST_CASE_FIXTURE(fixture,
                  "processes of another user cannot be pulled, nor told from those that are not there")
{
    CHECK(refused(tool, {{"o", whole}}) == status::not_found);
    CHECK(refused(tool, {{"a", 0}, {"o", 0}}) == status::not_found);
    CHECK(refused(other, {{"a", 0}}) == status::not_found);
    CHECK(refused(tool, {{"nosuch", whole}}) == status::not_found);
    CHECK(refused(tool, {{"a", 3}}) == status::not_found);
    CHECK(refused(tool, {{"a", wire::rank::undefined}}) == status::not_found);
    CHECK(known.pulls() == 0);
    says("a", 0, "x");
    says("o", 0, "y");
    CHECK(got(tool) == "");
    CHECK(got(other) == "");
    pull(root, {{"a", 0}, {"o", whole}});
    CHECK(got(root) == "0 2 7 x|o0 2 7 y|");
}

TEST_CASE_FIXTURE(fixture, "to pull from nobody, or no channel that is written to, is BAD_PARAM")
{
    CHECK(refused(tool, {}) == status::bad_parameter);
    CHECK(refused(tool, {{"a", 0}}, channels::none) == status::bad_parameter);
    CHECK(refused(tool, {{"a", 0}}, channels::in) == status::bad_parameter);
    pull(tool, {{"a", 0}}, channels::all);
}

TEST_CASE_FIXTURE(fixture, "what nobody pulled is kept for all who come later, in order, behind their answer")
{
    says("a", 0, "first\n");
    says("a", 1, "second\n", channels::err);
    says("b", 0, "elsewhere\n");
    says("a", 0, "third\n");
    CHECK(known.bytes() != 0);
    pull(tool, {{"a", 0}, {"a", 1}}, everything, 1);
    CHECK(wire::frame_header::parse(std::span(tool.out->frames[0]).first<wire::frame_header_size>()).tag >=
          wire::first_request_tag);
    CHECK(got(tool) == "0 2 1 first\n|1 4 1 second\n|0 2 1 third\n|");
    says("a", 0, "fourth\n"); // and this is not kept: it has gone to one
    pull(second, {{"a", whole}, {"b", whole}}, channels::out, 2);
    CHECK(got(second) == "0 2 2 first\n|0 2 2 third\n|b0 2 2 elsewhere\n|");
    pull(root, {{"a", 1}}, everything, 3);
    CHECK(got(root) == "1 4 3 second\n|");
}

TEST_CASE_FIXTURE(fixture, "that a channel was closed is kept for all, whoever has heard of it")
{
    pull(tool, {{"a", whole}}, everything, 1);
    says("a", 0, "heard\n");
    says("a", 0, "");
    pull(second, {{"a", 0}}, everything, 2);
    CHECK(got(second) == "0 2 2 |");
}

TEST_CASE_FIXTURE(fixture, "output of one namespace is kept up to its limit, and the oldest goes first")
{
    const std::string third((1000 - 3 * upkeep) / 3, 'x');
    REQUIRE(third.size() > 10);
    says("b", 0, "other jobs have their own");
    const auto elsewhere = known.bytes();
    for (int i = 0; i != 3; ++i)
        says("a", 0, std::to_string(i) + third.substr(1));
    CHECK(known.bytes() - elsewhere > 1000 - 3);
    CHECK(known.bytes() - elsewhere <= 1000);
    pull(tool, {{"a", 0}, {"b", 0}});
    CHECK(got(tool).starts_with("0 2 7 0xx"));
    CHECK(got(tool).ends_with("b0 2 7 other jobs have their own|"));
    known.drop(tool.from.session);
    says("a", 0, std::string(3, 'y'));
    CHECK(known.bytes() - elsewhere <= 1000);
    pull(second, {{"a", 0}});
    CHECK(got(second).starts_with("0 2 7 1xx"));
    CHECK(got(second).ends_with("xxx|0 2 7 yyy|"));
}

TEST_CASE_FIXTURE(fixture, "of a text beyond the limit the end is kept")
{
    says("a", 0, std::string(10'000, 'x') + "end");
    CHECK(known.bytes() == 1000);
    pull(tool, {{"a", 0}});
    CHECK(got(tool) == "0 2 7 " + std::string(1000 - upkeep - 3, 'x') + "end|");
    forwarding nothing{jobs, 0, 4};
    nothing.output({"a", 0}, channels::out, "x");
    CHECK(nothing.bytes() == 0);
}

TEST_CASE_FIXTURE(fixture, "a registration ends by the reference that the server gave its session")
{
    const auto one = pull(tool, {{"a", whole}}, everything, 1), two = pull(tool, {{"a", 0}}, everything, 2);
    CHECK(deregister(second, one) == status::not_found);
    pull(second, {{"b", 0}});
    CHECK(deregister(second, one) == status::not_found);
    CHECK(deregister(tool, 999) == status::not_found);
    CHECK(deregister(tool, one) == status::success);
    CHECK(deregister(tool, one) == status::not_found);
    says("a", 0, "x");
    CHECK(got(tool) == "0 2 2 x|");
    CHECK(deregister(tool, two) == status::success);
    says("a", 0, "y");
    CHECK(got(tool) == "0 2 2 x|");
    CHECK(known.pulls() == 1);
}

TEST_CASE_FIXTURE(fixture, "a session that is dropped gets nothing, and leaves nothing")
{
    pull(tool, {{"a", whole}, {"b", 0}});
    pull(tool, {{"a", 1}});
    pull(second, {{"a", 1}});
    known.drop(tool.from.session);
    known.drop(other.from.session);
    says("a", 1, "x");
    CHECK(got(tool) == "");
    CHECK(got(second) == "1 2 7 x|");
    CHECK(known.pulls() == 1);
}

TEST_CASE_FIXTURE(
    fixture, "with a namespace goes what was kept of it, and who pulled it gets nothing of its successor")
{
    const auto reference = pull(tool, {{"a", whole}, {"b", 0}});
    says("b", 0, "heard");
    says("a", 0, "");
    REQUIRE(known.bytes() != 0);
    known.forget("a");
    jobs.remove("a");
    CHECK(known.bytes() == 0);
    says("a", 0, "of nobody");
    jobs.add({"a", 3, 1000, 1000});
    says("a", 0, "of another job");
    CHECK(got(tool) == "b0 2 7 heard|0 2 7 |");
    pull(second, {{"a", 0}});
    CHECK(got(second) == "0 2 7 of another job|");
    says("b", 0, "still");
    CHECK(got(tool) == "b0 2 7 heard|0 2 7 |b0 2 7 still|");
    CHECK(deregister(tool, reference) == status::success);
    known.forget("nosuch");
}

TEST_CASE_FIXTURE(fixture,
                  "one session pulls up to its limit, over all registrations; what ends is given back")
{
    const auto two = pull(tool, {{"a", 0}, {"a", 1}});
    pull(tool, {{"a", whole}});
    CHECK(refused(tool, {{"a", 0}, {"b", 0}}) == status::out_of_resource);
    pull(tool, {{"b", 0}});
    CHECK(refused(tool, {{"b", 0}}) == status::out_of_resource);
    pull(second, {{"b", 0}});
    CHECK(deregister(tool, two) == status::success);
    pull(tool, {{"a", 0}, {"b", 0}});
}

TEST_CASE_FIXTURE(fixture,
                  "targets of input are processes that the requester may see, for a namespace all of it")
{
    const auto targets = [&](const peer& by, std::vector<wire::proc> named) {
        return target_processes(jobs, by.from, std::move(named));
    };
    using procs = std::vector<wire::proc>;
    CHECK(targets(tool, {{"b", 0}, {"a", whole}, {"a", 1}}) == procs{{"a", 0}, {"a", 1}, {"a", 2}, {"b", 0}});
    CHECK(targets(tool, {{"a", 2}, {"a", 0}, {"a", 2}}) == procs{{"a", 0}, {"a", 2}});
    CHECK(targets(tool, {}) == procs{});
    CHECK(targets(tool, {{"a", 3}}) == std::nullopt);
    CHECK(targets(tool, {{"a", 0}, {"o", whole}}) == std::nullopt);
    CHECK(targets(root, {{"o", whole}}) == procs{{"o", 0}});
    job about;
    about.nspace = "tool", about.uid = 1000;
    jobs.add_tool(about, 5);
    CHECK(targets(tool, {{"tool", whole}}) == procs{{"tool", 5}});
}

TEST_CASE_FIXTURE(fixture, "lines are tagged for who asks for it, and only then")
{
    const auto asking = [](const char* directive, bool yes = true) {
        return std::vector<wire::info>{{directive, 0, wire::value::boolean(yes)}};
    };
    says("a", 0, "kept\n");
    ask(tool, {{"a", whole}}, everything, 1, asking("pmix.iof.tag"));
    ask(second, {{"a", whole}}, channels::out, 2, asking("pmix.iof.rank"));
    ask(root, {{"a", whole}}, channels::out, 3, asking("pmix.iof.tag", false));
    says("a", 1, "one\ntwo", channels::err);
    says("a", 1, "", channels::err);
    says("a", 2, "x\n", channels::diagnostics);
    says("a", 2, "y\n");
    CHECK(got(tool) ==
          "0 2 1 [a,0]<stdout>: kept\n|1 4 1 [a,1]<stderr>: one\n|1 4 1 [a,1]<stderr>: two\n|1 4 1 |"
          "2 8 1 [a,2]<stddiag>: x\n|2 2 1 [a,2]<stdout>: y\n|");
    CHECK(got(second) == "0 2 2 [0]<stdout>: kept\n|2 2 2 [2]<stdout>: y\n|");
    CHECK(got(root) == "0 2 3 kept\n|2 2 3 y\n|");
}

TEST_CASE_FIXTURE(fixture, "many lines are tagged some at a time, and none is cut")
{
    ask(tool, {{"a", 0}}, everything, 7, {{"pmix.iof.tagfull", 0, {}}});
    says("a", 0, std::string(10'000, '\n') + std::string(9'000, 'x') + "\nend");
    CHECK(tool.answers() == 1 + 5); // 3 x 4096 lines' worth, the long one, and the last
    std::string all;
    for (std::size_t i = 1; i < tool.answers(); ++i) {
        const auto piece = test::payload<message::output>(tool.out->frames[i]);
        all.append(reinterpret_cast<const char*>(piece.data.data()), piece.data.size());
    }
    std::string wanted;
    for (int i = 0; i != 10'000; ++i)
        wanted += "[a,0]<stdout>: \n";
    CHECK(all == wanted + "[a,0]<stdout>: " + std::string(9'000, 'x') + "\n[a,0]<stdout>: end\n");
}
