#include "../support/refusing.hpp"

#include <pmixio/security/kernel_peer.hpp>

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using pmixio::fault;
using pmixio::detail::descriptor;
using pmixio::security::kernel_lookup;
using pmixio::security::kernel_peer;
using pmixio::test::refused_call;
using pmixio::test::while_refused;

static_assert(pmixio::detail::cgroup_attribute == INET_DIAG_CGROUP_ID);
static_assert(!std::is_copy_constructible_v<kernel_lookup> && !std::is_copy_assignable_v<kernel_lookup>);
static_assert(std::is_nothrow_move_constructible_v<kernel_lookup>);
static_assert(std::is_nothrow_move_assignable_v<kernel_lookup>);

// Addresses.

struct address {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

address at(const char* host, std::uint16_t port, std::uint32_t scope = 0)
{
    address result;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        std::memcpy(&result.storage, &v4, result.size = sizeof v4);
    } else {
        REQUIRE(::inet_pton(AF_INET6, host, &v6.sin6_addr) == 1);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        v6.sin6_scope_id = scope;
        std::memcpy(&result.storage, &v6, result.size = sizeof v6);
    }
    return result;
}

address local_of(const descriptor& socket)
{
    address result;
    REQUIRE(::getsockname(socket.get(), result.get(), &result.size) == 0);
    return result;
}

std::uint16_t port_of(const descriptor& socket)
{
    const auto where = local_of(socket);
    sockaddr_in6 any; // the port of both families is at the same place
    std::memcpy(&any, &where.storage, sizeof any);
    return ntohs(any.sin6_port);
}

// Sockets. These also run in forked children, where a throw ends the child with a status that is checked.

void must(bool good)
{
    if (!good)
        throw std::runtime_error(std::strerror(errno));
}

descriptor tcp_socket(const address& kind)
{
    descriptor socket(::socket(kind.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    must(bool(socket));
    const int yes = 1;
    must(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0);
    return socket;
}

descriptor listen_at(const address& where)
{
    auto socket = tcp_socket(where);
    const int no = 0;
    if (where.storage.ss_family == AF_INET6)
        must(::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) == 0);
    must(::bind(socket.get(), where.get(), where.size) == 0 && ::listen(socket.get(), 16) == 0);
    return socket;
}

descriptor connect_to(const address& where, const address* from = nullptr)
{
    auto socket = tcp_socket(where);
    must(!from || ::bind(socket.get(), from->get(), from->size) == 0);
    must(::connect(socket.get(), where.get(), where.size) == 0);
    return socket;
}

descriptor accept_from(const descriptor& listener, address* remote = nullptr)
{
    address from;
    descriptor socket(::accept4(listener.get(), from.get(), &from.size, SOCK_CLOEXEC));
    must(bool(socket));
    if (remote)
        *remote = from;
    return socket;
}

void reset(descriptor& socket)
{
    const linger abortive{1, 0};
    must(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &abortive, sizeof abortive) == 0);
    socket = descriptor();
}

std::uint32_t inode_of(const descriptor& socket)
{
    struct stat about {};
    REQUIRE(::fstat(socket.get(), &about) == 0);
    return static_cast<std::uint32_t>(about.st_ino);
}

/// A process that runs `body`, then says so and lives on until this object goes.
class child {
public:
    explicit child(const std::function<void()>& body)
    {
        int up[2], down[2];
        must(::pipe2(up, O_CLOEXEC) == 0 && ::pipe2(down, O_CLOEXEC) == 0);
        process_ = ::fork();
        must(process_ >= 0);
        if (process_ == 0) {
            ::close(up[0]);
            ::close(down[1]);
            char word = 'x';
            try {
                body();
                word = 'k';
            } catch (...) {
            }
            const bool told = ::write(up[1], &word, 1) == 1;
            ::_exit(told && ::read(down[0], &word, 1) == 0 ? 0 : 1);
        }
        ::close(up[1]);
        ::close(down[0]);
        hold_ = descriptor(down[1]);
        const descriptor ready(up[0]);
        char word = 0;
        REQUIRE(::read(ready.get(), &word, 1) == 1);
        REQUIRE(word == 'k');
    }
    child(const child&) = delete;
    ~child() { end(); }

    void end()
    {
        hold_ = descriptor();
        if (process_ > 0)
            ::waitpid(std::exchange(process_, 0), nullptr, 0);
    }

private:
    pid_t process_ = 0;
    descriptor hold_;
};

