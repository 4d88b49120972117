// How a client or tool finds its server: a URI, a contact file, or a search for contact files; now, or when one appears.
// handshake.md sections 1.1, 1.3, 1.4.
#pragma once

#include <pmixio/deadline.hpp>
#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/descriptor.hpp>
#include <pmixio/listen/config.hpp>
#include <pmixio/listen/contact.hpp>
#include <pmixio/listen/contact_file.hpp>
#include <pmixio/listen/probe.hpp>
#include <pmixio/result.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace pmixio {

/// Looks nowhere: the URI is known.
struct known_uri {
    std::string uri;
    std::string version; ///< the server's release, as contact::version; empty: not known
};

/// Looks into one contact file.
struct in_file {
    std::string path;
};

/// Looks for contact files whose name starts with `prefix` in a directory and those below it. Links are not followed.
struct in_tree {
    std::string directory;
    std::string prefix;
    std::size_t depth = 8;       ///< directories below `directory`
    std::size_t entries = 65536; ///< looked at in all directories together
    std::size_t files = 256;     ///< read
};

/// Where to look for a server. Each place is tried when those before it have none.
struct server_search {
    std::vector<std::variant<known_uri, in_file, in_tree>> places;
    file_owner trusted = file_owner::self_or_root;
    /// A file whose server refuses connections counts as absent. Always so where there is another place or file to
    /// choose from.
    bool answering = false;
};

/// A URI, or `file:PATH` as libpmix's tools take it.
inline server_search search_uri(std::string_view uri_or_file);
/// A rendezvous or attachment file.
inline server_search search_file(std::string path);
/// The system's server only.
inline server_search search_system(std::string_view directory, std::string_view host);
/// The server of that process.
inline server_search search_pid(std::string_view directory, std::string_view host, ::pid_t pid);
/// The server of that namespace.
inline server_search search_nspace(std::string_view directory, std::string_view host,
                                   std::string_view nspace);
/// Any server for tools, in the directory or below it.
inline server_search search_any(std::string_view directory, std::string_view host);
/// The places of one search before those of another: search_system(...), search_any(...) is `system first`.
inline server_search first(server_search preferred, const server_search& otherwise);

/// What a process that was started by a server, or looks for one, is told by its environment.
struct rendezvous_environment {
    std::string uri;              ///< empty: it was started by no server
    std::string encoding;         ///< name of the first encoding there is a URI for, which is to be used
    std::string version;          ///< of the server; empty: not told
    std::string host;             ///< in the names of contact files
    std::string server_directory; ///< of the session's contact files
    std::string system_directory; ///< of the system's contact files
};

/// Reads PMIX_SERVER_URIxx in the order of `encodings`, PMIX_VERSION, PMIX_HOSTNAME, PMIX_SERVER_TMPDIR,
/// PMIX_SYSTEM_TMPDIR, and for those two what environment_tmpdir() says.
inline rendezvous_environment rendezvous_from_environment(std::span<const std::string_view> encodings);

/// The server that started this process if there is one, else any that search_any() finds in the system's directory.
inline server_search search_from_environment(std::span<const std::string_view> encodings);

/// Where a configuration says that a tool's server is: its server_uri, else any in the system's directory.
inline server_search search_configured(const listener_config& config, std::string_view host);
/// How long it says to wait for the server's contact file: its wait for each of its looks.
inline std::chrono::seconds rendezvous_time(const listener_config& config);

/// A file or directory that a search could not use.
struct skipped_path {
    std::string path;
    std::error_code why;
};

/// Reads all contact files of a tree, once. Those of one server, by its URI, are returned once. What cannot be read, is
/// not trusted or lies beyond the bounds is added to `skipped`.
inline std::vector<contact> search_tree(const in_tree& where, file_owner trusted,
                                        std::vector<skipped_path>& skipped);

/// Finds a server, and if there is none waits until one publishes its contact file or completes one.
///
/// Completes with what is known of the server; whether it is alive has been asked only where server_search says so.
/// `limit` is for all of it; with zero it looks once, and waits for connections at most 1 s.
/// Errors: fault::no_server when it looked once and there is none; fault::rendezvous_timeout when none came in time;
/// fault::ambiguous_server when several servers of a tree answer; for a place that is a URI or the last one and a file,
/// those of parse_server_uri() and read_contact_file() but for files that are absent or incomplete; the system's when
/// it cannot wait (inotify); operation_aborted when cancelled.
/// `skipped`, if given, is what the last look could not use, and must live until completion.
inline asio::awaitable<result<contact>> find_server(server_search search,
                                                    std::chrono::steady_clock::duration limit,
                                                    std::vector<skipped_path>* skipped = nullptr);

// Below: implementation.

