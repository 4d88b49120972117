// events: who wants to hear of what, its delivery, and what is kept for those who register later. messages.md section 12.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/limits.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/session/responder.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <new>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view not_for_default = "pmix.evnondef", not_kept = "pmix.evnocache";
} // namespace key

/// Event registrations of one server's sessions, and recent events.
///
/// An event goes to every session that wants it, once; not to the process it came from, which has run its own handlers;
/// not between processes of two users, unless one is root. A registration that names processes is for events that affect
/// one of these, or do not say whom.
///
/// Events are kept, within limits, for sessions that register their code later: until all the processes that a custom
/// range names have had them, or their namespace goes. Default handlers hear of what happens from then on only, as with
/// libpmix: Open MPI's abort on whatever they hear.
class events {
public:
    explicit events(const limits& bounds = {}) : bounds_(bounds) {}

    /// Adds codes to what the session wants; no codes: everything (the default handler). OUT_OF_RESOURCE beyond
    /// limits::registered_codes. `to` reaches the session, until drop().
    wire::status add(const requester& from, const message::register_events& request,
                     notifier<message::event> to)
    {
        const auto whom = affected_by(request.infos);
        auto [at, added] = wanted_.try_emplace(from.session);
        auto& wanted = at->second;
        if (added)
            wanted = {from, std::move(to), {}, {}};
        const auto more = request.codes.empty() ? 1 + whom.size() : request.codes.size() * (1 + whom.size());
        if (more > bounds_.registered_codes || wanted.size() > bounds_.registered_codes - more)
            return wire::status::out_of_resource;
        for (const auto code : request.codes)
            extend(wanted.codes[code], whom);
        if (request.codes.empty())
            extend(wanted.all, whom);
        return wire::status::success;
    }

    void remove(const requester& from, const message::deregister_events& request)
    {
        const auto at = wanted_.find(from.session);
        if (at == wanted_.end())
            return;
        for (const auto code : request.codes) {
            at->second.codes.erase(code);
            if (code == message::deregister_events::default_handler)
                at->second.all.reset();
        }
    }

    /// Sends the session what is kept under these codes, and what it has not had. The client must have had the answer to its
    /// registration by then.
    void catch_up(const requester& from, const message::register_events& request)
    {
        for (auto& [user, shelf] : kept_)
            for (auto at = shelf.events.begin(); at != shelf.events.end();) {
                const auto here = at++;
                const auto listener = wanted_.find(from.session);
                if (listener == wanted_.end())
                    return; // sending can end a session
                const auto as = listener->second.hears(*here, request.codes);
                if (!as || !here->to.reaches(from) || !here->got.insert(from.session).second)
                    continue;
                send(listener->second.to, *here, *as);
                if (here->to.end_with(from.who))
                    shelf.drop(here);
            }
    }

    /// The session has finalized or is closed.
    void drop(std::uint64_t session)
    {
        if (wanted_.erase(session) != 0)
            for (auto& [user, shelf] : kept_)
                for (auto& each : shelf.events)
                    each.got.erase(session);
    }

    /// The namespace is about to be removed, and what its processes have told with it.
    void forget(std::string_view nspace) noexcept
    {
        for (auto at = kept_.begin(); at != kept_.end();) {
            auto& [user, shelf] = *at;
            for (auto each = shelf.events.begin(); each != shelf.events.end();) {
                const auto here = each++;
                if (here->to.from.who.nspace == nspace)
                    shelf.drop(here);
            }
            at = shelf.events.empty() ? kept_.erase(at) : std::next(at);
        }
    }

    /// Delivers an event as from a process. `source`: as which it is delivered.
    void notify(const requester& from, message::notify request, const wire::proc& source)
    {
        occurrence what;
        what.event = {request.code, source, std::move(request.infos), request.range};
        what.to = {from, request.range, processes_attribute(what.event.infos, key::custom_range)};
        raise(std::move(what));
    }
    void notify(const requester& from, message::notify request)
    {
        notify(from, std::move(request), from.who);
    }

