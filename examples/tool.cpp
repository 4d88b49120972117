// A tool: connects to any PMIx server, asks it questions and prints the answers.
#include <pmixio/client.hpp>

#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
    using buffer_ops = pmixio::encodings<pmixio::wire::v41, pmixio::wire::v3, pmixio::wire::v21>;
};

struct options {
    std::string_view uri;
    std::optional<pmixio::wire::proc> identity;
    std::string_view encodings;
    std::vector<std::string> keys;
};

/// `NSPACE.RANK`, split at the last dot.
std::optional<pmixio::wire::proc> process_of(std::string_view text)
{
    const auto dot = text.rfind('.');
    pmixio::wire::rank_type rank = 0;
    if (dot == text.npos || dot == 0)
        return std::nullopt;
    const auto [end, failed] = std::from_chars(text.data() + dot + 1, text.data() + text.size(), rank);
    if (failed != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return pmixio::wire::proc{std::string(text.substr(0, dot)), rank};
}

/// Where the server is that the options mean: `NSPACE.RANK;tcp4://ADDRESS:PORT`.
std::optional<pmixio::server_address> contact(const options& given)
{
    const auto semicolon = given.uri.find(';'), port_at = given.uri.rfind(':');
    const auto server = process_of(given.uri.substr(0, semicolon));
    if (!server || semicolon == given.uri.npos || port_at < semicolon + 8)
        return std::nullopt;
    auto host = given.uri.substr(semicolon + 8, port_at - semicolon - 8);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    std::error_code bad;
    const auto address = asio::ip::make_address(host, bad);
    std::uint16_t port = 0;
    const auto digits = given.uri.substr(port_at + 1);
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (bad || failed != std::errc() || end != digits.data() + digits.size())
        return std::nullopt;
    return pmixio::server_address{*server, {address, port}};
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
asio::awaitable<void> ask(pmixio::server_address where, options given, int& status)
{
    pmixio::client_settings<site> settings;
    settings.kind = given.identity ? pmixio::peer_kind::tool : pmixio::peer_kind::tool_needs_id;
    settings.who = given.identity.value_or(pmixio::wire::proc());
    settings.encodings = given.encodings;
    auto session = co_await pmixio::connect<site>(where, settings);
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
    options given;
    bool understood = true;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--uri" && i + 1 < argc)
            given.uri = argv[++i];
        else if (word == "--as" && i + 1 < argc)
            understood &= (given.identity = process_of(argv[++i])).has_value();
        else if (word == "--encodings" && i + 1 < argc)
            given.encodings = argv[++i];
        else
            given.keys.emplace_back(word);
    }
    const auto where = contact(given);
    if (!where || !understood) {
        fmt::print(stderr, "usage: tool --uri NSPACE.RANK;tcp4://ADDRESS:PORT [--as NSPACE.RANK] "
                           "[--encodings LIST] [KEY...]\n");
        return 2;
    }
    if (given.keys.empty())
        given.keys.emplace_back("pmix.qry.ns"); // the namespaces that the server knows

    asio::io_context io;
    int status = 1;
    asio::co_spawn(io, ask(*where, given, status), pmixio::rethrow);
    io.run();
    return status;
}
