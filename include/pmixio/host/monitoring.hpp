// monitoring: who hears when a process gives no more signs of life. messages.md section 7, MONITOR.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/deadlines.hpp>
#include <pmixio/host/events.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/control.hpp>

#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view monitor_id = "pmix.monitor.id", monitor_cancel = "pmix.monitor.cancel",
                                  monitor_heartbeat = "pmix.monitor.mbeat", heartbeat = "pmix.monitor.beat",
                                  heartbeat_time = "pmix.monitor.btime",
                                  heartbeat_drops = "pmix.monitor.bdrop", monitor_file = "pmix.monitor.fmon",
                                  file_size = "pmix.monitor.fsize", file_access = "pmix.monitor.faccess",
                                  file_modify = "pmix.monitor.fmod", file_time = "pmix.monitor.ftime",
                                  file_drops = "pmix.monitor.fdrop", event_range = "pmix.range";
} // namespace key

/// Signs of life that sessions have promised: heartbeats, or changes of a file. The time is cut into windows as long as the
/// request says. When there was no sign in more windows in a row than may be missed (none, unless the request says so), an
/// event tells, once until the next sign; with the code that the request names, or heartbeat_alert or file_alert. It
/// comes from the process that is watched, so that this one does not get it, and reaches by default its namespace.
///
/// Of a file only what belongs to the requester's user counts, so that nobody learns of others' files what their own rights
/// would not show them: any other, or none, gives no sign. It is looked at on the server's executor.
class monitoring {
public:
    /// All must outlive this. `per_session`: limits::monitors_per_session.
    monitoring(deadline_service& clock, events& listeners, std::size_t per_session)
        : clock_(clock), listeners_(listeners), per_session_(per_session)
    {}
    monitoring(const monitoring&) = delete;
    monitoring& operator=(const monitoring&) = delete;

    /// None if something else is to be watched. BAD_PARAM for no or a nonsensical time; a file without an absolute path, or
    /// of which nothing is to be watched. OUT_OF_RESOURCE beyond the session's limit. Cancelling what is not watched:
    /// NOT_FOUND; without an id all is, if anything.
    std::optional<wire::status> serve(const requester& from, const message::monitor& request)
    {
        const auto& what = request.what;
        if (what.key == key::heartbeat)
            return beat(from.session), wire::status::success;
        if (what.key == key::monitor_cancel)
            return cancel(from.session, what.content.get<wire::data_type::string>().value_or(""));
        const bool file = what.key == key::monitor_file;
        if (!file && what.key != key::monitor_heartbeat)
            return std::nullopt;

        watch made;
        made.from = from;
        if (!read(request, file, made))
            return wire::status::bad_parameter;
        auto& mine = watches_[from.session];
        if (mine.size() >= per_session_)
            return wire::status::out_of_resource;
        if (file)
            (void)changed(made);
        const auto at = mine.insert(mine.end(), std::move(made));
        try {
            arm(at);
        } catch (const std::bad_alloc&) {
            forget(at);
            throw;
        }
        return wire::status::success;
    }

    /// A heartbeat of the session.
    void beat(std::uint64_t session) noexcept
    {
        if (const auto at = watches_.find(session); at != watches_.end())
            for (auto& each : at->second)
                each.beaten = true;
    }

    /// The session has finalized or is closed.
    void drop(std::uint64_t session) noexcept { watches_.erase(session); }

    std::size_t active() const noexcept
    {
        std::size_t sum = 0;
        for (const auto& [session, all] : watches_)
            sum += all.size();
        return sum;
    }

private:
    /// What is watched of a file.
    struct traits {
        bool size = false, access = false, modification = false;
    };
    struct state {
        std::int64_t size = -1;
        std::pair<std::int64_t, std::int64_t> accessed, modified; ///< seconds, nanoseconds
        friend bool operator==(const state&, const state&) = default;
    };
    struct watch {
        requester from;
        std::string id;
        message::notify alert;
        std::chrono::seconds window{};
        std::uint64_t may_miss = 0;
        std::string file; ///< empty: heartbeats
        traits of_file;
        std::uint64_t missed = 0;
        bool reported = false, beaten = false;
        state seen;
        deadline_service::deadline next;
    };
    using list = std::list<watch>;

    static constexpr std::size_t longest_path = 4095;

