// run(): a coroutine to its end. task: the same step by step, with cancellation.
#pragma once

#include <pmixio/detail/asio.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace pmixio::test {

/// A coroutine spawned on an io_context, its outcome kept. It starts when the context runs, and may outlive this object.
template <class T>
class task {
    struct nothing {};
    using value_type = std::conditional_t<std::is_void_v<T>, nothing, T>;

public:
    task(asio::io_context& io, asio::awaitable<T> operation) : state_(std::make_shared<state>())
    {
        asio::co_spawn(io, keep(state_, std::move(operation)), finish(state_));
    }

    bool done() const noexcept { return state_->done; }

    /// Requests cancellation, as the caller of an operation does. Not from another thread than the context's.
    void cancel(asio::cancellation_type kind = asio::cancellation_type::terminal)
    {
        auto alive = state_;
        alive->cancel.emit(kind);
    }

    /// The value, once, or the exception. std::logic_error if the coroutine has not ended.
    T get()
    {
        if (!done())
            throw std::logic_error("task: not done");
        if (state_->thrown)
            std::rethrow_exception(std::exchange(state_->thrown, nullptr));
        if constexpr (!std::is_void_v<T>)
            return *std::move(state_->value);
    }

private:
    struct state {
        asio::cancellation_signal cancel;
        std::optional<value_type> value; // co_spawn would default-construct the value
        std::exception_ptr thrown;
        bool done = false;
    };

    struct finish {
        using cancellation_slot_type = asio::cancellation_slot;
        explicit finish(std::shared_ptr<state> s) : kept(std::move(s)) {}
        cancellation_slot_type get_cancellation_slot() const noexcept { return kept->cancel.slot(); }
        void operator()(std::exception_ptr thrown) const
        {
            kept->thrown = std::move(thrown);
            kept->done = true;
        }
        std::shared_ptr<state> kept;
    };

    static asio::awaitable<void> keep(std::shared_ptr<state> kept, asio::awaitable<T> operation)
    {
        if constexpr (std::is_void_v<T>)
            co_await std::move(operation);
        else
            kept->value.emplace(co_await std::move(operation));
    }

    std::shared_ptr<state> state_;
};

/// How long a run may have nothing to do. A spawned coroutine counts as work, so a context with one that waits for what
/// cannot happen does not run dry; it is idle.
inline std::chrono::milliseconds patience{10'000};

/// Runs handlers one by one until `reached()`; other work may be left. std::runtime_error if the context runs dry first,
/// or is idle for as long as `patience`: what is waited for does not happen.
template <class Condition>
void run_until(asio::io_context& io, Condition reached)
{
    if (io.stopped())
        io.restart();
    while (!reached())
        if (io.run_one_for(patience) == 0)
            throw std::runtime_error("run: the io_context ran dry");
}

/// Runs the context until the task is done. Its value, or what it threw.
template <class T>
T finish(asio::io_context& io, task<T>& t)
{
    run_until(io, [&t] { return t.done(); });
    return t.get();
}

/// Spawns the coroutine and runs the context until it ends, as finish().
template <class T>
T run(asio::io_context& io, asio::awaitable<T> operation)
{
    task<T> t(io, std::move(operation));
    return finish(io, t);
}

} // namespace pmixio::test
