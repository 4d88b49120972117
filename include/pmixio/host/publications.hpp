// publications: what processes have published, and those who wait for it. messages.md section 11.
#pragma once

#include <pmixio/host/accounts.hpp>
#include <pmixio/host/attributes.hpp>
#include <pmixio/host/deadlines.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/session/responder.hpp>

#include <algorithm>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view range = "pmix.range", persistence = "pmix.persist", wait = "pmix.wait";
} // namespace key

/// PUBLISH, LOOKUP and UNPUBLISH of the processes of one node.
///
/// A range is a set of processes: local, session, global and none all mean those of this server; nspace the namespace of who
/// names it, proc_local itself; custom those in `pmix.evrange`; resource_manager no process. A lookup finds what is
/// published in a range that has the requester, by a process that is in the lookup's range; of another user nothing, but
/// for root. A key is in one range once (DUPLICATE_KEY), and users do not share keys.
///
/// What is published lasts, by its persistence: indefinite until its publisher unpublishes it; first_read until a lookup
/// was answered with it; process until its publisher has departed; application until its namespace is removed; session
/// until the last namespace of its session id is.
///
/// What is published, and lookups that wait, count against a limit of their user: OUT_OF_RESOURCE beyond it.
class publications {
public:
    /// Both must outlive this. `bytes_per_user`: limits::published_bytes.
    publications(registry& jobs, deadline_service& clock, std::size_t bytes_per_user)
        : jobs_(jobs), clock_(clock), accounts_(bytes_per_user)
    {}
    publications(const publications&) = delete;
    publications& operator=(const publications&) = delete;

    /// All of it or nothing. BAD_PARAM if that is nothing, or a directive is none; NOT_SUPPORTED for lists of users and
    /// groups that may have access.
    void publish(const requester& from, message::publish request, responder<message::status_reply> reply)
    {
        items made;
        owners owned;
        if (const auto ready = prepare(from, request.infos, made, owned); ready != wire::status::success)
            return reply.refuse(ready);
        items_.merge(made);
        owners_.merge(owned);
        reply({});
        retry(from.uid);
    }

    /// Answers with what is there, NOT_FOUND if nothing is. With `pmix.wait` it is held until as many keys are there as that
    /// says (0: all), until the request's own timeout (TIMEOUT), or until its requester is gone.
    void lookup(const requester& from, message::lookup request, responder<message::lookup_reply> reply)
    {
        const auto range = range_attribute(request.infos);
        auto& keys = sorted_once(request.keys);
        if (keys.empty() || !range)
            return reply.refuse(wire::status::bad_parameter);

        const auto* wait = find_attribute(request.infos, key::wait);
        question asked{from, audience_named(*range, request.infos), std::move(keys), 1};
        if (wait) {
            const auto wanted = wait->to_integer().value_or(0),
                       all = static_cast<std::int64_t>(asked.keys.size());
            asked.enough = static_cast<std::size_t>(wanted > 0 ? std::min(wanted, all) : all);
        }
        if (answer(asked, reply))
            return;
        if (!wait)
            return reply.refuse(wire::status::not_found);

        auto price = accounts_.charge(from.uid, asked.size());
        if (!price)
            return reply.refuse(wire::status::out_of_resource);
        const auto at =
            held_.insert(held_.end(), {std::move(asked), std::move(reply), *std::move(price), {}});
        if (const auto timeout = timeout_attribute(request.infos))
            at->limit = clock_.after(*timeout, [this, at] { take(at).reply.refuse(wire::status::timeout); });
    }

    /// Takes back what the requester has published: those keys, or all; in the range that the request names, or in all.
    /// BAD_PARAM if that is none. Keys that it has not published do no harm.
    void unpublish(const requester& from, message::unpublish request, responder<message::status_reply> reply)
    {
        const auto range = range_attribute(request.infos);
        if (!range)
            return reply.refuse(wire::status::bad_parameter);
        const bool everywhere = !find_attribute(request.infos, key::range);
        const auto meant = [&](const items::value_type& each) {
            const auto& by = *each.second.by;
            return by.who == from.who && by.uid == from.uid && (everywhere || by.visible.range == *range);
        };
        if (request.keys.empty())
            erase_of(from.who, meant);
        for (const auto& name : sorted_once(request.keys)) {
            const auto [first, end] = items_.equal_range(name);
            for (auto at = first; at != end;)
                if (const auto here = at++; meant(*here))
                    erase(here);
        }
        reply({});
    }

    /// The process is gone.
    void departed(const wire::proc& who) noexcept
    {
        erase_of(who, [](const items::value_type& each) {
            return each.second.by->lasts == wire::persistence::process;
        });
    }

