#include "support/listening.hpp"
#include "support/run.hpp"
#include "support/temporary_directory.hpp"

#include <pmixio/client/rendezvous.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace pmixio;
using namespace std::chrono_literals;
using test::run;
using test::task;

namespace {

struct fixture : test::temporary_directory {
    asio::io_context io;
    test::listening server{io};
    test::listening other{io, "other"};
    std::vector<skipped_path> skipped;

    static std::string text(const server_address& of) { return contact_file_text(server_uri(of)); }
    void put(std::string_view name, const server_address& of) { test::write_file(*this / name, text(of)); }
    /// As publish() does.
    void put_at_once(std::string_view name, const server_address& of)
    {
        put("new", of);
        std::filesystem::rename(*this / "new", *this / name);
    }
    void make(std::string_view directory) { std::filesystem::create_directories(*this / directory); }

    result<contact> find(server_search search, std::chrono::milliseconds limit = 0ms)
    {
        return run(io, find_server(std::move(search), limit, &skipped));
    }
    server_search any() const { return search_any(path(), "node7"); }
    bool found(const result<contact>& what, const server_address& expected) const
    {
        return what && what->address == expected;
    }
    std::optional<std::error_code> why(std::string_view name) const
    {
        for (const auto& each : skipped)
            if (each.path == *this / name)
                return each.why;
        return std::nullopt;
    }

