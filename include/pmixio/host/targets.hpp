// Whom a request is about: processes that its sender may name.
#pragma once

#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace pmixio {

/// Whether this is registered, a process or a whole namespace, and for the requester to see.
inline bool may_name(registry& jobs, const requester& from, const wire::proc& who)
{
    const auto* nspace = jobs.find(who.nspace);
    return nspace && from.may_see(nspace->description().uid) &&
           (who.rank == wire::rank::wildcard || nspace->has(who.rank));
}

/// Those processes, sorted, each once and not beside its whole namespace. None if the requester may not name one of them.
inline std::optional<std::vector<wire::proc>> visible_targets(registry& jobs, const requester& from,
                                                              std::vector<wire::proc> named)
{
    for (const auto& each : named)
        if (!may_name(jobs, from, each))
            return std::nullopt;
    std::sort(named.begin(), named.end());
    named.erase(std::unique(named.begin(), named.end()), named.end());
    std::vector<wire::proc> apart;
    for (const auto& each : named)
        if (each.rank == wire::rank::wildcard ||
            !std::binary_search(named.begin(), named.end(), wire::proc{each.nspace, wire::rank::wildcard}))
            apart.push_back(each);
    return apart;
}

/// The same, with the processes of a namespace in its place.
inline std::optional<std::vector<wire::proc>> target_processes(registry& jobs, const requester& from,
                                                               std::vector<wire::proc> named)
{
    const auto of = visible_targets(jobs, from, std::move(named));
    if (!of)
        return std::nullopt;
    std::vector<wire::proc> each;
    for (const auto& [nspace, rank] : *of) {
        const auto* whole = rank == wire::rank::wildcard ? jobs.find(nspace) : nullptr;
        const auto first = whole ? whole->first_rank() : rank;
        for (wire::rank_type n = 0; n != (whole ? whole->description().size : 1); ++n)
            each.push_back({nspace, first + n});
    }
    return each;
}

} // namespace pmixio
