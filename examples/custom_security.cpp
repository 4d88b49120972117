// A security policy of a host's own: a token that the launcher hands to each of its processes.
#include <pmixio/server.hpp>

#include <fmt/core.h>

#include <unistd.h>

#include <string>

/// Admits whoever shows the token. Peers name the module "token" and send the text, with its NUL, as their credential.
struct token_security {
    static constexpr std::string_view name = "token";

    pmixio::result<pmixio::security::proof> validate(const pmixio::security::evidence& e) const
    {
        pmixio::wire::cursor in(e.credential);
        const auto shown = in.terminated();
        if (!in.ok() || !in.at_end())
            return pmixio::fault::bad_credential;
        // Every byte is looked at, so that the time tells nothing about where they differ.
        bool same = shown.size() == expected.size();
        for (std::size_t i = 0; i != shown.size(); ++i)
            same &= shown[i] == expected[i % expected.size()];
        if (!same)
            return pmixio::fault::wrong_user;
        return pmixio::security::proof{e.uid, e.gid};
    }

    std::string expected = "unset";
};

struct site : pmixio::defaults {
    using security = pmixio::securities<token_security, pmixio::security::native>; // the token is preferred
};

/// What the server makes of a peer that shows this credential.
asio::awaitable<void> show(pmixio::server<site>& server, pmixio::socket nobody, std::string credential)
{
    pmixio::hello said;
    said.security = "token", said.encoding = "v41";
    said.nspace = "job1", said.rank = 0;
    said.credential = std::as_bytes(std::span(credential));
    const auto claim = server.resolve(std::move(said));
    const auto proven = co_await server.validate(nobody, claim.value());
    fmt::print("{}: {}\n", credential.c_str(), proven ? "admitted" : proven.error().message());
}

int main()
{
    asio::io_context io;
    pmixio::registry jobs{{"job1", 1, ::getuid(), ::getgid()}};
    pmixio::server_settings<site> settings;
    std::get<token_security>(settings.policies).expected = "correct horse battery staple";
    pmixio::server<site> server(io.get_executor(), jobs, settings);
    for (const std::string credential : {"correct horse battery staple", "incorrect"}) {
        pmixio::socket nobody(asio::ip::tcp::socket(io), {}, {});
        asio::co_spawn(io, show(server, std::move(nobody), credential + '\0'), pmixio::rethrow);
    }
    io.run();
}
