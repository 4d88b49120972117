// The only file of the library that includes Asio: what a TCP server made of coroutines needs, and every
// difference between Asio releases. Supported: standalone Asio 1.22.1 to 1.38.
//
// Each workaround says when it can go. What a release lacks and nothing here replaces is not used in the library:
// co_composed, consign, any_completion_handler, bind_allocator, immediate executors, cancel_after, default tokens.
#pragma once

// Until 1.26 Asio looks for <experimental/coroutine> when the compiler is clang, finds none and leaves awaitable out.
// It must be told before its first header. Can go when the oldest supported Asio is 1.26.
#if defined(__clang__) && !defined(ASIO_HAS_CO_AWAIT)
#    if defined(ASIO_VERSION) || defined(ASIO_DETAIL_CONFIG_HPP)
#        error                                                                                               \
            "pmixio: an Asio header was included before pmixio, without coroutines. Compile with -DASIO_HAS_CO_AWAIT=1 or include pmixio first."
#    endif
#    define ASIO_HAS_CO_AWAIT 1
#endif

#include <asio/version.hpp>

#if ASIO_VERSION < 102201
#    error "pmixio: Asio 1.22.1 or newer is needed."
#endif

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/local/connect_pair.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/this_coro.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#if !defined(ASIO_HAS_CO_AWAIT)
#    error "pmixio: this compiler has no coroutines. Compile with -std=c++20 or newer."
#endif
