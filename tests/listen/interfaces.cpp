#include <pmixio/listen/interfaces.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

using namespace pmixio;
using v = interface_verdict;

namespace {

local_address at(const char* name, unsigned index, const char* address, unsigned prefix_length,
                 bool up = true)
{
    return {name, index, asio::ip::make_address(address), prefix_length, up, std::string_view(name) == "lo"};
}

using machine = std::vector<local_address>;
const std::map<std::string_view, machine> machines{
    {"typical",
     {at("lo", 1, "127.0.0.1", 8), at("eth0", 2, "10.1.2.3", 24), at("eth1", 3, "192.168.5.9", 16),
      at("virbr0", 4, "192.168.122.1", 24), at("lo", 1, "::1", 128), at("eth0", 2, "fe80::1", 64),
      at("eth0", 2, "fd00::2", 64), at("eth1", 3, "2001:db8:0:80::9", 57)}},
    {"lo only", {at("lo", 1, "127.0.0.1", 8), at("lo", 1, "::1", 128)}},
    {"lo last", {at("eth0", 2, "fd00::2", 64), at("eth0", 2, "10.1.2.3", 24), at("lo", 1, "127.0.0.1", 8)}},
    {"no lo", {at("eth0", 2, "10.1.2.3", 24), at("eth1", 3, "10.1.2.4", 24), at("eth0", 2, "fd00::2", 64)}},
    {"half down",
     {at("lo", 1, "127.0.0.1", 8, false), at("eth0", 2, "10.1.2.3", 24, false),
      at("eth1", 3, "10.1.2.4", 24)}},
    {"virtual", {at("virbr0", 4, "192.168.122.1", 24), at("virtio5", 5, "fd22::5", 64)}},
    {"odd",
     {at("eth0", 2, "fe80::1", 64), at("eth0", 2, "::ffff:10.1.2.3", 128), at("eth0", 2, "169.254.7.7", 16)}},
    {"nothing", {}},
};

/// Flags: 4 and 6, the enabled families; r, remote connections.
interface_filter filter(std::string_view include, std::string_view exclude, std::string_view flags)
{
    const auto has = [&](char c) { return flags.find(c) != std::string_view::npos; };
    return {split_list(include), split_list(exclude), has('4'), has('6'), has('r')};
}

std::string taken(std::string_view on, const interface_filter& by)
{
    std::string list;
    try {
        for (const auto& address : choose_interfaces(machines.at(on), by).taken())
            (list += list.empty() ? "" : " ") += address.to_string();
    } catch (const std::system_error& e) {
        return e.code() == fault::no_interface ? "none" : "another error";
    }
    return list;
}

struct choice_row {
    std::string_view on, include, exclude, flags, taken;
};

const choice_row choices[] = {
    // defaults, families, remote connections
    {"typical", "", "", "4", "127.0.0.1"},
    {"typical", "", "", "6", "::1"},
    {"typical", "", "", "46", "127.0.0.1 ::1"},
    {"typical", "", "", "4r", "10.1.2.3"},
    {"typical", "", "", "6r", "fd00::2"},
    {"typical", "", "", "46r", "10.1.2.3 fd00::2"},
    {"lo only", "", "", "4", "127.0.0.1"},
    {"lo only", "", "", "46", "127.0.0.1 ::1"},
    {"lo only", "", "", "4r", "none"},
    {"lo only", "", "", "46r", "none"},
    {"lo only", "lo", "", "4r", "none"},
    {"lo only", "", "lo", "4", "none"},
    {"lo last", "", "", "4", "127.0.0.1"},
    {"lo last", "", "", "46", "127.0.0.1"}, // and not the one others can reach
    {"lo last", "", "", "6", "fd00::2"},
    {"lo last", "", "", "46r", "10.1.2.3 fd00::2"}, // IPv4 first, whatever the order
    {"no lo", "", "", "4", "10.1.2.3"},
    {"no lo", "", "", "46", "10.1.2.3 fd00::2"},
    {"no lo", "", "", "4r", "10.1.2.3"},
    {"nothing", "", "", "46", "none"},
    {"nothing", "lo", "", "46", "none"},
    // states and kinds of addresses
    {"half down", "", "", "4", "10.1.2.4"},
    {"half down", "", "", "6", "none"},
    {"half down", "lo,eth0", "", "4", "none"},
    {"odd", "", "", "6", "none"},
    {"odd", "", "", "46", "169.254.7.7"},
    {"odd", "fe80::1", "", "46", "none"},
    {"odd", "::ffff:10.1.2.3", "", "46", "none"},
    // names
    {"typical", "lo", "", "46", "127.0.0.1 ::1"},
    {"typical", "eth0", "", "4", "10.1.2.3"},
    {"typical", "eth0", "", "46", "10.1.2.3 fd00::2"},
    {"typical", "eth1", "", "46r", "192.168.5.9 2001:db8:0:80::9"},
    {"typical", "eth1,eth0", "", "4", "10.1.2.3"}, // the kernel's order, not the list's
    {"typical", "eth0,lo", "", "4", "127.0.0.1"},
    {"typical", "eth0,lo", "", "4r", "10.1.2.3"},
    {"typical", "eth", "", "4", "none"},
    {"typical", "ETH0", "", "4", "none"},
    {"typical", "eth7", "", "4", "none"},
    {"typical", "eth7,eth1", "", "4", "192.168.5.9"},
    {"typical", "", "lo", "4", "10.1.2.3"},
    {"typical", "", "lo,eth0", "4", "192.168.5.9"},
    {"typical", "", "lo,eth0,eth1", "46", "none"},
    {"typical", "", "eth7", "4", "127.0.0.1"},
    {"typical", "", "eth0", "46r", "192.168.5.9 2001:db8:0:80::9"},
    // virtual devices
    {"virtual", "", "", "46", "none"},
    {"virtual", "", "eth0", "4", "none"},
    {"virtual", "virbr0", "", "46", "192.168.122.1"},
    {"virtual", "192.168.122.1", "", "4", "192.168.122.1"},
    {"virtual", "192.168.122.0/24", "", "4", "none"},
    {"virtual", "virtio5,virbr0", "", "46r", "192.168.122.1 fd22::5"},
    // IPv4 addresses and networks
    {"typical", "10.1.2.3", "", "4", "10.1.2.3"},
    {"typical", "10.1.2.4", "", "4", "none"},
    {"typical", "10.1.2.3/32", "", "4", "10.1.2.3"},
    {"typical", "10.1.2.2/32", "", "4", "none"},
    {"typical", "10.1.2.2/31", "", "4", "10.1.2.3"},
    {"typical", "10.0.0.0/15", "", "4", "10.1.2.3"},
    {"typical", "10.0.0.0/16", "", "4", "none"},
    {"typical", "10.99.99.99/8", "", "4", "10.1.2.3"}, // host bits
    {"typical", "0.0.0.0/0", "", "4r", "10.1.2.3"},
    {"typical", "0.0.0.0/0", "", "46", "127.0.0.1"},
    {"typical", "128.0.0.0/1", "", "4", "192.168.5.9"},
    {"typical", "127.0.0.0/8,192.168.0.0/16", "", "4r", "192.168.5.9"},
    {"typical", "192.168.0.0/16,192.168.5.0/24", "", "4", "192.168.5.9"}, // overlap
    {"typical", "10.1.2.3,eth0,10.0.0.0/8", "", "4", "10.1.2.3"},
    {"typical", "", "127.0.0.0/8", "4", "10.1.2.3"},
    {"typical", "", "127.0.0.0/8", "46", "::1"},
    {"typical", "", "127.0.0.1,10.1.2.3", "4", "192.168.5.9"},
    {"typical", "", "0.0.0.0/0", "4", "none"},
    {"typical", "", "0.0.0.0/0", "46", "::1"},
    // IPv6, and IPv4 written as IPv6
    {"typical", "::1", "", "46", "::1"},
    {"typical", "::1/128", "", "6", "::1"},
    {"typical", "::2/127", "", "6", "none"},
    {"typical", "::/126", "", "6", "::1"},
    {"typical", "fd00::/8", "", "46", "fd00::2"},
    {"typical", "fd00::7:8/64", "", "46", "fd00::2"},
    {"typical", "2001:db8:0:fF::/57", "", "6", "2001:db8:0:80::9"},
    {"typical", "2001:db8:0:40::/57", "", "6", "none"},
    {"typical", "::/0", "", "46", "::1"},
    {"typical", "::/0", "", "4", "none"},
    {"typical", "fe80::/10", "", "46", "none"},
    {"typical", "", "::/0", "6", "none"},
    {"typical", "", "::1,fd00::/16", "6", "2001:db8:0:80::9"},
    {"typical", "::ffff:10.1.2.3", "", "4", "10.1.2.3"},
    {"typical", "::ffff:10.0.0.0/104", "", "46", "10.1.2.3"},
    {"typical", "::ffff:0:0/96", "", "4r", "10.1.2.3"},
    {"typical", "::ffff:0:0/95", "", "4", "none"},
};

} // namespace

