// cleanup: files that processes want removed when they have ended. messages.md section 7, JOB_CONTROL.
#pragma once

#include <pmixio/detail/descriptor.hpp>
#include <pmixio/host/accounts.hpp>
#include <pmixio/host/attributes.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/host/targets.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view cleanup_files = "pmix.reg.cleanup",
                                  cleanup_directories = "pmix.reg.cleanupdir",
                                  cleanup_recursive = "pmix.clnup.recurse",
                                  cleanup_empty = "pmix.clnup.empty", cleanup_ignore = "pmix.clnup.ignore",
                                  cleanup_leave_top = "pmix.clnup.lvtop";
} // namespace key

/// What is to be removed for one user. Data, independent of who has registered it: it may be carried out anywhere.
struct cleanup {
    /// Of a directory its files go, and then itself if nothing is left in it.
    struct directory {
        bool recursive = false;  ///< its subdirectories too
        bool only_empty = false; ///< no files, only directories that are empty
        bool leave_top = false;  ///< not itself
    };

    ::uid_t uid = 0;
    std::set<std::string> files;
    std::map<std::string, directory> directories;
    std::set<std::string> ignored; ///< left alone: paths; or names, in any directory

    /// Removes it. Only what belongs to the user, and what the kernel lets that user remove; symbolic links are removed
    /// and never followed, neither those on the way to a path. Stops after `entries` looked at, and does not enter
    /// directories deeper than `deepest`. Failures are passed over. Blocks as long as the file system does.
    void run(std::size_t entries) const noexcept;

    static constexpr int deepest = 64;
};

/// What processes have registered to be removed, until that is due: at the departure of the process that it was registered
/// for; at the removal of the namespace if it was registered for all of that, which a request without targets does.
class cleanups {
public:
    /// For whom, by whose user.
    using owner = std::pair<wire::proc, ::uid_t>;
    struct registered {
        cleanup what;
        std::vector<accounts::share> prices; ///< none once it is due
    };
    /// Finds the entries of a process and of a namespace, too.
    struct before {
        using is_transparent = void;
        bool operator()(const owner& a, const owner& b) const noexcept { return a < b; }
        bool operator()(const owner& a, const wire::proc& b) const noexcept { return a.first < b; }
        bool operator()(const wire::proc& a, const owner& b) const noexcept { return a < b.first; }
        bool operator()(const owner& a, std::string_view b) const noexcept { return a.first.nspace < b; }
        bool operator()(std::string_view a, const owner& b) const noexcept { return a < b.first.nspace; }
    };
    using due = std::map<owner, registered, before>;

    /// `jobs` must outlive this. `bytes_per_user`: limits::cleanup_bytes.
    cleanups(registry& jobs, std::size_t bytes_per_user) : jobs_(jobs), accounts_(bytes_per_user) {}

    /// Whether a directive of a job control request is for this.
    static bool takes(std::string_view name) noexcept
    {
        return name == key::cleanup_files || name == key::cleanup_directories ||
               name == key::cleanup_recursive || name == key::cleanup_empty || name == key::cleanup_ignore ||
               name == key::cleanup_leave_top;
    }

    /// All of it or nothing. NOT_FOUND for targets that the requester cannot see. BAD_PARAM for what is not a list of paths:
    /// they are absolute, and without "..". CONFLICTING_CLEANUP for what is to be ignored as well. OUT_OF_RESOURCE beyond
    /// the user's limit.
    wire::status add(const requester& from, std::span<const wire::proc> targets,
                     std::span<const wire::info> directives)
    {
        cleanup asked;
        if (!read(directives, asked))
            return wire::status::bad_parameter;
        std::set<wire::proc> whose;
        for (const auto& each : targets) {
            if (!may_name(jobs_, from, each))
                return wire::status::not_found;
            whose.insert(each);
        }
        if (targets.empty())
            whose.insert({from.who.nspace, wire::rank::wildcard});

        due made;
        for (const auto& each : whose) {
            const owner of{each, from.uid};
            const auto already = registered_.find(of);
            auto& mine = made[of] =
                already == registered_.end() ? registered{} : registered{already->second.what, {}};
            if (const auto merged = merge(mine, asked, from.uid); merged != wire::status::success)
                return merged;
        }
        for (auto& [of, more] : made) {
            auto& prices = registered_[of].prices;
            prices.reserve(prices.size() + more.prices.size());
        }
        for (auto& [of, more] : made) { // nothing fails any more
            auto& mine = registered_.find(of)->second;
            mine.what = std::move(more.what);
            std::move(more.prices.begin(), more.prices.end(), std::back_inserter(mine.prices));
        }
        return wire::status::success;
    }

