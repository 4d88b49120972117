#include <pmixio/listen/contact.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

using namespace pmixio;

namespace {

asio::ip::tcp::endpoint at(const char* address, unsigned short port) { return {asio::ip::make_address(address), port}; }

constexpr std::array<std::string_view, 3> encodings{"v41", "v3", "v21"};
constexpr std::array<std::string_view, 2> securities{"munge", "native"};

} // namespace

TEST_CASE("a URI names the server and its address, of IPv6 without brackets")
{
    CHECK(server_uri({"pmixio", 0}, at("127.0.0.1", 4567)) == "pmixio.0;tcp4://127.0.0.1:4567");
    CHECK(server_uri({"srv", 65535}, at("10.1.2.3", 1)) == "srv.65535;tcp4://10.1.2.3:1");
    CHECK(server_uri({"pmixio", 0}, at("::1", 65535)) == "pmixio.0;tcp6://::1:65535");
    CHECK(server_uri({"pmixio", 3}, at("fe80::1:2", 80)) == "pmixio.3;tcp6://fe80::1:2:80");
    CHECK(server_uri({"pmixio", 4294967295u}, at("127.0.0.1", 4567)) == "pmixio.4294967295;tcp4://127.0.0.1:4567");
}

TEST_CASE("a child is told who it is, where its server is and how to talk to it")
{
    const auto uri = server_uri({"pmixio", 0}, at("127.0.0.1", 4567));
    child_settings child{{"job1", 3}, uri, encodings, securities, wire::buffer_kind::non_described, "node7", "/tmp/s", "/tmp/y"};
    const environment expected{
        {"PMIX_NAMESPACE", "job1"},
        {"PMIX_RANK", "3"},
        {"PMIX_SECURITY_MODE", "munge,native"},
        {"PMIX_GDS_MODULE", "hash"},
        {"PMIX_BFROP_BUFFER_TYPE", "PMIX_BFROP_BUFFER_NON_DESC"},
        {"PMIX_VERSION", "4.2.2"},
        {"PMIX_SERVER_URI41", uri},
        {"PMIX_SERVER_URI3", uri},
        {"PMIX_SERVER_URI21", uri},
        {"PMIX_HOSTNAME", "node7"},
        {"PMIX_SERVER_TMPDIR", "/tmp/s"},
        {"PMIX_SYSTEM_TMPDIR", "/tmp/y"},
    };
    CHECK((child_environment(child) == expected));
}

TEST_CASE("a child is not told what is empty")
{
    const std::array<std::string_view, 1> one{"v20"};
    const environment expected{
        {"PMIX_NAMESPACE", "job1"},
        {"PMIX_RANK", "4294967294"},
        {"PMIX_SECURITY_MODE", "native"},
        {"PMIX_GDS_MODULE", "hash"},
        {"PMIX_BFROP_BUFFER_TYPE", "PMIX_BFROP_BUFFER_FULLY_DESC"},
        {"PMIX_VERSION", "4.2.2"},
        {"PMIX_SERVER_URI20", "the uri"},
    };
    const child_settings child{{"job1", wire::rank::wildcard}, "the uri", one, std::span(securities).last(1),
                               wire::buffer_kind::fully_described, {}, {}, {}};
    CHECK((child_environment(child) == expected));
}

TEST_CASE("variables of other servers and launchers are foreign")
{
    for (const auto* name : {"PMIX_RANK", "PMIX_NAMESPACE", "PMIX_SERVER_URI61", "PMIX_MCA_ptl", "PMIX_", "OMPI_MCA_schizo",
                             "OMPI_COMM_WORLD_RANK", "PRTE_MCA_x", "ORTE_X"}) {
        CAPTURE(name);
        CHECK(is_foreign_variable(name));
    }
    for (const auto* name : {"", "PATH", "HOME", "PMIX", "PMI_RANK", "pmix_rank", "XPMIX_RANK", " PMIX_RANK", "MPI_X", "SLURM_PMIX_X",
                             "LD_LIBRARY_PATH"}) {
        CAPTURE(name);
        CHECK_FALSE(is_foreign_variable(name));
    }
}

