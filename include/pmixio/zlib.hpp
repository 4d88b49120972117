// Inflating what processes compress: for a host that includes this and links zlib. messages.md section 8.7.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace pmixio {

/// For defaults::inflate: `static constexpr auto inflate = pmixio::zlib_inflate;`
inline std::optional<std::string> zlib_inflate(std::span<const std::byte> stream, std::size_t length)
{
    std::string text(length, '\0');
    auto left = static_cast<uLongf>(length);
    auto used = static_cast<uLong>(stream.size());
    const auto done = ::uncompress2(reinterpret_cast<Bytef*>(text.data()), &left,
                                    reinterpret_cast<const Bytef*>(stream.data()), &used);
    return done == Z_OK && left == length && used == stream.size() ? std::optional(std::move(text))
                                                                   : std::nullopt;
}

} // namespace pmixio
