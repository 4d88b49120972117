// What a security policy is: the evidence it sees, the proof it gives.
#pragma once

#include <pmixio/result.hpp>
#include <pmixio/security/kernel_peer.hpp>
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
    /// Who the kernel says the peer is; asked only for policies with `asks_kernel`.
    std::optional<result<kernel_peer>> kernel;
};

/// Whom a policy vouches for.
struct proof {
    ::uid_t uid = 0;
    ::gid_t gid = 0;
};

/// Requirements on a security policy P:
///   P::name         the module's name on the wire, which peers put into their requests;
///   P::asks_kernel  whether validate() needs evidence::kernel;
///   p.validate(e)   a proof for these credentials, or the fault that the peer is refused with. Must not block.
///                   `e` holds what the peer sent: no part of it is to be believed unchecked.
template <class P>
concept security_policy = requires(const P& policy, const evidence& e) {
    { P::name } -> std::convertible_to<std::string_view>;
    { P::asks_kernel } -> std::convertible_to<bool>;
    { policy.validate(e) } -> std::same_as<result<proof>>;
};

/// The connecting half, which a policy may have or not: `p.credential()` is what proves this process to a server, or the
/// fault for which there is none. Must not block.
template <class P>
concept credential_policy = security_policy<P> && requires(const P& policy) {
    { policy.credential() } -> std::same_as<result<wire::byte_buffer>>;
};

} // namespace pmixio::security
