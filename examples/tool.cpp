// A tool: finds a PMIx server, connects, asks it questions and prints the answers.
#include "command_line.hpp"

#include <pmixio/client.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <climits>
#include <string>
#include <vector>

using namespace std::chrono_literals;

constexpr auto usage =
    "usage: tool [WHERE] [--wait SECONDS] [--as NSPACE.RANK] [--encodings LIST] [KEY...]\n"
    "WHERE is --uri URI|file:PATH, --attach FILE, --pid PID, --nspace SERVER, --system or\n"
    "--system-first; else the server that started this process, else any there is.\n";

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
    using buffer_ops = pmixio::encodings<pmixio::wire::v41, pmixio::wire::v3, pmixio::wire::v21>;
};

struct options {
    pmixio::server_search where;
    std::chrono::seconds wait{0}; // for a server to appear
    pmixio::client_settings<site> settings;
    std::vector<std::string> keys;
};

options parse(std::vector<std::string> words)
{
    const auto told = pmixio::rendezvous_from_environment(site::buffer_ops::names);
    options given;
    given.where = pmixio::search_from_environment(site::buffer_ops::names);
    given.settings.kind = pmixio::peer_kind::tool_needs_id;
    given.settings.encodings = told.encoding;
    pmixio::listener_config config;
    pmixio::apply_mca_environment(config);
    pmixio::apply_configuration(given.settings, config);
    if (!config.server_uri.empty())
        given.where = pmixio::search_uri(config.server_uri);
    const auto system = pmixio::search_system(told.system_directory, told.host);
    command_line line(std::move(words));
    bool in_system = false, in_system_first = false;
    line.flag("--system", in_system);
    line.flag("--system-first", in_system_first);
    line.value("--uri", [&] { given.where = pmixio::search_uri(line.text()); });
    line.value("--attach", [&] { given.where = pmixio::search_file(line.text()); });
    line.value("--nspace",
               [&] { given.where = pmixio::search_nspace(told.server_directory, told.host, line.text()); });
    line.value("--pid", [&] {
        const auto pid = line.number<::pid_t>(1, INT_MAX);
        given.where = pmixio::search_pid(told.server_directory, told.host, pid);
    });
    line.value("--wait",
               [&] { given.wait = std::chrono::duration_cast<std::chrono::seconds>(line.seconds()); });
    line.value("--as", [&] {
        const auto& name = line.text();
        auto& who = given.settings.who;
        const auto dot = name.rfind('.');
        const char *rank = name.data() + std::min(dot, name.size() - 1) + 1, *end = name.data() + name.size();
        const auto [stopped, failed] = std::from_chars(rank, end, who.rank);
        if (dot == name.npos || failed != std::errc() || stopped != end)
            throw bad_usage("--as takes NSPACE.RANK");
        given.settings.kind = pmixio::peer_kind::tool;
        who.nspace = name.substr(0, dot);
    });
    line.value("--encodings", given.settings.encodings);
    for (line.parse(); !line.done(); line.parse())
        given.keys.push_back(line.next());
    if (in_system)
        given.where = system;
    if (in_system_first)
        given.where = pmixio::first(system, pmixio::search_any(told.system_directory, told.host));
    if (given.keys.empty())
        given.keys.emplace_back("pmix.qry.ns"); // the namespaces that the server knows
    return given;
}

void print(const pmixio::wire::info& answer)
{
    if (const auto text = answer.content.get<pmixio::wire::data_type::string>())
        fmt::print("{}: {}\n", answer.key, *text);
    else if (const auto number = answer.content.to_integer())
        fmt::print("{}: {}\n", answer.key, *number);
    else
        fmt::print("{}: a value of type {}\n", answer.key, static_cast<int>(answer.content.type()));
}

/// 0 when every question was answered.
asio::awaitable<void> ask(options given, int& status)
{
    const auto found = co_await pmixio::find_server(given.where, given.wait);
    if (!found)
        co_return fmt::print(stderr, "tool: no server: {}\n", found.error().message());
    given.settings.release = pmixio::wire::release::parse(found->version);
    auto session = co_await pmixio::connect<site>(found->address, given.settings);
    if (!session)
        co_return fmt::print(stderr, "tool: no session: {}\n", session.error().message());
    fmt::print("{}.{} is connected to {}.{}\n", session->who().nspace, session->who().rank,
               session->server().nspace, session->server().rank);

    status = 0;
    const auto too_late = make_error_code(pmixio::wire::status::timeout);
    for (const auto& key : given.keys) {
        pmixio::message::query question;
        question.queries = {{{key}, {}}};
        const auto answer = co_await pmixio::within(10s, session->request(question), too_late);
        const auto failed = answer ? make_error_code(answer->result) : answer.error();
        if (failed)
            status = 1, fmt::print(stderr, "tool: {}: {}\n", key, failed.message());
        else if (answer->infos)
            for (const auto& info : *answer->infos)
                print(info);
    }
    if (const auto left = co_await pmixio::within(10s, session->finalize(), too_late); !left)
        status = 1, fmt::print(stderr, "tool: finalize: {}\n", left.error().message());
}

int main(int argc, char** argv)
{
    try {
        asio::io_context io;
        int status = 1;
        asio::co_spawn(io, ask(parse({argv + 1, argv + argc}), status), pmixio::rethrow);
        io.run();
        return status;
    } catch (const bad_usage& bad) {
        fmt::print(stderr, "tool: {}\n{}", bad.what(), usage);
        return 2;
    }
}
