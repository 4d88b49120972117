// The floor: an epoll loop that reads what a peer sends and writes what it waits for, with no parsing but lengths, no identity
// and no limits. What a server costs is told as a ratio to it.
#include "ready.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

/// What came of a frame that is not whole yet.
struct connection {
    bool greeted = false;
    std::vector<char> rest;
};

std::vector<connection> connections;
std::array<char, 64 * 1024> incoming;
std::vector<char> outgoing;

/// Answers all that is whole; how much that was.
std::size_t answer(connection& from, const char* data, std::size_t size, int index)
{
    std::size_t at = 0;
    while (size - at >= 16) {
        std::uint32_t length = 0;
        std::memcpy(&length, data + at + 8, sizeof length);
        if (from.greeted)
            length = __builtin_bswap32(length);
        if (size - at < 16 + std::size_t{length})
            break;
        if (from.greeted) {
            const char reply[18] = {
                0, 0, 0, 0, data[at + 4], data[at + 5], data[at + 6], data[at + 7], 0, 0, 0, 2, 0, 0,
                0, 0, 2, 0};
            outgoing.insert(outgoing.end(), reply, reply + sizeof reply);
        } else {
            const std::uint32_t greeting[2] = {0, __builtin_bswap32(static_cast<std::uint32_t>(index))};
            const auto bytes = reinterpret_cast<const char*>(greeting);
            outgoing.insert(outgoing.end(), bytes, bytes + sizeof greeting);
            from.greeted = true;
        }
        at += 16 + length;
    }
    return at;
}

/// False: it is over.
bool serve(int fd)
{
    auto& from = connections[static_cast<std::size_t>(fd)];
    const auto n = ::read(fd, incoming.data(), incoming.size());
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    outgoing.clear();
    if (from.rest.empty()) {
        const auto used = answer(from, incoming.data(), static_cast<std::size_t>(n), fd);
        from.rest.assign(incoming.data() + used, incoming.data() + n);
    } else {
        from.rest.insert(from.rest.end(), incoming.data(), incoming.data() + n);
        const auto used = answer(from, from.rest.data(), from.rest.size(), fd);
        from.rest.erase(from.rest.begin(), from.rest.begin() + static_cast<std::ptrdiff_t>(used));
    }
    return outgoing.empty() || ::send(fd, outgoing.data(), outgoing.size(), MSG_NOSIGNAL) ==
                                   static_cast<ssize_t>(outgoing.size());
}

} // namespace

int main()
{
    const int listener = bench::listen_and_say();
    const int queue = ::epoll_create1(EPOLL_CLOEXEC);
    ::epoll_event wanted{EPOLLIN, {.fd = listener}};
    ::epoll_ctl(queue, EPOLL_CTL_ADD, listener, &wanted);
    std::array<::epoll_event, 128> events;
    while (true) {
        const int n = ::epoll_wait(queue, events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < n; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd != listener) {
                if (!serve(fd)) {
                    connections[static_cast<std::size_t>(fd)] = {};
                    ::close(fd);
                }
                continue;
            }
            for (int peer;
                 (peer = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                bench::no_delay(peer);
                if (connections.size() <= static_cast<std::size_t>(peer))
                    connections.resize(static_cast<std::size_t>(peer) + 1);

                ::epoll_event readable{EPOLLIN, {.fd = peer}};
                ::epoll_ctl(queue, EPOLL_CTL_ADD, peer, &readable);
            }
        }
    }
}
