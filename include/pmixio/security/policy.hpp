// What a security policy is: the evidence it sees, the proof it gives.
#pragma once

#include <pmixio/result.hpp>
#include <pmixio/security/kernel_peer.hpp>
#include <pmixio/wire/types.hpp>
#include <pmixio/wire/writer.hpp>

#include <sys/types.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace pmixio::security {

/// Everything a policy may look at. Views last for the call.
struct evidence {
    std::span<const std::byte> credential; ///< as sent
    ::uid_t uid = 0;                       ///< of the registration the peer claims to be
    ::gid_t gid = 0;
    /// Who the kernel says the peer is; kernel_unknown for one that is not on this machine.
    result<kernel_peer> kernel = fault::kernel_unavailable;
    /// The process that the peer claims to be: registered, or a tool's own word. Empty: a tool without a name.
    std::string_view nspace = {};
    wire::rank_type rank = wire::rank::undefined;
};

/// Whom a policy vouches for.
struct proof {
    ::uid_t uid = 0;
    ::gid_t gid = 0;
};

/// Requirements on a security policy P:
///   P::name        the module's name on the wire, which peers put into their requests;
///   p.validate(e)  a proof for these credentials, or the fault that the peer is refused with. Must not block.
///                  `e` holds what the peer sent: no part of it is to be believed unchecked.
template <class P>
concept security_policy = requires(const P& policy, const evidence& e) {
    { P::name } -> std::convertible_to<std::string_view>;
    { policy.validate(e) } -> std::same_as<result<proof>>;
};

/// A policy with `static constexpr bool blocks = true`: its validate() and credential() may block. They are called on the
/// pool that the host gives, on a copy of the policy, and not waited for when the handshake's deadline is over.
template <class P>
concept blocking_policy = security_policy<P> && bool{P::blocks} && std::copy_constructible<P>;

/// A policy with more steps than a credential, `static constexpr bool exchanges = true`. After validate() has found the
/// credential right, the peer is told READY_FOR_HANDSHAKE, which every release of libpmix that lacks the module dies of:
/// such a policy is picked only for clients that name it. Then the server awaits
///   p.exchange(stream)  `asio::awaitable<result<void>>`: the rest, to the last byte before the index; no error if the
///                       peer is proven. Completes early when cancelled; the stream's operations are, at the deadline.
template <class P>
concept exchanging_policy = security_policy<P> && bool{P::exchanges};

/// The connecting half, which a policy may have or not: `p.credential()` is what proves this process to a server, or the
/// fault for which there is none. An exchanging policy also has `p.answer(stream)`, the other side of its exchange().
template <class P>
concept credential_policy = security_policy<P> && requires(const P& policy) {
    { policy.credential() } -> std::same_as<result<wire::byte_buffer>>;
};

/// A policy whose credentials prove who had them made, whoever shows them: `p.judge(bytes)` is who that was, or the fault for
/// which the credential is none. With it, processes can have credentials made and judged: host/credentials.hpp.
template <class P>
concept judging_policy = credential_policy<P> && requires(const P& policy, std::span<const std::byte> shown) {
    { policy.judge(shown) } -> std::same_as<result<proof>>;
};

} // namespace pmixio::security
