// signals: which of them a job control request asks for, and for whom. messages.md section 7, JOB_CONTROL.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/host/targets.hpp>

#include <signal.h>

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view control_id = "pmix.jctrl.id", send_signal = "pmix.jctrl.sig",
                                  kill = "pmix.jctrl.kill", terminate = "pmix.jctrl.term",
                                  pause = "pmix.jctrl.pause", resume = "pmix.jctrl.resume";
} // namespace key

/// A process wants others, or itself, to get a signal.
struct signal_request {
    std::vector<wire::proc> targets; ///< registered, and for the requester to see; sorted, each once
    int signal = 0;                  ///< of this machine: 1 to SIGRTMAX
};

/// The signal that a directive stands for: 0 for none, as of a flag that is false. None if it is no such directive, or
/// its number is no signal's.
inline std::optional<int> signal_named(const wire::info& directive)
{
    if (directive.key == key::send_signal) {
        const auto number = directive.content.to_integer().value_or(0);
        return number > 0 && number <= SIGRTMAX ? std::optional(static_cast<int>(number)) : std::nullopt;
    }
    const auto by_name = directive.key == key::kill        ? SIGKILL
                         : directive.key == key::terminate ? SIGTERM
                         : directive.key == key::pause     ? SIGSTOP
                         : directive.key == key::resume    ? SIGCONT
                                                           : 0;
    if (by_name == 0)
        return std::nullopt;
    return directive.content.to_flag() ? by_name : 0;
}

/// The processes that a request names, each once: all of a namespace by a wildcard; without targets all of the
/// requester's. None if one of them does not exist, or is another user's.
inline std::optional<std::vector<wire::proc>> processes_named(registry& jobs, const requester& from,
                                                              std::vector<wire::proc> targets)
{
    if (targets.empty())
        targets.push_back({from.who.nspace, wire::rank::wildcard});
    return target_processes(jobs, from, std::move(targets));
}

} // namespace pmixio
