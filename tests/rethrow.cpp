#include <pmixio/detail/asio.hpp>
#include <pmixio/rethrow.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <type_traits>

namespace {

asio::awaitable<void> count(int& runs)
{
    co_await asio::post(asio::use_awaitable);
    ++runs;
}

asio::awaitable<void> fail_at_once()
{
    throw std::runtime_error("at once");
    co_return;
}

asio::awaitable<void> fail_later()
{
    co_await asio::post(asio::use_awaitable);
    throw std::runtime_error("later");
}

static_assert(std::is_invocable_v<const pmixio::rethrow_t&, std::exception_ptr>);
static_assert(!std::is_invocable_v<const pmixio::rethrow_t&, std::exception_ptr, int>, "drops values");

TEST_CASE("what a spawned coroutine throws comes out of run(), which can go on")
{
    asio::io_context io;
    int runs = 0;
    asio::co_spawn(io, fail_at_once(), pmixio::rethrow);
    asio::co_spawn(io, fail_later(), pmixio::rethrow);
    asio::co_spawn(io, count(runs), pmixio::rethrow);
    CHECK_THROWS_WITH_AS(io.run(), "at once", std::runtime_error);
    CHECK_THROWS_WITH_AS(io.run(), "later", std::runtime_error);
    io.run();
    CHECK(runs == 1);
}

TEST_CASE("a coroutine that ends well is quiet")
{
    asio::io_context io;
    int runs = 0;
    asio::co_spawn(io, count(runs), pmixio::rethrow);
    io.run();
    CHECK(runs == 1);
}

} // namespace
