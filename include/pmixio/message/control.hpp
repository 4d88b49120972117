// Questions and wishes to the host: QUERY, LOG, ALLOC, JOB_CONTROL, MONITOR, credentials, fabrics,
// RESOLVE. messages.md section 7.
#pragma once

#include <pmixio/message/message.hpp>

#include <cstdint>
#include <optional>
#include <string>
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

/// Wants resources. `directive`: PMIX_ALLOC_NEW (1), EXTEND (2), RELEASE (3), REAQUIRE (4), or the host's own.
struct allocate {
    static constexpr auto id = wire::command::allocate;
    using reply = infos_reply;

    std::uint8_t directive = 0;
    std::vector<wire::info> infos;

    friend bool operator==(const allocate&, const allocate&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::alloc_directive>, self.directive);
        io.list(as<data_type::info>, self.infos);
    }
};

/// Wants to be watched, as `what` says; `alert`: the code of the event that tells.
struct monitor {
    static constexpr auto id = wire::command::monitor;
    using reply = infos_reply;

    wire::info what;
    wire::status alert = wire::status::success;
    std::vector<wire::info> directives;

    friend bool operator==(const monitor&, const monitor&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::info>, self.what);
        io.item(as<data_type::status>, self.alert);
        io.list(as<data_type::info>, self.directives);
    }
};

/// Wants to know of the fabric, and be registered as one who uses it. Since release 4.0.
struct fabric_register {
    static constexpr auto id = wire::command::fabric_register;
    using reply = infos_reply;

    std::vector<wire::info> infos;

    friend bool operator==(const fabric_register&, const fabric_register&) = default;
    static void items(auto& self, auto& io) { io.list(as<data_type::info>, self.infos); }
};

/// Wants to know what has become of it. Since release 4.0.
struct fabric_update {
    static constexpr auto id = wire::command::fabric_update;
    using reply = infos_reply;

    std::uint64_t index = 0; ///< of the fabric, as the host has said before

    friend bool operator==(const fabric_update&, const fabric_update&) = default;
    static void items(auto& self, auto& io) { io.item(as<data_type::size>, self.index); }
};

struct credential_reply {
    wire::status result = wire::status::success;
    wire::byte_buffer credential;
    std::vector<wire::info> infos;

    friend bool operator==(const credential_reply&, const credential_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        if (self.result != wire::status::success)
            return;
        io.item(as<data_type::byte_object>, self.credential);
        io.list(as<data_type::info>, self.infos);
    }
};

struct get_credential {
    static constexpr auto id = wire::command::get_credential;
    using reply = credential_reply;

    std::vector<wire::info> infos;

    friend bool operator==(const get_credential&, const get_credential&) = default;
    static void items(auto& self, auto& io) { io.list(as<data_type::info>, self.infos); }
};

struct validate_credential {
    static constexpr auto id = wire::command::validate_credential;
    using reply = infos_reply;

    wire::byte_buffer credential;
    std::vector<wire::info> infos;

    friend bool operator==(const validate_credential&, const validate_credential&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::byte_object>, self.credential);
        io.list(as<data_type::info>, self.infos);
    }
};

struct peers_reply {
    wire::status result = wire::status::success;
    std::vector<wire::proc> peers;

    friend bool operator==(const peers_reply&, const peers_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        if (self.result == wire::status::success)
            io.list(as<data_type::proc>, self.peers);
    }
};

/// Which processes of a job are on a node. Neither: all. Since release 5.0; older ones look into their job data.
struct resolve_peers {
    static constexpr auto id = wire::command::resolve_peers;
    using reply = peers_reply;

    wire::text node, nspace;

    friend bool operator==(const resolve_peers&, const resolve_peers&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::string>, self.node);
        io.item(as<data_type::string>, self.nspace);
    }
};

struct nodes_reply {
    wire::status result = wire::status::success;
    std::string nodes; ///< names, comma separated

    friend bool operator==(const nodes_reply&, const nodes_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        if (self.result == wire::status::success)
            io.item(as<data_type::string>, self.nodes);
    }
};

/// Which nodes a job has; none named: all jobs. Since release 5.0.
struct resolve_node {
    static constexpr auto id = wire::command::resolve_node;
    using reply = nodes_reply;

    wire::text nspace;

    friend bool operator==(const resolve_node&, const resolve_node&) = default;
    static void items(auto& self, auto& io) { io.item(as<data_type::string>, self.nspace); }
};

} // namespace pmixio::message
