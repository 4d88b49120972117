// The bytes of the handshake's answer, both ways. handshake.md section 4.
//
// | to                              | bytes                                                              |
// |---------------------------------|--------------------------------------------------------------------|
// | client; singleton from 5.0.9 and 6.1 on | status 4, index 4                                          |
// | tool with an identity; older singleton  | status 4, server nspace 256, server rank 4, status 4       |
// | tool that needs an identity     | status 4, nspace 256, rank 4, server nspace 256, server rank 4, status 4 |
// | legacy tool or launcher         | status 4, nspace 256, server nspace 256, server rank 4 (host order), status 4 |
// | anybody refused                 | status 4, or nothing: see obeys_status()                           |
#pragma once

#include <pmixio/error.hpp>
#include <pmixio/handshake/peer_kind.hpp>
#include <pmixio/result.hpp>
#include <pmixio/wire/cursor.hpp>
#include <pmixio/wire/release.hpp>
#include <pmixio/wire/status.hpp>
#include <pmixio/wire/types.hpp>
#include <pmixio/wire/writer.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace pmixio {

/// Whether a peer of this release stops at an error status. 4.0.0 - 5.0.8 and 6.0.x go on as if it were success and then
/// hang: those must be closed without a byte. A release that did not parse (0.0.0) is told.
constexpr bool obeys_status(const wire::release& r) noexcept
{
    const bool deaf =
        (r >= wire::release{4, 0, 0} && r <= wire::release{5, 0, 8}) || (r.major == 6 && r.minor == 0);
    return !deaf;
}

/// Stands for any release that is told nothing.
inline constexpr wire::release deaf_release{4, 0, 0};
static_assert(!obeys_status(deaf_release));

/// Whether the peer reads the short reply: clients do, and singletons by release.
constexpr bool wants_client_reply(peer_kind kind, const wire::release& r) noexcept
{
    if (kind != peer_kind::singleton)
        return kind == peer_kind::client;
    return (r.major == 5 && r >= wire::release{5, 0, 9}) || r >= wire::release{6, 1, 0};
}

/// The protocol status that tells a peer why it is refused.
inline wire::status status_for(std::error_code why) noexcept
{
    if (why == fault::handshake_timeout)
        return wire::status::timeout;
    if (why == refusal::malformed)
        return why == fault::bad_credential ? wire::status::invalid_credential : wire::status::bad_parameter;
    if (why == refusal::unsupported)
        return wire::status::not_supported;
    if (why == refusal::unknown_peer)
        return wire::status::not_found;
    if (why == refusal::unauthorized)
        return wire::status::invalid_credential;
    if (why == refusal::overloaded)
        return wire::status::out_of_resource;
    return wire::status::error;
}

inline void append_status(wire::writer& out, wire::status s)
{
    out.big_endian(static_cast<std::uint32_t>(static_cast<std::int32_t>(s)));
}

/// `index` is what the peer will put into its frame headers.
inline void append_client_reply(wire::writer& out, std::uint32_t index)
{
    append_status(out, wire::status::success);
    out.big_endian(index);
}

namespace detail {

inline void append_nspace(wire::writer& out, std::string_view nspace)
{
    if (nspace.size() > wire::max_nspace_length)
        return out.fail(fault::name_too_long);
    out.text(nspace);
    out.zeros(wire::max_nspace_length + 1 - nspace.size());
}

} // namespace detail

/// `assigned`: the identity the server gave to a tool that needed one.
inline void append_tool_reply(wire::writer& out, const wire::proc& server,
                              const std::optional<wire::proc>& assigned)
{
    const auto name = [&](const wire::proc& id) {
        detail::append_nspace(out, id.nspace);
        out.big_endian(id.rank);
    };
    append_status(out, wire::status::success);
    if (assigned)
        name(*assigned);
    name(server);
    append_status(out, wire::status::success);
}

/// To the tools of 2.0, 2.1 and 3.0. Section 4.3: they take rank 0, and read the server's rank as it lies in memory.
inline void append_legacy_tool_reply(wire::writer& out, const wire::proc& server, std::string_view nspace)
{
    append_status(out, wire::status::success);
    detail::append_nspace(out, nspace);
    detail::append_nspace(out, server.nspace);
    out.host_order(server.rank);
    append_status(out, wire::status::success);
}

