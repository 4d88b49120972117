// Every limit of a server, in one place. All are finite.
#pragma once

#include <chrono>
#include <cstddef>

namespace pmixio {

struct limits {
    /// From accept to reply, whatever the peer sends in between.
    std::chrono::steady_clock::duration handshake = std::chrono::seconds(5);
    /// Payload of a handshake request.
    std::size_t handshake_bytes = 131'072;
    /// Connections that are not admitted yet. The newest is refused; admitted peers are not affected.
    std::size_t pending_handshakes = 1'024;
    /// Connections of one rank: children it has forked inherit its identity.
    std::size_t connections_per_rank = 16;
    /// Payload of one message. Beyond: BAD_PARAM to the request, then close.
    std::size_t message_bytes = 32u << 20;
    /// Output a peer has not read yet. Beyond: close.
    std::size_t queued_output = 64u << 20;
    /// Output above which the peer's requests are left unread until it has caught up.
    std::size_t unread_output = 1u << 20;
    /// Pause after accept failed for want of descriptors or memory.
    std::chrono::steady_clock::duration accept_pause = std::chrono::milliseconds(100);
    /// Time that drain() gives to sessions to finish.
    std::chrono::steady_clock::duration drain = std::chrono::seconds(10);
};

} // namespace pmixio
