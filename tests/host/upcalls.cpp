#include "../support/run.hpp"
#include "../support/served.hpp"

#include <pmixio/server.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::client;
using test::open_site;
using test::payload;
using test::running;
using test::whole_job;
using wire::status;
using wire::value;

wire::status status_of(const test::bytes& answer) { return payload<message::status_reply>(answer).result; }

/// Answers when the test says so.
struct slow_host {
    asio::steady_timer* waiting = nullptr; ///< of the last that waits
    int begun = 0, ended = 0, cancelled = 0;
    status outcome = status::success;
    std::vector<wire::proc> fenced;
    std::vector<std::string> heard;

    asio::awaitable<status> wait()
    {
        ++begun;
        asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
        waiting = &never;
        try {
            std::error_code woken;
            const auto state = co_await asio::this_coro::cancellation_state;
            co_await never.async_wait(asio::redirect_error(asio::use_awaitable, woken));
            cancelled += state.cancelled() != asio::cancellation_type::none;
        } catch (...) {
            ++cancelled;
            throw;
        }
        ++ended;
        co_return outcome;
    }
    void answer(status with)
    {
        outcome = with;
        waiting->cancel();
    }

    asio::awaitable<status> fence(message::fence joined)
    {
        fenced = joined.processes;
        for (const auto& each : joined.infos)
            heard.push_back(each.key);
        return wait();
    }
    asio::awaitable<status> notify(requester, message::notify) { return wait(); }
    asio::awaitable<message::spawn_reply> spawn(requester from, message::spawn request)
    {
        if (request.apps.empty())
            throw std::runtime_error("nothing to spawn");
        const auto how = co_await wait();
        co_return message::spawn_reply{how, "of " + from.who.nspace, {}};
    }
    asio::awaitable<message::get_reply> direct_modex(requester, message::get request)
    {
        message::get_reply reply;
        reply.sources.push_back({{request.nspace, request.rank}, {{*request.key, value::uint32(9)}}});
        co_return reply;
    }
    asio::awaitable<message::infos_reply> fabric_register(requester, message::fabric_register asked)
    {
        message::infos_reply reply;
        reply.infos = std::move(asked.infos);
        co_return reply;
    }
    asio::awaitable<message::infos_reply> fabric_update(requester, message::fabric_update asked)
    {
        message::infos_reply reply;
        reply.infos = {{"index", 0, value::uint64(asked.index)}};
        co_return reply;
    }
    void register_events(const requester&, const message::register_events& r)
    {
        heard.push_back("+" + std::to_string(r.codes.size()));
    }
    void deregister_events(const requester&, const message::deregister_events& r)
    {
        heard.push_back("-" + std::to_string(r.codes.size()));
    }
};

using slow_server = running<open_site, slow_host>;
using slow_client = client<slow_server>;

message::spawn one_app() { return {{}, {{"program", {}, {}, std::nullopt, 1, {}}}}; }

} // namespace

TEST_CASE("a request is answered with what the host's coroutine returns")
{
    slow_host host;
    slow_server s(host);
    slow_client c(s, {"a", 0});
    c.send(one_app());
    s.until([&] { return host.begun == 1; });
    host.answer(status::success);
    CHECK(payload<message::spawn_reply>(c.answer()).nspace == "of a");
    CHECK(host.cancelled == 0);
}

TEST_CASE("a host that throws has answered with ERROR, and who runs the server hears of it")
{
    slow_host host;
    slow_server s(host);
    slow_client c(s, {"a", 0});
    c.send(message::spawn{});
    std::string thrown;
    try {
        s.until([] { return false; });
    } catch (const std::exception& e) {
        thrown = e.what();
    }
    CHECK(thrown == "nothing to spawn");
    CHECK(status_of(c.answer()) == status::error);
}

TEST_CASE("what a host does for a session is cancelled at the session's end, and nothing else is")
{
    slow_host host;
    slow_server s(host);
    {
        slow_client other(s, {"a", 1});
        slow_client c(s, {"a", 0});
        c.send(one_app());
        s.until([&] { return host.begun == 1; });
        other.link.close();
        s.until([&] { return s.under_test->sessions() == 1; });
        CHECK(host.cancelled + host.ended == 0);
        c.link.close();
        s.until([&] { return host.cancelled == 1; });
    }
    slow_client again(s, {"a", 0});
    again.send(one_app());
    s.until([&] { return host.begun == 2; });
    s.under_test.reset();
    s.until([&] { return host.cancelled == 2; });
}

