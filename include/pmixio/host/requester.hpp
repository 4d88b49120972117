// Who sent a request.
#pragma once

#include <pmixio/wire/types.hpp>

#include <sys/types.h>

#include <cstdint>

namespace pmixio {

/// The proven sender of a request. Several sessions may be of one process: children inherit its identity.
struct requester {
    wire::proc who;
    ::uid_t uid = 0;
    std::uint64_t session = 0; ///< of the connection; unique in its server, never reused

    /// Whether it may learn about processes of this user: its own, and root about all.
    bool may_see(::uid_t other) const noexcept { return uid == other || uid == 0; }
};

} // namespace pmixio
