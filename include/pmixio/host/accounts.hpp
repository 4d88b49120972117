// accounts: what each user has of something that is limited.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <optional>
#include <utility>

namespace pmixio {

/// Bytes that users are charged, each up to the same limit.
class accounts {
    using table = std::map<::uid_t, std::size_t>;

public:
    explicit accounts(std::size_t bytes_per_user) : limit_(bytes_per_user) {}
    accounts(const accounts&) = delete;
    accounts& operator=(const accounts&) = delete;

    /// What one user was charged. Destroying it gives it back; the accounts must still be there.
    class share {
    public:
        share(table& all, table::iterator user, std::size_t bytes) noexcept
            : all_(&all), user_(user), bytes_(bytes)
        {
            user_->second += bytes_;
        }
        share(share&& other) noexcept
            : all_(std::exchange(other.all_, nullptr)), user_(other.user_), bytes_(other.bytes_)
        {}
        ~share()
        {
            if (all_ && (user_->second -= bytes_) == 0)
                all_->erase(user_);
        }

    private:
        table* all_;
        table::iterator user_;
        std::size_t bytes_;
    };

    /// None if that is more than the user has left.
    std::optional<share> charge(::uid_t uid, std::size_t bytes)
    {
        const auto at = used_.try_emplace(uid).first;
        if (bytes <= limit_ - at->second)
            return share(used_, at, bytes);
        if (at->second == 0)
            used_.erase(at);
        return std::nullopt;
    }

    /// Of all users.
    std::size_t bytes() const noexcept
    {
        std::size_t sum = 0;
        for (const auto& [uid, used] : used_)
            sum += used;
        return sum;
    }

private:
    std::size_t limit_;
    table used_;
};

} // namespace pmixio
