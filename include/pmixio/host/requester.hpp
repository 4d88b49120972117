// Who sent a request, and an order of processes.
#pragma once

#include <pmixio/wire/types.hpp>

#include <sys/types.h>

#include <cstdint>
#include <string_view>

namespace pmixio {

/// The proven sender of a request. Several sessions may be of one process: children inherit its identity.
struct requester {
    wire::proc who;
    ::uid_t uid = 0;
    std::uint64_t session = 0; ///< of the connection; unique in its server, never reused

    /// Whether it may learn about processes of this user: its own, and root about all.
    bool may_see(::uid_t other) const noexcept { return uid == other || uid == 0; }
};

/// The order of processes, in which those of a namespace can be found by its name.
struct process_or_namespace {
    using is_transparent = void;
    bool operator()(const wire::proc& a, const wire::proc& b) const noexcept { return a < b; }
    bool operator()(const wire::proc& a, std::string_view b) const noexcept { return a.nspace < b; }
    bool operator()(std::string_view a, const wire::proc& b) const noexcept { return a < b.nspace; }
};

} // namespace pmixio
