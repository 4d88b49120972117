// Who holds the other end of a TCP connection on this machine: the kernel is asked, the peer is not believed.
#pragma once

#include <pmixio/detail/descriptor.hpp>
#include <pmixio/error.hpp>
#include <pmixio/result.hpp>

#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pmixio::security {

/// What the kernel says about the socket at the other end of an established connection.
struct kernel_peer {
    uid_t uid;                           ///< its creator's effective uid, as our user namespace numbers it
    std::uint32_t inode;                 ///< never 0: a process holds it
    std::uint8_t state;                  ///< TCP_ESTABLISHED, the only state that is accepted
    std::optional<std::uint64_t> cgroup; ///< its creator's cgroup (version 2), where the kernel says it

    friend bool operator==(const kernel_peer&, const kernel_peer&) = default;
};

/// Asks the kernel who is at the other end of TCP connections within this machine (NETLINK_SOCK_DIAG).
///
/// The uid is that of the process that created the client's socket, when it created it. It does not prove who
/// uses the socket now: it may have been inherited by a process that has since changed its uid, or passed on.
/// Root may set it (fchown). Of a proxy or port forwarder on this machine one learns the proxy's uid. A
/// client behind address translation is unknown, and so is one bound to a device. There is no gid.
///
/// Network and user namespace are those of open(). Open this in the network namespace of the listener: in any
/// other it finds nobody or, at equal addresses, somebody else. Users that have no number in our user
/// namespace are unknown.
///
/// Needs no privilege. ask(addresses) is two system calls (3 us in a virtual machine) and does not wait:
/// the kernel answers within send(). The first question of all may make the kernel load a module; let that be
/// self_test()'s. One user at a time.
class kernel_lookup {
public:
    /// Opens the netlink socket. fault::kernel_unavailable: this kernel or a sandbox does not let us.
    static result<kernel_lookup> open() noexcept;

    /// Who is at the other end of `connected`, a TCP socket of ours; also checks, after the answer, that our
    /// end is still connected.
    ///
    /// fault::kernel_unknown: nobody holds the other end any more, or it is not on this machine, or the
    /// connection was reset. A half-closed peer is unknown too: who waits for an answer has not closed.
    /// fault::kernel_unavailable: the question could not be asked, or the answer not understood. A kernel
    /// without its tcp_diag module answers everything with "unknown": self_test() finds that out.
    result<kernel_peer> ask(int connected) noexcept;

    /// The same by the addresses of our end and of the remote end, without the check of our end.
    ///
    /// The answer is about who holds that pair of addresses *now*. Once the peer has reset the connection,
    /// what it sent can still be read, but the pair is free and may be another user's. So call getpeername()
    /// on our socket after this, and drop the answer if that fails.
    result<kernel_peer> ask(const sockaddr* local_of_ours, const sockaddr* remote_of_ours) noexcept;

    /// Connects to itself on 127.0.0.1, or on ::1 if there is no such address, and asks about that:
    /// fault::kernel_unavailable unless the answer names
    /// this process's effective uid and this very socket, and the closed client is unknown. Takes a second at
    /// most, usually far less than a millisecond.
    result<void> self_test() noexcept;

private:
    explicit kernel_lookup(detail::descriptor socket, std::optional<uid_t> stranger) noexcept
        : socket_(std::move(socket)), stranger_(stranger)
    {}

    detail::descriptor socket_;
    std::optional<uid_t> stranger_; ///< stands for every user that our namespace has no number for
    std::uint32_t sequence_ = 0;
};

} // namespace pmixio::security

// Pure: the bytes to and from the kernel. All integers in host order, ports and addresses in network order.