    /// The process is gone.
    due departed(const wire::proc& who) noexcept { return take(registered_.equal_range(who)); }

    /// The namespace is about to be removed.
    due forget(std::string_view nspace) noexcept { return take(registered_.equal_range(nspace)); }

    /// The server ends.
    due all() noexcept { return take({registered_.begin(), registered_.end()}); }

    /// What all users are charged.
    std::size_t bytes() const noexcept { return accounts_.bytes(); }

private:
    /// Of a path beside its text.
    static constexpr std::size_t upkeep = 256;
    static constexpr std::size_t longest_path = 4095;

    static bool read(std::span<const wire::info> directives, cleanup& asked)
    {
        const cleanup::directory how{flag_attribute(directives, key::cleanup_recursive),
                                     flag_attribute(directives, key::cleanup_empty),
                                     flag_attribute(directives, key::cleanup_leave_top)};
        for (const auto& each : directives) {
            const bool files = each.key == key::cleanup_files, ignored = each.key == key::cleanup_ignore;
            if (!files && !ignored && each.key != key::cleanup_directories)
                continue;
            const auto list = each.content.get<wire::data_type::string>();
            if (!list)
                return false;
            for (std::string_view rest = *list; !rest.empty();) {
                const auto piece = rest.substr(0, rest.find(','));
                rest.remove_prefix(std::min(rest.size(), piece.size() + 1));
                if (piece.empty())
                    continue;
                if (ignored && piece.find('/') == piece.npos) {
                    asked.ignored.emplace(piece);
                    continue;
                }
                auto path = normal(piece);
                if (path.empty())
                    return false;
                if (files)
                    asked.files.insert(std::move(path));
                else if (ignored)
                    asked.ignored.insert(std::move(path));
                else
                    asked.directories.emplace(std::move(path), how);
            }
        }
        return true;
    }

    /// Without doubled slashes and dots; empty if it is none that could be meant.
    static std::string normal(std::string_view path)
    {
        std::string result;
        if (path.size() > longest_path || !path.starts_with('/') || path.find('\0') != path.npos)
            return result;
        while (!path.empty()) {
            path.remove_prefix(1);
            const auto part = path.substr(0, path.find('/'));
            path.remove_prefix(part.size());
            if (part == "..")
                return {};
            if (!part.empty() && part != ".")
                (result += '/') += part;
        }
        return result;
    }

    /// Adds to `mine` what it does not have, and is charged for it.
    wire::status merge(registered& mine, const cleanup& asked, ::uid_t uid)
    {
        auto& all = mine.what;
        all.uid = uid;
        const auto pay = [&](const std::string& path) {
            auto price = accounts_.charge(uid, upkeep + path.size());
            if (price)
                mine.prices.push_back(*std::move(price));
            return price.has_value();
        };
        for (const auto& path : asked.ignored)
            if (all.ignored.insert(path).second && !pay(path))
                return wire::status::out_of_resource;
        for (const auto& path : asked.files) {
            if (all.ignored.contains(path))
                return wire::status::conflicting_cleanup;
            if (all.files.insert(path).second && !pay(path))
                return wire::status::out_of_resource;
        }
        for (const auto& [path, how] : asked.directories) {
            if (all.ignored.contains(path))
                return wire::status::conflicting_cleanup;
            const auto [at, added] = all.directories.emplace(path, how);
            if (added && !pay(path))
                return wire::status::out_of_resource;
            at->second.recursive |= how.recursive;
            at->second.leave_top |= how.leave_top;
            at->second.only_empty &= how.only_empty;
        }
        return wire::status::success;
    }

