// Events: registration, notification, delivery. messages.md sections 7 and 12.
#pragma once

#include <pmixio/message/message.hpp>

#include <optional>
#include <vector>

namespace pmixio::message {

struct notify {
    static constexpr auto id = wire::command::notify;
    using reply = status_reply;

    wire::status code = wire::status::success;
    wire::data_range range = wire::data_range::undefined;
    std::vector<wire::info> infos;

    friend bool operator==(const notify&, const notify&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.code);
        io.item(as<data_type::data_range>, self.range);
        io.list(as<data_type::info>, self.infos);
    }
};

/// No codes: the default handler, for all.
struct register_events {
    static constexpr auto id = wire::command::register_events;
    using reply = status_reply;

    std::vector<wire::status> codes;
    std::vector<wire::info> infos;

    friend bool operator==(const register_events&, const register_events&) = default;
    static void items(auto& self, auto& io)
    {
        io.list(as<data_type::status>, self.codes);
        io.list(as<data_type::info>, self.infos);
    }
};

/// The one request that must not be answered. The default handler is `default_handler`.
struct deregister_events {
    static constexpr auto id = wire::command::deregister_events;
    static constexpr auto default_handler = static_cast<wire::status>(INT32_MIN);

    std::vector<wire::status> codes;

    friend bool operator==(const deregister_events&, const deregister_events&) = default;
    static void items(auto& self, auto& io) { io.rest(as<data_type::status>, self.codes); }
};

/// Server to client, with tag 0. Starts with the COMMAND of notify.
struct event {
    static constexpr auto id = wire::command::notify;

    wire::status code = wire::status::success;
    wire::proc source;
    std::vector<wire::info> infos;
    std::optional<wire::data_range> range; ///< servers since 4.0, for relaying

    friend bool operator==(const event&, const event&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.code);
        io.item(as<data_type::proc>, self.source);
        io.list(as<data_type::info>, self.infos);
        io.tail(as<data_type::data_range>, self.range);
    }
};

} // namespace pmixio::message
