// connect(): from the address of a server to a session with it. handshake.md sections 2 to 4.
#pragma once

#include <pmixio/client/session.hpp>
#include <pmixio/deadline.hpp>
#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/offload.hpp>
#include <pmixio/handshake/reply.hpp>
#include <pmixio/handshake/request.hpp>
#include <pmixio/listen/config.hpp>
#include <pmixio/listen/contact.hpp>
#include <pmixio/policies.hpp>
#include <pmixio/result.hpp>
#include <pmixio/security/policy.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

/// Who connects, what it offers, and how long it tries.
template <host_policies P>
struct client_settings {
    peer_kind kind = peer_kind::client;
    wire::proc who; ///< of kinds that bring an identity
    std::vector<wire::info> attributes;
    /// The release to announce. Earlier ones, back to 4.0, are not told why they are refused.
    std::string version = "5.0.10";
    std::string
        securities; ///< comma list of what the server takes, as in PMIX_SECURITY_MODE; empty: anything
    std::string
        encodings; ///< likewise: `v41` if it was found by PMIX_SERVER_URI41; empty: what `release` has
    wire::release release; ///< of the server; 0.0.0 if not known
    wire::buffer_kind buffer = wire::buffer_kind::non_described;
    typename P::clock::duration attempt = P::limits.handshake; ///< for one connection and its handshake
    unsigned attempts = 3; ///< of connecting, and of a server that is temporarily unavailable; refusals stand
    typename P::clock::duration pause = std::chrono::milliseconds(100); ///< between attempts
    pmixio::limits limits = P::limits;                                  ///< of the session
    typename P::security::instances policies;
    asio::any_io_executor
        pool{}; ///< where a policy makes its credential that blocks; without one it blocks here
    event_handler on_event;
};

/// Takes over how long a configuration says to wait for the reply to a handshake, and how often to try. A time of zero,
/// which for libpmix is for ever, leaves the deadline as it is.
template <host_policies P>
void apply_configuration(client_settings<P>& settings, const listener_config& config)
{
    if (config.handshake_wait_time.count() != 0)
        settings.attempt = config.handshake_wait_time;
    settings.attempts = config.handshake_max_retries + 1;
}

/// The encodings that a release has, as a comma list. Empty, which is any, for one that is not known.
constexpr std::string_view encodings_of(const wire::release& r) noexcept
{
    if (r == wire::release{})
        return {};
    constexpr std::string_view all = "v61,v51,v41,v4,v3,v21,v20";
    const bool later[] = {r >= wire::release{6, 1, 0}, r >= wire::release{6, 0, 0},
                          r >= wire::release{4, 1, 0}, r >= wire::release{4, 0, 0},
                          r >= wire::release{3, 0, 0}, r >= wire::release{2, 1, 0}};
    auto has = all;
    for (const bool yes : later) {
        if (yes)
            break;
        has.remove_prefix(has.find(',') + 1);
    }
    return has;
}

/// The client's side of a security module without further steps.
struct no_answer {
    template <class Stream>
    asio::awaitable<result<void>> operator()(Stream&) const
    {
        co_return fault::unsupported_security;
    }
};

/// Sends a request and reads the reply to it, byte for byte: what follows the reply is left in the stream.
/// Takes as long as the server takes: put it under a deadline. A server that begins an exchange (READY_FOR_HANDSHAKE) with
/// a client gets what `answer(stream)`, an awaitable of result<void>, says to it.
/// Errors: those of parse_reply(); closed_by_peer before the first byte of the reply, closed_inside_message after it; the
/// stream's own; the answer's; operation_aborted when cancelled. The stream is left open in every case.
template <class Stream, class Answer = no_answer>
    requires requires(Stream& s) { s.get_executor(); }
asio::awaitable<result<handshake_reply>> shake_hands(Stream& stream, wire::byte_buffer request,
                                                     peer_kind kind, wire::release server = {},
                                                     Answer answer = {})
{
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto cancelled = [&] { return cancellation.cancelled() != asio::cancellation_type::none; };
    std::error_code failed;
    if (cancelled())
        co_return make_error_code(asio::error::operation_aborted);
    co_await asio::async_write(stream, asio::buffer(request),
                               asio::redirect_error(asio::use_awaitable, failed));
    if (failed)
        co_return failed;

    std::array<std::byte, 528> reply;
    std::size_t have = 0;
    bool answered = false;
    while (true) {
        const auto whole = reply_size(std::span(reply).first(have), kind, server);
        if (have == whole) {
            if (answered || !begins_exchange(std::span(reply).first(have), kind))
                break;
            if (const auto said = co_await answer(stream); !said)
                co_return said.error();
            answered = true;
            std::fill_n(reply.begin(), have, std::byte{0}); // as if it had been success: the index follows
            continue;
        }
        if (cancelled())
            co_return make_error_code(asio::error::operation_aborted);
        const auto n = co_await stream.async_read_some(asio::buffer(reply.data() + have, whole - have),
                                                       asio::redirect_error(asio::use_awaitable, failed));
        if (failed == asio::error::eof)
            co_return have == 0 ? fault::closed_by_peer : fault::closed_inside_message;
        if (failed)
            co_return failed;
        have += n;
    }
    co_return parse_reply(std::span(reply).first(have), kind, server);
}

