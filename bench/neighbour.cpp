// What one would write by hand in plain Asio: a coroutine for each peer that reads, and writes what the peer waits for. No
// parsing but lengths, no identity, no deadline.
#include "ready.hpp"

#include <pmixio/detail/asio.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace {

using asio::ip::tcp;

asio::awaitable<void> serve(tcp::socket peer, std::uint32_t index)
{
    std::error_code failed;
    const auto token = [&] { return asio::redirect_error(asio::use_awaitable, failed); };
    std::array<char, 16> header;
    std::vector<char> payload;
    for (bool greeted = false;; greeted = true) {
        co_await asio::async_read(peer, asio::buffer(header), token());
        if (failed)
            co_return;
        std::uint32_t length = 0;
        std::memcpy(&length, header.data() + 8, sizeof length);
        payload.resize(greeted ? __builtin_bswap32(length) : length);
        co_await asio::async_read(peer, asio::buffer(payload), token());
        if (failed)
            co_return;
        if (greeted) {
            std::array<char, 18> reply{};
            std::memcpy(reply.data() + 4, header.data() + 4, 4);
            reply[11] = reply[16] = 2;
            co_await asio::async_write(peer, asio::buffer(reply), token());
        } else {
            const std::uint32_t greeting[2] = {0, __builtin_bswap32(index)};
            co_await asio::async_write(peer, asio::buffer(greeting), token());
        }
        if (failed)
            co_return;
    }
}

asio::awaitable<void> listen(tcp::acceptor& at)
{
    for (std::uint32_t index = 0;; ++index) {
        auto peer = co_await at.async_accept(asio::use_awaitable);
        peer.set_option(tcp::no_delay(true));
        asio::co_spawn(at.get_executor(), serve(std::move(peer), index), [](std::exception_ptr) {});
    }
}

} // namespace

int main()
{
    bench::many_descriptors();
    asio::io_context io(1);
    tcp::acceptor at(io, {asio::ip::address_v4::loopback(), 0});
    bench::say_ready(at.local_endpoint().port());
    asio::co_spawn(io, listen(at), [](std::exception_ptr) {});
    io.run();
}
