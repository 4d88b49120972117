#include "../support/bytes.hpp"

#include <pmixio/wire/status.hpp>

#include <string_view>

using namespace pmixio;
using wire::status;

TEST_CASE("a status is an error code that keeps its number and has one class")
{
    struct row {
        status said;
        refusal of;
        std::string_view text;
    };
    for (const auto& each : {
             row{status::error, refusal::unsupported, "error"},
             {status::invalid_credential, refusal::unauthorized, "invalid_credential"},
             {status::handshake_failed, refusal::unauthorized, "handshake_failed"},
             {status::no_permissions, refusal::unauthorized, "no_permissions"},
             {status::bad_parameter, refusal::malformed, "bad_parameter"},
             {status::unpack_failure, refusal::malformed, "unpack_failure"},
             {status::read_past_end, refusal::malformed, "read_past_end"},
             {status::not_found, refusal::unknown_peer, "not_found"},
             {status::invalid_namespace, refusal::unknown_peer, "invalid_namespace"},
             {status::out_of_resource, refusal::overloaded, "out_of_resource"},
             {status::temporarily_unavailable, refusal::overloaded, "temporarily_unavailable"},
             {status::timeout, refusal::timed_out, "timeout"},
             {status::unreachable, refusal::gone, "unreachable"},
             {status::lost_connection, refusal::gone, "lost_connection"},
             {status::not_supported, refusal::unsupported, "not_supported"},
             {status::invalid_operation, refusal::unsupported, "invalid_operation"},
             {status::conflicting_cleanup, refusal::unsupported, "conflicting_cleanup"},
             {status::heartbeat_alert, refusal::unsupported, "heartbeat_alert"},
             {status::file_alert, refusal::unsupported, "file_alert"},
             {status::group_left, refusal::unsupported, "group_left"},
             {status::group_construct_abort, refusal::unsupported, "group_construct_abort"},
             {status::group_construct_complete, refusal::unsupported, "group_construct_complete"},
             {status::group_member_failed, refusal::unsupported, "group_member_failed"},
             {static_cast<status>(-4711), refusal::unsupported, "status -4711"},
         }) {
        CAPTURE(each.text);
        const auto code = make_error_code(each.said);
        CHECK(code);
        CHECK(code.value() == static_cast<int>(each.said));
        CHECK(code.message() == each.text);
        for (const auto of :
             {refusal::malformed, refusal::unsupported, refusal::unknown_peer, refusal::unauthorized,
              refusal::overloaded, refusal::timed_out, refusal::gone, refusal::cancelled})
            CHECK((code == of) == (of == each.of));
        CHECK(code != fault::closed_by_peer);
    }
    CHECK_FALSE(make_error_code(status::success));
}