namespace detail {

/// A request and what has to be remembered of it.
struct prepared_handshake {
    wire::byte_buffer request;
    std::size_t security = 0, encoding = 0;
    wire::agreement with;
};

template <class Policy>
asio::awaitable<result<wire::byte_buffer>> make_credential(const Policy& policy, asio::any_io_executor pool)
{
    if constexpr (!security::credential_policy<Policy>) {
        co_return fault::unsupported_security;
    } else {
        if constexpr (security::blocking_policy<Policy>)
            if (pool) {
                auto make = [policy] { return policy.credential(); };
                blocking_pool away(std::move(pool), 1);
                co_return co_await away.run(std::move(make));
            }
        co_return policy.credential();
    }
}

template <class Policy, class Stream>
asio::awaitable<result<void>> answer_exchange(const Policy& policy, Stream& stream)
{
    if constexpr (security::exchanging_policy<Policy>)
        co_return co_await policy.answer(stream);
    else
        co_return fault::unsupported_security;
}

template <host_policies P>
asio::awaitable<result<prepared_handshake>> prepare_handshake(const client_settings<P>& from)
{
    if (is_legacy(from.kind) || !known(from.kind))
        co_return fault::unsupported_peer_kind;
    std::array<bool, P::security::size> provable{};
    for (std::size_t i = 0; i != provable.size(); ++i)
        provable[i] = P::security::visit(from.policies, i,
                                         []<class S>(const S&) { return security::credential_policy<S>; });
    const auto security = P::security::pick_for(from.kind == peer_kind::client, from.securities, provable);
    if (!security)
        co_return fault::unsupported_security;
    const auto encoding = P::buffer_ops::pick(
        from.encodings.empty() ? encodings_of(from.release) : from.encodings, P::buffer_ops::all());
    if (!encoding)
        co_return fault::unsupported_encoding;

    const auto credential = co_await P::security::visit(
        from.policies, *security, [&](const auto& policy) { return make_credential(policy, from.pool); });
    if (!credential)
        co_return credential.error();
    prepared_handshake made{{}, *security, *encoding, {from.buffer, wire::release::parse(from.version)}};
    const auto attributes = P::buffer_ops::visit(*encoding, [&]<class E>(std::type_identity<E>) {
        return encode_attributes<E>(from.attributes, made.with);
    });
    if (!attributes)
        co_return attributes.error();

    hello said;
    said.security = P::security::names[*security];
    said.credential = *credential;
    said.kind = from.kind;
    said.uid = ::geteuid();
    said.gid = ::getegid();
    said.nspace = from.who.nspace;
    said.rank = from.who.rank;
    said.version = from.version;
    said.encoding = P::buffer_ops::names[*encoding];
    said.buffer = from.buffer;
    said.gds = "hash"; // no shared memory: everything comes over the connection
    said.attributes = *attributes;
    auto request = make_handshake(said);
    if (!request)
        co_return request.error();
    made.request = *std::move(request);
    co_return made;
}

/// One connection and its handshake, with a credential of its own: none is good for two. `unreachable`: nobody answered.
template <host_policies P>
asio::awaitable<result<client_session<P>>>
try_to_connect(const server_address& where, const client_settings<P>& settings, bool& unreachable)
{
    auto prepared = co_await prepare_handshake(settings);
    if (!prepared)
        co_return prepared.error();
    unreachable = true;
    asio::ip::tcp::socket stream(co_await asio::this_coro::executor);
    std::error_code failed;
    stream.open(where.at.protocol(), failed);
    if (!failed && ::fcntl(stream.native_handle(), F_SETFD, FD_CLOEXEC) != 0)
        failed.assign(errno, std::system_category());
    if (failed)
        co_return failed;
    co_await stream.async_connect(where.at, asio::redirect_error(asio::use_awaitable, failed));
    // Nobody listens, and the port that was chosen for us is the very same: the connection is to ourselves.
    if (!failed && stream.local_endpoint(failed) == where.at)
        failed = asio::error::connection_refused;
    if (failed)
        co_return failed;
    unreachable = false;
    stream.set_option(asio::ip::tcp::no_delay(true), failed);

    const auto answer = [&](auto& to) {
        return P::security::visit(settings.policies, prepared->security,
                                  [&](const auto& policy) { return answer_exchange(policy, to); });
    };
    const auto reply =
        co_await shake_hands(stream, std::move(prepared->request), settings.kind, settings.release, answer);
    if (!reply)
        co_return reply.error();
    admission settled{reply->assigned.value_or(settings.who), reply->server.value_or(where.server),
                      reply->index.value_or(0), prepared->encoding, prepared->with};
    co_return client_session<P>(std::move(stream), std::move(settled), settings.limits, settings.on_event);
}

} // namespace detail

/// Connects to a server and is admitted, or says why not. Tries again, after a pause, only where no handshake was begun,
/// or where the server says that it is temporarily unavailable. The session lives on the caller's executor.
///     auto session = co_await connect<site>(where, settings);
/// Errors: unsupported_security, unsupported_encoding where nothing in the lists fits; unencodable; the credential's; those
/// of shake_hands(), a server's status among them; handshake_timeout after client_settings::attempt; the machine's
/// for a connection that could not be made; operation_aborted when cancelled.
template <host_policies P>
asio::awaitable<result<client_session<P>>> connect(server_address where, client_settings<P> settings)
{
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto cancelled = [&] { return cancellation.cancelled() != asio::cancellation_type::none; };
    asio::basic_waitable_timer<typename P::clock> pause(co_await asio::this_coro::executor);
    for (unsigned attempt = 1; !cancelled(); ++attempt) {
        bool unreachable = false;
        auto made = co_await within<typename P::clock>(
            settings.attempt, detail::try_to_connect<P>(where, settings, unreachable),
            fault::handshake_timeout);
        const bool again =
            !made &&
            (unreachable || made.error() == wire::make_error_code(wire::status::temporarily_unavailable));
        if (!again || attempt >= settings.attempts || cancelled())
            co_return made;
        pause.expires_after(settings.pause);
        std::error_code interrupted;
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, interrupted));
    }
    co_return make_error_code(asio::error::operation_aborted);
}

} // namespace pmixio
