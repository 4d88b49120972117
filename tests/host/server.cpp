#include <pmixio/message/control.hpp>
#include <pmixio/server.hpp>

#include "support/peers.hpp"
#include "support/run.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::operator+;
using wire::status;
using wire::value;

struct open_site : defaults {
    using security = securities<security::none>;
    using observer = counters;
};
struct native_site : defaults {
    using security = securities<security::native>;
    using observer = counters;
};

bytes native_credential()
{
    const std::uint32_t ids[] = {::geteuid(), ::getegid()};
    const auto raw = std::as_bytes(std::span(ids));
    return {raw.begin(), raw.end()};
}

/// handshake.md section 2, by hand.
bytes hello_bytes(const wire::proc& who, std::string_view release, std::string_view security = "none",
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
    bytes header(16, std::byte{0});
    std::fill_n(header.begin(), 8, std::byte{0xff});
    const auto size = static_cast<std::uint32_t>(raw.size());
    std::memcpy(header.data() + 8, &size, sizeof size);
    return header + raw;
}

template <class Site, class Host = no_host>
struct running {
    using server_type = server<Site, Host>;

    explicit running(server_settings<Site> settings = {})
        requires std::same_as<Host, no_host>
        : under_test(std::make_unique<server_type>(io.get_executor(), jobs, settings))
    {
        serve();
    }
    explicit running(Host& host) : under_test(std::make_unique<server_type>(io.get_executor(), jobs, host)) { serve(); }
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
    registry jobs{{"a", 2, ::geteuid(), ::getegid()}, {"b", 1, ::geteuid(), ::getegid()}};
    listener at{io, loopback()};
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
        CHECK(test::show(read(8)).starts_with("00 00 00 00"));
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
    status ask(const M& request)
    {
        send(request);
        return test::payload<message::status_reply>(answer()).result;
    }

    Server& with;
    asio::ip::tcp::socket link;
    std::uint32_t tag = 100;
};

using open_server = running<open_site>;
using open_client = client<open_server>;

message::commit commit_of(std::uint32_t n)
{
    return {{{wire::scope::local, {{"k", value::uint32(n)}}}}};
}
message::fence whole_job()
{
    message::fence f;
    f.processes = {{"a", wire::rank::wildcard}};
    return f;
}

} // namespace

TEST_CASE("a client is served from its handshake to its end")
{
    open_server s;
    open_client zero(s, {"a", 0}), one(s, {"a", 1});
    CHECK(s.under_test->sessions() == 2);
    zero.send(message::req{});
    CHECK(test::payload<message::job_data>(zero.answer()).nspace == "a");
    CHECK(zero.ask(commit_of(7)) == status::success);

    one.send(message::get{"a", 0, {}, "k"});
    const auto got = test::payload<message::get_reply>(one.answer());
    REQUIRE(got.sources.size() == 1);
    CHECK(got.sources[0].data == std::vector<wire::kval>{{"k", value::uint32(7)}});

    zero.send(whole_job());
    CHECK(one.ask(whole_job()) == status::success);
    CHECK(test::payload<message::status_reply>(zero.answer()).result == status::success);

    CHECK(zero.ask(message::finalize{}) == status::success);
    zero.link.close();
    s.until([&] { return s.under_test->sessions() == 1; });
    CHECK(s.under_test->observer().admitted == 2);
    CHECK(s.under_test->observer().refused == 0);
}

TEST_CASE("a client whose user the kernel confirms is admitted, with a false credential it is not")
{
    running<native_site> s;
    if (!s.under_test->kernel_identity())
        return;
    client good(s);
    good.write(hello_bytes({"a", 0}, "4.2.2", "native", native_credential()));
    CHECK(test::show(good.read(8)) == "00 00 00 00 00 00 00 00");
    client bad(s);
    bad.write(hello_bytes({"a", 1}, "3.2.5", "native", bytes(8, std::byte{0x55})));
    CHECK(test::show(bad.read(8)) == "ff ff ff f4");
    client none(s);
    none.write(hello_bytes({"a", 1}, "3.2.5", "none"));
    CHECK(test::show(none.read(8)) == "ff ff ff d1");
}