/// What a server answers to a peer that it admits.
struct handshake_reply {
    std::optional<std::uint32_t> index; ///< to clients
    std::optional<wire::proc> server;   ///< to tools: who it is
    std::optional<wire::proc> assigned; ///< to tools that needed an identity: theirs

    friend bool operator==(const handshake_reply&, const handshake_reply&) = default;
};

/// Whether servers of this release write the outcome of the credential check in their own byte order and, to clients,
/// in front of the index.
constexpr bool writes_raw_check(const wire::release& server) noexcept
{
    return (server.major == 2 && server <= wire::release{2, 2, 2}) ||
           (server.major == 3 && server <= wire::release{3, 1, 2});
}

/// How many bytes the reply has that begins like this, as far as these bytes tell: read on until there are that many,
/// and no more, because messages may follow. `server`: its release; 0.0.0 if it is not known.
/// A singleton gets either reply. They differ in the fifth byte: the first of a name, or the highest of an index.
inline std::size_t reply_size(std::span<const std::byte> begin, peer_kind kind,
                              const wire::release& server = {}) noexcept
{
    constexpr std::size_t number = 4, name = wire::max_nspace_length + 1 + number;
    if (begin.size() < number)
        return number;
    if (wire::cursor(begin).big_endian<std::uint32_t>() != 0)
        return number;
    const bool is_short =
        kind == peer_kind::client ||
        (kind == peer_kind::singleton && (begin.size() <= number || begin[number] == std::byte{0}));
    if (is_short)
        return kind == peer_kind::client && writes_raw_check(server) ? 3 * number : 2 * number;
    return number + (needs_identity(kind) ? 2 * name : name) + number;
}

/// Whether the reply begins with further steps of a security module, which stand where the status of a client's is.
inline bool begins_exchange(std::span<const std::byte> begin, peer_kind kind) noexcept
{
    constexpr auto ready =
        static_cast<std::uint32_t>(static_cast<std::int32_t>(wire::status::ready_for_handshake));
    return kind == peer_kind::client && begin.size() == 4 &&
           wire::cursor(begin).big_endian<std::uint32_t>() == ready;
}

/// Reads one whole reply to a peer of this kind. Errors: every fault of the bytes; the server's status, as
/// wire::make_error_code() gives it; unsupported_security for a server that begins an exchange which nobody offered;
/// unsupported_peer_kind for legacy kinds, whose replies differ.
inline result<handshake_reply> parse_reply(std::span<const std::byte> reply, peer_kind kind,
                                           const wire::release& server = {})
{
    if (is_legacy(kind))
        return fault::unsupported_peer_kind;
    wire::cursor in(reply);
    std::error_code refused;
    const auto status = [&](bool raw) {
        const auto said = static_cast<wire::status>(
            static_cast<std::int32_t>(raw ? in.host_order<std::uint32_t>() : in.big_endian<std::uint32_t>()));
        if (said != wire::status::success && !refused)
            refused = said == wire::status::ready_for_handshake ? make_error_code(fault::unsupported_security)
                                                                : wire::make_error_code(said);
    };
    const auto name = [&] {
        const auto field = in.text(wire::max_nspace_length + 1);
        const auto length = field.find('\0');
        if (in.ok() && length == field.npos)
            in.fail(fault::name_too_long);
        wire::proc id{std::string(field.substr(0, length)), 0};
        id.rank = in.big_endian<std::uint32_t>();
        return id;
    };

    handshake_reply answer;
    const auto size = reply_size(reply, kind, server);
    status(false);
    if (!refused && size <= 12) {
        if (size == 12)
            status(true);
        answer.index = in.big_endian<std::uint32_t>();
    } else if (!refused) {
        if (needs_identity(kind))
            answer.assigned = name();
        answer.server = name();
        status(writes_raw_check(server));
    }
    in.finish();
    if (!in.ok())
        return in.error();
    if (refused)
        return refused;
    return answer;
}

} // namespace pmixio