    static std::int64_t number(std::span<const wire::info> infos, std::string_view name,
                               std::int64_t otherwise)
    {
        const auto* found = find_attribute(infos, name);
        return found ? found->to_integer().value_or(-1) : otherwise;
    }

    /// Flags in some releases, strings by the description of others.
    static bool flag(std::span<const wire::info> infos, std::string_view name)
    {
        const auto* found = find_attribute(infos, name);
        return found && (found->is(wire::data_type::string) || found->to_flag());
    }

    static bool read(const message::monitor& request, bool file, watch& made)
    {
        const auto& how = request.directives;
        const auto window = number(how, file ? key::file_time : key::heartbeat_time, 0);
        const auto drops = number(how, file ? key::file_drops : key::heartbeat_drops, 0);
        const auto range = number(how, key::event_range, 0);
        if (window <= 0 || window > UINT32_MAX || drops < 0 || range < 0 ||
            range > static_cast<std::int64_t>(wire::data_range::proc_local))
            return false;
        made.window = std::chrono::seconds(window);
        made.may_miss = static_cast<std::uint64_t>(drops);
        made.alert.range = range == 0 ? wire::data_range::nspace : static_cast<wire::data_range>(range);
        made.alert.code = request.alert != wire::status::success ? request.alert
                          : file                                 ? wire::status::file_alert
                                                                 : wire::status::heartbeat_alert;
        if (const auto* id = find_attribute(how, key::monitor_id)) {
            made.id = id->get<wire::data_type::string>().value_or("");
            if (made.id.empty() || made.id.size() > wire::max_key_length)
                return false;
            made.alert.infos.push_back({std::string(key::monitor_id), 0, *id});
        }
        if (const auto* named = find_attribute(how, key::custom_range))
            made.alert.infos.push_back({std::string(key::custom_range), 0, *named});
        if (!file)
            return true;
        made.file = request.what.content.get<wire::data_type::string>().value_or("");
        made.of_file = {flag(how, key::file_size), flag(how, key::file_access), flag(how, key::file_modify)};
        return made.file.starts_with('/') && made.file.size() <= longest_path &&
               made.file.find('\0') == made.file.npos &&
               (made.of_file.size || made.of_file.access || made.of_file.modification);
    }

    wire::status cancel(std::uint64_t session, std::string_view id)
    {
        const auto at = watches_.find(session);
        const auto gone = at == watches_.end() ? 0 : at->second.remove_if([&](const watch& each) {
            return id.empty() || each.id == id;
        });
        if (gone != 0 && at->second.empty())
            watches_.erase(at);
        return gone != 0 ? wire::status::success : wire::status::not_found;
    }

    void arm(list::iterator at)
    {
        at->next = clock_.after(at->window, [this, at] { look(at); });
    }

    void forget(list::iterator at) noexcept
    {
        const auto of = watches_.find(at->from.session);
        of->second.erase(at);
        if (of->second.empty())
            watches_.erase(of);
    }

    /// A window is over.
    void look(list::iterator at) noexcept
    {
        const bool alive = at->file.empty() ? std::exchange(at->beaten, false) : changed(*at);
        if (alive)
            at->missed = 0, at->reported = false;
        const bool report = !alive && !at->reported && ++at->missed > at->may_miss;
        at->reported |= report;
        const auto session = at->from.session;
        try {
            if (report)
                listeners_.notify(requester(at->from), message::notify(at->alert)); // may end the session
        } catch (const std::bad_alloc&) {                                           // nobody hears of it
        }
        if (!watches_.contains(session))
            return;
        try {
            arm(at);
        } catch (const std::bad_alloc&) {
            forget(at);
        }
    }

    /// Whether the file is another than when last seen, in what is watched of it.
    static bool changed(watch& w) noexcept
    {
        struct ::stat status;
        if (::stat(w.file.c_str(), &status) != 0 || status.st_uid != w.from.uid)
            return false;
        state now;
        if (w.of_file.size)
            now.size = status.st_size;
        if (w.of_file.access)
            now.accessed = {status.st_atim.tv_sec, status.st_atim.tv_nsec};
        if (w.of_file.modification)
            now.modified = {status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
        return std::exchange(w.seen, now) != now;
    }

    deadline_service& clock_;
    events& listeners_;
    std::size_t per_session_;
    std::map<std::uint64_t, list> watches_;
};

} // namespace pmixio
