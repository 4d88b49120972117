// What a server tells whoever watches it. An observer has `on(event)` for the events it wants; the others cost nothing.
#pragma once

#include <pmixio/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <string_view>

namespace pmixio {

namespace event {

/// A connection was accepted, or taken over from another server; its handshake begins. It ends as one of the next three.
struct accepted {};

/// Another server takes it over. Views last for the call. What the peer claims is not proven.
struct handed_over {
    std::string_view nspace;
    std::uint32_t rank = 0;
};

/// A connection ended without admission. Views last for the call. `nspace` is what the peer claimed, if it came so far.
struct refused {
    std::error_code why;
    std::string_view nspace;
    std::uint32_t rank = 0;
    std::optional<std::uint32_t> uid{}; ///< whose connection it was, if the kernel said so
};

/// For want of room or time a peer was refused or closed, which is told next. `bound`: see limit_behind().
struct limit_reached {
    std::error_code which;
    std::size_t bound = 0;
};

/// A peer was admitted: its identity is proven.
struct admitted {
    std::string_view nspace;
    std::uint32_t rank = 0;
    std::uint32_t uid = 0;
    std::string_view security;
    std::string_view encoding;
};

/// An admitted peer's connection is closed.
struct closed {
    std::error_code why;
    std::string_view nspace;
    std::uint32_t rank = 0;
};

/// A request that breaks the protocol; it was answered with UNPACK_FAILURE.
struct malformed {
    std::error_code why;
    std::string_view nspace;
    std::uint32_t rank = 0;
};

/// accept() failed for want of descriptors or memory; said once until it works again.
struct accept_paused {
    std::error_code why;
};

/// A whole message came from an admitted peer, or was queued for one. Bytes with header.
struct received {
    std::size_t bytes = 0;
};
struct sent {
    std::size_t bytes = 0;
};

} // namespace event

/// What a peer says of itself, fit for a log: all but printable ASCII as \xNN, a backslash doubled.
inline std::string printable(std::string_view text)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string shown;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte > 0x7e)
            ((shown += "\\x") += digits[byte / 16]) += digits[byte % 16];
        else
            shown.append(1 + (c == '\\'), c);
    }
    return shown;
}

/// The default: nobody watches.
struct no_observer {};

/// Counts events. A copy is a snapshot.
class counters {
public:
    std::uint64_t accepted = 0, admitted = 0, refused = 0, timed_out = 0, malformed = 0, closed = 0;
    std::uint64_t limits_reached = 0, handed_over = 0;
    std::uint64_t messages_received = 0, messages_sent = 0, bytes_received = 0, bytes_sent = 0;
    std::uint64_t sessions = 0, peak_sessions = 0;
    std::map<std::string, std::uint64_t, std::less<>> refused_by_reason;

    void on(const event::accepted&) { ++accepted; }
    void on(const event::handed_over&) { ++handed_over; }
    void on(const event::refused& e)
    {
        ++refused;
        timed_out += e.why == refusal::timed_out;
        ++refused_by_reason[e.why.message()];
    }
    void on(const event::admitted&)
    {
        ++admitted;
        peak_sessions = std::max(peak_sessions, ++sessions);
    }
    void on(const event::limit_reached&) { ++limits_reached; }
    void on(const event::malformed&) { ++malformed; }
    void on(const event::closed&) { ++closed, --sessions; }
    void on(const event::received& e) { ++messages_received, bytes_received += e.bytes; }
    void on(const event::sent& e) { ++messages_sent, bytes_sent += e.bytes; }
};

namespace detail {

template <class Observer, class Event>
concept wants_event = requires(Observer& observer, const Event& e) { observer.on(e); };

/// Tells `observer` if it wants to know. What it has no memory for, it does not note.
template <class Observer, class Event>
void tell(Observer& observer, const Event& e)
{
    if constexpr (wants_event<Observer, Event>)
        try {
            observer.on(e);
        } catch (const std::bad_alloc&) {
        }
}

} // namespace detail

/// Several observers as one; each is told what it wants to know, in this order.
template <class... Observer>
struct observers : Observer... {
    template <class Event>
        requires(detail::wants_event<Observer, Event> || ...)
    void on(const Event& e)
    {
        (detail::tell(static_cast<Observer&>(*this), e), ...);
    }
};

} // namespace pmixio