TEST_CASE("addresses are chosen by the filter")
{
    for (const auto& row : choices) {
        CAPTURE(row.on);
        CAPTURE(row.include);
        CAPTURE(row.exclude);
        CAPTURE(row.flags);
        CHECK(taken(row.on, filter(row.include, row.exclude, row.flags)) == row.taken);
    }
}

TEST_CASE("an entry that is no name, address or network is refused by name")
{
    const std::string_view bad[] = {"10.0.0",
                                    "10.0.0.256",
                                    "10.0.0.1.2",
                                    "1234",
                                    "10.0.0.1/",
                                    "10.0.0.1/33",
                                    "10.0.0.1/-1",
                                    "10.0.0.1/ 8",
                                    "10.0.0.1/8x",
                                    "10.0.0.1/0x8",
                                    "10.0.0.1/255.0.0.0",
                                    "10.0.0.1/99999999999",
                                    "10/8",
                                    "eth0/8",
                                    "/8",
                                    "/",
                                    "::1/129",
                                    "::1/",
                                    ":::1",
                                    "fd00:",
                                    "fd00::g",
                                    "[::1]",
                                    "eth0:1",
                                    "fe80::1%lo",
                                    "fe80::%lo/10",
                                    "10.0.0.1%lo",
                                    "",
                                    "et h0",
                                    "eth\t0",
                                    "eth0\n",
                                    "a-name-of-16-xxx",
                                    "..",
                                    ".",
                                    "\xc3\xa4",
                                    "10.0.0.1/8/8"};
    for (const auto entry : bad) {
        CAPTURE(entry);
        for (const bool include : {true, false}) {
            interface_filter asked;
            (include ? asked.include : asked.exclude) = {"lo", std::string(entry)};
            std::string said;
            try {
                static_cast<void>(choose_interfaces(machines.at("typical"), asked));
            } catch (const std::invalid_argument& e) {
                said = e.what();
            }
            CHECK(said.find('"' + std::string(entry) + '"') != std::string::npos);
            CHECK_THROWS_AS(check_interface_list(include ? asked.include : asked.exclude),
                            std::invalid_argument);
        }
    }
    for (const std::string_view with_nul :
         {std::string_view("10.0.0.1\0x", 10), std::string_view("eth0\0", 5)})
        CHECK_THROWS_AS(check_interface_list(std::vector{std::string(with_nul)}), std::invalid_argument);
    const std::vector<std::string> good{"eth0", "a-name-of-15-xx", "3g-wan", "eth0.100", "wlp0s20f3",
                                        "fd00", "br-1@x"};
    CHECK_NOTHROW(check_interface_list(good));
}

