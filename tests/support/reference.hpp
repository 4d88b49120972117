// Integers of the protocol once more, as the sentences of messages.md section 4 say them and nothing else:
// slow, plain, and without a line in common with the library.
#pragma once

#include "bytes.hpp"

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

namespace pmixio::test::reference {

/// "fixed width, big-endian two's complement"
template <std::integral T>
bytes native(T value)
{
    bytes result;
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8)
        result.push_back(static_cast<std::byte>(static_cast<std::make_unsigned_t<T>>(value) >> shift));
    return result;
}

/// "v >= 0 -> 2v, v < 0 -> 2*(-1-v)+1 (sign taken after sign-extension to 64 bits)"
inline std::uint64_t zig_zag(std::int64_t v)
{
    return v >= 0 ? 2 * static_cast<std::uint64_t>(v) : 2 * static_cast<std::uint64_t>(-1 - v) + 1;
}

/// "base-128, least significant group first, bit 7 = another byte follows; at most 8 such bytes, and if bits
/// remain a 9th byte holds the top 8 bits whole"
inline bytes flex_raw(std::uint64_t value)
{
    bytes result;
    for (int group = 0; group != 8; ++group) {
        const auto low = value % 128;
        value /= 128;
        result.push_back(static_cast<std::byte>(value == 0 ? low : low + 128));
        if (value == 0)
            return result;
    }
    result.push_back(static_cast<std::byte>(value));
    return result;
}

template <std::integral T>
bytes flex(T value)
{
    if constexpr (std::is_signed_v<T>)
        return flex_raw(zig_zag(value));
    else
        return flex_raw(value);
}

} // namespace pmixio::test::reference
