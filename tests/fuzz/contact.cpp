// Any bytes as a contact file and as a URI.
#include <pmixio/listen/contact_file.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::string name_of(const pmixio::wire::proc& server)
{
    return server.nspace + '.' + std::to_string(server.rank);
}

/// What was understood can be written, in a contact file too, and means the same; but for a name that is another one
/// doubled, which means that one.
void check(const pmixio::server_address& address)
{
    if (address.server.nspace.empty() || address.at.port() == 0)
        std::abort();
    const auto uri = server_uri(address);
    const auto again = pmixio::parse_server_uri(uri).value();
    const auto once = name_of(again.server);
    if (again.at != address.at ||
        (again.server != address.server && name_of(address.server) != once + ':' + once) ||
        pmixio::parse_contact(pmixio::contact_file_text(uri)).value().address != again ||
        pmixio::parse_contact(pmixio::report_file_text(uri)).value().address != again)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto found = pmixio::parse_contact(text)) {
        if (found->version.empty() || found->version.size() > text.size() + 3 ||
            (found->pid && *found->pid <= 0))
            std::abort();
        check(found->address);
    }
    if (const auto address = pmixio::parse_server_uri(text))
        check(*address);
    return 0;
}