    /// Runs a search that has to wait, `then` something happens, and it goes on.
    template <class Then>
    result<contact> find_after(server_search search, Then then)
    {
        task<result<contact>> finding(io, find_server(std::move(search), 10s, &skipped));
        io.restart();
        io.poll();
        REQUIRE_FALSE(finding.done());
        then();
        return test::finish(io, finding);
    }
};

/// Environment variables as they are to be for a test, and as they were afterwards.
class variables {
public:
    variables(std::initializer_list<std::pair<const char*, const char*>> wanted)
    {
        for (const auto* name :
             {"PMIX_SERVER_URI61", "PMIX_SERVER_URI41", "PMIX_SERVER_URI21", "PMIX_VERSION", "PMIX_HOSTNAME",
              "PMIX_SERVER_TMPDIR", "PMIX_SYSTEM_TMPDIR", "TMPDIR", "TEMP", "TMP"}) {
            const char* value = std::getenv(name);
            before_.emplace_back(name, value ? std::optional<std::string>(value) : std::nullopt);
            ::unsetenv(name);
        }
        for (const auto& [name, value] : wanted)
            ::setenv(name, value, 1);
    }
    variables(const variables&) = delete;
    ~variables()
    {
        for (const auto& [name, value] : before_)
            value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
    }

private:
    std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

} // namespace

TEST_CASE_FIXTURE(fixture, "a URI says it all")
{
    CHECK(found(find(search_uri(server.uri())), server.address));
    const auto gone = test::dead(io);
    CHECK(found(find(search_uri(server_uri(gone)), 10s), gone)); // nobody is asked
    CHECK(find(search_uri("nonsense"), 10s).error() == fault::bad_uri);
    CHECK(find(search_uri("")).error() == fault::bad_uri);
    CHECK(find(server_search()).error() == fault::no_server);
}

TEST_CASE_FIXTURE(fixture, "a file says where the server is")
{
    put("f", server.address);
    for (const auto& search : {search_file(*this / "f"), search_uri("file:" + (*this / "f"))}) {
        const auto what = find(search);
        CHECK(found(what, server.address));
        CHECK(what->version == "4.2.2");
        CHECK(what->pid == ::getpid());
        CHECK(skipped.empty());
    }
    put("pmix.sys.node7", server.address);
    put("pmix.node7.tool.77", other.address);
    put("pmix.node7.tool.ns", server.address);
    CHECK(found(find(search_system(path(), "node7")), server.address));
    CHECK(found(find(search_pid(path(), "node7", 77)), other.address));
    CHECK(found(find(search_nspace(path(), "node7", "ns")), server.address));
}

TEST_CASE_FIXTURE(fixture, "what is no contact file ends a search for that file at once")
{
    test::write_file(*this / "garbage", "garbage\n");
    make("directory");
    std::filesystem::create_symlink("garbage", *this / "link");
    REQUIRE(::mkfifo((*this / "fifo").c_str(), 0600) == 0);
    CHECK(find(search_file(*this / "garbage"), 10s).error() == fault::bad_uri);
    CHECK(find(search_file(*this / "garbage/f"), 10s).error() == std::errc::not_a_directory);
    for (const auto* special : {"directory", "link", "fifo"}) {
        CAPTURE(special);
        CHECK(find(search_file(*this / special), 10s).error() == fault::untrusted_contact_file);
        CHECK(why(special) == fault::untrusted_contact_file);
    }
}

TEST_CASE_FIXTURE(fixture, "another user's file is trusted only on demand" * doctest::skip(::geteuid() != 0))
{
    put("pmix.node7.tool", server.address);
    REQUIRE(::chown((*this / "pmix.node7.tool").c_str(), 65534, 65534) == 0);
    CHECK(find(search_file(*this / "pmix.node7.tool")).error() == fault::untrusted_contact_file);
    CHECK(find(any()).error() == fault::no_server);
    CHECK(why("pmix.node7.tool") == fault::untrusted_contact_file);
    auto search = any();
    search.trusted = file_owner::anyone;
    CHECK(found(find(search), server.address));
}

TEST_CASE_FIXTURE(fixture, "a single look finds nothing or something, and does not wait")
{
    CHECK(find(search_file(*this / "f")).error() == fault::no_server);
    CHECK(find(search_file(*this / "a/b/f")).error() == fault::no_server);
    CHECK(find(any()).error() == fault::no_server);
    test::write_file(*this / "f", "");
    CHECK(find(search_file(*this / "f")).error() == fault::no_server);
    CHECK(why("f") == fault::incomplete_contact_file);
}

TEST_CASE_FIXTURE(fixture, "a tree is searched all the way down, and for nothing else")
{
    make("a/b/c");
    put("pmix.sys.node7", other.address);
    put("pmix.node70.tool", other.address);
    put("pmix.node7.too", other.address);
    put("xpmix.node7.tool", other.address);
    put("a/b/c/pmix.node7.tool.ns", server.address);
    CHECK(found(find(any()), server.address));
    CHECK(skipped.empty());

    const in_tree all{path(), "pmix."};
    CHECK(search_tree(all, file_owner::self_or_root, skipped).size() == 2);
}

TEST_CASE_FIXTURE(fixture, "the files of one server are one server")
{
    make("session");
    for (const auto* name : {"pmix.node7.tool", "pmix.node7.tool.77", "session/pmix.node7.tool.srv"})
        put(name, server.address);
    CHECK(found(find(any()), server.address));
    auto accepting = task<result<pmixio::socket>>(io, server.open.accept());
    io.restart();
    io.poll();
    CHECK_FALSE(accepting.done()); // nobody had to be asked
    accepting.cancel();
    static_cast<void>(test::finish(io, accepting));
}

TEST_CASE_FIXTURE(fixture, "two servers that answer are not chosen from")
{
    make("a");
    put("pmix.node7.tool", server.address);
    put("a/pmix.node7.tool", other.address);
    CHECK(find(any()).error() == fault::ambiguous_server);
    CHECK(find(any(), 10s).error() == fault::ambiguous_server);
}

TEST_CASE_FIXTURE(fixture, "a dead server's file is no choice")
{
    const auto gone = test::dead(io);
    make("a");
    put("pmix.node7.tool.1", gone);
    put("pmix.node7.tool.2", server.address);
    put("a/pmix.node7.tool.3", gone);
    CHECK(found(find(any()), server.address));
    REQUIRE(skipped.size() == 1);
    CHECK(skipped[0].path == server_uri(gone));
    CHECK(skipped[0].why == asio::error::connection_refused);

    put("pmix.node7.tool.2", {{"another", 0}, gone.at});
    CHECK(find(any()).error() == fault::no_server);
    CHECK(skipped.size() == 2);
}

TEST_CASE_FIXTURE(fixture, "of a single server it is asked on demand whether it lives")
{
    put("pmix.node7.tool", test::dead(io));
    CHECK(find(any()));
    CHECK(find(search_file(*this / "pmix.node7.tool")));
    for (auto search : {any(), search_file(*this / "pmix.node7.tool")}) {
        search.answering = true;
        CHECK(find(search).error() == fault::no_server);
    }
}

TEST_CASE_FIXTURE(fixture, "places are tried in order")
{
    const auto system_first = first(search_system(path(), "node7"), any());
    put("pmix.node7.tool", other.address);
    CHECK(found(find(system_first), other.address));
    put("pmix.sys.node7", test::dead(io));
    CHECK(found(find(system_first), other.address));
    test::write_file(*this / "pmix.sys.node7", "garbage\n");
    CHECK(found(find(system_first), other.address));
    CHECK(why("pmix.sys.node7") == fault::bad_uri);
    put("pmix.sys.node7", server.address);
    CHECK(found(find(system_first), server.address));
    CHECK(found(find(first(any(), search_system(path(), "node7"))), other.address));
}

TEST_CASE_FIXTURE(fixture, "what a search cannot use is skipped with the reason")
{
    make("a");
    test::write_file(*this / "pmix.node7.tool.1", "garbage\n");
    test::write_file(*this / "a/pmix.node7.tool.2", "");
    std::filesystem::create_symlink("nowhere", *this / "pmix.node7.tool.3");
    REQUIRE(::mkfifo((*this / "pmix.node7.tool.4").c_str(), 0600) == 0);
    put("pmix.node7.tool.5", server.address);
    CHECK(found(find(any()), server.address));
    CHECK(skipped.size() == 4);
    CHECK(why("pmix.node7.tool.1") == fault::bad_uri);
    CHECK(why("a/pmix.node7.tool.2") == fault::incomplete_contact_file);
    CHECK(why("pmix.node7.tool.3") == fault::untrusted_contact_file);
    CHECK(why("pmix.node7.tool.4") == fault::untrusted_contact_file);
}

TEST_CASE_FIXTURE(fixture, "a search does not leave its tree, and ends")
{
    make("tree/a");
    make("outside");
    put("outside/pmix.node7.tool", other.address);
    std::filesystem::create_directory_symlink("..", *this / "tree/a/up");
    std::filesystem::create_directory_symlink(".", *this / "tree/self");
    std::filesystem::create_directory_symlink("../outside", *this / "tree/out");
    const auto tree = search_any(*this / "tree", "node7");
    CHECK(find(tree).error() == fault::no_server);
    put("tree/a/pmix.node7.tool", server.address);
    CHECK(found(find(tree), server.address));
    std::filesystem::create_directory_symlink("tree", *this / "link");
    CHECK(found(find(search_any(*this / "link", "node7")), server.address)); // the caller's own link
}

TEST_CASE_FIXTURE(fixture, "a search has bounds, and says where they were")
{
    make("1/2/3");
    put("1/2/3/pmix.node7.tool", server.address);
    in_tree where{path(), "pmix."};
    const auto count = [&] {
        skipped.clear();
        return search_tree(where, file_owner::self_or_root, skipped).size();
    };
    where.depth = 3;
    CHECK(count() == 1);
    CHECK(skipped.empty());
    where.depth = 2;
    CHECK(count() == 0);
    CHECK(why("1/2/3") == fault::too_deep);
    where.depth = 8;
    where.entries = 4;
    CHECK(count() == 1);
    where.entries = 3;
    CHECK(count() == 0);
    CHECK(why("1/2/3") == std::errc::value_too_large);
    where.entries = 100;
    put("pmix.1", other.address);
    CHECK(count() == 2);
    where.files = 1;
    CHECK(count() == 1);
    CHECK(skipped.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a directory that cannot be listed is skipped")
{
    CHECK(find(search_any(*this / "absent", "node7")).error() == fault::no_server);
    CHECK(why("absent") == std::errc::no_such_file_or_directory);
    make("closed");
    put("pmix.node7.tool", server.address);
    REQUIRE(::chmod((*this / "closed").c_str(), 0) == 0);
    CHECK(found(find(any()), server.address));
    if (::geteuid() != 0)
        CHECK(why("closed") == std::errc::permission_denied);
    ::chmod((*this / "closed").c_str(), 0700); // so that it can be removed
}

TEST_CASE_FIXTURE(fixture, "a search waits for the file")
{
    CHECK(found(find_after(search_file(*this / "f"), [&] { put_at_once("f", server.address); }),
                server.address));
    CHECK(found(find_after(search_file(*this / "g"), [&] { put("g", server.address); }), server.address));
    CHECK(found(find_after(search_file(*this / "h"),
                           [&] { std::filesystem::create_hard_link(*this / "g", *this / "h"); }),
                server.address));
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(path());
    CHECK(
        found(find_after(search_file("relative"), [&] { put("relative", server.address); }), server.address));
    std::filesystem::current_path(before);
}

TEST_CASE_FIXTURE(fixture, "a search waits for the directories of the file")
{
    CHECK(found(find_after(search_file(*this / "a/b//c/f"),
                           [&] {
                               make("a");
                               io.poll();
                               make("a/b/c");
                               io.poll();
                               put("a/b/c/f", server.address);
                           }),
                server.address));
    CHECK(found(find_after(search_file(*this / "d/e/f"),
                           [&] {
                               make("d/e");
                               put("d/e/f", server.address);
                           }),
                server.address));
    CHECK(found(find_after(search_file(*this / "moved/f"),
                           [&] {
                               make("x");
                               put("x/f", server.address);
                               std::filesystem::rename(*this / "x", *this / "moved");
                           }),
                server.address));
}

TEST_CASE_FIXTURE(fixture, "a search waits for the file to be complete")
{
    const auto whole = text(server.address);
    for (const std::size_t part : {std::size_t(0), std::size_t(7), whole.find('\n'), whole.size() - 4}) {
        CAPTURE(part);
        test::write_file(*this / "f", whole.substr(0, part));
        CHECK(found(find_after(search_file(*this / "f"), [&] { test::write_file(*this / "f", whole); }),
                    server.address));
        test::write_file(*this / "f", whole.substr(0, part));
        CHECK(found(find_after(search_file(*this / "f"), [&] { put_at_once("f", server.address); }),
                    server.address));
    }
}

TEST_CASE_FIXTURE(fixture, "a file that is created empty is waited for until it says something")
{
    CHECK(found(find_after(search_file(*this / "f"),
                           [&] {
                               test::write_file(*this / "f", "");
                               io.poll();
                               test::write_file(*this / "unrelated", "");
                               io.poll();
                               put("f", server.address);
                           }),
                server.address));
    CHECK(find_after(search_file(*this / "g"), [&] { test::write_file(*this / "g", "garbage\n"); }).error() ==
          fault::bad_uri);
}

TEST_CASE_FIXTURE(fixture, "a search of a tree waits, in new directories too")
{
    CHECK(found(find_after(any(), [&] { put_at_once("pmix.node7.tool", server.address); }), server.address));
    std::filesystem::remove(*this / "pmix.node7.tool");
    make("a/b");
    CHECK(found(find_after(any(), [&] { put("a/b/pmix.node7.tool", server.address); }), server.address));
    std::filesystem::remove_all(*this / "a");
    CHECK(found(find_after(any(),
                           [&] {
                               make("c");
                               io.poll();
                               make("c/d");
                               io.poll();
                               put("c/d/pmix.node7.tool", server.address);
                           }),
                server.address));
    CHECK(found(find_after(search_any(*this / "later", "node7"),
                           [&] {
                               make("later");
                               io.poll();
                               put("later/pmix.node7.tool", server.address);
                           }),
                server.address));
}

TEST_CASE_FIXTURE(fixture, "a search waits until a server that lives replaces a dead one")
{
    put("pmix.node7.tool", test::dead(io));
    auto search = any();
    search.answering = true;
    task<result<contact>> finding(io, find_server(search, 10s, &skipped));
    test::run_until(io, [&] { return !skipped.empty(); });
    put_at_once("pmix.node7.tool", server.address);
    CHECK(found(test::finish(io, finding), server.address));
}

TEST_CASE_FIXTURE(fixture, "a search ends at its deadline")
{
    test::write_file(*this / "empty", "");
    for (const auto& search : {search_file(*this / "f"), search_file(*this / "a/b/f"),
                               search_file(*this / "empty"), any(), search_any(*this / "absent", "node7")})
        CHECK(find(search, 20ms).error() == fault::rendezvous_timeout);
    const test::silent silent(io);
    auto search = search_file(*this / "f");
    search.answering = true;
    put("f", {{"silent", 0}, silent.at()});
    CHECK(find(search, 20ms).error() == fault::rendezvous_timeout);
}

TEST_CASE_FIXTURE(fixture, "a search can be cancelled, and leaves no descriptor open")
{
    const test::silent silent(io);
    put("silent", {{"silent", 0}, silent.at()});
    auto asking = search_file(*this / "silent");
    asking.answering = true;
    const int lowest = ::dup(0);
    ::close(lowest);
    for (const auto& search : {search_file(*this / "f"), any(), asking}) {
        task<result<contact>> finding(io, find_server(search, 1h));
        io.restart();
        io.poll();
        REQUIRE_FALSE(finding.done());
        finding.cancel();
        CHECK(test::finish(io, finding).error() == asio::error::operation_aborted);
        const int after = ::dup(0);
        ::close(after);
        CHECK(after == lowest);
    }
    CHECK(find(any(), 5ms).error() == fault::rendezvous_timeout);
    put("pmix.node7.tool", server.address);
    CHECK(find(any(), 1h));
    const int after = ::dup(0);
    ::close(after);
    CHECK(after == lowest);
}

TEST_CASE_FIXTURE(fixture, "a search that waits may go with its context")
{
    auto alone = std::make_unique<asio::io_context>();
    task<result<contact>> finding(*alone, find_server(any(), 1h));
    alone->poll();
    CHECK_FALSE(finding.done());
    alone.reset();
    CHECK_FALSE(finding.done());
}

TEST_CASE_FIXTURE(fixture, "a configuration says where the server is, and how long to wait for it")
{
    listener_config config;
    config.contacts.system_directory = std::string(*this / "");
    put("pmix.here.tool.1", server.address);
    CHECK(found(find(search_configured(config, "here")), server.address));
    config.server_uri = "nonsense";
    CHECK(find(search_configured(config, "here")).error() == fault::bad_uri);
    config.server_uri = server.uri();
    CHECK(found(find(search_configured(config, "elsewhere")), server.address));
    config.connection_wait_time = 3s;
    config.max_retries = 5;
    CHECK(rendezvous_time(config) == 15s);
}

TEST_CASE_FIXTURE(fixture, "the environment of a launched process names its server")
{
    constexpr std::array<std::string_view, 2> encodings{"v41", "v21"};
    const auto uri41 = server.uri(), uri21 = other.uri();
    {
        const variables told{{"PMIX_SERVER_URI61", "x"},
                             {"PMIX_SERVER_URI21", uri21.c_str()},
                             {"PMIX_SERVER_URI41", uri41.c_str()},
                             {"PMIX_VERSION", "v4.2.2"},
                             {"PMIX_HOSTNAME", "node7"}};
        const auto known = rendezvous_from_environment(encodings);
        CHECK(known.uri == uri41);
        CHECK(known.encoding == "v41");
        CHECK(known.version == "v4.2.2");
        CHECK(known.host == "node7");
        const auto what = find(search_from_environment(encodings));
        CHECK(found(what, server.address));
        CHECK(what->version == "4.2.2");
    }
    {
        const variables told{{"PMIX_SERVER_URI21", uri21.c_str()}};
        CHECK(rendezvous_from_environment(encodings).encoding == "v21");
        CHECK(found(find(search_from_environment(encodings)), other.address));
    }
}

TEST_CASE_FIXTURE(fixture, "the environment says where contact files are")
{
    const auto directories = [] {
        const auto known = rendezvous_from_environment({});
        CHECK(known.uri.empty());
        CHECK(known.encoding.empty());
        CHECK(known.host == contact_host_name());
        return known.server_directory + ' ' + known.system_directory;
    };
    {
        const variables none{};
        CHECK(directories() == "/tmp /tmp");
    }
    {
        const variables told{{"TMP", "/c"}};
        CHECK(directories() == "/c /c");
    }
    {
        const variables told{{"TMP", "/c"}, {"TEMP", "/b"}};
        CHECK(directories() == "/b /b");
    }
    {
        const variables told{{"TMP", "/c"}, {"TMPDIR", "/a"}, {"TEMP", "/b"}, {"PMIX_SERVER_TMPDIR", "/s"}};
        CHECK(directories() == "/s /a");
    }
    {
        const variables told(
            {{"TMPDIR", "/a"}, {"PMIX_SYSTEM_TMPDIR", path().c_str()}, {"PMIX_HOSTNAME", "node7"}});
        put("pmix.node7.tool", server.address);
        CHECK(found(find(search_from_environment({})), server.address));
    }
}
