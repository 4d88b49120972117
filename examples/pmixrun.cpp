// pmixrun: launches the processes of one job on this node and is their PMIx server.
#include <pmixio/reporting.hpp>
#include <pmixio/server.hpp>
#ifdef PMIXRUN_MUNGE
#    include <pmixio/security/munge.hpp>
#endif

#include <fmt/core.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::literals;

struct site : pmixio::defaults {
#ifdef PMIXRUN_MUNGE
    using security =
        pmixio::securities<pmixio::security::munge, pmixio::security::native, pmixio::security::none>;
#else
    using security = pmixio::securities<pmixio::security::native, pmixio::security::none>;
#endif
    using observer = pmixio::observers<pmixio::counters, pmixio::log_observer>;
};

constexpr auto usage = R"(usage: pmixrun [options] [--] PROGRAM [ARGS...]
  -n, --np N                 number of ranks (1)
      --nspace NAME          name of the job (pmixrun-PID)
      --security LIST        security modules offered: munge, where it was built in, native, none (native)
      --encodings LIST       encodings offered: v61, v51, v41, v4, v3, v21 (v41,v4,v3,v21)
      --tag-output           put [NAME,RANK]<stdout>: in front of every line
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

struct options {
    std::uint32_t ranks = 1;
    std::string nspace = "pmixrun-" + std::to_string(::getpid());
    std::string stats;
    std::optional<std::chrono::milliseconds> timeout;
    bool tag_output = false, serve = false, explain = false, help = false, version = false;
    std::vector<std::string> program;
    pmixio::listener_config listen;
    pmixio::server_settings<site> settings;
};

/// What is wrong with the command line.
struct bad_usage {
    std::string text;
};

template <class T>
T number(std::string_view option, std::string_view text, T least, T most)
{
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= least && value <= most))
        throw bad_usage{fmt::format("{} takes a number from {} to {}, not '{}'", option, least, most, text)};
    return value;
}

std::chrono::milliseconds seconds(std::string_view option, std::string_view text)
{
    return std::chrono::milliseconds(
        static_cast<std::int64_t>(1000 * number<double>(option, text, 0.001, 1e8)));
}

template <class List>
auto subset(std::string_view option, std::string_view list)
{
    const auto chosen = List::subset(list);
    std::string all;
    for (const auto name : List::names)
        (all += all.empty() ? "" : ", ") += name;
    if (!chosen)
        throw bad_usage{fmt::format("{}: '{}' is not a list of: {}", option, list, all)};
    return *chosen;
}

