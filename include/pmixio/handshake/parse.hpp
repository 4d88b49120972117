// parse_handshake(stream): a request from a connection.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/handshake/hello.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace pmixio {

/// Reads one handshake request from `stream` and parses it. handshake.md sections 2 and 3.
///
/// Completes when the request is whole, or cannot become one. Reads no byte of what follows it, because peers send
/// nothing before they are answered: bytes behind the request are fault::extra_bytes.
/// Takes as long as the peer takes: put it under a deadline.
/// Errors: those of parse_handshake(bytes); closed_by_peer before the first byte, closed_inside_message after it;
/// the stream's own; operation_aborted when cancelled. The stream is left open in every case.
/// Memory follows the bytes that have arrived, not the length that was announced.
template <class Stream>
    requires requires(Stream& s) { s.get_executor(); }
asio::awaitable<result<hello>> parse_handshake(Stream& stream, std::size_t limit = max_handshake_bytes)
{
    std::size_t capacity = 256, have = 0, whole = wire::frame_header_size;
    auto storage = std::make_unique_for_overwrite<std::byte[]>(capacity);
    const auto cancellation = co_await asio::this_coro::cancellation_state;

    while (have < whole) {
        if (have == capacity) {
            capacity = std::min(whole + 1, 2 * capacity);
            auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
            std::copy_n(storage.get(), have, larger.get());
            storage = std::move(larger);
        }
        if (cancellation.cancelled() != asio::cancellation_type::none)
            co_return make_error_code(asio::error::operation_aborted);
        std::error_code failed;
        const auto n = co_await stream.async_read_some(asio::buffer(storage.get() + have, capacity - have),
                                                       asio::redirect_error(asio::use_awaitable, failed));
        if (failed == asio::error::eof)
            co_return have == 0 ? fault::closed_by_peer : fault::closed_inside_message;
        if (failed)
            co_return failed;
        have += n;
        if (whole == wire::frame_header_size && have >= whole) {
            const auto size = handshake_size(
                std::span<const std::byte, wire::frame_header_size>(storage.get(), wire::frame_header_size),
                limit);
            if (!size)
                co_return size.error();
            whole = *size;
        }
    }

    auto said = parse_handshake(std::span<const std::byte>(storage.get(), have), limit);
    if (said)
        said->storage = std::move(storage);
    co_return said;
}

} // namespace pmixio
