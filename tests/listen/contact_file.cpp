#include "support/temporary_directory.hpp"

#include <pmixio/listen/contact_file.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace pmixio;
using namespace std::string_view_literals;

namespace {

constexpr std::string_view uri = "pmix-server.9015;tcp4://127.0.0.1:35283";

/// As Debian's libpmix 4.2.2 wrote it.
constexpr std::string_view six_lines = "pmix-server.9015;tcp4://127.0.0.1:35283\n"
                                       "4.2.2rc2\n9015\n0:0\nTue Nov 24 03:21:05 2026\n\n";

contact at_uri(std::string version = "2.0")
{
    contact result;
    result.address = parse_server_uri(uri).value();
    result.version = std::move(version);
    return result;
}

contact complete()
{
    auto result = at_uri("4.2.2rc2");
    result.pid = 9015;
    result.uid = 0;
    result.gid = 0;
    return result;
}

std::string line(std::string_view text) { return std::string(text) + '\n'; }

} // namespace

TEST_CASE("contact files are called as libpmix calls them")
{
    CHECK(system_contact_path("/tmp", "node7") == "/tmp/pmix.sys.node7");
    CHECK(system_contact_path("/tmp/", "node7") == "/tmp/pmix.sys.node7");
    CHECK(session_contact_path("/tmp", "node7") == "/tmp/pmix.node7.tool");
    CHECK(pid_contact_path("/tmp", "node7", 123) == "/tmp/pmix.node7.tool.123");
    CHECK(nspace_contact_path("/tmp", "node7", "srv") == "/tmp/pmix.node7.tool.srv");
    CHECK(scheduler_contact_path("/", "node7") == "/pmix.sched.node7");
    CHECK(system_controller_contact_path("", "node7") == "./pmix.sysctrlr.node7");
}

TEST_CASE("a name cannot lead out of the directory")
{
    for (const auto bad : {""sv, "/"sv, "../x"sv, "a/b"sv, "a\0b"sv}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(system_contact_path("/tmp", bad), std::invalid_argument);
        CHECK_THROWS_AS(session_contact_path("/tmp", bad), std::invalid_argument);
        CHECK_THROWS_AS(pid_contact_path("/tmp", bad, 1), std::invalid_argument);
        CHECK_THROWS_AS(nspace_contact_path("/tmp", bad, "srv"), std::invalid_argument);
        CHECK_THROWS_AS(nspace_contact_path("/tmp", "node7", bad), std::invalid_argument);
        CHECK_THROWS_AS(scheduler_contact_path("/tmp", bad), std::invalid_argument);
        CHECK_THROWS_AS(system_controller_contact_path("/tmp", bad), std::invalid_argument);
    }
}

TEST_CASE("the host's name is the first part of the system's")
{
    char whole[256] = {};
    REQUIRE(::gethostname(whole, sizeof whole - 1) == 0);
    const auto name = contact_host_name();
    CHECK_FALSE(name.empty());
    CHECK(std::string_view(whole).starts_with(name));
    CHECK((name == whole || whole[name.size()] == '.'));
}

TEST_CASE("a contact file has six lines, and a report two")
{
    const auto text = contact_file_text("the uri", 0);
    const auto expected = "the uri\n4.2.2\n" + std::to_string(::getpid()) + "\n" +
                          std::to_string(::geteuid()) + ":" + std::to_string(::getegid()) + "\n";
    REQUIRE(text.starts_with(expected));
    const auto time = text.substr(expected.size());
    CHECK(time.size() == 26); // "Thu Jan  1 00:00:00 1970", two newlines; or the day before
    CHECK(time.ends_with("\n\n"));
    CHECK(time.find("19") != time.npos);
    CHECK(report_file_text("the uri") == "the uri\nv4.2.2\n");
}

TEST_CASE("what is written is read back")
{
    const auto written = parse_contact(contact_file_text(uri));
    REQUIRE(written);
    auto expected = at_uri("4.2.2");
    expected.pid = ::getpid();
    expected.uid = ::geteuid();
    expected.gid = ::getegid();
    CHECK((*written == expected));
    const auto reported = parse_contact(report_file_text(uri));
    REQUIRE(reported);
    CHECK((*reported == at_uri("4.2.2")));
}

