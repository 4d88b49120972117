#include <pmixio/detail/asio.hpp>
#include <pmixio/error.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

using namespace pmixio;

namespace {

struct row {
    fault f;
    int number; ///< never reused
    std::string_view name;
    refusal of;
};

const row rows[] = {
    {fault::truncated, 1, "truncated", refusal::malformed},
    {fault::extra_bytes, 2, "extra_bytes", refusal::malformed},
    {fault::bad_count, 3, "bad_count", refusal::malformed},
    {fault::bad_integer, 4, "bad_integer", refusal::malformed},
    {fault::bad_string, 5, "bad_string", refusal::malformed},
    {fault::bad_descriptor, 6, "bad_descriptor", refusal::malformed},
    {fault::bad_boolean, 7, "bad_boolean", refusal::malformed},
    {fault::unknown_type, 8, "unknown_type", refusal::malformed},
    {fault::too_deep, 9, "too_deep", refusal::malformed},
    {fault::name_too_long, 10, "name_too_long", refusal::malformed},
    {fault::unencodable, 11, "unencodable", refusal::malformed},
    {fault::message_too_large, 12, "message_too_large", refusal::malformed},
    {fault::handshake_too_large, 32, "handshake_too_large", refusal::malformed},
    {fault::unknown_peer_kind, 33, "unknown_peer_kind", refusal::malformed},
    {fault::unsupported_peer_kind, 34, "unsupported_peer_kind", refusal::unsupported},
    {fault::unsupported_version, 35, "unsupported_version", refusal::unsupported},
    {fault::unsupported_security, 36, "unsupported_security", refusal::unsupported},
    {fault::unsupported_encoding, 37, "unsupported_encoding", refusal::unsupported},
    {fault::bad_buffer_kind, 38, "bad_buffer_kind", refusal::malformed},
    {fault::unknown_namespace, 39, "unknown_namespace", refusal::unknown_peer},
    {fault::unknown_rank, 40, "unknown_rank", refusal::unknown_peer},
    {fault::too_many_connections, 41, "too_many_connections", refusal::overloaded},
    {fault::too_many_pending, 42, "too_many_pending", refusal::overloaded},
    {fault::handshake_timeout, 43, "handshake_timeout", refusal::timed_out},
    {fault::refused_by_host, 44, "refused_by_host", refusal::unauthorized},
    {fault::name_taken, 45, "name_taken", refusal::unauthorized},
    {fault::too_many_of_user, 46, "too_many_of_user", refusal::overloaded},
    {fault::bad_credential, 64, "bad_credential", refusal::malformed},
    {fault::wrong_user, 65, "wrong_user", refusal::unauthorized},
    {fault::wrong_group, 66, "wrong_group", refusal::unauthorized},
    {fault::kernel_unknown, 67, "kernel_unknown", refusal::unauthorized},
    {fault::kernel_unavailable, 68, "kernel_unavailable", refusal::unauthorized},
    {fault::wrong_cgroup, 69, "wrong_cgroup", refusal::unauthorized},
    {fault::credential_replayed, 70, "credential_replayed", refusal::unauthorized},
    {fault::credential_expired, 71, "credential_expired", refusal::unauthorized},
    {fault::credential_rewound, 72, "credential_rewound", refusal::unauthorized},
    {fault::wrong_recipient, 73, "wrong_recipient", refusal::unauthorized},
    {fault::exchange_failed, 74, "exchange_failed", refusal::unauthorized},
    {fault::issuer_unavailable, 75, "issuer_unavailable", refusal::unauthorized},
    {fault::unknown_command, 96, "unknown_command", refusal::unsupported},
    {fault::output_limit, 97, "output_limit", refusal::overloaded},
    {fault::closed_by_peer, 98, "closed_by_peer", refusal::gone},
    {fault::closed_inside_message, 99, "closed_inside_message", refusal::malformed},
    {fault::closed_by_us, 100, "closed_by_us", refusal::gone},
    {fault::no_interface, 128, "no_interface", refusal::gone},
    {fault::bad_uri, 160, "bad_uri", refusal::malformed},
    {fault::bad_contact_file, 161, "bad_contact_file", refusal::malformed},
    {fault::incomplete_contact_file, 162, "incomplete_contact_file", refusal::malformed},
    {fault::untrusted_contact_file, 163, "untrusted_contact_file", refusal::unauthorized},
    {fault::no_server, 164, "no_server", refusal::gone},
    {fault::ambiguous_server, 165, "ambiguous_server", refusal::unknown_peer},
    {fault::rendezvous_timeout, 166, "rendezvous_timeout", refusal::timed_out},
};

constexpr refusal refusals[] = {refusal::malformed, refusal::unsupported, refusal::unknown_peer, refusal::unauthorized,
                                refusal::overloaded, refusal::timed_out, refusal::gone, refusal::cancelled};

static_assert(refusal_of(fault::truncated) == refusal::malformed);

} // namespace

