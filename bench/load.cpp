// Load for a server, and what it costs it. One thread, one epoll loop; figures as JSON on standard output.
//
// load handshakes URI NSPACE RANKS COUNT CONCURRENCY [OPTIONS]   connect, identify, and leave as the options say
// load messages   URI NSPACE RANKS COUNT CONNECTIONS DEPTH       requests, DEPTH at a time on each connection
// load hold       URI NSPACE RANKS COUNT                         so many connections at once, and the end of all
// URI and NSPACE may be lists of several, divided by commas: connections take turns.
//   --job          requests are for the job's data, which cost the server more than the load; not commits of nothing
//   --abrupt       close after the answer, instead of FINALIZE and its answer
//   --stalled N    so many connections that send half a header, beside the others
//   --pid N        of the server: its CPU time (the scheduler's account of all its threads) and resident memory
//   --settle MS    time that a server is given to clear up before its memory is read
#include "ready.hpp"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;
using bytes = std::vector<char>;

struct {
    std::vector<::sockaddr_in> servers;
    std::vector<std::string> nspaces;
    std::uint32_t ranks = 1;
    std::size_t count = 0, concurrency = 1, depth = 1, stalled = 0;
    bool abrupt = false, job = false;
    int pid = 0, settle = 200;
} plan;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

/// Nanoseconds that the server's threads have run.
double cpu_time()
{
    double all = 0;
    if (plan.pid)
        for (const auto& each :
             std::filesystem::directory_iterator("/proc/" + std::to_string(plan.pid) + "/task")) {
            double one = 0;
            std::ifstream(each.path() / "schedstat") >> one;
            all += one;
        }
    return all;
}

/// Bytes of the server in memory, once it had time to clear up.
double resident()
{
    if (!plan.pid)
        return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(plan.settle));
    double total = 0, pages = 0;
    std::ifstream("/proc/" + std::to_string(plan.pid) + "/statm") >> total >> pages;
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

void put32(bytes& to, std::uint32_t n)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        to.push_back(static_cast<char>(n >> shift));
}

/// handshake.md section 2: as a client of 4.2.2 that proves itself by `native`. `n`: of the connection.
bytes handshake(std::size_t n)
{
    const auto rank = static_cast<std::uint32_t>(n / plan.nspaces.size() % plan.ranks);
    const auto text = [](bytes& to, const std::string& s) {
        to.insert(to.end(), s.c_str(), s.c_str() + s.size() + 1);
    };
    bytes payload;
    text(payload, "native");
    const std::uint32_t credential[2] = {::geteuid(), ::getegid()};
    put32(payload, sizeof credential);
    const auto raw = reinterpret_cast<const char*>(credential);
    payload.insert(payload.end(), raw, raw + sizeof credential);
    payload.push_back(0);
    text(payload, plan.nspaces[n % plan.nspaces.size()]);
    put32(payload, rank);
    text(payload, "4.2.2");
    text(payload, "v41");
    payload.push_back(1);
    text(payload, "hash");
    const std::uint32_t header[4] = {0xffffffff, 0xffffffff, static_cast<std::uint32_t>(payload.size()), 0};
    const auto first = reinterpret_cast<const char*>(header);
    bytes all(first, first + sizeof header);
    for (const char each : payload)
        all.push_back(each);
    return all;
}

/// A request of no more than its command.
bytes request(std::uint32_t index, std::uint32_t tag, char command)
{
    bytes all;
    put32(all, index), put32(all, tag), put32(all, 2), put32(all, 0);
    all.push_back(2), all.push_back(command);
    return all;
}
constexpr char job_data = 0, commit = 2, finalize = 5;
constexpr std::size_t greeting_size = 8, header_size = 16;
constexpr std::size_t answer_size = 18; ///< of a lone status

/// Bytes of the frame that begins here; more than there are if it is not whole.
std::size_t frame_size(const char* at, std::size_t have)
{
    std::uint32_t payload = 0;
    if (have < header_size)
        return header_size;
    std::memcpy(&payload, at + 8, sizeof payload);
    return header_size + __builtin_bswap32(payload);
}

int open_socket(std::size_t n)
{
    const auto& to = plan.servers[n % plan.servers.size()];
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const ::sockaddr*>(&to), sizeof to) != 0)
        fail(std::string("connect: ") + std::strerror(errno));
    bench::no_delay(fd);
    return fd;
}

