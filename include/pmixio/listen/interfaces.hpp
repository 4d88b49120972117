// Which of this machine's addresses a server listens on, and why not on the others.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/join.hpp>
#include <pmixio/error.hpp>

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace pmixio {

/// One address of this machine.
struct local_address {
    std::string interface; ///< the device; labels ("eth0:1") are cut off
    unsigned index = 0;    ///< of the device, as the kernel counts
    asio::ip::address address;
    unsigned prefix_length = 0;
    bool up = true;
    bool loopback = false; ///< of the device, not of the address
};

/// All IPv4 and IPv6 addresses of this machine, in the kernel's order. Throws std::system_error.
inline std::vector<local_address> local_addresses()
{
    ::ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0)
        throw std::system_error(errno, std::system_category(), "pmixio::local_addresses");
    const std::unique_ptr<::ifaddrs, decltype(&::freeifaddrs)> all(first, &::freeifaddrs);

    const auto bits = [](const auto& mask) {
        unsigned count = 0;
        for (const auto byte : mask)
            count += static_cast<unsigned>(std::popcount(byte));
        return count;
    };
    std::vector<local_address> result;
    for (const auto* each = first; each; each = each->ifa_next) {
        if (!each->ifa_addr || !each->ifa_netmask)
            continue;
        local_address found;
        if (each->ifa_addr->sa_family == AF_INET) {
            ::sockaddr_in address, mask;
            std::memcpy(&address, each->ifa_addr, sizeof address);
            std::memcpy(&mask, each->ifa_netmask, sizeof mask);
            const auto bytes = std::bit_cast<asio::ip::address_v4::bytes_type>(address.sin_addr);
            found.address = asio::ip::address_v4(bytes);
            found.prefix_length = bits(std::bit_cast<asio::ip::address_v4::bytes_type>(mask.sin_addr));
        } else if (each->ifa_addr->sa_family == AF_INET6) {
            ::sockaddr_in6 address, mask;
            std::memcpy(&address, each->ifa_addr, sizeof address);
            std::memcpy(&mask, each->ifa_netmask, sizeof mask);
            const auto bytes = std::bit_cast<asio::ip::address_v6::bytes_type>(address.sin6_addr);
            found.address = asio::ip::address_v6(bytes, address.sin6_scope_id);
            found.prefix_length = bits(std::bit_cast<asio::ip::address_v6::bytes_type>(mask.sin6_addr));
        } else {
            continue;
        }
        const std::string_view name(each->ifa_name);
        found.interface = name.substr(0, name.find(':'));
        found.index = ::if_nametoindex(found.interface.c_str());
        found.up = (each->ifa_flags & IFF_UP) != 0;
        found.loopback = (each->ifa_flags & IFF_LOOPBACK) != 0;
        result.push_back(std::move(found));
    }
    return result;
}

/// What may be listened on. An entry of `include` or `exclude` is the name of an interface, an address, or a network
/// (192.168.0.0/16, fd00::/8) of which the host bits do not matter; an IPv4-mapped one counts as IPv4. At most one of
/// the two lists may have entries.
struct interface_filter {
    std::vector<std::string> include{}, exclude{};
    bool ipv4 = true;
    bool ipv6 = false;
    bool remote_connections = false; ///< listen where other machines can connect
};

/// The entries of a comma-separated list, without the blanks around them. None for an empty text.
inline std::vector<std::string> split_list(std::string_view list)
{
    std::vector<std::string> entries;
    if (list.find_first_not_of(" \t") == std::string_view::npos)
        return entries;
    while (true) {
        const auto comma = list.find(',');
        auto entry = list.substr(0, comma);
        entry.remove_prefix(std::min(entry.find_first_not_of(" \t"), entry.size()));
        entry = entry.substr(0, entry.find_last_not_of(" \t") + 1);
        entries.emplace_back(entry);
        if (comma == std::string_view::npos)
            return entries;
        list.remove_prefix(comma + 1);
    }
}

/// What became of a local address.
enum class interface_verdict {
    taken,
    family_disabled,
    down,
    link_local,
    v4_mapped,
    virtual_device,
    not_included,
    excluded,
    loopback_not_remote,
    loopback_preferred,
    another_taken,
};

constexpr std::string_view text_of(interface_verdict verdict) noexcept
{
    switch (verdict) {
    case interface_verdict::taken: return "taken";
    case interface_verdict::family_disabled: return "not taken: its address family is disabled";
    case interface_verdict::down: return "not taken: the interface is down";
    case interface_verdict::link_local:
        return "not taken: link-local, and a URI cannot say on which interface";
    case interface_verdict::v4_mapped: return "not taken: IPv4-mapped, not an IPv6 address to listen on";
    case interface_verdict::virtual_device:
        return "not taken: named as virtual (vir*), and not included by name or address";
    case interface_verdict::not_included: return "not taken: not in the include list";
    case interface_verdict::excluded: return "not taken: in the exclude list";
    case interface_verdict::loopback_not_remote:
        return "not taken: loopback, where no remote connection can arrive";
    case interface_verdict::loopback_preferred:
        return "not needed: loopback is preferred without remote connections";
    case interface_verdict::another_taken: return "not needed: an earlier address of its family is taken";
    }
    return "unknown";
}

