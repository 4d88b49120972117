// Any bytes as a handshake request, and its attributes in every encoding.
#include <pmixio/handshake/hello.hpp>
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
        all::visit(i, [&](auto tag) { static_cast<void>(decode_attributes<typename decltype(tag)::type>(*said)); });
    return 0;
}