    /// Needs no memory.
    due take(std::pair<due::iterator, due::iterator> range) noexcept
    {
        due taken;
        while (range.first != range.second) {
            const auto here = range.first++;
            std::vector<accounts::share>().swap(here->second.prices);
            taken.insert(registered_.extract(here));
        }
        return taken;
    }

    registry& jobs_;
    accounts accounts_;
    due registered_;
};

// Below: implementation.

namespace detail {

/// Who the file system takes this thread for, while this lives. Only root may be another: else nothing works.
class acting_as {
public:
    explicit acting_as(::uid_t user) noexcept
        : before_(static_cast<::uid_t>(::setfsuid(user))),
          works_(static_cast<::uid_t>(::setfsuid(static_cast<::uid_t>(-1))) == user)
    {}
    acting_as(const acting_as&) = delete;
    ~acting_as() { ::setfsuid(before_); }
    explicit operator bool() const noexcept { return works_; }

private:
    ::uid_t before_;
    bool works_;
};

/// One run of a cleanup. Directories are walked with the server's own rights, because a file system of the user's own
/// making could hold up who has the user's; removal is done with the user's, because a path may become another between
/// a look at it and that.
class remover {
public:
    remover(const cleanup& what, std::size_t entries) : what_(what), left_(entries) {}

    void run()
    {
        for (const auto& path : what_.files)
            if (const auto parent = open_parent(path); parent && look())
                remove_file(parent.get(), name_of(path));
        for (const auto& [path, how] : what_.directories)
            if (const auto parent = open_parent(path); parent && look())
                clear(parent.get(), path, name_of(path), how, 0);
    }

private:
    bool look() noexcept { return left_ != 0 && left_--; }

    static const char* name_of(const std::string& path) { return path.c_str() + path.rfind('/') + 1; }

    static descriptor open_parent(const std::string& path)
    {
        constexpr int way = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        descriptor at(::open("/", way));
        for (std::size_t begin = 1, end; at && (end = path.find('/', begin)) != path.npos; begin = end + 1)
            at = descriptor(::openat(at.get(), path.substr(begin, end - begin).c_str(), way));
        return at;
    }

    bool is_ours(const struct ::stat& status) const noexcept { return status.st_uid == what_.uid; }

    void remove(int parent, const char* name, int flags) const noexcept
    {
        if (const acting_as user(what_.uid); user)
            ::unlinkat(parent, name, flags);
    }

    void remove_file(int parent, const char* name) const noexcept
    {
        struct ::stat status;
        if (::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && is_ours(status))
            remove(parent, name, 0); // if it is no directory
    }

    void clear(int parent, const std::string& path, const char* name, const cleanup::directory& how,
               int depth)
    {
        descriptor opened(
            ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
        struct ::stat status;
        if (!opened || ::fstat(opened.get(), &status) != 0 || !is_ours(status))
            return;
        struct closes {
            void operator()(DIR* d) const noexcept { ::closedir(d); }
        };
        const std::unique_ptr<DIR, closes> listing(::fdopendir(opened.get()));
        if (!listing)
            return;
        const int here = opened.release();
        while (const auto* entry = ::readdir(listing.get())) {
            const std::string_view each = entry->d_name;
            if (each == "." || each == "..")
                continue;
            if (!look())
                return;
            const auto inner = path + '/' + entry->d_name;
            if (what_.ignored.contains(inner) || what_.ignored.contains(entry->d_name))
                continue;
            if (::fstatat(here, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
                continue;
            if (!S_ISDIR(status.st_mode)) {
                if (!how.only_empty && is_ours(status))
                    remove(here, entry->d_name, 0);
            } else if (how.recursive && depth + 1 < cleanup::deepest) {
                clear(here, inner, entry->d_name, how, depth + 1);
            }
        }
        if (depth != 0 || !how.leave_top)
            remove(parent, name, AT_REMOVEDIR); // if it is empty
    }

    const cleanup& what_;
    std::size_t left_;
};

} // namespace detail

inline void cleanup::run(std::size_t entries) const noexcept
{
    try {
        detail::remover(*this, entries).run();
    } catch (const std::bad_alloc&) { // what is left stays
    }
}

} // namespace pmixio
