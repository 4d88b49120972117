// events: who wants to hear of what, and its delivery. messages.md section 12.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/session/responder.hpp>

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace pmixio {

/// Event registrations of one server's sessions. An event goes to every session that wants it, once; not to the process it
/// came from, which has run its own handlers; not between processes of two users, unless one is root. It is not kept for those who register later.
class events {
public:
    /// Adds codes to what the session wants; no codes: everything (the default handler).
    /// `to` reaches the session, until drop().
    void add(const requester& from, const message::register_events& request, notifier<message::event> to)
    {
        auto [at, added] = wanted_.try_emplace(from.session);
        if (added)
            at->second = {from, std::move(to), {}, false};
        at->second.codes.insert(request.codes.begin(), request.codes.end());
        at->second.all |= request.codes.empty();
    }

    void remove(const requester& from, const message::deregister_events& request)
    {
        const auto at = wanted_.find(from.session);
        if (at == wanted_.end())
            return;
        for (const auto code : request.codes) {
            at->second.codes.erase(code);
            if (code == message::deregister_events::default_handler)
                at->second.all = false;
        }
    }

    /// The session has finalized or is closed.
    void drop(std::uint64_t session) { wanted_.erase(session); }

    /// Delivers an event from a process.
    void notify(const requester& from, message::notify request)
    {
        const message::event event{request.code, from.who, std::move(request.infos), request.range};
        const auto named = processes_attribute(event.infos, key::custom_range);
        deliver(event,
                [&](const requester& listener) { return reaches(from, listener, request.range, named); });
    }

    /// Delivers an event of the server's own to these processes.
    void tell(const std::set<wire::proc>& whom, const message::event& event)
    {
        deliver(event, [&](const requester& listener) { return whom.contains(listener.who); });
    }

private:
    struct registration {
        requester from;
        notifier<message::event> to;
        std::set<wire::status> codes;
        bool all = false;
    };

    template <class Reached>
    void deliver(const message::event& event, Reached reached)
    {
        const bool only_by_code = flag_attribute(event.infos, "pmix.evnondef");
        // Sending can end a session, which drops its registration.
        std::vector<std::uint64_t> listeners;
        for (const auto& [session, registered] : wanted_)
            if ((registered.codes.contains(event.code) || (registered.all && !only_by_code)) &&
                reached(registered.from))
                listeners.push_back(session);
        for (const auto session : listeners)
            if (const auto at = wanted_.find(session); at != wanted_.end())
                at->second.to(wire::event_tag, event);
    }

    static bool reaches(const requester& source, const requester& listener, wire::data_range range,
                        const std::vector<wire::proc>& named)
    {
        if (source.who == listener.who || !(source.may_see(listener.uid) || listener.may_see(source.uid)))
            return false;
        switch (range) {
        case wire::data_range::undefined:
        case wire::data_range::local:
        case wire::data_range::session:
        case wire::data_range::global: return true;
        case wire::data_range::nspace: return source.who.nspace == listener.who.nspace;
        case wire::data_range::custom: return is_among(listener.who, named);
        default: // for the server only, or for nobody else
            return false;
        }
    }

    std::map<std::uint64_t, registration> wanted_;
};

} // namespace pmixio