namespace pmixio::detail {

/// | offset | size | content |
/// |---|---|---|
/// | 0 | 16 | nlmsghdr: length 72, type SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST without NLM_F_DUMP, sequence |
/// | 16 | 8 | family, IPPROTO_TCP, no extensions (the cgroup id comes unasked), states |
/// | 24 | 48 | the *client's* port, our port, client's address, our address, interface, no cookie |
struct kernel_question {
    nlmsghdr header;
    inet_diag_req_v2 about;
};
static_assert(sizeof(kernel_question) == 72 && std::has_unique_object_representations_v<kernel_question>);

/// One end of a connection as the kernel's TCP table has it: v4-mapped addresses are IPv4.
struct tcp_end {
    std::uint8_t family = 0;
    in_port_t port = 0;
    std::uint32_t scope = 0;
    std::array<std::uint32_t, 4> address{};
};

/// Not inlined: g++ 12 would warn (-Wstringop-overread) where it sees that `where` is a whole sockaddr_in.
[[gnu::noinline]] inline std::optional<tcp_end> tcp_end_of(const sockaddr* where) noexcept
{
    tcp_end end;
    if (where->sa_family == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, where, sizeof v4);
        end.family = AF_INET;
        end.port = v4.sin_port;
        end.address[0] = v4.sin_addr.s_addr;
        return end;
    }
    if (where->sa_family == AF_INET6) {
        sockaddr_in6 v6;
        std::memcpy(&v6, where, sizeof v6);
        end.port = v6.sin6_port;
        std::memcpy(end.address.data(), &v6.sin6_addr, sizeof end.address);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            end.family = AF_INET;
            end.address = {end.address[3], 0, 0, 0};
        } else {
            end.family = AF_INET6;
            end.scope = v6.sin6_scope_id; // a connected link-local socket is bound to its interface
        }
        return end;
    }
    return std::nullopt;
}

/// The question about the client of the connection whose ends we see as `ours` and `theirs`.
///
/// One question serves both families of a v4-mapped pair: Linux keeps AF_INET and mapped AF_INET6 sockets
/// under the same IPv4 addresses, and a question in either family finds either.
inline result<kernel_question> make_question(const sockaddr* ours, const sockaddr* theirs,
                                             std::uint32_t sequence) noexcept
{
    const auto server = tcp_end_of(ours);
    const auto client = tcp_end_of(theirs);
    if (!server || !client || server->family != client->family)
        return fault::kernel_unavailable;

    kernel_question question{};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.header.nlmsg_seq = sequence;
    question.about.sdiag_family = client->family;
    question.about.sdiag_protocol = IPPROTO_TCP;
    question.about.idiag_states = 1u << TCP_ESTABLISHED; // Linux ignores it here: parse_answer decides
    auto& id = question.about.id;
    id.idiag_sport = client->port;
    id.idiag_dport = server->port;
    std::copy(client->address.begin(), client->address.end(), id.idiag_src);
    std::copy(server->address.begin(), server->address.end(), id.idiag_dst);
    id.idiag_if = client->scope ? client->scope : server->scope;
    id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return question;
}

