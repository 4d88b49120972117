// Ownership of a file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace pmixio::detail {

/// A file descriptor with one owner; -1 is none.
class descriptor {
public:
    explicit descriptor(int number = -1) noexcept : number_(number) {}
    descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept
    {
        descriptor taken(std::move(other));
        std::swap(number_, taken.number_);
        return *this;
    }
    ~descriptor()
    {
        if (number_ >= 0)
            ::close(number_);
    }

    int get() const noexcept { return number_; }
    explicit operator bool() const noexcept { return number_ >= 0; }
    /// Gives up ownership.
    int release() noexcept { return std::exchange(number_, -1); }

private:
    int number_;
};

} // namespace pmixio::detail
