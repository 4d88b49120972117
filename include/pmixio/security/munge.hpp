// security::munge: credentials that the MUNGE daemon of this site makes and checks. handshake.md section 5.2.
//
// Needs libmunge (munge.h; link with -lmunge), so pmixio/server.hpp does not include it.
#pragma once

#include <pmixio/security/policy.hpp>
#include <pmixio/wire/cursor.hpp>

#include <munge.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace pmixio::security {

/// libpmix's `munge`: the peer's uid and gid are those of the process that had the credential made, by the word of a daemon
/// that shares this site's key. Proves them for peers on any machine of the site, once: a credential is good for one
/// handshake. It does not prove who sends it: what leaks before it is shown can be shown by somebody else.
///
/// The credential: text without NUL, and a NUL that some leave out. It is decoded exactly once, whatever comes of it.
/// Faults: bad_credential; credential_replayed, _expired, _rewound; wrong_recipient; wrong_user, wrong_group;
/// issuer_unavailable if the daemon cannot be asked. libmunge waits for a daemon that hangs, for seconds: its threads are
/// those of server_settings::pool, and the handshake's deadline does not wait for them.
struct munge {
    static constexpr std::string_view name = "munge";
    static constexpr bool blocks = true;

    std::string socket; ///< of the daemon; empty: where libmunge was built to look for it

    result<proof> validate(const evidence& e) const
    {
        const auto of = judge(e.credential);
        if (!of)
            return of;
        if (of->uid != e.uid)
            return fault::wrong_user;
        if (of->gid != e.gid)
            return fault::wrong_group;
        return of;
    }

    /// Who had a credential made. Faults as above, but for those that compare.
    result<proof> judge(std::span<const std::byte> credential) const
    {
        wire::cursor in(credential);
        const auto text = credential.empty() || credential.back() != std::byte{0} ? in.text(credential.size())
                                                                                  : in.terminated();
        if (!in.ok() || !in.at_end() || text.empty() || text.find('\0') != text.npos)
            return fault::bad_credential;

        const auto context = make_context();
        if (!context)
            return fault::issuer_unavailable;
        void* payload = nullptr;
        int size = 0;
        proof of{static_cast<::uid_t>(-1), static_cast<::gid_t>(-1)};
        const auto outcome =
            ::munge_decode(std::string(text).c_str(), context.get(), &payload, &size, &of.uid, &of.gid);
        std::free(payload);
        if (outcome != EMUNGE_SUCCESS)
            return fault_of(outcome);
        return of;
    }

    /// A new credential of this process, with its NUL as libpmix sends it. Fault: issuer_unavailable.
    result<wire::byte_buffer> credential() const
    {
        const auto context = make_context();
        char* made = nullptr;
        if (!context || ::munge_encode(&made, context.get(), nullptr, 0) != EMUNGE_SUCCESS)
            return fault::issuer_unavailable;
        const std::unique_ptr<char, release> text(made);
        wire::byte_buffer bytes;
        wire::writer(bytes).terminated(text.get());
        return bytes;
    }

    /// What the daemon, or libmunge, says of a credential.
    static fault fault_of(::munge_err_t outcome) noexcept
    {
        switch (outcome) {
        case EMUNGE_CRED_REPLAYED: return fault::credential_replayed;
        case EMUNGE_CRED_EXPIRED: return fault::credential_expired;
        case EMUNGE_CRED_REWOUND: return fault::credential_rewound;
        case EMUNGE_CRED_UNAUTHORIZED: return fault::wrong_recipient;
        case EMUNGE_SNAFU:
        case EMUNGE_NO_MEMORY:
        case EMUNGE_SOCKET:
        case EMUNGE_TIMEOUT: return fault::issuer_unavailable;
        default: return fault::bad_credential;
        }
    }

private:
    struct release {
        void operator()(char* text) const { std::free(text); }
        void operator()(std::remove_pointer_t<::munge_ctx_t>* context) const { ::munge_ctx_destroy(context); }
    };

    std::unique_ptr<std::remove_pointer_t<::munge_ctx_t>, release> make_context() const
    {
        std::unique_ptr<std::remove_pointer_t<::munge_ctx_t>, release> context(::munge_ctx_create());
        if (context && !socket.empty() &&
            ::munge_ctx_set(context.get(), MUNGE_OPT_SOCKET, socket.c_str()) != EMUNGE_SUCCESS)
            context.reset();
        return context;
    }
};

static_assert(blocking_policy<munge> && judging_policy<munge>);

} // namespace pmixio::security
