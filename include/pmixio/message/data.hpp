// Data between processes: COMMIT, GET, PUBLISH, LOOKUP, UNPUBLISH. messages.md sections 7, 9 and 11.
#pragma once

#include <pmixio/message/message.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pmixio::message {

/// What a process has put since its last commit, once for local and once for remote consumers.
struct commit {
    static constexpr auto id = wire::command::commit;
    using reply = status_reply;

    struct bucket {
        wire::scope visible = wire::scope::undefined;
        std::vector<wire::kval> data;

        friend bool operator==(const bucket&, const bucket&) = default;
    };
    std::vector<bucket> buckets;

    friend bool operator==(const commit&, const commit&) = default;
    static void items(auto& self, auto& io)
    {
        io.repeat(self.buckets, [](auto& each, auto& bucket_io) {
            bucket_io.item(as<data_type::scope>, each.visible);
            bucket_io.nested_buffer([&](auto& nested) { nested.rest(as<data_type::kval>, each.data); });
        });
    }
};

/// All data of the processes asked for, by process. Success with nothing in it means "no such key".
struct get_reply {
    struct source {
        wire::proc id;
        std::vector<wire::kval> data;

        friend bool operator==(const source&, const source&) = default;
    };
    wire::status result = wire::status::success;
    std::vector<source> sources;

    friend bool operator==(const get_reply&, const get_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        io.repeat(self.sources, [](auto& each, auto& source_io) {
            source_io.nested([&](auto& nested) {
                nested.item(as<data_type::proc>, each.id);
                nested.rest(as<data_type::kval>, each.data);
            });
        });
    }
};

/// Data of one rank, of the job (rank::wildcard), or of whoever has the key (rank::undefined). Without a key: all.
struct get {
    static constexpr auto id = wire::command::get;
    using reply = get_reply;

    std::string nspace;
    wire::rank_type rank = wire::rank::undefined;
    std::vector<wire::info> infos;
    std::optional<std::string> key;

    friend bool operator==(const get&, const get&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::string>, self.nspace);
        io.item(as<data_type::proc_rank>, self.rank);
        io.list(as<data_type::info>, self.infos);
        io.tail(as<data_type::string>, self.key);
    }
};

/// Data and directives mixed, under the caller's name.
struct publish {
    static constexpr auto id = wire::command::publish;
    using reply = status_reply;

    std::uint32_t uid = 0; ///< as claimed; the identity of the connection is what counts
    std::vector<wire::info> infos;

    friend bool operator==(const publish&, const publish&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::uint32>, self.uid);
        io.list(as<data_type::info>, self.infos);
    }
};

struct lookup_reply {
    wire::status result = wire::status::success;
    std::vector<wire::pdata> found;

    friend bool operator==(const lookup_reply&, const lookup_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        if (self.result == wire::status::success)
            io.list(as<data_type::pdata>, self.found);
    }
};

struct lookup {
    static constexpr auto id = wire::command::lookup;
    using reply = lookup_reply;

    std::uint32_t uid = 0;
    std::vector<std::string> keys;
    std::vector<wire::info> infos;

    friend bool operator==(const lookup&, const lookup&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::uint32>, self.uid);
        io.items(as<data_type::string>, self.keys);
        io.list(as<data_type::info>, self.infos);
    }
};

/// No keys: all that the caller has published.
struct unpublish {
    static constexpr auto id = wire::command::unpublish;
    using reply = status_reply;

    std::uint32_t uid = 0;
    std::vector<std::string> keys;
    std::vector<wire::info> infos;

    friend bool operator==(const unpublish&, const unpublish&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::uint32>, self.uid);
        io.items(as<data_type::string>, self.keys);
        io.list(as<data_type::info>, self.infos);
    }
};

} // namespace pmixio::message
