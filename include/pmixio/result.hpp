// result<T>: a T, or the std::error_code that says why there is none.
#pragma once

#include <pmixio/error.hpp>

#include <cassert>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

namespace pmixio {

/// Holds a T or a non-zero std::error_code. Test it before use, as one tests a pointer:
///     if (auto hello = parse_handshake(bytes)) use(*hello); else log(hello.error());
/// `*` and `->` on an error are a programming mistake (asserted); value() throws std::system_error instead.
template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;

    template <class U = T>
        requires(std::is_constructible_v<T, U> && !std::is_same_v<std::remove_cvref_t<U>, result> &&
                 !std::is_convertible_v<U, std::error_code>)
    result(U&& value) : value_(std::in_place, std::forward<U>(value))
    {}
    result(std::error_code error) : error_(error) { assert(error); }
    result(fault f) : result(make_error_code(f)) {}

    bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }

    T& operator*() & noexcept { return *get(); }
    const T& operator*() const& noexcept { return *get(); }
    T&& operator*() && noexcept { return std::move(*get()); }
    T* operator->() noexcept { return get(); }
    const T* operator->() const noexcept { return get(); }

    /// The error, or a default std::error_code (false) when there is a value.
    std::error_code error() const noexcept { return error_; }

    T& value() & { return check(), *get(); }
    const T& value() const& { return check(), *get(); }
    T&& value() && { return check(), std::move(*get()); }

private:
    T* get() noexcept { return assert(has_value()), &*value_; }
    const T* get() const noexcept { return assert(has_value()), &*value_; }
    void check() const
    {
        if (!has_value())
            throw std::system_error(error_);
    }

    std::optional<T> value_; // a variant of the two would cost a host a seventh more to compile
    std::error_code error_;
};

/// Success, or why not. The condition in `if (r)` is success, as with every result.
template <>
class [[nodiscard]] result<void> {
public:
    using value_type = void;

    result() noexcept = default;
    result(std::error_code error) noexcept : error_(error) {}
    result(fault f) noexcept : error_(make_error_code(f)) {}

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    std::error_code error() const noexcept { return error_; }
    void value() const
    {
        if (error_)
            throw std::system_error(error_);
    }

private:
    std::error_code error_;
};

} // namespace pmixio
