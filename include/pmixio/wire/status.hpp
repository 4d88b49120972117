// The statuses of a server as error codes.
#pragma once

#include <pmixio/error.hpp>
#include <pmixio/wire/types.hpp>

#include <string>
#include <system_error>

namespace pmixio::wire {

/// The coarse class of an error status, the reverse of status_for(); what has none counts as not served.
constexpr refusal refusal_of(status s) noexcept
{
    switch (s) {
    case status::bad_parameter:
    case status::unpack_failure:
    case status::read_past_end: return refusal::malformed;
    case status::not_found:
    case status::invalid_namespace: return refusal::unknown_peer;
    case status::invalid_credential:
    case status::handshake_failed:
    case status::no_permissions: return refusal::unauthorized;
    case status::out_of_resource:
    case status::no_memory:
    case status::temporarily_unavailable: return refusal::overloaded;
    case status::timeout: return refusal::timed_out;
    case status::unreachable:
    case status::lost_connection: return refusal::gone;
    default: return refusal::unsupported;
    }
}

/// The name of a status as in the enumeration; null for one that is not in it.
constexpr const char* name_of(status s) noexcept
{
    switch (s) {
    case status::success: return "success";
    case status::error: return "error";
    case status::process_aborted: return "process_aborted";
    case status::abort_requested: return "abort_requested";
    case status::exists: return "exists";
    case status::invalid_credential: return "invalid_credential";
    case status::handshake_failed: return "handshake_failed";
    case status::ready_for_handshake: return "ready_for_handshake";
    case status::unpack_failure: return "unpack_failure";
    case status::no_permissions: return "no_permissions";
    case status::timeout: return "timeout";
    case status::unreachable: return "unreachable";
    case status::bad_parameter: return "bad_parameter";
    case status::out_of_resource: return "out_of_resource";
    case status::init_failure: return "init_failure";
    case status::no_memory: return "no_memory";
    case status::invalid_namespace: return "invalid_namespace";
    case status::not_found: return "not_found";
    case status::not_supported: return "not_supported";
    case status::read_past_end: return "read_past_end";
    case status::conflicting_cleanup: return "conflicting_cleanup";
    case status::partial_success: return "partial_success";
    case status::duplicate_key: return "duplicate_key";
    case status::lost_connection: return "lost_connection";
    case status::not_available: return "not_available";
    case status::heartbeat_alert: return "heartbeat_alert";
    case status::file_alert: return "file_alert";
    case status::process_ended: return "process_ended";
    case status::event_registration: return "event_registration";
    case status::operation_succeeded: return "operation_succeeded";
    case status::invalid_operation: return "invalid_operation";
    case status::group_left: return "group_left";
    case status::group_construct_abort: return "group_construct_abort";
    case status::group_construct_complete: return "group_construct_complete";
    case status::group_member_failed: return "group_member_failed";
    case status::forwarding_complete: return "forwarding_complete";
    case status::process_terminated: return "process_terminated";
    case status::temporarily_unavailable: return "temporarily_unavailable";
    }
    return nullptr;
}

namespace detail {

class status_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "pmix"; }
    std::string message(int value) const override
    {
        const char* const known = name_of(static_cast<status>(value));
        return known ? known : "status " + std::to_string(value);
    }
    std::error_condition default_error_condition(int value) const noexcept override
    {
        return value == 0 ? std::error_condition() : refusal_of(static_cast<status>(value));
    }
};

inline const status_category status_category_instance{};

} // namespace detail

/// What a server answered, as an error; no error for success. Not a conversion: a status is also a value.
inline std::error_code make_error_code(status s) noexcept
{
    return {static_cast<int>(s), detail::status_category_instance};
}

} // namespace pmixio::wire
