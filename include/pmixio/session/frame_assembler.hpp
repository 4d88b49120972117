// From a stream of bytes to whole messages, however they were cut.
#pragma once

#include <pmixio/result.hpp>
#include <pmixio/wire/frame.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace pmixio {

/// Cuts received bytes into frames. A frame that arrives whole is handed out in place; only the rest of an incomplete one
/// is kept, and memory for it follows the bytes that have come, not the length that was announced.
class frame_assembler {
public:
    /// Takes bytes; calls `on_frame(header, payload)` for every frame that is complete with them, until it returns false,
    /// which also drops what follows. The payload view lasts for the call.
    /// Fault: message_too_large, as soon as a header announces more than `limit`; rejected() is that header. The assembler
    /// must not be fed again after a fault.
    template <class OnFrame>
    result<void> feed(std::span<const std::byte> bytes, std::size_t limit, OnFrame on_frame)
    {
        while (!bytes.empty()) {
            if (!partial_.empty()) {
                const auto more = complete(bytes, limit);
                if (!more)
                    return more;
                if (!whole())
                    return {};
                wire::byte_buffer frame;
                frame.swap(partial_);
                if (!deliver(frame, on_frame))
                    return {};
                continue;
            }
            if (bytes.size() < wire::frame_header_size) {
                partial_.assign(bytes.begin(), bytes.end());
                return {};
            }
            const auto size = frame_size(bytes, limit);
            if (!size)
                return size.error();
            if (*size > bytes.size()) {
                partial_.assign(bytes.begin(), bytes.end());
                return {};
            }
            const auto frame = bytes.first(*size);
            bytes = bytes.subspan(*size);
            if (!deliver(frame, on_frame))
                return {};
        }
        return {};
    }

    /// Whether a frame has begun and is not complete.
    bool inside_frame() const noexcept { return !partial_.empty(); }
    const wire::frame_header& rejected() const noexcept { return rejected_; }

private:
    result<std::size_t> frame_size(std::span<const std::byte> bytes, std::size_t limit)
    {
        const auto header = wire::frame_header::parse(bytes.first<wire::frame_header_size>());
        if (header.nbytes > limit) {
            rejected_ = header;
            return fault::message_too_large;
        }
        return wire::frame_header_size + header.nbytes;
    }

    bool whole() const
    {
        return partial_.size() >= wire::frame_header_size &&
               partial_.size() ==
                   wire::frame_header_size +
                       wire::frame_header::parse(std::span(partial_).first<wire::frame_header_size>()).nbytes;
    }

    /// Moves bytes into partial_, up to the end of its header, then of its frame.
    result<void> complete(std::span<const std::byte>& bytes, std::size_t limit)
    {
        if (partial_.size() < wire::frame_header_size)
            take(bytes, wire::frame_header_size);
        if (partial_.size() < wire::frame_header_size)
            return {};
        const auto size = frame_size(partial_, limit);
        if (!size)
            return size.error();
        take(bytes, *size);
        return {};
    }

    void take(std::span<const std::byte>& bytes, std::size_t up_to)
    {
        const auto piece = bytes.first(std::min(bytes.size(), up_to - partial_.size()));
        partial_.insert(partial_.end(), piece.begin(), piece.end());
        bytes = bytes.subspan(piece.size());
    }

    template <class OnFrame>
    static bool deliver(std::span<const std::byte> frame, OnFrame& on_frame)
    {
        return on_frame(wire::frame_header::parse(frame.first<wire::frame_header_size>()),
                        frame.subspan(wire::frame_header_size));
    }

    wire::byte_buffer partial_;
    wire::frame_header rejected_;
};

} // namespace pmixio
