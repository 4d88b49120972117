// Memory of sessions: slots, and blocks that come and go.
#include <pmixio/detail/slab.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

namespace {

using pmixio::detail::slab;

constexpr std::size_t slot_size = 1000, enough = 10 * slab::block_size / slot_size;

std::vector<void*> taken(slab& from, std::size_t n)
{
    std::vector<void*> slots(n);
    for (auto& each : slots)
        std::memset(each = from.allocate(), 1, slot_size);
    return slots;
}

} // namespace

TEST_CASE("slots do not overlap, are aligned, and are written to their ends")
{
    slab from(slot_size);
    const auto slots = taken(from, enough);
    CHECK(from.blocks() >= 10);
    const std::set<void*> sorted(slots.begin(), slots.end());
    CHECK(sorted.size() == slots.size());
    const std::byte* end = nullptr;
    for (void* each : sorted) {
        CHECK(reinterpret_cast<std::uintptr_t>(each) % alignof(std::max_align_t) == 0);
        CHECK(static_cast<std::byte*>(each) >= end);
        end = static_cast<std::byte*>(each) + slot_size;
    }
    for (void* each : slots)
        slab::deallocate(each);
}

TEST_CASE("blocks go with the last of their slots, but for one, in any order")
{
    slab from(slot_size);
    CHECK(from.blocks() == 0);
    for (const bool backwards : {false, true}) {
        auto slots = taken(from, enough);
        const auto most = from.blocks();
        if (backwards)
            std::ranges::reverse(slots);
        for (std::size_t i = 0; i < enough; i += 2)
            slab::deallocate(slots[i]);
        CHECK(from.blocks() == most);
        for (std::size_t i = 1; i < enough; i += 2)
            slab::deallocate(slots[i]);
        CHECK(from.blocks() == 1);
    }
}

TEST_CASE("slots that were given back are taken again before a block is added")
{
    slab from(slot_size);
    auto slots = taken(from, enough);
    const auto most = from.blocks();
    for (std::size_t i = 0; i < enough; i += 3)
        slab::deallocate(slots[i]);
    for (std::size_t i = 0; i < enough; i += 3)
        slots[i] = from.allocate();
    CHECK(from.blocks() == most);
    CHECK(std::set<void*>(slots.begin(), slots.end()).size() == enough);
    for (void* each : slots)
        slab::deallocate(each);
}

TEST_CASE("what is taken outlives the slab")
{
    auto from = std::make_unique<slab>(slot_size);
    const auto slots = taken(*from, enough);
    from.reset();
    for (void* each : slots) {
        CHECK(static_cast<unsigned char*>(each)[slot_size - 1] == 1);
        slab::deallocate(each);
    }
}
