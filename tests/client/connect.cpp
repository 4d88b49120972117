#include "support/bytes.hpp"
#include "support/manual_clock.hpp"
#include "support/run.hpp"
#include "support/vectors.hpp"

#include <pmixio/client.hpp>
#include <pmixio/server.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::hex;
using test::operator+;
using wire::status;
using wire::value;

struct token { // no connecting half
    static constexpr std::string_view name = "token";
    result<security::proof> validate(const security::evidence&) const { return fault::bad_credential; }
};
static_assert(!security::credential_policy<token>);

struct site : defaults {
    using security = securities<token, security::native, security::none>;
};
struct slow_site : site {
    using clock = test::manual_clock;
};

bytes tool_reply(const std::optional<wire::proc>& assigned = {})
{
    bytes reply;
    wire::writer out(reply);
    append_tool_reply(out, {"server", 2}, assigned);
    return reply;
}

/// A port where nobody listens, and nobody else will.
struct silent_port {
    asio::ip::tcp::acceptor at;
    server_address address;

    explicit silent_port(asio::io_context& io) : at(io, asio::ip::tcp::v4())
    {
        at.bind({asio::ip::address_v4::loopback(), 0});
        address.at = at.local_endpoint();
    }
};

/// A server by hand, for one connection at a time.
struct scripted {
    asio::ip::tcp::acceptor at;
    server_address address{{"contact", 1}, at.local_endpoint()};
    std::vector<bytes> requests;

    explicit scripted(asio::io_context& io) : at(io, {asio::ip::address_v4::loopback(), 0}) {}

    /// Accepts, reads the request, sends `reply`; closes unless the caller keeps the socket.
    asio::awaitable<asio::ip::tcp::socket> serve(bytes reply)
    {
        auto peer = co_await at.async_accept(asio::use_awaitable);
        bytes request(wire::frame_header_size);
        co_await asio::async_read(peer, asio::buffer(request), asio::use_awaitable);
        const auto size = handshake_size(std::span(request).first<wire::frame_header_size>()).value();
        request.resize(size);
        co_await asio::async_read(peer, asio::buffer(request) + wire::frame_header_size, asio::use_awaitable);
        requests.push_back(std::move(request));
        if (!reply.empty())
            co_await asio::async_write(peer, asio::buffer(reply), asio::use_awaitable);
        co_return peer;
    }
};

template <class P>
client_settings<P> rank(std::uint32_t n)
{
    client_settings<P> settings;
    settings.who = {"a", n};
    settings.pause = 0ms;
    return settings;
}

/// The outcome of connecting to a server that answers each connection with one of these, and the number of connections.
template <class P = site>
std::pair<result<client_session<P>>, std::size_t> connect_to(asio::io_context& io, std::vector<bytes> replies,
                                                             client_settings<P> settings)
{
    scripted server(io);
    auto play = [&]() -> asio::awaitable<void> {
        for (const auto& reply : replies)
            co_await server.serve(reply);
    };
    test::task<void> playing(io, play());
    auto outcome = test::run(io, connect<P>(server.address, settings));
    server.at.close();
    io.restart();
    io.poll();
    return {std::move(outcome), server.requests.size()};
}

} // namespace

TEST_CASE("a client says who it is, and is told its index")
{
    asio::io_context io;
    scripted server(io);
    test::task<asio::ip::tcp::socket> peer(io, server.serve(hex("00000000 00000007")));
    auto settings = rank<site>(3);
    settings.attributes = {{"pmix.ppid", 0, value::of<wire::data_type::pid>(5)}};
    const auto session = test::run(io, connect<site>(server.address, settings));
    REQUIRE(session);
    CHECK((session->who() == wire::proc{"a", 3}));
    CHECK((session->server() == wire::proc{"contact", 1}));
    CHECK(session->index() == 7);
    CHECK(session->encoding() == "v61");

    const auto said = parse_handshake(server.requests.at(0)).value();
    CHECK(said.security == "native"); // the first that can connect
    CHECK(test::show(said.credential) == test::show(security::native().credential().value()));
    CHECK(said.kind == peer_kind::client);
    CHECK(said.nspace == "a");
    CHECK(said.rank == 3);
    CHECK(said.encoding == "v61");
    CHECK(said.gds == "hash");
    CHECK(obeys_status(said.release));
    CHECK((decode_attributes<wire::v61>(said).value() == settings.attributes));
}