void send_all(int fd, const bytes& what)
{
    if (::send(fd, what.data(), what.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(what.size()))
        fail(std::string("send: ") + std::strerror(errno));
}

void read_all(int fd, char* to, std::size_t n)
{
    for (std::size_t have = 0; have != n;) {
        const auto got = ::read(fd, to + have, n - have);
        if (got <= 0)
            fail("the server has closed a connection");
        have += static_cast<std::size_t>(got);
    }
}

class poller {
public:
    void add(int fd)
    {
        ::epoll_event wanted{EPOLLIN, {.fd = fd}};
        ::epoll_ctl(queue_, EPOLL_CTL_ADD, fd, &wanted);
    }
    template <class F>
    void wait(F f)
    {
        const int n = ::epoll_wait(queue_, events_.data(), static_cast<int>(events_.size()), 30'000);
        if (n == 0)
            fail("the server does not answer");
        for (int i = 0; i < n; ++i)
            f(events_[static_cast<std::size_t>(i)].data.fd);
    }

private:
    int queue_ = ::epoll_create1(EPOLL_CLOEXEC);
    std::array<::epoll_event, 256> events_;
};

double nanoseconds(clock_type::duration d) { return std::chrono::duration<double, std::nano>(d).count(); }

void print(double seconds, double cpu, std::vector<double>& latencies, const std::string& more = {})
{
    const auto ended =
        nanoseconds(clock_type::now().time_since_epoch()) / 1e9; // by a clock that all programs share
    std::sort(latencies.begin(), latencies.end());
    const auto at = [&](double part) {
        return latencies.empty() ? 0
                                 : latencies[std::min(latencies.size() - 1,
                                                      static_cast<std::size_t>(
                                                          part * static_cast<double>(latencies.size())))];
    };
    std::printf("{\"count\": %zu, \"seconds\": %.6f, \"cpu_ns\": %.1f, \"rate\": %.1f, \"p50_ns\": %.0f, "
                "\"p90_ns\": %.0f, \"p99_ns\": %.0f, "
                "\"max_ns\": %.0f, \"ended\": %.6f%s}\n",
                plan.count, seconds, cpu / static_cast<double>(plan.count),
                static_cast<double>(plan.count) / seconds, at(0.5), at(0.9), at(0.99),
                latencies.empty() ? 0 : latencies.back(), ended, more.c_str());
}

void handshakes()
{
    for (std::size_t i = 0; i != plan.stalled; ++i)
        send_all(open_socket(i), bytes(8, static_cast<char>(0xff)));
    struct under_way {
        clock_type::time_point since;
        bool leaving = false;
    };
    std::vector<under_way> all(70'000);
    std::vector<bytes> requests;
    for (std::size_t n = 0; n != plan.ranks * plan.nspaces.size(); ++n)
        requests.push_back(handshake(n));
    poller queue;
    std::size_t begun = 0, done = 0;
    std::vector<double> latencies;
    latencies.reserve(plan.count);
    const auto begin = [&] {
        const auto now = clock_type::now();
        const int fd = open_socket(begun);
        all[static_cast<std::size_t>(fd)] = {now};
        queue.add(fd);
        send_all(fd, requests[begun++ % requests.size()]);
    };
    const auto cpu = cpu_time();
    const auto started = clock_type::now();
    while (begun != std::min(plan.count, plan.concurrency))
        begin();
    while (done != plan.count)
        queue.wait([&](int fd) {
            auto& each = all[static_cast<std::size_t>(fd)];
            char got[answer_size];
            if (!each.leaving) {
                read_all(fd, got, greeting_size);
                if (std::memcmp(got, "\0\0\0\0", 4) != 0)
                    fail("refused");
                latencies.push_back(nanoseconds(clock_type::now() - each.since));
                if (!plan.abrupt) {
                    std::uint32_t index = 0;
                    std::memcpy(&index, got + 4, sizeof index);
                    send_all(fd, request(__builtin_bswap32(index), 101, finalize));
                    each.leaving = true;
                    return;
                }
            } else {
                read_all(fd, got, answer_size);
            }
            ::close(fd);
            ++done;
            if (begun != plan.count)
                begin();
        });
    const auto seconds = nanoseconds(clock_type::now() - started) / 1e9;
    print(seconds, cpu_time() - cpu, latencies);
}

std::uint32_t join(int fd, std::size_t n)
{
    char greeting[greeting_size];
    send_all(fd, handshake(n));
    read_all(fd, greeting, sizeof greeting);
    if (std::memcmp(greeting, "\0\0\0\0", 4) != 0)
        fail("refused");
    std::uint32_t index = 0;
    std::memcpy(&index, greeting + 4, sizeof index);
    return __builtin_bswap32(index);
}

void messages()
{
    struct peer {
        std::uint32_t index = 0, tag = 100;
        std::deque<clock_type::time_point> sent;
        bytes rest;
    };
    std::vector<peer> peers(70'000);
    poller queue;
    std::size_t sent = 0, done = 0;
    std::vector<double> latencies;
    latencies.reserve(plan.count);
    const auto ask = [&](int fd, std::size_t n) {
        auto& to = peers[static_cast<std::size_t>(fd)];
        bytes all;
        for (; n != 0 && sent != plan.count; --n, ++sent) {
            const auto one = request(to.index, ++to.tag, plan.job ? job_data : commit);
            all.insert(all.end(), one.begin(), one.end());
            to.sent.push_back(clock_type::now());
        }
        if (!all.empty())
            send_all(fd, all);
    };
    std::vector<int> connections;
    for (std::size_t i = 0; i != plan.concurrency; ++i) {
        const int fd = open_socket(i);
        peers[static_cast<std::size_t>(fd)].index = join(fd, i);
        queue.add(fd);
        connections.push_back(fd);
    }
    const auto cpu = cpu_time();
    const auto started = clock_type::now();
    for (const int fd : connections)
        ask(fd, plan.depth);
    while (done != plan.count)
        queue.wait([&](int fd) {
            auto& from = peers[static_cast<std::size_t>(fd)];
            static char got[256 * 1024];
            const auto n = ::read(fd, got, sizeof got);
            if (n <= 0)
                fail("the server has closed a connection");
            from.rest.insert(from.rest.end(), got, got + n);
            std::size_t answers = 0, used = 0;
            for (std::size_t size;
                 used + (size = frame_size(from.rest.data() + used, from.rest.size() - used)) <=
                 from.rest.size();
                 used += size, ++answers) {
                latencies.push_back(nanoseconds(clock_type::now() - from.sent.front()));
                from.sent.pop_front();
            }
            from.rest.erase(from.rest.begin(), from.rest.begin() + static_cast<std::ptrdiff_t>(used));
            done += answers;
            ask(fd, answers);
        });
    const auto seconds = nanoseconds(clock_type::now() - started) / 1e9;
    print(seconds, cpu_time() - cpu, latencies);
}

void hold()
{
    const auto before = resident();
    const auto cpu = cpu_time();
    const auto started = clock_type::now();
    std::vector<int> connections;
    std::vector<double> latencies;
    for (std::size_t i = 0; i != plan.count; ++i) {
        const auto since = clock_type::now();
        connections.push_back(open_socket(i));
        join(connections.back(), i);
        latencies.push_back(nanoseconds(clock_type::now() - since));
    }
    const auto seconds = nanoseconds(clock_type::now() - started) / 1e9;
    const auto spent = cpu_time() - cpu;
    const auto held = resident();
    for (const int fd : connections)
        ::close(fd);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const auto after = resident();
    char more[160];
    std::snprintf(more, sizeof more, ", \"bytes_each\": %.1f, \"kept_each\": %.1f",
                  (held - before) / static_cast<double>(plan.count),
                  (after - before) / static_cast<double>(plan.count));
    print(seconds, spent, latencies, more);
}

std::vector<std::string> parts_of(const std::string& list)
{
    std::vector<std::string> parts;
    std::istringstream in(list);
    for (std::string each; std::getline(in, each, ',');)
        parts.push_back(each);
    return parts;
}

void parse(int argc, char** argv)
{
    std::vector<std::string> words;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--abrupt")
            plan.abrupt = true;
        else if (word == "--job")
            plan.job = true;
        else if (i + 1 != argc && word == "--pid")
            plan.pid = std::atoi(argv[++i]);
        else if (i + 1 != argc && word == "--settle")
            plan.settle = std::atoi(argv[++i]);
        else if (i + 1 != argc && word == "--stalled")
            plan.stalled = std::stoul(argv[++i]);
        else
            words.push_back(word);
    }
    if (words.size() < 5)
        fail("usage: load handshakes|messages|hold URI NSPACE RANKS COUNT [CONCURRENCY [DEPTH]] [OPTIONS]");
    for (const auto& uri : parts_of(words[1])) {
        const auto host = uri.find("//"), port = uri.rfind(':');
        auto& server = plan.servers.emplace_back();
        server.sin_family = AF_INET;
        server.sin_port = htons(static_cast<std::uint16_t>(std::stoul(uri.substr(port + 1))));
        ::inet_pton(AF_INET, uri.substr(host + 2, port - host - 2).c_str(), &server.sin_addr);
    }
    plan.nspaces = parts_of(words[2]);
    plan.ranks = static_cast<std::uint32_t>(std::stoul(words[3]));
    plan.count = std::stoul(words[4]);
    plan.concurrency = words.size() > 5 ? std::stoul(words[5]) : 1;
    plan.depth = words.size() > 6 ? std::stoul(words[6]) : 1;
    words[0] == "handshakes" ? handshakes()
    : words[0] == "messages" ? messages()
    : words[0] == "hold"     ? hold()
                             : fail("what?");
}

} // namespace

int main(int argc, char** argv)
{
    bench::many_descriptors();
    try {
        parse(argc, argv);
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "load: %s\n", e.what());
        return 1;
    }
}