TEST_CASE("a refused peer is told why if its release listens, and closed in silence if not")
{
    open_server s;
    const auto told = [&](const wire::proc& who, std::string_view release) {
        open_client c(s);
        c.write(hello_bytes(who, release));
        return test::show(c.read(8));
    };
    CHECK(told({"nosuch", 0}, "4.2.2") == "");
    CHECK(told({"nosuch", 0}, "3.2.5") == "ff ff ff d2");
    CHECK(told({"nosuch", 0}, "6.1.0") == "ff ff ff d2");
    CHECK(told({"a", 2}, "6.1.0") == "ff ff ff d2");
    CHECK(s.under_test->observer().refused == 4);
    CHECK(s.under_test->sessions() == 0);
}

TEST_CASE("connections of one rank are limited, others are not affected")
{
    server_settings<open_site> settings;
    settings.limits.connections_per_rank = 2;
    open_server s(settings);
    open_client first(s, {"a", 0}), child(s, {"a", 0}), other(s, {"a", 1});
    open_client third(s);
    third.write(hello_bytes({"a", 0}, "6.1.0"));
    CHECK(test::show(third.read(8)) == "ff ff ff e3");
    first.link.close();
    s.until([&] { return s.under_test->sessions() == 2; });
    open_client again(s, {"a", 0});
}

TEST_CASE("handshakes under way are limited: the newest is refused")
{
    server_settings<open_site> settings;
    settings.limits.pending_handshakes = 1;
    open_server s(settings);
    open_client first(s);
    s.until([&] { return s.under_test->pending_handshakes() == 1; });
    open_client second(s);
    CHECK(test::show(second.read(8)) == "ff ff ff e3");
    first.write(hello_bytes({"a", 0}, "4.2.2"));
    CHECK(first.read(8).size() == 8);
}

TEST_CASE("a handshake that takes too long ends")
{
    server_settings<open_site> settings;
    settings.limits.handshake = 50ms;
    open_server s(settings);
    open_client silent(s);
    silent.write(bytes(3, std::byte{0xff}));
    CHECK(test::show(silent.read(8)) == "ff ff ff e8");
    CHECK(s.under_test->observer().timed_out == 1);
    CHECK(s.under_test->pending_handshakes() == 0);
}

TEST_CASE("commands that nobody serves are NOT_SUPPORTED, and the session lives")
{
    open_server s;
    open_client c(s, {"a", 0});
    CHECK(c.ask(message::query{}) == status::not_supported);
    CHECK(c.ask(message::abort{}) == status::not_supported);
    CHECK(c.ask(commit_of(1)) == status::success);
}

TEST_CASE("a malformed request is UNPACK_FAILURE, and the session lives")
{
    open_server s;
    open_client c(s, {"a", 0});
    auto frame = make_frame<wire::v41>(++c.tag, message::get{"a", 0, {}, "k"}, {}).value();
    frame.pop_back();
    frame[11] = static_cast<std::byte>(std::to_integer<int>(frame[11]) - 1);
    c.write(frame);
    CHECK(test::payload<message::status_reply>(c.answer()).result == status::unpack_failure);
    CHECK(s.under_test->observer().malformed == 1);
    CHECK(c.ask(commit_of(1)) == status::success);
}

TEST_CASE("deregistration of events and heartbeats are not answered")
{
    open_server s;
    open_client c(s, {"a", 0});
    CHECK(c.ask(message::register_events{}) == status::success);
    c.send(message::deregister_events{{status::error}});
    c.write(make_frame<wire::v41>(wire::heartbeat_tag, message::finalize{}, {}).value());
    CHECK(c.ask(commit_of(1)) == status::success); // the next answer is this one's
}

TEST_CASE("an event goes from one client to the others")
{
    open_server s;
    open_client from(s, {"a", 0}), to(s, {"a", 1});
    CHECK(to.ask(message::register_events{}) == status::success);
    CHECK(from.ask(message::notify{status::error, wire::data_range::session, {}}) == status::success);
    to.answer(wire::event_tag);
}

