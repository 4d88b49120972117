// A process's own life: REQ (job data), FINALIZE, ABORT. messages.md sections 7 and 8.
#pragma once

#include <pmixio/message/message.hpp>

#include <string>
#include <vector>

namespace pmixio::message {

/// Answer to REQ: the namespace and its data. The one reply without a status.
struct job_data {
    /// A key of the job, or, under the key `pmix.pblob`, all keys of one rank.
    struct entry {
        wire::kval job;
        wire::rank_type rank = wire::rank::undefined;
        std::vector<wire::kval> process;

        friend bool operator==(const entry&, const entry&) = default;
    };
    static constexpr std::string_view process_key = "pmix.pblob";

    std::string nspace;
    std::vector<entry> entries;

    friend bool operator==(const job_data&, const job_data&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::string>, self.nspace);
        io.repeat(self.entries, [](auto& each, auto& entry_io) { read_or_write(each, entry_io); });
    }

private:
    template <class Io>
    static void read_or_write(entry& each, Io& io)
    {
        io.item(as<data_type::kval>, each.job);
        if (each.job.key != process_key)
            return;
        if (!each.job.content.is(data_type::byte_object))
            return io.raw().fail(fault::bad_descriptor);
        wire::cursor packed(each.job.content.packed());
        const auto inside = wire::input<wire::value::form>(packed, false).object();
        io.within(inside, io.kind(), [&](auto& nested) { process_items(each, nested); });
        each.job.content = {};
    }

    template <class Io>
    static void read_or_write(const entry& each, Io& io)
    {
        if (each.job.key != process_key)
            return io.item(as<data_type::kval>, each.job);
        wire::byte_buffer inside;
        wire::writer target(inside);
        Io nested(target, io.with());
        process_items(each, nested);
        if (!target.ok())
            return io.raw().fail(target.error());
        io.item(as<data_type::kval>, wire::kval{each.job.key, wire::value::object(inside)});
    }

    static void process_items(auto& self, auto& io)
    {
        io.item(as<data_type::proc_rank>, self.rank);
        io.rest(as<data_type::kval>, self.process);
    }
};

/// The first request of every client: its job's data.
struct req {
    static constexpr auto id = wire::command::req;
    using reply = job_data;

    friend bool operator==(const req&, const req&) = default;
    static void items(auto&, auto&) {}
};

/// The client is about to close the connection; it waits for the answer first.
struct finalize {
    static constexpr auto id = wire::command::finalize;
    using reply = status_reply;

    friend bool operator==(const finalize&, const finalize&) = default;
    static void items(auto&, auto&) {}
};

/// Kill these processes. No processes: the caller's whole namespace. Answered before anything is killed.
struct abort {
    static constexpr auto id = wire::command::abort;
    using reply = status_reply;

    wire::status code = wire::status::error;
    wire::text text;
    std::vector<wire::proc> processes;

    friend bool operator==(const abort&, const abort&) = default;
    static void items(auto& self, auto& io)
    {
        io.item(as<data_type::status>, self.code);
        io.item(as<data_type::string>, self.text);
        io.list(as<data_type::proc>, self.processes);
    }
};

} // namespace pmixio::message
