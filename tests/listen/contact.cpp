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
    child_settings child{{"job1", 3}, uri, encodings, securities, wire::buffer_kind::non_described, "node7", "/tmp/s"};
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
        {"PMIX_SYSTEM_TMPDIR", "/tmp/s"},
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
                               wire::buffer_kind::fully_described, {}, {}};
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
    const child_settings child{{"job1", 3}, "uri", encodings, securities, wire::buffer_kind::non_described, "node7", "/tmp/s"};
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
