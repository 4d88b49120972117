// A host with opinions of its own: who may spawn, what is logged, what it is asked, and of its fabric. All else is the library's.
// custom_host PROGRAM [ARGS...]
#include <pmixio/host/child.hpp>
#include <pmixio/server.hpp>

#include <fmt/core.h>

#include <unistd.h>

#include <string>
#include <vector>

namespace {

using pmixio::wire::status;

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
};

/// Each of its functions is found at compile time; the server calls those that there are.
struct host {
    asio::awaitable<pmixio::message::infos_reply> query(pmixio::requester, pmixio::message::query request)
    {
        pmixio::message::infos_reply answer;
        auto& infos = answer.infos.emplace();
        for (const auto& each : request.queries)
            for (const auto& key : each.keys)
                if (key == "site.budget") // an RM may ask its database here: co_await whatever it takes
                    infos.push_back({key, 0, pmixio::wire::value::uint32(42)});
        if (infos.empty())
            answer.result = status::not_found;
        co_return answer;
    }

    asio::awaitable<status> log(pmixio::requester from, pmixio::message::log request)
    {
        for (const auto& each : request.data)
            if (const auto text = each.content.get<pmixio::wire::data_type::string>())
                fmt::print("{}.{} logs: {}\n", from.who.nspace, from.who.rank, *text);
        co_return status::success;
    }

    asio::awaitable<pmixio::message::infos_reply> fabric_register(pmixio::requester,
                                                                  pmixio::message::fabric_register)
    {
        pmixio::message::infos_reply answer;
        answer.infos = {{"site.fabric", 0, pmixio::wire::value::string("torus")}};
        co_return answer;
    }

    asio::awaitable<pmixio::message::spawn_reply> spawn(pmixio::requester, pmixio::message::spawn)
    {
        co_return pmixio::message::spawn_reply{status::no_permissions, {}, {}}; // not on this machine
    }
};

using server = pmixio::server<site, host>;

asio::awaitable<void> serve(server& pmix, pmixio::listener& at) { co_await pmix.serve(at); }

asio::awaitable<void> run(pmixio::child& process, pmixio::listener& at, int& status)
{
    const auto end = co_await process.wait();
    status = end.code();
    at.close();
}

} // namespace

int main(int argc, char** argv)
{
    if (argc < 2)
        return fmt::print(stderr, "usage: custom_host PROGRAM [ARGS...]\n"), 2;
    asio::io_context io(1);
    pmixio::registry jobs{{"job", 1, ::getuid(), ::getgid()}};
    host decides;
    server pmix(io.get_executor(), jobs, decides);
    pmixio::listener at(io, pmixio::loopback());

    pmixio::launch_settings how;
    how.arguments = {argv + 1, argv + argc};
    how.variables = pmixio::child_variables(environ, pmix.environment_for({"job", 0}, at));
    how.output = pmixio::launch_settings::stream::inherited;
    auto process = pmixio::child::start(io.get_executor(), how);
    if (!process)
        return fmt::print(stderr, "{}: {}\n", how.arguments[0], process.error().message()), 127;
    int status = 0;
    asio::co_spawn(io, serve(pmix, at), pmixio::rethrow);
    asio::co_spawn(io, run(*process, at, status), pmixio::rethrow);
    io.run();
    return status;
}
