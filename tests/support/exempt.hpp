// Marks what tests do themselves where their subject runs out of memory.
#pragma once

namespace pmixio::test {

/// While one lives, allocations of this thread do not fail.
class exempt {
public:
    exempt() noexcept { ++depth; }
    exempt(const exempt&) = delete;
    ~exempt() { --depth; }
    static bool now() noexcept { return depth != 0; }

private:
    static inline thread_local int depth = 0;
};

} // namespace pmixio::test
