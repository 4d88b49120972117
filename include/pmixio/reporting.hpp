// What observers saw, as text: a log of decisions, and counters for people and machines.
#pragma once

#include <pmixio/observer.hpp>

#include <fmt/core.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace pmixio {

/// Says every decision about a peer in one line of printable ASCII, without a newline, to a function of the host's. The
/// function is called where the decision is made: it must not block. Messages and bytes are not logged.
class log_observer {
public:
    std::function<void(std::string_view line)> out; ///< null: nothing is said
    bool only_problems = false;                     ///< nothing of admissions and ends

    void on(const event::refused& e)
    {
        if (e.why == fault::closed_by_peer) // before it said anything: somebody looked whether we listen
            return;
        const auto user = e.uid ? fmt::format(" of user {}", *e.uid) : std::string();
        say("refused a connection{} as {}: {}", user, who(e.nspace, e.rank), e.why.message());
    }
    void on(const event::handed_over& e)
    {
        if (!only_problems)
            say("handed over a connection as {}", who(e.nspace, e.rank));
    }
    void on(const event::limit_reached& e) { say("limit reached: {} ({})", e.which.message(), e.bound); }
    void on(const event::admitted& e)
    {
        if (!only_problems)
            say("admitted {} of user {} by {}, speaking {}", who(e.nspace, e.rank), e.uid, e.security,
                e.encoding);
    }
    void on(const event::closed& e)
    {
        if (!only_problems)
            say("closed {}: {}", who(e.nspace, e.rank), e.why.message());
    }
    void on(const event::malformed& e)
    {
        say("malformed request of {}: {}", who(e.nspace, e.rank), e.why.message());
    }
    void on(const event::accept_paused& e) { say("no connections for the moment: {}", e.why.message()); }

private:
    /// A name that was not said is a question mark.
    static std::string who(std::string_view nspace, std::uint32_t rank)
    {
        return nspace.empty() ? "?" : printable(nspace) + '.' + std::to_string(rank);
    }

    template <class... Part>
    void say(fmt::format_string<Part...> form, Part&&... parts)
    {
        if (out)
            out(fmt::format(form, std::forward<Part>(parts)...));
    }
};

namespace detail {

/// Calls f(name, value, is_gauge) for each number in the counters but the reasons.
template <class F>
void each_counter(const counters& c, F f)
{
    f("accepted", c.accepted, false);
    f("admitted", c.admitted, false);
    f("refused", c.refused, false);
    f("timed_out", c.timed_out, false);
    f("handed_over", c.handed_over, false);
    f("limits_reached", c.limits_reached, false);
    f("malformed", c.malformed, false);
    f("closed", c.closed, false);
    f("messages_received", c.messages_received, false);
    f("messages_sent", c.messages_sent, false);
    f("bytes_received", c.bytes_received, false);
    f("bytes_sent", c.bytes_sent, false);
    f("sessions", c.sessions, true);
    f("peak_sessions", c.peak_sessions, true);
}

/// For the inside of a JSON or Prometheus string. Reasons come from this library and the system, never from a peer.
inline std::string quoted(std::string_view text)
{
    std::string result = "\"";
    for (const char c : printable(text))
        (result += c == '"' || c == '\\' ? "\\" : "") += c;
    return result += '"';
}

} // namespace detail

/// One JSON object, on one line.
inline std::string to_json(const counters& c)
{
    std::string text = "{";
    detail::each_counter(c, [&](std::string_view name, std::uint64_t value, bool) {
        text += fmt::format("\"{}\": {}, ", name, value);
    });
    text += "\"refused_by_reason\": {";
    for (const auto& [reason, count] : c.refused_by_reason)
        text += fmt::format("{}{}: {}", text.ends_with('{') ? "" : ", ", detail::quoted(reason), count);
    return text += "}}";
}

/// The text format that Prometheus scrapes. Refusals are one metric with the reason as a label.
inline std::string to_prometheus(const counters& c, std::string_view prefix = "pmixio_")
{
    std::string text;
    detail::each_counter(c, [&](std::string_view name, std::uint64_t value, bool gauge) {
        if (name != "refused")
            text += fmt::format("# TYPE {0}{1}{2} {3}\n{0}{1}{2} {4}\n", prefix, name, gauge ? "" : "_total",
                                gauge ? "gauge" : "counter", value);
    });
    text += fmt::format("# TYPE {}refused_total counter\n", prefix);
    for (const auto& [reason, count] : c.refused_by_reason)
        text += fmt::format("{}refused_total{{reason={}}} {}\n", prefix, detail::quoted(reason), count);
    return text;
}

} // namespace pmixio