inline server_search search_uri(std::string_view uri_or_file)
{
    server_search search;
    if (uri_or_file.starts_with("file:"))
        search.places.emplace_back(in_file{std::string(uri_or_file.substr(5))});
    else
        search.places.emplace_back(known_uri{std::string(uri_or_file), {}});
    return search;
}

inline server_search search_file(std::string path)
{
    server_search search;
    search.places.emplace_back(in_file{std::move(path)});
    return search;
}

inline server_search search_system(std::string_view directory, std::string_view host)
{
    return search_file(system_contact_path(directory, host));
}

inline server_search search_pid(std::string_view directory, std::string_view host, ::pid_t pid)
{
    return search_file(pid_contact_path(directory, host, pid));
}

inline server_search search_nspace(std::string_view directory, std::string_view host, std::string_view nspace)
{
    return search_file(nspace_contact_path(directory, host, nspace));
}

inline server_search search_any(std::string_view directory, std::string_view host)
{
    server_search search;
    search.places.emplace_back(in_tree{std::string(directory), detail::tool_prefix(host)});
    return search;
}

inline server_search first(server_search preferred, const server_search& otherwise)
{
    preferred.places.insert(preferred.places.end(), otherwise.places.begin(), otherwise.places.end());
    return preferred;
}

inline rendezvous_environment rendezvous_from_environment(std::span<const std::string_view> encodings)
{
    const auto variables = process_environment();
    const auto read = [&](std::string_view name) -> std::string {
        for (const auto& each : variables)
            if (each.first == name)
                return each.second;
        return {};
    };
    rendezvous_environment found;
    for (const auto encoding : encodings)
        if (found.uri.empty()) {
            found.uri = read(server_uri_variable(encoding));
            found.encoding = found.uri.empty() ? "" : encoding;
        }
    found.version = read("PMIX_VERSION");
    found.host = read("PMIX_HOSTNAME");
    if (found.host.empty())
        found.host = contact_host_name();
    found.server_directory = environment_tmpdir("PMIX_SERVER_TMPDIR", variables);
    found.system_directory = environment_tmpdir("PMIX_SYSTEM_TMPDIR", variables);
    return found;
}

inline server_search search_from_environment(std::span<const std::string_view> encodings)
{
    const auto told = rendezvous_from_environment(encodings);
    if (told.uri.empty())
        return search_any(told.system_directory, told.host);
    server_search search;
    search.places.emplace_back(known_uri{told.uri, told.version});
    return search;
}

inline server_search search_configured(const listener_config& config, std::string_view host)
{
    return config.server_uri.empty() ? search_any(config.contacts.system_directory, host)
                                     : search_uri(config.server_uri);
}

inline std::chrono::seconds rendezvous_time(const listener_config& config)
{
    return config.connection_wait_time * static_cast<int>(config.max_retries);
}

namespace detail {

/// One walk through a tree. `entering(path)` is called before a directory is listed.
class tree_walk {
public:
    tree_walk(const in_tree& where, file_owner trusted, std::function<void(const std::string&)> entering,
              std::vector<skipped_path>& skipped)
        : where_(where), trusted_(trusted), entering_(std::move(entering)), skipped_(skipped),
          entries_left_(where.entries), files_left_(where.files)
    {
        // Only the top may be reached by a link: it is the caller's.
        const std::string top = where_.directory.empty() ? "." : where_.directory;
        visit(AT_FDCWD, top.c_str(), 0, top, 0);
    }

    std::vector<contact> found;

private:
    struct close_directory {
        void operator()(::DIR* open) const { ::closedir(open); }
    };

    void skip(const std::string& path, std::error_code why) { skipped_.push_back({path, why}); }

    void visit(int parent, const char* name_in_parent, int no_follow, const std::string& path,
               std::size_t depth)
    {
        if (depth > where_.depth)
            return skip(path, fault::too_deep);
        entering_(path);
        descriptor opened(
            ::openat(parent, name_in_parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | no_follow));
        const std::unique_ptr<::DIR, close_directory> listing(opened ? ::fdopendir(opened.get()) : nullptr);
        if (!listing)
            return skip(path, last_error());
        const int directory = opened.release(); // the listing's now
        for (;;) {
            errno = 0;
            const auto* entry =
                ::readdir(listing.get()); // NOLINT(concurrency-mt-unsafe): this listing is ours
            if (!entry && errno != 0)
                skip(path, last_error());
            if (!entry)
                return;
            const std::string_view name(entry->d_name);
            if (name == "." || name == "..")
                continue;
            if (entries_left_ == 0)
                return skip(path, std::make_error_code(std::errc::value_too_large));
            --entries_left_;
            if (entry->d_type == DT_DIR ||
                (entry->d_type == DT_UNKNOWN && is_directory(directory, entry->d_name)))
                visit(directory, entry->d_name, O_NOFOLLOW, path_in(path, name), depth + 1);
            else if (name.starts_with(where_.prefix))
                read(directory, entry->d_name, path_in(path, name));
        }
    }

