// memory_socket: what a server needs of a connection, over a memory_stream.
#pragma once

#include "memory_stream.hpp"

#include <pmixio/listen/socket.hpp>

#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>

namespace pmixio::test {

/// The connection whose script and output the memory_stream is that it was made of. Owned by a server, which may move it
/// and closes it; the stream stays with the test, and may go first. Calls that do not wait count in the script too: the
/// one that stalls would block.
class memory_socket : public memory_end {
public:
    using endpoint = asio::ip::tcp::endpoint;

    explicit memory_socket(memory_stream& script) : memory_end(script.core_) {}
    memory_socket(memory_socket&&) noexcept = default;
    memory_socket& operator=(memory_socket&&) = delete;
    ~memory_socket()
    {
        if (core_)
            core_->close();
    }

    endpoint local() const { return {}; }
    endpoint remote() const { return {}; }
    endpoint remote_endpoint(std::error_code& error) const
    {
        error = core_->open ? std::error_code() : asio::error::bad_descriptor;
        return {};
    }

    template <class Handler>
    void async_wait(asio::socket_base::wait_type what, Handler handler)
    {
        auto& direction = what == asio::socket_base::wait_read ? core_->reading : core_->writing;
        core_->start(
            direction,
            [handler = std::move(handler)](std::error_code error, std::size_t) mutable { handler(error); },
            asio::mutable_buffer(), true);
    }

    template <class Buffers>
    std::size_t read_some(const Buffers& to, std::error_code& error)
    {
        return now(core_->reading, core_->readable(), to, error, asio::error::eof);
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& from, std::error_code& error)
    {
        return now(core_->writing, core_->writable(), from, error, asio::error::would_block);
    }

    bool non_blocking() const { return true; }
    void non_blocking(bool) {}
    void non_blocking(bool, std::error_code& error) { error.clear(); }
    void cancel(std::error_code& error)
    {
        error.clear();
        core_->finish(core_->reading, asio::error::operation_aborted);
        core_->finish(core_->writing, asio::error::operation_aborted);
    }
    void shutdown(asio::socket_base::shutdown_type what, std::error_code& error)
    {
        error.clear();
        if (what != asio::socket_base::shutdown_send)
            core_->end_input();
    }
    void close(std::error_code& error)
    {
        error.clear();
        core_->close();
    }

private:
    template <class Buffers>
    std::size_t now(detail::memory_core::direction& d, bool ready, const Buffers& buffers, std::error_code& error,
                    std::error_code nothing)
    {
        const bool troubled = core_->calls++ == core_->script.call;
        if (!core_->open)
            error = asio::error::bad_descriptor;
        else if (troubled && core_->script.error)
            error = core_->script.error;
        else if (troubled || !ready)
            error = asio::error::would_block;
        else
            error.clear();
        if (error)
            return 0;
        const auto moved = core_->move_bytes(d, buffers);
        if (moved == 0 && asio::buffer_size(buffers) != 0)
            error = nothing;
        return moved;
    }
};

static_assert(connection<memory_socket>);

} // namespace pmixio::test
