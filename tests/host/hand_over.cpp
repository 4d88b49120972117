// A connection that is accepted by one server, and served by another.
#include "../support/run.hpp"
#include "../support/served.hpp"
#include "../support/vectors.hpp"

#include <pmixio/security/dummy_handshake.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::client;
using test::hello_bytes;
using test::open_site;
using test::running;
using test::show;
using test::tool_hello;

struct pointing_host : signpost {
    unsigned asked = 0;

    entrance elsewhere(std::string_view nspace)
    {
        ++asked;
        return signpost::elsewhere(nspace);
    }
};

const wire::proc distant{"distant", 0};

/// Clients come to one server; another, on a context of its own, has a further job.
template <class Site = open_site>
struct neighbours {
    using part = running<Site, pointing_host>;

    explicit neighbours(server_settings<Site> at_here = {}, server_settings<Site> at_there = {})
        : here(std::make_unique<part>(host_here, at_here)),
          there(std::make_unique<part>(host_there, at_there)), io(here->io), at(here->at)
    {
        there->jobs.add({distant.nspace, 2, ::geteuid(), ::getegid()});
        host_here.jobs[distant.nspace] = there->under_test->entrance();
        host_there.jobs["nobody's"] = here->under_test->entrance();
        host_here.jobs["nobody's"] = there->under_test->entrance();
    }
    template <class Condition>
    void until(Condition reached)
    {
        here->until([&] {
            if (there && runs) {
                there->io.restart();
                there->io.poll();
            }
            return reached();
        });
    }
    const counters& seen_here() const { return here->under_test->observer(); }
    const counters& seen_there() const { return there->under_test->observer(); }
    /// Until the first server has done with so many.
    void until_gone(std::uint64_t n)
    {
        until([&] { return seen_here().handed_over + seen_here().refused + seen_here().admitted == n; });
    }

    pointing_host host_here, host_there;
    std::unique_ptr<part> here, there;
    bool runs = true; ///< the other one
    asio::io_context& io;
    listener& at;
};

using pair = client<neighbours<>>;

const std::string refused_as_unknown = "ff ff ff d2"; // NOT_FOUND

} // namespace

TEST_CASE("a peer whose job another server has is served there, whenever its request is whole")
{
    neighbours<> s;
    const auto request = hello_bytes(distant, "6.1.0");
    for (const std::size_t first : {request.size(), std::size_t{1}, std::size_t{16}, request.size() - 1}) {
        CAPTURE(first);
        const auto before = s.seen_there().admitted;
        pair c(s);
        const auto middle = request.begin() + static_cast<std::ptrdiff_t>(first);
        c.write({request.begin(), middle});
        s.until([&] { return first == request.size() || s.here->under_test->pending_handshakes() == 1; });
        c.write({middle, request.end()});
        CHECK(show(c.read(8)).starts_with("00 00 00 00"));
        c.send(message::req{});
        CHECK(test::payload<message::job_data>(c.answer()).nspace == distant.nspace);
        CHECK(s.seen_there().admitted == before + 1);
        CHECK(c.ask(message::finalize{}) == wire::status::success);
    }
    CHECK(s.here->under_test->pending_handshakes() == 0);
    CHECK(s.here->under_test->sessions() == 0);
    CHECK(s.seen_here().accepted == 4);
    CHECK(s.seen_here().handed_over == 4);
    CHECK(s.seen_here().admitted + s.seen_here().refused == 0);
    CHECK(s.seen_there().accepted == 4);
}

TEST_CASE("every recorded client and tool of a job is handed over")
{
    struct claimed_site : defaults {
        using security = securities<security::native_claimed, security::none>;
        using observer = counters;
    };
    neighbours<claimed_site> s;
    std::uint64_t handed_over = 0;
    for (const auto& name : test::names("")) {
        if (!name.ends_with("client.request") && !name.ends_with("client-none.request"))
            continue;
        CAPTURE(name);
        const auto request = test::load(name).bytes;
        const auto said = parse_handshake(std::span<const std::byte>(request)).value();
        if (!s.there->jobs.find(*said.nspace))
            s.there->jobs.add({std::string(*said.nspace), 64, 0, 0}); // recorded as root
        s.host_here.jobs[std::string(*said.nspace)] = s.there->under_test->entrance();
        client c(s);
        c.write(request);
        CHECK(show(c.read(8)).starts_with("00 00 00 00"));
        ++handed_over;
    }
    CHECK(handed_over >= 12);
    CHECK(s.seen_here().handed_over == handed_over);
    CHECK(s.seen_there().admitted == handed_over);
}

