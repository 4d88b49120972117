#include "../support/run.hpp"

#include <pmixio/host/child.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <tuple>

namespace {

using namespace pmixio;
using stream = launch_settings::stream;

const char* const nothing[] = {nullptr};

launch_settings shell(std::string script)
{
    launch_settings how;
    how.arguments = {"sh", "-c", std::move(script)};
    how.variables = {"PATH=/usr/bin:/bin"};
    return how;
}

std::string all_of(asio::posix::stream_descriptor& from)
{
    std::string text;
    std::error_code ended;
    asio::read(from, asio::dynamic_buffer(text), ended);
    CHECK(ended == asio::error::eof);
    return text;
}

child_end end_of(asio::io_context& io, child& of)
{
    std::optional<child_end> end;
    asio::co_spawn(io, of.wait(), [&](std::exception_ptr thrown, child_end how) {
        CHECK_FALSE(thrown);
        end = how;
    });
    io.restart();
    io.run();
    REQUIRE(end);
    return *end;
}

} // namespace

TEST_CASE("a child's output, errors and status")
{
    asio::io_context io;
    auto c = child::start(io.get_executor(), shell("echo out; echo err >&2; exit 3"));
    REQUIRE(c);
    CHECK(all_of(c->out()) == "out\n");
    CHECK(all_of(c->err()) == "err\n");
    CHECK_FALSE(c->in().is_open());
    const auto end = end_of(io, *c);
    CHECK(std::tuple(end.signal, end.status, end.code()) == std::tuple(0, 3, 3));
    CHECK(c->pid() == -1);
    c->signal(SIGKILL); // nobody is there
}

TEST_CASE("a child reads what it is given, where it is put, with the environment it is given")
{
    asio::io_context io;
    auto how = shell("cat; pwd; echo $A");
    how.input = stream::piped;
    how.directory = "/usr/bin";
    how.variables.push_back("A=1");
    auto c = child::start(io.get_executor(), how);
    REQUIRE(c);
    asio::write(c->in(), asio::buffer(std::string("text\n")));
    c->in().close();
    CHECK(all_of(c->out()) == "text\n/usr/bin\n1\n");
    CHECK(end_of(io, *c).code() == 0);
}

TEST_CASE("a signal reaches a child and its children")
{
    asio::io_context io;
    auto c = child::start(io.get_executor(), shell("sleep 1000 & echo on; wait"));
    REQUIRE(c);
    char line[3];
    CHECK(asio::read(c->out(), asio::buffer(line)) == 3);
    c->signal(SIGTERM);
    CHECK(all_of(c->out()) == ""); // ends when the last writer has
    const auto end = end_of(io, *c);
    CHECK(std::tuple(end.signal, end.code()) == std::tuple(SIGTERM, 128 + SIGTERM));
}

TEST_CASE("signals are blocked and handled in the child as by default, and here as before")
{
    struct kept {
        kept()
        {
            ::sigset_t one;
            ::sigemptyset(&one), ::sigaddset(&one, SIGUSR1);
            ::pthread_sigmask(SIG_SETMASK, &one, &mask);
            ignored = std::signal(SIGUSR2, SIG_IGN), handled = std::signal(SIGHUP, [](int) {});
        }
        ~kept()
        {
            std::signal(SIGUSR2, ignored), std::signal(SIGHUP, handled);
            ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
        }
        ::sigset_t mask;
        void (*ignored)(int);
        void (*handled)(int);
    } until_the_end;
    asio::io_context io;
    launch_settings how;
    how.arguments = {"cat", "/proc/self/status"};
    auto c = child::start(io.get_executor(), how);
    REQUIRE(c);
    const auto said = all_of(c->out());
    CHECK(said.find("SigBlk:\t0000000000000000\n") != said.npos);
    CHECK(said.find("SigCgt:\t0000000000000000\n") != said.npos);
    CHECK((std::stoull(said.substr(said.find("SigIgn:") + 7), nullptr, 16) >> (SIGUSR2 - 1)) % 2 == 1);
    end_of(io, *c);
    ::sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    CHECK(::sigismember(&now, SIGUSR1));
    CHECK_FALSE(::sigismember(&now, SIGTERM));
}

TEST_CASE("what cannot be started says why")
{
    asio::io_context io;
    launch_settings how;
    CHECK(child::start(io.get_executor(), how).error() == std::errc::invalid_argument);
    how.arguments = {"/no/such/program"};
    CHECK(child::start(io.get_executor(), how).error() == std::errc::no_such_file_or_directory);
    how.arguments = {"/etc/passwd"};
    CHECK(child::start(io.get_executor(), how).error() == std::errc::permission_denied);
    how = shell("true");
    how.directory = "/no/such/directory";
    CHECK(child::start(io.get_executor(), how).error() == std::errc::no_such_file_or_directory);
}

TEST_CASE("a child that is forgotten is killed, and waiting for one can be given up")
{
    asio::io_context io;
    pid_t pid = 0;
    {
        auto c = child::start(io.get_executor(), shell("sleep 1000"));
        REQUIRE(c);
        pid = c->pid();
        asio::cancellation_signal stop;
        std::exception_ptr thrown;
        asio::co_spawn(
            io, c->wait(),
            asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e, child_end) { thrown = e; }));
        io.poll();
        stop.emit(asio::cancellation_type::terminal);
        io.restart();
        io.run();
        CHECK(thrown);
        CHECK(::kill(pid, 0) == 0);
    }
    CHECK(::kill(pid, 0) == -1);
}

TEST_CASE("what other servers have put into the environment is not passed on")
{
    const char* const inherited[] = {"HOME=/root", "PMIX_RANK=7", "OMPI_MCA_x=1", nullptr};
    CHECK(child_variables(inherited, {{"PMIX_RANK", "0"}}) ==
          std::vector<std::string>{"HOME=/root", "PMIX_RANK=0"});
    CHECK(child_variables(nothing, {}).empty());
}

TEST_CASE("an application is started by its command, with the arguments behind the first")
{
    const auto how = settings_of({"prog", {"name", "-x"}, {"A=1"}, "/tmp", 2, {}});
    CHECK(how.arguments == std::vector<std::string>{"prog", "-x"});
    CHECK(how.variables == std::vector<std::string>{"A=1"});
    CHECK(how.directory == "/tmp");
    CHECK(settings_of({"prog", {}, {}, std::nullopt, 1, {}}).arguments == std::vector<std::string>{"prog"});
    CHECK(settings_of({std::nullopt, {"name"}, {}, std::nullopt, 1, {}}).arguments ==
          std::vector<std::string>{"name"});
}
