// The loops that every operation on a stream must pass.
//
// An operation is given as a function of the stream that returns asio::awaitable<result<T>>; T is comparable or void:
//     auto op = [](memory_stream& s) { return parse_handshake<site>(s); };
//     each_chunk(input, op);
//     CHECK(fail_at_each_call(input, op) == 2);
// Failed expectations are doctest checks, with the step in the message. Each step has a stream and an io_context of
// its own. What is not a step's contract, an exception above all, is thrown to the test case.
#pragma once

#include "memory_stream.hpp"
#include "run.hpp"

#include <pmixio/result.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <optional>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace pmixio::test {

/// The other end: what it sends, and what it must be sent. It closes after `input` only if `ends`, so that an
/// operation which reads more than it should is found waiting.
struct conversation {
    conversation(bytes in) : input(std::move(in)) {}
    conversation(std::string_view in) : input(bytes_of(in)) {}
    conversation(const char* in) : input(bytes_of(in)) {}
    conversation(bytes in, bytes out, bool closes = false)
        : input(std::move(in)), output(std::move(out)), ends(closes)
    {
    }
    conversation(std::string_view in, std::string_view out, bool closes = false)
        : input(bytes_of(in)), output(bytes_of(out)), ends(closes)
    {
    }

    bytes input;
    std::optional<bytes> output; ///< unchecked when absent
    bool ends = false;
};

namespace detail {

template <class Operation>
using result_of = typename std::invoke_result_t<Operation&, memory_stream&>::value_type;

/// One stream and one run of the operation on it.
template <class Operation>
struct attempt {
    attempt(const conversation& with, Operation& op, std::size_t chunk, trouble script)
        : stream(io.get_executor(), with.input, chunk, script), under_test(io, op(prepare(stream, with)))
    {
    }
    attempt(attempt&&) = delete;
    ~attempt()
    {
        stream.close(); // lets an operation that never ended end before the stream
        io.restart();
        io.poll();
    }

    static memory_stream& prepare(memory_stream& s, const conversation& with)
    {
        if (!with.ends)
            s.stall();
        if (with.output)
            s.expect(*with.output);
        return s;
    }

    result_of<Operation> outcome() { return finish(io, under_test); }

    /// As outcome(), with the operation_aborted that co_await throws in a cancelled coroutine as a value.
    result_of<Operation> outcome_of_cancelled()
    {
        try {
            return outcome();
        } catch (const std::system_error& e) {
            if (e.code() == asio::error::operation_aborted)
                return e.code();
            throw;
        }
    }

    asio::io_context io;
    memory_stream stream;
    task<result_of<Operation>> under_test;
};

template <class T>
bool same(const result<T>& a, const result<T>& b)
{
    if constexpr (std::is_void_v<T>)
        return a.error() == b.error();
    else
        return a && b ? *a == *b : a.error() == b.error();
}

} // namespace detail

/// Every chunk size from one byte to the longer of input and output gives the same value, uses up the input and writes
/// the output. Of sizes above 256 only those next to a power of two and the last two are tried.
template <class Operation>
void each_chunk(const conversation& with, Operation op)
{
    detail::attempt<Operation> first(with, op, memory_stream::whole, {});
    const auto expected = first.outcome();
    CHECK_MESSAGE(expected.has_value(), "in one piece: ", expected.error().message());
    CHECK_NOTHROW(first.stream.verify());

    const std::size_t size = std::max(with.input.size(), with.output ? with.output->size() : 0);
    for (std::size_t chunk = 1; chunk <= size; ++chunk) {
        const bool near_power = std::has_single_bit(chunk - 1) || std::has_single_bit(chunk) ||
                                std::has_single_bit(chunk + 1);
        if (chunk > 256 && !near_power && chunk + 1 < size)
            continue;
        INFO("at most ", chunk, " bytes per call");
        detail::attempt<Operation> again(with, op, chunk, {});
        const auto got = again.outcome();
        CHECK_MESSAGE(detail::same(got, expected), got.error().message());
        CHECK_NOTHROW(again.stream.verify());
    }
}

