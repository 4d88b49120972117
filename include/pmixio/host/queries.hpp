// What a server answers to QUERY about its jobs. messages.md section 7, messages.md section 8 for the keys.
#pragma once

#include <pmixio/detail/join.hpp>
#include <pmixio/host/attributes.hpp>
#include <pmixio/host/job_data.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/control.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view namespaces = "pmix.qry.ns", nspace = "pmix.nspace", rank = "pmix.rank",
                                  process = "pmix.procid";
} // namespace key

/// Questions about the jobs of a server: the list of its namespaces, and every key that a process of a job could Get
/// about its job, node or peers.
///
/// A query names its subject by the qualifiers `pmix.nspace` and `pmix.rank`, or `pmix.procid`; without them it is about
/// the requester. Jobs of other users do not exist, but for root.
class queries {
public:
    /// Both must outlive this.
    queries(registry& jobs, wire::proc server) : jobs_(jobs), server_(std::move(server)) {}

    /// SUCCESS if all keys were found, PARTIAL_SUCCESS if some were, NOT_FOUND if none was.
    message::infos_reply answer(const requester& from, const message::query& request) const
    {
        message::infos_reply reply;
        auto& found = reply.infos.emplace();
        std::size_t asked = 0;
        for (const auto& query : request.queries)
            for (const auto& name : query.keys) {
                ++asked;
                if (auto content = value_of(from, name, query.qualifiers))
                    found.push_back({name, 0, *std::move(content)});
            }
        if (found.empty())
            return {wire::status::not_found, std::nullopt};
        if (found.size() != asked)
            reply.result = wire::status::partial_success;
        return reply;
    }

private:
    std::optional<wire::value> value_of(const requester& from, std::string_view name,
                                        std::span<const wire::info> qualifiers) const
    {
        if (name == key::namespaces)
            return wire::value::string(namespaces(from));

        auto subject = wire::proc{from.who.nspace, wire::rank::wildcard};
        if (const auto* process = find_attribute(qualifiers, key::process))
            if (auto named = process->to_processes(); named.size() == 1)
                subject = std::move(named[0]);
        if (const auto* nspace = find_attribute(qualifiers, key::nspace))
            subject.nspace = nspace->get<wire::data_type::string>().value_or("");
        if (const auto* rank = find_attribute(qualifiers, key::rank))
            subject.rank = static_cast<wire::rank_type>(rank->to_integer().value_or(wire::rank::undefined));

        auto* nspace = jobs_.find(subject.nspace);
        if (!nspace || !from.may_see(nspace->description().uid))
            return std::nullopt;
        const auto data = level_data(*nspace, subject.rank, server_);
        if (!data)
            return std::nullopt;
        const auto at =
            std::find_if(data->begin(), data->end(), [&](const auto& each) { return each.key == name; });
        return at == data->end() ? std::nullopt : std::optional(at->content);
    }

    /// In alphabetical order.
    std::string namespaces(const requester& from) const
    {
        std::vector<std::string_view> names;
        jobs_.for_each([&](const namespace_record& each) {
            if (!each.of_tool() && from.may_see(each.description().uid))
                names.push_back(each.description().nspace);
        });
        std::sort(names.begin(), names.end());
        return detail::join(names);
    }

    registry& jobs_;
    wire::proc server_;
};

} // namespace pmixio
