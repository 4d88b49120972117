#include "support/listening.hpp"
#include "support/run.hpp"
#include "support/temporary_directory.hpp"

#include <pmixio/listen/publish.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

using namespace pmixio;
using namespace std::chrono_literals;
using test::run;
using test::task;
using names = std::vector<std::string>;

namespace {

struct fixture : test::temporary_directory {
    asio::io_context io;
    test::listening server{io};
    std::string file = *this / "f";
    std::string text = contact_file_text(server.uri());

    published_file publish_text(std::chrono::milliseconds patience = 10s)
    {
        return run(io, publish(file, text, 0640, existing_file::judge, patience));
    }

    /// Why the file cannot be published; checks that this leaves the directory as it was.
    std::system_error refusal(std::chrono::milliseconds patience = 10s)
    {
        const auto before = this->names();
        try {
            const auto made = publish_text(patience);
        } catch (const std::system_error& e) {
            CHECK(std::string_view(e.what()).find(file) != std::string_view::npos);
            CHECK(this->names() == before);
            return e;
        }
        throw std::logic_error("published");
    }
};

bool mentions(const std::exception& e, std::string_view text)
{
    return std::string_view(e.what()).find(text) != std::string_view::npos;
}

::ino_t inode_of(const std::string& path)
{
    struct ::stat status{};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_ino;
}

/// A pipe, both ends closed in the end.
struct pipe_pair {
    pipe_pair()
    {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
        read = detail::descriptor(ends[0]);
        write = detail::descriptor(ends[1]);
    }
    std::string content()
    {
        write = detail::descriptor();
        std::string result;
        for (char c = 0; ::read(read.get(), &c, 1) == 1;)
            result += c;
        return result;
    }
    detail::descriptor read, write;
};

} // namespace

TEST_CASE_FIXTURE(fixture, "a file is published with its text and mode, and removed with its owner")
{
    const auto mask = ::umask(0777);
    {
        const auto made = publish_text();
        ::umask(mask);
        CHECK(made.path() == file);
        CHECK(names() == ::names{"f"});
        CHECK(test::read_file(file) == text);
        CHECK(test::mode_of(file) == 0640);
        const auto read = read_contact_file(file);
        REQUIRE(read);
        CHECK((read->address == server.address));
    }
    CHECK(names().empty());
    const auto made = run(io, publish(file, text, 0644));
    CHECK(test::mode_of(file) == 0644);
}

TEST_CASE_FIXTURE(fixture, "a relative path works, and still after the current directory has changed")
{
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(path());
    {
        auto made = run(io, publish("f", text, 0640));
        std::filesystem::current_path(before);
        CHECK(names() == ::names{"f"});
    }
    CHECK(names().empty());
}

TEST_CASE_FIXTURE(fixture, "the file of a living server is not replaced")
{
    const test::listening other(io, "other");
    test::write_file(file, contact_file_text(other.uri()));
    const auto inode = inode_of(file);
    const auto refused = refusal();
    CHECK(refused.code() == std::errc::address_in_use);
    CHECK(mentions(refused, other.uri()));
    CHECK(inode_of(file) == inode);
    CHECK(test::read_file(file).starts_with(other.uri() + '\n'));
}

TEST_CASE_FIXTURE(fixture, "the file of a server that may be alive is not replaced")
{
    const test::silent other(io);
    test::write_file(file, contact_file_text(server_uri({"other", 0}, other.at())));
    const auto refused = refusal(50ms);
    CHECK(refused.code() == std::errc::address_in_use);
    CHECK(mentions(refused, "not known to be dead"));
}

