// How a process learns where its server is: the URI, and the environment that carries it. handshake.md sections 1.1, 1.2.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/join.hpp>
#include <pmixio/result.hpp>
#include <pmixio/wire/types.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

/// `NSPACE.RANK;tcp4://ADDRESS:PORT`, or tcp6:// with the address in no brackets, as servers write it.
inline std::string server_uri(const wire::proc& server, const asio::ip::tcp::endpoint& at)
{
    return server.nspace + '.' + std::to_string(server.rank) + ";tcp" + (at.address().is_v6() ? '6' : '4') +
           "://" + at.address().to_string() + ':' + std::to_string(at.port());
}

/// A server and where it listens: what a URI says.
struct server_address {
    wire::proc server;
    asio::ip::tcp::endpoint at;

    friend bool operator==(const server_address&, const server_address&) = default;
};

inline std::string server_uri(const server_address& address)
{
    return server_uri(address.server, address.at);
}

/// Reads what servers of any release print. The rank follows the last dot and may be negative (up to 4.0 it was
/// printed as signed), an IPv6 address may have brackets, and the name may be there twice, as 2.0 wrote it.
/// Errors: fault::name_too_long; fault::bad_uri for any other form, host names included: they are not looked up.
inline result<server_address> parse_server_uri(std::string_view uri);

/// The variable that carries the URI for peers of one encoding.
inline std::string server_uri_variable(std::string_view encoding)
{
    return "PMIX_SERVER_URI" + std::string(encoding.substr(1));
}

/// The release that our answers look like. Some peers change their requests by it.
inline constexpr std::string_view advertised_release = "4.2.2";

/// What a launched process has to be told.
struct child_settings {
    wire::proc process;                           ///< who it is
    std::string uri;                              ///< server_uri()
    std::span<const std::string_view> encodings;  ///< names; each becomes one PMIX_SERVER_URIxx
    std::span<const std::string_view> securities; ///< names, preferred first
    wire::buffer_kind buffer = wire::buffer_kind::non_described;
    std::string hostname;                     ///< empty: the process finds out by itself
    std::string server_tmpdir, system_tmpdir; ///< where contact files are; empty: not said
};

using environment = std::vector<std::pair<std::string, std::string>>;

/// Whether a launcher must remove this variable from what a child would inherit: it speaks of another server.
inline bool is_foreign_variable(std::string_view name)
{
    return name.starts_with("PMIX_") || name.starts_with("OMPI_") || name.starts_with("PRTE_") ||
           name.starts_with("ORTE_");
}

/// The variables of one child. The data store is always `hash`: everything goes over the socket.
inline environment child_environment(const child_settings& child)
{
    environment result{
        {"PMIX_NAMESPACE", child.process.nspace},
        {"PMIX_RANK", std::to_string(child.process.rank)},
        {"PMIX_SECURITY_MODE", detail::join(child.securities)},
        {"PMIX_GDS_MODULE", "hash"},
        {"PMIX_BFROP_BUFFER_TYPE", child.buffer == wire::buffer_kind::non_described
                                       ? "PMIX_BFROP_BUFFER_NON_DESC"
                                       : "PMIX_BFROP_BUFFER_FULLY_DESC"},
        {"PMIX_VERSION", std::string(advertised_release)},
    };
    for (const auto encoding : child.encodings)
        result.emplace_back(server_uri_variable(encoding), child.uri);
    if (!child.hostname.empty())
        result.emplace_back("PMIX_HOSTNAME", child.hostname);
    if (!child.server_tmpdir.empty())
        result.emplace_back("PMIX_SERVER_TMPDIR", child.server_tmpdir);
    if (!child.system_tmpdir.empty())
        result.emplace_back("PMIX_SYSTEM_TMPDIR", child.system_tmpdir);
    return result;
}

/// What Open MPI 4 needs besides, to start through PMIx and not as a singleton of its own. messages.md section 15.
inline environment open_mpi_4_environment() { return {{"OMPI_MCA_schizo", "^orte"}}; }

// Below: implementation.

namespace detail {

/// All of the text as one decimal number.
template <class Integer>
std::optional<Integer> parse_decimal(std::string_view text) noexcept
{
    Integer value{};
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

inline bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

inline std::optional<asio::ip::tcp::endpoint> parse_transport(std::string_view text)
{
    const bool v6 = text.starts_with("tcp6://");
    if (!v6 && !text.starts_with("tcp4://"))
        return std::nullopt;
    text.remove_prefix(7);
    const auto colon = text.rfind(':');
    if (colon == text.npos)
        return std::nullopt;
    const auto port = parse_decimal<std::uint16_t>(text.substr(colon + 1));
    auto host = text.substr(0, colon);
    if (v6 && host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    std::error_code failed;
    const asio::ip::address address = v6 ? asio::ip::address(asio::ip::make_address_v6(host, failed))
                                         : asio::ip::address(asio::ip::make_address_v4(host, failed));
    const bool unknown_zone = v6 && host.find('%') != host.npos && address.to_v6().scope_id() == 0;
    if (failed || unknown_zone || address.is_unspecified() || address.is_multicast() || !port || *port == 0)
        return std::nullopt;
    return asio::ip::tcp::endpoint(address, *port);
}

} // namespace detail

inline result<server_address> parse_server_uri(std::string_view uri)
{
    const auto semicolon = uri.find(';');
    if (semicolon == uri.npos || uri.find(';', semicolon + 1) != uri.npos ||
        std::any_of(uri.begin(), uri.end(), detail::is_control))
        return fault::bad_uri;
    auto name = uri.substr(0, semicolon);
    if (const auto half = name.size() / 2;
        name.size() % 2 == 1 && name[half] == ':' && name.substr(0, half) == name.substr(half + 1))
        name = name.substr(0, half);

    const auto dot = name.rfind('.');
    if (dot == name.npos || dot == 0)
        return fault::bad_uri;
    if (dot > wire::max_nspace_length)
        return fault::name_too_long;
    const auto rank = detail::parse_decimal<std::int64_t>(name.substr(dot + 1));
    if (!rank || *rank < std::numeric_limits<std::int32_t>::min() ||
        *rank > std::numeric_limits<std::uint32_t>::max())
        return fault::bad_uri;
    const auto at = detail::parse_transport(uri.substr(semicolon + 1));
    if (!at)
        return fault::bad_uri;
    return server_address{{std::string(name.substr(0, dot)), static_cast<wire::rank_type>(*rank)}, *at};
}

} // namespace pmixio
