// slab: memory for many objects of one size, which the system gets back when they are gone.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace pmixio::detail {

/// Whether uses after the end are looked for, in the heap, which is the only place where they are found.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool address_sanitized = true;
#elif defined(__has_feature)
inline constexpr bool address_sanitized = __has_feature(address_sanitizer);
#else
inline constexpr bool address_sanitized = false;
#endif

constexpr std::size_t aligned_for_any(std::size_t n) noexcept
{
    return (n + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) * alignof(std::max_align_t);
}

/// Slots of one size in blocks that are mapped when needed, and unmapped when no slot of them is taken, but for one block. The
/// heap would keep what lies between longer-lived things. What is taken may outlive the slab. Not thread-safe.
class slab {
public:
    static constexpr std::size_t block_size = 64 * 1024;

    /// `size`: of a slot, aligned as for any type; so large that some fit into a block.
    explicit slab(std::size_t size) : state_(new state{aligned_for_any(size)}) {}
    slab(const slab&) = delete;
    ~slab()
    {
        state_->orphaned = true;
        if (state_->empty)
            state_->unmap(std::exchange(state_->empty, nullptr));
        state_->end_if_unused();
    }

    /// A slot. Throws std::bad_alloc.
    void* allocate()
    {
        if (!state_->with_room)
            state_->link(new_block());
        auto* from = state_->with_room;
        if (from == state_->empty)
            state_->empty = nullptr;
        ++from->taken;
        void* slot = from->free;
        if (slot)
            from->free = *static_cast<void**>(slot);
        else
            slot = reinterpret_cast<std::byte*>(from) + first + from->touched++ * state_->size;
        if (from->taken == state_->slots())
            state_->unlink(from);
        return slot;
    }

    /// Gives back what allocate() of any slab has returned.
    static void deallocate(void* slot) noexcept
    {
        auto* from = reinterpret_cast<block*>(reinterpret_cast<std::uintptr_t>(slot) & ~(block_size - 1));
        auto* owner = from->owner;
        if (from->taken == owner->slots())
            owner->link(from);
        *static_cast<void**>(slot) = std::exchange(from->free, slot);
        if (--from->taken != 0)
            return;
        if (!owner->orphaned && !owner->empty)
            owner->empty = from;
        else
            owner->unmap(from);
        owner->end_if_unused();
    }

    /// Blocks that are mapped.
    std::size_t blocks() const noexcept { return state_->blocks; }

private:
    struct state;
    struct block {
        state* owner;
        block *previous, *next; ///< with room
        void* free;             ///< slots that were taken, each holds the address of the next
        std::size_t taken, touched;
    };
    static constexpr std::size_t first = aligned_for_any(sizeof(block)); ///< slot, from a block's begin

    struct state {
        std::size_t size;
        block* with_room = nullptr;
        block* empty = nullptr; ///< one of those, that stays
        std::size_t blocks = 0;
        bool orphaned = false;

        std::size_t slots() const noexcept { return (block_size - first) / size; }
        void link(block* b) noexcept
        {
            b->previous = nullptr;
            b->next = with_room;
            if (with_room)
                with_room->previous = b;
            with_room = b;
        }
        void unlink(block* b) noexcept
        {
            (b->previous ? b->previous->next : with_room) = b->next;
            if (b->next)
                b->next->previous = b->previous;
        }
        void unmap(block* b) noexcept
        {
            unlink(b);
            --blocks;
            ::munmap(b, block_size);
        }
        void end_if_unused() noexcept
        {
            if (orphaned && blocks == 0)
                delete this;
        }
    };

    /// Mapped at a multiple of its size, where deallocate() finds it.
    block* new_block()
    {
        void* mapped =
            ::mmap(nullptr, 2 * block_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED)
            throw std::bad_alloc();
        auto* begin = static_cast<std::byte*>(mapped);
        const auto before = -reinterpret_cast<std::uintptr_t>(begin) % block_size;
        if (before != 0)
            ::munmap(begin, before);
        ::munmap(begin + before + block_size, block_size - before);
        ++state_->blocks;
        return new (begin + before) block{state_, nullptr, nullptr, nullptr, 0, 0};
    }

    state* state_;
};

} // namespace pmixio::detail