bool can_become_others()
{
    std::array<char, 64> map;
    const auto uid_map = pmixio::detail::read_start("/proc/self/uid_map", map);
    if (::geteuid() == 0 && !pmixio::detail::stranger_uid(uid_map, ""))
        return true;
    MESSAGE("skipped: only root of the first user namespace can run a client as another user");
    return false;
}

void become(uid_t user) { must(::setresuid(user, user, user) == 0); }

kernel_lookup open_lookup()
{
    auto lookup = kernel_lookup::open();
    REQUIRE(lookup);
    return *std::move(lookup);
}

/// The number that the next descriptor of this process gets.
int next_descriptor()
{
    return descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)).get();
}

std::ptrdiff_t open_descriptors()
{
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
}

bool has_ipv6()
{
    const descriptor probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto loopback = at("::1", 0);
    if (probe && ::bind(probe.get(), loopback.get(), loopback.size) == 0)
        return true;
    MESSAGE("skipped: no IPv6 here");
    return false;
}

// Bytes.

using bytes = std::vector<std::byte>;
using numbers = std::vector<std::uint16_t>;

template <class T>
bytes bytes_of(const T& value)
{
    const auto raw = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
    return {raw.begin(), raw.end()};
}

template <class T>
void put(bytes& into, std::size_t offset, T value)
{
    REQUIRE(offset + sizeof value <= into.size());
    std::memcpy(into.data() + offset, &value, sizeof value);
}