TEST_CASE("a session waits for as many coroutines of the host as its limit says, and others are not affected")
{
    slow_host host;
    server_settings<open_site> settings;
    settings.limits.upcalls_per_session = 2;
    slow_server s(host, settings);
    slow_client c(s, {"a", 0}), other(s, {"a", 1});
    c.send(one_app());
    c.send(one_app());
    s.until([&] { return host.begun == 2; });
    c.send(one_app());
    CHECK(status_of(c.answer()) == status::out_of_resource);
    c.send(message::notify{static_cast<status>(-5000), wire::data_range::global, {}});
    CHECK(status_of(c.answer()) == status::out_of_resource);
    CHECK(host.begun == 2);
    other.send(one_app());
    s.until([&] { return host.begun == 3; });

    host.answer(status::success); // the other's, as it came last
    CHECK(payload<message::spawn_reply>(other.answer()).nspace == "of a");
    c.link.close();
    s.until([&] { return host.cancelled == 2; });
}

TEST_CASE("a host has the last word in a fence, when all have joined")
{
    slow_host host;
    slow_server s(host);
    slow_client zero(s, {"a", 0}), one(s, {"a", 1});
    zero.send(whole_job({{"first", 0, {}}}));
    one.send(whole_job({{"second", 0, {}}}));
    s.until([&] { return host.begun == 1; });
    CHECK(host.fenced == std::vector<wire::proc>{{"a", wire::rank::wildcard}});
    CHECK(host.heard == std::vector<std::string>{"first"});
    CHECK(s.under_test->pending_collectives() == 1);

    zero.send(whole_job()); // the next one, meanwhile
    s.until([&] { return s.under_test->pending_collectives() == 2; });
    host.answer(status::unreachable);
    CHECK(status_of(zero.answer(101)) == status::unreachable);
    CHECK(status_of(one.answer()) == status::unreachable);
    CHECK(s.under_test->pending_collectives() == 1);

    one.send(whole_job());
    s.until([&] { return host.begun == 2; });
    host.answer(status::success);
    CHECK(status_of(zero.answer()) == status::success);
    CHECK(status_of(one.answer()) == status::success);
}

TEST_CASE("a host need not decide about a fence that nobody waits for, or whose time is over")
{
    slow_host host;
    slow_server s(host);
    {
        slow_client zero(s, {"a", 0}), one(s, {"a", 1});
        zero.send(whole_job());
        one.send(whole_job());
        s.until([&] { return host.begun == 1; });
        zero.link.close();
        s.until([&] { return s.under_test->sessions() == 1; });
        CHECK(host.cancelled == 0);
        one.link.close();
        s.until([&] { return host.cancelled == 1; });
        CHECK(s.under_test->pending_collectives() == 0);
    }
    slow_client zero(s, {"a", 0}), one(s, {"a", 1});
    zero.send(whole_job({{"pmix.timeout", 0, value::of<wire::data_type::integer>(1)}}));
    one.send(whole_job());
    s.until([&] { return host.begun == 2; });
    CHECK(status_of(zero.answer()) == status::timeout);
    CHECK(status_of(one.answer()) == status::timeout);
    s.until([&] { return host.cancelled == 2; });
}

TEST_CASE("operations that the host does not know of end without it")
{
    slow_host host;
    slow_server s(host);
    slow_client zero(s, {"a", 0}), one(s, {"a", 1});
    message::connect both;
    both.processes = {{"a", wire::rank::wildcard}};
    zero.send(both);
    one.send(both);
    CHECK(status_of(zero.answer()) == status::success);
    CHECK(status_of(one.answer()) == status::success);
    CHECK(host.begun == 0);
}

TEST_CASE("an event reaches others when the host has agreed to it")
{
    slow_host host;
    slow_server s(host);
    slow_client zero(s, {"a", 0}), one(s, {"a", 1});
    CHECK(one.ask(message::register_events{}) == status::success);
    for (const auto how : {status::no_permissions, status::success}) {
        zero.send(message::notify{static_cast<status>(-5000), wire::data_range::global, {}});
        s.until([&] { return host.begun == host.ended + 1; });
        host.answer(how);
        CHECK(status_of(zero.answer()) == how);
    }
    one.answer(wire::event_tag);
    one.send(message::query{{{{"pmix.job.size"}, {}}}}); // and no second event before its answer
    CHECK(payload<message::infos_reply>(one.answer()).result == status::success);
}

