// A whole PMIx server for one job: every stage of a connection in sight.
#include <pmixio/server.hpp>

#include <fmt/core.h>

#include <unistd.h>

struct site : pmixio::defaults { // every choice, made at compile time
    using security = pmixio::securities<pmixio::security::native>;
    using buffer_ops = pmixio::encodings<pmixio::wire::v41, pmixio::wire::v3, pmixio::wire::v21>;
};

asio::awaitable<void> welcome(pmixio::server<site>& server, pmixio::socket peer)
{
    auto hello = co_await pmixio::within(site::limits.handshake, pmixio::parse_handshake(peer),
                                         pmixio::fault::handshake_timeout);
    if (!hello)
        co_return server.refuse(std::move(peer), hello.error());

    const auto release = hello->release;
    const auto claim = server.resolve(*std::move(hello));
    if (!claim)
        co_return server.refuse(std::move(peer), claim.error(), release);

    const auto identity = co_await server.validate(peer, *claim);
    if (!identity)
        co_return server.refuse(std::move(peer), identity.error(), release);

    if (const auto index = server.reply(std::move(peer), *identity))
        fmt::print("{}.{} is peer {}\n", identity->who().nspace, identity->who().rank, *index);
}

asio::awaitable<void> serve(pmixio::server<site>& server, pmixio::listener& listener)
{
    while (auto peer = co_await listener.accept())
        asio::co_spawn(listener.get_executor(), welcome(server, *std::move(peer)), pmixio::rethrow);
}

int main()
{
    asio::io_context io;
    pmixio::registry jobs{{"job1", 4, ::getuid(), ::getgid()}};
    pmixio::server<site> server(io.get_executor(), jobs);
    pmixio::listener listener(io, pmixio::loopback());
    for (const auto& [name, value] : server.environment_for({"job1", 0}, listener))
        fmt::print("export {}='{}'\n", name, value); // what the process of rank 0 is to be started with
    std::fflush(stdout);
    asio::co_spawn(io, serve(server, listener), pmixio::rethrow);
    io.run();
}
