// listener: one TCP endpoint on which peers arrive.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/limits.hpp>
#include <pmixio/listen/config.hpp>
#include <pmixio/listen/socket.hpp>
#include <pmixio/result.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace pmixio {

/// The address of this machine that only its own processes reach, any free port.
inline asio::ip::tcp::endpoint loopback() { return {asio::ip::address_v4::loopback(), 0}; }

/// Listens on one exact address, with the largest backlog the system has; close-on-exec, as are all accepted sockets.
/// Use it from its executor only. Destroying it closes it.
class listener {
public:
    using endpoint = asio::ip::tcp::endpoint;

    /// Opens, binds and listens. Throws std::system_error, and std::invalid_argument for a wildcard address.
    template <class Context>
    listener(Context&& executor_or_context, const endpoint& at)
        : listener(std::forward<Context>(executor_or_context), at.address(), port_ranges(at.port()))
    {}
    /// The same on the first port of `ports` that is free; std::system_error names them if none is.
    template <class Context>
    listener(Context&& executor_or_context, const asio::ip::address& on, const port_ranges& ports)
        : acceptor_(std::forward<Context>(executor_or_context)), retry_(acceptor_.get_executor())
    {
        if (on.is_unspecified())
            throw std::invalid_argument(
                "pmixio::listener: a wildcard address would offer interfaces nobody chose");
        for (const auto& range : ports.ranges())
            for (unsigned port = range.first; port <= range.last; ++port)
                if (open({on, static_cast<asio::ip::port_type>(port)}))
                    return;
        throw std::system_error(EADDRINUSE, std::system_category(),
                                "pmixio::listener: no port of " + ports.to_string() + " is free on " +
                                    on.to_string());
    }

    auto get_executor() noexcept { return acceptor_.get_executor(); }
    /// Where peers connect, with the real port.
    const endpoint& local_endpoint() const noexcept { return at_; }

    /// The next connection.
    ///
    /// Completes when there is one. Connections that were aborted before they could be accepted are skipped; when the
    /// process or system is out of descriptors or memory, `on_pause(code)` is called, once until accept works again,
    /// and the next try is made after `pause`.
    /// Errors: operation_aborted when cancelled or closed; what the system says about a listening socket that is broken.
    /// One accept at a time.
    template <class OnPause>
    asio::awaitable<result<socket>> accept(std::chrono::steady_clock::duration pause, OnPause on_pause)
    {
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        while (true) {
            if (!acceptor_.is_open() || cancellation.cancelled() != asio::cancellation_type::none)
                co_return make_error_code(asio::error::operation_aborted);

            endpoint remote;
            auto length = static_cast<::socklen_t>(remote.capacity());
            const int fd =
                ::accept4(acceptor_.native_handle(), remote.data(), &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
            std::error_code failed;
            if (fd >= 0) {
                paused_ = false;
                remote.resize(length);
                asio::ip::tcp::socket taken(acceptor_.get_executor());
                taken.assign(at_.protocol(), fd, failed);
                if (!failed)
                    co_return socket(std::move(taken), at_, remote);
                ::close(fd);
                co_return failed;
            }
            switch (errno) {
            case EAGAIN:
                co_await acceptor_.async_wait(asio::socket_base::wait_read,
                                              asio::redirect_error(asio::use_awaitable, failed));
                break;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM:
                if (!std::exchange(paused_, true))
                    on_pause(std::error_code(errno, std::system_category()));
                retry_.expires_after(pause);
                co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
                break;
            case ECONNABORTED:
            case EINTR:
            case EPROTO:
            case EPERM:
            case ENETDOWN:
            case ENOPROTOOPT:
            case EHOSTDOWN:
            case ENONET:
            case EHOSTUNREACH:
            case EOPNOTSUPP:
            case ENETUNREACH:
            case ETIMEDOUT:
                break; // about the connection that was to be accepted, not about this socket: accept(2)
            default: co_return std::error_code(errno, std::system_category());
            }
        }
    }
    asio::awaitable<result<socket>> accept()
    {
        return accept(limits{}.accept_pause, [](std::error_code) {});
    }

    /// Stops listening; an accept under way completes with operation_aborted.
    void close()
    {
        std::error_code ignored;
        acceptor_.close(ignored);
        retry_.cancel();
    }

private:
    /// False if the port is in use.
    bool open(const endpoint& at)
    {
        const int fd =
            check(::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
        std::error_code failed;
        acceptor_.assign(at.protocol(), fd, failed);
        if (failed) {
            ::close(fd);
            throw std::system_error(failed, "pmixio::listener");
        }
        if (at.port() != 0)
            acceptor_.set_option(asio::ip::tcp::acceptor::reuse_address(true));
        if (at.address().is_v6())
            acceptor_.set_option(asio::ip::v6_only(true));
        acceptor_.bind(at, failed);
        if (!failed)
            acceptor_.listen(asio::socket_base::max_listen_connections, failed);
        if (failed == asio::error::address_in_use)
            return acceptor_.close(), false;
        if (failed)
            throw std::system_error(failed, "pmixio::listener: " + at.address().to_string() + " port " +
                                                std::to_string(at.port()));
        acceptor_.native_non_blocking(true);
        at_ = acceptor_.local_endpoint();
        return true;
    }
    static int check(int result)
    {
        if (result < 0)
            throw std::system_error(errno, std::system_category(), "pmixio::listener");
        return result;
    }

    asio::ip::tcp::acceptor acceptor_;
    asio::steady_timer retry_;
    endpoint at_;
    bool paused_ = false;
};

/// Listens where `config` says, on one address for each address family that is enabled and available; the first is the
/// one for the URI. Throws std::system_error, also if there is none, and std::invalid_argument for a wrong filter.
template <class Context>
std::deque<listener> open_listeners(Context&& executor_or_context, const listener_config& config,
                                    std::span<const local_address> locals)
{
    std::deque<listener> opened;
    for (const auto& address : choose_interfaces(locals, config.interfaces).taken())
        opened.emplace_back(executor_or_context, address,
                            address.is_v4() ? config.ipv4_ports : config.ipv6_ports);
    return opened;
}
/// The same with the addresses that this machine has now.
template <class Context>
std::deque<listener> open_listeners(Context&& executor_or_context, const listener_config& config)
{
    return open_listeners(executor_or_context, config, local_addresses());
}

} // namespace pmixio
