// A storm: many scripted clients of one server at once, good and bad ones, on a context of their own.
#pragma once

#include "run.hpp"
#include "served.hpp"

#include <pmixio/message/event.hpp>

#include <fmt/core.h>

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace pmixio::test {

/// Clients come by either way; the kernel is asked about those that it can be asked about.
struct storm_site : defaults {
    using security = securities<security::native, security::none>;
    using observer = counters;
};

/// Takes its time to decide on an abort, so that some who asked are gone by then.
struct storm_host {
    std::uint64_t connections = 0, finals = 0, losses = 0, aborts = 0;
    entrance other; ///< for all whose job is not here

    entrance elsewhere(std::string_view) const { return other; }
    void connected(const identity&) { ++connections; }
    void finalized(const requester&) { ++finals; }
    void lost(const requester&) { ++losses; }
    asio::awaitable<wire::status> abort(requester, message::abort)
    {
        asio::steady_timer pause(co_await asio::this_coro::executor, 1ms);
        co_await pause.async_wait(asio::use_awaitable);
        ++aborts;
        co_return wire::status::success;
    }
};

struct storm_plan {
    static constexpr unsigned width = 24; ///< clients at a time, each a pair of ranks of its own

    std::string_view nspace = "storm";
    asio::ip::tcp::endpoint at;
    std::uint64_t seed = 1;
    wire::rank_type first_rank = 0;
    bool native = true;    ///< whether some identify themselves by it
    bool may_fail = false; ///< the server may go at any time
};

/// Each client follows one script after the other, chosen at random by the seed. The counts are for when it is over.
class storm {
public:
    storm(asio::io_context& io, storm_plan plan) : io_(io), plan_(plan)
    {
        for (unsigned i = 0; i != storm_plan::width; ++i)
            begin(play(i));
        begin(stall());
    }
    storm(const storm&) = delete;

    /// Scripts under way end, none is begun.
    void stop() { stopping_ = true; }
    bool over() const noexcept { return playing_ == 0; }

    std::uint64_t connections = 0;
    std::map<std::string_view, std::uint64_t> done; ///< scripts played to their end
    std::vector<std::string> wrong;                 ///< what did not happen as it must

    /// Of those that play() chooses from.
    static std::vector<std::string_view> script_names()
    {
        std::vector<std::string_view> names;
        for (const auto& each : scripts)
            names.push_back(each.name);
        return names;
    }
    std::string summary(std::chrono::duration<double> took) const
    {
        auto text = fmt::format("seed {}: {} connections in {:.1f} s, {:.0f}/s:", plan_.seed, connections,
                                took.count(), static_cast<double>(connections) / took.count());
        for (const auto& [name, count] : done)
            text += fmt::format("\n{:8} {}", count, name);
        for (const auto& each : wrong)
            text += "\nwrong: " + each;
        return text + '\n';
    }

private:
    struct link {
        explicit link(asio::io_context& io) : socket(io) {}

        asio::awaitable<void> write(bytes what)
        {
            co_await asio::async_write(socket, asio::buffer(what), asio::use_awaitable);
        }
        asio::awaitable<bytes> read(std::size_t n)
        {
            bytes got(n);
            co_await asio::async_read(socket, asio::buffer(got), asio::use_awaitable);
            co_return got;
        }
        template <class M>
        asio::awaitable<void> send(M request)
        {
            co_await write(make_frame<wire::v41>(++tag, request, {}).value());
        }
        asio::awaitable<bytes> frame(std::uint32_t& its_tag)
        {
            bytes header = co_await read(wire::frame_header_size);
            const auto parsed = wire::frame_header::parse(std::span(header).first<wire::frame_header_size>());
            its_tag = parsed.tag;
            const bytes body = co_await read(parsed.nbytes);
            co_return header + body;
        }
        /// To the last request.
        template <class Reply>
        asio::awaitable<Reply> answer()
        {
            std::uint32_t its_tag = 0;
            bytes got;
            do
                got = co_await frame(its_tag);
            while (its_tag == wire::event_tag);
            if (its_tag != tag)
                throw std::runtime_error(fmt::format("an answer to {}, not to {}", its_tag, tag));
            co_return payload<Reply>(got);
        }
        asio::awaitable<wire::status> status()
        {
            const auto reply = co_await answer<message::status_reply>();
            co_return reply.result;
        }
        template <class M>
        asio::awaitable<wire::status> ask(M request)
        {
            co_await send(std::move(request));
            co_return co_await status();
        }
        /// The server closes: nothing comes before that.
        asio::awaitable<void> end()
        {
            std::error_code ended;
            std::byte one;
            co_await asio::async_read(socket, asio::buffer(&one, 1),
                                      asio::redirect_error(asio::use_awaitable, ended));
            if (!ended)
                throw std::runtime_error("more than the last answer");
        }
        void reset()
        {
            socket.set_option(asio::socket_base::linger(true, 0));
            socket.close();
        }

        asio::ip::tcp::socket socket;
        std::uint32_t tag = 100;
    };

    /// A client and another that it has to do with.
    struct client_pair {
        wire::proc self, other;
        std::mt19937_64& random;
        bool chance(unsigned one_in) { return random() % one_in == 0; }
        std::size_t below(std::size_t n) { return random() % n; }
    };
    struct script {
        std::string_view name;
        asio::awaitable<void> (storm::*play)(client_pair&);
    };

    void begin(asio::awaitable<void> player)
    {
        ++playing_;
        asio::co_spawn(io_, std::move(player), [this](std::exception_ptr thrown) {
            --playing_;
            if (thrown)
                std::rethrow_exception(thrown);
        });
    }

    asio::awaitable<void> play(unsigned i)
    {
        auto random = numbers(plan_.seed * 1000 + i);
        const auto rank = plan_.first_rank + 2 * i;
        client_pair who{{std::string(plan_.nspace), rank}, {std::string(plan_.nspace), rank + 1}, random};
        while (!stopping_) {
            const auto& next = scripts[who.below(std::size(scripts))];
            std::string failed;
            try {
                co_await (this->*next.play)(who);
                ++done[next.name];
            } catch (const std::exception& e) {
                failed = e.what();
            }
            if (!failed.empty() && !plan_.may_fail)
                wrong.push_back(fmt::format("{}: {}", next.name, failed));
            stopping_ |= wrong.size() > 10;
        }
    }

    /// Some at a time that do not finish their handshake: only its deadline ends them.
    asio::awaitable<void> stall()
    {
        auto random = numbers(plan_.seed);
        while (!stopping_) {
            const auto whole = hello({std::string(plan_.nspace), plan_.first_rank}, random);
            std::vector<link> stalled;
            try {
                for (int i = 0; i != 8; ++i) {
                    stalled.push_back(co_await connect());
                    co_await stalled.back().write(part(whole, random() % whole.size()));
                }
                for (auto& each : stalled) {
                    std::error_code ended; // a status may come before the end
                    bytes said(8);
                    co_await asio::async_read(each.socket, asio::buffer(said),
                                              asio::redirect_error(asio::use_awaitable, ended));
                }
                ++done["stall"];
            } catch (const std::system_error& e) {
                if (!plan_.may_fail)
                    wrong.push_back(fmt::format("stall: {}", e.what()));
            }
        }
    }

    bytes hello(const wire::proc& who, std::mt19937_64& random) const
    {
        return plan_.native && random() % 2 ? hello_bytes(who, "4.2.2", "native", native_credential())
                                            : hello_bytes(who, "4.2.2");
    }
    static bytes part(const bytes& of, std::size_t n)
    {
        return {of.begin(), of.begin() + static_cast<std::ptrdiff_t>(n)};
    }
    static void expect(bool holds, std::string_view what)
    {
        if (!holds)
            throw std::runtime_error(std::string(what));
    }
    static void expect(wire::status got, wire::status expected)
    {
        if (got != expected)
            throw std::runtime_error(
                fmt::format("status {}, not {}", static_cast<int>(got), static_cast<int>(expected)));
    }

    asio::awaitable<link> connect()
    {
        link made(io_);
        std::error_code failed;
        co_await made.socket.async_connect(plan_.at, asio::redirect_error(asio::use_awaitable, failed));
        if (failed) {
            stopping_ |= plan_.may_fail; // the server is gone
            throw std::system_error(failed, "connect");
        }
        ++connections;
        co_return made;
    }
    asio::awaitable<link> join(const wire::proc& who, std::mt19937_64& random)
    {
        auto made = co_await connect();
        co_await made.write(hello(who, random));
        const auto reply = co_await made.read(8);
        expect(show(reply).starts_with("00 00 00 00"), "a good client was refused");
        co_return made;
    }

    // g++ 12 makes no aggregates in an expression with co_await.
    static message::commit commit_of(std::uint32_t n, std::string_view key = "k")
    {
        return {{{wire::scope::global, {{std::string(key), wire::value::uint32(n)}}}}};
    }
    static message::fence fence_of(const client_pair& both)
    {
        message::fence request;
        request.processes = {both.self, both.other};
        return request;
    }
    static message::fence fence_of_all(const client_pair& who)
    {
        message::fence request;
        request.processes = {{who.self.nspace, wire::rank::wildcard}};
        return request;
    }
    static message::get get_from(const wire::proc& who, std::string_view key)
    {
        return {who.nspace, who.rank, {}, std::string(key)};
    }
    static message::query query_of_jobs() { return {{{{"pmix.qry.ns"}, {}}}}; }

    // the scripts

    asio::awaitable<void> close_at_once(client_pair&) { co_await connect(); }

    asio::awaitable<void> reset_in_handshake(client_pair& who)
    {
        auto self = co_await connect();
        const auto whole = hello(who.self, who.random);
        co_await self.write(part(whole, who.below(whole.size())));
        if (who.chance(2)) {
            asio::steady_timer pause(io_, std::chrono::milliseconds(who.below(5)));
            co_await pause.async_wait(asio::use_awaitable);
        }
        self.reset();
    }

    asio::awaitable<void> close_in_handshake(client_pair& who)
    {
        auto self = co_await connect();
        const auto whole = hello(who.self, who.random);
        co_await self.write(part(whole, who.below(whole.size())));
    }

    asio::awaitable<void> refused(client_pair&)
    {
        auto self = co_await connect();
        const auto stranger = hello_bytes({"nosuch", 0}, "6.1.0");
        co_await self.write(stranger);
        const auto said = co_await self.read(4);
        expect(show(said) == "ff ff ff d2", "a stranger was not told so");
        co_await self.end();
    }

    asio::awaitable<void> close_before_reply(client_pair& who)
    {
        auto self = co_await connect();
        co_await self.write(hello(who.self, who.random));
    }

    asio::awaitable<void> reset_after_reply(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        self.reset();
    }

    asio::awaitable<void> reset_with_requests(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        co_await self.send(message::req{});
        co_await self.send(commit_of(1));
        co_await self.send(get_from(who.other, "never"));
        co_await self.send(fence_of_all(who));
        if (who.chance(2))
            co_await self.read(1);
        self.reset();
    }

    asio::awaitable<void> whole_life(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        co_await self.send(message::req{});
        const auto job = co_await self.answer<message::job_data>();
        expect(job.nspace == who.self.nspace, "data of another job");
        const auto n = static_cast<std::uint32_t>(who.random());
        const auto committed = co_await self.ask(commit_of(n));
        expect(committed, wire::status::success);
        co_await self.send(get_from(who.self, "k"));
        const auto got = co_await self.answer<message::get_reply>();
        const std::vector<wire::kval> expected{{"k", wire::value::uint32(n)}};
        expect(got.sources.size() == 1 && got.sources[0].data == expected, "not what was committed");
        const auto ended = co_await self.ask(message::finalize{});
        expect(ended, wire::status::success);
    }

    asio::awaitable<void> get_from_the_lost(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        auto other = co_await join(who.other, who.random);
        co_await self.send(get_from(who.other, "never"));
        who.chance(2) ? other.reset() : other.socket.close();
        const auto outcome = co_await self.status();
        expect(outcome, wire::status::not_found);
    }

    asio::awaitable<void> get_that_is_served(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        auto other = co_await join(who.other, who.random);
        const auto key = fmt::format("k{}", who.below(50));
        const auto n = static_cast<std::uint32_t>(who.random());
        co_await self.send(get_from(who.other, key));
        const auto committed = co_await other.ask(commit_of(n, key));
        expect(committed, wire::status::success);
        const auto got = co_await self.answer<message::get_reply>(); // of now or of an earlier life
        expect(got.result, wire::status::success);
        if (who.chance(2))
            self.reset();
    }

    asio::awaitable<void> fence_of_two(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        auto other = co_await join(who.other, who.random);
        co_await self.send(fence_of(who));
        const auto outcome = co_await other.ask(fence_of(who));
        expect(outcome, wire::status::success);
        const auto own = co_await self.status();
        expect(own, wire::status::success);
    }

    asio::awaitable<void> fence_with_the_lost(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        auto other = co_await join(who.other, who.random);
        co_await self.send(fence_of(who));
        who.chance(2) ? other.reset() : other.socket.close();
        const auto outcome = co_await self.status();
        expect(outcome, wire::status::partial_success);
    }

    asio::awaitable<void> message_too_large(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        bytes header;
        wire::writer out(header);
        const std::uint32_t size = who.chance(2) ? UINT32_MAX : (32u << 20) + 1;
        wire::frame_header{0, ++self.tag, size}.append_to(out);
        co_await self.write(header);
        const auto outcome = co_await self.status();
        expect(outcome, wire::status::bad_parameter);
        co_await self.end();
    }

    asio::awaitable<void> heartbeats(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        bytes header;
        wire::writer out(header);
        for (auto n = who.below(20); n-- != 0;)
            wire::frame_header{0, wire::heartbeat_tag, 0}.append_to(out);
        co_await self.write(header);
        const auto outcome = co_await self.ask(commit_of(2));
        expect(outcome, wire::status::success);
    }

    asio::awaitable<void> malformed(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        auto frame = make_frame<wire::v41>(++self.tag, fence_of(who), {}).value();
        const auto lost = 1 + who.below(3);
        frame.resize(frame.size() - lost);
        frame[11] = static_cast<std::byte>(std::to_integer<std::size_t>(frame[11]) - lost);
        co_await self.write(frame);
        const auto outcome = co_await self.status();
        expect(outcome, wire::status::unpack_failure);
    }

    asio::awaitable<void> abort(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        const message::abort request;
        co_await self.send(request);
        if (who.chance(2)) {
            const auto outcome = co_await self.status();
            expect(outcome, wire::status::success);
        }
        self.reset();
    }

    asio::awaitable<void> events(client_pair& who)
    {
        auto self = co_await join(who.self, who.random);
        auto other = co_await join(who.other, who.random);
        const message::register_events everything;
        const auto registered = co_await self.ask(everything);
        expect(registered, wire::status::success);
        const message::notify event_of_other{wire::status::error, wire::data_range::session, {}};
        const auto notified = co_await other.ask(event_of_other);
        expect(notified, wire::status::success);
        while (true) {
            std::uint32_t tag = 0;
            const auto frame = co_await self.frame(tag);
            expect(tag == wire::event_tag, "an answer to nothing");
            wire::cursor in{std::span(frame).subspan(wire::frame_header_size)};
            expect(message::read_command<wire::v41>(in, {}).value() == wire::command::notify, "no event");
            if (message::read<message::event, wire::v41>(in, {}).value().source == who.other)
                break;
        }
    }

    asio::awaitable<void> tool(client_pair& who)
    {
        auto self = co_await connect();
        const auto greeting = tool_hello(peer_kind::tool_needs_id, {}, ::geteuid(), "6.1.0", {}, "none");
        co_await self.write(greeting);
        const auto reply = co_await self.read(528);
        expect(show(reply).starts_with("00 00 00 00"), "a tool was refused");
        co_await self.send(query_of_jobs());
        if (who.chance(2)) {
            const auto answer = co_await self.answer<message::infos_reply>();
            expect(answer.result, wire::status::success);
        }
        self.reset();
    }

    static constexpr std::array<script, 18> scripts{{
        {"close at once", &storm::close_at_once},
        {"reset in handshake", &storm::reset_in_handshake},
        {"close in handshake", &storm::close_in_handshake},
        {"refused", &storm::refused},
        {"close before reply", &storm::close_before_reply},
        {"reset after reply", &storm::reset_after_reply},
        {"reset with requests", &storm::reset_with_requests},
        {"whole life", &storm::whole_life},
        {"get from the lost", &storm::get_from_the_lost},
        {"get that is served", &storm::get_that_is_served},
        {"fence of two", &storm::fence_of_two},
        {"fence with the lost", &storm::fence_with_the_lost},
        {"message too large", &storm::message_too_large},
        {"heartbeats", &storm::heartbeats},
        {"malformed", &storm::malformed},
        {"abort", &storm::abort},
        {"events", &storm::events},
        {"tool", &storm::tool},
    }};

    asio::io_context& io_;
    storm_plan plan_;
    unsigned playing_ = 0;
    bool stopping_ = false;
};

/// Processes that storm a server and are killed at random moments, one after the other. Make it before any thread.
class killed_clients {
public:
    explicit killed_clients(storm_plan plan)
    {
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_) != 0)
            throw std::runtime_error("socketpair");
        plan.may_fail = true; // a predecessor may not be counted out yet
        std::fflush(nullptr);
        child_ = ::fork();
        if (child_ < 0)
            throw std::runtime_error("fork");
        if (child_ == 0)
            keep_killing(plan, ends_[1]);
        ::close(ends_[1]);
    }
    killed_clients(const killed_clients&) = delete;
    ~killed_clients()
    {
        if (child_ > 0)
            stop();
    }

    /// How many were killed.
    std::uint64_t stop()
    {
        std::uint64_t count = 0;
        ::shutdown(ends_[0], SHUT_WR);
        const bool told = ::read(ends_[0], &count, sizeof count) == sizeof count;
        ::close(ends_[0]);
        ::waitpid(std::exchange(child_, -1), nullptr, 0);
        return told ? count : 0;
    }

