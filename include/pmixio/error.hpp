// What can go wrong because of a peer, the network or the machine, as values.
//
// `fault` is fine-grained: one enumerator per fact, for logs. `refusal` is coarse: what code branches on,
//     if (ec == pmixio::refusal::malformed) ...
// Asio's own codes pass through unchanged and compare equal to `refusal::gone`, or to `refusal::cancelled`.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace pmixio {

/// One enumerator per fact. Numbers are never reused.
enum class fault {
    // the bytes
    truncated = 1,     ///< a field or message ends before its content
    extra_bytes,       ///< a message goes on after its last field
    bad_count,         ///< a count larger than the bytes left could hold, or negative
    bad_integer,       ///< a flex integer wider than its field, or the wrong concrete type in front of one
    bad_string,        ///< not terminated, or a NUL in the middle
    bad_descriptor,    ///< a fully described buffer says another type than the message has here
    bad_boolean,       ///< neither 0 nor 1
    unknown_type,      ///< a type code that the peer's encoding does not have
    too_deep,          ///< nesting of arrays and structures beyond the limit
    name_too_long,     ///< a namespace above 255 bytes or a key above 511
    unencodable,       ///< a value that the target's encoding cannot express
    message_too_large, ///< a frame above limits::message_bytes
    // the handshake
    handshake_too_large = 32, ///< a payload above limits::handshake_bytes
    unknown_peer_kind,        ///< a connector flag nobody sends
    unsupported_peer_kind,    ///< a kind of peer this server does not serve
    unsupported_version,      ///< a release this server cannot speak to
    unsupported_security,     ///< none of the peer's security modules is in the list
    unsupported_encoding,     ///< none of the peer's bfrops modules is in the list
    bad_buffer_kind,          ///< neither non-described nor fully described
    unknown_namespace,        ///< the peer names a namespace that is not registered
    unknown_rank,             ///< the namespace has no such rank
    too_many_connections,     ///< limits::connections_per_rank reached
    too_many_pending,         ///< limits::pending_handshakes reached
    handshake_timeout,        ///< limits::handshake passed before the handshake was whole
    refused_by_host,          ///< the host's own answer was no
    name_taken,               ///< a tool brings a name that somebody else has
    too_many_of_user,         ///< limits::pending_per_user reached
    // identity
    bad_credential = 64,      ///< the credential does not have the form its module demands
    wrong_user,               ///< the credential or the kernel names another user than the registration
    wrong_group,              ///< the credential names another group than the registration
    kernel_unknown,           ///< the kernel has no living socket at the peer's address
    kernel_unavailable,       ///< the kernel cannot be asked who a peer is
    wrong_cgroup,             ///< the kernel names another cgroup than the job's, or none
    credential_replayed,      ///< somebody has shown this credential before
    credential_expired,       ///< the credential is too old
    credential_rewound,       ///< the credential is from the future: the clocks differ
    wrong_recipient,          ///< the credential was made for another user to decode
    exchange_failed,          ///< a security module's further steps did not prove the peer
    issuer_unavailable,       ///< the service that decodes or makes credentials does not answer
    // the session
    unknown_command = 96,  ///< a command number that no release sends
    output_limit,          ///< limits::queued_output reached: the peer does not read
    closed_by_peer,        ///< end of stream between messages
    closed_inside_message, ///< end of stream inside a message or handshake
    closed_by_us,          ///< the host closed the session
    // the machine
    no_interface = 128, ///< no local address fits the configuration
    // rendezvous
    bad_uri = 160,           ///< a server's URI of another form, or without a numeric address and port
    bad_contact_file,        ///< not text, or lines or a size that no contact file has
    incomplete_contact_file, ///< empty, or its last line has no end: it is still being written
    untrusted_contact_file,  ///< no regular file, or another user's
    no_server,               ///< nothing names a server
    ambiguous_server,        ///< what was asked for fits more than one server
    rendezvous_timeout,      ///< no server was found in time
};

