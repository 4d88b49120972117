// Bytes as tests write, compare and print them.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace pmixio::test {

using bytes = std::vector<std::byte>;

/// The bytes that pairs of hex digits name; whatever is not a hex digit only separates: "02 0e | 67".
inline bytes hex(std::string_view text)
{
    bytes result;
    int high = -1;
    for (const char c : text) {
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0 && high >= 0)
            throw std::invalid_argument("half a byte in: " + std::string(text));
        if (digit < 0)
            continue;
        if (high >= 0)
            result.push_back(static_cast<std::byte>(high * 16 + digit));
        high = high >= 0 ? -1 : digit;
    }
    if (high >= 0)
        throw std::invalid_argument("half a byte in: " + std::string(text));
    return result;
}

/// The reverse, with a space between bytes: what CHECK should print.
inline std::string show(std::span<const std::byte> raw)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    for (const auto byte : raw) {
        if (!result.empty())
            result += ' ';
        result += digits[std::to_integer<std::size_t>(byte) / 16];
        result += digits[std::to_integer<std::size_t>(byte) % 16];
    }
    return result;
}

inline bytes bytes_of(std::string_view text)
{
    const auto raw = std::as_bytes(std::span(text.data(), text.size()));
    return {raw.begin(), raw.end()};
}

inline std::string_view to_text(std::span<const std::byte> raw)
{
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

inline bytes operator+(bytes left, const bytes& right)
{
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

/// The same numbers in every run, on every platform.
inline std::mt19937_64 numbers(std::uint64_t seed)
{
    return std::mt19937_64(seed);
}

} // namespace pmixio::test

template <> struct doctest::StringMaker<std::error_code> {
    static doctest::String convert(const std::error_code& code) { return code.message().c_str(); }
};