    static bool is_directory(int directory, const char* name)
    {
        struct ::stat status{};
        return ::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
    }

    void read(int directory, const char* name, const std::string& path)
    {
        if (files_left_ == 0)
            return skip(path, std::make_error_code(std::errc::value_too_large));
        --files_left_;
        const auto opened = open_contact_file(directory, name, trusted_);
        const auto read = opened ? read_contact(*opened) : result<contact>(opened.error());
        if (!read)
            return skip(path, read.error());
        const auto same = std::find_if(found.begin(), found.end(),
                                       [&](const contact& c) { return c.address == read->address; });
        if (same == found.end())
            found.push_back(*read);
    }

    const in_tree& where_;
    file_owner trusted_;
    std::function<void(const std::string&)> entering_;
    std::vector<skipped_path>& skipped_;
    std::size_t entries_left_, files_left_;
};

/// Says when to look again. Watches stay from look to look, so that nothing is missed between them.
class directory_watch {
public:
    explicit directory_watch(const asio::any_io_executor& executor) : events_(executor) {}

    std::error_code open()
    {
        descriptor made(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
        if (!made)
            return last_error();
        std::error_code failed;
        events_.assign(made.get(), failed);
        if (!failed)
            made.release();
        return failed;
    }

    /// Starts a look: forgets which names matter.
    void reset()
    {
        names_.clear();
        prefixes_.clear();
        directories_ = 0;
        failed_.clear();
    }

    /// A file that may come or be completed. Where its directory is absent, the nearest one above is watched.
    void add_file(const std::string& path)
    {
        names_.emplace_back(last_part(path));
        std::string watched;
        for (int tries = 0; tries != 16; ++tries) {
            auto directory = parent(path);
            int failed = 0;
            while ((failed = add(directory)) == ENOENT && directory != "." && directory != "/") {
                names_.emplace_back(last_part(directory));
                directory = parent(directory);
            }
            if (failed != 0)
                failed_ = {failed, std::system_category()};
            // One that came before the directory above was watched is found by another try.
            if (directory == watched || failed != 0)
                return;
            watched = std::move(directory);
        }
    }

    /// A directory of a tree, where files of that prefix matter, and directories. Of one tree the first 1,024 are watched.
    void add_directory(const std::string& directory, const std::string& prefix)
    {
        if (std::find(prefixes_.begin(), prefixes_.end(), prefix) == prefixes_.end())
            prefixes_.push_back(prefix);
        if (++directories_ <= 1024 && add(directory) == ENOSPC)
            failed_ = {ENOSPC, std::system_category()};
    }

    /// Completes when something has happened that may matter. Errors: that something cannot be watched.
    asio::awaitable<result<void>> changed()
    {
        if (failed_)
            co_return failed_;
        for (;;) {
            const auto happened = take_events();
            if (happened != std::errc::resource_unavailable_try_again)
                co_return happened;
            std::error_code failed;
            co_await events_.async_wait(asio::posix::stream_descriptor::wait_read,
                                        asio::redirect_error(asio::use_awaitable, failed));
            if (failed)
                co_return failed;
        }
    }

private:
    static std::string_view without_slashes(std::string_view path)
    {
        const auto end = path.find_last_not_of('/');
        return path.substr(0, end == path.npos ? 0 : end + 1);
    }

    static std::string_view last_part(std::string_view path)
    {
        path = without_slashes(path);
        return path.substr(path.rfind('/') + 1);
    }

    static std::string parent(std::string_view path)
    {
        path = without_slashes(path);
        const auto slash = path.rfind('/');
        if (slash == path.npos)
            return ".";
        path = without_slashes(path.substr(0, slash));
        return path.empty() ? "/" : std::string(path);
    }

    /// 0, or why not.
    int add(const std::string& directory)
    {
        constexpr std::uint32_t kinds =
            IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
        return ::inotify_add_watch(events_.native_handle(), directory.c_str(), kinds) < 0 ? errno : 0;
    }

    /// Success if one of the events matters, EAGAIN if none did and there are no more.
    std::error_code take_events()
    {
        alignas(::inotify_event) std::array<char, 4096> raw;
        for (bool matters = false;;) {
            const auto got = ::read(events_.native_handle(), raw.data(), raw.size());
            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                return matters ? std::error_code() : last_error();
            std::string_view rest(raw.data(), static_cast<std::size_t>(got));
            while (rest.size() >= sizeof(::inotify_event)) {
                ::inotify_event event;
                std::memcpy(&event, rest.data(), sizeof event);
                rest.remove_prefix(sizeof event);
                const auto name = rest.substr(0, event.len);
                matters = matters || does_matter(event.mask, name.substr(0, name.find('\0')));
                rest.remove_prefix(name.size());
            }
        }
    }

    /// No name: the directory itself went, or events were lost.
    bool does_matter(std::uint32_t mask, std::string_view name) const
    {
        return name.empty() || (!prefixes_.empty() && (mask & IN_ISDIR) != 0) ||
               std::find(names_.begin(), names_.end(), name) != names_.end() ||
               std::any_of(prefixes_.begin(), prefixes_.end(),
                           [&](const std::string& each) { return name.starts_with(each); });
    }

    asio::posix::stream_descriptor events_;
    std::vector<std::string> names_, prefixes_;
    std::size_t directories_ = 0;
    std::error_code failed_;
};

inline constexpr std::chrono::seconds probe_limit{1};

/// The state of find_server().
struct server_finder {
    server_search search;
    std::vector<skipped_path>& skipped;
    directory_watch* watch = nullptr; ///< set for looks that are followed by a wait

