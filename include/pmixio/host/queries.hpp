// What a server answers about its jobs: QUERY, RESOLVE_PEERS, RESOLVE_NODE. messages.md section 7, section 8 for the keys.
#pragma once

#include <pmixio/detail/join.hpp>
#include <pmixio/host/attributes.hpp>
#include <pmixio/host/job_data.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/control.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view namespaces = "pmix.qry.ns", namespace_infos = "pmix.qry.nsinfo",
                                  job_status = "pmix.qry.jst", processes = "pmix.qry.ptable",
                                  local_processes = "pmix.qry.lptable", memory = "pmix.qry.mem",
                                  query_keys = "pmix.qry.keys", query_qualifiers = "pmix.qry.quals",
                                  daemon_memory = "pmix.dmn.mem", nspace = "pmix.nspace", rank = "pmix.rank",
                                  process = "pmix.procid", hostname = "pmix.hname",
                                  command_line = "pmix.cmd.line";
} // namespace key

/// The answers to a query that are known, and what is left to ask.
class findings {
public:
    void add(wire::info one) { found_.push_back(std::move(one)); }
    /// Not known here, and still to be asked of the host.
    message::query unknown;

    /// What the host says to `unknown`.
    void add(message::infos_reply hosts)
    {
        if (hosts.infos)
            std::move(hosts.infos->begin(), hosts.infos->end(), std::back_inserter(found_));
        complete_ = hosts.result == wire::status::success;
        otherwise_ = hosts.result;
    }

    /// SUCCESS if all keys were found, PARTIAL_SUCCESS if some were; if none was, NOT_FOUND, or what else the host says.
    message::infos_reply answer() &&
    {
        if (found_.empty()) {
            const bool told =
                otherwise_ != wire::status::success && otherwise_ != wire::status::partial_success;
            return {told ? otherwise_ : wire::status::not_found, std::nullopt};
        }
        return {unknown.queries.empty() || complete_ ? wire::status::success : wire::status::partial_success,
                std::move(found_)};
    }

private:
    std::vector<wire::info> found_;
    bool complete_ = false;
    wire::status otherwise_ = wire::status::not_found;
};

/// Questions about the jobs of a server: the list of its namespaces, what is known of a job and its processes, and every key
/// that a process of a job could Get about its job, node or peers.
///
/// A query names its subject by the qualifiers `pmix.nspace` and `pmix.rank`, or `pmix.procid`; without them it is about
/// the requester. Jobs of other users do not exist, but for root. How much memory the server uses is for its own user.
class queries {
public:
    /// Both must outlive this.
    queries(registry& jobs, wire::proc server) : jobs_(jobs), server_(std::move(server)) {}

    findings look_up(const requester& from, message::query request) const
    {
        findings result;
        for (auto& query : request.queries) {
            std::vector<std::string> unknown;
            for (auto& name : query.keys)
                if (auto content = value_of(from, name, query.qualifiers))
                    result.add({std::move(name), 0, *std::move(content)});
                else
                    unknown.push_back(std::move(name));
            if (!unknown.empty())
                result.unknown.queries.push_back({std::move(unknown), std::move(query.qualifiers)});
        }
        return result;
    }

    /// Processes of a job, or of all jobs, on a node; without a name, on this one. None on nodes that the job is not on.
    /// INVALID_NAMESPACE if there is no such job.
    message::peers_reply peers(const requester& from, const message::resolve_peers& request) const
    {
        message::peers_reply reply;
        const auto add = [&](const namespace_record& each) {
            const auto& j = each.description();
            if (!request.node || request.node->empty() || *request.node == j.hostname)
                for (wire::rank_type i = 0; i != j.size; ++i)
                    reply.peers.push_back({j.nspace, each.first_rank() + i});
        };
        reply.result = for_each(from, request.nspace, add);
        std::sort(reply.peers.begin(), reply.peers.end());
        return reply;
    }

    /// The nodes of a job, or of all jobs.
    message::nodes_reply nodes(const requester& from, const message::resolve_node& request) const
    {
        std::vector<std::string_view> names;
        message::nodes_reply reply;
        reply.result = for_each(from, request.nspace, [&](const namespace_record& each) {
            names.push_back(each.description().hostname);
        });
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
        reply.nodes = detail::join(names);
        return reply;
    }

private:
    static constexpr std::array query_names{key::namespaces, key::namespace_infos, key::job_status,
                                            key::processes,  key::local_processes, key::memory,
                                            key::query_keys, key::query_qualifiers};

    /// Calls f(record) for the namespace of that name, or for all jobs.
    template <class F>
    wire::status for_each(const requester& from, const wire::text& name, F f) const
    {
        if (!name || name->empty()) {
            jobs_.for_each([&](const namespace_record& each) {
                if (!each.of_tool() && from.may_see(each.description().uid))
                    f(each);
            });
            return wire::status::success;
        }
        const auto* named = find(from, *name);
        if (named)
            f(*named);
        return named ? wire::status::success : wire::status::invalid_namespace;
    }

