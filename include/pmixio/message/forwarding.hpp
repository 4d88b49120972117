// Input and output of processes: IOF_PULL, IOF_PUSH, IOF_DEREG, and what is forwarded. messages.md sections 7 and 12.
#pragma once

#include <pmixio/message/message.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace pmixio::message {

/// Channels, as bits.
enum class channels : std::uint16_t { none = 0, in = 1, out = 2, err = 4, diagnostics = 8, all = 15 };
constexpr channels operator&(channels a, channels b) noexcept
{
    return static_cast<channels>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
constexpr channels operator|(channels a, channels b) noexcept
{
    return static_cast<channels>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

struct iof_pull_reply {
    wire::status result = wire::status::success;
    std::uint64_t reference = 0; ///< the server's name for the registration

    friend bool operator==(const iof_pull_reply&, const iof_pull_reply&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.result);
        if (self.result == wire::status::success)
            io.item(as<data_type::size>, self.reference);
    }
};

/// Wants what these processes write, from now on.
struct iof_pull {
    static constexpr auto id = wire::command::iof_pull;
    using reply = iof_pull_reply;

    std::vector<wire::proc> processes;
    std::vector<wire::info> directives;
    channels wanted = channels::none;
    std::uint64_t reference = 0; ///< the client's name for the registration

    friend bool operator==(const iof_pull&, const iof_pull&) = default;
    static void items(auto& self, auto& io)
    {
        io.list(as<data_type::proc>, self.processes);
        io.list(as<data_type::info>, self.directives);
        io.item(as<data_type::iof_channel>, self.wanted);
        io.item(as<data_type::size>, self.reference);
    }
};

/// Input for these processes. No data: the end of it.
struct iof_push {
    static constexpr auto id = wire::command::iof_push;
    using reply = status_reply;

    std::vector<wire::proc> targets;
    std::vector<wire::info> directives;
    std::optional<wire::byte_buffer> data;

    friend bool operator==(const iof_push&, const iof_push&) = default;
    static void items(auto& self, auto& io)
    {
        io.list(as<data_type::proc>, self.targets);
        io.list(as<data_type::info>, self.directives);
        io.tail(as<data_type::byte_object>, self.data);
    }
};

/// The registration of that name, see iof_pull_reply, is not wanted any more.
struct iof_deregister {
    static constexpr auto id = wire::command::iof_deregister;
    using reply = status_reply;

    std::vector<wire::info> directives;
    std::uint64_t reference = 0;

    friend bool operator==(const iof_deregister&, const iof_deregister&) = default;
    static void items(auto& self, auto& io)
    {
        io.list(as<data_type::info>, self.directives);
        io.item(as<data_type::size>, self.reference);
    }
};

/// Server to client, with tag 2: what a process has written. No data: that channel of it is closed.
struct output {
    wire::proc source;
    channels channel = channels::none;
    std::uint64_t reference = 0; ///< iof_pull::reference
    std::vector<wire::info> infos;
    wire::byte_buffer data;

    friend bool operator==(const output&, const output&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::proc>, self.source);
        io.item(as<data_type::iof_channel>, self.channel);
        io.item(as<data_type::size>, self.reference);
        io.list(as<data_type::info>, self.infos);
        io.item(as<data_type::byte_object>, self.data);
    }
};

} // namespace pmixio::message
