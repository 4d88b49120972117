// A server that is running, and scripted clients of it.
#pragma once

#include "peers.hpp"

#include <pmixio/server.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace pmixio::test {

using namespace std::chrono_literals;

struct open_site : defaults {
    using security = securities<security::none>;
    using observer = counters;
};

inline bytes framed_hello(const wire::byte_buffer& payload)
{
    bytes header(16, std::byte{0});
    std::fill_n(header.begin(), 8, std::byte{0xff});
    const auto size = static_cast<std::uint32_t>(payload.size());
    std::memcpy(header.data() + 8, &size, sizeof size);
    return header + payload;
}

/// handshake.md section 2, by hand.
inline bytes hello_bytes(const wire::proc& who, std::string_view release, std::string_view security = "none",
                         const bytes& credential = {})
{
    wire::byte_buffer raw;
    wire::writer out(raw);
    out.text(security), out.u8(0);
    out.big_endian(static_cast<std::uint32_t>(credential.size())), out.append(credential);
    out.u8(0);
    out.text(who.nspace), out.u8(0), out.big_endian(who.rank);
    out.text(release), out.u8(0);
    out.text("v41"), out.u8(0), out.u8(1), out.text("hash"), out.u8(0);
    return framed_hello(raw);
}

/// What the module native sends: handshake.md section 5.
inline bytes native_credential()
{
    const std::uint32_t ids[] = {::geteuid(), ::getegid()};
    const auto raw = std::as_bytes(std::span(ids));
    return {raw.begin(), raw.end()};
}

/// handshake.md section 3, by hand. A tool with `who` brings that identity.
inline bytes tool_hello(peer_kind kind, const std::optional<wire::proc>& who, std::uint32_t uid,
                        std::string_view release = "6.1.0", const bytes& attributes = {},
                        std::string_view security = "native")
{
    wire::byte_buffer raw;
    wire::writer out(raw);
    out.terminated(security), out.big_endian<std::uint32_t>(0), out.u8(static_cast<std::uint8_t>(kind));
    out.big_endian(uid), out.big_endian<std::uint32_t>(100);
    if (who)
        out.terminated(who->nspace), out.big_endian(who->rank);
    out.terminated(release), out.terminated("v41"), out.u8(1), out.terminated("hash");
    if (is_legacy(kind) && release.starts_with("3"))
        out.u8(0);
    out.append(attributes);
    return framed_hello(raw);
}

/// A fence of all of job "a".
inline message::fence whole_job(std::vector<wire::info> infos = {})
{
    message::fence f;
    f.processes = {{"a", wire::rank::wildcard}};
    f.infos = std::move(infos);
    return f;
}

/// Tests may end its parts early.
template <class Site, class Host = no_host>
struct running {
    using server_type = server<Site, Host>;

    explicit running(server_settings<Site> settings = {})
        requires std::same_as<Host, no_host>
        : under_test(std::make_unique<server_type>(io.get_executor(), jobs, settings))
    {
        serve();
    }
    explicit running(Host& host, server_settings<Site> settings = {})
        : under_test(std::make_unique<server_type>(io.get_executor(), jobs, host, settings))
    {
        serve();
    }
    void serve()
    {
        asio::co_spawn(io, under_test->serve(at), [](std::exception_ptr, std::error_code) {});
    }
    template <class Condition>
    void until(Condition reached)
    {
        const auto limit = std::chrono::steady_clock::now() + 20s;
        while (!reached()) {
            if (std::chrono::steady_clock::now() > limit)
                throw std::runtime_error("this does not happen");
            io.restart();
            io.run_for(1ms);
        }
    }

    asio::io_context io;
    std::unique_ptr<registry> known{
        new registry{{"a", 2, ::geteuid(), ::getegid()}, {"b", 1, ::geteuid(), ::getegid()}}};
    std::unique_ptr<listener> open = std::make_unique<listener>(io, loopback());
    registry& jobs = *known;
    listener& at = *open;
    std::unique_ptr<server_type> under_test;
};

/// A scripted client that speaks v41, on blocking writes and polled reads.
template <class Server>
struct client {
    explicit client(Server& s) : with(s), link(s.io)
    {
        link.connect(with.at.local_endpoint());
        link.non_blocking(true);
    }
    client(Server& s, const wire::proc& who, std::string_view release = "4.2.2") : client(s)
    {
        write(hello_bytes(who, release));
        CHECK(show(read(8)).starts_with("00 00 00 00"));
    }

    void write(const bytes& what)
    {
        std::error_code ignored; // the server may have closed already
        asio::write(link, asio::buffer(what), ignored);
    }
    /// Fewer bytes if the server closes.
    bytes read(std::size_t n)
    {
        bytes got(n);
        std::size_t have = 0;
        with.until([&] {
            std::error_code failed;
            have += link.read_some(asio::buffer(got.data() + have, n - have), failed);
            return have == n || (failed && failed != asio::error::would_block);
        });
        got.resize(have);
        return got;
    }
    template <class M>
    void send(const M& request)
    {
        write(make_frame<wire::v41>(++tag, request, {}).value());
    }
    /// The next frame; its tag is checked if it is an answer.
    bytes answer(std::optional<std::uint32_t> expected = {})
    {
        const bytes header = read(16);
        REQUIRE(header.size() == 16);
        const auto parsed = wire::frame_header::parse(std::span<const std::byte, 16>(header.data(), 16));
        CHECK(parsed.tag == expected.value_or(tag));
        return header + read(parsed.nbytes);
    }
    template <class M>
    wire::status ask(const M& request)
    {
        send(request);
        return payload<message::status_reply>(answer()).result;
    }

    Server& with;
    asio::ip::tcp::socket link;
    std::uint32_t tag = 100;
};

} // namespace pmixio::test