TEST_CASE("a tool is told who the server is, and who it is itself")
{
    asio::io_context io;
    for (const auto kind :
         {peer_kind::tool_needs_id, peer_kind::launcher_needs_id, peer_kind::tool, peer_kind::scheduler}) {
        scripted server(io);
        const bool needs = needs_identity(kind);
        test::task<asio::ip::tcp::socket> peer(
            io, server.serve(tool_reply(needs ? std::optional(wire::proc{"given", 4}) : std::nullopt)));
        auto settings = rank<site>(9);
        settings.kind = kind;
        const auto session = test::run(io, connect<site>(server.address, settings));
        REQUIRE(session);
        CHECK((session->who() == (needs ? wire::proc{"given", 4} : wire::proc{"a", 9})));
        CHECK((session->server() == wire::proc{"server", 2}));
        CHECK(session->index() == 0);
        const auto said = parse_handshake(server.requests.at(0)).value();
        CHECK(said.kind == kind);
        CHECK(said.uid == ::geteuid());
        CHECK(said.gid == ::getegid());
        CHECK(said.nspace.has_value() == !needs);
    }
}

TEST_CASE("security and encoding are the first that both have")
{
    asio::io_context io;
    const auto said = [&](std::string securities, std::string encodings, const char* release) -> std::string {
        scripted server(io);
        test::task<asio::ip::tcp::socket> peer(io, server.serve(hex("00000000 00000000")));
        auto settings = rank<site>(0);
        settings.securities = std::move(securities);
        settings.encodings = std::move(encodings);
        settings.release = wire::release::parse(release);
        const auto session = test::run(io, connect<site>(server.address, settings));
        if (!session)
            return session.error().message();
        const auto hello = parse_handshake(server.requests.at(0)).value();
        return std::string(hello.security) + ' ' + std::string(hello.encoding);
    };
    CHECK(said("", "", "") == "native v61");
    CHECK(said("munge,native", "v41", "") == "native v41");
    CHECK(said("none", "v21,v3", "6.1.0") == "none v3");
    CHECK(said("", "", "6.0.1") == "native v51");
    CHECK(said("", "", "4.2.2") == "native v41");
    CHECK(said("", "", "4.0.1") == "native v4");
    CHECK(said("", "", "3.2.5") == "native v3");
    CHECK(said("", "", "2.2.5") == "native v21");
    CHECK(said("", "", "2.0.3") == "unsupported_encoding");
    CHECK(said("token", "", "") == "unsupported_security");
    CHECK(said("munge", "", "") == "unsupported_security");
    CHECK(said("", "v12", "") == "unsupported_encoding");
}

TEST_CASE("what cannot be asked for is not sent")
{
    asio::io_context io;
    auto settings = rank<site>(0);
    settings.kind = peer_kind::legacy_tool;
    CHECK(connect_to(io, {{}}, settings).first.error() == fault::unsupported_peer_kind);
    settings.kind = peer_kind::tool;
    settings.who.nspace = std::string(256, 'n');
    CHECK(connect_to(io, {{}}, settings).first.error() == fault::name_too_long);
    settings = rank<site>(0);
    settings.attributes = {{std::string(512, 'k'), 0, {}}};
    const auto [outcome, connections] = connect_to(io, {{}}, settings);
    CHECK(outcome.error() == fault::name_too_long);
    CHECK(connections == 0);
}

