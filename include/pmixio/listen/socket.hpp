// pmixio::socket: an accepted TCP connection that remembers its two ends.
#pragma once

#include <pmixio/detail/asio.hpp>

#include <utility>

namespace pmixio {

/// A TCP connection. Its ends are known from accept, so that nobody has to ask the kernel for them again.
class socket : public asio::ip::tcp::socket {
public:
    using endpoint = asio::ip::tcp::endpoint;

    /// Of any connected Asio socket. Throws std::system_error if its ends cannot be had.
    explicit socket(asio::ip::tcp::socket connected)
        : asio::ip::tcp::socket(std::move(connected)), local_(local_endpoint()), remote_(remote_endpoint())
    {}
    socket(asio::ip::tcp::socket connected, endpoint local, endpoint remote)
        : asio::ip::tcp::socket(std::move(connected)), local_(local), remote_(remote)
    {}

    /// Our end, and the peer's. Valid after the connection is closed too.
    const endpoint& local() const noexcept { return local_; }
    const endpoint& remote() const noexcept { return remote_; }

private:
    endpoint local_, remote_;
};

} // namespace pmixio