bytes first(const bytes& whole, std::size_t size)
{
    return {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
}

bytes joined(std::initializer_list<bytes> parts)
{
    bytes all;
    for (const auto& part : parts)
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

bytes attribute(std::uint16_t length, std::uint16_t type, bytes content)
{
    return joined({bytes_of(nlattr{length, type}), std::move(content)});
}

bytes message(std::uint16_t type, std::uint32_t sequence, const bytes& payload)
{
    const auto size = static_cast<std::uint32_t>(sizeof(nlmsghdr) + payload.size());
    return joined({bytes_of(nlmsghdr{size, type, 0, sequence, 4711}), payload});
}

bytes four(unsigned first) { return {std::byte(first), std::byte(0), std::byte(0), std::byte(0)}; }

const bytes shutdown_attribute = attribute(5, INET_DIAG_SHUTDOWN, four(0));
const bytes cgroup_is_77 = attribute(12, INET_DIAG_CGROUP_ID, bytes_of(std::uint64_t{77}));

/// The question of the parse tests: our end is 127.0.0.1:4000, the client is 127.0.0.2:5000.
const pmixio::detail::kernel_question asked =
    *pmixio::detail::make_question(at("127.0.0.1", 4000).get(), at("127.0.0.2", 5000).get(), 9);

inet_diag_msg found()
{
    inet_diag_msg socket{};
    socket.idiag_family = AF_INET;
    socket.idiag_state = TCP_ESTABLISHED;
    socket.id = asked.about.id;
    socket.idiag_uid = 1001;
    socket.idiag_inode = 555;
    return socket;
}

bytes answer(const inet_diag_msg& socket, const bytes& attributes)
{
    return message(SOCK_DIAG_BY_FAMILY, 9, joined({bytes_of(socket), attributes}));
}

bytes valid() { return answer(found(), joined({shutdown_attribute, cgroup_is_77})); }

/// Copies into a block of exactly that size, so that the sanitizers see a read past its end.
pmixio::result<kernel_peer> parse(const bytes& reply)
{
    const bytes exact(reply);
    return pmixio::detail::parse_answer(exact, asked);
}

std::error_code error_of(const bytes& reply) { return parse(reply).error(); }

} // namespace

TEST_CASE("an IPv4 question names the client's socket as the kernel sees it")
{
    const auto ours = at("127.0.0.1", 0x1234);
    const auto theirs = at("127.0.0.2", 0xabcd);
    const auto question = pmixio::detail::make_question(ours.get(), theirs.get(), 0x01020304);
    REQUIRE(question);
    bytes expected(72, std::byte(0));
    put(expected, 0, std::uint32_t{72});
    put(expected, 4, std::uint16_t{20}); // SOCK_DIAG_BY_FAMILY
    put(expected, 6, std::uint16_t{1});  // NLM_F_REQUEST, no dump
    put(expected, 8, std::uint32_t{0x01020304});
    put(expected, 16, std::uint8_t{2});       // AF_INET
    put(expected, 17, std::uint8_t{6});       // TCP
    put(expected, 20, std::uint32_t{1 << 1}); // established
    put(expected, 24, std::array<std::uint8_t, 4>{0xab, 0xcd, 0x12, 0x34});
    put(expected, 28, std::array<std::uint8_t, 4>{127, 0, 0, 2});
    put(expected, 44, std::array<std::uint8_t, 4>{127, 0, 0, 1});
    put(expected, 64, std::uint64_t{0xffff'ffff'ffff'ffff});
    CHECK(bytes_of(*question) == expected);

    const auto mapped = pmixio::detail::make_question(at("::ffff:127.0.0.1", 0x1234).get(),
                                                      at("::ffff:127.0.0.2", 0xabcd).get(), 0x01020304);
    REQUIRE(mapped);
    CHECK(bytes_of(*mapped) == expected);
}

TEST_CASE("an IPv6 question has both addresses and the interface of link-local ones")
{
    const auto ours = at("fe80::1", 0x1234, 7);
    const auto theirs = at("fe80::2", 0xabcd, 7);
    const auto question = pmixio::detail::make_question(ours.get(), theirs.get(), 5);
    REQUIRE(question);
    bytes expected(72, std::byte(0));
    put(expected, 0, std::uint32_t{72});
    put(expected, 4, std::uint16_t{20});
    put(expected, 6, std::uint16_t{1});
    put(expected, 8, std::uint32_t{5});
    put(expected, 16, std::uint8_t{10}); // AF_INET6
    put(expected, 17, std::uint8_t{6});
    put(expected, 20, std::uint32_t{1 << 1});
    put(expected, 24, std::array<std::uint8_t, 4>{0xab, 0xcd, 0x12, 0x34});
    put(expected, 28, std::array<std::uint8_t, 16>{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
    put(expected, 44, std::array<std::uint8_t, 16>{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    put(expected, 60, std::uint32_t{7});
    put(expected, 64, std::uint64_t{0xffff'ffff'ffff'ffff});
    CHECK(bytes_of(*question) == expected);
}

TEST_CASE("there is no question about other families, or about two different ones")
{
    sockaddr_storage local{};
    local.ss_family = AF_UNIX;
    const auto* other = reinterpret_cast<const sockaddr*>(&local);
    const auto v4 = at("127.0.0.1", 1);
    const auto v6 = at("::1", 1);
    using pmixio::detail::make_question;
    CHECK(make_question(other, other, 1).error() == fault::kernel_unavailable);
    CHECK(make_question(v4.get(), other, 1).error() == fault::kernel_unavailable);
    CHECK(make_question(v4.get(), v6.get(), 1).error() == fault::kernel_unavailable);
    CHECK(make_question(v6.get(), v4.get(), 1).error() == fault::kernel_unavailable);
    CHECK(make_question(v4.get(), at("::ffff:127.0.0.1", 1).get(), 1));
}

TEST_CASE("a valid answer is read, with and without attributes")
{
    const auto full = parse(valid());
    REQUIRE(full);
    CHECK(*full == kernel_peer{1001, 555, TCP_ESTABLISHED, 77});
    const auto bare = parse(answer(found(), {}));
    REQUIRE(bare);
    CHECK(*bare == kernel_peer{1001, 555, TCP_ESTABLISHED, std::nullopt});
}

TEST_CASE("every truncation is refused, and so is every extension")
{
    const auto whole = valid();
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK(error_of(first(whole, size)) == fault::kernel_unavailable);
    CHECK(error_of(joined({whole, four(0)})) == fault::kernel_unavailable);

    // Where the header agrees with the shorter size, only the ends of attributes are ends of an answer.
    const std::vector<std::size_t> ends{88, 96, 108};
    for (std::size_t size = 16; size <= whole.size(); ++size) {
        auto shorter = first(whole, size);
        put(shorter, 0, static_cast<std::uint32_t>(size));
        CAPTURE(size);
        CHECK(parse(shorter).has_value() == (std::find(ends.begin(), ends.end(), size) != ends.end()));
    }
}

TEST_CASE("errors of the kernel: nobody is one thing, cannot ask is another")
{
    const auto error = [](std::int32_t number) {
        return error_of(message(NLMSG_ERROR, 9, joined({bytes_of(number), bytes_of(asked)})));
    };
    CHECK(error(-ENOENT) == fault::kernel_unknown);
    for (const auto number : {0, ENOENT, -EPERM, -EACCES, -EINVAL, -ENOMEM, INT32_MIN, INT32_MAX})
        CHECK(error(number) == fault::kernel_unavailable);
    const auto short_error = message(NLMSG_ERROR, 9, bytes_of(std::int32_t{-ENOENT}));
    CHECK(error_of(short_error) == fault::kernel_unknown);
    CHECK(error_of(message(NLMSG_ERROR, 9, {std::byte(0xfe)})) == fault::kernel_unavailable);
    CHECK(error_of(message(NLMSG_ERROR, 9, {})) == fault::kernel_unavailable);
}

TEST_CASE("only the answer to this question counts")
{
    CHECK(pmixio::detail::is_answer_to(valid(), 9));
    CHECK_FALSE(pmixio::detail::is_answer_to(valid(), 10));
    CHECK_FALSE(pmixio::detail::is_answer_to(bytes(15), 0));

    auto other = valid();
    put(other, 8, std::uint32_t{8});
    CHECK(error_of(other) == fault::kernel_unavailable);
    CHECK(error_of(message(NLMSG_ERROR, 8, bytes_of(std::int32_t{-ENOENT}))) == fault::kernel_unavailable);
    for (const std::uint16_t type : numbers{NLMSG_NOOP, NLMSG_DONE, NLMSG_OVERRUN, 0, 19, 21, 0xffff}) {
        auto reply = valid();
        put(reply, 4, type);
        CHECK_FALSE(parse(reply).has_value());
        CHECK(error_of(message(type, 9, {})) == fault::kernel_unavailable);
    }
}

TEST_CASE("the header's length must be the message's")
{
    for (const std::uint32_t length : {0u, 1u, 15u, 16u, 87u, 88u, 107u, 109u, 0x7fff'ffffu, 0xffff'ffffu}) {
        auto reply = valid();
        put(reply, 0, length);
        CHECK(error_of(reply) == fault::kernel_unavailable);
    }
}

TEST_CASE("attributes out of bounds are refused")
{
    const auto with = [](const bytes& attributes) { return error_of(answer(found(), attributes)); };
    for (const std::uint16_t length : numbers{0, 1, 2, 3, 9, 12, 0x7fff, 0xfffd, 0xffff}) {
        CAPTURE(length);
        CHECK(with(attribute(length, INET_DIAG_SHUTDOWN, four(0))) == fault::kernel_unavailable);
        CHECK(with(joined({cgroup_is_77, attribute(length, 99, four(0))})) == fault::kernel_unavailable);
    }
    for (const std::uint16_t length : numbers{4, 5, 8, 11, 13, 16})
        CHECK(with(attribute(length, INET_DIAG_CGROUP_ID, bytes(12))) == fault::kernel_unavailable);
    for (const std::uint16_t length : numbers{0, 1, 2, 3})
        CHECK(with(attribute(length, INET_DIAG_SHUTDOWN, {})) == fault::kernel_unavailable);
    for (std::size_t rest = 1; rest < 4; ++rest) // not even a header
        CHECK(with(joined({cgroup_is_77, bytes(rest)})) == fault::kernel_unavailable);
    CHECK(with(bytes_of(nlattr{5, 8})) == fault::kernel_unavailable);
    CHECK(with(joined({bytes_of(nlattr{5, 8}), bytes(1)})) == fault::kernel_unavailable); // padding cut off
    CHECK(parse(answer(found(), attribute(4, 99, {}))));
    CHECK(parse(answer(found(), attribute(8, 0xffff, four(1)))));
}

TEST_CASE("only a living socket with the very ends is somebody")
{
    for (unsigned state = 0; state < 256; ++state) {
        auto socket = found();
        socket.idiag_state = static_cast<std::uint8_t>(state);
        CAPTURE(state);
        if (state == TCP_ESTABLISHED)
            CHECK(parse(answer(socket, {})));
        else
            CHECK(error_of(answer(socket, {})) == fault::kernel_unknown);
    }
    auto orphan = found();
    orphan.idiag_inode = 0;
    orphan.idiag_uid = 0;
    CHECK(error_of(answer(orphan, cgroup_is_77)) == fault::kernel_unknown);

    const auto changed = [](auto change) {
        auto socket = found();
        change(socket);
        return error_of(answer(socket, {}));
    };
    CHECK(changed([](auto& s) { s.id.idiag_sport ^= 1; }) == fault::kernel_unknown);
    CHECK(changed([](auto& s) { s.id.idiag_dport = 0; }) == fault::kernel_unknown);
    CHECK(changed([](auto& s) { s.id.idiag_src[0] ^= 1; }) == fault::kernel_unknown);
    CHECK(changed([](auto& s) { s.id.idiag_dst[0] = 0; }) == fault::kernel_unknown);
    CHECK(changed([](auto& s) { s.idiag_family = AF_INET6; }) == fault::kernel_unknown);
    CHECK(changed([](auto& s) { s.idiag_family = 0; }) == fault::kernel_unknown);
    CHECK_FALSE(changed([](auto& s) { // the same connection, made by an AF_INET6 socket
        s.idiag_family = AF_INET6;
        for (auto* address : {s.id.idiag_src, s.id.idiag_dst}) {
            address[3] = address[0];
            address[2] = htonl(0xffff);
            address[0] = 0;
        }
    }));
}

TEST_CASE("a changed byte never breaks the parser")
{
    const auto whole = valid();
    for (std::size_t offset = 0; offset < whole.size(); ++offset) {
        for (unsigned value = 0; value < 256; ++value) {
            auto changed = whole;
            changed[offset] = std::byte(value);
            const auto peer = parse(changed);
            if (peer && (peer->inode == 0 || peer->state != TCP_ESTABLISHED))
                FAIL("accepted at offset ", offset, " value ", value);
        }
    }
}

TEST_CASE("the stand-in for unmapped users is known unless every user is mapped")
{
    using pmixio::detail::stranger_uid;
    CHECK(stranger_uid("         0          0 4294967295\n", "65534\n") == std::nullopt);
    CHECK(stranger_uid("         0       1000          1\n", "65534\n") == uid_t{65534});
    CHECK(stranger_uid("         0     100000      65536\n", "99\n") == uid_t{99});
    CHECK(stranger_uid("         1          1 4294967294\n", "65534\n") == uid_t{65534});
    for (const char* text : {"", "\n", "x", "0", "0 0", "0 0 x", "0 0 42949672950", "-1 0 4294967295"})
        CHECK(stranger_uid(text, text) == (text[0] == '0' ? uid_t{0} : uid_t{65534}));
}

TEST_CASE("a living client is its user and its very socket")
{
    struct route {
        std::string listen;
        std::string connect;
    };
    const route routes[] = {
        {"127.0.0.1", "127.0.0.1"},
        {"::1", "::1"},
        {"::", "127.0.0.1"},               // dual-stack listener, IPv4 socket
        {"::", "::ffff:127.0.0.1"},        // dual-stack listener, IPv6 socket with a mapped address
        {"127.0.0.1", "::ffff:127.0.0.1"}, // IPv4 listener, IPv6 socket with a mapped address
    };
    auto lookup = open_lookup();
    const bool ipv6 = has_ipv6();
    for (const auto& way : routes) {
        if (!ipv6 && (way.listen + way.connect).find(':') != std::string::npos)
            continue;
        CAPTURE(way.listen);
        CAPTURE(way.connect);
        const auto listener = listen_at(at(way.listen.c_str(), 0));
        const auto client = connect_to(at(way.connect.c_str(), port_of(listener)));
        address remote;
        const auto ours = accept_from(listener, &remote);

        const auto peer = lookup.ask(ours.get());
        REQUIRE(peer);
        CHECK(peer->uid == ::geteuid());
        CHECK(peer->inode == inode_of(client));
        CHECK(peer->state == TCP_ESTABLISHED);
        const auto by_address = lookup.ask(local_of(ours).get(), remote.get());
        REQUIRE(by_address);
        CHECK(*by_address == *peer);
    }
}

TEST_CASE("a client on a link-local address is found on its interface")
{
    auto lookup = open_lookup();
    bool tried = false;
    struct if_nameindex* const all = ::if_nameindex();
    REQUIRE(all);
    // To try it: unshare -Urn sh -c 'ip link set lo up; ip a add fe80::77/64 dev lo nodad; exec TESTS'
    for (const auto* one = all; one->if_index != 0; ++one) {
        const auto where = at("fe80::77", 0, one->if_index);
        const descriptor probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!probe || ::bind(probe.get(), where.get(), where.size) != 0)
            continue;
        tried = true;
        const auto listener = listen_at(where);
        const auto client = connect_to(at("fe80::77", port_of(listener), one->if_index));
        const auto ours = accept_from(listener);
        const auto peer = lookup.ask(ours.get());
        REQUIRE(peer);
        CHECK(peer->inode == inode_of(client));
    }
    ::if_freenameindex(all);
    if (!tried)
        MESSAGE("skipped: no interface has the address fe80::77");
}

TEST_CASE("a closed, half-closed or reset client is unknown, never root")
{
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto there = at("127.0.0.1", port_of(listener));

    auto client = connect_to(there);
    const auto ours = accept_from(listener);
    REQUIRE(lookup.ask(ours.get()));
    must(::shutdown(client.get(), SHUT_WR) == 0);
    CHECK(lookup.ask(ours.get()).error() == fault::kernel_unknown);
    client = descriptor();
    CHECK(lookup.ask(ours.get()).error() == fault::kernel_unknown);

    auto aborting = connect_to(there);
    const auto aborted = accept_from(listener);
    reset(aborting);
    CHECK(lookup.ask(aborted.get()).error() == fault::kernel_unknown);

    auto early = connect_to(there);
    early = descriptor();
    const auto late = accept_from(listener);
    CHECK(lookup.ask(late.get()).error() == fault::kernel_unknown);
}

TEST_CASE("a client in TIME_WAIT is unknown")
{
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    auto client = connect_to(at("127.0.0.1", port_of(listener)));
    address remote;
    auto ours = accept_from(listener, &remote);
    const auto local = local_of(ours);
    client = descriptor();
    ours = descriptor();
    CHECK(lookup.ask(local.get(), remote.get()).error() == fault::kernel_unknown);
}

TEST_CASE("a listener on the client's port is not the client")
{
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto other = listen_at(at("127.0.0.1", 0));
    CHECK(lookup.ask(local_of(listener).get(), local_of(other).get()).error() == fault::kernel_unknown);
}

TEST_CASE("the peer of a socket that is not connected is unknown or cannot be asked for")
{
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    CHECK(lookup.ask(listener.get()).error() == fault::kernel_unknown);
    CHECK(lookup.ask(-1).error() == fault::kernel_unavailable);
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    const descriptor first(pair[0]), second(pair[1]);
    CHECK(lookup.ask(first.get()).error() == fault::kernel_unavailable);
}

TEST_CASE("a client whose process exited while it waits to be accepted is unknown")
{
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto there = at("127.0.0.1", port_of(listener));
    descriptor held;
    child process([&] { held = connect_to(there); });
    process.end();
    address remote;
    const auto ours = accept_from(listener, &remote);
    CHECK(lookup.ask(ours.get()).error() == fault::kernel_unknown);
    CHECK(lookup.ask(local_of(ours).get(), remote.get()).error() == fault::kernel_unknown);
}

TEST_CASE("another user's client is that user")
{
    if (!can_become_others())
        return;
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto there = at("127.0.0.1", port_of(listener));
    descriptor held;
    const child process([&] {
        become(65534);
        held = connect_to(there);
    });
    const auto ours = accept_from(listener);
    const auto peer = lookup.ask(ours.get());
    REQUIRE(peer);
    CHECK(peer->uid == 65534);
    CHECK(peer->inode != 0);
}

TEST_CASE("a socket that root made and another user inherited is root's")
{
    if (!can_become_others())
        return;
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto there = at("127.0.0.1", port_of(listener));
    auto socket = tcp_socket(there);
    const child process([&] {
        become(65534);
        must(::connect(socket.get(), there.get(), there.size) == 0);
    });
    socket = descriptor();
    const auto ours = accept_from(listener);
    const auto peer = lookup.ask(ours.get());
    REQUIRE(peer);
    CHECK(peer->uid == 0);
}

TEST_CASE("seen from a user namespace, users without a number there are unknown, also to nobody")
{
    if (!can_become_others())
        return;
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto there = at("127.0.0.1", port_of(listener));
    const auto root_client = connect_to(there);
    const auto from_root = accept_from(listener);
    descriptor held;
    const child process([&] {
        become(1001);
        held = connect_to(there);
    });
    const auto from_other = accept_from(listener);
    const child asker([&] {
        if (::unshare(CLONE_NEWUSER) != 0)
            return; // not allowed here
        const descriptor map(::open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC));
        must(::write(map.get(), "0 0 1", 5) == 5);
        auto lookup = kernel_lookup::open();
        must(lookup && lookup->self_test());
        const auto mapped = lookup->ask(from_root.get());
        must(mapped && mapped->uid == 0);
        must(lookup->ask(from_other.get()).error() == fault::kernel_unknown); // the kernel said 65534
    });
}

TEST_CASE("who takes the addresses of a reset connection is not taken for its sender")
{
    if (!can_become_others())
        return;
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto there = at("127.0.0.1", port_of(listener));

    // From a port that is wholly free: one picked in connect() may be in TIME_WAIT to elsewhere, and not be bound again.
    const auto anywhere = at("127.0.0.1", 0);
    child attacker([&] { // says something and leaves by a reset
        become(1001);
        auto socket = connect_to(there, &anywhere);
        must(::send(socket.get(), "I am 1002", 9, 0) == 9);
        reset(socket);
    });
    address remote;
    const auto first = accept_from(listener, &remote);
    descriptor held;
    const child victim([&] { // has nothing to do with it, but gets the same port
        become(1002);
        held = connect_to(there, &remote);
    });
    const auto second = accept_from(listener);

    char said[16];
    CHECK(::recv(first.get(), said, sizeof said, MSG_DONTWAIT) == 9);
    const auto by_address = lookup.ask(local_of(first).get(), remote.get());
    REQUIRE(by_address);
    CHECK(by_address->uid == 1002); // true of the addresses, not of who sent those nine bytes
    CHECK(lookup.ask(first.get()).error() == fault::kernel_unknown);
    const auto real = lookup.ask(second.get());
    REQUIRE(real);
    CHECK(real->uid == 1002);
}

TEST_CASE("the socket that asks is closed on exec and never blocks")
{
    const int number = next_descriptor();
    const auto lookup = open_lookup();
    CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(number, F_GETFL) & O_NONBLOCK) != 0);
}

TEST_CASE("nobody but the kernel can write to the socket that asks")
{
    const int number = next_descriptor();
    auto lookup = open_lookup();
    sockaddr_nl where{};
    socklen_t size = sizeof where;
    auto* const to = reinterpret_cast<sockaddr*>(&where);
    REQUIRE(::getsockname(number, to, &size) == 0);
    REQUIRE(where.nl_pid != 0);

    const descriptor other(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    const auto forged = message(NLMSG_ERROR, 1, bytes_of(std::int32_t{-ENOENT}));
    CHECK(::sendto(other.get(), forged.data(), forged.size(), 0, to, size) == -1);
    CHECK(lookup.self_test());
}

TEST_CASE("answers to older questions are skipped, up to a bound")
{
    const int number = next_descriptor();
    auto lookup = open_lookup();
    for (const int older : {1, 15}) {
        for (int i = 0; i < older; ++i)
            must(::send(number, &asked, sizeof asked, 0) == sizeof asked);
        CHECK(lookup.self_test());
    }
    for (int i = 0; i < 16; ++i)
        must(::send(number, &asked, sizeof asked, 0) == sizeof asked);
    const auto nobody = at("127.0.0.1", 1);
    CHECK(lookup.ask(nobody.get(), nobody.get()).error() == fault::kernel_unavailable);
    CHECK(lookup.self_test());
}

TEST_CASE("where netlink is refused or absent, nothing opens, and nothing is left open")
{
    const auto before = open_descriptors();
    const refused_call refusals[] = {
        {SYS_socket, 0, AF_NETLINK, EPERM},
        {SYS_socket, 0, AF_NETLINK, EAFNOSUPPORT},
        {SYS_socket, 2, NETLINK_SOCK_DIAG, EPROTONOSUPPORT}, // a kernel without inet_diag
        {SYS_connect, 2, sizeof(sockaddr_nl), EACCES},
    };
    for (const auto& refused : refusals) {
        CAPTURE(refused.error);
        while_refused(refused, [] { CHECK(kernel_lookup::open().error() == fault::kernel_unavailable); });
        CHECK(open_descriptors() == before);
    }
    CHECK(kernel_lookup::open());
}

TEST_CASE("where the kernel can no longer be asked or heard, nobody is known, until it can be again")
{
    const int number = next_descriptor();
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto client = connect_to(at("127.0.0.1", port_of(listener)));
    const auto ours = accept_from(listener);
    for (const int call : {SYS_sendto, SYS_recvfrom}) {
        for (const int error : {EPERM, ENOBUFS}) {
            CAPTURE(call);
            CAPTURE(error);
            while_refused({call, 0, number, error}, [&] {
                CHECK(lookup.ask(ours.get()).error() == fault::kernel_unavailable);
                CHECK(lookup.self_test().error() == fault::kernel_unavailable);
            });
            const auto peer = lookup.ask(ours.get()); // the answers nobody heard are skipped
            REQUIRE(peer);
            CHECK(peer->uid == ::geteuid());
        }
    }
}

TEST_CASE("a kernel that knows nobody, or whose answers are about others, fails the self test")
{
    const auto nobody = message(NLMSG_ERROR, 1, bytes_of(std::int32_t{-ENOENT})); // as one without tcp_diag
    const auto other = message(SOCK_DIAG_BY_FAMILY, 1, bytes_of(found()));
    const auto closed = message(NLMSG_ERROR, 2, bytes_of(std::int32_t{-ENOENT})); // what is right in the end
    for (const auto& living : {nobody, other}) {
        const int number = next_descriptor();
        auto lookup = open_lookup();
        int pair[2];
        must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        const descriptor its_end(pair[0]), kernel(pair[1]);
        must(::dup3(its_end.get(), number, O_CLOEXEC) == number);
        for (const auto* said : {&living, &closed})
            must(::send(kernel.get(), said->data(), said->size(), 0) == static_cast<ssize_t>(said->size()));
        CHECK(lookup.self_test().error() == fault::kernel_unavailable);
        bytes question(128);
        CHECK(::recv(kernel.get(), question.data(), question.size(), MSG_DONTWAIT) == 72);
    }
}

TEST_CASE("a client's cgroup is the one its process was in when it made the socket")
{
    std::string mounted, word, ours;
    std::ifstream mounts("/proc/self/mounts"), own("/proc/self/cgroup");
    for (std::string where, type, rest; mounts >> word >> where >> type && std::getline(mounts, rest);)
        if (type == "cgroup2")
            mounted = where;
    while (std::getline(own, word))
        if (word.starts_with("0::"))
            ours = mounted + word.substr(3);
    struct stat directory {};
    if (mounted.empty() || ::stat(ours.c_str(), &directory) != 0) {
        MESSAGE("skipped: no cgroup2 here");
        return;
    }
    auto lookup = open_lookup();
    const auto listener = listen_at(at("127.0.0.1", 0));
    const auto client = connect_to(at("127.0.0.1", port_of(listener)));
    const auto peer = lookup.ask(accept_from(listener).get());
    REQUIRE(peer);
    if (peer->cgroup)
        CHECK(*peer->cgroup == directory.st_ino);
    else
        MESSAGE("skipped: this kernel does not say it");
}

TEST_CASE("the self test passes here, and leaves nothing open")
{
    const auto before = open_descriptors();
    {
        auto lookup = open_lookup();
        for (int round = 0; round < 50; ++round)
            CHECK(lookup.self_test());
        auto moved = std::move(lookup);
        CHECK(moved.self_test());
        CHECK(lookup.self_test().error() == fault::kernel_unavailable); // NOLINT: moved from, and says so
        CHECK(open_descriptors() == before + 1);
        moved = open_lookup();
        CHECK(moved.self_test());
        CHECK(open_descriptors() == before + 1);
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("without descriptors nothing throws and nothing leaks")
{
    const auto before = open_descriptors();
    child limited([] { // in a process of its own, for the limit's sake
        rlimit usual{};
        must(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
        const auto own = open_descriptors();
        auto lookup = kernel_lookup::open();
        must(bool(lookup));
        for (int spare = 0; spare < 2; ++spare) { // no socket, then one of two
            auto limit = usual;
            limit.rlim_cur = static_cast<rlim_t>(next_descriptor() + spare);
            must(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
            const auto failed = lookup->self_test();
            must(failed.error() == fault::kernel_unavailable);
            if (spare == 0)
                must(kernel_lookup::open().error() == fault::kernel_unavailable);
            must(::setrlimit(RLIMIT_NOFILE, &usual) == 0);
            must(lookup->self_test().has_value());
            must(open_descriptors() == own + 1);
        }
    });
    limited.end();
    CHECK(open_descriptors() == before);
}
