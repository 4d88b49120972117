// Reading the attributes of a request.
#pragma once

#include <pmixio/wire/value.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view immediate = "pmix.immediate", timeout = "pmix.timeout",
                                  collect = "pmix.collect", optional = "pmix.optional", scope = "pmix.scope",
                                  custom_range = "pmix.evrange", affected = "pmix.evproc",
                                  all_affected = "pmix.evaffected", group = "pmix.grp.id",
                                  assign_context = "pmix.grp.actxid", notify_termination = "pmix.grp.notterm",
                                  fault_tolerant = "pmix.grp.ftcoll", optional_members = "pmix.grp.opt",
                                  bootstrap = "pmix.grp.btstrp", add_members = "pmix.grp.add";
} // namespace key

/// Keys that belong to the server: processes cannot put them.
inline bool is_reserved_key(std::string_view key) { return key.starts_with("pmix"); }

inline const wire::value* find_attribute(std::span<const wire::info> infos, std::string_view key)
{
    for (const auto& each : infos)
        if (each.key == key)
            return &each.content;
    return nullptr;
}

/// Present without content counts as true.
inline bool flag_attribute(std::span<const wire::info> infos, std::string_view key)
{
    const auto* found = find_attribute(infos, key);
    return found && found->to_flag();
}

/// A PROC, or a DATA_ARRAY of them, sorted.
inline std::vector<wire::proc> processes_attribute(std::span<const wire::info> infos, std::string_view key)
{
    const auto* found = find_attribute(infos, key);
    auto named = found ? found->to_processes() : std::vector<wire::proc>{};
    std::sort(named.begin(), named.end());
    return named;
}

/// Whether the process is one of those, or all of its namespace is. `named`: sorted.
inline bool is_among(const wire::proc& who, std::span<const wire::proc> named)
{
    return std::binary_search(named.begin(), named.end(), who) ||
           std::binary_search(named.begin(), named.end(), wire::proc{who.nspace, wire::rank::wildcard});
}

/// The request's own time limit; none if absent, 0 or negative.
inline std::optional<std::chrono::seconds> timeout_attribute(std::span<const wire::info> infos)
{
    const auto* found = find_attribute(infos, key::timeout);
    const auto seconds = found ? found->to_integer().value_or(0) : 0;
    constexpr std::int64_t longest = 10LL * 365 * 24 * 3600;
    return seconds > 0 ? std::optional(std::chrono::seconds(std::min<std::int64_t>(seconds, longest)))
                       : std::nullopt;
}

} // namespace pmixio
