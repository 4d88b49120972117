// Blocking calls, away from the server's executor.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/result.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace pmixio::detail {

/// Runs functions on an executor whose threads may block, a few at a time of one owner.
class blocking_pool {
public:
    /// `where` may be empty if nothing is ever run.
    blocking_pool(asio::any_io_executor where, std::size_t limit)
        : where_(std::move(where)), limit_(limit), busy_(std::make_shared<std::atomic<std::size_t>>(0))
    {}

    /// Calls `f()`, which returns a result<T>, there, and completes on the caller's executor with what it returns or
    /// throws. Cancelled, it completes with operation_aborted; `f` is not called if it was not yet, and if it is under
    /// way, its outcome is dropped. So f must own all it uses.
    /// too_many_pending at once if `limit` functions are queued or running, those included that nobody waits for.
    ///
    /// The caller's executor must be a strand or a single-threaded context, and the threads of the pool must have ended
    /// before its context is destroyed.
    template <class F>
    asio::awaitable<std::invoke_result_t<F&>> run(F f)
    {
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        if (cancellation.cancelled() != asio::cancellation_type::none)
            co_return make_error_code(asio::error::operation_aborted);
        if (*busy_ >= limit_)
            co_return fault::too_many_pending;
        const auto here = co_await asio::this_coro::executor;
        const auto call = std::make_shared<state<std::invoke_result_t<F&>>>(here, busy_);
        asio::post(where_,
                   job<F>{call, std::move(f), asio::prefer(here, asio::execution::outstanding_work.tracked)});

        std::error_code woken;
        co_await call->done.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        if (call->thrown)
            std::rethrow_exception(call->thrown);
        if (!call->outcome) {
            call->abandoned = true;
            co_return make_error_code(asio::error::operation_aborted);
        }
        co_return *std::move(call->outcome);
    }

private:
    using counter = std::shared_ptr<std::atomic<std::size_t>>;

    /// Belongs to the caller's executor, but for `abandoned`.
    template <class Result>
    struct state {
        state(const asio::any_io_executor& here, counter c)
            : done(here, asio::steady_timer::time_point::max()), busy(std::move(c))
        {
            ++*busy;
        }
        ~state() { --*busy; }
        asio::steady_timer done;
        counter busy;
        std::optional<Result> outcome;
        std::exception_ptr thrown;
        std::atomic<bool> abandoned = false;
    };

    template <class F>
    struct job {
        using result_type = std::invoke_result_t<F&>;
        std::shared_ptr<state<result_type>> call;
        F f;
        asio::any_io_executor here;

        void operator()()
        {
            std::optional<result_type> outcome;
            std::exception_ptr thrown;
            try {
                if (!call->abandoned)
                    outcome.emplace(f());
            } catch (...) {
                thrown = std::current_exception();
            }
            // The last reference goes on the caller's executor.
            asio::post(here, [call = std::move(call), outcome = std::move(outcome), thrown]() mutable {
                call->outcome = std::move(outcome);
                call->thrown = thrown;
                call->done.cancel();
            });
        }
    };

    asio::any_io_executor where_;
    std::size_t limit_;
    counter busy_; ///< functions that are queued or running
};

} // namespace pmixio::detail
