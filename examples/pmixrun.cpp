// pmixrun: launches jobs on this node and is the PMIx server of their processes.
#include "command_line.hpp"

#include <pmixio/host/child.hpp>
#include <pmixio/host/child_input.hpp>
#include <pmixio/host/lines.hpp>
#include <pmixio/host/session_directory.hpp>
#include <pmixio/reporting.hpp>
#include <pmixio/server.hpp>
#ifdef PMIXRUN_MUNGE
#    include <pmixio/security/munge.hpp>
#endif
#ifdef PMIXRUN_ZLIB
#    include <pmixio/zlib.hpp>
#endif

#include <fmt/core.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::literals;
using pmixio::child_input, pmixio::launch_settings, pmixio::requester;
namespace message = pmixio::message;
namespace wire = pmixio::wire;
using wire::status;

struct site : pmixio::defaults {
#ifdef PMIXRUN_MUNGE
    using security =
        pmixio::securities<pmixio::security::munge, pmixio::security::native, pmixio::security::none>;
#else
    using security = pmixio::securities<pmixio::security::native, pmixio::security::none>;
#endif
#ifdef PMIXRUN_ZLIB
    static constexpr auto inflate = pmixio::zlib_inflate;
#endif
    using observer = pmixio::observers<pmixio::counters, pmixio::log_observer>;
};

constexpr auto usage = R"(usage: pmixrun [options] [--] PROGRAM [ARGS...] [: [-n N] PROGRAM [ARGS...]]...
  -n, --np N                 number of ranks (1)
      --nspace NAME          name of the job (pmixrun-PID)
      --security LIST        security modules offered: munge, where it was built in, native, none (native)
      --encodings LIST       encodings offered: v61, v51, v41, v4, v3, v21 (v41,v4,v3,v21)
      --tag-output           put [NAME,RANK]<stdout>: in front of every line
      --stdin-from-tools     the processes read what tools push to them with PMIx_IOF_push, none reads ours
      --timeout SECONDS      end the job after this time, with exit status 124
      --handshake-timeout S  time a connection has to identify itself (5)
      --max-pending N        connections that may be in their handshake at once (1024)
      --max-pending-per-user N   the same of one user (256)
      --serve                launch nothing: print READY URI, serve the ranks until SIGTERM or SIGINT
      --stats FILE           write counters as JSON at exit
Where it listens:
      --if-include LIST      only on these interfaces, addresses or networks (a/b)
      --if-exclude LIST      on all but these
      --remote-connections   where other machines can connect, instead of on the loopback interface
      --ipv4-port RANGES     on one of these ports, e.g. 5000-5010,6000
      --ipv6-port RANGES     the same for IPv6
      --disable-ipv4         not on IPv4
      --enable-ipv6          on IPv6 too; no libpmix up to 6.1 can connect there, it reads port 0
      --explain-interfaces   say what is taken and why the rest is not, and exit
Who is told:
      --report-uri WHERE     write the URI to standard output (-), standard error (+), a descriptor (N) or a file
      --rendezvous-file FILE write a contact file there
      --session-tool         write contact files for tools into the temporary directory
      --system-tool          be the system's server: write its contact file into the system's temporary directory
      --tmpdir DIR           temporary directory ($PMIX_SERVER_TMPDIR, $TMPDIR, or /tmp)
      --system-tmpdir DIR    the system's ($PMIX_SYSTEM_TMPDIR, $TMPDIR, or /tmp)
  -h, --help    --version
Exit status: 0 if all ranks exit with 0; else that of the first that failed (128+N if killed by signal N);
124 on --timeout; 2 for bad usage; 126 or 127 if PROGRAM cannot be started.
)"sv;

/// One of the programs of a job.
struct program {
    std::uint32_t ranks = 1;
    launch_settings how{}; ///< variables: in addition to all that a rank gets
};

constexpr std::uint32_t most_ranks = 65'536; ///< of one program

