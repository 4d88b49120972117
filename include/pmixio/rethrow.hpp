// rethrow: how this library's coroutines are spawned when nobody waits for them.
#pragma once

#include <exception>

namespace pmixio {

/// Completion handler for asio::co_spawn that throws what the coroutine threw, out of the io_context's run().
///     asio::co_spawn(ex, serve(listener, jobs), pmixio::rethrow);
/// Use it where Asio's examples say `detached`, which drops exceptions. run() may be called again afterwards.
/// Takes awaitable<void> only: a value, above all a result<T>, that nobody looks at does not compile.
struct rethrow_t {
    void operator()(const std::exception_ptr& thrown) const
    {
        if (thrown)
            std::rethrow_exception(thrown);
    }
};
inline constexpr rethrow_t rethrow{};

} // namespace pmixio