/// With I/O call 0, 1, 2... failing the operation gives just that error, until a run has no such call and succeeds.
/// Returns how many calls that run made.
template <class Operation>
std::size_t fail_at_each_call(const conversation& with, Operation op, std::size_t chunk = memory_stream::whole,
                              std::error_code error = asio::error::connection_reset)
{
    for (std::size_t call = 0;; ++call) {
        INFO("I/O call ", call, " fails");
        detail::attempt<Operation> once(with, op, chunk, fail_at(call, error));
        const auto got = once.outcome();
        if (!once.stream.in_trouble()) {
            CHECK_MESSAGE(got.has_value(), got.error().message());
            CHECK_NOTHROW(once.stream.verify());
            return once.stream.calls();
        }
        CHECK_MESSAGE(got.error() == error, got.error().message());
        CHECK_FALSE(once.stream.busy());
    }
}

/// If the other end closes before all of the input is sent, the operation gives an error, whichever `accept` takes:
///     refuse_each_prefix(input, op, [](std::error_code e) { return e == refusal::malformed; });
template <class Operation, class Accept>
void refuse_each_prefix(const conversation& with, Operation op, Accept accept, std::size_t chunk = memory_stream::whole)
{
    conversation shorter = with;
    shorter.output.reset();
    shorter.ends = true;
    for (std::size_t size = 0; size < with.input.size(); ++size) {
        INFO("only ", size, " of ", with.input.size(), " bytes");
        shorter.input.assign(with.input.begin(), with.input.begin() + static_cast<std::ptrdiff_t>(size));
        detail::attempt<Operation> once(shorter, op, chunk, {});
        const auto got = once.outcome();
        CHECK_FALSE(got.has_value());
        CHECK_MESSAGE((got.has_value() || accept(got.error())), got.error().message());
        CHECK_FALSE(once.stream.busy());
    }
}
template <class Operation>
void refuse_each_prefix(const conversation& with, Operation op)
{
    refuse_each_prefix(with, std::move(op), [](std::error_code) { return true; });
}

/// A caller that is cancelled before the operation starts gets operation_aborted, and the stream is not touched.
template <class Operation>
void cancelled_before_start(const conversation& with, Operation op)
{
    detail::attempt<Operation> once(with, op, memory_stream::whole, {});
    once.under_test.cancel();
    CHECK(once.outcome_of_cancelled().error() == asio::error::operation_aborted);
    CHECK(once.stream.calls() == 0);
}

/// Cancelled while I/O call 0, 1, 2... waits for ever, the operation gives operation_aborted, until a run has no such
/// call and succeeds. Returns how many calls that run made.
template <class Operation>
std::size_t cancelled_at_each_wait(const conversation& with, Operation op, std::size_t chunk = memory_stream::whole)
{
    for (std::size_t call = 0;; ++call) {
        INFO("cancelled while I/O call ", call, " waits");
        detail::attempt<Operation> once(with, op, chunk, stall_at(call));
        run_until(once.io, [&] { return once.under_test.done() || once.stream.waiting(); });
        if (!once.stream.in_trouble()) {
            const auto got = once.outcome();
            CHECK_MESSAGE(got.has_value(), got.error().message());
            CHECK_NOTHROW(once.stream.verify());
            return once.stream.calls();
        }
        once.under_test.cancel();
        const auto got = once.outcome_of_cancelled();
        CHECK_MESSAGE(got.error() == asio::error::operation_aborted, got.error().message());
        CHECK_FALSE(once.stream.busy());
    }
}

/// Cancelled after 0, 1, 2... handlers have run, the results of its I/O on their way included, the operation ends
/// with its value or operation_aborted and leaves nothing under way.
template <class Operation>
void cancelled_at_each_step(const conversation& with, Operation op, std::size_t chunk = memory_stream::whole)
{
    for (std::size_t steps = 0;; ++steps) {
        INFO("cancelled after ", steps, " handlers");
        detail::attempt<Operation> once(with, op, chunk, {});
        for (std::size_t i = 0; i != steps && !once.under_test.done(); ++i)
            once.io.run_one();
        const bool whole_run = once.under_test.done();
        once.under_test.cancel();
        const auto got = once.outcome_of_cancelled();
        CHECK_MESSAGE((got.has_value() || got.error() == asio::error::operation_aborted), got.error().message());
        CHECK_FALSE(once.stream.busy());
        if (whole_run) {
            CHECK(got.has_value());
            return;
        }
    }
}

} // namespace pmixio::test