TEST_CASE("who is known where he comes stays, and so does a tool without a name")
{
    neighbours<> s;
    const auto there = s.there->under_test->entrance();
    s.host_here.jobs["a"] = s.host_here.jobs[""] = there;
    pair known(s, {"a", 0}), tool(s);
    tool.write(tool_hello(peer_kind::tool_needs_id, {}, ::geteuid(), "6.1.0", {}, "none"));
    CHECK(show(tool.read(528)).starts_with("00 00 00 00"));
    pair empty(s);
    empty.write(tool_hello(peer_kind::tool, wire::proc{"", 0}, ::geteuid(), "6.1.0", {}, "none"));
    CHECK(empty.read(8).size() == 4); // refused
    CHECK(s.host_here.asked == 0);
    CHECK(s.here->under_test->sessions() == 2);

    pair named(s); // by a name that nobody has: asked for once, and a tool of this server
    named.write(tool_hello(peer_kind::tool, wire::proc{"hammer", 0}, ::geteuid(), "6.1.0", {}, "none"));
    CHECK(named.read(268).size() == 268);
    CHECK(s.host_here.asked == 1);
    CHECK(s.here->under_test->sessions() == 3);
    CHECK(s.seen_there().accepted == 0);
}

TEST_CASE("a tool of a job's name goes to the job's server")
{
    neighbours<> s;
    pair started(s);
    started.write(tool_hello(peer_kind::started_tool, distant, ::geteuid(), "6.1.0", {}, "none"));
    CHECK(show(started.read(268)).starts_with("00 00 00 00"));
    CHECK(s.there->under_test->sessions() == 1);
}

TEST_CASE("who is known nowhere is refused once, where he was sent, and not sent back")
{
    neighbours<> s;
    pair c(s);
    c.write(hello_bytes({"nobody's", 0}, "6.1.0"));
    CHECK(show(c.read(8)) == refused_as_unknown);
    CHECK(s.host_there.asked == 0);
    CHECK(s.seen_here().handed_over == 1);
    CHECK(s.seen_here().refused == 0);
    CHECK(s.seen_there().refused_by_reason.at("unknown_namespace") == 1);
    CHECK(s.seen_there().accepted == 1);

    pair of_no_server(s);
    of_no_server.write(hello_bytes({"else", 0}, "6.1.0"));
    CHECK(show(of_no_server.read(8)) == refused_as_unknown);
    CHECK(s.seen_here().refused_by_reason.at("unknown_namespace") == 1);
}

TEST_CASE("what follows a request is refused where it comes")
{
    neighbours<> s;
    pair at_once(s), later(s);
    auto more = hello_bytes(distant, "6.1.0");
    later.write({more.begin(), more.begin() + 20});
    s.until([&] { return s.here->under_test->pending_handshakes() == 2; });
    more.push_back(std::byte{0});
    later.write({more.begin() + 20, more.end()});
    at_once.write(more);
    for (auto* each : {&at_once, &later})
        CHECK(show(each->read(8)) == "ff ff ff e5");
    CHECK(s.seen_here().refused_by_reason.at("extra_bytes") == 2);
    CHECK(s.seen_there().accepted == 0);
}

TEST_CASE("an entrance of a server that is gone leads nowhere")
{
    neighbours<> s;
    SUBCASE("with its context") { s.there.reset(); }
    SUBCASE("stopped only") { s.there->under_test->stop(); }
    pair c(s);
    c.write(hello_bytes(distant, "6.1.0"));
    CHECK(show(c.read(8)) == refused_as_unknown);
    CHECK(s.seen_here().refused_by_reason.at("unknown_namespace") == 1);
    CHECK(s.seen_here().handed_over == 0);
}

TEST_CASE("who is on the way to a server that goes is closed")
{
    neighbours<> s;
    s.runs = false;
    pair one(s), two(s);
    for (auto* each : {&one, &two})
        each->write(hello_bytes(distant, "6.1.0"));
    s.until_gone(2);
    CHECK(s.seen_here().handed_over == 2);
    SUBCASE("stopped")
    {
        s.there->under_test->stop();
        CHECK(s.seen_there().accepted == 2);
        CHECK(s.seen_there().refused_by_reason.at("closed_by_us") == 2);
        s.runs = true; // what was to take them over finds nothing
    }
    SUBCASE("destroyed, and its context runs on")
    {
        s.there->under_test.reset();
        s.runs = true;
    }
    SUBCASE("destroyed with its context") { s.there.reset(); }
    CHECK(one.read(1).empty());
    CHECK(two.read(1).empty());
}