TEST_CASE("every fault has its number, its name and its class, and is of no other class")
{
    std::set<std::string_view> names;
    for (const auto& each : rows) {
        CAPTURE(each.name);
        const std::error_code code = each.f;
        CHECK(code);
        CHECK(code.value() == each.number);
        CHECK(name_of(each.f) == each.name);
        CHECK(code.message() == each.name);
        CHECK(std::string_view(code.category().name()) == "pmixio");
        CHECK(code == each.f);
        CHECK(refusal_of(each.f) == each.of);
        CHECK(code.default_error_condition() == make_error_condition(each.of));
        for (const auto refused : refusals)
            CHECK((code == refused) == (refused == each.of));
        CHECK(names.insert(each.name).second);
    }
}

TEST_CASE("faults differ from each other and from codes of the same number")
{
    for (const auto& a : rows)
        for (const auto& b : rows)
            CHECK((make_error_code(a.f) == b.f) == (a.number == b.number));
    CHECK(make_error_code(fault::truncated) != std::error_code(1, std::system_category()));
    CHECK(make_error_code(fault::truncated) != std::error_code(1, std::generic_category()));
}

TEST_CASE("a number that is no fault has a name too")
{
    CHECK(std::string_view(name_of(static_cast<fault>(9999))) == "unknown_fault");
    CHECK(refusal_of(static_cast<fault>(9999)) == refusal::malformed);
}

TEST_CASE("refusals have names of their own")
{
    std::set<std::string> messages;
    for (const auto refused : refusals) {
        const std::error_condition condition = refused;
        CHECK(messages.insert(condition.message()).second);
        CHECK(std::string_view(condition.category().name()) == "pmixio.refusal");
    }
    CHECK(messages.contains("unknown peer"));
    CHECK(make_error_condition(static_cast<refusal>(99)).message() == "unknown refusal");
}

TEST_CASE("codes of Asio and the system are gone, and those of a cancellation cancelled")
{
    const std::error_code gone[] = {asio::error::eof, asio::error::connection_reset, asio::error::broken_pipe,
                                    std::make_error_code(std::errc::connection_reset), {EMFILE, std::system_category()}};
    for (const auto& code : gone) {
        CAPTURE(code.message());
        for (const auto refused : refusals)
            CHECK((code == refused) == (refused == refusal::gone));
    }
    const std::error_code cancelled(ECANCELED, std::system_category());
    for (const auto refused : refusals)
        CHECK((cancelled == refused) == (refused == refusal::cancelled));
}

// Asio has a category of its own for the system's errors.
TEST_CASE("Asio's operation_aborted is a cancellation")
{
    const std::error_code aborted = asio::error::operation_aborted;
    CHECK(aborted == refusal::cancelled);
    CHECK(aborted != refusal::gone);
}

TEST_CASE("success is no refusal")
{
    for (const auto refused : refusals)
        CHECK(std::error_code() != refused);
}
