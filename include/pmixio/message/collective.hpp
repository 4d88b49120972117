// What several processes do together: FENCE, CONNECT, DISCONNECT, GROUP. messages.md sections 7 and 10.
#pragma once

#include <pmixio/message/message.hpp>

#include <optional>
#include <string>
#include <vector>

namespace pmixio::message {

/// The participants and attributes that FENCE, CONNECT and DISCONNECT have in common.
struct participants {
    std::vector<wire::proc> processes;
    std::vector<wire::info> infos;

    friend bool operator==(const participants&, const participants&) = default;
    static void items(auto& self, auto& io)
    {
        io.list(as<data_type::proc>, self.processes);
        io.list(as<data_type::info>, self.infos);
    }
};

/// Answered when all participants have sent theirs. No data, in any version.
struct fence : participants {
    static constexpr auto id = wire::command::fence;
    using reply = status_reply;
};

struct disconnect : participants {
    static constexpr auto id = wire::command::disconnect;
    using reply = status_reply;
};

/// Per other namespace that takes part: its name and job data.
struct connect_reply {
    struct job {
        std::string nspace;
        std::vector<wire::kval> data;

        friend bool operator==(const job&, const job&) = default;
    };
    wire::status result = wire::status::success;
    std::vector<job> jobs;

    friend bool operator==(const connect_reply&, const connect_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        io.repeat(self.jobs, [](auto& each, auto& job_io) {
            job_io.nested([&](auto& nested) {
                nested.item(as<data_type::string>, each.nspace);
                nested.rest(as<data_type::kval>, each.data);
            });
        });
    }
};

struct connect : participants {
    static constexpr auto id = wire::command::connect;
    using reply = connect_reply;

    std::optional<wire::info> put_data; ///< releases 6.x: `pmix.pdata`, what the caller has put

    friend bool operator==(const connect&, const connect&) = default;
    static void items(auto& self, auto& io)
    {
        participants::items(self, io);
        io.tail(as<data_type::info>, self.put_data);
    }
};

/// The one reply whose layout depends on the client's release. A failure is a lone status in all of them.
struct group_reply {
    wire::status result = wire::status::success;
    std::vector<wire::proc> members;
    std::optional<std::uint64_t> context;

    friend bool operator==(const group_reply&, const group_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        if (self.result != wire::status::success)
            return;
        if (io.release() >= wire::release{4, 2, 4})
            io.list(as<data_type::proc>, self.members);
        if (io.release().major < 6)
            return io.tail(as<data_type::size>, self.context);
        bool present = self.context.has_value();
        io.item(as<data_type::boolean>, present);
        if (present)
            io.present(as<data_type::size>, self.context);
        std::vector<wire::info> not_kept; // what the members gave each other
        if (io.release() >= wire::release{6, 1, 0})
            io.items(as<data_type::info>, not_kept);
    }
};

struct group_construct {
    static constexpr auto id = wire::command::group_construct;
    using reply = group_reply;

    std::string group;
    std::vector<wire::proc> processes;
    std::vector<wire::info> infos;

    friend bool operator==(const group_construct&, const group_construct&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::string>, self.group);
        io.list(as<data_type::proc>, self.processes);
        io.list(as<data_type::info>, self.infos);
    }
};

/// Up to release 6.1; later ones leave by an event, `group_left`.
struct group_leave {
    static constexpr auto id = wire::command::group_leave;
    using reply = status_reply;

    std::string group;
    std::vector<wire::info> infos;

    friend bool operator==(const group_leave&, const group_leave&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::string>, self.group);
        io.list(as<data_type::info>, self.infos);
    }
};

struct group_destruct {
    static constexpr auto id = wire::command::group_destruct;
    using reply = status_reply;

    std::string group;
    std::vector<wire::proc> members; ///< since 4.2.4
    std::vector<wire::info> infos;

    friend bool operator==(const group_destruct&, const group_destruct&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::string>, self.group);
        if (io.release() >= wire::release{4, 2, 4})
            io.list(as<data_type::proc>, self.members);
        io.list(as<data_type::info>, self.infos);
    }
};

} // namespace pmixio::message