TEST_CASE("two lists, or no family, are refused")
{
    const auto& typical = machines.at("typical");
    CHECK_THROWS_WITH_AS(static_cast<void>(choose_interfaces(typical, filter("lo", "eth0,eth1", "4"))),
                         doctest::Contains("included (lo) and excluded (eth0,eth1)"), std::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(choose_interfaces(typical, filter("lo", "lo", "4"))),
                    std::invalid_argument);
    CHECK_THROWS_WITH_AS(static_cast<void>(choose_interfaces(typical, filter("", "", "r"))),
                         doctest::Contains("disabled"), std::invalid_argument);
}

TEST_CASE("every address has its verdict")
{
    const auto verdicts = [](std::string_view on, const interface_filter& by) {
        std::vector<v> all;
        for (const auto& each : choose_interfaces(machines.at(on), by).candidates)
            all.push_back(each.verdict);
        return all;
    };
    CHECK(verdicts("typical", filter("", "", "46")) ==
          std::vector{v::taken, v::loopback_preferred, v::loopback_preferred, v::virtual_device, v::taken,
                      v::link_local, v::loopback_preferred, v::loopback_preferred});
    CHECK(verdicts("typical", filter("", "eth0,fe80::/10", "46r")) ==
          std::vector{v::loopback_not_remote, v::excluded, v::taken, v::virtual_device,
                      v::loopback_not_remote, v::link_local, v::excluded, v::taken});
    CHECK(verdicts("typical", filter("eth0,192.168.0.0/16", "", "4")) ==
          std::vector{v::not_included, v::taken, v::another_taken, v::virtual_device, v::family_disabled,
                      v::family_disabled, v::family_disabled, v::family_disabled});
    CHECK(verdicts("half down", filter("", "", "4")) == std::vector{v::down, v::down, v::taken});
    CHECK(verdicts("odd", filter("", "", "46")) == std::vector{v::link_local, v::v4_mapped, v::taken});
}

