// The smallest launcher: starts N processes of a program and is their PMIx server. minimal_host N PROGRAM [ARGS...]
#include <pmixio/host/child.hpp>
#include <pmixio/server.hpp>

#include <fmt/core.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
};
using server = pmixio::server<site>;

asio::awaitable<void> serve(server& pmix, pmixio::listener& at) { co_await pmix.serve(at); }

asio::awaitable<void> run(server& pmix, pmixio::listener& at, pmixio::wire::proc who,
                          std::vector<std::string> command, unsigned& left, int& status)
{
    auto ours = pmix.environment_for(who, at);
    for (auto&& each : pmixio::open_mpi_4_environment())
        ours.push_back(std::move(each));
    pmixio::launch_settings how;
    how.arguments = std::move(command);
    how.variables = pmixio::child_variables(environ, ours);
    how.output = pmixio::launch_settings::stream::inherited;
    if (auto process = pmixio::child::start(at.get_executor(), how)) {
        const auto end = co_await process->wait();
        status = std::max(status, end.code());
    } else {
        fmt::print(stderr, "{}: {}\n", how.arguments[0], process.error().message());
        status = 127;
    }
    pmix.process_exited(who); // who waits for it waits no longer
    if (--left == 0)
        at.close();
}

} // namespace

int main(int argc, char** argv)
{
    const int n = argc > 2 ? std::atoi(argv[1]) : 0;
    if (n < 1 || n > 1024)
        return fmt::print(stderr, "usage: minimal_host N PROGRAM [ARGS...]\n"), 2;
    asio::io_context io(1);
    pmixio::registry jobs{{"job", static_cast<std::uint32_t>(n), ::getuid(), ::getgid()}};
    server pmix(io.get_executor(), jobs);
    pmixio::listener at(io, pmixio::loopback());

    auto left = static_cast<unsigned>(n);
    int status = 0;
    asio::co_spawn(io, serve(pmix, at), pmixio::rethrow);
    for (pmixio::wire::rank_type rank = 0; rank != left; ++rank)
        asio::co_spawn(io, run(pmix, at, {"job", rank}, {argv + 2, argv + argc}, left, status),
                       pmixio::rethrow);
    io.run();
    return status;
}
