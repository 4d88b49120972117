// Any bytes as what says where to listen: lines NAME=VALUE of an environment or, after a byte 1, the attributes of a server's
// start. What was understood can be written and means the same, and chooses among some addresses by the rules.
#include <pmixio/listen/config.hpp>
#include <pmixio/wire/buffer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace pmixio;

environment lines_of(std::string_view text)
{
    environment variables;
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        const auto equals = std::min(line.find('='), line.size());
        variables.emplace_back(line.substr(0, equals), line.substr(std::min(equals + 1, line.size())));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    return variables;
}

std::vector<wire::info> attributes_of(std::span<const std::byte> bytes)
{
    wire::cursor from(bytes);
    wire::decoder<wire::v41> in(from, {});
    std::vector<wire::info> attributes;
    in.list(wire::as<wire::data_type::info>, attributes);
    return from.ok() ? attributes : std::vector<wire::info>();
}

const std::vector<local_address> locals = [] {
    std::vector<local_address> all;
    const auto add = [&](const char* interface, const char* address, bool up = true) {
        all.push_back(
            {interface, 1, asio::ip::make_address(address), 24, up, interface == std::string_view("lo")});
    };
    add("lo", "127.0.0.1"), add("lo", "::1"), add("virbr0", "10.0.0.1");
    add("eth0", "192.168.1.7"), add("eth0", "fe80::5"), add("eth0", "fd00::5"),
        add("eth0", "::ffff:10.0.0.2");
    add("eth1", "192.168.2.7"), add("eth2", "192.168.3.7", false);
    return all;
}();

void check_choice(const interface_filter& filter)
{
    const auto& list = filter.include.empty() ? filter.exclude : filter.include;
    const bool contradictory =
        (!filter.include.empty() && !filter.exclude.empty()) || (!filter.ipv4 && !filter.ipv6);
    try {
        const auto choice = choose_interfaces(locals, filter);
        if (contradictory || choice.candidates.size() != locals.size() || choice.explain().empty() ||
            choice.unmatched.size() > list.size())
            std::abort();
        const auto taken = choice.taken();
        if (taken.size() > 2 || (taken.size() == 2 && taken[0].is_v4() <= taken[1].is_v4()))
            std::abort();
        for (const auto& address : taken)
            if (!(address.is_v4() ? filter.ipv4 : filter.ipv6) ||
                (filter.remote_connections && address.is_loopback()))
                std::abort();
    } catch (const std::invalid_argument&) {
        if (!contradictory)
            std::abort();
    } catch (const std::system_error& e) {
        if (e.code() != fault::no_interface)
            std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    listener_config config;
    apply_tmpdir_environment(config, lines_of(text));
    if (config.contacts.session_directory.empty() || config.contacts.system_directory.empty())
        std::abort();
    try {
        if (size != 0 && data[0] == 1)
            apply_attributes(config, attributes_of(std::as_bytes(std::span(data, size)).subspan(1)));
        else
            apply_mca_environment(config, lines_of(text));
    } catch (const std::invalid_argument&) { // the only answer to nonsense; what came before it holds
    }
    for (const auto* ports : {&config.ipv4_ports, &config.ipv6_ports})
        if (port_ranges::parse(ports->to_string()) != *ports)
            std::abort();
    for (const auto* list : {&config.interfaces.include, &config.interfaces.exclude})
        if (split_list(detail::join(*list)) != *list)
            std::abort();
    check_choice(config.interfaces);
    return 0;
}