    /// One look at all places. fault::no_server: nothing there yet.
    asio::awaitable<result<contact>> look()
    {
        skipped.clear();
        if (watch)
            watch->reset();
        for (std::size_t i = 0; i != search.places.size(); ++i) {
            const bool last = i + 1 == search.places.size();
            const auto& place = search.places[i];
            result<contact> found = fault::no_server;
            if (const auto* known = std::get_if<known_uri>(&place))
                co_return from_uri(*known);
            if (const auto* file = std::get_if<in_file>(&place))
                found = co_await from_file(file->path, last);
            if (const auto* tree = std::get_if<in_tree>(&place))
                found = co_await from_tree(*tree, last);
            if (found || found.error() != fault::no_server)
                co_return found;
        }
        co_return fault::no_server;
    }

    asio::awaitable<result<contact>> look_and_wait()
    {
        auto found = co_await look();
        if (found || found.error() != fault::no_server)
            co_return found;
        directory_watch watching(co_await asio::this_coro::executor);
        if (const auto failed = watching.open())
            co_return failed;
        watch = &watching;
        for (;;) {
            found = co_await look();
            if (found || found.error() != fault::no_server)
                co_return found;
            if (const auto changed = co_await watching.changed(); !changed)
                co_return changed.error();
        }
    }

    static result<contact> from_uri(const known_uri& known)
    {
        auto address = parse_server_uri(known.uri);
        if (!address)
            return address.error();
        contact told;
        told.address = *std::move(address);
        told.version = known.version.starts_with('v') ? known.version.substr(1) : known.version;
        return told;
    }

    asio::awaitable<result<contact>> from_file(const std::string& path, bool last)
    {
        if (watch)
            watch->add_file(path);
        auto read = read_contact_file(path, search.trusted);
        if (read) {
            if (last && !search.answering)
                co_return read;
            const auto answer = co_await probe(read->address.at, probe_limit);
            if (answer)
                co_return read;
            skipped.push_back({path, answer.error()});
            co_return fault::no_server;
        }
        skipped.push_back({path, read.error()});
        const bool may_come = read.error() == fault::incomplete_contact_file ||
                              read.error() == std::errc::no_such_file_or_directory;
        if (may_come || !last)
            co_return fault::no_server;
        co_return read;
    }

    asio::awaitable<result<contact>> from_tree(const in_tree& where, bool last)
    {
        if (watch)
            watch->add_file(path_in(where.directory, where.prefix));
        tree_walk walk(
            where, search.trusted,
            [&](const std::string& directory) {
                if (watch)
                    watch->add_directory(directory, where.prefix);
            },
            skipped);
        auto& found = walk.found;
        if (found.size() == 1 && last && !search.answering)
            co_return std::move(found.front());
        result<contact> alive = fault::no_server;
        for (auto& each : found) {
            const auto answer = co_await probe(each.address.at, probe_limit);
            if (!answer)
                skipped.push_back({server_uri(each.address), answer.error()});
            else if (alive)
                co_return fault::ambiguous_server;
            else
                alive = std::move(each);
        }
        co_return alive;
    }
};

} // namespace detail

inline std::vector<contact> search_tree(const in_tree& where, file_owner trusted,
                                        std::vector<skipped_path>& skipped)
{
    detail::tree_walk walk(where, trusted, [](const std::string&) {}, skipped);
    return std::move(walk.found);
}

inline asio::awaitable<result<contact>> find_server(server_search search,
                                                    std::chrono::steady_clock::duration limit,
                                                    std::vector<skipped_path>* skipped)
{
    std::vector<skipped_path> unasked;
    detail::server_finder finder{std::move(search), skipped ? *skipped : unasked};
    const bool once = limit <= std::chrono::steady_clock::duration::zero();
    auto looking = once ? finder.look() : finder.look_and_wait();
    co_return co_await within(once ? detail::probe_limit : limit, std::move(looking),
                              fault::rendezvous_timeout);
}

} // namespace pmixio
