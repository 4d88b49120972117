#include "../support/bytes.hpp"
#include "../support/vectors.hpp"

#include <pmixio/handshake/reply.hpp>
#include <pmixio/wire/cursor.hpp>

#include <algorithm>
#include <string>
#include <string_view>

using namespace pmixio;
using namespace pmixio::test;

namespace {

constexpr std::size_t status_bytes = 4, name_bytes = 256 + 4;

/// A 256-byte namespace and a rank, from a captured reply.
wire::proc name_at(std::span<const std::byte> reply, std::size_t at)
{
    const auto field = to_text(reply.subspan(at, 256));
    const auto text = field.substr(0, field.find('\0'));
    CHECK(field.find_first_not_of('\0', text.size()) == field.npos); // padded with NULs only
    wire::cursor rank(reply.subspan(at + 256, 4));
    return {std::string(text), rank.big_endian<std::uint32_t>()};
}

bytes client_reply(std::uint32_t index)
{
    bytes reply;
    wire::writer out(reply);
    append_client_reply(out, index);
    CHECK(out.ok());
    return reply;
}

bytes tool_reply(const wire::proc& server, const std::optional<wire::proc>& assigned = {})
{
    bytes reply;
    wire::writer out(reply);
    append_tool_reply(out, server, assigned);
    CHECK(out.ok());
    return reply;
}

bytes status_reply(wire::status s)
{
    bytes reply;
    wire::writer out(reply);
    append_status(out, s);
    return reply;
}

} // namespace

TEST_CASE("every captured reply is written to the same bytes")
{
    std::size_t clients = 0, tools = 0, assigned = 0, refused = 0, silent = 0;
    for (const auto& name : names("")) {
        if (!name.ends_with(".reply"))
            continue;
        CAPTURE(name);
        const auto reply = load(name).bytes;
        switch (reply.size()) {
        case 0: // closed without a reply
            ++silent;
            break;
        case status_bytes:
            CHECK(reply == status_reply(wire::status::not_found));
            ++refused;
            break;
        case 2 * status_bytes: {
            wire::cursor index{std::span(reply).subspan(status_bytes)};
            CHECK(reply == client_reply(index.big_endian<std::uint32_t>()));
            ++clients;
            break;
        }
        case status_bytes + name_bytes + status_bytes:
            CHECK(reply == tool_reply(name_at(reply, status_bytes)));
            ++tools;
            break;
        case status_bytes + 2 * name_bytes + status_bytes:
            CHECK(reply ==
                  tool_reply(name_at(reply, status_bytes + name_bytes), name_at(reply, status_bytes)));
            ++assigned;
            break;
        default: FAIL_CHECK("a reply of " << reply.size() << " bytes");
        }
    }
    CHECK(clients == 7);
    CHECK(tools == 14);
    CHECK(assigned == 7);
    CHECK(refused == 2);
    CHECK(silent == 3);
}

TEST_CASE("every captured reply is read as what it was written for, and no prefix of it is")
{
    using enum peer_kind;
    struct row {
        const char* part;
        peer_kind kind;
    };
    const row rows[] = {{"-tool-client.", started_tool}, {"launcher-given-id.", launcher}, {"launcher.", launcher_needs_id},
                        {"tool-given-id.", tool},        {"tool-needs-id.", tool_needs_id}, {"-tool.", tool_needs_id},
                        {"singleton.", singleton},       {"client.", client}};
    std::size_t read = 0;
    for (const auto& name : names("")) {
        if (!name.ends_with(".reply") || name.find("rejected") != name.npos)
            continue;
        CAPTURE(name);
        const auto reply = load(name).bytes;
        const auto* const of = std::ranges::find_if(rows, [&](const row& r) { return name.find(r.part) != name.npos; });
        REQUIRE(of != std::end(rows));
        const auto got = parse_reply(reply, of->kind);
        REQUIRE_MESSAGE(got, got.error().message());
        ++read;

        if (reply.size() == 8)
            CHECK(reply == client_reply(got->index.value()));
        else
            CHECK(reply == tool_reply(got->server.value(), got->assigned));
        CHECK(got->assigned.has_value() == needs_identity(of->kind));
        CHECK(got->server.has_value() != got->index.has_value());
        for (std::size_t size = 0; size != reply.size(); ++size) {
            const auto part = std::span(reply).first(size);
            CHECK(parse_reply(part, of->kind).error() == fault::truncated);
            const auto wanted = reply_size(part, of->kind); // enough to go on, never too much
            CHECK((wanted > size && wanted <= reply.size()));
        }
        CHECK(reply_size(reply, of->kind) == reply.size());
        CHECK(parse_reply(reply + hex("00"), of->kind).error() == fault::extra_bytes);
    }
    CHECK(read == 28);
}

