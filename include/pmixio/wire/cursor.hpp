// Bounded reads: the only code of the library that trusts a length.
#pragma once

#include <pmixio/error.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace pmixio::wire {

/// Reads forward through bytes that somebody else owns and that must stay alive as long as the cursor and
/// every view it gave out.
///
/// Errors stick: the first fault is kept, nothing is left to read after it, and every later read gives
/// zeros or empty views. So a parser reads all its fields and tests `ok()` once, at the end; a loop driven by a
/// count from the wire takes that count through `count()`, which bounds it by the bytes that are left.
class cursor {
public:
    constexpr cursor() noexcept = default;
    explicit constexpr cursor(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

    constexpr bool ok() const noexcept { return !failed_; }
    /// The first fault; meaningful only when !ok().
    constexpr fault error() const noexcept { return fault_; }
    constexpr std::size_t left() const noexcept { return rest_.size(); }
    constexpr bool at_end() const noexcept { return rest_.empty(); }
    /// The bytes not read yet.
    constexpr std::span<const std::byte> rest() const noexcept { return rest_; }

    constexpr void fail(fault f) noexcept
    {
        if (!failed_) {
            failed_ = true;
            fault_ = f;
        }
        rest_ = {};
    }

    constexpr std::uint8_t u8() noexcept
    {
        if (rest_.empty())
            return fail(fault::truncated), std::uint8_t{};
        const auto value = std::to_integer<std::uint8_t>(rest_.front());
        rest_ = rest_.subspan(1);
        return value;
    }

    /// Most significant byte first.
    template <std::unsigned_integral T>
    constexpr T big_endian() noexcept
    {
        const auto raw = bytes(sizeof(T));
        T value = 0;
        for (const auto byte : raw)
            value = static_cast<T>((std::uint64_t{value} << 8) | std::to_integer<std::uint64_t>(byte));
        return value;
    }

    /// In the byte order of this machine: the handshake's header and the native credential.
    template <std::unsigned_integral T>
    T host_order() noexcept
    {
        const auto raw = bytes(sizeof(T));
        T value = 0;
        if (!raw.empty())
            std::memcpy(&value, raw.data(), sizeof value);
        return value;
    }

    /// The next n bytes, or an empty view and fault::truncated.
    constexpr std::span<const std::byte> bytes(std::uint64_t n) noexcept
    {
        if (n > rest_.size())
            return fail(fault::truncated), std::span<const std::byte>{};
        const auto taken = rest_.first(static_cast<std::size_t>(n));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

    /// The next n bytes as text.
    std::string_view text(std::uint64_t n) noexcept
    {
        const auto raw = bytes(n);
        return {reinterpret_cast<const char*>(raw.data()), raw.size()};
    }

    /// Text up to the next NUL, which is consumed and not part of the view; fault::bad_string if there is none.
    std::string_view terminated() noexcept
    {
        const void* nul = rest_.empty() ? nullptr : std::memchr(rest_.data(), 0, rest_.size());
        if (!nul)
            return fail(rest_.empty() ? fault::truncated : fault::bad_string), std::string_view{};
        const auto view = text(static_cast<std::uint64_t>(static_cast<const std::byte*>(nul) - rest_.data()));
        u8();
        return view;
    }

    /// A number of elements that the wire announced: n, if n elements of at least `smallest` bytes fit in what
    /// is left; else 0 and fault::bad_count. Nothing may be reserved or looped over before this check.
    constexpr std::size_t count(std::uint64_t n, std::size_t smallest) noexcept
    {
        if (n > rest_.size() / smallest)
            return fail(fault::bad_count), std::size_t{};
        return static_cast<std::size_t>(n);
    }

    /// Nothing may follow the last field.
    constexpr void finish() noexcept
    {
        if (!rest_.empty())
            fail(fault::extra_bytes);
    }

private:
    std::span<const std::byte> rest_;
    fault fault_ = fault::truncated;
    bool failed_ = false;
};

} // namespace pmixio::wire
