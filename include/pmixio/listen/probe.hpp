// Is anybody there? A contact file outlives a server that crashed.
#pragma once

#include <pmixio/deadline.hpp>
#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/descriptor.hpp>
#include <pmixio/result.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <system_error>

namespace pmixio {

/// Whether somebody listens at an address: connects to it and closes at once.
///
/// Completes with success when connected. Errors: connection_refused when nobody listens; fault::rendezvous_timeout
/// when `limit` passes without an answer; what else the system says, none of which proves that nobody is there;
/// operation_aborted when cancelled.
inline asio::awaitable<result<void>> probe(asio::ip::tcp::endpoint at,
                                           std::chrono::steady_clock::duration limit);

// Below: implementation.

namespace detail {

inline asio::awaitable<result<void>> connect_and_close(asio::ip::tcp::endpoint at)
{
    descriptor opened(
        ::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
    if (!opened)
        co_return std::error_code(errno, std::system_category());
    asio::ip::tcp::socket connecting(co_await asio::this_coro::executor);
    std::error_code failed;
    connecting.assign(at.protocol(), opened.get(), failed);
    if (failed)
        co_return failed;
    opened.release();
    co_await connecting.async_connect(at, asio::redirect_error(asio::use_awaitable, failed));
    // A port that nobody listens on may be given to us: then TCP connects us to ourselves.
    if (!failed && connecting.local_endpoint(failed) == at && !failed)
        failed = asio::error::connection_refused;
    co_return failed;
}

} // namespace detail

inline asio::awaitable<result<void>> probe(asio::ip::tcp::endpoint at,
                                           std::chrono::steady_clock::duration limit)
{
    co_return co_await within(limit, detail::connect_and_close(at), fault::rendezvous_timeout);
}

} // namespace pmixio