TEST_CASE_FIXTURE(fixture, "what a dead server left is replaced")
{
    const auto gone = server_uri(test::dead(io));
    for (const auto& left : {contact_file_text(gone), gone + "\n", gone + "\nv3.1.2\n",
                             std::string("garbage\n"), std::string(100'000, 'x'), std::string(1, '\0')}) {
        CAPTURE(left);
        test::write_file(file, left);
        const auto made = publish_text();
        CHECK(test::read_file(file) == text);
        CHECK(names() == ::names{"f"});
    }
    CHECK(names().empty());
}

TEST_CASE_FIXTURE(fixture, "an incomplete file that stays so is a dead server's")
{
    for (const auto& left : {std::string(), server.uri()}) {
        test::write_file(file, left);
        const auto made = publish_text(20ms);
        CHECK(test::read_file(file) == text);
    }
}

TEST_CASE_FIXTURE(fixture, "an incomplete file is given time")
{
    const test::listening other(io, "other");
    test::write_file(file, other.uri());
    task<published_file> publishing(io, publish(file, text, 0640, existing_file::judge, 200ms));
    test::run_until(io, [this] { return names().size() != 1; });
    CHECK_FALSE(publishing.done());
    test::write_file(file, other.uri() + '\n'); // in place
    CHECK_THROWS_AS(test::finish(io, publishing), std::system_error);
    CHECK(test::read_file(file) == other.uri() + '\n');
    CHECK(names() == ::names{"f"});
}

TEST_CASE_FIXTURE(fixture, "what was published while a stale file was judged stays")
{
    const test::listening other(io, "other");
    test::write_file(file, "");
    task<published_file> publishing(io, publish(file, text, 0640, existing_file::judge, 100ms));
    test::run_until(io, [this] { return names().size() != 1; });
    test::write_file(*this / "new", other.uri() + '\n');
    std::filesystem::rename(*this / "new", file);
    const auto inode = inode_of(file);
    CHECK_THROWS_AS(test::finish(io, publishing), std::system_error);
    CHECK(inode_of(file) == inode);
    CHECK(names() == ::names{"f"});
}

TEST_CASE_FIXTURE(fixture, "a stale file that goes by itself is no obstacle")
{
    test::write_file(file, "");
    task<published_file> publishing(io, publish(file, text, 0640, existing_file::judge, 50ms));
    test::run_until(io, [this] { return names().size() != 1; });
    std::filesystem::remove(file);
    const auto made = test::finish(io, publishing);
    CHECK(test::read_file(file) == text);
    CHECK(names() == ::names{"f"});
}

TEST_CASE_FIXTURE(fixture, "a publication can be cancelled, and leaves nothing")
{
    const test::silent other(io);
    const auto left = contact_file_text(server_uri({"other", 0}, other.at()));
    for (const auto& before : {left, std::string()}) {
        test::write_file(file, before);
        task<published_file> publishing(io, publish(file, text, 0640, existing_file::judge, 1h));
        test::run_until(io, [this] { return names().size() != 1; });
        io.poll();
        publishing.cancel();
        try {
            const auto made = test::finish(io, publishing);
            FAIL("published");
        } catch (const std::system_error& e) {
            CHECK(e.code() == asio::error::operation_aborted);
        }
        CHECK(names() == ::names{"f"});
        CHECK(test::read_file(file) == before);
    }
}

TEST_CASE_FIXTURE(fixture, "what is no regular file is not touched")
{
    test::write_file(*this / "target", "garbage\n");
    const auto refused = [&] {
        const auto inode = inode_of(file);
        CHECK(refusal().code() == std::errc::file_exists);
        CHECK_THROWS_AS(run(io, publish(file, text, 0640, existing_file::replace)), std::system_error);
        CHECK(inode_of(file) == inode);
        CHECK(test::read_file(*this / "target") == "garbage\n");
        CHECK(names() == ::names{"f", "target"});
        std::filesystem::remove(file);
    };
    std::filesystem::create_symlink("target", file);
    refused();
    std::filesystem::create_symlink("nowhere", file);
    refused();
    REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
    refused();
    REQUIRE(::mkdir(file.c_str(), 0700) == 0);
    refused();
}

TEST_CASE_FIXTURE(fixture, "the directory must be there")
{
    file = *this / "absent/f";
    CHECK(refusal().code() == std::errc::no_such_file_or_directory);
    test::write_file(*this / "absent", "");
    CHECK(refusal().code() == std::errc::not_a_directory);
    for (const auto* none : {"", "/", ".", "/tmp/..", "/tmp/"}) {
        CAPTURE(none);
        CHECK_THROWS_AS(run(io, publish(none, text, 0640)), std::system_error);
    }
    CHECK_THROWS_AS(run(io, publish(path() + "/g" + '\0', text, 0640)), std::system_error);
    CHECK(names() == ::names{"absent"});
}

TEST_CASE_FIXTURE(fixture, "the directory must not let others replace the file")
{
    for (const ::mode_t mode : {0770u, 0707u, 0777u, 0720u, 02775u}) {
        CAPTURE(mode);
        REQUIRE(::chmod(path().c_str(), mode) == 0);
        CHECK(refusal().code() == std::errc::operation_not_permitted);
        REQUIRE(::chmod(path().c_str(), mode | S_ISVTX) == 0);
        CHECK_NOTHROW(publish_text());
    }
}

TEST_CASE_FIXTURE(fixture, "the directory must be ours or root's" * doctest::skip(::geteuid() != 0))
{
    REQUIRE(::chown(path().c_str(), 65534, 65534) == 0);
    CHECK(refusal().code() == std::errc::operation_not_permitted);
}

TEST_CASE_FIXTURE(fixture, "another user's file in a shared directory is not removed" *
                               doctest::skip(::geteuid() != 0))
{
    REQUIRE(::chmod(path().c_str(), 01777) == 0);
    test::write_file(file, contact_file_text(server_uri(test::dead(io))));
    REQUIRE(::chown(file.c_str(), 65533, 65533) == 0);
    const auto as_other = [&](auto check) {
        REQUIRE(::seteuid(65534) == 0);
        try {
            check();
        } catch (...) {
            static_cast<void>(::seteuid(0));
            throw;
        }
        REQUIRE(::seteuid(0) == 0);
    };
    as_other([&] { CHECK(refusal().code() == std::errc::operation_not_permitted); });
    REQUIRE(::chmod(file.c_str(), 0600) == 0);
    as_other([&] { CHECK(refusal().code() == std::errc::permission_denied); });
    as_other([&] {
        CHECK_THROWS_AS(run(io, publish(file, text, 0640, existing_file::replace)), std::system_error);
    });
    CHECK(names() == ::names{"f"});
    CHECK_NOTHROW(publish_text()); // as root
}

TEST_CASE_FIXTURE(fixture, "a text that cannot be written whole is not published")
{
    const auto before = std::signal(SIGXFSZ, SIG_IGN);
    ::rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    auto small = limit;
    small.rlim_cur = 10;
    ::setrlimit(RLIMIT_FSIZE, &small);
    CHECK(refusal().code() == std::errc::file_too_large);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, before);
    CHECK(names().empty());
}

TEST_CASE_FIXTURE(fixture, "only what was published is removed, and only once")
{
    auto first = publish_text();
    auto second = std::move(first);
    first.remove(); // NOLINT(bugprone-use-after-move): has nothing any more
    CHECK(names() == ::names{"f"});
    second.remove();
    CHECK(names().empty());
    test::write_file(file, "another's");
    second.remove();
    CHECK(names() == ::names{"f"});
    std::filesystem::remove(file);

    auto third = publish_text();
    test::write_file(*this / "new", "another's");
    std::filesystem::rename(*this / "new", file);
    third.remove();
    CHECK(test::read_file(file) == "another's");
    std::filesystem::remove(file);

    auto kept = publish_text();
    file = *this / "g";
    kept = publish_text();
    CHECK(names() == ::names{"g"});
}

TEST_CASE_FIXTURE(fixture, "a forked child does not remove its parent's file")
{
    auto made = publish_text();
    const auto child = ::fork();
    if (child == 0) {
        made.remove();
        ::_exit(0);
    }
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK(names() == ::names{"f"});
}

TEST_CASE_FIXTURE(fixture, "publishing and removing leave no descriptor open")
{
    const int lowest = ::dup(0);
    ::close(lowest);
    for (const auto& left :
         {contact_file_text(server_uri(test::dead(io))), contact_file_text(server.uri())}) {
        test::write_file(file, left);
        try {
            const auto made = publish_text();
        } catch (const std::system_error&) {
        }
        const int after = ::dup(0);
        ::close(after);
        CHECK(after == lowest);
    }
}

TEST_CASE_FIXTURE(fixture, "a server publishes all it is wanted to")
{
    std::filesystem::create_directory(*this / "sys");
    contact_plan plan{*this / "sys", path(), "node7", true, true, true, true, true, *this / "rendezvous"};
    const auto pid = std::to_string(::getpid());
    {
        const auto made = run(io, publish_contacts(plan, server.address));
        CHECK(made.size() == 7);
        CHECK(names() == ::names{"pmix.node7.tool", "pmix.node7.tool." + pid, "pmix.node7.tool.srv",
                                 "rendezvous", "sys"});
        for (const auto* each : {"sys/pmix.sys.node7", "sys/pmix.sched.node7", "sys/pmix.sysctrlr.node7"})
            CHECK(test::mode_of(*this / each) == 0644);
        for (const auto& each : names())
            if (each != "sys")
                CHECK(test::mode_of(*this / each) == 0640);
        for (const auto& each : made) {
            const auto read = read_contact_file(each.path());
            REQUIRE(read);
            CHECK((read->address == server.address));
            CHECK(read->pid == ::getpid());
        }
    }
    CHECK(names() == ::names{"sys"});
    CHECK(std::filesystem::is_empty(*this / "sys"));

    plan = {path(), path(), "", true};
    const auto made = run(io, publish_contacts(plan, server.address));
    CHECK(names() == ::names{"pmix.sys." + contact_host_name(), "sys"});
    plan = {};
    CHECK(run(io, publish_contacts(plan, server.address)).empty());
}

TEST_CASE_FIXTURE(fixture, "a server publishes all or nothing")
{
    const test::listening other(io, "other");
    const auto taken = nspace_contact_path(path(), "node7", "srv");
    test::write_file(taken, contact_file_text(other.uri()));
    contact_plan plan{path(), path(), "node7", true, true, true};
    CHECK_THROWS_AS(run(io, publish_contacts(plan, server.address)), std::system_error);
    CHECK(names() == ::names{"pmix.node7.tool.srv"});

    std::filesystem::remove(taken);
    const server_address slash{{"a/b", 0}, server.address.at};
    CHECK_THROWS_AS(run(io, publish_contacts(plan, slash)), std::invalid_argument);
    CHECK(names().empty());
}

TEST_CASE_FIXTURE(fixture, "a report file replaces one of ours, whoever answers there")
{
    for (const auto& left : {std::string(), std::string("notes"), contact_file_text(server.uri())}) {
        test::write_file(file, left);
        const auto made = run(io, report_uri(file, "the uri", ""));
        REQUIRE(made);
        CHECK(test::read_file(file) == "the uri\nv4.2.2\n");
        CHECK(test::mode_of(file) == 0640);
        CHECK(names() == ::names{"f"});
    }
    CHECK(names().empty());
    CHECK(run(io, report_uri(*this / "-5", "the uri", "")));
    CHECK_THROWS_AS(run(io, report_uri(*this / "absent/f", "the uri", "")), std::system_error);
}

TEST_CASE_FIXTURE(fixture, "a report goes to a descriptor as variables and URI, and closes it")
{
    constexpr std::array<std::string_view, 3> encodings{"v41", "v4", "v21"};
    const auto variables = server_uri_variables(encodings);
    CHECK(variables == "PMIX_SERVER_URI41:PMIX_SERVER_URI4:PMIX_SERVER_URI21");
    CHECK(server_uri_variables({}).empty());

    pipe_pair pipe;
    const int end = pipe.write.release();
    CHECK_FALSE(run(io, report_uri(std::to_string(end), server.uri(), variables)));
    CHECK(::fcntl(end, F_GETFD) == -1);
    CHECK(pipe.content() == variables + ';' + server.uri() + '\0');
}

TEST_CASE_FIXTURE(fixture, "a report to a descriptor that cannot take it fails")
{
    const auto report = [&](int to) {
        try {
            static_cast<void>(run(io, report_uri(std::to_string(to), server.uri(), "V")));
        } catch (const std::system_error& e) {
            return e.code();
        }
        return std::error_code();
    };
    pipe_pair unread;
    unread.read = detail::descriptor();
    CHECK(report(unread.write.release()) == std::errc::broken_pipe);

    pipe_pair full;
    ::fcntl(full.write.get(), F_SETFL, O_NONBLOCK);
    const std::string much(1 << 20, 'x');
    CHECK(::write(full.write.get(), much.data(), much.size()) > 0);
    ::fcntl(full.write.get(), F_SETFL, 0);
    CHECK(report(full.write.release()) == std::errc::resource_unavailable_try_again);

    CHECK(report(::open("/dev/null", O_RDONLY)) == std::errc::bad_file_descriptor);
    CHECK(report(1'000'000) == std::errc::bad_file_descriptor);
}

TEST_CASE_FIXTURE(fixture, "a report goes to stdout or stderr as a line")
{
    for (const auto& [where, number] : {std::pair{"-", 1}, std::pair{"+", 2}}) {
        pipe_pair pipe;
        const detail::descriptor saved(::dup(number));
        ::dup2(pipe.write.get(), number);
        const auto made = run(io, report_uri(where, server.uri(), "V"));
        ::dup2(saved.get(), number);
        CHECK_FALSE(made);
        CHECK(pipe.content() == server.uri() + '\n');
    }
}

namespace {

/// A process that publishes pmix.sys.node7 and the files of a tool server, and says which it could: `S` or `s`, `T` or `t`.
/// It stays until `stay` is closed.
::pid_t fork_server(const std::string& directory, pipe_pair& start, pipe_pair& stay, pipe_pair& said)
{
    const auto child = ::fork();
    if (child != 0)
        return child;
    start.write = detail::descriptor();
    stay.write = detail::descriptor();
    char byte = 0;
    const auto wait_for = [&](const pipe_pair& end) {
        while (::read(end.read.get(), &byte, 1) > 0) {
        }
    };
    wait_for(start);
    try {
        asio::io_context io;
        const test::listening server(io, "srv" + std::to_string(::getpid()));
        std::vector<published_file> made;
        const auto say = [&](const contact_plan& plan, char well, char badly) {
            try {
                for (auto& each : run(io, publish_contacts(plan, server.address)))
                    made.push_back(std::move(each));
                byte = well;
            } catch (const std::system_error& e) {
                byte = e.code() == std::errc::address_in_use ? badly : '?';
            }
            if (::write(said.write.get(), &byte, 1) != 1)
                ::_exit(1);
        };
        contact_plan plan{directory, directory, "node7"};
        plan.system = true;
        say(plan, 'S', 's');
        plan.system = false;
        plan.tool = true;
        say(plan, 'T', 't');
        said.write = detail::descriptor();
        wait_for(stay);
    } catch (...) {
        ::_exit(2);
    }
    ::_exit(0);
}

} // namespace

TEST_CASE_FIXTURE(fixture, "of many servers that start at once one is the system's, and all are found by pid")
{
    constexpr int many = 50;
    const auto system_file = system_contact_path(path(), "node7");
    for (const bool after_a_crash : {false, true}) {
        CAPTURE(after_a_crash);
        if (after_a_crash)
            test::write_file(system_file, contact_file_text(server_uri(test::dead(io))));
        pipe_pair start, stay, said;
        std::vector<::pid_t> children;
        for (int i = 0; i != many; ++i)
            children.push_back(fork_server(path(), start, stay, said));
        start.write = detail::descriptor();
        auto outcome = said.content();
        std::sort(outcome.begin(), outcome.end());
        CHECK(outcome == "S" + std::string(many, 'T') + std::string(many - 1, 's'));

        auto expected = ::names{"pmix.sys.node7"};
        for (const auto child : children) {
            expected.push_back("pmix.node7.tool." + std::to_string(child));
            expected.push_back("pmix.node7.tool.srv" + std::to_string(child));
        }
        std::sort(expected.begin(), expected.end());
        CHECK(names() == expected);
        const auto winner = read_contact_file(system_file);
        REQUIRE(winner);
        CHECK(std::count(children.begin(), children.end(), winner->pid) == 1);

        stay.write = detail::descriptor();
        for (const auto child : children) {
            int status = 0;
            CHECK(::waitpid(child, &status, 0) == child);
            CHECK(status == 0);
        }
        for (const auto& each : names()) // they ended without cleaning up
            std::filesystem::remove(*this / each);
    }
}

TEST_CASE_FIXTURE(fixture, "a killed server's files are replaced by the next one's")
{
    pipe_pair start, stay, said;
    const auto child = fork_server(path(), start, stay, said);
    start.write = detail::descriptor();
    CHECK(said.content() == "ST");
    contact_plan plan{path(), path(), "node7", true};
    CHECK_THROWS_AS(run(io, publish_contacts(plan, server.address)), std::system_error);
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    const auto made = run(io, publish_contacts(plan, server.address));
    const auto read = read_contact_file(system_contact_path(path(), "node7"));
    REQUIRE(read);
    CHECK((read->address == server.address));
}