TEST_CASE("every variable a child is told is one that a launcher removes before")
{
    const child_settings child{{"job1", 3}, "uri", encodings, securities, wire::buffer_kind::non_described, "node7", "/tmp/s", "/tmp/y"};
    for (const auto& each : child_environment(child)) {
        CAPTURE(each.first);
        CHECK(is_foreign_variable(each.first));
        CHECK_FALSE(each.second.empty());
    }
    for (const auto& each : open_mpi_4_environment()) {
        CHECK(is_foreign_variable(each.first));
        CHECK_FALSE(each.second.empty());
    }
}

TEST_CASE("what servers of any release print is read")
{
    const struct {
        std::string_view uri;
        server_address expected;
    } rows[] = {
        {"pmixio.0;tcp4://127.0.0.1:4567", {{"pmixio", 0}, at("127.0.0.1", 4567)}},
        {"pmix-server.9015;tcp4://127.0.0.1:35283", {{"pmix-server", 9015}, at("127.0.0.1", 35283)}},
        {"a.b.c.7;tcp4://10.0.0.1:1", {{"a.b.c", 7}, at("10.0.0.1", 1)}},
        {"srv.4294967295;tcp4://10.0.0.1:65535", {{"srv", 4294967295u}, at("10.0.0.1", 65535)}},
        {"srv.-1;tcp4://10.0.0.1:1", {{"srv", 4294967295u}, at("10.0.0.1", 1)}},
        {"srv.-2147483648;tcp4://10.0.0.1:1", {{"srv", 2147483648u}, at("10.0.0.1", 1)}},
        {"srv.0;tcp6://::1:80", {{"srv", 0}, at("::1", 80)}},
        {"srv.0;tcp6://[::1]:80", {{"srv", 0}, at("::1", 80)}},
        {"srv.0;tcp6://fe80::1:2:80", {{"srv", 0}, at("fe80::1:2", 80)}},
        {"srv.0;tcp6://2001:db8:1:2:3:4:5:6:80", {{"srv", 0}, at("2001:db8:1:2:3:4:5:6", 80)}},
        {"srv.3:srv.3;tcp4://10.0.0.1:1", {{"srv", 3}, at("10.0.0.1", 1)}},
        {"a.b.3:a.b.3;tcp4://10.0.0.1:1", {{"a.b", 3}, at("10.0.0.1", 1)}},
        {"a.1:b.1;tcp4://10.0.0.1:1", {{"a.1:b", 1}, at("10.0.0.1", 1)}},
        {"n\xc3\xb6 de@x.1;tcp4://10.0.0.1:1", {{"n\xc3\xb6 de@x", 1}, at("10.0.0.1", 1)}},
    };
    for (const auto& row : rows) {
        CAPTURE(row.uri);
        const auto parsed = parse_server_uri(row.uri);
        REQUIRE(parsed);
        CHECK((*parsed == row.expected));
    }
}

TEST_CASE("what is printed is read back")
{
    for (const auto* address : {"127.0.0.1", "255.255.255.254", "::1", "fe80::1:2", "::ffff:10.1.2.3"}) {
        const server_address printed{{"some.name-7", wire::rank::wildcard}, at(address, 65535)};
        CAPTURE(server_uri(printed));
        const auto parsed = parse_server_uri(server_uri(printed));
        REQUIRE(parsed);
        CHECK((*parsed == printed));
    }
}

