// How a server of the benchmarks begins: on the loopback interface, any port, and its URI on standard output.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <system_error>

namespace bench {

inline void no_delay(int fd)
{
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// As many descriptors as this process may have.
inline void many_descriptors()
{
    ::rlimit most{};
    ::getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &most);
}

inline void say_ready(unsigned port)
{
    std::printf("READY bench.0;tcp4://127.0.0.1:%u\n", port);
    std::fflush(stdout);
}

/// A listener that does not block.
inline int listen_and_say()
{
    many_descriptors();
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ::sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(fd, reinterpret_cast<::sockaddr*>(&at), size) != 0 || ::listen(fd, SOMAXCONN) != 0 ||
        ::getsockname(fd, reinterpret_cast<::sockaddr*>(&at), &size) != 0)
        throw std::system_error(errno, std::system_category());
    say_ready(ntohs(at.sin_port));
    return fd;
}

} // namespace bench
