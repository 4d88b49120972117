// Any bytes as a contact file, a URI, and the lists of a configuration.
#include <pmixio/listen/config.hpp>
#include <pmixio/listen/contact_file.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace pmixio;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto found = parse_contact(text)) {
        // What was understood can be written and means the same.
        const auto again = parse_server_uri(server_uri(found->address));
        if (!again || *again != found->address)
            std::abort();
    }
    if (const auto address = parse_server_uri(text);
        address && (address->server.nspace.empty() || address->at.port() == 0))
        std::abort();

    listener_config config;
    for (const std::string_view parameter : {"if_include", "ipv4_ports", "connection_wait_time", "disable_ipv6_family"})
        try {
            apply_mca_environment(config, {{"PMIX_MCA_ptl_base_" + std::string(parameter), std::string(text)}});
        } catch (const std::invalid_argument&) { // the only answer to nonsense
        }
    return 0;
}
