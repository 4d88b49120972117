// The kinds of peer, by the connector flag of their handshake. handshake.md section 3.1.
#pragma once

#include <cstdint>

namespace pmixio {

enum class peer_kind : std::uint8_t {
    client = 0,          ///< a process of a registered job
    legacy_tool = 1,     ///< releases 2.0, 2.1, 3.0
    legacy_launcher = 2, ///< release 3.0
    tool_needs_id = 3,
    tool = 4,         ///< brings an identity of its own
    started_tool = 5, ///< was started by a server and carries the identity it was given
    launcher_needs_id = 6,
    launcher = 7,
    started_launcher = 8,
    singleton = 9, ///< a client that no launcher started
    scheduler = 10,
};

constexpr bool known(peer_kind k) noexcept { return k <= peer_kind::scheduler; }

constexpr bool is_legacy(peer_kind k) noexcept
{
    return k == peer_kind::legacy_tool || k == peer_kind::legacy_launcher;
}

/// The request carries euid and egid.
constexpr bool sends_user(peer_kind k) noexcept { return k != peer_kind::client; }

/// The server has to invent a namespace and rank for the peer.
constexpr bool needs_identity(peer_kind k) noexcept
{
    return k == peer_kind::tool_needs_id || k == peer_kind::launcher_needs_id;
}

/// The request carries namespace and rank at their usual place.
constexpr bool sends_identity(peer_kind k) noexcept { return !is_legacy(k) && !needs_identity(k); }

/// The peer may carry a name that a server has registered: it was started under it, or is a singleton of 5.0.9 or 6.1 on.
constexpr bool was_started(peer_kind k) noexcept
{
    return k == peer_kind::client || k == peer_kind::started_tool || k == peer_kind::started_launcher ||
           k == peer_kind::singleton;
}

} // namespace pmixio
