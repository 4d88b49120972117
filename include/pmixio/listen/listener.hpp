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
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace pmixio {

/// The address of this machine that only its own processes reach, any free port.
inline asio::ip::tcp::endpoint loopback() { return {asio::ip::address_v4::loopback(), 0}; }

/// For listeners that share one address and port: the kernel spreads connections over them (SO_REUSEPORT). All of them must
/// be opened with it, by the same user, whose other programs can join them too. A connection that waits at one that never
/// accepts is not given to another, and is reset when that one is closed.
struct share_port_t {};
inline constexpr share_port_t share_port{};

/// Listens on one exact address, with the largest backlog the system has; close-on-exec, as are all accepted sockets.
/// Use it from its executor only. Destroying it closes it, also while an accept is under way.
class listener {
public:
    using endpoint = asio::ip::tcp::endpoint;

    /// Opens, binds and listens. Throws std::system_error, and std::invalid_argument for a wildcard address.
    template <class Context>
    listener(Context&& executor_or_context, const endpoint& at)
        : listener(std::forward<Context>(executor_or_context), at.address(), port_ranges(at.port()))
    {}
    /// The same for one of several that share `at`: the first finds the port, if it is 0, and the others take its
    /// local_endpoint().
    template <class Context>
    listener(Context&& executor_or_context, const endpoint& at, share_port_t)
        : listener(std::forward<Context>(executor_or_context), at.address(), port_ranges(at.port()), true)
    {}
    /// The same on the first port of `ports` that is free; std::system_error names them if none is.
    template <class Context>
    listener(Context&& executor_or_context, const asio::ip::address& on, const port_ranges& ports)
        : listener(std::forward<Context>(executor_or_context), on, ports, false)
    {}

    listener(listener&&) noexcept = default;
    listener& operator=(listener&& other) noexcept { return std::swap(state_, other.state_), *this; }
    ~listener()
    {
        if (state_)
            close();
    }

    auto get_executor() noexcept { return state_->acceptor.get_executor(); }
    /// Where peers connect, with the real port.
    const endpoint& local_endpoint() const noexcept { return state_->at; }

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
        return accept_at(state_, pause, std::move(on_pause));
    }
    asio::awaitable<result<socket>> accept()
    {
        return accept(limits{}.accept_pause, [](std::error_code) {});
    }

    /// Stops listening; an accept under way completes with operation_aborted.
    void close()
    {
        std::error_code ignored;
        state_->acceptor.close(ignored);
        state_->retry.cancel();
    }

private:
    /// Shared with an accept that is under way.
    struct state {
        template <class Context>
        explicit state(Context&& executor_or_context)
            : acceptor(std::forward<Context>(executor_or_context)), retry(acceptor.get_executor())
        {}
        asio::ip::tcp::acceptor acceptor;
        asio::steady_timer retry;
        endpoint at;
        bool paused = false;
    };

    template <class Context>
    listener(Context&& executor_or_context, const asio::ip::address& on, const port_ranges& ports,
             bool shared)
        : state_(std::make_shared<state>(std::forward<Context>(executor_or_context)))
    {
        if (on.is_unspecified())
            throw std::invalid_argument(
                "pmixio::listener: a wildcard address would offer interfaces nobody chose");
        for (const auto& range : ports.ranges())
            for (unsigned port = range.first; port <= range.last; ++port)
                if (open({on, static_cast<asio::ip::port_type>(port)}, shared))
                    return;
        throw std::system_error(EADDRINUSE, std::system_category(),
                                "pmixio::listener: no port of " + ports.to_string() + " is free on " +
                                    on.to_string());
    }

    template <class OnPause>
    static asio::awaitable<result<socket>>
    accept_at(std::shared_ptr<state> self, std::chrono::steady_clock::duration pause, OnPause on_pause)
    {
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        while (true) {
            if (!self->acceptor.is_open() || cancellation.cancelled() != asio::cancellation_type::none)
                co_return make_error_code(asio::error::operation_aborted);

            endpoint remote;
            auto length = static_cast<::socklen_t>(remote.capacity());
            const int fd = ::accept4(self->acceptor.native_handle(), remote.data(), &length,
                                     SOCK_CLOEXEC | SOCK_NONBLOCK);
            std::error_code failed;
            if (fd >= 0) {
                self->paused = false;
                remote.resize(length);
                asio::ip::tcp::socket taken(self->acceptor.get_executor());
                taken.assign(self->at.protocol(), fd, failed);
                if (!failed) // once: Asio would do it for reading, and a session for writing
                    taken.non_blocking(true, failed);
                if (!failed)
                    co_return socket(std::move(taken), self->at, remote);
                if (!taken.is_open())
                    ::close(fd);
                co_return failed;
            }
            switch (errno) {
            case EAGAIN:
                co_await self->acceptor.async_wait(asio::socket_base::wait_read,
                                                   asio::redirect_error(asio::use_awaitable, failed));
                break;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM:
                if (!std::exchange(self->paused, true))
                    on_pause(std::error_code(errno, std::system_category()));
                self->retry.expires_after(pause);
                co_await self->retry.async_wait(asio::redirect_error(asio::use_awaitable, failed));
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

    /// False if the port is in use.
    bool open(const endpoint& at, bool shared)
    {
        const int fd =
            check(::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
        std::error_code failed;
        state_->acceptor.assign(at.protocol(), fd, failed);
        if (failed) {
            ::close(fd);
            throw std::system_error(failed, "pmixio::listener");
        }
        if (at.port() != 0)
            state_->acceptor.set_option(asio::ip::tcp::acceptor::reuse_address(true));
        if (const int on = 1; shared)
            check(::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
        if (at.address().is_v6())
            state_->acceptor.set_option(asio::ip::v6_only(true));
        state_->acceptor.set_option(asio::ip::tcp::no_delay(true)); // inherited by connections
        state_->acceptor.bind(at, failed);
        if (!failed)
            state_->acceptor.listen(asio::socket_base::max_listen_connections, failed);
        if (failed == asio::error::address_in_use)
            return state_->acceptor.close(), false;
        if (failed)
            throw std::system_error(failed, "pmixio::listener: " + at.address().to_string() + " port " +
                                                std::to_string(at.port()));
        state_->acceptor.native_non_blocking(true);
        state_->at = state_->acceptor.local_endpoint();
        return true;
    }
    static int check(int result)
    {
        if (result < 0)
            throw std::system_error(errno, std::system_category(), "pmixio::listener");
        return result;
    }

    std::shared_ptr<state> state_;
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
