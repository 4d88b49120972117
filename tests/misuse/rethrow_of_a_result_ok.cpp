#include <pmixio/detail/asio.hpp>
#include <pmixio/rethrow.hpp>

asio::awaitable<void> work()
{
    co_return;
}

void start(asio::io_context& io) { asio::co_spawn(io, work(), pmixio::rethrow); }
