#include <pmixio/listen/config.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace pmixio;
using namespace std::chrono_literals;
using wire::data_type;
using wire::value;

namespace {

using list = std::vector<std::string>;

listener_config with(const std::vector<wire::info>& attributes)
{
    listener_config config;
    apply_attributes(config, attributes);
    return config;
}
listener_config with(const environment& variables)
{
    listener_config config;
    apply_mca_environment(config, variables);
    return config;
}

/// The text of the std::invalid_argument, empty if there is none.
std::string refusal_of(const auto& settings)
{
    try {
        static_cast<void>(with(settings));
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return {};
}

value integer(std::int32_t content) { return value::of<data_type::integer>(content); }

} // namespace

TEST_CASE("the defaults are those of the original")
{
    const listener_config config;
    CHECK(config.interfaces.ipv4);
    CHECK_FALSE(config.interfaces.ipv6);
    CHECK_FALSE(config.interfaces.remote_connections);
    CHECK(config.ipv4_ports == port_ranges());
    CHECK(config.connection_wait_time == 4s);
    CHECK(config.max_retries == 2);
    CHECK(config.handshake_wait_time == 4s);
    CHECK(config.handshake_max_retries == 2);
    CHECK_FALSE(config.contacts.tool);
    CHECK_FALSE(config.contacts.system);
}

TEST_CASE("every attribute sets its field")
{
    const auto c = with(std::vector<wire::info>{{"pmix.tcp.ifinclude", 0, value::string("eth0, 10.0.0.0/8")},
                                                {"pmix.tcp.ipv4", 0, integer(5000)},
                                                {"pmix.tcp.ipv6", 0, value::string("6000-6010,7000")},
                                                {"pmix.tcp.disipv4", 0, value::boolean(true)},
                                                {"pmix.tcp.disipv6", 0, value::boolean(false)},
                                                {"pmix.srvr.remote", 0, value{}},
                                                {"pmix.tcp.uri", 0, value::string("file:/x")},
                                                {"pmix.tcp.repuri", 0, value::string("-")},
                                                {"pmix.tool.lncrnd", 0, value::string("/run/r")},
                                                {"pmix.srvr.tool", 0, value::boolean(true)},
                                                {"pmix.srvr.sys", 0, value::boolean(true)},
                                                {"pmix.srvr.tmpdir", 0, value::string("/a")},
                                                {"pmix.sys.tmpdir", 0, value::string("/b")},
                                                {"pmix.tool.retry", 0, value::uint32(7)},
                                                {"pmix.tool.mretries", 0, value::uint32(9)}});
    CHECK(c.interfaces.include == list{"eth0", "10.0.0.0/8"});
    CHECK(c.ipv4_ports == port_ranges(5000));
    CHECK(c.ipv6_ports == port_ranges::parse("6000-6010,7000"));
    CHECK_FALSE(c.interfaces.ipv4);
    CHECK(c.interfaces.ipv6);
    CHECK(c.interfaces.remote_connections);
    CHECK(c.server_uri == "file:/x");
    CHECK(c.report_uri == "-");
    CHECK(c.contacts.rendezvous_file == "/run/r");
    CHECK(c.contacts.tool);
    CHECK(c.contacts.system);
    CHECK(c.contacts.session_directory == "/a");
    CHECK(c.contacts.system_directory == "/b");
    CHECK(c.connection_wait_time == 7s);
    CHECK(c.max_retries == 9);
    CHECK(with(std::vector<wire::info>{{"pmix.tcp.ifexclude", 0, value::string("lo")}}).interfaces.exclude ==
          list{"lo"});
    CHECK(with(std::vector<wire::info>{{"pmix.srvr.uri", 0, value::string("u")}}).server_uri == "u");
}

TEST_CASE("attributes replace what was there, the last one wins, and others are left alone")
{
    auto c = with(environment{{"PMIX_MCA_ptl_base_ipv4_port", "1"}, {"PMIX_MCA_ptl_base_max_retries", "5"}});
    apply_attributes(c, std::vector<wire::info>{{"pmix.tcp.ipv4", 0, value::uint16(2)},
                                                {"pmix.timeout", 0, value::string("no number")},
                                                {"", 0, value::string("no name")},
                                                {"pmix.tcp.ipv4", 0, value::string("3")}});
    CHECK(c.ipv4_ports == port_ranges(3));
    CHECK(c.max_retries == 5);
}

TEST_CASE("an attribute of the wrong type or without sense is refused with name and value")
{
    const struct {
        const char* key;
        value content;
        std::string_view shown;
    } rows[] = {
        {"pmix.tcp.ifinclude", value::string("eth0,"),
         "= \"eth0,\": not an interface, address or network: \"\""},
        {"pmix.tcp.ifexclude", value::string("10.0.0.0/40"), "= \"10.0.0.0/40\""},
        {"pmix.tcp.ifinclude", integer(1), "= 1: not a text"},
        {"pmix.tcp.ifinclude", value{}, "= (nothing): not a text"},
        {"pmix.tcp.ipv4", value::string("6000-5000"), "= \"6000-5000\": not a list of ports"},
        {"pmix.tcp.ipv4", integer(-1), "= -1"},
        {"pmix.tcp.ipv4", integer(65536), "= 65536"},
        {"pmix.tcp.ipv6", value::boolean(true), "= true"},
        {"pmix.tcp.ipv6", value::of_proc({"ns", 0}), "= a value of type 22"},
        {"pmix.tcp.disipv4", value::string("true"), "= \"true\""},
        {"pmix.tcp.disipv6", integer(1), "= 1: neither true nor false"},
        {"pmix.srvr.remote", value::string(""), "= \"\""},
        {"pmix.srvr.tool", value::uint32(0), "= 0"},
        {"pmix.tcp.repuri", value::boolean(false), "= false"},
        {"pmix.srvr.tmpdir", value::object({}), "= a value of type 27"},
        {"pmix.tool.mretries", integer(-2), "= -2: not a decimal number from 0 to 2147483647"},
        {"pmix.tool.mretries", value::uint64(1ull << 31), "= 2147483648"},
        {"pmix.tool.mretries", value::string("3"), "= \"3\""},
        {"pmix.tool.retry", value::boolean(true), "= true"},
        {"pmix.tool.retry", value::string("3"), "= \"3\""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.key);
        CHECK_MESSAGE(refusal_of(std::vector<wire::info>{{row.key, 0, row.content}})
                          .starts_with("pmixio: " + std::string(row.key) + ' ' + std::string(row.shown)),
                      row.shown);
    }
}

TEST_CASE("every parameter sets its field, under both prefixes")
{
    for (const std::string prefix : {"PMIX_MCA_ptl_base_", "PMIX_MCA_ptl_tcp_"}) {
        const auto c = with(environment{{prefix + "server_uri", "u"},
                                        {prefix + "report_uri", "+"},
                                        {prefix + "remote_connections", "1"},
                                        {prefix + "if_include", "lo,eth0"},
                                        {prefix + "ipv4_port", "5000"},
                                        {prefix + "ipv6_ports", "6000-6001"},
                                        {prefix + "disable_ipv4_family", "yes"},
                                        {prefix + "disable_ipv6_family", "0"},
                                        {prefix + "connection_wait_time", "10"},
                                        {prefix + "max_retries", "11"},
                                        {prefix + "handshake_wait_time", "12"},
                                        {prefix + "handshake_max_retries", "0"}});
        CHECK(c.server_uri == "u");
        CHECK(c.report_uri == "+");
        CHECK(c.interfaces.remote_connections);
        CHECK(c.interfaces.include == list{"lo", "eth0"});
        CHECK(c.ipv4_ports == port_ranges(5000));
        CHECK(c.ipv6_ports == port_ranges::parse("6000-6001"));
        CHECK_FALSE(c.interfaces.ipv4);
        CHECK(c.interfaces.ipv6);
        CHECK(c.connection_wait_time == 10s);
        CHECK(c.max_retries == 11);
        CHECK(c.handshake_wait_time == 12s);
        CHECK(c.handshake_max_retries == 0);
        CHECK(with(environment{{prefix + "if_exclude", "lo"}}).interfaces.exclude == list{"lo"});
        CHECK(with(environment{{prefix + "ipv4_ports", "1,2"}}).ipv4_ports == port_ranges::parse("1,2"));
        CHECK(with(environment{{prefix + "ipv6_port", ""}}).ipv6_ports == port_ranges());
        CHECK(with(environment{{prefix + "if_include", ""}}).interfaces.include.empty());
    }
}

TEST_CASE("truth values are read as the original reads them, and nothing else is")
{
    const auto remote = [](const char* text) {
        return with(environment{{"PMIX_MCA_ptl_base_remote_connections", text}})
            .interfaces.remote_connections;
    };
    for (const auto* yes : {"1", "t", "true", "TRUE", "True", "y", "yes", "enabled"})
        CHECK_MESSAGE(remote(yes), yes);
    for (const auto* no : {"0", "f", "false", "False", "n", "no", "NO", "disabled"})
        CHECK_MESSAGE(!remote(no), no);
    for (const auto* neither : {"", "2", "-1", "on", "off", "tru", "truex", " true", "0x1", "yes,no"})
        CHECK_THROWS_AS_MESSAGE(remote(neither), std::invalid_argument, neither);
}

TEST_CASE("a variable without sense is refused with name and value")
{
    const std::pair<std::string, std::string> rows[] = {
        {"base_ipv4_port", "5000x"},
        {"tcp_ipv6_port", "70000"},
        {"base_if_include", "lo,,eth0"},
        {"tcp_if_exclude", "1.2.3"},
        {"base_disable_ipv4_family", "?"},
        {"base_connection_wait_time", ""},
        {"base_max_retries", "-1"},
        {"base_max_retries", "0x10"},
        {"base_max_retries", "1 "},
        {"base_max_retries", "2147483648"},
        {"base_handshake_wait_time", "1s"},
        {"base_if_inclde", "lo"},
        {"tcp_port", "1"},
        {"base_IF_INCLUDE", "lo"},
        {"base_ipv4_port_", "1"},
    };
    for (const auto& [name, content] : rows) {
        const auto full = "PMIX_MCA_ptl_" + name;
        CHECK(refusal_of(environment{{full, content}})
                  .starts_with("pmixio: " + full + " = \"" + content + "\": "));
    }
}

TEST_CASE("variables about something else are left alone")
{
    const environment others{{"PMIX_MCA_ptl", "tcp"},
                             {"PMIX_MCA_ptl_base_verbose", "5"},
                             {"PMIX_MCA_ptl_base_max_msg_size", "16"},
                             {"PMIX_MCA_ptl_base_", "x"},
                             {"PMIX_MCA_psec", "native"},
                             {"PMIX_MCA_ptl_usock_x", "1"},
                             {"pmix_mca_ptl_base_max_retries", "x"},
                             {"OMPI_MCA_btl_tcp_if_include", "eth0"}};
    CHECK(refusal_of(others) == "");
}

TEST_CASE("names of the same setting must agree")
{
    const auto said = [](const char* one, const char* two, const char* content) {
        return refusal_of(environment{{std::string("PMIX_MCA_ptl_") + one, "1"},
                                      {std::string("PMIX_MCA_ptl_") + two, content}});
    };
    CHECK(said("base_max_retries", "tcp_max_retries", "1") == "");
    CHECK(said("base_max_retries", "tcp_max_retries", "2") ==
          "pmixio: PMIX_MCA_ptl_tcp_max_retries = \"2\": PMIX_MCA_ptl_base_max_retries says otherwise");
    CHECK(said("tcp_ipv4_port", "base_ipv4_ports", "2") ==
          "pmixio: PMIX_MCA_ptl_base_ipv4_ports = \"2\": PMIX_MCA_ptl_tcp_ipv4_port says otherwise");
    CHECK(said("base_max_retries", "base_handshake_max_retries", "2") == "");
}

TEST_CASE("no two fields share a name")
{
    std::set<std::string_view> names;
    for (const auto& each : detail::listener_settings) {
        CHECK((each.parameter.empty() || names.insert(each.parameter).second));
        CHECK((each.attribute.empty() || names.insert(each.attribute).second));
        CHECK_FALSE((each.parameter.empty() && each.attribute.empty()));
    }
}

TEST_CASE("temporary directories come from the nearest variable that is set")
{
    environment variables{{"HOME", "/home"}};
    const auto found = [&] {
        listener_config config;
        apply_tmpdir_environment(config, variables);
        return config.contacts.session_directory + ' ' + config.contacts.system_directory;
    };
    CHECK(found() == "/tmp /tmp");
    variables.insert(variables.begin(), {"TMP", "/3"});
    CHECK(found() == "/3 /3");
    variables.emplace_back("TEMP", "/2");
    CHECK(found() == "/2 /2");
    variables.emplace_back("TMPDIR", "/1");
    CHECK(found() == "/1 /1");
    variables.emplace_back("PMIX_SERVER_TMPDIR", "/server");
    variables.emplace_back("PMIX_SYSTEM_TMPDIR", "");
    CHECK(found() == "/server /1");
    variables.back().second = "/system";
    CHECK(found() == "/server /system");
}

TEST_CASE("the environment of this process can be read")
{
    const auto all = process_environment();
    const auto* path = std::getenv("PATH");
    REQUIRE(path);
    const auto found = std::find(all.begin(), all.end(), environment::value_type("PATH", path));
    CHECK(found != all.end());
}