TEST_CASE("who waits for a client that is lost is released")
{
    open_server s;
    open_client waits(s, {"a", 0});
    {
        open_client lost(s, {"a", 1});
        waits.send(message::get{"a", 1, {}, "k"});
        s.until([&] { return s.under_test->held_gets() == 1; });
    }
    CHECK(test::payload<message::status_reply>(waits.answer()).result == status::not_found);
    CHECK(waits.ask(whole_job()) == status::partial_success);
}

TEST_CASE("who waits for a process that exits before it connects is released")
{
    open_server s;
    open_client waits(s, {"a", 0});
    waits.send(whole_job());
    s.until([&] { return s.under_test->pending_collectives() == 1; });
    s.under_test->process_exited({"a", 1});
    CHECK(test::payload<message::status_reply>(waits.answer()).result == status::partial_success);
}

TEST_CASE("a namespace that is removed takes its sessions with it, and no others")
{
    open_server s;
    open_client gone(s, {"a", 0}), stays(s, {"b", 0});
    stays.send(message::get{"a", 1, {}, "k"});
    s.until([&] { return s.under_test->held_gets() == 1; });
    CHECK(s.under_test->remove_namespace("a"));
    CHECK(!s.under_test->remove_namespace("a"));
    CHECK(test::payload<message::status_reply>(stays.answer()).result == status::not_found);
    CHECK(gone.read(1).empty());
    CHECK(s.under_test->sessions() == 1);
    CHECK(stays.ask(commit_of(1)) == status::success);
}

TEST_CASE("a drain waits for sessions, and ends those that stay")
{
    open_server s;
    CHECK(test::run(s.io, s.under_test->drain(1h)));
    {
        open_client c(s, {"a", 0});
        test::task<bool> draining(s.io, s.under_test->drain(1h));
        s.io.restart(), s.io.poll();
        CHECK(!draining.done());
        c.link.close();
        CHECK(test::finish(s.io, draining));
    }
    open_client stays(s, {"a", 0});
    CHECK(!test::run(s.io, s.under_test->drain(1ms)));
    CHECK(s.under_test->sessions() == 0);
    CHECK(stays.read(1).empty());
}

TEST_CASE("a server that goes with sessions, held requests and handshakes leaves nothing behind")
{
    for (const bool runs_on : {false, true}) {
        open_server s;
        open_client c(s, {"a", 0}), half(s);
        half.write(bytes(20, std::byte{0}));
        c.send(message::get{"a", 1, {{"pmix.timeout", 0, value::uint32(60)}}, "k"});
        c.send(whole_job());
        s.until([&] { return s.under_test->pending_collectives() == 1; });
        s.under_test.reset();
        if (runs_on) {
            s.at.close();
            s.io.restart(), s.io.poll();
        }
        CHECK(c.link.is_open());
    }
}

TEST_CASE("two servers in one process share nothing")
{
    open_server left, right;
    open_client l(left, {"a", 0}), r(right, {"a", 0});
    CHECK(l.ask(commit_of(1)) == status::success);
    r.send(message::get{"a", 0, {{"pmix.immediate", 0, {}}}, "k"});
    CHECK(test::payload<message::status_reply>(r.answer()).result == status::not_found);
}

namespace {

struct telling_host {
    int connections = 0, finals = 0, losses = 0;
    std::vector<status> aborts;

    void connected(const identity&) { ++connections; }
    void finalized(const requester&) { ++finals; }
    void lost(const requester&) { ++losses; }
    asio::awaitable<status> abort(requester, message::abort request)
    {
        aborts.push_back(request.code);
        co_return status::success;
    }
};

} // namespace

TEST_CASE("a host hears of processes that connect, finalize, are lost and want others killed")
{
    telling_host host;
    running<open_site, telling_host> s(host);
    {
        client zero(s, {"a", 0}), one(s, {"a", 1});
        CHECK(host.connections == 2);
        CHECK(zero.ask(message::abort{static_cast<status>(42), "why", {}}) == status::success);
        CHECK(host.aborts == std::vector<status>{static_cast<status>(42)});
        CHECK(zero.ask(message::finalize{}) == status::success);
        CHECK(host.finals == 1);
    }
    s.until([&] { return s.under_test->sessions() == 0; });
    CHECK(host.losses == 1);
}