TEST_CASE("an explanation has a line for each address and for each entry that fits none")
{
    const auto choice =
        choose_interfaces(machines.at("lo last"), filter("lo,eth0,eth9,10.9.0.0/16", "", "46"));
    CHECK(choice.unmatched == std::vector<std::string>{"eth9", "10.9.0.0/16"});
    CHECK(choice.explain() ==
          "eth0  fd00::2/64   not needed: loopback is preferred without remote connections\n"
          "eth0  10.1.2.3/24  not needed: loopback is preferred without remote connections\n"
          "lo    127.0.0.1/8  taken\n"
          "\"eth9\" fits no address of this machine\n"
          "\"10.9.0.0/16\" fits no address of this machine\n");
    CHECK(choose_interfaces({}, {}).explain().empty());
}

TEST_CASE("no address at all is an error that says what was asked")
{
    const auto said = [](std::string_view on, const interface_filter& by) {
        try {
            static_cast<void>(choose_interfaces(machines.at(on), by).taken());
        } catch (const std::system_error& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK(
        said("typical", filter("eth7,eth8", "", "46")) ==
        "pmixio: no address to listen on for IPv4 or IPv6, including eth7,eth8 (no address fits eth7,eth8): "
        "no_interface");
    CHECK(said("typical", filter("", "127.0.0.0/8,eth0,eth1", "4")) ==
          "pmixio: no address to listen on for IPv4, excluding 127.0.0.0/8,eth0,eth1: no_interface");
    CHECK(said("lo only", filter("", "", "6r")) == "pmixio: no address to listen on for IPv6 with remote "
                                                   "connections (there is only loopback): no_interface");
}

TEST_CASE("a list is split at its commas")
{
    using list = std::vector<std::string>;
    CHECK(split_list("") == list{});
    CHECK(split_list(" \t") == list{});
    CHECK(split_list("eth0") == list{"eth0"});
    CHECK(split_list(" eth0 ,\tlo,10.0.0.0/8") == list{"eth0", "lo", "10.0.0.0/8"});
    CHECK(split_list("eth0,,lo,") == list{"eth0", "", "lo", ""});
    CHECK(split_list(", ") == list{"", ""});
}

TEST_CASE("this machine has its loopback address")
{
    const auto all = local_addresses();
    const auto lo = std::find_if(all.begin(), all.end(), [](const auto& each) {
        return each.address == asio::ip::make_address("127.0.0.1");
    });
    REQUIRE(lo != all.end());
    CHECK(lo->loopback);
    CHECK(lo->up);
    CHECK(lo->prefix_length == 8);
    CHECK(lo->index == ::if_nametoindex(lo->interface.c_str()));
    CHECK(choose_interfaces(all, {}).taken() == std::vector{lo->address});
}