namespace detail {

/// One entry of an include or exclude list.
class interface_pattern {
public:
    /// Throws std::invalid_argument, naming the entry.
    explicit interface_pattern(std::string_view entry)
    {
        if (entry.find('\0') != std::string_view::npos)
            refuse(entry, "it contains a NUL");
        const auto slash = entry.find('/');
        std::error_code failed;
        address_ = asio::ip::make_address(std::string(entry.substr(0, slash)), failed);
        if (failed && slash == std::string_view::npos) {
            set_name(entry);
            return;
        }
        if (failed)
            refuse(entry, "what is before the / is not an address");
        if (entry.find('%') != std::string_view::npos)
            refuse(entry, "scopes are not supported");
        const unsigned longest = address_.is_v4() ? 32 : 128;
        prefix_length_ = longest;
        if (slash != std::string_view::npos) {
            const auto* const end = entry.data() + entry.size();
            const auto read = std::from_chars(entry.data() + slash + 1, end, prefix_length_);
            if (read.ec != std::errc() || read.ptr != end || prefix_length_ > longest)
                refuse(entry, "what follows the / is not a number from 0 to " + std::to_string(longest));
        }
        if (address_.is_v6() && address_.to_v6().is_v4_mapped() && prefix_length_ >= 96) {
            address_ = asio::ip::make_address_v4(asio::ip::v4_mapped, address_.to_v6());
            prefix_length_ -= 96;
        }
    }

    bool matches(const local_address& local) const
    {
        if (!name_.empty())
            return local.interface == name_;
        if (local.address.is_v4() != address_.is_v4())
            return false;
        if (address_.is_v4())
            return same_network(local.address.to_v4().to_bytes(), address_.to_v4().to_bytes());
        return same_network(local.address.to_v6().to_bytes(), address_.to_v6().to_bytes());
    }
    /// Whether it is about one interface or address, not a network.
    bool exact() const { return !name_.empty() || prefix_length_ == (address_.is_v4() ? 32u : 128u); }

private:
    [[noreturn]] static void refuse(std::string_view entry, const std::string& why)
    {
        throw std::invalid_argument("pmixio: not an interface, address or network: \"" + std::string(entry) +
                                    "\": " + why);
    }

    void set_name(std::string_view entry)
    {
        const auto illegal = [](char c) { return c <= ' ' || c > '~' || c == '/' || c == ':' || c == ','; };
        const auto digit = [](char c) { return c >= '0' && c <= '9'; };
        if (entry.empty())
            refuse(entry, "it is empty");
        if (entry.find(':') != std::string_view::npos)
            refuse(entry, "not an IPv6 address");
        if (digit(entry[0]) &&
            (std::all_of(entry.begin(), entry.end(), digit) || entry.find('.') != std::string_view::npos))
            refuse(entry, "not an IPv4 address");
        if (entry.size() >= IFNAMSIZ)
            refuse(entry, "too long for the name of an interface");
        if (std::any_of(entry.begin(), entry.end(), illegal) || entry == "." || entry == "..")
            refuse(entry, "no interface can have this name");
        name_ = entry;
    }

    template <std::size_t Size>
    bool same_network(const std::array<unsigned char, Size>& a,
                      const std::array<unsigned char, Size>& b) const
    {
        const auto whole = prefix_length_ / 8, rest = prefix_length_ % 8;
        return std::equal(a.begin(), a.begin() + whole, b.begin()) &&
               (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
    }

    std::string name_; // empty: a network
    asio::ip::address address_;
    unsigned prefix_length_ = 0;
};

} // namespace detail

/// Throws std::invalid_argument, naming the entry, if one of an include or exclude list is neither a name, an address
/// nor a network.
inline void check_interface_list(std::span<const std::string> entries)
{
    for (const auto& each : entries)
        static_cast<void>(detail::interface_pattern(each));
}

/// The outcome of choose_interfaces().
struct interface_choice {
    struct candidate {
        local_address at;
        interface_verdict verdict;
    };
    std::vector<candidate> candidates;
    interface_filter filter;            ///< what was asked
    std::vector<std::string> unmatched; ///< entries of the lists that fit no address of this machine

