#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/operation_memory.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace {

using pmixio::detail::operation_memory;

bool inside(const operation_memory& memory, const void* at)
{
    const auto begin = reinterpret_cast<std::uintptr_t>(&memory),
               where = reinterpret_cast<std::uintptr_t>(at);
    return where >= begin && where < begin + sizeof memory;
}

/// Whether the next small operation would be kept in it.
bool free(operation_memory& memory)
{
    operation_memory::allocator<std::byte> from(memory);
    auto* at = from.allocate(1);
    const bool is = inside(memory, at);
    from.deallocate(at, 1);
    return is;
}

struct handler {
    operation_memory* memory;

    using allocator_type = operation_memory::allocator<void>;
    allocator_type get_allocator() const noexcept { return allocator_type(*memory); }
    void operator()(std::error_code, std::size_t) const { CHECK(free(*memory)); }
};

} // namespace

TEST_CASE("one allocation has room, and others and larger ones are the heap's")
{
    operation_memory memory;
    operation_memory::allocator<std::uint64_t> from(memory);
    auto* const first = from.allocate(20);
    auto* const second = from.allocate(20);
    CHECK(inside(memory, first));
    CHECK_FALSE(inside(memory, second));
    from.deallocate(second, 20);
    CHECK_FALSE(free(memory));
    from.deallocate(first, 20);
    CHECK(free(memory));
    auto* const large = from.allocate(21);
    CHECK_FALSE(inside(memory, large));
    from.deallocate(large, 21);
    CHECK(free(memory));
}

TEST_CASE("a read that waits on a socket is kept there until its handler is called, or it is dropped")
{
    operation_memory memory;
    std::array<std::byte, 8> bytes;
    {
        asio::io_context io;
        asio::ip::tcp::acceptor at(io, {asio::ip::address_v4::loopback(), 0});
        asio::ip::tcp::socket link(io), peer(io);
        link.connect(at.local_endpoint());
        at.accept(peer);
        link.async_read_some(asio::buffer(bytes), handler{&memory});
        CHECK_FALSE(free(memory));
        peer.close();
        CHECK(io.run() == 1);
        CHECK(free(memory));
        link.async_read_some(asio::buffer(bytes), handler{&memory});
        CHECK_FALSE(free(memory));
    }
    CHECK(free(memory));
}