struct options {
    std::vector<program> programs{1};
    std::string nspace = "pmixrun-" + std::to_string(::getpid());
    std::string stats;
    std::optional<std::chrono::milliseconds> timeout;
    bool tag_output = false, tool_input = false, serve = false, explain = false, help = false,
         version = false;
    pmixio::listener_config listen;
    pmixio::server_settings<site> settings;
};

options parse(const std::vector<std::string>& words)
{
    options o;
    o.settings.offered.securities = site::security::those_in("native");
    pmixio::apply_mca_environment(o.listen);
    pmixio::apply_tmpdir_environment(o.listen);

    auto& [include, exclude, ipv4, ipv6, remote] = o.listen.interfaces;
    bool no_ipv4 = false;
    command_line line(words);
    line.flag("--tag-output", o.tag_output);
    line.flag("--stdin-from-tools", o.tool_input);
    line.flag("--serve", o.serve);
    line.flag("--remote-connections", remote);
    line.flag("--disable-ipv4", no_ipv4);
    line.flag("--enable-ipv6", ipv6);
    line.flag("--explain-interfaces", o.explain);
    line.flag("--session-tool", o.listen.contacts.tool);
    line.flag("--system-tool", o.listen.contacts.system);
    line.flag("--help", o.help);
    line.flag("-h", o.help);
    line.flag("--version", o.version);

    const auto list = [&](auto& to) { return [&] { to = pmixio::split_list(line.text()); }; };
    const auto ports = [&](auto& to) { return [&] { to = pmixio::port_ranges::parse(line.text()); }; };
    const auto count = [&](auto& to, unsigned most) {
        return [&line, &to, most] { to = line.number<std::decay_t<decltype(to)>>(1, most); };
    };
    const auto take_ranks = [&](command_line& from, program& of) {
        for (const auto name : {"-n", "--np"})
            from.value(name, [&] { of.ranks = from.number<std::uint32_t>(1, most_ranks); });
    };
    auto& bounds = o.settings.limits;
    take_ranks(line, o.programs[0]);
    line.value("--nspace", o.nspace);
    line.value("--security", [&] { o.settings.offered.securities = line.subset<site::security>(); });
    line.value("--encodings", [&] { o.settings.advertised = line.subset<site::buffer_ops>(); });
    line.value("--timeout", [&] { o.timeout = line.seconds(); });
    line.value("--handshake-timeout", [&] { bounds.handshake = line.seconds(); });
    line.value("--max-pending", count(bounds.pending_handshakes, 1'000'000));
    line.value("--max-pending-per-user", count(bounds.pending_per_user, 1'000'000));
    line.value("--stats", o.stats);
    line.value("--if-include", list(include));
    line.value("--if-exclude", list(exclude));
    line.value("--ipv4-port", ports(o.listen.ipv4_ports));
    line.value("--ipv6-port", ports(o.listen.ipv6_ports));
    line.value("--report-uri", o.listen.report_uri);
    line.value("--rendezvous-file", o.listen.contacts.rendezvous_file);
    line.value("--tmpdir", o.listen.contacts.session_directory);
    line.value("--system-tmpdir", o.listen.contacts.system_directory);
    line.parse();
    ipv4 &= !no_ipv4;

    if (o.serve && !line.done())
        throw bad_usage("--serve launches nothing: no PROGRAM, please");
    if (o.help || o.version || o.explain || o.serve)
        return o;
    for (auto words_left = line.rest();;) { // PROGRAM [ARGS...] [: [-n N] PROGRAM [ARGS...]]...
        const auto end = std::find(words_left.begin(), words_left.end(), ":");
        o.programs.back().how.arguments.assign(words_left.begin(), end);
        if (end == words_left.begin())
            throw bad_usage("which PROGRAM?");
        if (end == words_left.end())
            return o;
        command_line next({end + 1, words_left.end()});
        take_ranks(next, o.programs.emplace_back());
        next.parse();
        words_left = next.rest();
    }
}