TEST_CASE("the forms of all releases are read")
{
    auto with_pid = at_uri("4.2.2");
    with_pid.pid = 77;
    auto with_user = with_pid;
    with_user.uid = 1000;
    with_user.gid = 100;
    const struct {
        std::string text;
        contact expected;
    } rows[] = {
        {"pmix-server.9015:pmix-server.9015;tcp4://127.0.0.1:35283\n", at_uri()}, // 2.0
        {line(uri), at_uri()},
        {line(uri) + "\n", at_uri()},
        {line(uri) + "v\n", at_uri()},
        {line(uri) + "2.1.4\n", at_uri("2.1.4")},  // a tool file to 3.1
        {line(uri) + "v3.1.2\n", at_uri("3.1.2")}, // a system or report file
        {line(uri) + "v3.1.2\r\n", at_uri("3.1.2")},
        {std::string(uri) + "\r\nv3.1.2\r\n", at_uri("3.1.2")},
        {line(uri) + "4.2.2\n77\n", with_pid},
        {line(uri) + "4.2.2\n77\n1000:100\n", with_user},
        {line(uri) + "4.2.2\r\n77\r\n1000:100\r\nnow\r\n\r\n", with_user},
        {std::string(six_lines), complete()},
        {std::string(six_lines) + "lines\nof\nthe\nfuture\n", complete()},
        // Lines that do not matter for connecting need not be right.
        {line(uri) + "4.2.2\nx\n:\n", at_uri("4.2.2")},
        {line(uri) + "4.2.2\n-77\n-1:-1\n", at_uri("4.2.2")},
        {line(uri) + "4.2.2\n0\n1000\n", at_uri("4.2.2")},
        {line(uri) + "4.2.2\n99999999999\n4294967296:4294967296\n", at_uri("4.2.2")},
        {line(uri) + "4.2.2\n77 \n1 : 2\n", at_uri("4.2.2")},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto read = parse_contact(row.text);
        REQUIRE(read);
        CHECK((*read == row.expected));
    }
}

TEST_CASE("every prefix is a shorter form, or incomplete")
{
    std::vector<contact> shorter{at_uri(),   at_uri("4.2.2rc2"), at_uri("4.2.2rc2"),
                                 complete(), complete(),         complete()};
    shorter[2].pid = 9015;
    std::size_t ended = 0;
    for (std::size_t length = 0; length <= six_lines.size(); ++length) {
        CAPTURE(length);
        const auto read = parse_contact(six_lines.substr(0, length));
        if (length != 0 && six_lines[length - 1] == '\n') {
            REQUIRE(read);
            CHECK((*read == shorter.at(ended++)));
        } else {
            CHECK(read.error() == fault::incomplete_contact_file);
        }
    }
    CHECK(ended == 6);
}

TEST_CASE("what is no contact file is refused")
{
    const auto long_line = std::string(1023, 'x');
    const struct {
        std::string text;
        fault expected;
    } rows[] = {
        {"\n", fault::bad_uri},
        {"\r\n", fault::bad_uri},
        {"hello\n", fault::bad_uri},
        {"\n" + line(uri), fault::bad_uri},
        {" " + std::string(uri) + ";\n", fault::bad_uri},
        {std::string(uri) + "\r\r\n", fault::bad_uri},
        {std::string(uri) + " \n", fault::bad_uri},
        {"\x7f"
         "ELF\x02\x01\x01\n",
         fault::bad_uri},
        {std::string("\x7f"
                     "ELF\0\n"sv),
         fault::bad_contact_file},
        {std::string(1, '\0'), fault::bad_contact_file},
        {std::string(uri) + std::string(1, '\0') + "\n", fault::bad_contact_file},
        {std::string(six_lines) + std::string(1, '\0'), fault::bad_contact_file},
        {line(uri) + "4.2.2 beta\n", fault::bad_contact_file},
        {line(uri) + "4.2\x01\n", fault::bad_contact_file},
        {line(uri) + "\xff\xfe\n", fault::bad_contact_file},
        {long_line + "x\n", fault::bad_contact_file},
        {long_line + "x", fault::bad_contact_file},
        {long_line + "\n", fault::bad_uri},
        {line(uri) + "4.2.2\n" + long_line + "x\n", fault::bad_contact_file},
        {line(uri) + std::string(16 * 1024, '\n'), fault::bad_contact_file},
        {std::string(300, 'n') + ".0;tcp4://127.0.0.1:1\n", fault::name_too_long},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(parse_contact(row.text).error() == row.expected);
    }
}