    /// Delivers an event of the server's own to these processes.
    void tell(const std::set<wire::proc>& whom, const message::event& event)
    {
        occurrence what;
        what.event = event;
        deliver(what, [&](const requester& listener) { return whom.contains(listener.who); });
    }

    /// A process was lost: `process_terminated` for those it was connected with, and for the others of its job that have
    /// registered this code, or `process_ended` in its place: releases before 4.0 have no name for the former, and
    /// invitations to groups wait for the latter. Default handlers of its job do not hear of it. What there is no memory for
    /// is not told.
    void lost(const wire::proc& who, ::uid_t user, const wire::proc& server,
              const std::set<wire::proc>& connected, bool tell_job) noexcept
    {
        try {
            occurrence what;
            what.event = {wire::status::process_terminated,
                          server,
                          {{std::string(key::affected), 0, wire::value::of_proc(who)}},
                          wire::data_range::custom};
            what.also = wire::status::process_ended;
            deliver(what, [&](const requester& listener) { return connected.contains(listener.who); });
            if (!tell_job)
                return;
            what.event.infos.push_back({std::string(key::not_for_default), 0, wire::value::boolean(true)});
            what.event.range = wire::data_range::nspace;
            what.to = {{who, user, 0}, wire::data_range::nspace, {}};
            raise(std::move(what));
        } catch (const std::bad_alloc&) {
        }
    }

    /// Events that are kept.
    std::size_t kept() const noexcept
    {
        std::size_t n = 0;
        for (const auto& [user, shelf] : kept_)
            n += shelf.events.size();
        return n;
    }

private:
    /// Whom an event may reach.
    struct audience {
        requester from; ///< whose it is; not reached itself
        wire::data_range range = wire::data_range::proc_local;
        std::vector<wire::proc> named; ///< sorted; those of a custom range that have not had it

        bool reaches(const requester& listener) const
        {
            if (from.who == listener.who || !(from.may_see(listener.uid) || listener.may_see(from.uid)))
                return false;
            switch (range) {
            case wire::data_range::undefined:
            case wire::data_range::local:
            case wire::data_range::session:
            case wire::data_range::global: return true;
            case wire::data_range::nspace: return from.who.nspace == listener.who.nspace;
            case wire::data_range::custom: return is_among(listener.who, named);
            default: // for the server only, or for nobody else
                return false;
            }
        }
        /// Whether nobody is left, now that `who` has had it.
        bool end_with(const wire::proc& who)
        {
            return range == wire::data_range::custom && std::erase(named, who) != 0 && named.empty();
        }
        bool is_nobody() const
        {
            return range == wire::data_range::custom
                       ? named.empty()
                       : range == wire::data_range::resource_manager || range >= wire::data_range::proc_local;
        }
    };

    struct occurrence {
        message::event event;
        std::optional<wire::status> also; ///< another name of its code
        audience to;
        std::vector<wire::proc> affected;
        std::set<std::uint64_t> got; ///< the sessions that have had it
        std::size_t bytes = 0;

        bool affects(const std::vector<wire::proc>& whom) const
        {
            const auto meets = [&](const wire::proc& each) {
                return is_among(each, whom) || (each.rank == wire::rank::wildcard &&
                                                std::any_of(whom.begin(), whom.end(), [&](const auto& other) {
                                                    return other.nspace == each.nspace;
                                                }));
            };
            return whom.empty() || affected.empty() || std::any_of(affected.begin(), affected.end(), meets);
        }
    };

    /// Those it is restricted to, sorted; none: anybody.
    using interest = std::vector<wire::proc>;

    struct registration {
        requester from;
        notifier<message::event> to;
        std::map<wire::status, std::optional<interest>> codes;
        std::optional<interest> all;

