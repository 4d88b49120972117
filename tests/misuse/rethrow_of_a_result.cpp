// expect: pmixio::rethrow_t
#include <pmixio/detail/asio.hpp>
#include <pmixio/rethrow.hpp>
#include <pmixio/result.hpp>

asio::awaitable<pmixio::result<void>> work()
{
    co_return pmixio::fault::closed_by_us;
}

void start(asio::io_context& io) { asio::co_spawn(io, work(), pmixio::rethrow); }
