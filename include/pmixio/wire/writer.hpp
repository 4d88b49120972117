// Bounded writes, the mirror image of cursor.
#pragma once

#include <pmixio/error.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace pmixio::wire {

/// A growing piece of message. Header and body live in one, so that both leave in one write.
using byte_buffer = std::vector<std::byte>;

/// Appends to a byte_buffer that somebody else owns.
///
/// Errors stick, as in cursor: the first fault is kept, later writes do nothing, `ok()` is tested once at the end.
/// What was appended before the fault stays in the target.
class writer {
public:
    /// `limit` bounds the size of the whole target; a write beyond it is fault::message_too_large.
    explicit writer(byte_buffer& target, std::size_t limit = SIZE_MAX) noexcept
        : target_(&target), limit_(limit)
    {}

    bool ok() const noexcept { return !failed_; }
    fault error() const noexcept { return fault_; }
    std::size_t size() const noexcept { return target_->size(); }

    void fail(fault f) noexcept
    {
        if (!failed_) {
            failed_ = true;
            fault_ = f;
        }
    }

    void u8(std::uint8_t value)
    {
        if (room(1))
            target_->push_back(std::byte{value});
    }

    template <std::unsigned_integral T>
    void big_endian(T value)
    {
        std::byte raw[sizeof(T)];
        put_big_endian(raw, value);
        append(raw);
    }

    template <std::unsigned_integral T>
    void host_order(T value)
    {
        append(std::as_bytes(std::span(&value, 1)));
    }

    void append(std::span<const std::byte> raw)
    {
        if (room(raw.size()))
            target_->insert(target_->end(), raw.begin(), raw.end());
    }

    void text(std::string_view value) { append(std::as_bytes(std::span(value.data(), value.size()))); }

    void terminated(std::string_view value)
    {
        text(value);
        u8(0);
    }

    /// n zero bytes, to be filled in later through patch().
    void zeros(std::size_t n)
    {
        if (room(n))
            target_->resize(target_->size() + n);
    }

    /// Overwrites four bytes that were written before, most significant byte first.
    void patch(std::size_t offset, std::uint32_t value)
    {
        if (!failed_)
            put_big_endian(target_->data() + offset, value);
    }

    template <std::unsigned_integral T>
    static void put_big_endian(std::byte* to, T value) noexcept
    {
        for (std::size_t i = 0; i != sizeof(T); ++i)
            to[i] = static_cast<std::byte>(std::uint64_t{value} >> (8 * (sizeof(T) - 1 - i)));
    }

private:
    bool room(std::size_t n)
    {
        if (!failed_ && n > limit_ - std::min(limit_, target_->size()))
            fail(fault::message_too_large);
        return !failed_;
    }

    byte_buffer* target_;
    std::size_t limit_;
    fault fault_ = fault::message_too_large;
    bool failed_ = false;
};

} // namespace pmixio::wire
