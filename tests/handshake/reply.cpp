#include "../support/bytes.hpp"
#include "../support/vectors.hpp"

#include <pmixio/handshake/reply.hpp>
#include <pmixio/wire/cursor.hpp>

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
