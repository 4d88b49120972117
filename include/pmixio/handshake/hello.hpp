// The handshake request: everything a peer says about itself, unverified. handshake.md sections 2 and 3.
//
// A 16-byte frame header in host order, then the payload; integers in network order, strings NUL-terminated:
//
// | field             | bytes     | peer kinds                                  | releases                     |
// |-------------------|-----------|---------------------------------------------|------------------------------|
// | security module   | string    | all                                         | all                          |
// | credential length | 4         | all                                         | all                          |
// | credential        | as said   | all                                         | all                          |
// | kind              | 1         | all                                         | all                          |
// | euid, egid        | 4 + 4     | all but client                              | all                          |
// | nspace, rank      | string, 4 | client, and tools that have an identity     | all                          |
// | version           | string    | all                                         | 2.0 ends here                |
// | bfrops module     | string    | all                                         | 2.1 -                        |
// | buffer kind       | 1         | all                                         | 2.1 -                        |
// | gds module        | string    | all                                         | 2.1 -                        |
// | has identity      | 1 [+ nspace, rank] | legacy tool, legacy launcher       | 3.0                          |
// | attributes        | packed    | tools, singletons; clients of 6.1           | 2.2 -                        |
// | stray NUL         | 1         | all                                         | 4.0.0 - 4.2.2                |
#pragma once

#include <pmixio/handshake/peer_kind.hpp>
#include <pmixio/result.hpp>
#include <pmixio/wire/buffer.hpp>
#include <pmixio/wire/frame.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace pmixio {

/// PMIX_MAX_CRED_SIZE: no release sends or takes a larger payload.
inline constexpr std::size_t max_handshake_bytes = 131'072;

/// Releases that count one byte too many, so that a NUL ends their requests.
constexpr bool sends_stray_nul(const wire::release& r) noexcept
{
    return r >= wire::release{4, 0, 0} && r <= wire::release{4, 2, 2};
}

/// What a peer says about itself. Nothing in here is verified.
///
/// All views point into the request's bytes. parse_handshake(bytes) leaves those to the caller;
/// parse_handshake(stream) puts them into `storage`, so that a hello can be moved as a whole.
struct hello {
    std::string_view security; ///< security module, or a comma list of them; empty: any
    std::span<const std::byte> credential;
    peer_kind kind = peer_kind::client;
    std::optional<std::uint32_t> uid, gid;  ///< as claimed; tools only
    std::optional<std::string_view> nspace; ///< kinds that have an identity
    wire::rank_type rank = wire::rank::undefined;
    std::string_view version;  ///< of the peer's library, e.g. "4.2.2rc2"
    wire::release release;     ///< the numbers in `version`
    std::string_view encoding; ///< bfrops module, or a comma list; empty: any
    wire::buffer_kind buffer = wire::buffer_kind::non_described;
    std::string_view gds;                  ///< where the peer keeps data; informative
    std::span<const std::byte> attributes; ///< packed, see decode_attributes()

    std::unique_ptr<std::byte[]> storage; ///< empty, or what the views point into
};

/// Size of a whole request whose first 16 bytes are these. Error: handshake_too_large above `limit` (payload bytes),
/// which is also what a peer of another byte order looks like.
inline result<std::size_t> handshake_size(std::span<const std::byte, wire::frame_header_size> header,
                                          std::size_t limit = max_handshake_bytes) noexcept
{
    wire::cursor in(header.subspan<8, 4>());
    const std::size_t payload = in.host_order<std::uint32_t>();
    if (payload > limit)
        return fault::handshake_too_large;
    return wire::frame_header_size + payload;
}

/// Whether these bytes are a whole request, or what cannot become one: whether parse_handshake() has the last word.
inline bool is_whole_request(std::span<const std::byte> bytes,
                             std::size_t limit = max_handshake_bytes) noexcept
{
    if (bytes.size() < wire::frame_header_size)
        return false;
    const auto size = handshake_size(bytes.first<wire::frame_header_size>(), limit);
    return !size || bytes.size() >= *size;
}

/// Reads one whole request, header included, in place: no copies, no allocation.
/// Errors: every fault of the bytes; handshake_too_large; unknown_peer_kind; bad_buffer_kind; name_too_long.
inline result<hello> parse_handshake(std::span<const std::byte> request,
                                     std::size_t limit = max_handshake_bytes)
{
    if (request.size() < wire::frame_header_size)
        return fault::truncated;
    const auto size = handshake_size(request.first<wire::frame_header_size>(), limit);
    if (!size)
        return size.error();
    if (*size != request.size())
        return *size > request.size() ? fault::truncated : fault::extra_bytes;

    wire::cursor in(request.subspan(wire::frame_header_size));
    const auto identity = [&](hello& to) {
        to.nspace = in.terminated();
        to.rank = in.big_endian<std::uint32_t>();
        if (to.nspace->size() > wire::max_nspace_length)
            in.fail(fault::name_too_long);
    };

    hello said;
    said.security = in.terminated();
    said.credential = in.bytes(in.big_endian<std::uint32_t>());
    said.kind = static_cast<peer_kind>(in.u8());
    if (in.ok() && !known(said.kind))
        return fault::unknown_peer_kind;
    if (sends_user(said.kind)) {
        said.uid = in.big_endian<std::uint32_t>();
        said.gid = in.big_endian<std::uint32_t>();
    }
    if (sends_identity(said.kind))
        identity(said);
    said.version = in.terminated();
    said.release = wire::release::parse(said.version);

    if (said.release.major == 2 && said.release.minor == 0) {
        said.encoding = "v20";
        in.finish();
    } else {
        said.encoding = in.terminated();
        const auto kind = in.u8();
        said.gds = in.terminated();
        if (in.ok() && kind != 1 && kind != 2)
            return fault::bad_buffer_kind;
        said.buffer = static_cast<wire::buffer_kind>(kind);
        if (is_legacy(said.kind) && said.release.major == 3) {
            const auto has_identity = in.u8();
            if (has_identity == 1)
                identity(said);
            else if (has_identity != 0)
                in.fail(fault::bad_boolean);
        }
        said.attributes = in.rest();
        if (sends_stray_nul(said.release) && !said.attributes.empty() &&
            said.attributes.back() == std::byte{0})
            said.attributes = said.attributes.first(said.attributes.size() - 1);
    }
    if (!in.ok())
        return in.error();
    return said;
}

/// The request that a hello was read from by parse_handshake(stream).
inline std::span<const std::byte> request_in(const hello& said) noexcept
{
    const auto* bytes = said.storage.get();
    const auto size =
        handshake_size(std::span<const std::byte, wire::frame_header_size>(bytes, wire::frame_header_size));
    return {bytes, *size};
}

/// The attributes at the end of a request, in the encoding the peer named. Most hosts never need them.
template <wire::buffer_ops_policy Encoding>
result<std::vector<wire::info>> decode_attributes(const hello& said)
{
    std::vector<wire::info> infos;
    if (said.attributes.empty())
        return infos;
    wire::cursor bytes(said.attributes);
    wire::decoder<wire::family<typename Encoding::form>> in(bytes,
                                                            {said.buffer, said.release, Encoding::newest});
    in.list(wire::as<wire::data_type::info>, infos);
    if (const auto done = in.finish(); !done)
        return done.error();
    return infos;
}

} // namespace pmixio
