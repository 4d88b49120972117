// Addresses on loopback where somebody listens, or nobody.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/listen/contact.hpp>
#include <pmixio/listen/listener.hpp>

#include <sys/socket.h>

#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace pmixio::test {

/// A server as far as a contact file can tell.
struct listening {
    explicit listening(asio::io_context& io, std::string nspace = "srv")
        : open(io, loopback()), address{{std::move(nspace), 0}, open.local_endpoint()}
    {}

    listener open;
    server_address address;
    std::string uri() const { return server_uri(address); }
};

/// A port that was somebody's a moment ago.
inline server_address dead(asio::io_context& io, std::string nspace = "dead")
{
    return listening(io, std::move(nspace)).address;
}

/// A listener whose backlog is full: it neither answers nor refuses.
struct silent {
    explicit silent(asio::io_context& io) : full(io, loopback())
    {
        full.listen(0);
        for (int i = 0; i != 3; ++i) {
            auto& next = waiting.emplace_back(io);
            next.open(asio::ip::tcp::v4());
            next.native_non_blocking(true);
            const auto there = at();
            ::connect(next.native_handle(), there.data(),
                      static_cast<::socklen_t>(there.size())); // in progress
        }
    }
    asio::ip::tcp::endpoint at() const { return full.local_endpoint(); }

    asio::ip::tcp::acceptor full;
    std::vector<asio::ip::tcp::socket> waiting;
};

} // namespace pmixio::test