TEST_CASE("a singleton takes either reply")
{
    CHECK((parse_reply(client_reply(9), peer_kind::singleton).value() == handshake_reply{9, {}, {}}));
    const wire::proc server{"s", 3};
    CHECK((parse_reply(tool_reply(server), peer_kind::singleton).value() == handshake_reply{{}, server, {}}));
    CHECK((parse_reply(load("debian-singleton.reply").bytes, peer_kind::singleton)->server.has_value()));
    CHECK((parse_reply(load("v6.1.0-singleton.reply").bytes, peer_kind::singleton)->index == 7));
}

TEST_CASE("an error status is the error, in either place")
{
    for (const auto said : {wire::status::not_found, wire::status::invalid_credential, static_cast<wire::status>(-4711),
                            static_cast<wire::status>(1), wire::status::not_supported}) {
        for (const auto kind : {peer_kind::client, peer_kind::tool, peer_kind::tool_needs_id, peer_kind::singleton}) {
            const auto refused = status_reply(said);
            CHECK(reply_size(refused, kind) == 4);
            CHECK(parse_reply(refused, kind).error() == wire::make_error_code(said));
            CHECK(parse_reply(refused + hex("00"), kind).error() == fault::extra_bytes);
        }
        auto late = tool_reply({"s", 0});
        late.resize(late.size() - 4);
        CHECK(parse_reply(late + status_reply(said), peer_kind::tool).error() == wire::make_error_code(said));
    }
    for (const auto* name : {"server-v2.2.5-rejected-unknown-nspace.reply", "server-v3.2.5-rejected-unknown-nspace.reply"})
        CHECK(parse_reply(load(name).bytes, peer_kind::client).error() == refusal::unknown_peer);
}

TEST_CASE("an exchange that nobody offered is a fault, not a status")
{
    const auto ready = status_reply(wire::status::ready_for_handshake);
    CHECK(parse_reply(ready, peer_kind::client).error() == fault::unsupported_security);
    auto late = tool_reply({"s", 0});
    late.resize(late.size() - 4);
    CHECK(parse_reply(late + ready, peer_kind::tool).error() == fault::unsupported_security);
}

TEST_CASE("servers of old releases write one word more to clients, and it is raw")
{
    struct row {
        const char* release;
        bool raw;
    };
    for (const auto& each : {row{"2.0.0", true}, {"2.1.4", true}, {"2.2.2", true}, {"2.2.3", false}, {"3.0.0", true},
                             {"3.1.2", true}, {"3.1.3", false}, {"3.2.5", false}, {"4.0.0", false}, {"", false}}) {
        CAPTURE(each.release);
        const auto server = wire::release::parse(each.release);
        CHECK(writes_raw_check(server) == each.raw);
        const auto noisy = hex("00000000 00000000 00000007"), plain = hex("00000000 00000007");
        const auto& reply = each.raw ? noisy : plain;
        CHECK(reply_size(reply, peer_kind::client, server) == reply.size());
        CHECK(parse_reply(reply, peer_kind::client, server)->index == 7);
        CHECK_FALSE(parse_reply(each.raw ? plain : noisy, peer_kind::client, server));
        CHECK(reply_size(plain, peer_kind::singleton, server) == 8);

        auto refused = tool_reply({"s", 0});
        refused.resize(refused.size() - 4);
        const std::int32_t minus_12 = -12;
        const auto raw = std::as_bytes(std::span(&minus_12, 1));
        refused = refused + (each.raw ? bytes(raw.begin(), raw.end()) : hex("fffffff4"));
        CHECK(parse_reply(refused, peer_kind::tool, server).error() == wire::make_error_code(wire::status::invalid_credential));
    }
    const auto old = wire::release::parse("3.1.2");
    CHECK_FALSE(parse_reply(hex("00000000 00000001 00000007"), peer_kind::client, old));
}

