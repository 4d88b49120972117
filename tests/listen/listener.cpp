#include <pmixio/listen/listener.hpp>

#include "support/bytes.hpp"
#include "support/run.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>

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

TEST_CASE_FIXTURE(fixture, "closing ends an accept that pauses")
{
    std::optional<no_descriptors> scarce;
    task<result<pmixio::socket>> first(io, under_test.accept());
    io.poll();
    auto one = connect();
    CHECK(test::finish(io, first));

    task<result<pmixio::socket>> accepting(io, under_test.accept(1h, [&](std::error_code) { scarce.reset(); }));
    io.restart(), io.poll();
    auto peer = connect();
    scarce.emplace();
    test::run_until(io, [&] { return !scarce; });
    io.poll();
    CHECK(!accepting.done());
    under_test.close();
    CHECK(test::finish(io, accepting).error() == asio::error::operation_aborted);
}
