// Any bytes as the kernel's answer to who is at the other end of a connection, and as the files that say which users our
// namespace has. The first byte selects the connection: bit 0 IPv6.
#include <pmixio/security/kernel_peer.hpp>

#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace pmixio;

detail::kernel_question question(bool v6)
{
    sockaddr_in ours4{}, theirs4{};
    sockaddr_in6 ours6{}, theirs6{};
    ours4.sin_family = theirs4.sin_family = AF_INET;
    ours6.sin6_family = theirs6.sin6_family = AF_INET6;
    ours4.sin_addr.s_addr = theirs4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ours6.sin6_addr = theirs6.sin6_addr = IN6ADDR_LOOPBACK_INIT;
    ours4.sin_port = ours6.sin6_port = htons(5000);
    theirs4.sin_port = theirs6.sin6_port = htons(6000);
    const auto* ours =
        v6 ? reinterpret_cast<const sockaddr*>(&ours6) : reinterpret_cast<const sockaddr*>(&ours4);
    const auto* theirs =
        v6 ? reinterpret_cast<const sockaddr*>(&theirs6) : reinterpret_cast<const sockaddr*>(&theirs4);
    return detail::make_question(ours, theirs, 7).value();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const auto asked = question(data[0] & 1);
    const auto answer = std::as_bytes(std::span(data, size)).subspan(1);
    if (const auto peer = detail::parse_answer(answer, asked)) {
        const auto found = detail::read_at<inet_diag_msg>(answer, sizeof(nlmsghdr));
        if (!detail::is_answer_to(answer, 7) || !found || !detail::same_ends(asked.about, *found) ||
            peer->uid != found->idiag_uid || peer->inode == 0 || peer->state != TCP_ESTABLISHED)
            std::abort();
    }
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    static_cast<void>(detail::stranger_uid(text, text));
    return 0;
}
