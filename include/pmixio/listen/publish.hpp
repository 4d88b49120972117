// How a server makes itself known: contact files that appear whole or not at all, are never another living server's,
// and go when it goes. handshake.md section 1.3.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/descriptor.hpp>
#include <pmixio/listen/contact.hpp>
#include <pmixio/listen/contact_file.hpp>
#include <pmixio/listen/probe.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace pmixio {

namespace detail {
struct file_identity;
struct publication;
} // namespace detail

/// Owns one file made by publish(): removes it when destroyed, in the process that made it only.
class published_file {
public:
    published_file(published_file&& other) noexcept;
    published_file& operator=(published_file&& other) noexcept;
    ~published_file() { remove(); }

    const std::string& path() const noexcept { return path_; }

    /// Removes the file, unless it is gone or another has taken its name.
    void remove() noexcept;

private:
    friend struct detail::publication;
    published_file() = default;

    std::string path_;
    std::string name_; ///< in directory_; empty: nothing to remove
    detail::descriptor directory_;
    ::dev_t device_ = 0;
    ::ino_t inode_ = 0;
    ::pid_t maker_ = 0;
};

/// What publish() does when there is a file of that name.
enum class existing_file {
    judge,   ///< replace it if nobody listens at the address in it, else fail
    replace, ///< replace it if it is a regular file of our effective user, else fail
};

/// Makes a file with this text and exactly these permissions. It is written under another name in the same directory,
/// and gets its own name when it is whole; nobody ever sees a part of it. Many processes may publish the same name at
/// a time: one of them succeeds.
///
/// A file of that name which cannot be a contact file is taken for a dead server's. One whose server does not answer in
/// `patience` without being refused is taken for a living one's, and one that is incomplete gets as long to be
/// completed. Links, directories, devices and the like are never followed, opened or replaced.
/// The directory must be ours or root's; if others may write into it, it must be sticky, as /tmp is.
/// Throws std::system_error, which names the file and the reason, address_in_use for that of a living server;
/// operation_aborted when cancelled. Then nothing is left behind.
inline asio::awaitable<published_file>
publish(std::string path, std::string text, ::mode_t mode, existing_file found = existing_file::judge,
        std::chrono::steady_clock::duration patience = std::chrono::seconds(1));

/// Publishes all files of the plan, each by publish(), or none. The listener must be listening.
/// Throws what publish() throws, and std::invalid_argument for a host or namespace that cannot be in a file's name.
inline asio::awaitable<std::vector<published_file>> publish_contacts(contact_plan plan, server_address self);

/// `PMIX_SERVER_URI41:PMIX_SERVER_URI3`: the variables that report_uri() names, for these encodings.
inline std::string server_uri_variables(std::span<const std::string_view> encodings);

/// Tells a parent process the URI, in the form that `where` chooses:
///   `-`, `+`     a line on stdout or stderr;
///   a number     `VARIABLES;URI` and a NUL, to that descriptor, which is closed unless it is 0, 1 or 2. A pipe that
///                is full or not read any more is an error, and is not waited for;
///   other texts  the path of a file of two lines and mode 0640, which replaces one of the same user.
/// Completes with the file if it made one. Throws std::system_error.
inline asio::awaitable<std::optional<published_file>> report_uri(std::string where, std::string uri,
                                                                 std::string variables);

// Below: implementation.

namespace detail {

struct file_identity {
    ::dev_t device;
    ::ino_t inode;