/// The T at an offset, if it is all there. The only code here that reads what the kernel sent.
template <class T>
std::optional<T> read_at(std::span<const std::byte> bytes, std::size_t at) noexcept
{
    static_assert(std::is_trivially_copyable_v<T>);
    if (at > bytes.size() || bytes.size() - at < sizeof(T))
        return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

/// Whether a message answers the question of that number.
inline bool is_answer_to(std::span<const std::byte> message, std::uint32_t sequence) noexcept
{
    const auto header = read_at<nlmsghdr>(message, 0);
    return header && header->nlmsg_seq == sequence;
}

/// Whether a socket has exactly the ends that were asked for. The kernel also offers a listener on the port.
inline bool same_ends(const inet_diag_req_v2& asked, const inet_diag_msg& found) noexcept
{
    const auto same_address = [&](const std::uint32_t(&wanted)[4], const std::uint32_t(&got)[4]) {
        if (asked.sdiag_family == AF_INET && found.idiag_family == AF_INET)
            return wanted[0] == got[0];
        if (asked.sdiag_family == AF_INET && found.idiag_family == AF_INET6)
            return got[0] == 0 && got[1] == 0 && got[2] == htonl(0xffff) && got[3] == wanted[0];
        return asked.sdiag_family == found.idiag_family && std::equal(wanted, wanted + 4, got);
    };
    return asked.id.idiag_sport == found.id.idiag_sport && asked.id.idiag_dport == found.id.idiag_dport &&
           same_address(asked.id.idiag_src, found.id.idiag_src) &&
           same_address(asked.id.idiag_dst, found.id.idiag_dst);
}

/// INET_DIAG_CGROUP_ID, which headers older than Linux 5.9 lack.
inline constexpr unsigned cgroup_attribute = 21;

/// The cgroup id among the attributes. Each is: u16 length without padding, u16 type, content, padding to 4.
inline result<std::optional<std::uint64_t>> find_cgroup(std::span<const std::byte> attributes) noexcept
{
    std::optional<std::uint64_t> cgroup;
    while (!attributes.empty()) {
        const auto header = read_at<nlattr>(attributes, 0);
        if (!header || header->nla_len < sizeof(nlattr))
            return fault::kernel_unavailable;
        const std::size_t padded = (std::size_t{header->nla_len} + 3) / 4 * 4;
        if (padded > attributes.size())
            return fault::kernel_unavailable;
        if ((header->nla_type & NLA_TYPE_MASK) == cgroup_attribute) {
            if (header->nla_len != sizeof(nlattr) + sizeof(std::uint64_t))
                return fault::kernel_unavailable;
            cgroup = read_at<std::uint64_t>(attributes, sizeof(nlattr));
        }
        attributes = attributes.subspan(padded);
    }
    return cgroup;
}

/// Reads the kernel's answer to `question`: one whole message, no bytes after it.
///
/// | offset | size | content |
/// |---|---|---|
/// | 0 | 16 | nlmsghdr: length of all, type, flags, sequence of the question |
/// | 16 | 72 | type SOCK_DIAG_BY_FAMILY: inet_diag_msg |
/// | 88 | | attributes |
/// | 16 | 4 | type NLMSG_ERROR: negative errno; -ENOENT is "no such socket" |
///
/// Sockets that no process holds (closed, in TIME_WAIT, not yet accepted) come with uid 0 and inode 0:
/// unknown. Only ESTABLISHED is accepted: a client that waits for our answer has not closed its side
/// (FIN_WAIT, LAST_ACK), we have not closed ours (CLOSE_WAIT), and one in SYN_SENT is a stranger trying the
/// same pair of addresses.
inline result<security::kernel_peer> parse_answer(std::span<const std::byte> message,
                                                  const kernel_question& question) noexcept
{
    const auto header = read_at<nlmsghdr>(message, 0);
    if (!header || header->nlmsg_len != message.size() || header->nlmsg_seq != question.header.nlmsg_seq)
        return fault::kernel_unavailable;

    if (header->nlmsg_type == NLMSG_ERROR) {
        const auto error = read_at<std::int32_t>(message, sizeof(nlmsghdr));
        return error == -ENOENT ? fault::kernel_unknown : fault::kernel_unavailable;
    }
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return fault::kernel_unavailable;

    const auto found = read_at<inet_diag_msg>(message, sizeof(nlmsghdr));
    if (!found)
        return fault::kernel_unavailable;
    const auto cgroup = find_cgroup(message.subspan(sizeof(nlmsghdr) + sizeof(inet_diag_msg)));
    if (!cgroup)
        return cgroup.error();
    const bool living = found->idiag_state == TCP_ESTABLISHED && found->idiag_inode != 0;
    if (!living || !same_ends(question.about, *found))
        return fault::kernel_unknown;
    return security::kernel_peer{found->idiag_uid, found->idiag_inode, found->idiag_state, *cgroup};
}

/// The leading decimal numbers of a text, at most three.
inline std::array<std::optional<std::uint32_t>, 3> numbers_in(std::string_view text) noexcept
{
    std::array<std::optional<std::uint32_t>, 3> numbers;
    for (auto& number : numbers) {
        text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
        std::uint32_t value = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
        if (read.ec != std::errc{})
            break;
        number = value;
        text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
    }
    return numbers;
}

/// The uid that a user namespace sees in place of each uid it does not map, or none if it maps all.
/// The arguments are the contents of /proc/self/uid_map and of /proc/sys/kernel/overflowuid.
inline std::optional<uid_t> stranger_uid(std::string_view uid_map, std::string_view overflow_uid) noexcept
{
    const auto first_range = numbers_in(uid_map); // inside, outside, count
    if (first_range[0] == 0u && first_range[2] == 0xffff'ffffu)
        return std::nullopt;
    return numbers_in(overflow_uid)[0].value_or(65534);
}

/// The first bytes of a small file; empty if it cannot be read.
inline std::string_view read_start(const char* path, std::span<char> into) noexcept
{
    const descriptor file(::open(path, O_RDONLY | O_CLOEXEC));
    const auto size = ::read(file.get(), into.data(), into.size());
    return {into.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

} // namespace pmixio::detail

namespace pmixio::security {

inline result<kernel_lookup> kernel_lookup::open() noexcept
{
    constexpr int type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
    detail::descriptor socket(::socket(AF_NETLINK, type, NETLINK_SOCK_DIAG));
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    // Connected to the kernel, it takes messages from nobody else.
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) != 0)
        return fault::kernel_unavailable;

    std::array<char, 64> first, second;
    const auto uid_map = detail::read_start("/proc/self/uid_map", first);
    const auto overflow_uid = detail::read_start("/proc/sys/kernel/overflowuid", second);
    return kernel_lookup(std::move(socket), detail::stranger_uid(uid_map, overflow_uid));
}

inline result<kernel_peer> kernel_lookup::ask(const sockaddr* local_of_ours,
                                              const sockaddr* remote_of_ours) noexcept
{
    const auto question = detail::make_question(local_of_ours, remote_of_ours, ++sequence_);
    if (!question)
        return question.error();
    if (::send(socket_.get(), &*question, sizeof *question, 0) != static_cast<ssize_t>(sizeof *question))
        return fault::kernel_unavailable;

    for (int message = 0; message < 16; ++message) { // left over from questions that failed halfway
        std::array<std::byte, 1024> buffer;          // 124 bytes come from Linux 6.18
        const auto size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 || static_cast<std::size_t>(size) > buffer.size())
            return fault::kernel_unavailable;
        const auto answer = std::span<const std::byte>(buffer).first(static_cast<std::size_t>(size));
        if (!detail::is_answer_to(answer, sequence_))
            continue;
        auto peer = detail::parse_answer(answer, *question);
        if (peer && peer->uid == stranger_)
            return fault::kernel_unknown;
        return peer;
    }
    return fault::kernel_unavailable;
}

inline result<kernel_peer> kernel_lookup::ask(int connected) noexcept
{
    sockaddr_storage ours, theirs;
    auto* const local = reinterpret_cast<sockaddr*>(&ours);
    auto* const remote = reinterpret_cast<sockaddr*>(&theirs);
    socklen_t size = sizeof ours;
    if (::getsockname(connected, local, &size) != 0)
        return fault::kernel_unavailable;
    const auto connected_to = [&] {
        size = sizeof theirs;
        return ::getpeername(connected, remote, &size) == 0;
    };
    if (!connected_to())
        return errno == ENOTCONN ? fault::kernel_unknown : fault::kernel_unavailable;

    auto peer = ask(local, remote);
    if (peer && !connected_to()) // reset meanwhile: the answer may be about who took the addresses after that
        return fault::kernel_unknown;
    return peer;
}

inline result<void> kernel_lookup::self_test() noexcept
{
    const auto tcp_socket = [](int family) {
        return detail::descriptor(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    };
    sockaddr_storage here_any{}, there_any{};
    auto* const here = reinterpret_cast<sockaddr*>(&here_any);
    auto* const there = reinterpret_cast<sockaddr*>(&there_any);
    const auto loopback = [&](const auto& address) {
        std::memcpy(&here_any, &address, sizeof address);
        return static_cast<socklen_t>(sizeof address);
    };
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = loopback(v4);
    auto listener = tcp_socket(AF_INET);
    if (::bind(listener.get(), here, size) != 0) { // a machine without IPv4
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_addr = IN6ADDR_LOOPBACK_INIT;
        size = loopback(v6);
        listener = tcp_socket(AF_INET6);
        if (::bind(listener.get(), here, size) != 0)
            return fault::kernel_unavailable;
    }
    auto client = tcp_socket(here->sa_family);
    if (::listen(listener.get(), 16) != 0 || ::getsockname(listener.get(), here, &size) != 0)
        return fault::kernel_unavailable;
    if (::connect(client.get(), here, size) != 0) {
        pollfd connected{client.get(), POLLOUT, 0};
        if (errno != EINPROGRESS || ::poll(&connected, 1, 1000) != 1)
            return fault::kernel_unavailable;
    }
    // Nothing is accepted: strangers can reach this listener too, and the client can be asked about as it is.
    struct stat expected{};
    size = sizeof there_any;
    if (::getsockname(client.get(), there, &size) != 0 || ::fstat(client.get(), &expected) != 0)
        return fault::kernel_unavailable;

    const auto living = ask(here, there);
    if (!living || living->uid != ::geteuid() || living->inode != static_cast<std::uint32_t>(expected.st_ino))
        return fault::kernel_unavailable;
    client = detail::descriptor();
    const auto closed = ask(here, there);
    if (closed.error() != make_error_code(fault::kernel_unknown))
        return fault::kernel_unavailable;
    return {};
}

} // namespace pmixio::security
