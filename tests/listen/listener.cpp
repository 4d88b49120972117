#include "support/bytes.hpp"
#include "support/run.hpp"

#include <pmixio/listen/listener.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::run;
using test::task;

struct fixture {
    asio::io_context io;
    listener under_test{io, loopback()};

    asio::ip::tcp::socket connect()
    {
        asio::ip::tcp::socket peer(io);
        peer.connect(under_test.local_endpoint());
        return peer;
    }
};

/// No descriptors but those that are open now.
class no_descriptors {
public:
    no_descriptors()
    {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int lowest = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
        ::close(lowest);
        auto now = before_;
        now.rlim_cur = static_cast<::rlim_t>(lowest);
        ::setrlimit(RLIMIT_NOFILE, &now);
    }
    no_descriptors(const no_descriptors&) = delete;
    ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    ::rlimit before_{};
};

} // namespace

TEST_CASE_FIXTURE(fixture, "a listener on loopback has a port, and accepts with both ends known")
{
    CHECK(under_test.local_endpoint().address().is_loopback());
    CHECK(under_test.local_endpoint().port() != 0);
    auto peer = connect();
    const auto accepted = run(io, under_test.accept());
    REQUIRE(accepted);
    CHECK(accepted->local() == under_test.local_endpoint());
    CHECK(accepted->remote() == peer.local_endpoint());
    CHECK(accepted->remote_endpoint() == accepted->remote());
}

TEST_CASE_FIXTURE(fixture, "accepted connections send without delay and do not block, whoever accepted them")
{
    const auto check = [](const pmixio::socket& taken) {
        asio::ip::tcp::no_delay now;
        taken.get_option(now);
        CHECK(now.value());
    };
    auto peer = connect();
    auto accepted = run(io, under_test.accept());
    REQUIRE(accepted);
    check(*accepted);
    CHECK(accepted->non_blocking());
    CHECK((::fcntl(accepted->native_handle(), F_GETFL) & O_NONBLOCK) != 0);

    asio::ip::tcp::acceptor plain(io, {asio::ip::address_v4::loopback(), 0});
    asio::ip::tcp::socket other(io);
    other.connect(plain.local_endpoint());
    check(pmixio::socket(plain.accept()));
}

TEST_CASE_FIXTURE(fixture, "an accept waits for a connection")
{
    task<result<pmixio::socket>> accepting(io, under_test.accept());
    io.poll();
    CHECK(!accepting.done());
    auto peer = connect();
    CHECK(test::finish(io, accepting));
}

TEST_CASE_FIXTURE(fixture, "connections of a burst are all accepted")
{
    std::vector<asio::ip::tcp::socket> peers;
    for (int i = 0; i != 50; ++i)
        peers.push_back(connect());
    for (int i = 0; i != 50; ++i)
        CHECK(run(io, under_test.accept()));
}

