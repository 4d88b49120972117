// session_directory: where the processes of a job put their files.
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace pmixio {

/// A new directory that only this user can enter, for `pmix.tmpdir` and `pmix.nsdir` of jobs. Removed with all that is in it
/// on destruction; what cannot be removed stays, in silence.
class session_directory {
public:
    /// PARENT/NAME-XXXXXX. Throws std::system_error if it cannot be made.
    session_directory(std::string_view parent, std::string_view name)
        : path_(std::string(parent) + '/' + std::string(name) + "-XXXXXX")
    {
        if (!::mkdtemp(path_.data()))
            throw std::system_error(errno, std::system_category(), "no directory in " + std::string(parent));
    }
    session_directory(const session_directory&) = delete;
    session_directory& operator=(const session_directory&) = delete;
    ~session_directory()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    const std::string& path() const noexcept { return path_; }
    /// Of one job. Throws std::system_error.
    std::string make(std::string_view nspace) const
    {
        auto place = path_ + '/' + std::string(nspace);
        std::filesystem::create_directory(place);
        return place;
    }

private:
    std::string path_;
};

} // namespace pmixio
