// security::none: everybody is who they say they are. handshake.md section 5.3.
#pragma once

#include <pmixio/security/policy.hpp>

namespace pmixio::security {

/// Admits any peer that names a registered process. Never a default: write it to have it.
struct none {
    static constexpr std::string_view name = "none";
    result<proof> validate(const evidence& e) const { return proof{e.uid, e.gid}; }
    result<wire::byte_buffer> credential() const { return wire::byte_buffer(); }
};

static_assert(security_policy<none> && credential_policy<none>);

} // namespace pmixio::security
