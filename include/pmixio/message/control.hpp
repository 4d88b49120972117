// Questions and wishes to the host: QUERY, LOG, JOB_CONTROL. messages.md section 7.
#pragma once

#include <pmixio/message/message.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace pmixio::message {

/// A status and, where the host has something to say, attributes.
struct infos_reply {
    wire::status result = wire::status::success;
    std::optional<std::vector<wire::info>> infos;

    friend bool operator==(const infos_reply&, const infos_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        io.tail_list(as<data_type::info>, self.infos);
    }
};

struct query {
    static constexpr auto id = wire::command::query;
    using reply = infos_reply;

    std::vector<wire::query> queries;

    friend bool operator==(const query&, const query&) = default;
    static void items(auto& self, auto& io) { io.list(as<data_type::query>, self.queries); }
};

struct log {
    static constexpr auto id = wire::command::log;
    using reply = status_reply;

    std::uint64_t timestamp = 0; ///< releases before 3.0 send none
    std::vector<wire::info> data;
    std::vector<wire::info> directives;

    friend bool operator==(const log&, const log&) = default;
    static void items(auto& self, auto& io)
    {
        if (io.release().major >= 3)
            io.item(as<data_type::time>, self.timestamp);
        io.list(as<data_type::info>, self.data);
        io.list(as<data_type::info>, self.directives);
    }
};

struct job_control {
    static constexpr auto id = wire::command::job_control;
    using reply = infos_reply;

    std::vector<wire::proc> targets;
    std::vector<wire::info> directives;

    friend bool operator==(const job_control&, const job_control&) = default;
    static void items(auto& self, auto& io)
    {
        io.list(as<data_type::proc>, self.targets);
        io.list(as<data_type::info>, self.directives);
    }
};

} // namespace pmixio::message
