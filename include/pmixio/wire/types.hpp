// The protocol's vocabulary: codes and names as every release from 2.0 to 6.1 uses them.
// messages.md section 5 is the source of every number here.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

namespace pmixio::wire {

/// Type codes of packed values. Open set: a peer may send any number; `known()` says which can be read.
enum class data_type : std::uint16_t {
    undef = 0,
    boolean = 1,
    byte = 2,
    string = 3,
    size = 4,
    pid = 5,
    integer = 6,
    int8 = 7,
    int16 = 8,
    int32 = 9,
    int64 = 10,
    uint = 11,
    uint8 = 12,
    uint16 = 13,
    uint32 = 14,
    uint64 = 15,
    float32 = 16,
    float64 = 17,
    timeval = 18,
    time = 19,
    status = 20,
    value = 21,
    proc = 22,
    app = 23,
    info = 24,
    pdata = 25,
    buffer = 26,
    byte_object = 27,
    kval = 28,
    persistence = 30,
    pointer = 31,
    scope = 32,
    data_range = 33,
    command = 34,
    info_directives = 35,
    data_type = 36,
    proc_state = 37,
    proc_info = 38,
    data_array = 39,
    proc_rank = 40,
    query = 41,
    compressed_string = 42,
    alloc_directive = 43,
    info_array = 44,
    iof_channel = 45,
    envar = 46,
    coord = 47,
    regattr = 48,
    regex = 49,
    job_state = 50,
    link_state = 51,
    cpuset = 52,
    geometry = 53,
    device_distance = 54,
    endpoint = 55,
    device_type = 57,
    locality = 58,
    compressed_byte_object = 59,
    proc_nspace = 60,
    data_buffer = 65,
    storage_medium = 66,
    storage_access = 67,
    storage_persistence = 68,
    storage_access_type = 69,
};

/// Result codes on the wire. Open set: applications define their own.
enum class status : std::int32_t {
    success = 0,
    error = -1,
    process_aborted = -7,
    abort_requested = -8,
    exists = -11,
    invalid_credential = -12,
    handshake_failed = -13,
    ready_for_handshake = -14,
    unpack_failure = -20,
    no_permissions = -23,
    timeout = -24,
    unreachable = -25,
    bad_parameter = -27,
    out_of_resource = -29,
    init_failure = -31,
    no_memory = -32,
    invalid_namespace = -44,
    not_found = -46,
    not_supported = -47,
    read_past_end = -50,
    conflicting_cleanup = -51,
    partial_success = -52,
    duplicate_key = -53,
    lost_connection = -61,
    not_available = -64,
    heartbeat_alert = -109,
    file_alert = -110,
    process_ended = -111,
    event_registration = -144,
    operation_succeeded = -157,
    invalid_operation = -158,
    group_left = -160,
    group_construct_abort = -165,
    group_construct_complete = -166,
    group_member_failed = -170,
    forwarding_complete = -173,
    process_terminated = -200,
    temporarily_unavailable = -1367,
};

/// First item of every request. Numbers never changed their meaning between releases.
enum class command : std::uint8_t {
    req = 0,
    abort = 1,
    commit = 2,
    fence = 3,
    get = 4,
    finalize = 5,
    publish = 6,
    lookup = 7,
    unpublish = 8,
    spawn = 9,
    connect = 10,
    disconnect = 11,
    notify = 12,
    register_events = 13,
    deregister_events = 14,
    query = 15,
    log = 16,
    allocate = 17,
    job_control = 18,
    monitor = 19,
    get_credential = 20,
    validate_credential = 21,
    iof_pull = 22,
    iof_push = 23,
    group_construct = 24,
    group_join = 25,
    group_invite = 26,
    group_leave = 27,
    group_destruct = 28,
    iof_deregister = 29,
    fabric_register = 30,
    fabric_update = 31,
    device_distances = 32,
    resource_block = 34,
    session_control = 35,
    request_system_info = 36,
    resolve_peers = 37,
    resolve_node = 38,
};

/// Who may see a value that was Put.
enum class scope : std::uint8_t { undefined = 0, local = 1, remote = 2, global = 3, internal = 4 };

/// Whom published data or an event is for.
enum class data_range : std::uint8_t {
    undefined = 0,
    resource_manager = 1,
    local = 2,
    nspace = 3,
    session = 4,
    global = 5,
    custom = 6,
    proc_local = 7,
};

/// What a process is known to do.
enum class process_state : std::uint8_t {
    undefined = 0,
    running = 5,
    connected = 6,
    terminated = 20,
    killed_by_signal = 54,
    not_finalized = 55,
    lost = 56,
    called_abort = 58,
    failed = 62,
};

/// How long published data lives.
enum class persistence : std::uint8_t {
    indefinite = 0,
    first_read = 1,
    process = 2,
    application = 3,
    session = 4
};

/// Whether items carry a description of their type. The client chooses, for both directions.
enum class buffer_kind : std::uint8_t { non_described = 1, fully_described = 2 };

using rank_type = std::uint32_t;

/// Reserved ranks; real ones are below `first_reserved`.
namespace rank {
inline constexpr rank_type undefined = 0xffffffff, wildcard = 0xfffffffe, local_node = 0xfffffffd,
                           invalid = 0xfffffffc, local_peers = 0xfffffffb, first_reserved = 0xffffffcd;
} // namespace rank

inline constexpr std::size_t max_nspace_length = 255; ///< bytes, NUL excluded
inline constexpr std::size_t max_key_length = 511;    ///< bytes, NUL excluded

/// A process, a whole namespace (rank::wildcard) or, in some requests, a group in place of a namespace.
struct proc {
    std::string nspace;
    rank_type rank = rank::undefined;

    friend auto operator<=>(const proc&, const proc&) = default;
};

} // namespace pmixio::wire