/// The jobs: their processes, and what the server asks of its host.
class launcher {
public:
    launcher(asio::io_context& io, options o)
        : io_(io), options_(std::move(o)), directory_(options_.listen.contacts.session_directory, "pmixrun"),
          listeners_(pmixio::open_listeners(io, options_.listen)), asked_to_stop_(io, SIGTERM, SIGINT),
          over_(io), grace_(io)
    {
        char host[256] = "localhost";
        ::gethostname(host, sizeof host - 1);
        options_.settings.pool = decoders_.get_executor();
        options_.settings.hostname = host;
        options_.settings.name = {options_.nspace + "-server", 0};
        options_.settings.observer.only_problems = true;
        options_.settings.observer.out = [](std::string_view line) {
            fmt::print(stderr, "pmixrun: {}\n", line);
        };
        add_job(options_.nspace, options_.programs, {});
        server_.emplace(io.get_executor(), jobs_, *this, options_.settings);
    }

    int run()
    {
        const auto offers_native =
            options_.settings.offered
                .securities[site::security::pick("native", site::security::all()).value()];
        if (const auto known = server_->kernel_identity(); offers_native && !known)
            fmt::print(stderr, "pmixrun: {}: the kernel cannot be asked who connects; native admits nobody\n",
                       known.error().message());
        for (auto& each : listeners_)
            asio::co_spawn(io_, serve(each), pmixio::rethrow);
        asked_to_stop_.async_wait([this](std::error_code cancelled, int signal) {
            stop(cancelled, 128 + signal, {}, fmt::format("stopped by signal {}", signal));
        });
        if (options_.timeout) {
            over_.expires_after(*options_.timeout);
            over_.async_wait(
                [this](std::error_code cancelled) { stop(cancelled, 124, 124, "the job's time is over"); });
        }
        asio::co_spawn(io_, begin(), pmixio::rethrow);
        io_.run();
        printers_.join();
        decoders_.join();
        write_stats();
        return status_.value_or(0);
    }

    // what the server tells and asks

    void finalized(const requester& from) { set(from.who, &running_process::finalized); }
    void connected(const pmixio::identity& peer) { set(peer.who(), &running_process::connected); }

    asio::awaitable<status> abort(requester from, message::abort request)
    {
        const auto code = static_cast<int>(request.code) & 0xff;
        fail(code ? code : 1, fmt::format("{} called abort with status {}: {}", name_of(from.who),
                                          static_cast<int>(request.code), request.text.value_or("")));
        co_return status::success; // the processes are killed after this answer has left
    }

    asio::awaitable<message::spawn_reply> spawn(requester from, message::spawn request)
    {
        std::vector<program> programs;
        for (auto& each : request.apps) {
            const auto ranks = std::clamp<std::int64_t>(each.max_processes, 0, most_ranks);
            programs.push_back({static_cast<std::uint32_t>(ranks), pmixio::settings_of(std::move(each))});
        }
        if (programs.empty() || status_)
            co_return message::spawn_reply{status::bad_parameter, {}, {}};
        const auto nspace = fmt::format("{}-{}", options_.nspace, ++spawned_);
        auto& made = add_job(nspace, std::move(programs), {{"pmix.parent", wire::value::of_proc(from.who)}});
        if (const auto failed = start(made)) {
            server_->remove_namespace(nspace);
            running_.erase(nspace);
            co_return message::spawn_reply{
                failed == std::errc::permission_denied ? status::no_permissions : status::not_found, {}, {}};
        }
        co_return message::spawn_reply{status::success, nspace, {}};
    }

    asio::awaitable<status> iof_push(requester, message::iof_push request)
    {
        if (request.targets.empty())
            request.targets.push_back({options_.nspace, 0});
        auto answer = options_.tool_input ? status::forwarding_complete : status::not_supported;
        for (const auto& each : request.targets)
            if (auto* to = find(each); to && to->input) {
                const auto said = to->input->give(request.data);
                if (said == child_input::outcome::taken)
                    answer = status::success;
                else if (said == child_input::outcome::full && answer != status::success)
                    answer = status::out_of_resource;
            }
        co_return answer;
    }

