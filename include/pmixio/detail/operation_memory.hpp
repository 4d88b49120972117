// operation_memory: where Asio keeps an operation that always waits, without a heap allocation each time.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace pmixio::detail {

/// Room for one operation at a time; what is larger, or a second one, goes to the heap. Must outlive the operations, as it does
/// when their handlers hold the object that it is part of.
class operation_memory {
public:
    /// What a handler's get_allocator() returns.
    template <class T>
    class allocator {
    public:
        using value_type = T;

        explicit allocator(operation_memory& from) noexcept : from_(&from) {}
        template <class U>
        allocator(const allocator<U>& other) noexcept : from_(other.from_)
        {}

        T* allocate(std::size_t n)
        {
            if (n * sizeof(T) <= sizeof from_->bytes_ && !std::exchange(from_->taken_, true))
                return reinterpret_cast<T*>(from_->bytes_);
            return std::allocator<T>().allocate(n);
        }
        void deallocate(T* at, std::size_t n) noexcept
        {
            if (reinterpret_cast<std::byte*>(at) == from_->bytes_)
                from_->taken_ = false;
            else
                std::allocator<T>().deallocate(at, n);
        }

        friend bool operator==(const allocator&, const allocator&) = default;

    private:
        template <class U>
        friend class allocator;
        operation_memory* from_;
    };

private:
    alignas(std::max_align_t) std::byte bytes_[160]; // what Asio takes for a read whose handler is a pointer
    bool taken_ = false;
};

} // namespace pmixio::detail
