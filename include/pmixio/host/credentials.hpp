// What a server does about GET_CREDENTIAL and VALIDATE_CRED by itself: its security policies, as far as they can.
#pragma once

#include <pmixio/deadline.hpp>
#include <pmixio/detail/offload.hpp>
#include <pmixio/handshake/reply.hpp>
#include <pmixio/host/attributes.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/limits.hpp>
#include <pmixio/message/control.hpp>
#include <pmixio/policies.hpp>
#include <pmixio/security/policy.hpp>

#include <unistd.h>

#include <array>
#include <cstddef>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view credential_type = "pmix.sec.ctype", effective_user = "pmix.euid",
                                  effective_group = "pmix.egid";
} // namespace key

/// Makes and judges credentials for processes, by the first policy on offer that is a judging_policy; by those that a
/// request names in `pmix.sec.ctype` only. NOT_SUPPORTED if there is none: a credential of `native` says what its
/// writer likes, and only with the kernel's word for one connection does it prove anything.
///
/// A credential is one of the server's own process, so it is for processes of the same user; to others NOT_SUPPORTED. Who it
/// was made for can be told from it by whoever has it, and it may be good for one such question only.
template <host_policies P>
class credential_desk {
public:
    /// All must outlive this, and the coroutines.
    credential_desk(const typename P::security::instances& policies,
                    const std::array<bool, P::security::size>& offered, detail::blocking_pool& pool,
                    const limits& bounds)
        : policies_(policies), offered_(offered), pool_(pool), bounds_(bounds)
    {}

    /// Who makes a credential for the requester, for make(); none: NOT_SUPPORTED.
    std::optional<std::size_t> maker(const requester& from, const message::get_credential& request) const
    {
        return from.uid == ::geteuid() ? pick(request.infos) : std::nullopt;
    }
    /// Who judges this one, for judge(); none: NOT_SUPPORTED.
    std::optional<std::size_t> judge_of(const message::validate_credential& request) const
    {
        return pick(request.infos);
    }

    /// With `pmix.sec.ctype`. TIMEOUT when limits::handshake is over; OUT_OF_RESOURCE beyond limits::pending_credentials.
    asio::awaitable<message::credential_reply> make(::uid_t user, std::size_t by)
    {
        message::credential_reply reply;
        const auto credential = [](const auto& policy) { return policy.credential(); };
        auto made = co_await ask<wire::byte_buffer>(user, by, credential);
        if (made) {
            reply.credential = *std::move(made);
            reply.infos.push_back(type_of(by));
        } else {
            reply.result = status_for(made.error());
        }
        co_return reply;
    }

    /// With `pmix.sec.ctype`, `pmix.euid` and `pmix.egid`; else INVALID_CREDENTIAL, and as make().
    asio::awaitable<message::infos_reply> judge(::uid_t user, std::size_t by, wire::byte_buffer credential)
    {
        message::infos_reply reply;
        if (credential.size() > bounds_.handshake_bytes) {
            reply.result = wire::status::invalid_credential;
            co_return reply;
        }
        const auto who = [shown = std::move(credential)](const auto& policy) { return policy.judge(shown); };
        const auto judged = co_await ask<security::proof>(user, by, who);
        if (judged) {
            auto& infos = reply.infos.emplace();
            infos.push_back(type_of(by));
            infos.push_back({std::string(key::effective_user), 0, wire::value::uint32(judged->uid)});
            infos.push_back({std::string(key::effective_group), 0, wire::value::uint32(judged->gid)});
        } else {
            reply.result = status_for(judged.error());
        }
        co_return reply;
    }

private:
    std::optional<std::size_t> pick(std::span<const wire::info> infos) const
    {
        const auto* wanted = find_attribute(infos, key::credential_type);
        const auto names =
            wanted ? wanted->get<wire::data_type::string>() : std::optional(std::string_view());
        for (std::size_t i = 0; names && i != P::security::size; ++i)
            if (offered_[i] && detail::names_include(*names, P::security::names[i]) && judges[i])
                return i;
        return std::nullopt;
    }

    static wire::info type_of(std::size_t i)
    {
        return {std::string(key::credential_type), 0, wire::value::string(P::security::names[i])};
    }

    template <class T, class Question>
    asio::awaitable<result<T>> ask(::uid_t user, std::size_t which, Question question)
    {
        counted one(pending_[user]);
        if (one.of > bounds_.pending_credentials)
            co_return make_error_code(fault::too_many_pending);
        try {
            auto answer = P::security::visit(
                policies_, which, [&](const auto& policy) { return ask_policy<T>(policy, pool_, question); });
            co_return co_await within<typename P::clock>(bounds_.handshake, std::move(answer),
                                                         fault::handshake_timeout);
        } catch (const std::bad_alloc&) {
            co_return std::make_error_code(std::errc::not_enough_memory);
        }
    }

    template <class T, class Policy, class Question>
    static asio::awaitable<result<T>> ask_policy(const Policy& policy, detail::blocking_pool& pool,
                                                 Question question)
    {
        if constexpr (!security::judging_policy<Policy>) {
            co_return std::make_error_code(std::errc::function_not_supported); // not picked
        } else if constexpr (security::blocking_policy<Policy>) {
            auto call = [policy, question] { return question(policy); };
            co_return co_await pool.run(std::move(call));
        } else {
            co_return question(policy);
        }
    }

    struct counted {
        explicit counted(std::size_t& n) : of(++n) {}
        counted(const counted&) = delete;
        ~counted() { --of; }
        std::size_t& of;
    };

    template <class List>
    struct which_judge;
    template <class... Policy>
    struct which_judge<std::tuple<Policy...>> {
        static constexpr std::array<bool, sizeof...(Policy)> value{security::judging_policy<Policy>...};
    };
    static constexpr auto judges = which_judge<typename P::security::instances>::value;

    const typename P::security::instances& policies_;
    const std::array<bool, P::security::size>& offered_;
    detail::blocking_pool& pool_;
    limits bounds_;
    std::map<::uid_t, std::size_t> pending_; ///< questions to policies, by user
};

} // namespace pmixio