/// What calling code decides on.
enum class refusal {
    malformed = 1, ///< the bytes break the protocol
    unsupported,   ///< well-formed, but not served here
    unknown_peer,  ///< the names match nothing that is registered
    unauthorized,  ///< who the peer is could not be proven
    overloaded,    ///< a limit is reached
    timed_out,     ///< a deadline passed
    gone,          ///< the connection is no more
    cancelled,     ///< the caller cancelled the operation
};

std::error_code make_error_code(fault f) noexcept;
std::error_condition make_error_condition(refusal r) noexcept;

} // namespace pmixio

template <>
struct std::is_error_code_enum<pmixio::fault> : std::true_type {};
template <>
struct std::is_error_condition_enum<pmixio::refusal> : std::true_type {};

namespace pmixio {

/// The coarse class of a fault.
constexpr refusal refusal_of(fault f) noexcept
{
    switch (f) {
    case fault::truncated:
    case fault::extra_bytes:
    case fault::bad_count:
    case fault::bad_integer:
    case fault::bad_string:
    case fault::bad_descriptor:
    case fault::bad_boolean:
    case fault::unknown_type:
    case fault::too_deep:
    case fault::name_too_long:
    case fault::unencodable:
    case fault::message_too_large:
    case fault::handshake_too_large:
    case fault::unknown_peer_kind:
    case fault::bad_buffer_kind:
    case fault::bad_credential:
    case fault::closed_inside_message:
    case fault::bad_uri:
    case fault::bad_contact_file:
    case fault::incomplete_contact_file: return refusal::malformed;
    case fault::unsupported_peer_kind:
    case fault::unsupported_version:
    case fault::unsupported_security:
    case fault::unsupported_encoding:
    case fault::unknown_command: return refusal::unsupported;
    case fault::unknown_namespace:
    case fault::unknown_rank:
    case fault::ambiguous_server: return refusal::unknown_peer;
    case fault::refused_by_host:
    case fault::name_taken:
    case fault::wrong_user:
    case fault::wrong_group:
    case fault::kernel_unknown:
    case fault::kernel_unavailable:
    case fault::wrong_cgroup:
    case fault::credential_replayed:
    case fault::credential_expired:
    case fault::credential_rewound:
    case fault::wrong_recipient:
    case fault::exchange_failed:
    case fault::issuer_unavailable:
    case fault::untrusted_contact_file: return refusal::unauthorized;
    case fault::too_many_connections:
    case fault::too_many_pending:
    case fault::too_many_of_user:
    case fault::output_limit: return refusal::overloaded;
    case fault::handshake_timeout:
    case fault::rendezvous_timeout: return refusal::timed_out;
    case fault::closed_by_peer:
    case fault::closed_by_us:
    case fault::no_interface:
    case fault::no_server: return refusal::gone;
    }
    return refusal::malformed;
}

/// The name of a fault as the observer and the statistics print it: the enumerator's own name.
constexpr const char* name_of(fault f) noexcept
{
    switch (f) {
    case fault::truncated: return "truncated";
    case fault::extra_bytes: return "extra_bytes";
    case fault::bad_count: return "bad_count";
    case fault::bad_integer: return "bad_integer";
    case fault::bad_string: return "bad_string";
    case fault::bad_descriptor: return "bad_descriptor";
    case fault::bad_boolean: return "bad_boolean";
    case fault::unknown_type: return "unknown_type";
    case fault::too_deep: return "too_deep";
    case fault::name_too_long: return "name_too_long";
    case fault::unencodable: return "unencodable";
    case fault::message_too_large: return "message_too_large";
    case fault::handshake_too_large: return "handshake_too_large";
    case fault::unknown_peer_kind: return "unknown_peer_kind";
    case fault::unsupported_peer_kind: return "unsupported_peer_kind";
    case fault::unsupported_version: return "unsupported_version";
    case fault::unsupported_security: return "unsupported_security";
    case fault::unsupported_encoding: return "unsupported_encoding";
    case fault::bad_buffer_kind: return "bad_buffer_kind";
    case fault::unknown_namespace: return "unknown_namespace";
    case fault::unknown_rank: return "unknown_rank";
    case fault::too_many_connections: return "too_many_connections";
    case fault::too_many_pending: return "too_many_pending";
    case fault::too_many_of_user: return "too_many_of_user";
    case fault::handshake_timeout: return "handshake_timeout";
    case fault::refused_by_host: return "refused_by_host";
    case fault::name_taken: return "name_taken";
    case fault::bad_credential: return "bad_credential";
    case fault::wrong_user: return "wrong_user";
    case fault::wrong_group: return "wrong_group";
    case fault::kernel_unknown: return "kernel_unknown";
    case fault::kernel_unavailable: return "kernel_unavailable";
    case fault::wrong_cgroup: return "wrong_cgroup";
    case fault::credential_replayed: return "credential_replayed";
    case fault::credential_expired: return "credential_expired";
    case fault::credential_rewound: return "credential_rewound";
    case fault::wrong_recipient: return "wrong_recipient";
    case fault::exchange_failed: return "exchange_failed";
    case fault::issuer_unavailable: return "issuer_unavailable";
    case fault::unknown_command: return "unknown_command";
    case fault::output_limit: return "output_limit";
    case fault::closed_by_peer: return "closed_by_peer";
    case fault::closed_inside_message: return "closed_inside_message";
    case fault::closed_by_us: return "closed_by_us";
    case fault::no_interface: return "no_interface";
    case fault::bad_uri: return "bad_uri";
    case fault::bad_contact_file: return "bad_contact_file";
    case fault::incomplete_contact_file: return "incomplete_contact_file";
    case fault::untrusted_contact_file: return "untrusted_contact_file";
    case fault::no_server: return "no_server";
    case fault::ambiguous_server: return "ambiguous_server";
    case fault::rendezvous_timeout: return "rendezvous_timeout";
    }
    return "unknown_fault";
}

namespace detail {

class fault_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "pmixio"; }
    std::string message(int value) const override { return name_of(static_cast<fault>(value)); }
    std::error_condition default_error_condition(int value) const noexcept override
    {
        return refusal_of(static_cast<fault>(value));
    }
};

