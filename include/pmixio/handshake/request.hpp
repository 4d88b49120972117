// The connecting half of the handshake: a request from what is to be said in it. handshake.md sections 2 and 3; the
// layout is in hello.hpp.
#pragma once

#include <pmixio/handshake/hello.hpp>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace pmixio {

/// The whole request that says this, header included: parse_handshake() of it gives the same hello. The release is what
/// `version` says, and decides the form; `release` and `storage` are not looked at.
/// Faults: unencodable for a text with a NUL inside, and for a kind without the user or namespace that it sends;
/// name_too_long; handshake_too_large.
inline result<wire::byte_buffer> make_handshake(const hello& said)
{
    wire::byte_buffer request;
    wire::writer out(request, wire::frame_header_size + max_handshake_bytes);
    const auto text = [&](std::string_view content) {
        if (content.find('\0') != content.npos)
            out.fail(fault::unencodable);
        out.terminated(content);
    };
    const auto identity = [&] {
        if (!said.nspace)
            return out.fail(fault::unencodable);
        if (said.nspace->size() > wire::max_nspace_length)
            out.fail(fault::name_too_long);
        text(*said.nspace);
        out.big_endian(said.rank);
    };
    const auto release = wire::release::parse(said.version);

    out.host_order(UINT32_MAX); // the index, and the tag, that nobody has yet
    out.host_order(UINT32_MAX);
    out.zeros(8);
    text(said.security);
    out.big_endian(static_cast<std::uint32_t>(said.credential.size()));
    out.append(said.credential);
    out.u8(static_cast<std::uint8_t>(said.kind));
    if (sends_user(said.kind)) {
        if (!said.uid || !said.gid)
            return fault::unencodable;
        out.big_endian(*said.uid);
        out.big_endian(*said.gid);
    }
    if (sends_identity(said.kind))
        identity();
    text(said.version);
    if (release.major != 2 || release.minor != 0) {
        text(said.encoding);
        out.u8(static_cast<std::uint8_t>(said.buffer));
        text(said.gds);
        if (is_legacy(said.kind) && release.major == 3) {
            out.u8(said.nspace ? 1 : 0);
            if (said.nspace)
                identity();
        }
        out.append(said.attributes);
        if (sends_stray_nul(release))
            out.u8(0);
    }
    if (!out.ok())
        return out.error() == fault::message_too_large ? fault::handshake_too_large : out.error();
    const auto payload = static_cast<std::uint32_t>(request.size() - wire::frame_header_size);
    std::memcpy(request.data() + 8, &payload, sizeof payload);
    return request;
}

/// What hello::attributes holds, for a peer that announces this encoding: the reverse of decode_attributes(). Nothing for
/// no attributes. Faults: unencodable; name_too_long.
template <wire::buffer_ops_policy Encoding>
result<wire::byte_buffer> encode_attributes(const std::vector<wire::info>& infos, const wire::agreement& with)
{
    wire::byte_buffer packed;
    wire::writer out(packed, max_handshake_bytes);
    if (!infos.empty())
        wire::encoder<wire::family<typename Encoding::form>>(out, {with.kind, with.release, Encoding::newest})
            .list(wire::as<wire::data_type::info>, infos);
    if (!out.ok())
        return out.error() == fault::message_too_large ? fault::handshake_too_large : out.error();
    return packed;
}

} // namespace pmixio