    /// The session is closed: what it waits for is forgotten.
    void drop(std::uint64_t session)
    {
        held_.remove_if([&](held_lookup& held) {
            if (held.asked.from.session != session)
                return false;
            held.reply.abandon();
            return true;
        });
    }

    /// The namespace is about to be removed.
    void forget(std::string_view nspace) noexcept
    {
        const auto* ending = jobs_.find(nspace);
        if (!ending)
            return;
        erase_of(nspace, [](const items::value_type& each) {
            return each.second.by->lasts == wire::persistence::process ||
                   each.second.by->lasts == wire::persistence::application;
        });
        const auto session = ending->description().session;
        bool last = true;
        jobs_.for_each([&](const namespace_record& each) {
            last &= &each == ending || each.description().session != session;
        });
        for (auto at = items_.begin(); last && at != items_.end();) {
            const auto here = at++;
            if (here->second.by->lasts == wire::persistence::session && here->second.by->session == session)
                erase(here);
        }
    }

    std::size_t held() const noexcept { return held_.size(); }

    /// What all users' publications and waiting lookups are charged.
    std::size_t bytes() const noexcept { return accounts_.bytes(); }

private:
    using share = accounts::share;

    struct audience {
        wire::data_range range = wire::data_range::session;
        std::vector<wire::proc> named; ///< of range custom

        /// Whether `other` is in it, if `self` has named it.
        bool has(const wire::proc& self, const wire::proc& other) const
        {
            switch (range) {
            case wire::data_range::nspace: return self.nspace == other.nspace;
            case wire::data_range::proc_local: return self == other;
            case wire::data_range::custom: return is_among(other, named);
            case wire::data_range::resource_manager: return false;
            default: return true;
            }
        }
        std::size_t size() const
        {
            std::size_t sum = 0;
            for (const auto& each : named)
                sum += sizeof(each) + each.nspace.size();
            return sum;
        }
    };

    /// What the items of one PUBLISH have in common.
    struct act {
        wire::proc who;
        ::uid_t uid;
        std::uint32_t session;
        audience visible;
        wire::persistence lasts;
        share price;
    };
    struct publication;
    using items = std::multimap<std::string, publication, std::less<>>;
    using owners = std::multimap<wire::proc, items::iterator, process_or_namespace>;
    struct publication {
        std::shared_ptr<const act> by;
        wire::value content;
        share price;
        owners::iterator owned{};
    };

    struct question {
        requester from;
        audience among;
        std::vector<std::string> keys; ///< sorted, each once
        std::size_t enough;            ///< of them must be there

        /// More than it takes: every PUBLISH of its user looks for each key again.
        std::size_t size() const
        {
            std::size_t sum = among.size();
            for (const auto& each : keys)
                sum += 1024 + each.size();
            return sum;
        }
    };
    struct held_lookup {
        question asked;
        responder<message::lookup_reply> reply;
        share price;
        deadline_service::deadline limit;
    };

    /// Of an item beside its content, and of what the items of one PUBLISH share.
    static constexpr std::size_t upkeep = 512;

    static std::vector<std::string>& sorted_once(std::vector<std::string>& keys)
    {
        std::sort(keys.begin(), keys.end());
        keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
        return keys;
    }

    static std::optional<wire::data_range> range_attribute(std::span<const wire::info> infos)
    {
        const auto* found = find_attribute(infos, key::range);
        const auto range = found ? found->to_integer().value_or(-1) : 0;
        if (range < 0 || range > static_cast<std::int64_t>(wire::data_range::proc_local))
            return std::nullopt;
        return range == 0 ? wire::data_range::session : static_cast<wire::data_range>(range);
    }

    static audience audience_named(wire::data_range range, std::span<const wire::info> infos)
    {
        return {range, range == wire::data_range::custom ? processes_attribute(infos, key::custom_range)
                                                         : std::vector<wire::proc>{}};
    }

    static std::optional<wire::persistence> persistence_attribute(std::span<const wire::info> infos)
    {
        const auto* found = find_attribute(infos, key::persistence);
        if (!found)
            return wire::persistence::application;
        const auto lasts = found->to_integer().value_or(-1);
        if (lasts < 0 || lasts > static_cast<std::int64_t>(wire::persistence::session))
            return std::nullopt;
        return static_cast<wire::persistence>(lasts);
    }

    static constexpr bool is_directive(std::string_view name)
    {
        return name == key::range || name == key::persistence || name == key::timeout || name == key::wait ||
               name == key::custom_range || name == "pmix.euid" || name == "pmix.egid";
    }
    /// Who else than the publisher's user may have access: not to be published as data, and not to be ignored.
    static constexpr bool is_access_list(std::string_view name)
    {
        return name == "pmix.aperms" || name == "pmix.auids" || name == "pmix.agids";
    }

