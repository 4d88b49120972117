// pmixio::socket: an accepted TCP connection that remembers its two ends.
#pragma once

#include <pmixio/detail/asio.hpp>

#include <concepts>
#include <utility>

namespace pmixio {

/// What a server needs of a connection: of Asio's TCP socket, which is its model, reading and writing with and without
/// waiting, waiting for readiness, and cancelling; and the two ends. After close() or cancel() whatever waits completes with
/// operation_aborted.
template <class S>
concept connection =
    std::move_constructible<S> &&
    requires(S& s, const S& c, std::error_code failed, asio::mutable_buffer in, asio::const_buffer out,
             void (*ready)(std::error_code), void (*moved)(std::error_code, std::size_t)) {
        { c.local() } -> std::convertible_to<asio::ip::tcp::endpoint>;
        { c.remote() } -> std::convertible_to<asio::ip::tcp::endpoint>;
        c.remote_endpoint(failed);
        s.get_executor();
        { c.non_blocking() } -> std::convertible_to<bool>;
        s.non_blocking(true, failed);
        s.read_some(in, failed);
        s.write_some(out, failed);
        s.async_read_some(in, moved);
        s.async_write_some(out, moved);
        s.async_wait(asio::socket_base::wait_read, ready);
        s.cancel(failed);
        s.shutdown(asio::socket_base::shutdown_send, failed);
        s.close(failed);
    };

/// A TCP connection without delay (TCP_NODELAY: messages are small, and take turns). Its ends are known from accept, so that
/// nobody has to ask the kernel for them again.
class socket : public asio::ip::tcp::socket {
public:
    using endpoint = asio::ip::tcp::endpoint;

    /// Of any connected Asio socket. Throws std::system_error if its ends cannot be had.
    explicit socket(asio::ip::tcp::socket connected)
        : asio::ip::tcp::socket(std::move(connected)), local_(local_endpoint()), remote_(remote_endpoint())
    {
        set_option(asio::ip::tcp::no_delay(true));
    }
    /// Of a listener, whose connections have its options.
    socket(asio::ip::tcp::socket connected, endpoint local, endpoint remote)
        : asio::ip::tcp::socket(std::move(connected)), local_(local), remote_(remote)
    {}

    /// Our end, and the peer's. Valid after the connection is closed too.
    const endpoint& local() const noexcept { return local_; }
    const endpoint& remote() const noexcept { return remote_; }

private:
    endpoint local_, remote_;
};

static_assert(connection<socket>);

} // namespace pmixio
