// Reading the attributes of a request.
#pragma once

#include <pmixio/wire/value.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string_view>

namespace pmixio {

namespace key {
inline constexpr std::string_view immediate = "pmix.immediate", timeout = "pmix.timeout",
                                  collect = "pmix.collect", optional = "pmix.optional", scope = "pmix.scope";
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
