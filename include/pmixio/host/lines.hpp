// Text of processes, in whole lines.
#pragma once

#include <pmixio/detail/asio.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace pmixio {

/// Reads text and gives it in whole lines, so that the lines of several processes can be put together.
class line_reader {
public:
    /// A line longer than `longest` bytes is given in pieces.
    explicit line_reader(asio::posix::stream_descriptor from, std::size_t longest = 1 << 20)
        : from_(std::move(from)), longest_(longest)
    {}

    /// Completes with one or more whole lines, and with the rest at the end; empty: there is no more, the writer has closed or
    /// reading failed. Cancelled: as at the end. One call at a time; the reader must stay where it is meanwhile.
    asio::awaitable<std::string> next()
    {
        while (!ended_) {
            char piece[16 * 1024];
            const auto n = co_await from_.async_read_some(asio::buffer(piece),
                                                          asio::redirect_error(asio::use_awaitable, ended_));
            text_.append(piece, n);
            if (const auto end = text_.rfind('\n') + 1; end != 0)
                co_return std::exchange(text_, text_.substr(end)).substr(0, end);
            if (text_.size() > longest_)
                break;
        }
        co_return std::exchange(text_, {});
    }

private:
    asio::posix::stream_descriptor from_;
    std::size_t longest_;
    std::string text_;
    std::error_code ended_;
};

namespace detail {

inline asio::awaitable<void> write_all_here(int to, std::string text)
{
    for (std::string_view rest = text; !rest.empty();) {
        const auto written = ::write(to, rest.data(), rest.size());
        if (written < 0 && errno != EINTR)
            break;
        rest.remove_prefix(static_cast<std::size_t>(std::max<::ssize_t>(written, 0)));
    }
    co_return;
}

} // namespace detail

/// Writes text to a descriptor that may block, on `where`, best a pool of one thread, which keeps texts whole and in order.
/// Its threads must end before the context of the caller's executor does. Completes when it is written, or cannot be:
/// nobody reads there any more. Must not be cancelled (reset the coroutine's
/// cancellation state first): what another thread does cannot be.
inline asio::awaitable<void> write_all(asio::any_io_executor where, int to, std::string text)
{
    co_await asio::co_spawn(where, detail::write_all_here(to, std::move(text)), asio::use_awaitable);
}

/// Puts a tag in front of every line, and ends the last one.
inline std::string tag_lines(std::string_view lines, std::string_view tag)
{
    std::string result;
    while (!lines.empty()) {
        const auto end = lines.find('\n');
        (result += tag) += lines.substr(0, end);
        result += '\n';
        lines.remove_prefix(end == lines.npos ? lines.size() : end + 1);
    }
    return result;
}

} // namespace pmixio
