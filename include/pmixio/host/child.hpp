// child: a process that a launcher starts, its input and output, and its end.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/listen/contact.hpp>
#include <pmixio/result.hpp>
#include <pmixio/wire/value.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace pmixio {

/// How a process shall be started.
struct launch_settings {
    enum class stream { none, inherited, piped };

    std::vector<std::string> arguments; ///< the program first; looked for in PATH if it has no slash
    std::vector<std::string> variables; ///< its whole environment, NAME=value: see child_variables()
    std::string directory;              ///< empty: where this process is
    stream input = stream::none;
    stream output = stream::piped; ///< standard output and standard error, each on its own
    bool own_group = true;         ///< in a process group of its own; not for who reads a terminal
};

/// As a SPAWN wants processes of an application started: its variables are those it adds.
inline launch_settings settings_of(wire::app application)
{
    launch_settings how;
    how.arguments = std::move(application.arguments);
    if (how.arguments.empty())
        how.arguments.emplace_back();
    how.arguments[0] = application.command.value_or(how.arguments[0]);
    how.variables = std::move(application.environment);
    how.directory = application.directory.value_or("");
    return how;
}

/// How a process ended.
struct child_end {
    int signal = 0; ///< that killed it; 0: it exited
    int status = 0; ///< that it exited with

    /// As a shell says it.
    int code() const noexcept { return signal ? 128 + signal : status; }
};

/// The environment of a child: `inherited`, e.g. environ, without what belongs to other servers, and `ours` after it.
inline std::vector<std::string> child_variables(const char* const* inherited, const environment& ours)
{
    std::vector<std::string> variables;
    for (auto each = inherited; *each; ++each)
        if (!is_foreign_variable(*each))
            variables.emplace_back(*each);
    for (const auto& [name, value] : ours)
        variables.push_back(name + '=' + value);
    return variables;
}

/// A process that was started, until its end is known. No signal handler is needed: the kernel tells by a descriptor
/// (Linux 5.3). If the thread that started it ends, the process is killed.
class child {
public:
    /// Starts a process; the call returns when it runs its program, or with why it does not: e.g. ENOENT, EACCES.
    /// Must not be called while another thread closes descriptors of 0 to 2.
    static result<child> start(const asio::any_io_executor& executor, const launch_settings& how)
    {
        const auto pointers = [](const std::vector<std::string>& texts) {
            std::vector<char*> list;
            for (const auto& each : texts)
                list.push_back(const_cast<char*>(each.c_str()));
            list.push_back(nullptr);
            return list;
        };
        const auto argv = pointers(how.arguments), envp = pointers(how.variables);
        if (how.arguments.empty())
            return std::make_error_code(std::errc::invalid_argument);

        using stream = launch_settings::stream;
        pipe in(how.input == stream::piped), out(how.output == stream::piped),
            err(how.output == stream::piped), failure(true);
        if (!(in.made && out.made && err.made && failure.made))
            return std::error_code(errno, std::system_category());
        ::sigset_t every, before;
        ::sigfillset(&every);
        ::pthread_sigmask(SIG_SETMASK, &every, &before);
        // No page of this process is copied, however large it is: the child has its memory until it runs its program.
        const pid_t parent = ::getpid(), pid = ::vfork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != parent)
                ::_exit(1);
            if (how.own_group)
                ::setpgid(0, 0);
            const auto give = [](stream wanted, int piped, int as) {
                if (wanted != stream::inherited)
                    ::dup2(wanted == stream::piped ? piped : ::open("/dev/null", O_RDWR | O_CLOEXEC), as);
            };
            give(how.input, in.ends[0], STDIN_FILENO);
            give(how.output, out.ends[1], STDOUT_FILENO);
            give(how.output, err.ends[1], STDERR_FILENO);
            for (int each = 1; each < NSIG; ++each) // a handler of ours would run in our memory
                if (struct ::sigaction is{}; ::sigaction(each, nullptr, &is) == 0 &&
                                             is.sa_handler != SIG_IGN && is.sa_handler != SIG_DFL)
                    ::signal(each, SIG_DFL);
            ::sigset_t none;
            ::sigemptyset(&none);
            ::sigprocmask(SIG_SETMASK, &none, nullptr);
            if (how.directory.empty() || ::chdir(how.directory.c_str()) == 0)
                ::execvpe(argv[0], argv.data(), envp.data());
            const int error = errno;
            ::_exit(::write(failure.ends[1], &error, sizeof error) == sizeof error ? 127 : 126);
        }
        const int refused = errno;
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (pid < 0)
            return std::error_code(refused, std::system_category());
        failure.close(1);
        int error = 0;
        if (::read(failure.ends[0], &error, sizeof error) != sizeof error)
            error = 0;
        const auto watch = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
        if (error == 0 && watch < 0)
            error = errno;
        child started(executor, pid, how.own_group);
        std::error_code failed(error, std::system_category());
        const auto adopt = [&](asio::posix::stream_descriptor& to, int fd) {
            if (failed && fd >= 0)
                ::close(fd);
            else if (fd >= 0)
                to.assign(fd, failed);
        };
        adopt(started.end_, watch);
        adopt(started.in_, in.take(1)), adopt(started.out_, out.take(0)), adopt(started.err_, err.take(0));
        if (failed)
            return failed;
        return started;
    }

    child(child&& other) noexcept
        : pid_(std::exchange(other.pid_, -1)), own_group_(other.own_group_), end_(std::move(other.end_)),
          in_(std::move(other.in_)), out_(std::move(other.out_)), err_(std::move(other.err_))
    {}
    child& operator=(child&&) = delete;

    /// Kills the process if it has not ended, and waits until it has.
    ~child()
    {
        if (pid_ > 0) {
            signal(SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    /// -1 once wait() has completed.
    pid_t pid() const noexcept { return pid_; }

    /// Ours of the pipes; closed where there is none.
    asio::posix::stream_descriptor& in() noexcept { return in_; }
    asio::posix::stream_descriptor& out() noexcept { return out_; }
    asio::posix::stream_descriptor& err() noexcept { return err_; }

    /// To the process, and to all of its group if it has one of its own. Nothing once it has ended.
    void signal(int number) const noexcept
    {
        if (pid_ > 0)
            ::kill(own_group_ ? -pid_ : pid_, number);
    }

    /// Completes when the process has ended; call it once. The child must stay where it is meanwhile. Cancelled: throws
    /// operation_aborted, and can be called again.
    asio::awaitable<child_end> wait()
    {
        co_await end_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        int how = 0;
        ::waitpid(std::exchange(pid_, -1), &how, 0);
        co_return WIFSIGNALED(how) ? child_end{WTERMSIG(how), 0} : child_end{0, WEXITSTATUS(how)};
    }

private:
    struct pipe {
        explicit pipe(bool wanted) : made(!wanted || ::pipe2(ends, O_CLOEXEC) == 0) {}
        pipe(const pipe&) = delete;
        ~pipe() { close(0), close(1); }
        int take(int end) { return std::exchange(ends[end], -1); }
        void close(int end)
        {
            if (ends[end] >= 0)
                ::close(take(end));
        }

        int ends[2] = {-1, -1};
        bool made;
    };
    child(const asio::any_io_executor& executor, pid_t pid, bool own_group)
        : pid_(pid), own_group_(own_group), end_(executor), in_(executor), out_(executor), err_(executor)
    {}

    pid_t pid_;
    bool own_group_;
    asio::posix::stream_descriptor end_, in_, out_, err_;
};

} // namespace pmixio