        std::size_t size() const
        {
            std::size_t n = all ? 1 + all->size() : 0;
            for (const auto& [code, whom] : codes)
                n += 1 + whom->size();
            return n;
        }
        /// The code as which it hears of this, among `of`; none if it does not.
        std::optional<wire::status> hears(const occurrence& what, const std::vector<wire::status>& of) const
        {
            for (const auto name : {std::optional(what.event.code), what.also})
                if (name && std::find(of.begin(), of.end(), *name) != of.end() && hears(what, *name))
                    return name;
            return std::nullopt;
        }
        std::optional<wire::status> hears(const occurrence& what) const
        {
            for (const auto name : {std::optional(what.event.code), what.also})
                if (name && hears(what, *name))
                    return name;
            const bool by_default = all && !flag_attribute(what.event.infos, key::not_for_default);
            return by_default && what.affects(*all) ? std::optional(what.event.code) : std::nullopt;
        }

    private:
        bool hears(const occurrence& what, wire::status name) const
        {
            const auto at = codes.find(name);
            return at != codes.end() && what.affects(*at->second);
        }
    };

    /// What is kept of one user.
    struct archive {
        std::list<occurrence> events; ///< the oldest first
        std::size_t bytes = 0;

        void drop(std::list<occurrence>::iterator at) noexcept
        {
            bytes -= at->bytes;
            events.erase(at);
        }
    };

    static std::vector<wire::proc> affected_by(std::span<const wire::info> infos)
    {
        auto all = processes_attribute(infos, key::affected);
        const auto more = processes_attribute(infos, key::all_affected);
        all.insert(all.end(), more.begin(), more.end());
        std::sort(all.begin(), all.end());
        return all;
    }

    /// A registration without processes takes the place of all that had some.
    static void extend(std::optional<interest>& at, const interest& more)
    {
        if (!at || more.empty()) {
            at = more;
        } else if (!at->empty()) {
            interest both;
            std::set_union(at->begin(), at->end(), more.begin(), more.end(), std::back_inserter(both));
            at = std::move(both);
        }
    }

    void raise(occurrence what)
    {
        what.affected = affected_by(what.event.infos);
        deliver(what, [&](const requester& listener) { return what.to.reaches(listener); });
        if (what.to.is_nobody() || flag_attribute(what.event.infos, key::not_kept))
            return;
        what.bytes = size_of(what);
        if (what.bytes > bounds_.kept_event_bytes || bounds_.kept_events == 0)
            return;
        auto& on = kept_[what.to.from.uid];
        on.events.push_back(std::move(what));
        on.bytes += on.events.back().bytes;
        while (on.bytes > bounds_.kept_event_bytes || on.events.size() > bounds_.kept_events)
            on.drop(on.events.begin());
    }

    static std::size_t size_of(const occurrence& what)
    {
        std::size_t bytes = sizeof what;
        for (const auto& each : what.event.infos)
            bytes += sizeof each + each.key.size() + each.content.packed().size();
        for (const auto* list : {&what.to.named, &what.affected})
            for (const auto& each : *list)
                bytes += sizeof each + each.nspace.size();
        return bytes;
    }

    /// Sends to all who want to hear of it, are reached, and have not had it.
    template <class Reached>
    void deliver(occurrence& what, Reached reached)
    {
        // Sending can end a session, which drops its registration.
        std::vector<std::pair<std::uint64_t, wire::status>> listeners;
        for (const auto& [session, registered] : wanted_)
            if (const auto as = registered.hears(what); as && reached(registered.from))
                if (what.got.insert(session).second)
                    listeners.emplace_back(session, *as);
        for (const auto& [session, as] : listeners)
            if (const auto at = wanted_.find(session); at != wanted_.end()) {
                what.to.end_with(at->second.from.who);
                send(at->second.to, what, as);
            }
    }

    static void send(notifier<message::event> to, const occurrence& what, wire::status as)
    {
        if (as == what.event.code)
            return to(wire::event_tag, what.event);
        auto renamed = what.event;
        renamed.code = as;
        to(wire::event_tag, renamed);
    }

    limits bounds_;
    std::map<std::uint64_t, registration> wanted_;
    std::map<::uid_t, archive> kept_;
};

} // namespace pmixio