    explicit file_identity(const struct ::stat& of) : device(of.st_dev), inode(of.st_ino) {}
    file_identity(::dev_t d, ::ino_t i) : device(d), inode(i) {}
    friend bool operator==(const file_identity&, const file_identity&) = default;
};

/// A name in a publication's directory that nobody else uses, and that no search for contact files finds.
class unique_name {
public:
    unique_name() noexcept
    {
        std::uint64_t number = 0;
        if (::getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
            number = static_cast<std::uint64_t>(::getpid()) << 32 ^
                     static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
        std::to_chars(text_.data() + prefix.size(), text_.data() + text_.size() - 1, number, 16);
        prefix.copy(text_.data(), prefix.size());
    }
    const char* c_str() const noexcept { return text_.data(); }

private:
    static constexpr std::string_view prefix = ".pmixio-";
    std::array<char, 32> text_{};
};

/// Removes `name` if it is that file, however names are exchanged meanwhile: what was moved out of the way by mistake is
/// put back. ESTALE if it is another file.
inline std::error_code remove_exactly(int directory, const char* name, file_identity which) noexcept
{
    const std::error_code other(ESTALE, std::system_category());
    struct ::stat found{};
    if (::fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return last_error();
    if (file_identity(found) != which)
        return other;
    const unique_name aside;
    if (::renameat(directory, name, directory, aside.c_str()) != 0)
        return last_error();
    const bool right = ::fstatat(directory, aside.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                       file_identity(found) == which;
    if (!right)
        ::linkat(directory, aside.c_str(), directory, name, 0);
    ::unlinkat(directory, aside.c_str(), 0);
    return right ? std::error_code() : other;
}

/// The end of a publication that fails.
[[noreturn]] inline void cannot_publish(const std::string& path, std::error_code code, const std::string& why)
{
    throw std::system_error(code, "pmixio: cannot publish " + path + ": " + why);
}

[[noreturn]] inline void cannot_publish(const std::string& path, int number, const std::string& why)
{
    cannot_publish(path, std::error_code(number, std::system_category()), why);
}

/// Throws std::system_error.
inline void write_all(int to, std::string_view text)
{
    while (!text.empty()) {
        const auto wrote = ::write(to, text.data(), text.size());
        if (wrote < 0 && errno != EINTR)
            throw std::system_error(last_error());
        text.remove_prefix(wrote < 0 ? 0 : static_cast<std::size_t>(wrote));
    }
}

/// One file on its way to its name.
struct publication {
    std::string path;
    std::string name;
    descriptor directory;
    std::optional<unique_name> temporary; ///< exists
    std::optional<file_identity> made;    ///< what is or was called `temporary`

    /// Opens the directory, so that all that follows happens in the directory that was checked.
    explicit publication(std::string where) : path(std::move(where))
    {
        const auto slash = path.rfind('/');
        name = path.substr(slash + 1); // of npos too
        if (name.empty() || name == "." || name == ".." || path.find('\0') != path.npos)
            cannot_publish(path, EINVAL, "this is not the path of a file");
        const auto parent = slash == path.npos ? "." : path.substr(0, slash + 1);
        directory = descriptor(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        struct ::stat status{};
        if (!directory || ::fstat(directory.get(), &status) != 0)
            cannot_publish(path, errno, "its directory");
        if (status.st_uid != ::geteuid() && status.st_uid != 0)
            cannot_publish(path, EPERM, "its directory belongs to user " + std::to_string(status.st_uid));
        if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0)
            cannot_publish(path, EPERM,
                           "its directory is writable by others and not sticky, so they could replace it");
    }
    publication(const publication&) = delete;
    ~publication()
    {
        if (temporary)
            ::unlinkat(directory.get(), temporary->c_str(), 0);
    }

    void write(std::string_view text, ::mode_t mode)
    {
        descriptor file;
        for (int tries = 0; !file; ++tries) {
            const unique_name candidate;
            file = descriptor(::openat(directory.get(), candidate.c_str(),
                                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
            if (file)
                temporary = candidate;
            else if (errno != EEXIST || tries == 8)
                cannot_publish(path, errno, "a file cannot be made in its directory");
        }
        struct ::stat status{};
        try {
            write_all(file.get(), text);
            if (::fchmod(file.get(), mode) != 0 || ::fstat(file.get(), &status) != 0 ||
                ::close(file.release()) != 0)
                throw std::system_error(last_error());
        } catch (const std::system_error& failed) {
            cannot_publish(path, failed.code(), "writing it");
        }
        made.emplace(status);
    }

    /// Whether the file got its name; not if there is one of that name.
    bool link()
    {
        if (::linkat(directory.get(), temporary->c_str(), directory.get(), name.c_str(), 0) == 0) {
            ::unlinkat(directory.get(), temporary->c_str(), 0);
            temporary.reset();
            return true;
        }
        if (errno != EEXIST)
            cannot_publish(path, errno, "giving it its name");
        return false;
    }

    /// Whether the file took the place of another one of ours.
    bool replace()
    {
        struct ::stat status{};
        if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
            return errno == ENOENT ? false : (cannot_publish(path, errno, "what has its name"), false);
        if (!S_ISREG(status.st_mode))
            cannot_publish(path, EEXIST, "what has its name is no regular file");
        if (status.st_uid != ::geteuid())
            cannot_publish(path, EEXIST, "the file belongs to user " + std::to_string(status.st_uid));
        if (::renameat(directory.get(), temporary->c_str(), directory.get(), name.c_str()) != 0)
            cannot_publish(path, errno, "replacing the file");
        temporary.reset();
        return true;
    }

    /// Removes the file that has the name if its server is dead. Returns if another try makes sense.
    asio::awaitable<void> remove_stale(std::chrono::steady_clock::duration patience)
    {
        // Stays open, so that no other file gets its inode number before it is removed.
        const auto found = open_contact_file(directory.get(), name.c_str(), file_owner::anyone);
        if (found.error() == std::errc::no_such_file_or_directory)
            co_return;
        if (found.error() == fault::untrusted_contact_file)
            cannot_publish(path, EEXIST, "what has its name is no regular file");
        if (!found)
            cannot_publish(path, found.error(), "there is such a file, and its server is not known");

        auto read = read_contact(*found);
        if (read.error() == fault::incomplete_contact_file) {
            asio::steady_timer writing(co_await asio::this_coro::executor, patience);
            co_await writing.async_wait(asio::use_awaitable);
            read = read_contact(*found);
        }
        if (read) {
            const auto answer = co_await probe(read->address.at, patience);
            if (answer)
                cannot_publish(path, EADDRINUSE,
                               "another server uses it, " + server_uri(read->address) + " answers");
            if (answer.error() == asio::error::operation_aborted)
                cannot_publish(path, answer.error(), "given up");
            if (answer.error() != asio::error::connection_refused)
                cannot_publish(path, EADDRINUSE,
                               "another server may use it, " + server_uri(read->address) +
                                   " does not answer but is not known to be dead (" +
                                   answer.error().message() + ')');
        } else if (read.error().category() == std::system_category()) {
            cannot_publish(path, read.error(), "there is such a file, and reading it");
        }
        const auto failed = remove_exactly(directory.get(), name.c_str(), file_identity(found->status));
        if (failed && failed != std::errc::no_such_file_or_directory && failed.value() != ESTALE)
            cannot_publish(path, failed, "removing the file of a dead server");
    }

    published_file finish()
    {
        published_file file;
        file.path_ = std::move(path);
        file.name_ = std::move(name);
        file.directory_ = std::move(directory);
        file.device_ = made->device;
        file.inode_ = made->inode;
        file.maker_ = ::getpid();
        return file;
    }
};

} // namespace detail

inline published_file::published_file(published_file&& other) noexcept
    : path_(std::move(other.path_)), name_(std::exchange(other.name_, {})),
      directory_(std::move(other.directory_)), device_(other.device_), inode_(other.inode_),
      maker_(other.maker_)
{}

inline published_file& published_file::operator=(published_file&& other) noexcept
{
    if (this != &other) {
        remove();
        path_ = std::move(other.path_);
        name_ = std::exchange(other.name_, {});
        directory_ = std::move(other.directory_);
        device_ = other.device_;
        inode_ = other.inode_;
        maker_ = other.maker_;
    }
    return *this;
}

inline void published_file::remove() noexcept
{
    if (!name_.empty() && maker_ == ::getpid())
        detail::remove_exactly(directory_.get(), name_.c_str(), {device_, inode_});
    name_.clear();
    directory_ = detail::descriptor();
}

inline asio::awaitable<published_file> publish(std::string path, std::string text, ::mode_t mode,
                                               existing_file found,
                                               std::chrono::steady_clock::duration patience)
{
    constexpr int most_tries = 32; // each is lost to another process that has just changed what has the name
    detail::publication making(std::move(path));
    making.write(text, mode);
    for (int tries = 0; tries != most_tries; ++tries) {
        if (found == existing_file::replace && making.replace())
            co_return making.finish();
        if (making.link())
            co_return making.finish();
        if (found == existing_file::judge)
            co_await making.remove_stale(patience);
    }
    detail::cannot_publish(making.path, EBUSY, "others keep publishing and removing it");
}

inline asio::awaitable<std::vector<published_file>> publish_contacts(contact_plan plan, server_address self)
{
    const auto host = plan.host.empty() ? contact_host_name() : plan.host;
    std::vector<std::pair<std::string, ::mode_t>> wanted;
    if (plan.system)
        wanted.emplace_back(system_contact_path(plan.system_directory, host), plan.system_mode);
    if (plan.scheduler)
        wanted.emplace_back(scheduler_contact_path(plan.system_directory, host), plan.system_mode);
    if (plan.system_controller)
        wanted.emplace_back(system_controller_contact_path(plan.system_directory, host), plan.system_mode);
    if (plan.session)
        wanted.emplace_back(session_contact_path(plan.session_directory, host), plan.mode);
    if (plan.tool) {
        wanted.emplace_back(pid_contact_path(plan.session_directory, host, ::getpid()), plan.mode);
        wanted.emplace_back(nspace_contact_path(plan.session_directory, host, self.server.nspace), plan.mode);
    }
    if (!plan.rendezvous_file.empty())
        wanted.emplace_back(plan.rendezvous_file, plan.mode);

    const auto text = contact_file_text(server_uri(self));
    std::vector<published_file> made;
    made.reserve(wanted.size());
    for (const auto& [path, mode] : wanted) {
        auto file = co_await publish(path, text, mode);
        made.push_back(std::move(file));
    }
    co_return made;
}

inline std::string server_uri_variables(std::span<const std::string_view> encodings)
{
    std::string list;
    for (const auto encoding : encodings)
        (list += list.empty() ? "" : ":") += server_uri_variable(encoding);
    return list;
}

inline asio::awaitable<std::optional<published_file>> report_uri(std::string where, std::string uri,
                                                                 std::string variables)
{
    const auto number = where == "-"   ? STDOUT_FILENO
                        : where == "+" ? STDERR_FILENO
                                       : detail::parse_decimal<int>(where).value_or(-1);
    if (number < 0) {
        auto file = co_await publish(std::move(where), report_file_text(uri), 0640, existing_file::replace);
        co_return std::optional<published_file>(std::move(file));
    }
    const auto failed = [&](int code) {
        return std::system_error(code, std::system_category(), "pmixio: cannot report the URI to " + where);
    };
    if (where == "-" || where == "+") {
        detail::write_all(number, uri + '\n');
        co_return std::nullopt;
    }
    ::pollfd ready{number, POLLOUT, 0};
    if (::fcntl(number, F_GETFL) < 0 || ::poll(&ready, 1, 0) < 0)
        throw failed(errno);
    detail::descriptor given(number > STDERR_FILENO ? number : -1);
    if ((ready.revents & POLLERR) != 0)
        throw failed(EPIPE); // writing would raise SIGPIPE
    if ((ready.revents & POLLOUT) == 0)
        throw failed(EAGAIN);
    try {
        detail::write_all(number, (std::move(variables) += ';') += uri + '\0');
    } catch (const std::system_error& e) {
        throw failed(e.code().value());
    }
    co_return std::nullopt;
}

} // namespace pmixio