TEST_CASE("any byte in any place gives a contact or an error")
{
    for (std::size_t place = 0; place != six_lines.size(); ++place)
        for (int byte = 0; byte != 256; ++byte) {
            std::string text(six_lines);
            text[place] = static_cast<char>(byte);
            const auto read = parse_contact(text);
            CHECK((read || read.error() == refusal::malformed));
            if (byte == 0)
                CHECK_FALSE(read);
        }
}

TEST_CASE_FIXTURE(test::temporary_directory, "a file is read")
{
    const auto file = *this / "f";
    test::write_file(file, six_lines);
    const auto read = read_contact_file(file);
    REQUIRE(read);
    CHECK((*read == complete()));

    test::write_file(file, std::string(six_lines) + std::string(16 * 1024 - six_lines.size(), '\n'));
    CHECK(read_contact_file(file));
    test::write_file(file, std::string(six_lines) + std::string(16 * 1024 - six_lines.size() + 1, '\n'));
    CHECK(read_contact_file(file).error() == fault::bad_contact_file);
    test::write_file(file, std::string(10'000'000, 'x'));
    CHECK(read_contact_file(file).error() == fault::bad_contact_file);
    test::write_file(file, "");
    CHECK(read_contact_file(file).error() == fault::incomplete_contact_file);
}

TEST_CASE_FIXTURE(test::temporary_directory, "an absent file is the system's error")
{
    CHECK(read_contact_file(*this / "f").error() == std::errc::no_such_file_or_directory);
    CHECK(read_contact_file(*this / "d/f").error() == std::errc::no_such_file_or_directory);
    CHECK(read_contact_file("").error() == std::errc::no_such_file_or_directory);
    test::write_file(*this / "f", six_lines);
    CHECK(read_contact_file(*this / "f/g").error() == std::errc::not_a_directory);
    CHECK(read_contact_file((*this / "f") + '\0').error() == std::errc::invalid_argument);
    CHECK(read_contact_file(*this / std::string(300, 'x')).error() == std::errc::filename_too_long);
}

TEST_CASE_FIXTURE(test::temporary_directory, "only a regular file is opened, and none behind a link")
{
    test::write_file(*this / "file", six_lines);
    std::filesystem::create_symlink("file", *this / "link");
    std::filesystem::create_symlink("nowhere", *this / "dangling");
    std::filesystem::create_symlink("loop", *this / "loop");
    REQUIRE(::mkfifo((*this / "fifo").c_str(), 0600) == 0);
    REQUIRE(::mkdir((*this / "directory").c_str(), 0700) == 0);
    const int sock = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ::sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, (*this / "socket").c_str(), sizeof name.sun_path - 1);
    REQUIRE(::bind(sock, reinterpret_cast<const ::sockaddr*>(&name), sizeof name) == 0);
    ::close(sock);
    for (const auto owner : {file_owner::self_or_root, file_owner::anyone})
        for (const auto* special : {"link", "dangling", "loop", "fifo", "directory", "socket"}) {
            CAPTURE(special);
            CHECK(read_contact_file(*this / special, owner).error() == fault::untrusted_contact_file);
        }
    CHECK(read_contact_file("/dev/null").error() == fault::untrusted_contact_file);
    CHECK(read_contact_file("/dev/zero", file_owner::anyone).error() == fault::untrusted_contact_file);
}

TEST_CASE_FIXTURE(test::temporary_directory,
                  "another user's file is read only on demand" * doctest::skip(::geteuid() != 0))
{
    const auto file = *this / "f";
    test::write_file(file, six_lines);
    REQUIRE(::chown(file.c_str(), 65534, 65534) == 0);
    CHECK(read_contact_file(file).error() == fault::untrusted_contact_file);
    const auto read = read_contact_file(file, file_owner::anyone);
    REQUIRE(read);
    CHECK((*read == complete()));
}

TEST_CASE_FIXTURE(test::temporary_directory, "reading leaves no descriptor open")
{
    test::write_file(*this / "f", six_lines);
    const int lowest = ::dup(0);
    ::close(lowest);
    CHECK(read_contact_file(*this / "f"));
    CHECK_FALSE(read_contact_file("/dev/null"));
    const int after = ::dup(0);
    ::close(after);
    CHECK(after == lowest);
}