TEST_CASE("a host hears of registrations for events")
{
    slow_host host;
    slow_server s(host);
    slow_client c(s, {"a", 0});
    CHECK(c.ask(message::register_events{{static_cast<status>(-5000)}, {}}) == status::success);
    c.send(message::deregister_events{{static_cast<status>(-5000)}});
    s.until([&] { return host.heard.size() == 2; });
    CHECK(host.heard == std::vector<std::string>{"+1", "-1"});
}

TEST_CASE("data of a process that no job has is asked of the host")
{
    slow_host host;
    slow_server s(host);
    slow_client c(s, {"a", 0});
    c.send(message::get{"elsewhere", 3, {}, "key"});
    const auto got = payload<message::get_reply>(c.answer());
    REQUIRE(got.sources.size() == 1);
    CHECK(got.sources[0].data == std::vector<wire::kval>{{"key", value::uint32(9)}});
}

TEST_CASE("a host is asked for data of namespaces that are not registered, and of no others")
{
    slow_host host; // which has a 9 for everybody
    slow_server s(host);
    slow_client c(s, {"a", 0});
    const auto ask = [&](const char* nspace, std::vector<wire::info> infos) {
        c.send(message::get{nspace, 0, std::move(infos), "k"});
        return payload<message::get_reply>(c.answer());
    };
    const auto found = ask("elsewhere", {});
    REQUIRE(found.sources.size() == 1);
    CHECK(found.sources[0].data == std::vector<wire::kval>{{"k", value::uint32(9)}});
    CHECK(ask("b", {{"pmix.immediate", 0, {}}}).result == status::not_found);
    CHECK(ask("b", {{"pmix.immediate", 0, {}}, {"pmix.get.refresh", 0, {}}}).result == status::not_found);
}

namespace {

struct knowing_host {
    bool throws = false;
    message::query asked;

    asio::awaitable<message::infos_reply> query(requester, message::query request)
    {
        asked = request;
        if (throws)
            throw std::runtime_error("not today");
        co_return message::infos_reply{status::success,
                                       std::vector<wire::info>{{"its own", 0, value::uint32(7)}}};
    }
};

} // namespace

TEST_CASE("a host is asked what the server does not know, and only that")
{
    knowing_host host;
    running<open_site, knowing_host> s(host);
    client c(s, {"a", 0});
    const auto ask = [&](std::vector<std::string> keys) {
        c.send(message::query{{{std::move(keys), {}}}});
        return payload<message::infos_reply>(c.answer());
    };
    CHECK(ask({"pmix.job.size"}).infos->size() == 1);
    CHECK(host.asked.queries.empty());
    const auto both = ask({"pmix.job.size", "its own"});
    CHECK(both.result == status::success);
    CHECK(both.infos->size() == 2);
    CHECK(host.asked == message::query{{{{"its own"}, {}}}});
    host.throws = true;
    c.send(message::query{{{{"pmix.job.size", "its own"}, {}}}});
    CHECK_THROWS_WITH_AS(s.until([] { return false; }), "not today", std::runtime_error);
    CHECK(payload<message::infos_reply>(c.answer()).result == status::partial_success);
}

TEST_CASE("who asks which processes and nodes there are is told")
{
    running<open_site> s;
    client c(s, {"a", 0});
    c.send(message::resolve_peers{std::nullopt, "a"});
    CHECK(payload<message::peers_reply>(c.answer()).peers == std::vector<wire::proc>{{"a", 0}, {"a", 1}});
    c.send(message::resolve_node{"a"});
    CHECK(payload<message::nodes_reply>(c.answer()).nodes == "localhost");
}

TEST_CASE("a host knows of fabrics")
{
    slow_host host;
    slow_server s(host);
    slow_client c(s, {"a", 0});
    const std::vector<wire::info> infos{{"vendor", 0, value::string("v")}};
    c.send(message::fabric_register{infos});
    CHECK(payload<message::infos_reply>(c.answer()).infos == infos);
    c.send(message::fabric_update{7});
    CHECK(payload<message::infos_reply>(c.answer()).infos ==
          std::vector<wire::info>{{"index", 0, value::uint64(7)}});
}