    /// Those of our children that are running are sent it after the answer has left.
    asio::awaitable<status> signal(requester, pmixio::signal_request request)
    {
        const auto is_running = [this](const auto& each) { return find(each) && find(each)->running; };
        if (std::none_of(request.targets.begin(), request.targets.end(), is_running))
            co_return status::not_found;
        asio::post(io_, [=, this] {
            for (const auto& each : request.targets)
                if (is_running(each))
                    find(each)->running->signal(request.signal);
        });
        co_return status::success;
    }

    /// As if they were lines of the rank's own.
    asio::awaitable<status> log_entry(requester from, pmixio::log_entry entry)
    {
        const bool out = entry.channel == pmixio::key::log_stdout;
        if (!out && entry.channel != pmixio::key::log_stderr)
            co_return status::not_supported;
        auto text = log_text(entry);
        if (!text.ends_with('\n'))
            text += '\n';
        // What another thread does cannot be cancelled.
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await print(from.who, std::move(text), out ? STDOUT_FILENO : STDERR_FILENO);
        co_return status::success;
    }

private:
    struct running_process {
        std::optional<pmixio::child> running;
        std::optional<child_input> input{};
        bool connected = false, finalized = false;
    };
    struct running_job {
        std::string nspace;
        std::vector<program> programs;
        std::deque<running_process> processes{}; ///< stay where they are
        std::size_t open = 0;                    ///< processes and streams of theirs
    };

    running_job& add_job(const std::string& nspace, std::vector<program> programs,
                         std::vector<wire::kval> of_each)
    {
        pmixio::job about{nspace, 0, ::getuid(), ::getgid(), options_.settings.hostname};
        for (const auto& each : programs) {
            about.size += each.ranks;
            std::string line;
            for (const auto& word : each.how.arguments)
                (line += line.empty() ? "" : " ") += word;
            about.applications.push_back({each.ranks, std::move(line), each.how.directory});
        }
        about.process_infos = std::move(of_each);
        about.infos.push_back({"pmix.tmpdir", wire::value::string(directory_.path())});
        about.infos.push_back({"pmix.nsdir", wire::value::string(directory_.make(nspace))});
        about.infos.push_back({"pmix.tdir.rmclean", wire::value::boolean(true)});
        auto& made = running_[nspace];
        made.nspace = nspace;
        made.programs = std::move(programs);
        made.processes.resize(about.size);
        jobs_.add(std::move(about));
        return made;
    }

    running_process* find(const wire::proc& who)
    {
        const auto at = running_.find(who.nspace);
        return at != running_.end() && who.rank < at->second.processes.size()
                   ? &at->second.processes[who.rank]
                   : nullptr;
    }

    /// Tools are no children of ours.
    void set(const wire::proc& who, bool running_process::* flag)
    {
        if (auto* known = find(who))
            known->*flag = true;
    }

    /// For messages: of the first job its rank is enough.
    std::string name_of(const wire::proc& who) const
    {
        return who.nspace == options_.nspace ? fmt::format("rank {}", who.rank)
                                             : fmt::format("rank {} of {}", who.rank, who.nspace);
    }

    /// Makes the server known, and starts what it is for.
    asio::awaitable<void> begin()
    {
        const pmixio::server_address self{server_->name(), listeners_[0].local_endpoint()};
        const auto uri = pmixio::server_uri(self);
        published_ = co_await pmixio::publish_contacts(options_.listen.contacts, self);
        if (!options_.listen.report_uri.empty())
            reported_ =
                co_await pmixio::report_uri(options_.listen.report_uri, uri,
                                            pmixio::server_uri_variables(server_->advertised_encodings()));
        if (options_.serve) {
            fmt::print("READY {}\n", uri);
            std::fflush(stdout);
        } else {
            auto& first = running_.at(options_.nspace);
            if (const auto failed = start(first))
                fail(failed == std::errc::no_such_file_or_directory ? 127 : 126,
                     fmt::format("cannot start {}: {}", failed_program_, failed.message()));
            end_if_all_done();
        }
    }

