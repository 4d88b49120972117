// Any bytes as a handshake request, its attributes in every encoding, and the request that says the same.
#include <pmixio/handshake/request.hpp>
#include <pmixio/policies.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace pmixio;
    using all = encodings<wire::v61, wire::v51, wire::v41, wire::v4, wire::v3, wire::v21, wire::v20>;

    const auto request = std::as_bytes(std::span(data, size));
    const auto said = parse_handshake(request);
    if (!said)
        return 0;
    if (!known(said->kind) || said->nspace.has_value() < sends_identity(said->kind))
        std::abort();
    for (std::size_t i = 0; i != all::size; ++i)
        all::visit(
            i, [&](auto tag) { static_cast<void>(decode_attributes<typename decltype(tag)::type>(*said)); });
    const auto again = make_handshake(*said);
    if (!again) {
        if (again.error() != fault::handshake_too_large) // by the stray NUL
            std::abort();
    } else if (const auto same = parse_handshake(*again);
               !same || same->kind != said->kind || same->nspace != said->nspace ||
               same->version != said->version || same->attributes.size() != said->attributes.size()) {
        std::abort();
    }
    return 0;
}
