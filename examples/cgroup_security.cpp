// A security policy that binds connections to jobs: a process is who it says only inside its job's control group.
#include <pmixio/reporting.hpp>
#include <pmixio/server.hpp>

#include <fmt/core.h>

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <string>

/// `native`, and the peer's socket was made in the cgroup (version 2) of its job; not in one below that. What user and
/// groups cannot tell apart, two jobs of one user, this does. Tools have no job here, and are refused.
struct cgroup_security : pmixio::security::native {
    pmixio::result<pmixio::security::proof> validate(const pmixio::security::evidence& e) const
    {
        const auto proven = native::validate(e);
        if (!proven)
            return proven;
        const auto job = cgroups.find(e.nspace);
        if (job == cgroups.end() || e.kernel->cgroup != job->second) // older kernels name none
            return pmixio::fault::wrong_cgroup;
        return proven;
    }

    std::map<std::string, std::uint64_t, std::less<>> cgroups; ///< by namespace
};

struct site : pmixio::defaults {
    using security = pmixio::securities<cgroup_security>;
    using observer = pmixio::log_observer;
};

asio::awaitable<void> serve(pmixio::server<site>& server, pmixio::listener& listener)
{
    co_await server.serve(listener);
}

int main(int argc, char** argv)
{
    struct ::stat directory{};
    struct ::statfs filesystem{};
    if (argc != 2 || ::stat(argv[1], &directory) != 0 || ::statfs(argv[1], &filesystem) != 0 ||
        filesystem.f_type != CGROUP2_SUPER_MAGIC) {
        fmt::print(stderr, "usage: cgroup_security CGROUP2-DIRECTORY\n");
        return 2;
    }
    asio::io_context io;
    pmixio::registry jobs{{"job1", 4, ::getuid(), ::getgid()}};
    pmixio::server_settings<site> settings;
    std::get<cgroup_security>(settings.policies).cgroups["job1"] = directory.st_ino; // that is a cgroup's id
    settings.observer.out = [](std::string_view line) { fmt::print(stderr, "{}\n", line); };
    pmixio::server<site> server(io.get_executor(), jobs, settings);
    pmixio::listener listener(io, pmixio::loopback());
    for (const auto& [name, value] : server.environment_for({"job1", 0}, listener))
        fmt::print("export {}='{}'\n", name, value); // what the process of rank 0 is to be started with
    std::fflush(stdout);
    asio::co_spawn(io, serve(server, listener), pmixio::rethrow);
    io.run();
}