TEST_CASE("a refusal is the server's status, and is not asked for again")
{
    asio::io_context io;
    const auto again = hex("00000000 00000000");
    auto tool = rank<site>(0);
    tool.kind = peer_kind::tool_needs_id;
    auto late = tool_reply(wire::proc{"given", 4});
    std::fill_n(late.end() - 4, 4, std::byte{0xff});
    struct row {
        bytes reply;
        client_settings<site> settings;
        std::error_code why;
    };
    for (const auto& each : {
             row{hex("ffffffd2"), rank<site>(0), wire::make_error_code(status::not_found)},
             row{hex("ffffffd1"), tool, wire::make_error_code(status::not_supported)},
             row{late, tool, wire::make_error_code(status::error)},
             row{hex("fffffff2"), rank<site>(0), fault::unsupported_security}, // an exchange
             row{{}, rank<site>(0), fault::closed_by_peer},
             row{hex("0000"), rank<site>(0), fault::closed_inside_message},
             row{hex("00000000 0000"), rank<site>(0), fault::closed_inside_message},
             row{hex("00000000") + bytes(260, std::byte{'n'}) + hex("00000000"), tool,
                 fault::closed_inside_message},
             row{hex("00000000") + bytes(520, std::byte{'n'}) + hex("00000000"), tool, fault::name_too_long},
         }) {
        CAPTURE(each.why);
        const auto [outcome, connections] = connect_to(io, {each.reply, again}, each.settings);
        CHECK(outcome.error() == each.why);
        CHECK(connections == 1);
    }
}

TEST_CASE("a configuration says how long to wait for a reply, and how often to try")
{
    client_settings<site> settings;
    const auto before = settings.attempt;
    listener_config config;
    config.handshake_wait_time = std::chrono::seconds(0);
    config.handshake_max_retries = 0;
    apply_configuration(settings, config);
    CHECK(settings.attempt == before); // nothing waits for ever
    CHECK(settings.attempts == 1);
    config.handshake_wait_time = std::chrono::seconds(9);
    config.handshake_max_retries = 2;
    apply_configuration(settings, config);
    CHECK(settings.attempt == std::chrono::seconds(9));
    CHECK(settings.attempts == 3);
}

TEST_CASE("a server that is temporarily unavailable is asked as often as the settings say")
{
    asio::io_context io;
    const auto later = hex("fffffaa9"), good = hex("00000000 00000001");
    auto settings = rank<site>(0);
    settings.attempts = 3;
    {
        const auto [outcome, connections] = connect_to(io, {later, later, good}, settings);
        CHECK(outcome);
        CHECK(connections == 3);
    }
    {
        const auto [outcome, connections] = connect_to(io, {later, later, later, good}, settings);
        CHECK(outcome.error() == wire::make_error_code(status::temporarily_unavailable));
        CHECK(connections == 3);
    }
}

TEST_CASE("where nobody listens the machine's error comes after the last attempt")
{
    asio::io_context io;
    const silent_port nowhere(io);
    auto settings = rank<site>(0);
    for (settings.attempts = 0; settings.attempts != 3; ++settings.attempts) {
        const auto outcome = test::run(io, connect<site>(nowhere.address, settings));
        CHECK(outcome.error() == asio::error::connection_refused);
        CHECK(outcome.error() == refusal::gone);
    }
}

TEST_CASE("a server that is there at a later attempt is reached")
{
    asio::io_context io;
    silent_port late(io);
    auto settings = rank<slow_site>(0);
    settings.pause = 1h;
    settings.attempts = 2;
    test::task<result<client_session<slow_site>>> connecting(io, connect<slow_site>(late.address, settings));
    const auto limit =
        std::chrono::steady_clock::now() + 200ms; // the refusal of a connection takes microseconds
    while (std::chrono::steady_clock::now() < limit)
        io.restart(), io.run_one_for(10ms);
    REQUIRE_FALSE(connecting.done());
    late.at.listen();
    test::pass_time(io, 1h);
    auto peer = late.at.accept();
    asio::write(peer, asio::buffer(hex("00000000 00000001")));
    CHECK(test::finish(io, connecting));
}

TEST_CASE("a server that never answers, or stops in the middle, is given up at the deadline")
{
    for (const auto& begun : {bytes{}, hex("0000"), hex("00000000 0000")}) {
        asio::io_context io;
        scripted server(io);
        test::task<asio::ip::tcp::socket> serving(io, server.serve(begun));
        auto settings = rank<slow_site>(0);
        settings.attempt = 5s;
        test::task<result<client_session<slow_site>>> connecting(
            io, connect<slow_site>(server.address, settings));
        const auto peer = test::finish(io, serving);
        test::pass_time(io, 4s);
        CHECK_FALSE(connecting.done());
        test::pass_time(io, 2s);
        CHECK(test::finish(io, connecting).error() == fault::handshake_timeout);
    }
}