    asio::awaitable<void> serve(pmixio::listener& at) { co_await server_->serve(at); }

    // starting

    /// All processes of a job; or, with the reason, none that lives on.
    std::error_code start(running_job& of)
    {
        std::uint32_t rank = 0;
        for (const auto& each : of.programs)
            for (std::uint32_t i = 0; i != each.ranks; ++i, ++rank)
                if (const auto failed = start(of, rank, each)) {
                    failed_program_ = each.how.arguments[0];
                    for (auto& process : of.processes)
                        process.input.reset(), process.running.reset();
                    return failed;
                }
        for (rank = 0; rank != of.processes.size(); ++rank)
            asio::co_spawn(io_, attend(of, rank), pmixio::rethrow);
        return {};
    }

    std::error_code start(running_job& of, std::uint32_t rank, const program& what)
    {
        using stream = launch_settings::stream;
        auto how = what.how;
        auto ours = server_->environment_for({of.nspace, rank}, listeners_[0], options_.listen.contacts);
        for (auto&& each : pmixio::open_mpi_4_environment())
            ours.push_back(std::move(each));
        how.variables = pmixio::child_variables(environ, ours);
        how.variables.insert(how.variables.end(), what.how.variables.begin(), what.how.variables.end());
        const bool reads_ours = rank == 0 && of.nspace == options_.nspace && !options_.tool_input;
        how.input = options_.tool_input ? stream::piped : reads_ours ? stream::inherited : stream::none;
        how.own_group =
            !reads_ours || !::isatty(STDIN_FILENO); // who reads a terminal must be in its foreground
        auto started = pmixio::child::start(io_.get_executor(), how);
        if (!started)
            return started.error();
        jobs_.started({of.nspace, rank}, started->pid(), how.arguments[0]);
        auto& made = of.processes[rank];
        made.running.emplace(*std::move(started));
        if (options_.tool_input)
            made.input.emplace(std::move(made.running->in()));
        return {};
    }

    /// From the start of a process to its end.
    asio::awaitable<void> attend(running_job& of, std::uint32_t rank)
    {
        auto& self = of.processes[rank];
        const wire::proc who{of.nspace, rank};
        ++alive_;
        of.open += 3;
        asio::co_spawn(io_, forward(of, who, std::move(self.running->out()), STDOUT_FILENO), pmixio::rethrow);
        asio::co_spawn(io_, forward(of, who, std::move(self.running->err()), STDERR_FILENO), pmixio::rethrow);
        const auto end = co_await self.running->wait();
        self.input.reset(), self.running.reset();
        --alive_;
        if (end.signal)
            fail(end.code(), fmt::format("{} was killed by signal {} ({})", name_of(who), end.signal,
                                         ::strsignal(end.signal)));
        else if (end.status != 0)
            fail(end.status, fmt::format("{} exited with status {}", name_of(who), end.status));
        else if (self.connected && !self.finalized)
            fail(1, fmt::format("{} exited without finalizing", name_of(who)));
        server_->process_exited(who, end.code());
        closed(of);
        end_if_all_done();
    }

    /// A job that another has spawned is forgotten when nothing of it is left.
    void closed(running_job& of)
    {
        if (--of.open != 0 || of.nspace == options_.nspace)
            return;
        const auto nspace = of.nspace;
        running_.erase(nspace);
        server_->remove_namespace(nspace);
    }

    // output

    asio::awaitable<void> forward(running_job& of, wire::proc from, asio::posix::stream_descriptor pipe,
                                  int to)
    {
        pmixio::line_reader lines(std::move(pipe));
        for (auto text = co_await lines.next(); !text.empty(); text = co_await lines.next())
            co_await print(from, std::move(text), to);
        server_->forward_output(from, channel_of(to), {});
        closed(of);
    }

    static message::channels channel_of(int to)
    {
        return to == STDOUT_FILENO ? message::channels::out : message::channels::err;
    }