    namespace_record* find(const requester& from, std::string_view name) const
    {
        auto* nspace = jobs_.find(name);
        return nspace && from.may_see(nspace->description().uid) ? nspace : nullptr;
    }

    std::optional<wire::value> value_of(const requester& from, std::string_view name,
                                        std::span<const wire::info> qualifiers) const
    {
        using wire::value;
        if (name == key::namespaces)
            return value::string(namespaces(from));
        if (name == key::query_keys)
            return value::string(detail::join(query_names));
        if (name == key::query_qualifiers)
            return value::string(detail::join(std::array{key::nspace, key::rank, key::process}));
        if (name == key::memory)
            return from.may_see(::geteuid()) ? memory() : std::nullopt;

        auto subject = wire::proc{from.who.nspace, wire::rank::wildcard};
        if (const auto* process = find_attribute(qualifiers, key::process))
            if (auto named = process->to_processes(); named.size() == 1)
                subject = std::move(named[0]);
        const auto* by_name = find_attribute(qualifiers, key::nspace);
        if (by_name)
            subject.nspace = by_name->get<wire::data_type::string>().value_or("");
        if (const auto* rank = find_attribute(qualifiers, key::rank))
            subject.rank = static_cast<wire::rank_type>(rank->to_integer().value_or(wire::rank::undefined));

        if (name == key::namespace_infos && !by_name)
            return namespace_infos(from, std::nullopt);
        auto* nspace = find(from, subject.nspace);
        if (!nspace)
            return std::nullopt;
        if (name == key::namespace_infos)
            return namespace_infos(from, subject.nspace);
        if (name == key::processes || name == key::local_processes)
            return table(*nspace, subject.rank);
        if (name == key::job_status)
            return value::of<wire::data_type::status>(static_cast<std::int32_t>(status(*nspace)));
        const auto data = level_data(*nspace, subject.rank, server_);
        if (!data)
            return std::nullopt;
        const auto at =
            std::find_if(data->begin(), data->end(), [&](const auto& each) { return each.key == name; });
        return at == data->end() ? std::nullopt : std::optional(at->content);
    }

    /// In alphabetical order.
    std::string namespaces(const requester& from) const
    {
        std::vector<std::string_view> names;
        for_each(from, std::nullopt,
                 [&](const namespace_record& each) { names.push_back(each.description().nspace); });
        std::sort(names.begin(), names.end());
        return detail::join(names);
    }

    /// Of each its name and, if the host has said it, the command line of its first application.
    wire::value namespace_infos(const requester& from, const wire::text& name) const
    {
        std::vector<wire::info> all;
        for_each(from, name, [&](const namespace_record& each) {
            const auto& j = each.description();
            std::vector<wire::info> one{{std::string(key::nspace), 0, wire::value::string(j.nspace)}};
            if (!j.applications.empty() && !j.applications[0].command_line.empty())
                one.push_back(
                    {std::string(key::command_line), 0, wire::value::string(j.applications[0].command_line)});
            all.push_back({std::string(key::namespace_infos), 0, wire::value::infos(one)});
        });
        return wire::value::infos(all);
    }

    /// Of one rank, or of all. All are on this node.
    static std::optional<wire::value> table(namespace_record& of, wire::rank_type rank)
    {
        const auto& j = of.description();
        const bool all = rank == wire::rank::wildcard || rank == wire::rank::undefined;
        if (!all && !of.has(rank))
            return std::nullopt;
        std::vector<wire::proc_info> lines;
        for (wire::rank_type i = 0; i != j.size; ++i)
            if (const auto& each = of.processes()[i]; all || of.first_rank() + i == rank)
                lines.push_back({{j.nspace, of.first_rank() + i},
                                 j.hostname,
                                 each.executable,
                                 static_cast<std::uint32_t>(each.pid),
                                 each.state()});
        return wire::value::proc_infos(lines);
    }

    /// SUCCESS unless a process was lost or has failed.
    static wire::status status(namespace_record& of)
    {
        const auto& all = of.processes();
        return std::any_of(all.begin(), all.end(),
                           [](const auto& each) { return each.state() > wire::process_state::terminated; })
                   ? wire::status::process_terminated
                   : wire::status::success;
    }

    /// Of this process, in megabytes; none where there is no /proc.
    static std::optional<wire::value> memory()
    {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"),
                                                                   std::fclose);
        unsigned long total = 0, resident = 0;
        if (!file || std::fscanf(file.get(), "%lu %lu", &total, &resident) != 2)
            return std::nullopt;
        const auto bytes = static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
        const wire::info used{
            std::string(key::daemon_memory), 0,
            wire::value::of<wire::data_type::float32>(std::to_string(bytes / (1024 * 1024)))};
        return wire::value::infos({&used, 1});
    }

    registry& jobs_;
    wire::proc server_;
};

} // namespace pmixio
