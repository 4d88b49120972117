// Tools, launchers and singletons: as what they are admitted, and what they are told.
#include "support/run.hpp"
#include "support/served.hpp"
#include "support/vectors.hpp"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::running;
using test::show;
using test::tool_hello;
using wire::status;
using wire::value;

/// Named as the recorded peers' module, believes what they say.
struct believing {
    static constexpr std::string_view name = "native";
    result<security::proof> validate(const security::evidence& e) const
    {
        return security::proof{e.uid, e.gid};
    }
};
struct tool_site : defaults {
    using security = securities<believing>;
    using observer = counters;
};
using tool_server = running<tool_site>;

const std::uint32_t me = ::geteuid();

wire::proc name_at(const bytes& reply, std::size_t at)
{
    REQUIRE(reply.size() >= at + 260);
    wire::cursor in{std::span(reply).subspan(at, 260)};
    const auto raw = in.bytes(256);
    const std::string text(reinterpret_cast<const char*>(raw.data()), raw.size());
    return {text.substr(0, text.find('\0')), in.big_endian<std::uint32_t>()};
}

template <class Server>
struct tool : test::client<Server> {
    using test::client<Server>::client;
    bytes greet(const bytes& hello, std::size_t n)
    {
        this->write(hello);
        return this->read(n);
    }
};
template <class Server>
tool(Server&) -> tool<Server>;

constexpr std::size_t with_identity = 528, without_identity = 268;

} // namespace

TEST_CASE("every recorded tool, launcher and singleton is admitted, and its first request answered")
{
    std::map<std::string, int> kinds;
    for (const auto& name : test::names("")) {
        const bool of_tool = name.find("tool") != name.npos || name.find("launcher") != name.npos ||
                             name.find("singleton") != name.npos;
        if (!of_tool || !name.ends_with(".request"))
            continue;
        CAPTURE(name);
        tool_server s;
        tool t(s);
        const auto request = test::load(name).bytes;
        const auto said = parse_handshake(std::span<const std::byte>(request)).value();
        const std::size_t expected = needs_identity(said.kind)                     ? with_identity
                                     : wants_client_reply(said.kind, said.release) ? 8
                                                                                   : without_identity;
        const auto reply = t.greet(request, expected);
        REQUIRE(reply.size() == expected);
        CHECK(show(std::span(reply).first(4)) == "00 00 00 00");
        if (expected != 8)
            CHECK((name_at(reply, expected - 264) == s.under_test->name()));
        if (expected == with_identity)
            CHECK((name_at(reply, 4) == wire::proc{"pmixio-tool-1", 0}));
        ++kinds[std::to_string(expected)];

        const auto first = name.substr(0, name.size() - 7) + "first-message";
        const auto all = test::names(first);
        if (all.empty())
            continue;
        const auto message = test::load(first).bytes;
        const auto tag = wire::frame_header::parse(std::span(message).first<16>()).tag;
        t.write(message);
        const auto answer = t.answer(tag);
        CHECK(answer.size() > 16);
        ++kinds["answered"];
    }
    CHECK(kinds["528"] >= 14);
    CHECK(kinds["268"] >= 12);
    CHECK(kinds["8"] >= 2);
    CHECK(kinds["answered"] >= 25);
}

TEST_CASE("a tool's namespace lasts as long as its connections, and its name is not given twice")
{
    tool_server s;
    tool first(s), second(s);
    const auto one = name_at(first.greet(tool_hello(peer_kind::tool_needs_id, {}, me), with_identity), 4);
    const auto two =
        name_at(second.greet(tool_hello(peer_kind::launcher_needs_id, {}, me), with_identity), 4);
    CHECK(one != two);
    CHECK(s.jobs.find(one));
    first.send(message::req{});
    const auto data = test::payload<message::job_data>(first.answer());
    CHECK(data.nspace == one.nspace);
    CHECK(data.entries.back().rank == one.rank);
    first.link.close();
    s.until([&] { return s.under_test->sessions() == 1; });
    CHECK(!s.jobs.find(one));
    CHECK(s.jobs.find(two));
    second.link.close();
    s.until([&] { return s.under_test->sessions() == 0; });
    CHECK(!s.jobs.find(two.nspace));
}

