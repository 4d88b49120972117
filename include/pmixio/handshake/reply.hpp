// The bytes of the handshake's answer. handshake.md section 4.
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
#include <pmixio/wire/release.hpp>
#include <pmixio/wire/types.hpp>
#include <pmixio/wire/writer.hpp>

#include <optional>

namespace pmixio {

/// Whether a peer of this release stops at an error status. 4.0.0 - 5.0.8 and 6.0.x go on as if it were success and then
/// hang: those must be closed without a byte. A release that did not parse (0.0.0) is told.
constexpr bool obeys_status(const wire::release& r) noexcept
{
    const bool deaf =
        (r >= wire::release{4, 0, 0} && r <= wire::release{5, 0, 8}) || (r.major == 6 && r.minor == 0);
    return !deaf;
}

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

} // namespace pmixio
