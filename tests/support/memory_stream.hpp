// memory_stream: a byte stream in memory, with a script for what the other end, or the machine, does.
#pragma once

#include <pmixio/detail/asio.hpp>

#include "bytes.hpp"
#include "exempt.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace pmixio::test {

/// What happens to the I/O call number `call`; reads and writes are counted together, from 0. By default nothing does.
struct trouble {
    std::size_t call = std::numeric_limits<std::size_t>::max();
    std::error_code error{}; ///< none: the call stalls
};

/// That call fails and moves no bytes.
inline trouble fail_at(std::size_t call, std::error_code error = asio::error::connection_reset)
{
    return {call, error};
}

/// That call does not complete before it is cancelled or the stream is closed.
inline trouble stall_at(std::size_t call)
{
    return {call, {}};
}

namespace detail {

/// An initiated call whose completion is not posted yet.
template <class Core>
struct memory_call {
    virtual ~memory_call() = default;
    /// Posts the completion: with an error, or to move bytes when it runs.
    virtual void complete(std::unique_ptr<memory_call> self, std::shared_ptr<Core> owner, std::error_code error) = 0;
};

struct memory_core;

/// Destroys what waits when its context is destroyed, as a socket's service does: a coroutine that waits for a stream
/// in its own frame would otherwise keep itself alive.
class memory_service final : public asio::execution_context::service {
public:
    static inline asio::execution_context::id id;
    explicit memory_service(asio::execution_context& context) : service(context) {}

    std::vector<memory_core*> streams;

private:
    void shutdown() noexcept override;
};

/// The state of a stream; outlives it while completions are posted.
struct memory_core : std::enable_shared_from_this<memory_core> {
    using call = memory_call<memory_core>;
    struct direction {
        std::size_t number = 0;        ///< of the call under way, to tell it from later ones
        bool busy = false;             ///< a call was initiated and its completion has not run
        bool held = false;             ///< that call is the one which the script stalls
        std::unique_ptr<call> waiting; ///< that call, unless its completion is posted
    };
    template <class Handler, class Buffers> struct call_with;
    struct cancel_call;

    memory_core(asio::any_io_executor e, bytes i, std::size_t c, trouble s)
        : executor(std::move(e)), input(std::move(i)), chunk(c), script(s),
          service(&asio::use_service<memory_service>(asio::query(executor, asio::execution::context)))
    {
        service->streams.push_back(this);
    }
    memory_core(memory_core&&) = delete;
    ~memory_core()
    {
        if (service)
            std::erase(service->streams, this);
    }

    /// `waits_only`: for readiness, whatever the size of the buffers.
    template <class Handler, class Buffers>
    void start(direction& d, Handler handler, const Buffers& buffers, bool waits_only = false);
    template <class Buffers>
    std::size_t move_bytes(const direction& d, const Buffers& buffers);

    bool readable() const { return consumed != input.size() || input_ends; }
    bool writable() const { return room != 0; }
    void give_room(std::size_t more)
    {
        room += more;
        if (writable() && !writing.held)
            finish(writing, {});
    }
    void finish(direction& d, std::error_code error)
    {
        if (auto waiting = std::move(d.waiting)) {
            auto& c = *waiting;
            c.complete(std::move(waiting), shared_from_this(), error);
        }
    }
    void wake()
    {
        if (readable() && !reading.held)
            finish(reading, {});
    }
    void feed(std::span<const std::byte> more)
    {
        input.insert(input.end(), more.begin(), more.end());
        wake();
    }
    void end_input()
    {
        input_ends = true;
        wake();
    }
    void close()
    {
        if (!std::exchange(open, false))
            return;
        finish(reading, asio::error::operation_aborted);
        finish(writing, asio::error::operation_aborted);
        if (auto other = peer.lock())
            other->end_input();
    }

    asio::any_io_executor executor;
    bytes input;
    std::size_t consumed = 0;
    bool input_ends = true;
    bytes output;
    std::optional<bytes> expected;
    std::size_t chunk;
    std::size_t room = std::numeric_limits<std::size_t>::max(); ///< bytes that the other end still takes
    trouble script;
    std::size_t calls = 0;
    bool open = true;
    direction reading;
    direction writing;
    std::weak_ptr<memory_core> peer;
    memory_service* service; ///< null once the context is shut down
};

} // namespace detail

/// What memory_stream and memory_socket have in common: Asio's two operations on the same bytes.
class memory_end {
public:
    using executor_type = asio::any_io_executor;

