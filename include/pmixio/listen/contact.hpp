// How a process learns where its server is: the URI, and the environment that carries it. handshake.md sections 1.1, 1.2.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/wire/types.hpp>

#include <cstdint>
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

/// What a launched process has to be told.
struct child_settings {
    wire::proc process;                           ///< who it is
    std::string uri;                              ///< server_uri()
    std::span<const std::string_view> encodings;  ///< names; each becomes one PMIX_SERVER_URIxx
    std::span<const std::string_view> securities; ///< names, preferred first
    wire::buffer_kind buffer = wire::buffer_kind::non_described;
    std::string hostname; ///< empty: the process finds out by itself
    std::string tmpdir;   ///< for the server's and the MPI library's files; empty: none
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
    const auto join = [](std::span<const std::string_view> names) {
        std::string list;
        for (const auto name : names)
            (list += list.empty() ? "" : ",") += name;
        return list;
    };
    environment result{
        {"PMIX_NAMESPACE", child.process.nspace},
        {"PMIX_RANK", std::to_string(child.process.rank)},
        {"PMIX_SECURITY_MODE", join(child.securities)},
        {"PMIX_GDS_MODULE", "hash"},
        {"PMIX_BFROP_BUFFER_TYPE", child.buffer == wire::buffer_kind::non_described
                                       ? "PMIX_BFROP_BUFFER_NON_DESC"
                                       : "PMIX_BFROP_BUFFER_FULLY_DESC"},
        // Some releases change their requests by the server's release; this one is what our answers look like.
        {"PMIX_VERSION", "4.2.2"},
    };
    for (const auto encoding : child.encodings)
        result.emplace_back("PMIX_SERVER_URI" + std::string(encoding.substr(1)), child.uri);
    if (!child.hostname.empty())
        result.emplace_back("PMIX_HOSTNAME", child.hostname);
    if (!child.tmpdir.empty()) {
        result.emplace_back("PMIX_SERVER_TMPDIR", child.tmpdir);
        result.emplace_back("PMIX_SYSTEM_TMPDIR", child.tmpdir);
    }
    return result;
}

/// What Open MPI 4 needs besides, to start through PMIx and not as a singleton of its own. messages.md section 15.
inline environment open_mpi_4_environment() { return {{"OMPI_MCA_schizo", "^orte"}}; }

} // namespace pmixio