TEST_CASE("connecting can be cancelled while the server keeps silent, and in the pause")
{
    {
        asio::io_context io;
        scripted server(io);
        test::task<asio::ip::tcp::socket> serving(io, server.serve({}));
        test::task<result<client_session<site>>> connecting(io, connect<site>(server.address, rank<site>(0)));
        auto peer = test::finish(io, serving);
        connecting.cancel();
        CHECK(test::finish(io, connecting).error() == asio::error::operation_aborted);
        bytes nothing(1);
        std::error_code ended;
        peer.read_some(asio::buffer(nothing), ended);
        CHECK(ended == asio::error::eof);
    }
    asio::io_context io;
    const silent_port nowhere(io);
    auto settings = rank<site>(0);
    settings.pause = 1h;
    test::task<result<client_session<site>>> connecting(io, connect<site>(nowhere.address, settings));
    io.run_for(100ms); // by now in the pause, or not yet: both must end
    connecting.cancel();
    CHECK(test::finish(io, connecting).error() == asio::error::operation_aborted);
}

TEST_CASE("what the server sends behind its reply is the session's")
{
    asio::io_context io;
    scripted server(io);
    message::event told;
    told.code = static_cast<status>(-3007);
    told.source = {"b", 2};
    const auto frame = make_frame<wire::v61>(wire::event_tag, told, {}).value();
    test::task<asio::ip::tcp::socket> serving(
        io, server.serve(hex("00000000 00000007") + bytes(frame.begin(), frame.end())));
    auto settings = rank<site>(0);
    std::vector<message::event> events;
    settings.on_event = [&](auto e) { events.push_back(e.value()); };
    const auto session = test::run(io, connect<site>(server.address, settings));
    REQUIRE(session);
    test::run_until(io, [&] { return !events.empty(); });
    CHECK((events[0] == told));
}

TEST_CASE("the word too many of old servers is not taken for a message")
{
    asio::io_context io;
    scripted server(io);
    test::task<asio::ip::tcp::socket> serving(io, server.serve(hex("00000000 00000000 00000005")));
    auto settings = rank<site>(0);
    settings.release = {3, 1, 2};
    auto session = test::run(io, connect<site>(server.address, settings));
    REQUIRE(session);
    CHECK(session->index() == 5);
    auto peer = test::finish(io, serving);
    test::task<result<message::status_reply>> asked(io, session->request(message::commit()));
    bytes request(1);
    test::run(io, asio::async_read(peer, asio::buffer(request), asio::use_awaitable));
    asio::write(peer, asio::buffer(make_frame<wire::v3>(101, message::status_reply{}, {}).value()));
    CHECK(test::finish(io, asked)->result == status::success);
}

// Against our own server.

namespace {

struct native_site : defaults {
    using security = securities<security::native>;
    using observer = counters;
};

struct served {
    asio::io_context io;
    registry jobs{{"a", 3, ::geteuid(), ::getegid()}};
    listener at{io, loopback()};
    server<native_site> host{io.get_executor(), jobs};
    server_address address{host.name(), at.local_endpoint()};