TEST_CASE("a tool cannot take the name of a client, or of another tool")
{
    tool_server s;
    const auto refused = [&](peer_kind kind, const wire::proc& who, std::uint32_t uid = me) {
        tool t(s);
        return show(t.greet(tool_hello(kind, who, uid), 8));
    };
    const auto unauthorized = "ff ff ff f4";
    CHECK(refused(peer_kind::tool, {"a", 0}) == unauthorized);
    CHECK(refused(peer_kind::launcher, {"a", 1}) == unauthorized);
    CHECK(refused(peer_kind::scheduler, {"b", 7}) == unauthorized);

    tool holds(s);
    CHECK(holds.greet(tool_hello(peer_kind::tool, wire::proc{"mine", 3}, me), without_identity).size() ==
          without_identity);
    CHECK(refused(peer_kind::tool, {"mine", 4}) == unauthorized);
    tool again(s); // its own second connection
    CHECK(again.greet(tool_hello(peer_kind::tool, wire::proc{"mine", 3}, me), without_identity).size() ==
          without_identity);
    tool as_client(s);
    CHECK(show(as_client.greet(test::hello_bytes({"mine", 3}, "6.1.0", "native"), 8)) == "ff ff ff d2");
    CHECK(s.under_test->sessions() == 2);
}

TEST_CASE("a tool that the server started is the rank that was registered")
{
    tool_server s;
    tool started(s), wrong(s);
    CHECK(
        started.greet(tool_hello(peer_kind::started_tool, wire::proc{"a", 1}, me), without_identity).size() ==
        without_identity);
    CHECK(s.jobs.find(wire::proc{"a", 1})->connections == 1);
    CHECK(show(wrong.greet(tool_hello(peer_kind::started_launcher, wire::proc{"a", 2}, me), 8)) ==
          "ff ff ff d2");
    started.link.close();
    s.until([&] { return s.under_test->sessions() == 0; });
    CHECK(s.jobs.find("a"));
}

TEST_CASE("a host that leaves out introduce() serves no tools")
{
    tool_server s;
    tool t(s);
    s.at.close(); // the server accepts no more: the test does
    listener at(s.io, loopback());
    t.link = asio::ip::tcp::socket(s.io);
    t.link.connect(at.local_endpoint());
    auto peer = test::run(s.io, at.accept()).value();
    t.link.non_blocking(true);
    t.write(tool_hello(peer_kind::tool, wire::proc{"mine", 0}, me));
    auto said = test::run(s.io, parse_handshake(peer)).value();
    const auto claim = s.under_test->resolve(std::move(said)).value();
    const auto who = test::run(s.io, s.under_test->validate(peer, claim)).value();
    CHECK(!who.accepted());
    CHECK(s.under_test->reply(std::move(peer), who).error() == fault::unsupported_peer_kind);
    CHECK(show(t.read(8)) == "ff ff ff d1");
    CHECK(!s.jobs.find("mine"));
}

TEST_CASE("without a host that decides, only this user's and root's tools come in")
{
    tool_server s;
    tool stranger(s), root(s);
    CHECK(show(stranger.greet(tool_hello(peer_kind::tool_needs_id, {}, me + 1), 8)) == "ff ff ff f4");
    CHECK(root.greet(tool_hello(peer_kind::tool_needs_id, {}, 0), with_identity).size() == with_identity);
    CHECK(s.under_test->observer().refused_by_reason.at("refused_by_host") == 1);
}

TEST_CASE("legacy tools get the reply that their releases read")
{
    tool_server s;
    tool old(s), newer(s);
    const auto reply = old.greet(tool_hello(peer_kind::legacy_tool, {}, me, "2.1.4"), 524);
    REQUIRE(reply.size() == 524);
    CHECK(name_at(reply, 4).nspace == "pmixio-tool-1");
    CHECK(newer.greet(tool_hello(peer_kind::legacy_launcher, {}, me, "3.0.2"), 524).size() == 524);
    old.send(message::req{});
    CHECK(test::payload<message::job_data>(old.answer()).nspace == "pmixio-tool-1");
}

TEST_CASE("attributes that cannot be read refuse the tool")
{
    tool_server s;
    tool t(s);
    CHECK(show(t.greet(tool_hello(peer_kind::tool_needs_id, {}, me, "6.1.0", bytes(5, std::byte{0x7f})),
                       8)) == "ff ff ff e5");
}