options parse(const std::vector<std::string>& args)
{
    options o;
    o.settings.offered.securities = site::security::those_in("native");
    pmixio::apply_mca_environment(o.listen);
    pmixio::apply_tmpdir_environment(o.listen);

    auto& [include, exclude, ipv4, ipv6, remote] = o.listen.interfaces;
    bool no_ipv4 = false;
    const std::map<std::string_view, bool*> flags{
        {"--tag-output", &o.tag_output},
        {"--serve", &o.serve},
        {"--remote-connections", &remote},
        {"--disable-ipv4", &no_ipv4},
        {"--enable-ipv6", &ipv6},
        {"--explain-interfaces", &o.explain},
        {"--session-tool", &o.listen.contacts.tool},
        {"--system-tool", &o.listen.contacts.system},
        {"--help", &o.help},
        {"-h", &o.help},
        {"--version", &o.version},
    };
    std::string name, value; // of the option at hand
    const auto text = [&](std::string& to) { return [&] { to = value; }; };
    const auto list = [&](auto& to) { return [&] { to = pmixio::split_list(value); }; };
    const auto ports = [&](auto& to) { return [&] { to = pmixio::port_ranges::parse(value); }; };
    const auto ranks = [&] { o.ranks = number<std::uint32_t>(name, value, 1, 65'536); };
    const std::map<std::string_view, std::function<void()>> values{
        {"-n", ranks},
        {"--np", ranks},
        {"--nspace", text(o.nspace)},
        {"--security", [&] { o.settings.offered.securities = subset<site::security>(name, value); }},
        {"--encodings", [&] { o.settings.advertised = subset<site::buffer_ops>(name, value); }},
        {"--timeout", [&] { o.timeout = seconds(name, value); }},
        {"--handshake-timeout", [&] { o.settings.limits.handshake = seconds(name, value); }},
        {"--max-pending",
         [&] { o.settings.limits.pending_handshakes = number<std::size_t>(name, value, 1, 1'000'000); }},
        {"--max-pending-per-user",
         [&] { o.settings.limits.pending_per_user = number<std::size_t>(name, value, 1, 1'000'000); }},
        {"--stats", text(o.stats)},
        {"--if-include", list(include)},
        {"--if-exclude", list(exclude)},
        {"--ipv4-port", ports(o.listen.ipv4_ports)},
        {"--ipv6-port", ports(o.listen.ipv6_ports)},
        {"--report-uri", text(o.listen.report_uri)},
        {"--rendezvous-file", text(o.listen.contacts.rendezvous_file)},
        {"--tmpdir", text(o.listen.contacts.session_directory)},
        {"--system-tmpdir", text(o.listen.contacts.system_directory)},
    };

    for (std::size_t i = 0; i != args.size(); ++i) {
        name = args[i];
        if (name == "--" || !name.starts_with('-')) {
            o.program.assign(args.begin() + static_cast<std::ptrdiff_t>(i + (name == "--")), args.end());
            break;
        }
        const auto equals = name.starts_with("--") ? name.find('=') : name.npos;
        const bool attached = equals != name.npos;
        value = attached ? name.substr(equals + 1) : "";
        name.resize(std::min(equals, name.size()));
        if (const auto flag = flags.find(name); flag != flags.end()) {
            if (attached)
                throw bad_usage{name + " takes no value"};
            *flag->second = true;
        } else if (const auto taker = values.find(name); taker != values.end()) {
            if (!attached && i + 1 == args.size())
                throw bad_usage{name + " needs a value"};
            if (!attached)
                value = args[++i];
            try {
                taker->second();
            } catch (const std::invalid_argument& bad) {
                throw bad_usage{name + ": " + bad.what()};
            }
        } else {
            throw bad_usage{"unknown option " + name};
        }
    }
    ipv4 &= !no_ipv4;
    if (!(o.help || o.version || o.explain) && o.serve != o.program.empty())
        throw bad_usage{o.serve ? "--serve launches nothing: no PROGRAM, please" : "which PROGRAM?"};
    return o;
}

/// A directory for the job's files, removed with all that is in it.
class job_directory {
public:
    explicit job_directory(const std::string& parent)
    {
        path_ = parent + "/pmixrun-XXXXXX";
        if (!::mkdtemp(path_.data()))
            throw std::system_error(errno, std::system_category(),
                                    "pmixrun: no temporary directory in " + parent);
    }
    job_directory(const job_directory&) = delete;
    ~job_directory()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

struct pipe_ends {
    int read = -1, write = -1;
};

pipe_ends open_pipe()
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        throw std::system_error(errno, std::system_category(), "pmixrun: pipe");
    return {ends[0], ends[1]};
}

/// The job: its processes, and what the server asks of its host.
class launcher {
public:
    launcher(asio::io_context& io, options o)
        : io_(io), options_(std::move(o)), directory_(options_.listen.contacts.session_directory),
          listeners_(pmixio::open_listeners(io, options_.listen)), children_changed_(io, SIGCHLD),
          asked_to_stop_(io, SIGTERM, SIGINT), over_(io), grace_(io)
    {
        char host[256] = "localhost";
        ::gethostname(host, sizeof host - 1);
        pmixio::job job{options_.nspace, options_.ranks, ::getuid(), ::getgid(), host};
        job.infos = {{"pmix.tmpdir", pmixio::wire::value::string(directory_.path())},
                     {"pmix.nsdir", pmixio::wire::value::string(directory_.path())},
                     {"pmix.tdir.rmclean", pmixio::wire::value::boolean(true)}};
        jobs_.add(std::move(job));
        options_.settings.pool = decoders_.get_executor();
        options_.settings.hostname = host;
        options_.settings.name = {options_.nspace + "-server", 0};
        options_.settings.observer.only_problems = true;
        options_.settings.observer.out = [](std::string_view line) {
            fmt::print(stderr, "pmixrun: {}\n", line);
        };
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
        asio::co_spawn(io_, stop_when_asked(), pmixio::rethrow);
        if (options_.timeout)
            asio::co_spawn(io_, end_after(*options_.timeout), pmixio::rethrow);
        asio::co_spawn(io_, begin(), pmixio::rethrow);
        io_.run();
        printers_.join();
        write_stats();
        return status_.value_or(0);
    }

    // what the server tells and asks

    void finalized(const pmixio::requester& from) { set(from.who, &child::finalized); }
    void connected(const pmixio::identity& peer) { set(peer.who(), &child::connected); }

    asio::awaitable<pmixio::wire::status> abort(pmixio::requester from, pmixio::message::abort request)
    {
        const auto code = static_cast<int>(request.code) & 0xff;
        fail(code ? code : 1, fmt::format("rank {} called abort with status {}: {}", from.who.rank,
                                          static_cast<int>(request.code), request.text.value_or("")));
        co_return pmixio::wire::status::success; // the processes are killed after this answer has left
    }

private:
    struct child {
        pid_t pid = -1;
        bool own_group = false, connected = false, finalized = false;
    };

    /// Tools are no children of ours.
    void set(const pmixio::wire::proc& who, bool child::* flag)
    {
        if (who.nspace == options_.nspace && who.rank < children_.size())
            children_[who.rank].*flag = true;
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
            start_all();
            asio::co_spawn(io_, reap(), pmixio::rethrow);
        }
    }

    asio::awaitable<void> serve(pmixio::listener& at) { co_await server_->serve(at); }

    // starting

    void start_all()
    {
        children_.resize(options_.ranks);
        for (std::uint32_t rank = 0; rank != options_.ranks && !status_; ++rank)
            start(rank);
    }

    void start(std::uint32_t rank)
    {
        std::vector<std::string> variables;
        for (char** each = environ; *each; ++each)
            if (!pmixio::is_foreign_variable(*each))
                variables.emplace_back(*each);
        auto ours =
            server_->environment_for({options_.nspace, rank}, listeners_[0], options_.listen.contacts);
        for (auto&& each : pmixio::open_mpi_4_environment())
            ours.push_back(std::move(each));
        for (const auto& [name, value] : ours)
            variables.push_back(name + '=' + value);
        const auto pointers = [](std::vector<std::string>& texts) {
            std::vector<char*> list;
            for (auto& each : texts)
                list.push_back(each.data());
            list.push_back(nullptr);
            return list;
        };
        const auto argv = pointers(options_.program), envp = pointers(variables);

        const auto out = open_pipe(), err = open_pipe(), failure = open_pipe();
        const bool own_group =
            rank != 0 || !::isatty(STDIN_FILENO); // who reads a terminal must be in its foreground
        const pid_t parent = ::getpid(), pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != parent)
                ::_exit(1);
            if (own_group)
                ::setpgid(0, 0);
            if (rank != 0)
                ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
            ::dup2(out.write, STDOUT_FILENO);
            ::dup2(err.write, STDERR_FILENO);
            ::sigset_t none;
            ::sigemptyset(&none);
            ::sigprocmask(SIG_SETMASK, &none, nullptr);
            ::execvpe(argv[0], argv.data(), envp.data());
            const int error = errno;
            ::_exit(::write(failure.write, &error, sizeof error) == sizeof error ? 127 : 126);
        }
        const int fork_error = errno;
        ::close(out.write), ::close(err.write), ::close(failure.write);
        int error = pid < 0 ? fork_error : 0;
        if (pid > 0 && ::read(failure.read, &error, sizeof error) != sizeof error)
            error = 0;
        ::close(failure.read);
        children_[rank].own_group = own_group;
        children_[rank].pid = pid;
        running_ += pid > 0;
        asio::co_spawn(io_, forward(rank, out.read, STDOUT_FILENO), pmixio::rethrow);
        asio::co_spawn(io_, forward(rank, err.read, STDERR_FILENO), pmixio::rethrow);
        if (error != 0)
            fail(error == ENOENT ? 127 : 126,
                 fmt::format("cannot start {}: {}", options_.program[0], std::strerror(error)));
        if (pid < 0)
            end_if_all_done();
    }

    // output

    /// Copies whole lines, and at the end what is left. Writing may block: that is left to another thread.
    asio::awaitable<void> forward(std::uint32_t rank, int from, int to)
    {
        asio::posix::stream_descriptor pipe(io_, from);
        const auto tag = options_.tag_output ? fmt::format("[{},{}]<{}>: ", options_.nspace, rank,
                                                           to == STDOUT_FILENO ? "stdout" : "stderr")
                                             : std::string();
        std::string text;
        std::error_code ended;
        while (!ended) {
            char piece[16 * 1024];
            const auto n = co_await pipe.async_read_some(asio::buffer(piece),
                                                         asio::redirect_error(asio::use_awaitable, ended));
            text.append(piece, n);
            constexpr std::size_t longest_line = 1 << 20;
            auto complete = text.rfind('\n') + 1;
            if ((ended && !text.empty()) || (complete == 0 && text.size() > longest_line))
                complete = text.size();
            if (complete == 0)
                continue;
            auto lines = tagged(text.substr(0, complete), tag);
            text.erase(0, complete);
            co_await asio::post(printers_, asio::use_awaitable);
            for (std::string_view rest = lines; !rest.empty();) {
                const auto written = ::write(to, rest.data(), rest.size());
                if (written < 0 && errno != EINTR)
                    break; // nobody reads us any more
                rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
            }
            co_await asio::post(io_, asio::use_awaitable);
        }
    }

    static std::string tagged(std::string lines, const std::string& tag)
    {
        if (tag.empty())
            return lines;
        std::string result;
        for (std::string_view rest = lines; !rest.empty();) {
            const auto line =
                rest.substr(0, rest.find('\n') == rest.npos ? rest.size() : rest.find('\n') + 1);
            (result += tag) += line;
            rest.remove_prefix(line.size());
        }
        if (!result.ends_with('\n'))
            result += '\n';
        return result;
    }

    // ending

    asio::awaitable<void> reap()
    {
        while (running_ != 0) {
            std::error_code failed;
            co_await children_changed_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
            for (std::uint32_t rank = 0; rank != children_.size(); ++rank) {
                int how = 0;
                if (children_[rank].pid > 0 &&
                    ::waitpid(children_[rank].pid, &how, WNOHANG) == children_[rank].pid)
                    exited(rank, how);
            }
        }
    }

    void exited(std::uint32_t rank, int how)
    {
        auto& gone = children_[rank];
        gone.pid = -1;
        --running_;
        if (WIFSIGNALED(how))
            fail(128 + WTERMSIG(how), fmt::format("rank {} was killed by signal {} ({})", rank, WTERMSIG(how),
                                                  ::strsignal(WTERMSIG(how))));
        else if (WEXITSTATUS(how) != 0)
            fail(WEXITSTATUS(how), fmt::format("rank {} exited with status {}", rank, WEXITSTATUS(how)));
        else if (gone.connected && !gone.finalized)
            fail(1, fmt::format("rank {} exited without finalizing", rank));
        server_->process_exited({options_.nspace, rank});
        end_if_all_done();
    }

    /// The first failure decides the exit status and ends the job; what it causes is not reported.
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
        for (const auto& each : children_)
            if (each.pid > 0)
                ::kill(each.own_group ? -each.pid : each.pid, signal);
    }

    void end_if_all_done()
    {
        if (running_ == 0)
            asio::co_spawn(io_, wind_up(), pmixio::rethrow);
    }

    /// Stops listening, gives sessions time to end, and lets the context run dry.
    asio::awaitable<void> wind_up()
    {
        published_.clear();
        reported_.reset();
        for (auto& each : listeners_)
            each.close();
        children_changed_.cancel();
        asked_to_stop_.cancel();
        over_.cancel();
        grace_.cancel();
        co_await server_->drain(options_.serve ? options_.settings.limits.drain : 1s);
        server_->stop();
    }

    asio::awaitable<void> stop_when_asked()
    {
        std::error_code cancelled;
        const int signal =
            co_await asked_to_stop_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
        if (cancelled)
            co_return;
        if (options_.serve)
            co_return co_await wind_up();
        fail(128 + signal, fmt::format("stopped by signal {}", signal));
    }

    asio::awaitable<void> end_after(std::chrono::milliseconds limit)
    {
        over_.expires_after(limit);
        std::error_code cancelled;
        co_await over_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
        if (cancelled)
            co_return;
        if (options_.serve)
            co_return status_ = 124, co_await wind_up();
        fail(124, "the job's time is over");
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
    job_directory directory_;
    pmixio::registry jobs_;
    std::optional<pmixio::server<site, launcher>> server_;
    std::deque<pmixio::listener> listeners_;
    std::vector<pmixio::published_file> published_;
    std::optional<pmixio::published_file> reported_;
    asio::signal_set children_changed_, asked_to_stop_;
    asio::steady_timer over_, grace_;
    asio::thread_pool printers_{1};
    std::vector<child> children_;
    std::size_t running_ = 0;
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
        asio::io_context io(1);
        return launcher(io, std::move(chosen)).run();
    } catch (const bad_usage& bad) {
        fmt::print(stderr, "pmixrun: {} (see pmixrun --help)\n", bad.text);
        return 2;
    } catch (const std::invalid_argument& bad) {
        fmt::print(stderr, "pmixrun: {}\n", bad.what());
        return 2;
    } catch (const std::system_error& failed) {
        fmt::print(stderr, "pmixrun: {}\n", failed.what());
        return 1;
    }
}