    /// Writing may block: that is left to another thread.
    asio::awaitable<void> print(wire::proc from, std::string text, int to)
    {
        server_->forward_output(from, channel_of(to), text);
        if (options_.tag_output)
            text = pmixio::tag_lines(text, fmt::format("[{},{}]<{}>: ", from.nspace, from.rank,
                                                       to == STDOUT_FILENO ? "stdout" : "stderr"));
        co_await pmixio::write_all(printers_.get_executor(), to, std::move(text));
    }

    // ending

    /// The first failure decides the exit status and ends all jobs; what it causes is not reported.
    void fail(int status, const std::string& why)
    {
        if (status_)
            return;
        status_ = status;
        fmt::print(stderr, "pmixrun: {}\n", why);
        asio::post(io_, [this] { kill_all(SIGTERM); });
        grace_.expires_after(2s);
        grace_.async_wait([this](std::error_code cancelled) {
            if (!cancelled)
                kill_all(SIGKILL);
        });
    }

    void kill_all(int signal)
    {
        for (auto& [nspace, job] : running_)
            for (const auto& each : job.processes)
                if (each.running)
                    each.running->signal(signal);
    }

    void end_if_all_done()
    {
        if (alive_ == 0)
            asio::co_spawn(io_, wind_up(), pmixio::rethrow);
    }

    /// Stops listening, gives sessions time to end, and lets the context run dry.
    asio::awaitable<void> wind_up()
    {
        published_.clear();
        reported_.reset();
        for (auto& each : listeners_)
            each.close();
        asked_to_stop_.cancel();
        over_.cancel();
        grace_.cancel();
        co_await server_->drain(options_.serve ? options_.settings.limits.drain : 1s);
        server_->stop();
    }

    /// Ends all jobs; or, where nothing is launched, the server, with another status.
    void stop(std::error_code cancelled, int status, std::optional<int> of_server, const std::string& why)
    {
        if (cancelled)
            return;
        if (!options_.serve)
            return fail(status, why);
        status_ = of_server;
        asio::co_spawn(io_, wind_up(), pmixio::rethrow);
    }

    void write_stats()
    {
        if (options_.stats.empty())
            return;
        std::FILE* file = std::fopen(options_.stats.c_str(), "we");
        if (!file)
            return fmt::print(stderr, "pmixrun: cannot write {}: {}\n", options_.stats, std::strerror(errno));
        fmt::print(file, "{}\n", pmixio::to_json(server_->observer()));
        std::fclose(file);
    }

    asio::io_context& io_;
    asio::thread_pool decoders_{1}; ///< of credentials, where that blocks
    options options_;
    pmixio::session_directory directory_;
    pmixio::registry jobs_;
    std::optional<pmixio::server<site, launcher>> server_;
    std::deque<pmixio::listener> listeners_;
    std::vector<pmixio::published_file> published_;
    std::optional<pmixio::published_file> reported_;
    asio::signal_set asked_to_stop_;
    asio::steady_timer over_, grace_;
    asio::thread_pool printers_{1};
    std::map<std::string, running_job> running_;
    std::size_t alive_ = 0, spawned_ = 0;
    std::string failed_program_;
    std::optional<int> status_;
};

} // namespace

int main(int argc, char** argv)
{
    try {
        auto chosen = parse({argv + 1, argv + argc});
        if (chosen.help)
            return fmt::print("{}", usage), 0;
        if (chosen.version)
            return fmt::print("pmixrun (pmixio) 0.1.0\n"), 0;
        if (chosen.explain)
            return fmt::print(
                       "{}",
                       choose_interfaces(pmixio::local_addresses(), chosen.listen.interfaces).explain()),
                   0;
        asio::io_context io(ASIO_CONCURRENCY_HINT_UNSAFE_IO); // one thread runs it
        return launcher(io, std::move(chosen)).run();
    } catch (const std::invalid_argument& bad) { // of an option, or a name or address that cannot be
        fmt::print(stderr, "pmixrun: {} (see pmixrun --help)\n", bad.what());
        return 2;
    } catch (const std::system_error& failed) {
        fmt::print(stderr, "pmixrun: {}\n", failed.what());
        return 1;
    }
}
