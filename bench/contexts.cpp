// Servers on several contexts, with a thread and a job each: bench0, bench1 ...; serves until it is killed.
// contexts own|shared CONTEXTS RANKS: each at a port of its own, or all at one
#include "ready.hpp"

#include <pmixio/server.hpp>

#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
    using observer = pmixio::counters;
};

struct place {
    place(std::size_t number, std::uint32_t ranks)
        : name("bench" + std::to_string(number)), jobs{{name, ranks, ::getuid(), ::getgid()}},
          pmix(io.get_executor(), jobs, others, settings(name))
    {}
    static pmixio::server_settings<site> settings(const std::string& name)
    {
        pmixio::server_settings<site> made;
        made.name.nspace = name + "-server";
        made.limits.pending_handshakes = made.limits.pending_per_user = 20'000;
        return made;
    }

    const std::string name;
    asio::io_context io{1};
    pmixio::registry jobs;
    pmixio::signpost others;
    pmixio::server<site, pmixio::signpost> pmix;
};

asio::awaitable<void> serve(place& here, pmixio::listener& at) { co_await here.pmix.serve(at); }

} // namespace

int main(int argc, char** argv)
{
    const std::string_view policy = argc == 4 ? argv[1] : "";
    if (policy != "own" && policy != "shared")
        return std::fputs("usage: contexts own|shared CONTEXTS RANKS\n", stderr), 2;
    bench::many_descriptors();
    std::deque<place> all;
    std::deque<pmixio::listener> listeners;
    for (std::size_t i = 0; i != std::strtoul(argv[2], nullptr, 10); ++i) {
        auto& made = all.emplace_back(i, static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10)));
        if (policy == "own")
            listeners.emplace_back(made.io, pmixio::loopback());
        else
            listeners.emplace_back(made.io,
                                   listeners.empty() ? pmixio::loopback() : listeners[0].local_endpoint(),
                                   pmixio::share_port);
        asio::co_spawn(made.io, serve(made, listeners.back()), pmixio::rethrow);
    }
    for (auto& here : all)
        for (auto& other : all)
            if (&other != &here)
                here.others.jobs.emplace(other.name, other.pmix.entrance());
    std::vector<std::thread> threads;
    for (auto& each : all)
        threads.emplace_back([&each] { each.io.run(); });

    std::string uris;
    for (auto& each : listeners)
        if (policy == "own" || uris.empty())
            uris += (uris.empty() ? "" : ",") + pmixio::server_uri(all[0].pmix.name(), each.local_endpoint());
    std::printf("READY %s\n", uris.c_str());
    std::fflush(stdout);
    for (auto& each : threads)
        each.join();
}