class refusal_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "pmixio.refusal"; }
    std::string message(int value) const override
    {
        switch (static_cast<refusal>(value)) {
        case refusal::malformed: return "malformed";
        case refusal::unsupported: return "unsupported";
        case refusal::unknown_peer: return "unknown peer";
        case refusal::unauthorized: return "unauthorized";
        case refusal::overloaded: return "overloaded";
        case refusal::timed_out: return "timed out";
        case refusal::gone: return "gone";
        case refusal::cancelled: return "cancelled";
        }
        return "unknown refusal";
    }
    /// Codes of other categories (the system's, Asio's) are about the connection.
    bool equivalent(const std::error_code& code, int value) const noexcept override;
};

inline const fault_category fault_category_instance{};
inline const refusal_category refusal_category_instance{};

inline bool refusal_category::equivalent(const std::error_code& code, int value) const noexcept
{
    // Faults and the statuses of a server say themselves what they are.
    if (const auto own = code.default_error_condition(); own.category() == refusal_category_instance)
        return own.value() == value;
    // Asio has a category of its own for the system's errors, which older releases do not map to conditions.
    const bool of_system = code.category() == std::system_category() ||
                           std::string_view(code.category().name()) == "asio.system";
    const bool cancelled = of_system && code.value() == ECANCELED;
    return code && static_cast<refusal>(value) == (cancelled ? refusal::cancelled : refusal::gone);
}

} // namespace detail

inline std::error_code make_error_code(fault f) noexcept
{
    return {static_cast<int>(f), detail::fault_category_instance};
}

inline std::error_condition make_error_condition(refusal r) noexcept
{
    return {static_cast<int>(r), detail::refusal_category_instance};
}

} // namespace pmixio
