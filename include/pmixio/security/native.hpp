// security::native: libpmix's `native` on the wire, with the kernel's word for it. handshake.md section 5.1.
#pragma once

#include <pmixio/security/policy.hpp>
#include <pmixio/wire/cursor.hpp>

#include <unistd.h>

namespace pmixio::security {

/// `native` as libpmix servers check it: the credential, which the peer itself has written, must name the user and
/// group of the registration. Proves nothing. Only for peers that the kernel cannot vouch for.
struct native_claimed {
    static constexpr std::string_view name = "native";
    /// The credential: euid and egid, 4 bytes each, in host order; anything behind them is ignored.
    result<proof> validate(const evidence& e) const
    {
        wire::cursor in(e.credential);
        const auto uid = in.host_order<std::uint32_t>();
        const auto gid = in.host_order<std::uint32_t>();
        if (!in.ok())
            return fault::bad_credential;
        if (uid != e.uid)
            return fault::wrong_user;
        if (gid != e.gid)
            return fault::wrong_group;
        return proof{uid, gid};
    }

    /// The effective user and group of this process.
    result<wire::byte_buffer> credential() const
    {
        wire::byte_buffer bytes;
        wire::writer out(bytes);
        out.host_order<std::uint32_t>(::geteuid());
        out.host_order<std::uint32_t>(::getegid());
        return bytes;
    }
};

/// The same, and the uid must also be that of the process that made the peer's socket, by the kernel's account.
/// The gid stays a claim: the kernel does not tell it.
/// Faults besides native_claimed's: kernel_unknown for a peer that is not a living socket of this machine,
/// kernel_unavailable where the kernel cannot be asked.
struct native : native_claimed {
    result<proof> validate(const evidence& e) const
    {
        if (!e.kernel)
            return e.kernel.error();
        if (e.kernel->uid != e.uid)
            return fault::wrong_user;
        return native_claimed::validate(e);
    }
};

static_assert(security_policy<native_claimed> && security_policy<native>);
static_assert(credential_policy<native_claimed> && credential_policy<native>);

} // namespace pmixio::security
