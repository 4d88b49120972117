// Contact files: what a server that wants to be found writes into a directory. Names, text, and careful reading;
// publish.hpp writes them. handshake.md section 1.3.
#pragma once

#include <pmixio/detail/descriptor.hpp>
#include <pmixio/listen/contact.hpp>
#include <pmixio/result.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace pmixio {

/// This machine's name as libpmix puts it into file names: without the domain, unless it is an address.
/// Throws std::system_error.
inline std::string contact_host_name();

/// Paths of contact files in a directory. `host` as from contact_host_name(). All throw std::invalid_argument for a
/// name that is empty or has a slash or NUL.
inline std::string system_contact_path(std::string_view directory, std::string_view host);
inline std::string session_contact_path(std::string_view directory, std::string_view host);
inline std::string pid_contact_path(std::string_view directory, std::string_view host, ::pid_t pid);
inline std::string nspace_contact_path(std::string_view directory, std::string_view host,
                                       std::string_view nspace);
inline std::string scheduler_contact_path(std::string_view directory, std::string_view host);
inline std::string system_controller_contact_path(std::string_view directory, std::string_view host);

/// Which contact files a server publishes. Directories must exist.
struct contact_plan {
    std::string system_directory = {};  ///< of the system, scheduler and system controller files
    std::string session_directory = {}; ///< of the others
    std::string host;                   ///< empty: contact_host_name()
    bool system = false;                ///< the one server for all users of this machine
    bool session = false;               ///< the one server of this session directory
    bool tool = false;                  ///< by pid and by namespace
    bool scheduler = false;             ///< this server is one
    bool system_controller = false;     ///< this server is one
    std::string rendezvous_file = {};   ///< a path; empty: none
    ::mode_t system_mode = 0644; ///< of files in system_directory: who connects has to prove who they are
    ::mode_t mode = 0640;        ///< of all others
};

/// The text of a contact file as releases since 4.0 write it, six lines: URI, release, pid, euid:egid of this process,
/// the local time, nothing.
inline std::string contact_file_text(std::string_view uri, ::time_t now = ::time(nullptr));
/// The text of a report-URI file, two lines.
inline std::string report_file_text(std::string_view uri);

/// What a contact file says. Only the first line must be there.
struct contact {
    server_address address;
    std::string version = "2.0"; ///< the server's release without a leading v; 2.0 wrote none
    std::optional<::pid_t> pid;  ///< since 3.2, as are uid and gid; a claim, as everything here
    std::optional<::uid_t> uid;
    std::optional<::gid_t> gid;

    friend bool operator==(const contact&, const contact&) = default;
};

/// Reads the text of a contact file of any release: one to six lines, ended by LF or CRLF.
/// Errors: fault::incomplete_contact_file when the last line is not ended; fault::bad_contact_file for a NUL, a line
/// above 1,023 bytes, text above 16 KiB or a version that is not printable; those of parse_server_uri().
inline result<contact> parse_contact(std::string_view text);

/// Whose contact files are believed.
enum class file_owner {
    self_or_root, ///< of our effective user, or root's
    anyone,
};

/// Reads a contact file without following a link, waiting, or reading more than 16 KiB. The path's directories may be
/// links.
/// Errors: the system's (absent, not allowed); fault::untrusted_contact_file for what is no regular file, or another
/// user's; those of parse_contact().
inline result<contact> read_contact_file(const std::string& path,
                                         file_owner trusted = file_owner::self_or_root);

// Below: implementation.

namespace detail {

inline constexpr std::size_t max_contact_bytes = 16 * 1024;
inline constexpr std::size_t max_contact_line = 1023; ///< where libpmix cuts

inline std::error_code last_error() noexcept { return {errno, std::system_category()}; }

inline std::string path_in(std::string_view directory, std::string_view name)
{
    std::string path(directory.empty() ? "." : directory);
    if (!path.ends_with('/'))
        path += '/';
    return path += name;
}

inline std::string_view checked_part(std::string_view part)
{
    using namespace std::string_view_literals;
    if (part.empty() || part.find_first_of("/\0"sv) != part.npos)
        throw std::invalid_argument("pmixio: not part of a file name: '" + std::string(part) + "'");
    return part;
}

inline std::string tool_prefix(std::string_view host)
{
    return ("pmix." + std::string(checked_part(host))) += ".tool";
}

/// A regular file of a trusted owner, open for reading, and the state it was in. While it is open no other file has
/// its inode number.
struct open_contact {
    descriptor file;
    struct ::stat status{};
};

/// `path` is relative to `directory`, AT_FDCWD for the current one. Not opened before it is known to be a regular file,
/// since opening a device may do things.
inline result<open_contact> open_contact_file(int directory, const char* path, file_owner trusted)
{
    open_contact opened;
    const auto acceptable = [&] {
        const auto& found = opened.status;
        return S_ISREG(found.st_mode) &&
               (trusted == file_owner::anyone || found.st_uid == ::geteuid() || found.st_uid == 0);
    };
    if (::fstatat(directory, path, &opened.status, AT_SYMLINK_NOFOLLOW) != 0)
        return last_error();
    if (!acceptable())
        return fault::untrusted_contact_file;
    opened.file =
        descriptor(::openat(directory, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!opened.file && errno == ELOOP)
        return fault::untrusted_contact_file;
    if (!opened.file || ::fstat(opened.file.get(), &opened.status) != 0)
        return last_error();
    if (!acceptable())
        return fault::untrusted_contact_file;
    return opened;
}

/// May be called again, for a file that was incomplete.
inline result<contact> read_contact(const open_contact& from)
{
    std::array<char, max_contact_bytes + 1> text;
    std::size_t length = 0;
    while (length != text.size()) {
        const auto got = ::pread(from.file.get(), text.data() + length, text.size() - length,
                                 static_cast<::off_t>(length));
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return last_error();
        length += got < 0 ? 0 : static_cast<std::size_t>(got);
    }
    return parse_contact({text.data(), length});
}

} // namespace detail

inline std::string contact_host_name()
{
    std::array<char, HOST_NAME_MAX + 1> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0)
        throw std::system_error(detail::last_error(), "pmixio: gethostname");
    const std::string_view whole(name.data());
    std::error_code no_address;
    asio::ip::make_address(whole, no_address);
    return std::string(no_address ? whole.substr(0, whole.find('.')) : whole);
}