    wire::status prepare(const requester& from, std::vector<wire::info>& infos, items& made, owners& owned)
    {
        const auto range = range_attribute(infos);
        const auto lasts = persistence_attribute(infos);
        if (!range || !lasts)
            return wire::status::bad_parameter;
        const auto* nspace = jobs_.find(from.who.nspace);
        if (!nspace)
            return wire::status::not_found;
        auto visible = audience_named(*range, infos);
        auto shared = accounts_.charge(from.uid, upkeep + visible.size());
        if (!shared)
            return wire::status::out_of_resource;
        const auto by = std::make_shared<const act>(act{from.who, from.uid, nspace->description().session,
                                                        std::move(visible), *lasts, *std::move(shared)});
        for (auto& each : infos) {
            if (is_directive(each.key))
                continue;
            if (is_access_list(each.key))
                return wire::status::not_supported;
            if (made.contains(each.key) || taken(each.key, *by))
                return wire::status::duplicate_key;
            auto price = accounts_.charge(from.uid, upkeep + each.key.size() + each.content.packed().size());
            if (!price)
                return wire::status::out_of_resource;
            const auto at = made.emplace(std::move(each.key),
                                         publication{by, std::move(each.content), *std::move(price)});
            at->second.owned = owned.emplace(from.who, at);
        }
        return made.empty() ? wire::status::bad_parameter : wire::status::success;
    }

    /// Whether the user has that key in that range already.
    bool taken(std::string_view name, const act& by) const
    {
        const auto [first, last] = items_.equal_range(name);
        return std::any_of(first, last, [&](const items::value_type& each) {
            const auto& other = *each.second.by;
            if (other.uid != by.uid || other.visible.range != by.visible.range)
                return false;
            switch (by.visible.range) {
            case wire::data_range::nspace: return other.who.nspace == by.who.nspace;
            case wire::data_range::proc_local:
            case wire::data_range::custom: return other.who == by.who;
            default: return true;
            }
        });
    }

    /// The first visible item of that name: of the requester's own user, if there is one.
    items::iterator find(const question& asked, std::string_view name)
    {
        auto found = items_.end();
        const auto [first, last] = items_.equal_range(name);
        for (auto at = first; at != last; ++at) {
            const auto& by = *at->second.by;
            if (!asked.from.may_see(by.uid) || !by.visible.has(by.who, asked.from.who) ||
                !asked.among.has(asked.from.who, by.who))
                continue;
            if (by.uid == asked.from.uid)
                return at;
            if (found == items_.end())
                found = at;
        }
        return found;
    }

    /// False: not enough is there, and nothing has happened.
    bool answer(const question& asked, responder<message::lookup_reply>& reply)
    {
        std::vector<items::iterator> found;
        for (const auto& name : asked.keys)
            if (const auto at = find(asked, name); at != items_.end())
                found.push_back(at);
        if (found.size() < asked.enough)
            return false;
        message::lookup_reply data;
        data.found.reserve(found.size());
        for (const auto at : found)
            data.found.push_back({at->second.by->who, at->first, at->second.content});
        reply(data);
        for (const auto at : found)
            if (at->second.by->lasts == wire::persistence::first_read)
                erase(at);
        return true;
    }

    /// Something of that user is there that was not before.
    void retry(::uid_t uid)
    {
        for (auto at = held_.begin(); at != held_.end();) {
            const auto here = at++;
            if (!here->asked.from.may_see(uid))
                continue;
            try {
                if (answer(here->asked, here->reply))
                    held_.erase(here);
            } catch (const std::bad_alloc&) { // others may be luckier
                take(here).reply.refuse(wire::status::out_of_resource);
            }
        }
    }

    held_lookup take(std::list<held_lookup>::iterator at)
    {
        auto held = std::move(*at);
        held_.erase(at);
        return held;
    }

    void erase(items::iterator at) noexcept
    {
        owners_.erase(at->second.owned);
        items_.erase(at);
    }

    /// Of what a process, or those of a namespace, have published.
    template <class Whose, class Which>
    void erase_of(const Whose& whose, Which which)
    {
        const auto [first, end] = owners_.equal_range(whose);
        for (auto at = first; at != end;) {
            const auto here = (at++)->second;
            if (which(*here))
                erase(here);
        }
    }

    registry& jobs_;
    deadline_service& clock_;
    accounts accounts_;
    items items_;
    owners owners_;
    std::list<held_lookup> held_;
};

} // namespace pmixio
