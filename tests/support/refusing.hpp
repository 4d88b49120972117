// System calls that fail as under a sandbox.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <future>
#include <stdexcept>
#include <utility>

namespace pmixio::test {

/// The system call `number`, where its argument at that position has this value, fails with `error`.
struct refused_call {
    int number;
    unsigned argument; ///< position
    int value;         ///< the lower 32 bits are compared
    int error;
};

/// Runs `f` in a thread of its own for which, and whose children, the call fails. Throws what `f` does.
template <class F>
void while_refused(const refused_call& call, F f)
{
    const auto sandboxed = [&] {
        static_assert(std::endian::native == std::endian::little);
        const auto number = static_cast<std::uint32_t>(call.number), value = static_cast<std::uint32_t>(call.value);
        const auto argument = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * call.argument);
        const auto refusal = SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(call.error);
        sock_filter program[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, refusal),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const sock_fprog filter{std::size(program), program};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0)
            throw std::runtime_error("a kernel without seccomp filters");
        f();
    };
    std::async(std::launch::async, sandboxed).get();
}

} // namespace pmixio::test
