// parse_handshake(stream): a request from a connection.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/handshake/hello.hpp>

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

namespace pmixio {

/// Reads one handshake request from `stream` and parses it. handshake.md sections 2 and 3.
///
/// Completes when the request is whole, or cannot become one. Reads no byte of what follows it, because peers send
/// nothing before they are answered: bytes behind the request are fault::extra_bytes.
/// Takes as long as the peer takes: put it under a deadline. `begun`: what was read of it already; must outlive the call.
/// Errors: those of parse_handshake(bytes); closed_by_peer before the first byte, closed_inside_message after it;
/// the stream's own; operation_aborted when cancelled. The stream is left open in every case.
/// Memory follows the bytes that have arrived, not the length that was announced.
template <class Stream>
    requires requires(Stream& s) { s.get_executor(); }
asio::awaitable<result<hello>> parse_handshake(Stream& stream, std::size_t limit = max_handshake_bytes,
                                               std::span<const std::byte> begun = {})
{
    std::size_t capacity = std::max<std::size_t>(256, begun.size()), have = begun.size();
    auto storage = std::make_unique_for_overwrite<std::byte[]>(capacity);
    std::copy(begun.begin(), begun.end(), storage.get());
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto so_far = [&] { return std::span<const std::byte>(storage.get(), have); };

    while (!is_whole_request(so_far(), limit)) {
        if (have == capacity) {
            const auto whole = handshake_size(so_far().template first<wire::frame_header_size>(), limit);
            capacity = std::min(*whole + 1, 2 * capacity);
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
    }

    auto said = parse_handshake(so_far(), limit);
    if (said)
        said->storage = std::move(storage);
    co_return said;
}

} // namespace pmixio