inline std::string system_contact_path(std::string_view directory, std::string_view host)
{
    return detail::path_in(directory, "pmix.sys.") += detail::checked_part(host);
}

inline std::string session_contact_path(std::string_view directory, std::string_view host)
{
    return detail::path_in(directory, detail::tool_prefix(host));
}

inline std::string pid_contact_path(std::string_view directory, std::string_view host, ::pid_t pid)
{
    return (session_contact_path(directory, host) += '.') += std::to_string(pid);
}

inline std::string nspace_contact_path(std::string_view directory, std::string_view host,
                                       std::string_view nspace)
{
    return (session_contact_path(directory, host) += '.') += detail::checked_part(nspace);
}

inline std::string scheduler_contact_path(std::string_view directory, std::string_view host)
{
    return detail::path_in(directory, "pmix.sched.") += detail::checked_part(host);
}

inline std::string system_controller_contact_path(std::string_view directory, std::string_view host)
{
    return detail::path_in(directory, "pmix.sysctrlr.") += detail::checked_part(host);
}

inline std::string contact_file_text(std::string_view uri, ::time_t now)
{
    std::array<char, 26> time{};
    const char* printed = ::ctime_r(&now, time.data()); // none after the year 9999; ends in a newline
    std::string text(uri);
    ((text += '\n') += advertised_release) += '\n';
    (text += std::to_string(::getpid())) += '\n';
    ((text += std::to_string(::geteuid())) += ':') += std::to_string(::getegid());
    return ((text += '\n') += printed ? printed : "\n") += '\n';
}

inline std::string report_file_text(std::string_view uri)
{
    return ((std::string(uri) += "\nv") += advertised_release) += '\n';
}

inline result<contact> parse_contact(std::string_view text)
{
    using namespace std::string_view_literals;
    if (text.size() > detail::max_contact_bytes || text.find('\0') != text.npos)
        return fault::bad_contact_file;
    std::array<std::string_view, 4> lines; // those with a meaning
    std::size_t count = 0;
    for (auto rest = text; !rest.empty(); ++count) {
        const auto end = rest.find('\n');
        if (std::min(end, rest.size()) > detail::max_contact_line)
            return fault::bad_contact_file;
        if (end == rest.npos)
            return fault::incomplete_contact_file;
        auto line = rest.substr(0, end);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        if (count < lines.size())
            lines[count] = line;
        rest.remove_prefix(end + 1);
    }
    if (count == 0)
        return fault::incomplete_contact_file;

    auto address = parse_server_uri(lines[0]);
    if (!address)
        return address.error();
    contact read;
    read.address = *std::move(address);
    auto version = lines[1];
    if (version.starts_with('v'))
        version.remove_prefix(1);
    if (std::any_of(version.begin(), version.end(), [](char c) { return c <= ' ' || c > '~'; }))
        return fault::bad_contact_file;
    if (!version.empty())
        read.version = version;
    if (const auto pid = detail::parse_decimal<::pid_t>(lines[2]); pid && *pid > 0)
        read.pid = pid;
    if (const auto colon = lines[3].find(':'); colon != text.npos) {
        read.uid = detail::parse_decimal<::uid_t>(lines[3].substr(0, colon));
        read.gid = detail::parse_decimal<::gid_t>(lines[3].substr(colon + 1));
    }
    return read;
}

inline result<contact> read_contact_file(const std::string& path, file_owner trusted)
{
    if (path.find('\0') != path.npos)
        return std::error_code(EINVAL, std::system_category());
    const auto opened = detail::open_contact_file(AT_FDCWD, path.c_str(), trusted);
    if (!opened)
        return opened.error();
    return detail::read_contact(*opened);
}

} // namespace pmixio