    served()
    {
        asio::co_spawn(io, host.serve(at), [](std::exception_ptr, std::error_code) {});
    }
};

message::commit commit_of(std::uint32_t n) { return {{{wire::scope::global, {{"k", value::uint32(n)}}}}}; }

/// A rank's whole life: job data, put, fence, the data of all, good-bye. True at its end.
asio::awaitable<bool> live(served& s, std::uint32_t n, const char* encoding, wire::buffer_kind kind)
{
    auto settings = rank<native_site>(n);
    settings.encodings = encoding;
    settings.buffer = kind;
    auto session = co_await connect<native_site>(s.address, settings);
    CHECK_MESSAGE(session, session.error().message());
    if (!session)
        co_return false;
    CHECK(session->encoding() == encoding);

    const message::req job;
    const auto data = co_await session->request(job);
    CHECK((data && data->nspace == "a" && !data->entries.empty()));
    const auto put = commit_of(100 + n);
    const auto committed = co_await session->request(put);
    CHECK((committed && committed->result == status::success));
    message::fence all;
    all.processes = {{"a", wire::rank::wildcard}};
    const auto met = co_await session->request(all);
    CHECK((met && met->result == status::success));
    for (std::uint32_t peer = 0; peer != 3; ++peer) {
        message::get of;
        of.nspace = "a";
        of.rank = peer;
        of.key = "k";
        const auto got = co_await session->request(of);
        CHECK((got && got->sources.size() == 1 &&
               got->sources[0].data == std::vector<wire::kval>{{"k", value::uint32(100 + peer)}}));
    }
    const message::query unserved;
    const auto refused = co_await session->request(unserved);
    CHECK(refused);
    const auto left = co_await session->finalize();
    CHECK(left);
    co_return bool(left);
}

} // namespace

TEST_CASE("a job lives through our own server, in every encoding, all mixed")
{
    for (const auto kind : {wire::buffer_kind::non_described, wire::buffer_kind::fully_described})
        for (const auto& spoken : {std::array{"v61", "v41", "v21"}, {"v4", "v3", "v51"}}) {
            served s;
            if (!s.host.kernel_identity())
                return;
            std::vector<test::task<bool>> lives;
            for (std::uint32_t n = 0; n != 3; ++n)
                lives.emplace_back(s.io, live(s, n, spoken[n], kind));
            for (auto& each : lives)
                CHECK(test::finish(s.io, each));
            test::run_until(s.io, [&] { return s.host.sessions() == 0; });
            CHECK(s.host.observer().admitted == 3);
            CHECK(s.host.observer().refused == 0);
            CHECK(s.host.observer().malformed == 0);
        }
}

TEST_CASE("our own server says why it refuses")
{
    served s;
    if (!s.host.kernel_identity())
        return;
    auto settings = rank<native_site>(3);
    CHECK(test::run(s.io, connect<native_site>(s.address, settings)).error() ==
          wire::make_error_code(status::not_found));
    auto unknown = rank<native_site>(0);
    unknown.who.nspace = "b";
    CHECK(test::run(s.io, connect<native_site>(s.address, unknown)).error() == refusal::unknown_peer);
    auto guest = rank<site>(0);
    guest.securities = "none";
    CHECK(test::run(s.io, connect<site>(s.address, guest)).error() ==
          wire::make_error_code(status::not_supported));
    CHECK(s.host.observer().admitted == 0);
}

TEST_CASE("events of one client reach another, and the server's end ends the session")
{
    served s;
    if (!s.host.kernel_identity())
        return;
    std::vector<message::event> heard;
    auto listening = rank<native_site>(0);
    listening.on_event = [&](auto e) { heard.push_back(e.value()); };
    auto listener = test::run(s.io, connect<native_site>(s.address, listening)).value();
    auto speaker = test::run(s.io, connect<native_site>(s.address, rank<native_site>(1))).value();
    message::register_events codes;
    codes.codes = {static_cast<status>(-3001)};
    CHECK(test::run(s.io, listener.request(codes))->result == status::success);
    message::notify told;
    told.code = static_cast<status>(-3001);
    told.range = wire::data_range::session;
    CHECK(test::run(s.io, speaker.request(told))->result == status::success);
    test::run_until(s.io, [&] { return !heard.empty(); });
    CHECK((heard[0].source == wire::proc{"a", 1}));
    message::deregister_events none;
    none.codes = codes.codes;
    CHECK(listener.send(none));

    message::fence all;
    all.processes = {{"a", wire::rank::wildcard}};
    test::task<result<message::status_reply>> waits(s.io, listener.request(all));
    test::run_until(s.io, [&] { return s.host.pending_collectives() == 1; });
    s.host.close_sessions();
    CHECK(test::finish(s.io, waits).error() == refusal::gone);
    CHECK(listener.closed());
}
