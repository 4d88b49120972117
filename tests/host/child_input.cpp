#include "../support/bytes.hpp"

#include <pmixio/host/child_input.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace pmixio;
using outcome = child_input::outcome;

/// A pipe that holds as little as the kernel allows, with a queue in front.
struct fixture {
    fixture()
    {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        read_end = ends[0];
        ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
        REQUIRE(::fcntl(read_end, F_SETFL, O_NONBLOCK) == 0);
        input = std::make_unique<child_input>(asio::posix::stream_descriptor(io, ends[1]), 10'000);
    }
    ~fixture()
    {
        input.reset();
        io.restart();
        io.run();
        stop_reading();
    }
    void stop_reading()
    {
        if (read_end >= 0)
            ::close(std::exchange(read_end, -1));
    }
    outcome push(std::string_view text) { return input->push(std::as_bytes(std::span(text))); }
    /// What can be read now; "END" is added at the end of it.
    std::string read()
    {
        std::string all;
        char piece[1000];
        while (true) {
            io.restart();
            io.poll();
            const auto n = ::read(read_end, piece, sizeof piece);
            if (n <= 0)
                return all + (n == 0 ? "END" : "");
            all.append(piece, static_cast<std::size_t>(n));
        }
    }

    asio::io_context io;
    int read_end = -1;
    std::unique_ptr<child_input> input;
};

bool sigpipe_pending()
{
    ::sigset_t pending;
    ::sigpending(&pending);
    return ::sigismember(&pending, SIGPIPE) == 1;
}

} // namespace

TEST_CASE_FIXTURE(fixture, "input is read as it was pushed, and its end behind it")
{
    CHECK(push("one ") == outcome::taken);
    CHECK(read() == "one ");
    CHECK(push("two ") == outcome::taken);
    CHECK(push("three") == outcome::taken);
    input->end();
    CHECK(push("late") == outcome::closed);
    CHECK(read() == "two threeEND");
}

TEST_CASE_FIXTURE(fixture, "what a reader leaves is queued up to a limit, and goes on when it reads")
{
    const std::string most(4096 + 10'000, 'x'); // in the pipe, and in the queue
    CHECK(push(std::string_view(most).substr(0, 10'000)) == outcome::taken);
    CHECK(push(std::string_view(most).substr(10'000, 4096)) == outcome::taken);
    CHECK(push("y") == outcome::full);
    CHECK(read() == most);
    CHECK(push("y") == outcome::taken);
    CHECK(read() == "y");
    CHECK(push(std::string(10'001, 'z')) == outcome::full);
    CHECK(read() == "");
}

TEST_CASE_FIXTURE(fixture, "the end waits for a slow reader")
{
    const std::string text(9'000, 'x');
    push(text);
    input->end();
    CHECK(read() == text + "END");
}

TEST_CASE_FIXTURE(fixture, "a reader who is gone raises no signal, and closes the queue")
{
    SUBCASE("before") {}
    SUBCASE("while input waits for it") { push(std::string(9'000, 'x')); }
    stop_reading();
    io.poll();
    CHECK(push("y") == outcome::closed);
    CHECK(push("y") == outcome::closed);
    CHECK_FALSE(sigpipe_pending());
}

TEST_CASE_FIXTURE(fixture, "a SIGPIPE that was pending before is left so")
{
    ::sigset_t pipe, before;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
    ::raise(SIGPIPE);
    stop_reading();
    CHECK(push("y") == outcome::closed);
    CHECK(sigpipe_pending());
    constexpr ::timespec now{};
    ::sigtimedwait(&pipe, nullptr, &now);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE_FIXTURE(fixture, "a queue that goes closes the pipe, and waits for nobody")
{
    push(std::string(9'000, 'x'));
    input = std::make_unique<child_input>(asio::posix::stream_descriptor(io, ::open("/dev/null", O_WRONLY)));
    CHECK(read() == std::string(4096, 'x') + "END");
}