    executor_type get_executor() const noexcept { return core_->executor; }

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& to, Token&& token)
    {
        return asio::async_initiate<Token, void(std::error_code, std::size_t)>(
            [c = core_](auto handler, const auto& buffers) { c->start(c->reading, std::move(handler), buffers); },
            token, to);
    }

    template <class Buffers, class Token>
    auto async_write_some(const Buffers& from, Token&& token)
    {
        return asio::async_initiate<Token, void(std::error_code, std::size_t)>(
            [c = core_](auto handler, const auto& buffers) { c->start(c->writing, std::move(handler), buffers); },
            token, from);
    }

protected:
    explicit memory_end(std::shared_ptr<detail::memory_core> core) : core_(std::move(core)) {}

    std::shared_ptr<detail::memory_core> core_;
};

/// Models what asio::async_read and asio::async_write want of a stream, and what a socket promises:
///   - a read gives 1 to `chunk` bytes of the input, a write takes 1 to `chunk` bytes; empty buffers give 0 bytes;
///   - when the input is used up a read completes with asio::error::eof or, after stall() or connect(), when there is
///     more input, at end_input(), or when it is cancelled;
///   - no completion comes from inside the initiating call, all are posted. Bytes move when the completion runs, so
///     that a buffer freed too early is seen by the address sanitizer;
///   - a waiting call honours per-operation cancellation (any kind) and close(): operation_aborted;
///   - calls on a closed stream complete with bad_descriptor.
/// Unlike with a socket, a second read or write while one is under way throws std::logic_error, and a waiting call
/// does not count as work: run() returns when nothing else can happen.
///
/// Destroying the stream closes it. One thread.
class memory_socket;
class memory_stream : public memory_end {
    friend memory_socket;

public:
    static constexpr std::size_t whole = std::numeric_limits<std::size_t>::max();

    memory_stream(executor_type executor, bytes input, std::size_t chunk = whole, trouble script = {})
        : memory_end(std::make_shared<detail::memory_core>(std::move(executor), std::move(input), chunk, script))
    {
        if (chunk == 0)
            throw std::logic_error("memory_stream: a chunk has at least one byte");
    }
    memory_stream(executor_type executor, std::string_view input, std::size_t chunk = whole, trouble script = {})
        : memory_stream(std::move(executor), bytes_of(input), chunk, script)
    {
    }
    memory_stream(memory_stream&&) = delete;
    ~memory_stream() { core_->close(); }

    bool is_open() const noexcept { return core_->open; }
    void close() { core_->close(); }
    void close(std::error_code& error)
    {
        error.clear();
        core_->close();
    }

    // The script.

    /// The input does not end: once it is used up, reads wait.
    memory_stream& stall()
    {
        core_->input_ends = false;
        return *this;
    }
    /// More input, for a read that waits or for later ones.
    void feed(std::span<const std::byte> more) { core_->feed(more); }
    void feed(std::string_view more) { core_->feed(bytes_of(more)); }
    /// The other end closes: eof after the input that is there.
    void end_input() { core_->end_input(); }
    /// The other end takes so many bytes, and then no more, until it gives more room.
    memory_stream& take_only(std::size_t n)
    {
        core_->room = n;
        return *this;
    }
    void give_room(std::size_t more) { core_->give_room(more); }
    /// From now on what is written to one is input of the other, and closing one ends the input of the other.
    static void connect(memory_stream& a, memory_stream& b)
    {
        a.stall().core_->peer = b.core_;
        b.stall().core_->peer = a.core_;
    }
    /// What verify() compares the output with.
    memory_stream& expect(bytes output)
    {
        core_->expected = std::move(output);
        return *this;
    }
    memory_stream& expect(std::string_view output) { return expect(bytes_of(output)); }

    // What was seen.

    const bytes& output() const noexcept { return core_->output; }
    std::span<const std::byte> unread() const { return std::span(core_->input).subspan(core_->consumed); }
    /// I/O calls so far, of both kinds.
    std::size_t calls() const noexcept { return core_->calls; }
    /// The scripted trouble was met.
    bool in_trouble() const noexcept { return core_->calls > core_->script.call; }
    /// A read or a write is under way.
    bool busy() const noexcept { return core_->reading.busy || core_->writing.busy; }
    /// A read or a write waits for more input or, stalled, for nothing.
    bool waiting() const noexcept { return core_->reading.waiting || core_->writing.waiting; }

