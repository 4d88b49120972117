// The 16-byte header in front of every message. messages.md section 1, handshake.md section 2.
//
// | offset | size | field  | handshake request | after the handshake |
// |--------|------|--------|-------------------|---------------------|
// | 0      | 4    | pindex | host order, -1    | network order       |
// | 4      | 4    | tag    | host order, -1    | network order       |
// | 8      | 4    | nbytes | host order        | network order       |
// | 12     | 4    | padding: written 0, not read                    |
#pragma once

#include <pmixio/wire/cursor.hpp>
#include <pmixio/wire/writer.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace pmixio::wire {

inline constexpr std::size_t frame_header_size = 16;

/// Tags below this are for unsolicited messages; requests of clients start above it.
inline constexpr std::uint32_t first_request_tag = 101;
inline constexpr std::uint32_t event_tag = 0, heartbeat_tag = 1, io_forwarding_tag = 2;

struct frame_header {
    std::int32_t pindex =
        0; ///< the peer's index at the server; identifies nobody, see handshake.md section 2
    std::uint32_t tag = 0;
    std::uint32_t nbytes = 0;

    static frame_header parse(std::span<const std::byte, frame_header_size> raw) noexcept
    {
        cursor in(raw);
        frame_header header;
        header.pindex = static_cast<std::int32_t>(in.big_endian<std::uint32_t>());
        header.tag = in.big_endian<std::uint32_t>();
        header.nbytes = in.big_endian<std::uint32_t>();
        return header;
    }

    void append_to(writer& out) const
    {
        out.big_endian(static_cast<std::uint32_t>(pindex));
        out.big_endian(tag);
        out.big_endian(nbytes);
        out.zeros(4);
    }

    /// Changes the tag of a whole frame.
    static void set_tag(std::span<std::byte> frame, std::uint32_t tag) noexcept
    {
        writer::put_big_endian(frame.data() + 4, tag);
    }
};

} // namespace pmixio::wire