TEST_CASE("other texts are no URI")
{
    using namespace std::string_view_literals;
    for (const auto uri : {
             ""sv, ";"sv, "."sv, "srv.0"sv, "srv.0;"sv, "srv;tcp4://10.0.0.1:1"sv, ".0;tcp4://10.0.0.1:1"sv,
             "srv.;tcp4://10.0.0.1:1"sv, "srv.x;tcp4://10.0.0.1:1"sv, "srv.0x1;tcp4://10.0.0.1:1"sv,
             "srv. 1;tcp4://10.0.0.1:1"sv, "srv.+1;tcp4://10.0.0.1:1"sv, "srv.1 ;tcp4://10.0.0.1:1"sv,
             "srv.4294967296;tcp4://10.0.0.1:1"sv, "srv.-2147483649;tcp4://10.0.0.1:1"sv,
             "srv.99999999999999999999;tcp4://10.0.0.1:1"sv, "srv.0;;tcp4://10.0.0.1:1"sv,
             "srv.0;tcp4://10.0.0.1:1;"sv, "sr;v.0;tcp4://10.0.0.1:1"sv, "srv.0;tcp://10.0.0.1:1"sv,
             "srv.0;TCP4://10.0.0.1:1"sv, "srv.0;usock://10.0.0.1:1"sv, "srv.0;tcp4:10.0.0.1:1"sv,
             "srv.0;tcp4://:1"sv, "srv.0;tcp4://10.0.0.1"sv, "srv.0;tcp4://10.0.0.1:"sv, "srv.0;tcp4://10.0.0.1:0"sv,
             "srv.0;tcp4://10.0.0.1:65536"sv, "srv.0;tcp4://10.0.0.1:-1"sv, "srv.0;tcp4://10.0.0.1:1 "sv,
             "srv.0;tcp4://10.0.0.1: 1"sv, "srv.0;tcp4:// 10.0.0.1:1"sv, "srv.0;tcp4://10.0.0:1"sv,
             "srv.0;tcp4://10.0.0.256:1"sv, "srv.0;tcp4://localhost:1"sv, "srv.0;tcp4://host.example:1"sv,
             "srv.0;tcp4://[10.0.0.1]:1"sv, "srv.0;tcp4://::1:1"sv, "srv.0;tcp6://10.0.0.1:1"sv,
             "srv.0;tcp6://localhost:1"sv, "srv.0;tcp6://[::1:1"sv, "srv.0;tcp6://::1]:1"sv, "srv.0;tcp6://[]:1"sv,
             "srv.0;tcp6://[::1]"sv, "srv.0;tcp6://[::1]1"sv, "srv.0;tcp6://fe80::1%nosuchinterface:1"sv,
             "srv.0;tcp4://0.0.0.0:1"sv, "srv.0;tcp6://:::1"sv, "srv.0;tcp4://224.0.0.1:1"sv,
             "srv.0;tcp4://127.0.0.1\0junk:1"sv, "srv\0.0;tcp4://127.0.0.1:1"sv, "srv\n.0;tcp4://127.0.0.1:1"sv,
             "srv.0;tcp4://127.0.0.1:1\n"sv, "srv.0;tcp4://127.0.0.1:1\r"sv, "srv.0:srv.0:srv.0"sv,
         }) {
        CAPTURE(uri);
        CHECK(parse_server_uri(uri).error() == fault::bad_uri);
    }
}

TEST_CASE("every proper prefix of a URI is refused, or names a shorter port")
{
    const std::string uri = "srv.12;tcp4://127.0.0.1:4567";
    for (std::size_t length = 0; length != uri.size(); ++length) {
        CAPTURE(length);
        const auto parsed = parse_server_uri(std::string_view(uri).substr(0, length));
        if (length <= uri.rfind(':') + 1)
            CHECK_FALSE(parsed);
        else
            CHECK((parsed && std::to_string(parsed->at.port()) == uri.substr(uri.rfind(':') + 1, length - uri.rfind(':') - 1)));
    }
}

TEST_CASE("a namespace has at most 255 bytes")
{
    const std::string rest = ".0;tcp4://127.0.0.1:1";
    CHECK(parse_server_uri(std::string(255, 'n') + rest));
    CHECK(parse_server_uri(std::string(256, 'n') + rest).error() == fault::name_too_long);
    CHECK(parse_server_uri(std::string(1'000'000, 'n') + rest).error() == fault::name_too_long);
}