TEST_CASE("a tool sees the jobs of its user")
{
    tool_server s;
    tool t(s);
    REQUIRE(t.greet(tool_hello(peer_kind::tool_needs_id, {}, me), with_identity).size() == with_identity);
    t.send(message::query{{{{"pmix.qry.ns"}, {}}}});
    const auto reply = test::payload<message::infos_reply>(t.answer());
    CHECK(reply.result == status::success);
    CHECK(reply.infos == std::vector<wire::info>{{"pmix.qry.ns", 0, value::string("a,b")}});

    test::client one(s);
    one.write(test::hello_bytes({"a", 0}, "4.2.2", "native"));
    REQUIRE(one.read(8).size() == 8);
    CHECK(one.ask(message::commit{{{wire::scope::local, {{"k", value::uint32(7)}}}}}) == status::success);
    t.send(message::get{"a", 0, {}, "k"});
    CHECK(test::payload<message::get_reply>(t.answer()).sources.back().data ==
          std::vector<wire::kval>{{"k", value::uint32(7)}});
}

namespace {

struct deciding_host {
    std::optional<result<wire::proc>> answer; ///< none: never
    std::vector<tool_request> asked;

    asio::awaitable<result<wire::proc>> tool_connected(tool_request request)
    {
        asked.push_back(request);
        while (!answer) {
            asio::steady_timer never(co_await asio::this_coro::executor, 1h);
            co_await never.async_wait(asio::use_awaitable);
        }
        co_return *answer;
    }
};

struct decided {
    explicit decided(std::optional<result<wire::proc>> answer) : host{std::move(answer), {}}, s(host, quick())
    {}
    static server_settings<tool_site> quick()
    {
        server_settings<tool_site> settings;
        settings.limits.handshake = 300ms;
        return settings;
    }
    bytes greet(peer_kind kind, const std::optional<wire::proc>& who, const bytes& attributes = {})
    {
        tool t(s);
        return t.greet(tool_hello(kind, who, me + 1, "6.1.0", attributes),
                       needs_identity(kind) ? with_identity : without_identity);
    }
    deciding_host host;
    running<tool_site, deciding_host> s;
};

} // namespace

TEST_CASE("a host names tools, or refuses them with its reason")
{
    decided named{result<wire::proc>(wire::proc{"given", 4})};
    CHECK((name_at(named.greet(peer_kind::tool_needs_id, {}), 4) == wire::proc{"given", 4}));
    CHECK(named.greet(peer_kind::tool, wire::proc{"given", 4}).size() == without_identity);
    CHECK(show(named.greet(peer_kind::tool, wire::proc{"own", 4})) == "ff ff ff f4"); // cannot be renamed

    decided unnamed{result<wire::proc>(wire::proc{})};
    CHECK(name_at(unnamed.greet(peer_kind::tool_needs_id, {}), 4).nspace == "pmixio-tool-1");

    decided no{result<wire::proc>(fault::unknown_namespace)};
    CHECK(show(no.greet(peer_kind::tool_needs_id, {})) == "ff ff ff d2");
    CHECK(no.s.under_test->sessions() == 0);
}

TEST_CASE("a host hears who the tool is, and what it says of itself")
{
    decided d{result<wire::proc>(wire::proc{"t", 1})};
    bytes attributes;
    wire::writer out(attributes);
    wire::encoder<wire::v41> packed(out, {});
    const std::vector<wire::info> infos{{"pmix.cmd.line", 0, value::string("mytool")}};
    packed.list(wire::as<wire::data_type::info>, infos);
    REQUIRE(out.ok());
    CHECK(d.greet(peer_kind::launcher, wire::proc{"t", 1}, attributes).size() == without_identity);
    REQUIRE(d.host.asked.size() == 1);
    const auto& asked = d.host.asked.front();
    CHECK((asked.peer.who() == wire::proc{"t", 1}));
    CHECK(asked.peer.kind() == peer_kind::launcher);
    CHECK(asked.peer.uid() == me + 1);
    CHECK(asked.peer.gid() == 100);
    CHECK(asked.version == "6.1.0");
    CHECK(asked.infos == infos);
}

TEST_CASE("a host that does not decide has the handshake's time, and a tool nobody waits for longer")
{
    decided d(std::nullopt);
    CHECK(show(d.greet(peer_kind::tool_needs_id, {})) == "ff ff ff e8");
    CHECK(d.s.under_test->observer().timed_out == 1);
    CHECK(d.s.under_test->pending_handshakes() == 0);
}

TEST_CASE("a server that goes while its host decides leaves nothing behind")
{
    decided d(std::nullopt);
    tool t(d.s);
    t.write(tool_hello(peer_kind::tool_needs_id, {}, me));
    d.s.until([&] { return !d.host.asked.empty(); });
    CHECK(d.s.under_test->pending_handshakes() == 1);
    d.s.under_test.reset();
    d.s.at.close();
    d.s.until([&] { return t.link.available() == 0; });
}
