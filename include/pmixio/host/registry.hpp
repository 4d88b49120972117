// registry: the namespaces and ranks a host expects, and what is known of each rank.
#pragma once

#include <pmixio/handshake/identity.hpp>
#include <pmixio/result.hpp>
#include <pmixio/session/responder.hpp>
#include <pmixio/wire/value.hpp>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pmixio {

/// One of several programs that a job consists of. Its ranks follow those of the application before.
struct application {
    std::uint32_t size = 0;
    std::string command_line{}; ///< as its processes shall see it; empty: not said
    std::string directory{};    ///< where they are started; empty: not said
};

/// What a host says of a job before its processes connect. Ranks are 0 .. size-1, all on this node.
struct job {
    std::string nspace; ///< 1 to 255 bytes, without dots and semicolons: older peers cannot read those
    std::uint32_t size = 0;
    ::uid_t uid = 0;
    ::gid_t gid = 0;
    std::string hostname = "localhost";      ///< of this node, as the processes shall see it
    std::uint32_t session = 0;               ///< session id
    std::vector<wire::kval> infos{};         ///< further job-level keys, added to those of job_data.hpp
    std::vector<application> applications{}; ///< none: one, of all ranks
    std::vector<wire::kval> process_infos{}; ///< further keys that each process has
};

/// One rank, from registration to the removal of its namespace.
struct process_record {
    using data = std::map<std::string, wire::value, std::less<>>;

    unsigned connections = 0;
    bool departed = false;        ///< was connected, and its last connection is closed; or has ended
    bool met = false;             ///< has been connected
    bool finalized = false;       ///< said so in the last connection that it had
    bool aborted = false;         ///< wanted processes killed
    std::optional<int> exit_code; ///< once it has ended, by the host's word
    ::pid_t pid = 0;              ///< as the host says; 0: unknown
    std::string executable;
    bool committed = false;
    data local;  ///< what it committed for processes of this node
    data remote; ///< and for those of others

    /// As far as it is known here.
    wire::process_state state() const noexcept
    {
        using wire::process_state;
        if (exit_code && connections == 0) {
            if (aborted)
                return process_state::called_abort;
            if (*exit_code != 0)
                return *exit_code > 128 ? process_state::killed_by_signal : process_state::failed;
            return met && !finalized ? process_state::not_finalized : process_state::terminated;
        }
        if (connections != 0)
            return process_state::connected;
        if (departed && !finalized)
            return process_state::lost;
        return finalized || pid != 0 ? process_state::running : process_state::undefined;
    }
};

/// One namespace. Stays where it is while it is registered.
class namespace_record {
public:
    explicit namespace_record(job what) : job_(std::move(what)), processes_(job_.size) {}
    /// Of one tool that is connected.
    namespace_record(job what, wire::rank_type rank) : namespace_record(std::move(what))
    {
        first_ = rank;
        of_tool_ = true;
    }

    const job& description() const noexcept { return job_; }
    /// The rank of processes()[0]: 0, but for tools, which bring any.
    wire::rank_type first_rank() const noexcept { return first_; }
    /// Whether this is no job of the host's, and lasts as long as its tool is connected.
    bool of_tool() const noexcept { return of_tool_; }

    bool has(wire::rank_type rank) const noexcept { return rank - first_ < processes_.size(); }
    /// None if the namespace has no such rank.
    process_record* process(wire::rank_type rank) { return has(rank) ? &processes_[rank - first_] : nullptr; }
    std::vector<process_record>& processes() noexcept { return processes_; }

    kept_reply whole; ///< all of description(), as its processes ask for

private:
    job job_;
    std::vector<process_record> processes_;
    wire::rank_type first_ = 0;
    bool of_tool_ = false;
};

/// The namespaces of one server. Look-ups are by hash. Use it from the server's executor.
class registry {
public:
    registry() = default;
    registry(std::initializer_list<job> jobs)
    {
        for (const auto& each : jobs)
            add(each);
    }

    /// Registers a job. Throws std::invalid_argument if its name is taken or cannot be one, or its applications have not as
    /// many processes as the job.
    namespace_record& add(job what)
    {
        if (what.nspace.empty() || what.nspace.size() > wire::max_nspace_length ||
            what.nspace.find_first_of(std::string_view(".;\0", 3)) != std::string::npos)
            throw std::invalid_argument("pmixio::registry: not usable as a namespace: \"" + what.nspace +
                                        '"');
        if (what.size >= wire::rank::first_reserved)
            throw std::invalid_argument("pmixio::registry: more ranks than the protocol can number");
        std::uint64_t processes = 0;
        for (const auto& each : what.applications)
            processes += each.size;
        if (!what.applications.empty() && processes != what.size)
            throw std::invalid_argument("pmixio::registry: applications that do not add up to the job: \"" +
                                        what.nspace + '"');
        if (find(what.nspace))
            throw std::invalid_argument("pmixio::registry: namespace registered twice: \"" + what.nspace +
                                        '"');
        return insert(std::make_unique<namespace_record>(std::move(what)));
    }

    /// Registers a tool, whose name may have any form. `about`: what the tool shall find about its job of one. None if the
    /// namespace is empty, too long or taken, or the rank is none.
    namespace_record* add_tool(job about, wire::rank_type rank)
    {
        about.size = 1;
        if (about.nspace.empty() || about.nspace.size() > wire::max_nspace_length || find(about.nspace) ||
            rank >= wire::rank::first_reserved)
            return nullptr;
        return &insert(std::make_unique<namespace_record>(std::move(about), rank));
    }

    /// Forgets a namespace and all data of its processes. False if it is not registered. While its processes may be
    /// connected, use server::remove_namespace().
    bool remove(std::string_view nspace)
    {
        const auto at = namespaces_.find(nspace);
        return at != namespaces_.end() && (namespaces_.erase(at), true);
    }

    namespace_record* find(std::string_view nspace)
    {
        const auto at = namespaces_.find(nspace);
        return at == namespaces_.end() ? nullptr : at->second.get();
    }
    process_record* find(const wire::proc& id)
    {
        auto* nspace = find(id.nspace);
        return nspace ? nspace->process(id.rank) : nullptr;
    }

    /// The host has started a process, as it is to be seen by who asks for a table of processes. False if it is not registered.
    bool started(const wire::proc& who, ::pid_t pid, std::string executable)
    {
        auto* process = find(who);
        if (!process)
            return false;
        process->pid = pid;
        process->executable = std::move(executable);
        process->exit_code.reset();
        return true;
    }

    /// Calls f(namespace_record&) for each, in no order.
    template <class F>
    void for_each(F f) const
    {
        for (const auto& [name, record] : namespaces_)
            f(*record);
    }

    /// Makes a registry a process_directory: of the host's jobs.
    result<registration> find_process(std::string_view nspace, wire::rank_type rank) const
    {
        const auto at = namespaces_.find(nspace);
        if (at == namespaces_.end() || at->second->of_tool())
            return fault::unknown_namespace;
        const auto& job = at->second->description();
        if (rank >= job.size)
            return fault::unknown_rank;
        return registration{job.uid, job.gid};
    }

private:
    namespace_record& insert(std::unique_ptr<namespace_record> record)
    {
        return *namespaces_.emplace(record->description().nspace, std::move(record)).first->second;
    }

    struct hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept
        {
            return std::hash<std::string_view>{}(text);
        }
    };
    std::unordered_map<std::string, std::unique_ptr<namespace_record>, hash, std::equal_to<>> namespaces_;
};

static_assert(process_directory<registry>);

} // namespace pmixio
