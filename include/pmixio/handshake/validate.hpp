// validate(): from a claim to an identity, by the security policy that the claim picked.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/offload.hpp>
#include <pmixio/handshake/identity.hpp>
#include <pmixio/handshake/reply.hpp>
#include <pmixio/policies.hpp>
#include <pmixio/result.hpp>
#include <pmixio/security/policy.hpp>

#include <string>
#include <type_traits>
#include <utility>

namespace pmixio {

namespace detail {

/// A blocking policy's validate(), with all that it looks at: it may go on when nobody waits any more.
template <class Policy>
struct validation {
    Policy policy;
    wire::byte_buffer credential;
    std::string nspace;
    security::evidence seen;

    result<security::proof> operator()()
    {
        seen.credential = credential;
        seen.nspace = nspace;
        return policy.validate(seen);
    }
};

template <class Policy, class Stream>
asio::awaitable<result<security::proof>> ask_policy(const Policy& policy, Stream& connection,
                                                    security::evidence seen, blocking_pool& pool,
                                                    bool& has_status)
{
    if constexpr (security::blocking_policy<Policy>) {
        validation<Policy> asked{
            policy, {seen.credential.begin(), seen.credential.end()}, std::string(seen.nspace), seen};
        co_return co_await pool.run(std::move(asked));
    } else {
        auto proof = policy.validate(seen);
        if constexpr (security::exchanging_policy<Policy>) {
            if (!proof)
                co_return proof;
            wire::byte_buffer begin;
            wire::writer out(begin);
            append_status(out, wire::status::ready_for_handshake);
            std::error_code failed;
            co_await asio::async_write(connection, asio::buffer(begin),
                                       asio::redirect_error(asio::use_awaitable, failed));
            has_status = true;
            if (failed)
                co_return failed;
            if (const auto done = co_await policy.exchange(connection); !done)
                co_return done.error();
        }
        co_return proof;
    }
}

} // namespace detail

/// claim -> identity: asks the policy that the claim picked. Changes nothing.
///
/// Completes at once, but for policies that block or exchange: put those under a deadline, it cancels them. `kernel` is
/// what the kernel said of the peer. A policy that blocks runs on `pool`. `connection`, `policies` and `pool` must outlive
/// the call, and only an exchanging policy uses the connection; when one has failed, the peer can be told no status.
/// Errors: the policy's own; the stream's; too_many_pending when the pool has its fill; operation_aborted when cancelled.
template <host_policies P, class Stream>
asio::awaitable<result<identity>> validate(Stream& connection, const claim& c,
                                           const typename P::security::instances& policies,
                                           result<security::kernel_peer> kernel, detail::blocking_pool& pool)
{
    bool has_status = false;
    const auto seen = evidence_of(c, kernel);
    const auto proof = co_await P::security::visit(policies, c.security, [&](auto& policy) {
        return detail::ask_policy(policy, connection, seen, pool, has_status);
    });
    if (!proof)
        co_return proof.error();
    co_return detail::prover::prove(c, *proof, kernel, has_status);
}

/// The same for a policy that neither blocks nor exchanges.
template <host_policies P>
result<identity> validate_at_once(const claim& c, const typename P::security::instances& policies,
                                  const result<security::kernel_peer>& kernel)
{
    const auto proof = P::security::visit(
        policies, c.security, [&]<class Policy>(const Policy& policy) -> result<security::proof> {
            if constexpr (security::blocking_policy<Policy> || security::exchanging_policy<Policy>)
                return std::make_error_code(std::errc::operation_not_supported);
            else
                return policy.validate(evidence_of(c, kernel));
        });
    if (!proof)
        return proof.error();
    return detail::prover::prove(c, *proof, kernel, false);
}

} // namespace pmixio
