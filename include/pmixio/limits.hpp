// Every limit of a server, in one place. All are finite.
#pragma once

#include <pmixio/error.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <system_error>

namespace pmixio {

struct limits {
    /// From accept to reply, whatever the peer sends in between.
    std::chrono::steady_clock::duration handshake = std::chrono::seconds(5);
    /// Payload of a handshake request.
    std::size_t handshake_bytes = 131'072;
    /// Connections that are not admitted yet. The newest is refused; admitted peers are not affected. As many more may be on
    /// their way here from other servers, see host/entrance.hpp.
    std::size_t pending_handshakes = 1'024;
    /// The same of one user of this machine, by the kernel's word, or of one address elsewhere.
    std::size_t pending_per_user = 256;
    /// Connections of one rank: children it has forked inherit its identity.
    std::size_t connections_per_rank = 16;
    /// Groups of processes, and sets of processes that are connected, of one user. Beyond: OUT_OF_RESOURCE to who would
    /// make another.
    std::size_t groups_per_user = 1'024;
    /// Requests of one connection that the host is asked about at once. Beyond: OUT_OF_RESOURCE.
    std::size_t upcalls_per_session = 1'024;
    /// Payload of one message. Beyond: BAD_PARAM to the request, then close.
    std::size_t message_bytes = 32u << 20;
    /// Output a peer has not read yet. Beyond: close.
    std::size_t queued_output = 64u << 20;
    /// Output above which the peer's requests are left unread until it has caught up.
    std::size_t unread_output = 1u << 20;
    /// What one user's processes have published, and their lookups that wait. Beyond: OUT_OF_RESOURCE.
    std::size_t published_bytes = 64u << 20;
    /// Output of one job that is kept for who pulls it later. Beyond: the oldest goes.
    std::size_t forwarded_bytes = 1u << 20;
    /// Processes, and whole namespaces, in what one session pulls the output of. Beyond: OUT_OF_RESOURCE.
    std::size_t pulled_per_session = 4'096;
    /// Events of one user that are kept for sessions that register later, and their bytes. Beyond: the oldest go.
    std::size_t kept_events = 512;
    std::size_t kept_event_bytes = 1u << 20;
    /// Event codes that one connection has registered, and processes that it names with them. Beyond: OUT_OF_RESOURCE.
    std::size_t registered_codes = 4'096;
    /// Credentials that one user's processes have asked to be made or judged, and that are not yet. Beyond: OUT_OF_RESOURCE.
    std::size_t pending_credentials = 16;
    /// Paths that one user's processes have registered to be removed. Beyond: OUT_OF_RESOURCE.
    std::size_t cleanup_bytes = 1u << 20;
    /// Directory entries that are looked at when that is due, of one user for one process or namespace. The rest stays.
    std::size_t cleanup_entries = 65'536;
    /// What one user's processes want logged, until the host has done it. Beyond: OUT_OF_RESOURCE.
    std::size_t log_bytes = 64u << 20;
    /// What one session may have watched. Beyond: OUT_OF_RESOURCE.
    std::size_t monitors_per_session = 16;
    /// Pause after accept failed for want of descriptors or memory.
    std::chrono::steady_clock::duration accept_pause = std::chrono::milliseconds(100);
    /// Time that drain() gives to sessions to finish.
    std::chrono::steady_clock::duration drain = std::chrono::seconds(10);
};

/// The limit that a fault says was reached: connections, bytes or milliseconds. None for other faults.
inline std::optional<std::size_t> limit_behind(std::error_code why, const limits& l)
{
    if (why == fault::handshake_timeout)
        return std::chrono::duration_cast<std::chrono::milliseconds>(l.handshake).count();
    if (why == fault::handshake_too_large)
        return l.handshake_bytes;
    if (why == fault::too_many_pending)
        return l.pending_handshakes;
    if (why == fault::too_many_of_user)
        return l.pending_per_user;
    if (why == fault::too_many_connections)
        return l.connections_per_rank;
    if (why == fault::message_too_large)
        return l.message_bytes;
    if (why == fault::output_limit)
        return l.queued_output;
    return std::nullopt;
}

} // namespace pmixio