    /// The addresses to listen on: one for each family at most, IPv4 first. Throws std::system_error with
    /// fault::no_interface, and what was asked, if there is none.
    std::vector<asio::ip::address> taken() const
    {
        std::vector<asio::ip::address> result;
        for (const auto& each : candidates)
            if (each.verdict == interface_verdict::taken)
                result.push_back(each.at.address);
        if (result.empty())
            throw std::system_error(make_error_code(fault::no_interface), problem());
        std::stable_sort(result.begin(), result.end(),
                         [](auto& a, auto& b) { return a.is_v4() > b.is_v4(); });
        return result;
    }

    /// A line for each address, and one for each entry that fits none.
    std::string explain() const
    {
        std::vector<std::string> lines(candidates.size());
        const auto add_column = [&](auto text) {
            std::size_t width = 0;
            for (const auto& line : lines)
                width = std::max(width, line.size() + 2);
            for (std::size_t i = 0; i != lines.size(); ++i) {
                if (!lines[i].empty())
                    lines[i].resize(width, ' ');
                lines[i] += text(candidates[i]);
            }
        };
        add_column([](auto& each) { return each.at.interface; });
        add_column([](auto& each) {
            return each.at.address.to_string() + '/' + std::to_string(each.at.prefix_length);
        });
        add_column([](auto& each) { return text_of(each.verdict); });
        for (const auto& each : unmatched)
            lines.push_back('"' + each + "\" fits no address of this machine");
        std::string text;
        for (const auto& line : lines)
            (text += line) += '\n';
        return text;
    }

private:
    std::string problem() const
    {
        std::string text = "pmixio: no address to listen on for ";
        text += !filter.ipv6 ? "IPv4" : filter.ipv4 ? "IPv4 or IPv6" : "IPv6";
        if (filter.remote_connections)
            text += " with remote connections";
        if (!filter.include.empty())
            text += ", including " + detail::join(filter.include);
        if (!filter.exclude.empty())
            text += ", excluding " + detail::join(filter.exclude);
        for (const auto& each : candidates)
            if (each.verdict == interface_verdict::loopback_not_remote)
                return text + " (there is only loopback)";
        if (!unmatched.empty())
            text += " (no address fits " + detail::join(unmatched) + ')';
        return text;
    }
};

/// Judges every local address; see interface_verdict. Without remote connections loopback is preferred, whatever the
/// family, and the first other address is the second choice; with them only others will do. Throws
/// std::invalid_argument for a filter that has both lists, no family, or an entry that cannot be parsed.
inline interface_choice choose_interfaces(std::span<const local_address> locals,
                                          const interface_filter& filter)
{
    if (!filter.include.empty() && !filter.exclude.empty())
        throw std::invalid_argument("pmixio: interfaces are both included (" + detail::join(filter.include) +
                                    ") and excluded (" + detail::join(filter.exclude) +
                                    "): only one of the lists can be used");
    if (!filter.ipv4 && !filter.ipv6)
        throw std::invalid_argument("pmixio: IPv4 and IPv6 are both disabled");

    const bool including = !filter.include.empty();
    const auto& list = including ? filter.include : filter.exclude;
    const std::vector<detail::interface_pattern> patterns(list.begin(), list.end());
    interface_choice choice{{}, filter, {}};
    for (std::size_t i = 0; i != patterns.size(); ++i)
        if (std::none_of(locals.begin(), locals.end(),
                         [&](auto& local) { return patterns[i].matches(local); }))
            choice.unmatched.push_back(list[i]);

    const auto judge = [&](const local_address& local) {
        using enum interface_verdict;
        bool listed = false, exactly = false;
        for (const auto& each : patterns)
            if (each.matches(local))
                listed = true, exactly |= each.exact();
        if (!(local.address.is_v4() ? filter.ipv4 : filter.ipv6))
            return family_disabled;
        if (!local.up)
            return down;
        if (local.address.is_v6() && local.address.to_v6().is_link_local())
            return link_local;
        if (local.address.is_v6() && local.address.to_v6().is_v4_mapped())
            return v4_mapped;
        if (local.interface.starts_with("vir") && !(including && exactly))
            return virtual_device;
        if (including != listed && !patterns.empty())
            return including ? not_included : excluded;
        return local.loopback && filter.remote_connections ? loopback_not_remote : taken;
    };
    for (const auto& local : locals)
        choice.candidates.push_back({local, judge(local)});

    const auto fits = [](const auto& each) { return each.verdict == interface_verdict::taken; };
    const bool loopback = std::any_of(choice.candidates.begin(), choice.candidates.end(),
                                      [&](auto& each) { return fits(each) && each.at.loopback; });
    bool v4_taken = false, v6_taken = false;
    for (auto& each : choice.candidates) {
        if (!fits(each))
            continue;
        if (loopback && !each.at.loopback)
            each.verdict = interface_verdict::loopback_preferred;
        else if (std::exchange(each.at.address.is_v4() ? v4_taken : v6_taken, true))
            each.verdict = interface_verdict::another_taken;
    }
    return choice;
}

} // namespace pmixio
