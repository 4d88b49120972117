// collectives: operations that complete when all their participants have joined. messages.md section 10.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/deadlines.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/collective.hpp>
#include <pmixio/session/responder.hpp>

#include <algorithm>
#include <cstdint>
#include <list>
#include <new>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

/// Fences of the processes of one node.
///
/// An operation is known by its participants as they were written: {job:*} and {job:0, job:1} are two operations.
/// One process is in a pending operation once; its second contribution begins the next one of the same name.
/// A participant that leaves, or had left before, is not waited for: the rest gets PARTIAL_SUCCESS. When all that have
/// joined have left, the operation is forgotten. The first
/// `pmix.timeout` among the contributions ends the operation for all with TIMEOUT. Contributions that disagree on
/// `pmix.collect` end it with BAD_PARAM when it is complete.
class collectives {
public:
    collectives(registry& jobs, deadline_service& clock) : jobs_(jobs), clock_(clock) {}

    /// Refused at once: NOT_FOUND if a participant is not registered, BAD_PARAM if the requester is not among them.
    void fence(const requester& from, message::fence request, responder<message::status_reply> reply)
    {
        auto& name = request.processes;
        std::sort(name.begin(), name.end());
        name.erase(std::unique(name.begin(), name.end()), name.end());

        auto at = std::find_if(pending_.begin(), pending_.end(), [&](const operation& each) {
            return each.name == name && !each.joined.contains(from.who);
        });
        if (at == pending_.end()) {
            auto begun = begin(name, from.who);
            if (!begun)
                return reply.refuse(begun.error() == fault::unknown_rank ? wire::status::bad_parameter
                                                                         : wire::status::not_found);
            at = pending_.insert(pending_.end(), std::move(*begun));
        }

        const bool collect = flag_attribute(request.infos, key::collect);
        at->disagreement |= at->collect.value_or(collect) != collect;
        at->collect = collect;
        if (const auto limit = timeout_attribute(request.infos); limit && !at->limited) {
            at->limited = true;
            at->limit = clock_.after(*limit, [this, at] { complete(at, wire::status::timeout); });
        }
        if (at->joined.insert(from.who).second && !at->gone.contains(from.who))
            --at->missing;
        at->waiting.push_back({from, std::move(reply)});
        complete_if_all_joined(at);
    }

    /// The process is gone, and in no operation any more.
    void departed(const wire::proc& who) noexcept
    {
        for (auto at = pending_.begin(); at != pending_.end();) {
            const auto here = at++;
            if (!is_participant(here->name, who))
                continue;
            try {
                if (!here->gone.insert(who).second)
                    continue;
            } catch (const std::bad_alloc&) { // it would never be complete
                complete(here, wire::status::out_of_resource);
                continue;
            }
            here->missing -= !here->joined.contains(who);
            if (is_deserted(*here))
                pending_.erase(here);
            else
                complete_if_all_joined(here);
        }
    }

    /// The session is closed: nobody waits there for an answer.
    void drop(std::uint64_t session)
    {
        for (auto& each : pending_)
            std::erase_if(each.waiting, [&](contribution& c) {
                if (c.from.session != session)
                    return false;
                c.reply.abandon();
                return true;
            });
    }

    /// The namespace is about to be removed: operations with its processes end with NOT_FOUND.
    void forget(std::string_view nspace)
    {
        for (auto at = pending_.begin(); at != pending_.end();) {
            const auto here = at++;
            if (std::any_of(here->name.begin(), here->name.end(),
                            [&](const auto& p) { return p.nspace == nspace; }))
                complete(here, wire::status::not_found);
        }
    }

    std::size_t pending() const noexcept { return pending_.size(); }

private:
    struct contribution {
        requester from;
        responder<message::status_reply> reply;
    };
    struct operation {
        std::vector<wire::proc> name; ///< sorted; a wildcard stands for all ranks of its namespace
        std::set<wire::proc> joined, gone;
        std::size_t missing = 0; ///< participants that are in neither set
        std::vector<contribution> waiting;
        std::optional<bool> collect;
        bool disagreement = false, limited = false;
        deadline_service::deadline limit;
    };
    using position = std::list<operation>::iterator;

    result<operation> begin(const std::vector<wire::proc>& name, const wire::proc& requester)
    {
        if (!is_participant(name, requester))
            return fault::unknown_rank;
        operation begun;
        begun.name = name;
        for (const auto& each : name) {
            auto* nspace = jobs_.find(each.nspace);
            if (!nspace)
                return fault::unknown_namespace;
            const auto expect = [&](const process_record& process, wire::rank_type rank) {
                if (process.departed && wire::proc{each.nspace, rank} != requester)
                    begun.gone.insert({each.nspace, rank});
                else
                    ++begun.missing;
            };
            if (each.rank == wire::rank::wildcard) {
                for (wire::rank_type rank = 0; rank != nspace->description().size; ++rank)
                    expect(*nspace->process(rank), rank);
            } else if (const auto* process = nspace->process(each.rank)) {
                if (!std::binary_search(name.begin(), name.end(),
                                        wire::proc{each.nspace, wire::rank::wildcard}))
                    expect(*process, each.rank);
            } else {
                return fault::unknown_namespace;
            }
        }
        return begun;
    }

    static bool is_participant(const std::vector<wire::proc>& name, const wire::proc& who)
    {
        return std::binary_search(name.begin(), name.end(), who) ||
               std::binary_search(name.begin(), name.end(), wire::proc{who.nspace, wire::rank::wildcard});
    }

    /// Who comes later finds those that have left in the registry. Were it kept, a process that joins, dies and is started
    /// again would add one each time.
    static bool is_deserted(const operation& of)
    {
        return of.waiting.empty() &&
               std::includes(of.gone.begin(), of.gone.end(), of.joined.begin(), of.joined.end());
    }

    void complete_if_all_joined(position at)
    {
        if (at->missing != 0)
            return;
        complete(at, at->disagreement    ? wire::status::bad_parameter
                     : !at->gone.empty() ? wire::status::partial_success
                                         : wire::status::success);
    }

    void complete(position at, wire::status outcome)
    {
        auto done = std::move(*at);
        pending_.erase(at);
        for (auto& each : done.waiting)
            each.reply({outcome});
    }

    registry& jobs_;
    deadline_service& clock_;
    std::list<operation> pending_;
};

} // namespace pmixio
