// More than one core: a job on each of several contexts, with a thread and a server each, and all at one address.
// contexts_host CONTEXTS N PROGRAM [ARGS...] starts N processes of a program on each.
#include <pmixio/host/child.hpp>
#include <pmixio/server.hpp>

#include <fmt/core.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <string>
#include <thread>
#include <vector>

namespace {

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
    using observer = pmixio::counters;
};

/// All of this is its own thread's.
struct place {
    place(unsigned number, std::uint32_t ranks, const asio::ip::tcp::endpoint& shared)
        : name("job" + std::to_string(number)), jobs{{name, ranks, ::getuid(), ::getgid()}},
          pmix(io.get_executor(), jobs, others, settings(number)), at(io, shared, pmixio::share_port)
    {}
    static pmixio::server_settings<site> settings(unsigned number)
    {
        pmixio::server_settings<site> made;
        made.name.nspace = "server" + std::to_string(number);
        return made;
    }

    const std::string name;
    asio::io_context io;
    pmixio::registry jobs;
    pmixio::signpost others;
    pmixio::server<site, pmixio::signpost> pmix;
    pmixio::listener at;
    int status = 0;
};

asio::awaitable<void> serve(place& here) { co_await here.pmix.serve(here.at); }

asio::awaitable<void> run(place& here, pmixio::wire::rank_type rank, std::vector<std::string> command,
                          std::deque<place>& all, std::atomic<unsigned>& left)
{
    const pmixio::wire::proc who{here.name, rank};
    pmixio::launch_settings how;
    how.arguments = std::move(command);
    how.variables = pmixio::child_variables(environ, here.pmix.environment_for(who, here.at));
    how.output = pmixio::launch_settings::stream::inherited;
    if (auto process = pmixio::child::start(here.io.get_executor(), how)) {
        const auto end = co_await process->wait();
        here.status = std::max(here.status, end.code());
    } else {
        fmt::print(stderr, "{}: {}\n", how.arguments[0], process.error().message());
        here.status = 127;
    }
    here.pmix.process_exited(who);
    // Not before: who waits to be accepted at a listener that is closed is not accepted by another.
    if (--left == 0)
        for (auto& each : all)
            asio::post(each.io, [&each] { each.at.close(); });
}

} // namespace

int main(int argc, char** argv)
{
    const int contexts = argc > 3 ? std::atoi(argv[1]) : 0, n = argc > 3 ? std::atoi(argv[2]) : 0;
    if (contexts < 1 || contexts > 64 || n < 1 || n > 1024)
        return fmt::print(stderr, "usage: contexts_host CONTEXTS N PROGRAM [ARGS...]\n"), 2;

    std::deque<place> all;
    for (unsigned i = 0; i != static_cast<unsigned>(contexts); ++i)
        all.emplace_back(i, static_cast<std::uint32_t>(n),
                         all.empty() ? pmixio::loopback() : all[0].at.local_endpoint());
    std::atomic<unsigned> left = static_cast<unsigned>(contexts * n);
    for (auto& here : all) {
        for (auto& other : all)
            if (&other != &here)
                here.others.jobs.emplace(other.name, other.pmix.entrance());
        asio::co_spawn(here.io, serve(here), pmixio::rethrow);
        for (pmixio::wire::rank_type rank = 0; rank != static_cast<unsigned>(n); ++rank)
            asio::co_spawn(here.io, run(here, rank, {argv + 3, argv + argc}, all, left), pmixio::rethrow);
    }
    std::vector<std::thread> threads;
    for (auto& each : all)
        threads.emplace_back([&each] { each.io.run(); });
    for (auto& each : threads)
        each.join();

    int status = 0;
    for (auto& each : all) {
        status = std::max(status, each.status);
        fmt::print(stderr, "{}: {} admitted, {} handed over\n", each.name, each.pmix.observer().admitted,
                   each.pmix.observer().handed_over);
    }
    return status;
}