TEST_CASE("a name that does not end within its field is refused, and what follows its NUL is not part of it")
{
    auto reply = tool_reply({"s", 0});
    reply[6] = std::byte{'x'}; // behind the NUL
    CHECK((parse_reply(reply, peer_kind::tool)->server == wire::proc{"s", 0}));
    std::fill_n(reply.begin() + 4, 256, std::byte{'n'});
    CHECK(parse_reply(reply, peer_kind::tool).error() == fault::name_too_long);
    reply[4 + 255] = std::byte{0};
    CHECK(parse_reply(reply, peer_kind::tool)->server->nspace == std::string(255, 'n'));
}

TEST_CASE("replies to legacy kinds are not read")
{
    for (const auto kind : {peer_kind::legacy_tool, peer_kind::legacy_launcher})
        CHECK(parse_reply(tool_reply({"s", 0}), kind).error() == fault::unsupported_peer_kind);
}

TEST_CASE("captured tool replies name who the specification says")
{
    const auto reply = load("server-debian-tool-needs-id.reply").bytes;
    CHECK((name_at(reply, 4) == wire::proc{"toolns0", 0}));
    CHECK(name_at(reply, 264).nspace == "labsrv");
    CHECK(show(client_reply(7)) == "00 00 00 00 00 00 00 07");
    CHECK(client_reply(7) == load("debian-client.reply").bytes);
    CHECK(client_reply(7) == load("v6.1.0-singleton.reply").bytes);
}

TEST_CASE("numbers of a reply are big-endian")
{
    CHECK(show(client_reply(0x01020304)) == "00 00 00 00 01 02 03 04");
    CHECK(show(status_reply(wire::status::not_found)) == "ff ff ff d2");
    CHECK(show(status_reply(wire::status::success)) == "00 00 00 00");
    const auto tool = tool_reply({"s", wire::rank::wildcard});
    CHECK(show(std::span(tool).subspan(4, 3)) == "73 00 00");
    CHECK(show(std::span(tool).last(8)) == "ff ff ff fe 00 00 00 00");
}

TEST_CASE("a legacy tool is told its namespace, no rank, and the server's rank as it lies in memory")
{
    bytes reply;
    wire::writer out(reply);
    append_legacy_tool_reply(out, {"server", 0x01020304}, "tool");
    REQUIRE(out.ok());
    REQUIRE(reply.size() == 4 + 256 + 256 + 4 + 4);
    CHECK(to_text(std::span(reply).subspan(4, 5)) == std::string_view("tool", 5));
    CHECK(to_text(std::span(reply).subspan(260, 7)) == std::string_view("server", 7));
    wire::cursor rank{std::span(reply).subspan(516, 4)};
    CHECK(rank.host_order<std::uint32_t>() == 0x01020304);
    CHECK(show(std::span(reply).last(4)) == "00 00 00 00");
    append_legacy_tool_reply(out, {"server", 0}, std::string(256, 'n'));
    CHECK(out.error() == fault::name_too_long);
}

TEST_CASE("a namespace of 255 bytes has one NUL behind it, and a longer one is not written")
{
    const std::string longest(255, 'n');
    const auto reply = tool_reply({longest, 1}, wire::proc{longest, 2});
    CHECK(reply.size() == 528);
    CHECK(to_text(reply).substr(4, 256) == longest + '\0');
    CHECK(to_text(reply).substr(264, 256) == longest + '\0');

    for (const auto& [server, assigned] : {std::pair<std::size_t, std::size_t>{256, 3}, {3, 256}}) {
        bytes target;
        wire::writer out(target);
        append_tool_reply(out, {std::string(server, 's'), 0}, wire::proc{std::string(assigned, 'a'), 0});
        CHECK_FALSE(out.ok());
        CHECK(out.error() == fault::name_too_long);
    }
}

TEST_CASE("a peer is told its status if its release stops at one")
{
    struct row {
        const char* release;
        bool obeys;
    };
    for (const auto& each : {
             row{"2.0.0", true}, {"2.0.3", true},  {"2.1.0", true},     {"2.2.5", true},
             {"2.2.5rc1", true}, {"3.0.0", true},  {"3.1.5", true},     {"3.2.5", true},
             {"3.2.5a1", true},  {"3.9.9", true},  {"4.0.0", false},    {"4.0.0rc1", false},
             {"4.1.0", false},   {"4.2.2", false}, {"4.2.2rc2", false}, {"4.2.9", false},
             {"4.9.9", false},   {"5.0.0", false}, {"5.0.7", false},    {"5.0.8", false},
             {"5.0.9", true},    {"5.0.10", true}, {"5.1.0", true},     {"6.0.0", false},
             {"6.0.9", false},   {"6.1.0", true},  {"6.1.1", true},     {"7.0.0", true},
             {"0.0.0", true},    {"", true},       {"main", true},
         }) {
        CAPTURE(each.release);
        CHECK(obeys_status(wire::release::parse(each.release)) == each.obeys);
    }
}

