// Any bytes as a handshake's reply, to a peer of a kind and from a server of a release that the first two bytes choose, and the
// reply that says the same.
#include <pmixio/handshake/reply.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace pmixio;
    if (size < 2)
        return 0;
    const auto kind = static_cast<peer_kind>(data[0] % 11);
    const wire::release server = data[1] % 2 ? wire::release{3, 1, 2} : wire::release{};
    const auto reply = std::as_bytes(std::span(data, size)).subspan(2);

    std::size_t have = 0; // as a reader of a stream asks for it
    while (have < reply.size()) {
        const auto whole = reply_size(reply.first(have), kind, server);
        if (whole > 528)
            std::abort();
        if (have >= whole || whole > reply.size())
            break;
        have = whole;
    }
    const auto answer = parse_reply(reply, kind, server);
    if (!answer)
        return 0;
    const bool is_short = answer->index.has_value();
    if (have != reply.size() || answer->server.has_value() == is_short ||
        (is_short && needs_identity(kind)) || answer->assigned.has_value() != needs_identity(kind))
        std::abort();

    wire::byte_buffer again;
    wire::writer out(again);
    if (is_short)
        append_client_reply(out, *answer->index);
    else
        append_tool_reply(out, *answer->server, answer->assigned);
    if (again.size() > reply.size() || parse_reply(again, kind).value() != *answer)
        std::abort();
    return 0;
}