TEST_CASE("a host may destroy the server that takes over, of several on their way")
{
    struct leaving_host {
        std::function<void()> leave;
        void connected(const identity&) { leave(); }
    };
    pointing_host from;
    running<open_site, pointing_host> here(from);
    leaving_host to;
    running<open_site, leaving_host> there(to);
    there.jobs.add({distant.nspace, 2, ::geteuid(), ::getegid()});
    from.jobs[distant.nspace] = there.under_test->entrance();
    to.leave = [&] { there.under_test.reset(); };

    client one(here), two(here);
    for (auto* each : {&one, &two})
        each->write(hello_bytes(distant, "6.1.0"));
    here.until([&] { return here.under_test->observer().handed_over == 2; });
    there.io.poll();
    CHECK(!there.under_test);
    CHECK(one.read(9).size() <= 8); // it may have been greeted
    CHECK(two.read(1).empty());
}

TEST_CASE("so many are on their way as a server admits at a time, and of one user as many as he may")
{
    for (const bool of_user : {true, false}) {
        CAPTURE(of_user);
        server_settings<open_site> few;
        (of_user ? few.limits.pending_per_user : few.limits.pending_handshakes) = 3;
        neighbours<> s({}, few);
        s.runs = false;
        std::vector<std::unique_ptr<pair>> all;
        for (int i = 0; i != 4; ++i) {
            all.push_back(std::make_unique<pair>(s));
            all.back()->write(hello_bytes(distant, "6.1.0"));
            s.until_gone(static_cast<std::uint64_t>(i) + 1);
        }
        CHECK(s.seen_here().handed_over == 3);
        CHECK(show(all[3]->read(8)) == "ff ff ff e3");
        CHECK(s.seen_here().refused_by_reason.at(of_user ? "too_many_of_user" : "too_many_pending") == 1);
        s.runs = true;
        for (int i = 0; i != 3; ++i)
            CHECK(all[static_cast<std::size_t>(i)]->read(8).size() == 8);
        CHECK(s.there->under_test->sessions() == 3);
    }
}

TEST_CASE("the limits of the server that takes over hold there")
{
    server_settings<open_site> few;
    few.limits.pending_handshakes = 1;
    neighbours<> s({}, few);
    client stalled(*s.there);
    s.until([&] { return s.there->under_test->pending_handshakes() == 1; });
    pair c(s);
    c.write(hello_bytes(distant, "6.1.0"));
    CHECK(show(c.read(8)) == "ff ff ff e3");
    CHECK(s.seen_there().refused_by_reason.at("too_many_pending") == 1);
    pair deaf(s); // its release takes a status for a success
    deaf.write(hello_bytes(distant, "4.2.2"));
    CHECK(deaf.read(8).empty());
}

TEST_CASE("what the kernel said of a peer goes with it")
{
    struct native_site : defaults {
        using security = securities<security::native>;
        using observer = counters;
    };
    neighbours<native_site> s;
    if (!s.there->under_test->kernel_identity())
        return;
    client c(s);
    c.write(hello_bytes(distant, "6.1.0", "native", test::native_credential()));
    CHECK(c.read(8).size() == 8);
    CHECK(s.seen_there().admitted == 1);

    s.there->jobs.add({"others", 1, ::geteuid() + 1, ::getegid()});
    s.host_here.jobs["others"] = s.there->under_test->entrance();
    client wrong(s);
    wrong.write(hello_bytes({"others", 0}, "6.1.0", "native", test::native_credential()));
    CHECK(wrong.read(8).size() == 4);
    CHECK(s.seen_there().refused_by_reason.at("wrong_user") == 1);
}

TEST_CASE("who takes over may take its time to judge, within the deadline")
{
    struct stepwise_site : defaults {
        using security = securities<security::dummy_handshake>;
        using observer = counters;
    };
    server_settings<stepwise_site> soon;
    soon.limits.handshake = 300ms;
    neighbours<stepwise_site> s({}, soon);
    const auto dymmy = test::bytes_of(std::string_view("dymmy_cred\0", 11));
    client good(s), silent(s);
    for (auto* each : {&good, &silent}) {
        each->write(hello_bytes(distant, "6.1.0", "dummy_handshake", dymmy));
        CHECK(each->read(4 + 8 + 32).size() == 44);
    }
    good.write(bytes(4));
    CHECK(good.read(4).size() == 4);
    CHECK(silent.read(1).empty());
    CHECK(s.seen_there().admitted == 1);
    CHECK(s.seen_there().timed_out == 1);
}