    /// Throws std::runtime_error if input is left, a call is under way, or the output is not the expected one.
    void verify() const
    {
        if (busy())
            throw std::runtime_error("memory_stream: a read or write is still under way");
        if (!unread().empty())
            throw std::runtime_error("memory_stream: input left over: " + show(unread()));
        if (core_->expected && output() != *core_->expected)
            throw std::runtime_error("memory_stream: output is " + show(output()) + ", expected " +
                                     show(*core_->expected));
    }
};

namespace detail {

inline void memory_service::shutdown() noexcept
{
    std::vector<std::unique_ptr<memory_core::call>> waiting;
    for (memory_core* stream : std::exchange(streams, {})) {
        stream->service = nullptr;
        waiting.push_back(std::move(stream->reading.waiting));
        waiting.push_back(std::move(stream->writing.waiting));
    }
}

/// In the cancellation slot of a waiting call; may stay there longer than the call and the stream.
struct memory_core::cancel_call {
    void operator()(asio::cancellation_type) const
    {
        auto stream = owner.lock();
        if (!stream)
            return;
        direction& d = stream.get()->*which;
        if (d.number == number)
            stream->finish(d, asio::error::operation_aborted);
    }
    std::weak_ptr<memory_core> owner;
    direction memory_core::*which = nullptr;
    std::size_t number = 0;
};

template <class Handler, class Buffers>
struct memory_core::call_with final : call {
    call_with(direction& d, Handler h, const Buffers& b) : which(d), handler(std::move(h)), buffers(b) {}

    void complete(std::unique_ptr<call> self, std::shared_ptr<memory_core> owner, std::error_code error) override
    {
        const exempt posting; // Asio cannot do without
        auto where = asio::get_associated_executor(handler, owner->executor);
        asio::post(where, [this, self = std::move(self), owner = std::move(owner), error]() mutable {
            std::size_t moved = 0;
            if (!error) {
                moved = owner->move_bytes(which, buffers);
                if (moved == 0 && asio::buffer_size(buffers) != 0)
                    error = asio::error::eof;
            }
            which.busy = which.held = false;
            auto last = std::move(handler);
            self.reset(); // the handler may destroy everything
            owner.reset();
            std::move(last)(error, moved);
        });
    }

    direction& which; ///< a member of the owner
    Handler handler;
    Buffers buffers;
};

template <class Handler, class Buffers>
void memory_core::start(direction& d, Handler handler, const Buffers& buffers, bool waits_only)
{
    const exempt starting; // nor here
    if (d.busy)
        throw std::logic_error("memory_stream: two reads or two writes at a time");
    d.busy = true;
    d.number = calls++;
    const bool reads = &d == &reading;
    const bool troubled = open && d.number == script.call;
    const std::error_code closed = asio::error::bad_descriptor;
    const std::error_code error = !open ? closed : troubled ? script.error : std::error_code();
    d.held = troubled && !script.error;
    const bool dry = !(reads ? readable() : writable()) && (waits_only || asio::buffer_size(buffers) != 0);

    auto slot = asio::get_associated_cancellation_slot(handler);
    d.waiting = std::make_unique<call_with<Handler, Buffers>>(d, std::move(handler), buffers);
    if (error || !(d.held || dry))
        return finish(d, error);
    if (slot.is_connected()) {
        auto& cancel = slot.template emplace<cancel_call>();
        cancel.owner = weak_from_this();
        cancel.which = reads ? &memory_core::reading : &memory_core::writing;
        cancel.number = d.number;
    }
}

template <class Buffers>
std::size_t memory_core::move_bytes(const direction& d, const Buffers& buffers)
{
    if constexpr (asio::is_mutable_buffer_sequence<Buffers>::value) {
        if (&d == &reading) {
            const auto available = std::span(input).subspan(consumed);
            const auto moved = asio::buffer_copy(buffers, asio::buffer(available.data(), available.size()), chunk);
            consumed += moved;
            return moved;
        }
    }
    const exempt remembering;
    bytes taken(std::min({chunk, room, asio::buffer_size(buffers)}));
    room -= taken.size();
    asio::buffer_copy(asio::buffer(taken), buffers);
    output.insert(output.end(), taken.begin(), taken.end());
    if (auto other = peer.lock())
        other->feed(taken);
    return taken.size();
}

} // namespace detail

} // namespace pmixio::test
