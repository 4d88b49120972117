// Shared ownership without atomics, for objects that live on one executor.
#pragma once

#include <cstddef>
#include <utility>

namespace pmixio::detail {

/// Base of objects held by local_ptr. Not thread-safe: all pointers live on the object's executor.
class local_counted {
protected:
    local_counted() = default;
    local_counted(const local_counted&) = delete;
    local_counted& operator=(const local_counted&) = delete;
    ~local_counted() = default;

private:
    template <class>
    friend class local_ptr;
    std::size_t references_ = 0;
};

/// Counts references in the object, which must derive from local_counted and have been made by `new`.
template <class T>
class local_ptr {
public:
    local_ptr() noexcept = default;
    explicit local_ptr(T* object) noexcept : object_(object) { acquire(); }
    local_ptr(const local_ptr& other) noexcept : object_(other.object_) { acquire(); }
    local_ptr(local_ptr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    local_ptr& operator=(local_ptr other) noexcept { return std::swap(object_, other.object_), *this; }
    ~local_ptr() { reset(); }

    void reset() noexcept
    {
        if (auto* object = std::exchange(object_, nullptr);
            object && --object->local_counted::references_ == 0)
            destroy(object);
    }

    T* get() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }
    T* operator->() const noexcept { return object_; }
    explicit operator bool() const noexcept { return object_; }
    friend bool operator==(const local_ptr&, const local_ptr&) = default;

private:
    /// Not inlined: g++ 12 would warn of uses after it, where only the count says that there are none.
    [[gnu::noinline]] static void destroy(T* object) { delete object; }

    void acquire() noexcept
    {
        if (object_)
            ++object_->local_counted::references_;
    }

    T* object_ = nullptr;
};

} // namespace pmixio::detail