TEST_CASE("the short reply is for clients, and for singletons from 5.0.9 and 6.1 on")
{
    for (const auto* text : {"2.0.0", "2.2.5", "3.2.5", "4.2.2", "5.0.8", "5.0.9", "6.0.0", "6.1.0", ""}) {
        CAPTURE(text);
        const auto release = wire::release::parse(text);
        CHECK(wants_client_reply(peer_kind::client, release));
        for (unsigned kind = 1; kind <= 10; ++kind)
            if (kind != 9)
                CHECK_FALSE(wants_client_reply(static_cast<peer_kind>(kind), release));
    }
    struct row {
        const char* release;
        bool is_short;
    };
    for (const auto& each : {
             row{"4.1.0", false},
             {"4.2.2rc2", false},
             {"4.2.9", false},
             {"5.0.0", false},
             {"5.0.8", false},
             {"5.0.9", true},
             {"5.0.10", true},
             {"5.1.0", true},
             {"6.0.0", false},
             {"6.0.1", false},
             {"6.1.0", true},
             {"6.1.1", true},
             {"6.2.0", true},
             {"7.0.0", true},
             {"", false},
         }) {
        CAPTURE(each.release);
        CHECK(wants_client_reply(peer_kind::singleton, wire::release::parse(each.release)) == each.is_short);
    }
}

TEST_CASE("every reason for a refusal has the status of its class")
{
    using wire::status;
    struct row {
        fault why;
        status told;
    };
    for (const auto& each : {
             row{fault::truncated, status::bad_parameter},
             {fault::extra_bytes, status::bad_parameter},
             {fault::bad_count, status::bad_parameter},
             {fault::bad_integer, status::bad_parameter},
             {fault::bad_string, status::bad_parameter},
             {fault::bad_descriptor, status::bad_parameter},
             {fault::bad_boolean, status::bad_parameter},
             {fault::unknown_type, status::bad_parameter},
             {fault::too_deep, status::bad_parameter},
             {fault::name_too_long, status::bad_parameter},
             {fault::unencodable, status::bad_parameter},
             {fault::message_too_large, status::bad_parameter},
             {fault::handshake_too_large, status::bad_parameter},
             {fault::unknown_peer_kind, status::bad_parameter},
             {fault::unsupported_peer_kind, status::not_supported},
             {fault::unsupported_version, status::not_supported},
             {fault::unsupported_security, status::not_supported},
             {fault::unsupported_encoding, status::not_supported},
             {fault::bad_buffer_kind, status::bad_parameter},
             {fault::unknown_namespace, status::not_found},
             {fault::unknown_rank, status::not_found},
             {fault::too_many_connections, status::out_of_resource},
             {fault::too_many_pending, status::out_of_resource},
             {fault::handshake_timeout, status::timeout},
             {fault::refused_by_host, status::invalid_credential},
             {fault::bad_credential, status::invalid_credential},
             {fault::wrong_user, status::invalid_credential},
             {fault::wrong_group, status::invalid_credential},
             {fault::kernel_unknown, status::invalid_credential},
             {fault::kernel_unavailable, status::invalid_credential},
             {fault::wrong_cgroup, status::invalid_credential},
             {fault::unknown_command, status::not_supported},
             {fault::output_limit, status::out_of_resource},
             {fault::closed_by_peer, status::error},
             {fault::closed_inside_message, status::bad_parameter},
             {fault::closed_by_us, status::error},
             {fault::no_interface, status::error},
         }) {
        CAPTURE(name_of(each.why));
        CHECK(static_cast<int>(status_for(each.why)) == static_cast<int>(each.told));
    }
    CHECK(status_for(std::make_error_code(std::errc::connection_reset)) == status::error);
    CHECK(status_for(std::make_error_code(std::errc::operation_canceled)) == status::error);
}