TEST_CASE_FIXTURE(fixture, "accepted sockets are not inherited by children")
{
    auto peer = connect();
    auto accepted = run(io, under_test.accept());
    REQUIRE(accepted);
    CHECK((::fcntl(accepted->native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a listening socket is not inherited by children")
{
    asio::io_context io;
    const int next = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
    ::close(next);
    const listener made(io, loopback());
    bool found = false;
    for (int fd = next; fd != next + 8; ++fd) {
        int listening = 0;
        ::socklen_t size = sizeof listening;
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening) {
            found = true;
            CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        }
    }
    CHECK(found);
}

TEST_CASE("a wildcard address is refused")
{
    asio::io_context io;
    CHECK_THROWS_AS(listener(io, {asio::ip::address_v4::any(), 0}), std::invalid_argument);
    CHECK_THROWS_AS(listener(io, {asio::ip::address_v6::any(), 0}), std::invalid_argument);
}

TEST_CASE_FIXTURE(fixture, "a port that is taken cannot be listened on")
{
    CHECK_THROWS_AS(listener(io, under_test.local_endpoint()), std::system_error);
    CHECK_THROWS_AS(listener(io, under_test.local_endpoint(), share_port), std::system_error);
}

TEST_CASE("listeners that share a port each get some of the connections, and one alone gets all")
{
    asio::io_context io;
    listener one(io, loopback(), share_port), other(io, one.local_endpoint(), share_port);
    CHECK(one.local_endpoint().port() != 0);
    CHECK(other.local_endpoint() == one.local_endpoint());
    CHECK_THROWS_AS(listener(io, one.local_endpoint()), std::system_error);

    std::vector<asio::ip::tcp::socket> peers;
    unsigned at_one = 0, at_other = 0;
    const auto come = [&] {
        peers.emplace_back(io).connect(one.local_endpoint());
        task<result<pmixio::socket>> first(io, one.accept()), second(io, other.accept());
        test::run_until(io, [&] { return first.done() || second.done(); });
        at_one += first.done(), at_other += second.done();
        first.cancel(), second.cancel();
        io.restart(), io.poll();
    };
    while (at_one == 0 || at_other == 0) { // by the hash of both ends
        come();
        REQUIRE(peers.size() < 200);
    }
    other.close();
    for (int i = 0; i != 10; ++i)
        CHECK_NOTHROW(come());
    CHECK(at_one + at_other == peers.size());
}

TEST_CASE_FIXTURE(fixture, "a fixed port can be listened on again while old connections linger")
{
    const auto at = under_test.local_endpoint();
    under_test.close();
    for (int round = 0; round != 2; ++round) {
        listener again(io, at);
        asio::ip::tcp::socket peer(io);
        peer.connect(at);
        auto accepted = run(io, again.accept());
        REQUIRE(accepted);
        accepted->close(); // first, so that the lingering end is this one
        char byte;
        std::error_code ended;
        peer.read_some(asio::buffer(&byte, 1), ended);
        CHECK(ended == asio::error::eof);
    }
}

TEST_CASE_FIXTURE(fixture, "an accept that is cancelled or closed is aborted")
{
    task<result<pmixio::socket>> accepting(io, under_test.accept());
    io.poll();
    accepting.cancel();
    try {
        CHECK(test::finish(io, accepting).error() == asio::error::operation_aborted);
    } catch (const std::system_error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
    }

    task<result<pmixio::socket>> again(io, under_test.accept());
    io.restart(), io.poll();
    under_test.close();
    CHECK(test::finish(io, again).error() == asio::error::operation_aborted);
    CHECK(run(io, under_test.accept()).error() == asio::error::operation_aborted);
}

TEST_CASE_FIXTURE(fixture, "an accept whose listener goes is aborted, begun or not")
{
    for (const bool begun : {true, false}) {
        auto goes = std::make_unique<listener>(io, loopback());
        task<result<pmixio::socket>> accepting(io, goes->accept());
        if (begun)
            io.restart(), io.poll();
        goes.reset();
        CHECK(test::finish(io, accepting).error() == asio::error::operation_aborted);
    }
}

namespace {

/// Whether IPv6 can be used here at all.
bool has_ipv6()
{
    asio::io_context io;
    asio::ip::tcp::acceptor probe(io);
    std::error_code failed;
    probe.open(asio::ip::tcp::v6(), failed);
    if (!failed)
        probe.bind({asio::ip::address_v6::loopback(), 0}, failed);
    return !failed;
}

const auto v4 = asio::ip::address(asio::ip::address_v4::loopback());
const auto v6 = asio::ip::address(asio::ip::address_v6::loopback());

/// Two neighbouring ports that are free, but for `under_test` on the first.
struct neighbours {
    asio::io_context io;
    std::optional<listener> busy;
    std::uint16_t first = 0, second = 0;

    neighbours()
    {
        while (!second) {
            busy.emplace(io, loopback());
            first = busy->local_endpoint().port();
            try {
                listener after(io, {v4, static_cast<std::uint16_t>(first + 1)});
                second = after.local_endpoint().port();
            } catch (const std::system_error&) {
            }
        }
    }
    std::string range() const { return std::to_string(first) + '-' + std::to_string(second); }
};

} // namespace

TEST_CASE_FIXTURE(neighbours, "of a range of ports the first that is free is taken")
{
    listener next(io, v4, port_ranges::parse(range()));
    CHECK(next.local_endpoint() == asio::ip::tcp::endpoint(v4, second));
    asio::ip::tcp::socket peer(io);
    peer.connect(next.local_endpoint());
    CHECK(run(io, next.accept()));
}

TEST_CASE_FIXTURE(neighbours, "the ranges are tried in order")
{
    const auto text = std::to_string(second) + ',' + std::to_string(first);
    CHECK(listener(io, v4, port_ranges::parse(text)).local_endpoint().port() == second);
    busy->close();
    CHECK(listener(io, v4, port_ranges::parse(range())).local_endpoint().port() == first);
}

TEST_CASE_FIXTURE(neighbours, "that no port of the ranges is free is said with the ranges")
{
    const listener other(io, {v4, second});
    CHECK_THROWS_WITH_AS(listener(io, v4, port_ranges::parse(range())),
                         doctest::Contains((range() + " is free on 127.0.0.1").c_str()), std::system_error);
    try {
        listener(io, v4, port_ranges::parse(range()));
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::address_in_use);
    }
    const auto port = listener(io, v4, port_ranges::parse(range() + ",0")).local_endpoint().port();
    CHECK(port != 0);
    CHECK((port != first && port != second));
}

TEST_CASE("another failure than a busy port ends the search")
{
    asio::io_context io;
    const auto elsewhere = asio::ip::make_address("203.0.113.254"); // a network for documentation
    CHECK_THROWS_WITH_AS(listener(io, elsewhere, port_ranges::parse("20000-20001")),
                         doctest::Contains("203.0.113.254 port 20000"), std::system_error);
}

TEST_CASE("each enabled family has its listener, IPv4 first")
{
    asio::io_context io;
    listener_config config;
    {
        const auto opened = open_listeners(io, config);
        REQUIRE(opened.size() == 1);
        CHECK(opened[0].local_endpoint().address() == v4);
    }
    if (!has_ipv6())
        return;
    config.interfaces.ipv6 = true;
    const std::vector<local_address> locals{{"lo", 1, v6, 128, true, true}, {"lo", 1, v4, 8, true, true}};
    auto opened = open_listeners(io, config, locals);
    REQUIRE(opened.size() == 2);
    CHECK(opened[0].local_endpoint().address() == v4);
    CHECK(opened[1].local_endpoint().address() == v6);
    for (auto& each : opened) {
        asio::ip::tcp::socket peer(io);
        peer.connect(each.local_endpoint());
        const auto accepted = run(io, each.accept());
        REQUIRE(accepted);
        CHECK(accepted->local() == each.local_endpoint());
        CHECK(accepted->remote() == peer.local_endpoint());
    }
}

TEST_CASE("ports are those of the family, and both families can have the same")
{
    if (!has_ipv6())
        return;
    neighbours ports;
    listener_config config;
    config.interfaces.ipv6 = true;
    config.ipv4_ports = port_ranges(ports.second);
    config.ipv6_ports = port_ranges(ports.second);
    const std::vector<local_address> locals{{"lo", 1, v4, 8, true, true}, {"lo", 1, v6, 128, true, true}};
    const auto opened = open_listeners(ports.io, config, locals);
    REQUIRE(opened.size() == 2);
    CHECK(opened[0].local_endpoint() == asio::ip::tcp::endpoint(v4, ports.second));
    CHECK(opened[1].local_endpoint() == asio::ip::tcp::endpoint(v6, ports.second));
}

TEST_CASE("where nothing can be listened on, nothing is")
{
    asio::io_context io;
    listener_config config;
    config.interfaces.remote_connections = true;
    const std::vector<local_address> locals{{"lo", 1, v4, 8, true, true}};
    try {
        const auto opened = open_listeners(io, config, locals);
        FAIL("opened");
    } catch (const std::system_error& e) {
        CHECK(e.code() == fault::no_interface);
    }
}

// The sanitizers need descriptors themselves: there are some again as soon as the listener has noticed.
TEST_CASE_FIXTURE(fixture, "want of descriptors is said, survived, and said again next time")
{
    int pauses = 0;
    std::error_code why;
    std::optional<no_descriptors> scarce;
    const auto paused = [&](std::error_code code) {
        scarce.reset();
        ++pauses, why = code;
    };
    for (int round = 0; round <= 2; ++round) {
        task<result<pmixio::socket>> accepting(io, under_test.accept(1ms, paused));
        io.restart(), io.poll();
        auto peer = connect();
        if (round > 0)
            scarce.emplace();
        CHECK(test::finish(io, accepting));
        CHECK(pauses == round);
    }
    CHECK(why == std::errc::too_many_files_open);
}

TEST_CASE_FIXTURE(fixture, "several failures for want of descriptors are one shortage")
{
    int pauses = 0;
    std::optional<no_descriptors> scarce;
    const auto paused = [&](std::error_code) { scarce.reset(), ++pauses; };
    task<result<pmixio::socket>> accepting(io, under_test.accept(1ms, paused));
    io.poll();
    auto peer = connect();
    scarce.emplace();
    test::run_until(io, [&] { return !scarce; });
    for (int again = 0; again != 5; ++again) {
        scarce.emplace();
        const auto handlers = io.run_one_for(test::patience);
        scarce.reset();
        CHECK(handlers == 1);
        CHECK(!accepting.done());
    }
    CHECK(pauses == 1);
    CHECK(test::finish(io, accepting));
    CHECK(pauses == 1);
}

TEST_CASE_FIXTURE(fixture, "closing ends an accept that pauses")
{
    std::optional<no_descriptors> scarce;
    task<result<pmixio::socket>> first(io, under_test.accept());
    io.poll();
    auto one = connect();
    CHECK(test::finish(io, first));

    task<result<pmixio::socket>> accepting(io,
                                           under_test.accept(1h, [&](std::error_code) { scarce.reset(); }));
    io.restart(), io.poll();
    auto peer = connect();
    scarce.emplace();
    test::run_until(io, [&] { return !scarce; });
    io.poll();
    CHECK(!accepting.done());
    under_test.close();
    CHECK(test::finish(io, accepting).error() == asio::error::operation_aborted);
}
