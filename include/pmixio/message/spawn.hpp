// Starting processes: SPAWN. messages.md section 7.
#pragma once

#include <pmixio/message/message.hpp>

#include <vector>

namespace pmixio::message {

struct spawn_reply {
    wire::status result = wire::status::success;
    wire::text nspace;            ///< of the new job; none on failure
    std::vector<wire::kval> data; ///< what the spawner shall know of it at once

    friend bool operator==(const spawn_reply&, const spawn_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        if (self.result != wire::status::success)
            return;
        io.item(as<data_type::string>, self.nspace);
        io.rest(as<data_type::kval>, self.data);
    }
};

/// One job of these applications.
struct spawn {
    static constexpr auto id = wire::command::spawn;
    using reply = spawn_reply;

    std::vector<wire::info> infos; ///< of the job
    std::vector<wire::app> apps;

    friend bool operator==(const spawn&, const spawn&) = default;
    static void items(auto& self, auto& io)
    {
        io.list(as<data_type::info>, self.infos);
        io.list(as<data_type::app>, self.apps);
    }
};

} // namespace pmixio::message
