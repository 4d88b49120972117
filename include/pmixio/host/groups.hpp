// groups: processes that belong together from one operation to the next. messages.md sections 7 and 10.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/events.hpp>
#include <pmixio/host/registry.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <new>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

/// What a group is known by. Processes that are connected have no name, but their participants as they were written.
struct group_id {
    ::uid_t user = 0;
    std::string name;
    std::vector<wire::proc> processes; ///< sorted; of those who are connected

    friend auto operator<=>(const group_id&, const group_id&) = default;
};

/// The groups of one server: constructed ones, which have a name, and sets of processes that are connected.
///
/// Users have names of their own and do not see each other's. A member that leaves the server stays a member, so that
/// ranks in the group do not change; a group that no member is left of is gone. Members of a group that was constructed so
/// hear of one that leaves (`group_member_failed`); whoever is connected with one that is lost, by events::lost().
class groups {
public:
    /// `per_user`: see limits::groups_per_user. All must outlive the groups; `server` is the source of their events.
    groups(registry& jobs, events& listeners, wire::proc server, std::size_t per_user)
        : jobs_(jobs), listeners_(listeners), server_(std::move(server)), per_user_(per_user)
    {}

    /// Makes a group of these, at least one. Who is connected can connect again, and has to disconnect as often.
    /// EXISTS if the name is taken, by a group or a namespace of this user; OUT_OF_RESOURCE beyond the limit.
    wire::status add(group_id id, std::set<wire::proc> members, bool notify = false)
    {
        const bool named = !id.name.empty();
        const auto at = groups_.find(id);
        if (named && (at != groups_.end() || is_namespace(id.user, id.name)))
            return wire::status::exists;
        if (at != groups_.end()) {
            at->second.present.merge(members);
            ++at->second.times;
            return wire::status::success;
        }
        const auto of_user = std::count_if(groups_.begin(), groups_.end(),
                                           [&](const auto& g) { return g.first.user == id.user; });
        if (static_cast<std::size_t>(of_user) >= per_user_)
            return wire::status::out_of_resource;
        record made;
        if (named)
            made.members.assign(members.begin(), members.end());
        made.present = std::move(members);
        made.notify = notify;
        groups_.emplace(std::move(id), std::move(made));
        return wire::status::success;
    }

    bool contains(const group_id& id) const { return groups_.contains(id); }

    void remove(const group_id& id)
    {
        if (const auto at = groups_.find(id); at != groups_.end() && --at->second.times == 0)
            groups_.erase(at);
    }

    /// Of a constructed group; none if there is no such group.
    const std::vector<wire::proc>* members(::uid_t user, const std::string& name) const
    {
        const auto at = groups_.find({user, name, {}});
        return at != groups_.end() ? &at->second.members : nullptr;
    }
    bool notifies(::uid_t user, const std::string& name) const
    {
        const auto at = groups_.find({user, name, {}});
        return at != groups_.end() && at->second.notify;
    }

    /// Whether `name` is a namespace that this user's processes can name. Namespaces come before groups of their name.
    bool is_namespace(::uid_t user, std::string_view name) const
    {
        const auto* nspace = jobs_.find(name);
        return nspace && nspace->description().uid == user;
    }

    /// Puts a group's members in place of its name: all for WILDCARD, else the one of that rank. What is neither a group's
    /// name nor such a rank is left.
    std::vector<wire::proc> substitute(::uid_t user, std::vector<wire::proc> given) const
    {
        std::vector<wire::proc> meant;
        meant.reserve(given.size());
        for (auto& each : given) {
            const auto* all = is_namespace(user, each.nspace) ? nullptr : members(user, each.nspace);
            if (all && each.rank == wire::rank::wildcard)
                meant.insert(meant.end(), all->begin(), all->end());
            else
                meant.push_back(all && each.rank < all->size() ? (*all)[each.rank] : std::move(each));
        }
        return meant;
    }

    /// Takes a member out of a constructed group, at its own wish, and tells the others if it is asked to.
    /// NOT_FOUND if it is no member.
    wire::status leave(::uid_t user, const std::string& name, const wire::proc& who, bool tell_others)
    {
        const auto at = groups_.find({user, name, {}});
        if (at == groups_.end() || std::erase(at->second.members, who) == 0)
            return wire::status::not_found;
        at->second.present.erase(who);
        const auto others = at->second.present;
        if (others.empty())
            groups_.erase(at);
        else if (tell_others)
            listeners_.tell(others, about(wire::status::group_left, who, who, name));
        return wire::status::success;
    }

    /// The process is gone. Those it was connected with, as far as there is memory for them.
    std::set<wire::proc> departed(const wire::proc& who) noexcept
    {
        std::set<wire::proc> connected;
        for (auto at = groups_.begin(); at != groups_.end();) {
            const auto here = at++;
            auto& [id, group] = *here;
            if (group.present.erase(who) == 0)
                continue;
            try {
                if (id.name.empty())
                    connected.insert(group.present.begin(), group.present.end());
                else if (!group.present.empty() && group.notify)
                    listeners_.tell(group.present,
                                    about(wire::status::group_member_failed, server_, who, id.name));
            } catch (const std::bad_alloc&) { // the others will notice otherwise
            }
            if (group.present.empty())
                groups_.erase(here);
        }
        return connected;
    }

    /// The namespace is about to be removed, and its processes with it.
    void forget(std::string_view nspace)
    {
        const auto of_it = [&](const wire::proc& each) { return each.nspace == nspace; };
        for (auto at = groups_.begin(); at != groups_.end();) {
            const auto here = at++;
            auto& [id, group] = *here;
            std::erase_if(group.members, of_it);
            std::erase_if(group.present, of_it);
            if (group.present.empty() || std::any_of(id.processes.begin(), id.processes.end(), of_it))
                groups_.erase(here);
        }
    }

    std::size_t size() const noexcept { return groups_.size(); }

private:
    struct record {
        std::vector<wire::proc> members; ///< by rank; of a constructed group
        std::set<wire::proc> present;    ///< those who have not departed
        bool notify = false;
        unsigned times = 1; ///< it was connected
    };

    static message::event about(wire::status code, const wire::proc& source, const wire::proc& who,
                                const std::string& group)
    {
        message::event event{code, source, {}, wire::data_range::custom};
        event.infos = {{std::string(key::affected), 0, wire::value::of_proc(who)},
                       {std::string(key::group), 0, wire::value::string(group)}};
        return event;
    }

    registry& jobs_;
    events& listeners_;
    wire::proc server_;
    std::size_t per_user_;
    std::map<group_id, record> groups_;
};

} // namespace pmixio