private:
    [[noreturn]] static void keep_killing(storm_plan plan, int to_parent)
    {
        constexpr int link = 3;
        if (to_parent != link)
            ::dup2(to_parent, link);
        ::close_range(link + 1, ~0u, 0); // the server's among them
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        auto random = numbers(plan.seed);
        std::uint64_t killed = 0;
        ::pollfd parent{link, POLLIN, 0};
        while (::poll(&parent, 1, 0) == 0) {
            ++plan.seed;
            const auto victim = ::fork();
            if (victim == 0)
                storm_until_killed(plan);
            ::usleep(static_cast<::useconds_t>(1'000 + random() % 60'000));
            ::kill(victim, SIGKILL);
            int how = 0;
            ::waitpid(victim, &how, 0);
            killed += WIFSIGNALED(how);
        }
        ::_exit(::write(link, &killed, sizeof killed) == sizeof killed ? 0 : 1);
    }

    [[noreturn]] static void storm_until_killed(const storm_plan& plan)
    {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        try {
            asio::io_context io;
            storm clients(io, plan);
            io.run();
        } catch (...) {
        }
        ::_exit(1);
    }

    int ends_[2]{};
    ::pid_t child_ = -1;
};

inline std::ptrdiff_t open_descriptors()
{
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

struct with_storm_host {
    storm_host host;
};

/// A server that can be stormed by `storms` plans at a time, each of which has its own ranks.
struct stormed : with_storm_host, running<storm_site, storm_host> {
    explicit stormed(unsigned storms, std::string_view nspace = "storm")
        : running(host), stormed_job(nspace), size(storms * 2 * storm_plan::width)
    {
        jobs.add({std::string(nspace), size, ::geteuid(), ::getegid()});
    }
    storm_plan plan(unsigned n, std::uint64_t seed)
    {
        storm_plan made;
        made.nspace = stormed_job;
        made.at = at.local_endpoint();
        made.seed = seed;
        made.first_rank = n * 2 * storm_plan::width;
        made.native = under_test->kernel_identity().has_value();
        return made;
    }

    /// On a thread of its own, until another says so.
    template <class Condition>
    void run_while(Condition goes_on)
    {
        while (goes_on()) {
            io.restart();
            io.run_for(10ms);
        }
    }

    /// After a storm, when all its clients are gone: nothing is left of it, and a good client is served.
    void check_calm()
    {
        until([&] { return under_test->sessions() == 0 && under_test->pending_handshakes() == 0; });
        CHECK(run(io, under_test->drain(10s)));
        CHECK(under_test->held_gets() == 0);
        for (wire::rank_type rank = 0; rank != size; ++rank) // some never came again to fences of all
            under_test->process_exited({std::string(stormed_job), rank});
        CHECK(under_test->pending_collectives() == 0);
        {
            client good(*this, {"a", 0});
            good.send(message::req{});
            CHECK(payload<message::job_data>(good.answer()).nspace == "a");
            CHECK(good.ask(message::finalize{}) == wire::status::success);
        }
        until([&] { return under_test->sessions() == 0; });
        const auto& seen = under_test->observer();
        CHECK(seen.accepted == seen.admitted + seen.refused + seen.handed_over);
        CHECK(seen.admitted == seen.closed);
        CHECK(seen.sessions == 0);
        CHECK(host.connections == seen.admitted);
    }

    std::string_view stormed_job;
    wire::rank_type size;
};

} // namespace pmixio::test
