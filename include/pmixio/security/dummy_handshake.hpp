// security::dummy_handshake: the model of a module with more than one step. handshake.md section 5.4.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/security/policy.hpp>
#include <pmixio/wire/cursor.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace pmixio::security {

/// Both halves of libpmix's test module, and a pattern for modules with a challenge. It proves nothing. libpmix has it only in
/// builds made with it, and its servers do not finish it from 4.1 on.
///
/// | step | from   | bytes                                                    |
/// |------|--------|----------------------------------------------------------|
/// | 1    | client | in the request, as credential: `dymmy_cred` and a NUL    |
/// | 2    | server | status READY_FOR_HANDSHAKE, which is not this policy's   |
/// | 3    | server | length 32, 8 bytes in host order; 32 bytes of text       |
/// | 4    | client | status, 4 bytes in host order; 0 if it knows the text    |
struct dummy_handshake {
    static constexpr std::string_view name = "dummy_handshake";
    static constexpr bool exchanges = true;

    result<proof> validate(const evidence& e) const
    {
        const auto expected = shown();
        if (!std::equal(e.credential.begin(), e.credential.end(), expected.begin(), expected.end()))
            return fault::bad_credential;
        return proof{e.uid, e.gid};
    }

    /// Steps 3 and 4. exchange_failed for any other status; closed_inside_message; the stream's errors.
    template <class Stream>
    asio::awaitable<result<void>> exchange(Stream& stream) const
    {
        wire::byte_buffer challenge;
        wire::writer out(challenge);
        out.host_order(std::uint64_t{text.size()}), out.text(text);
        std::error_code failed;
        co_await asio::async_write(stream, asio::buffer(challenge),
                                   asio::redirect_error(asio::use_awaitable, failed));
        std::array<std::byte, 4> status;
        if (!failed)
            co_await asio::async_read(stream, asio::buffer(status),
                                      asio::redirect_error(asio::use_awaitable, failed));
        if (failed)
            co_return failed == asio::error::eof ? fault::closed_inside_message : failed;
        if (wire::cursor(status).host_order<std::uint32_t>() != 0)
            co_return fault::exchange_failed;
        co_return result<void>();
    }

    result<wire::byte_buffer> credential() const { return shown(); }

    /// The client's side of steps 3 and 4. A length other than 32 is exchange_failed, and nothing is allocated for it.
    template <class Stream>
    asio::awaitable<result<void>> answer(Stream& stream) const
    {
        std::array<std::byte, 8 + text.size()> challenge;
        std::error_code failed;
        co_await asio::async_read(stream, asio::buffer(challenge),
                                  asio::redirect_error(asio::use_awaitable, failed));
        if (failed)
            co_return failed == asio::error::eof ? fault::closed_inside_message : failed;
        wire::cursor in(challenge);
        const bool known = in.host_order<std::uint64_t>() == text.size() && in.text(text.size()) == text;
        wire::byte_buffer status;
        wire::writer(status).host_order<std::uint32_t>(known ? 0 : UINT32_MAX);
        co_await asio::async_write(stream, asio::buffer(status),
                                   asio::redirect_error(asio::use_awaitable, failed));
        if (failed)
            co_return failed;
        if (!known)
            co_return fault::exchange_failed;
        co_return result<void>();
    }

private:
    static constexpr std::string_view text = "PMIX_PSEC_DUMMY_HANDSHAKE_STRING";
    static_assert(text.size() == 32);

    static wire::byte_buffer shown()
    {
        wire::byte_buffer bytes;
        wire::writer(bytes).terminated("dymmy_cred");
        return bytes;
    }
};

static_assert(exchanging_policy<dummy_handshake> && credential_policy<dummy_handshake>);

} // namespace pmixio::security
