// The keys that processes find about their job, their node and each other. messages.md section 8.
#pragma once

#include <pmixio/host/registry.hpp>
#include <pmixio/message/process.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pmixio {

namespace detail {

inline std::string rank_list(std::uint32_t size)
{
    std::string list;
    for (std::uint32_t rank = 0; rank != size; ++rank)
        (list += rank ? "," : "") += std::to_string(rank);
    return list;
}

/// f(number, application, first rank) for each.
template <class F>
void for_each_application(const job& j, F f)
{
    std::uint32_t number = 0, first = 0;
    if (j.applications.empty())
        f(number++, application{j.size}, first);
    for (const auto& each : j.applications) {
        f(number++, each, first);
        first += each.size;
    }
}

} // namespace detail

/// Keys under rank WILDCARD: of the job, and, bare, those of the node, application and session every process is part of.
/// Releases from 3.x on look for the latter three in arrays of their own, 2.x for the bare keys; both are there.
inline std::vector<wire::kval> job_level_data(const job& j, const wire::proc& server)
{
    using wire::value;
    const auto n = value::uint32(j.size);
    const auto peers = value::string(detail::rank_list(j.size));
    const auto host = value::string(j.hostname);
    const auto zero = value::uint32(0);

    std::vector<wire::kval> data{
        {"pmix.job.size", n},
        {"pmix.max.size", n},
        {"pmix.job.napps",
         value::uint32(static_cast<std::uint32_t>(std::max<std::size_t>(1, j.applications.size())))},
        {"pmix.num.nodes", value::uint32(1)},
        {"pmix.nlist", host},
        {"pmix.jobid", value::string(j.nspace)},
        {"pmix.offset", zero},
        {"pmix.srv.nspace", value::string(server.nspace)},
        {"pmix.srv.rank", value::uint32(server.rank)},
    };
    const auto level = [&](const char* array, std::vector<wire::info> keys, bool bare) {
        if (bare)
            for (const auto& each : keys)
                data.push_back({each.key, each.content});
        data.push_back({array, value::infos(keys)});
    };
    level("pmix.ssn.arr", {{"pmix.session.id", 0, value::uint32(j.session)}, {"pmix.univ.size", 0, n}}, true);
    level("pmix.node.arr",
          {{"pmix.hname", 0, host},
           {"pmix.nodeid", 0, zero},
           {"pmix.node.size", 0, n},
           {"pmix.local.size", 0, n},
           {"pmix.lpeers", 0, peers},
           {"pmix.lldr", 0, value::rank(0)}},
          true);
    detail::for_each_application(j, [&](std::uint32_t number, const application& a, std::uint32_t first) {
        std::vector<wire::info> keys{{"pmix.appnum", 0, value::uint32(number)},
                                     {"pmix.app.size", 0, value::uint32(a.size)},
                                     {"pmix.aldr", 0, value::rank(first)}};
        if (!a.command_line.empty())
            keys.push_back({"pmix.app.argv", 0, value::string(a.command_line)});
        if (!a.directory.empty())
            keys.push_back({"pmix.wdir", 0, value::string(a.directory)});
        level("pmix.app.arr", std::move(keys), false);
    });
    data.insert(data.end(), j.infos.begin(), j.infos.end());
    return data;
}

/// Keys of one rank, counted from the lowest.
inline std::vector<wire::kval> process_level_data(const job& j, wire::rank_type rank)
{
    using wire::value;
    const auto local = static_cast<std::uint16_t>(std::min<wire::rank_type>(rank, UINT16_MAX));
    std::uint32_t number = 0, of_application = rank;
    detail::for_each_application(j, [&](std::uint32_t n, const application&, std::uint32_t first) {
        if (rank >= first)
            number = n, of_application = rank - first;
    });
    std::vector<wire::kval> data{
        {"pmix.lrank", value::uint16(local)},      {"pmix.nrank", value::uint16(local)},
        {"pmix.grank", value::rank(rank)},         {"pmix.apprank", value::rank(of_application)},
        {"pmix.appnum", value::uint32(number)},    {"pmix.nodeid", value::uint32(0)},
        {"pmix.hname", value::string(j.hostname)},
    };
    data.insert(data.end(), j.process_infos.begin(), j.process_infos.end());
    return data;
}

/// What a Get of one rank finds, or, for WILDCARD and UNDEF, of the job. None if there is no such rank.
inline std::optional<std::vector<wire::kval>> level_data(const namespace_record& of, wire::rank_type rank,
                                                         const wire::proc& server)
{
    if (rank == wire::rank::wildcard || rank == wire::rank::undefined)
        return job_level_data(of.description(), server);
    if (of.has(rank))
        return process_level_data(of.description(), rank - of.first_rank());
    return std::nullopt;
}

/// Everything about a job, for processes of others. Clients from 4.x on ask no more once they have something of it, so the
/// keys of its ranks are in there, as arrays.
inline std::vector<wire::kval> foreign_job_data(const namespace_record& of, const wire::proc& server)
{
    auto data = job_level_data(of.description(), server);
    for (wire::rank_type i = 0; i != of.description().size; ++i) {
        std::vector<wire::info> keys{{"pmix.rank", 0, wire::value::rank(of.first_rank() + i)}};
        for (auto& each : process_level_data(of.description(), i))
            keys.push_back({std::move(each.key), 0, std::move(each.content)});
        data.push_back({"pmix.pdata", wire::value::infos(keys)});
    }
    return data;
}

/// The whole answer to REQ.
inline message::job_data make_job_data(const namespace_record& of, const wire::proc& server)
{
    const auto& j = of.description();
    message::job_data answer;
    answer.nspace = j.nspace;
    for (auto& each : job_level_data(j, server))
        answer.entries.push_back({std::move(each), wire::rank::undefined, {}});
    for (wire::rank_type i = 0; i != j.size; ++i)
        answer.entries.push_back({{std::string(message::job_data::process_key), {}},
                                  of.first_rank() + i,
                                  process_level_data(j, i)});
    return answer;
}

} // namespace pmixio
