// The choices a host makes at compile time: lists of security policies and encodings, and defaults for the rest.
#pragma once

#include <pmixio/limits.hpp>
#include <pmixio/observer.hpp>
#include <pmixio/security/policy.hpp>
#include <pmixio/wire/encodings.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace pmixio {

/// One element of securities<>; an element that is no policy fails here, by name.
template <security::security_policy P>
using checked_security = P;
/// One element of encodings<>.
template <wire::buffer_ops_policy E>
using checked_encoding = E;

namespace detail {

/// Whether the comma list `names` has `name`. An empty list has every name: the peer leaves the choice to the server.
constexpr bool names_include(std::string_view names, std::string_view name) noexcept
{
    if (names.empty())
        return true;
    while (true) {
        const auto comma = names.find(',');
        if (names.substr(0, comma) == name)
            return true;
        if (comma == std::string_view::npos)
            return false;
        names.remove_prefix(comma + 1);
    }
}

template <class... Named>
struct named_list {
    static constexpr std::size_t size = sizeof...(Named);
    static constexpr std::array<std::string_view, size> names{Named::name...};

    /// The position of the first element, in the order of the list, that `names` includes and `enabled` allows.
    static constexpr std::optional<std::size_t> pick(std::string_view wanted,
                                                     const std::array<bool, size>& enabled)
    {
        for (std::size_t i = 0; i != size; ++i)
            if (enabled[i] && names_include(wanted, names[i]))
                return i;
        return std::nullopt;
    }

    /// The elements that a comma list names; names that are not here do not count.
    static constexpr std::array<bool, size> those_in(std::string_view wanted)
    {
        std::array<bool, size> enabled{};
        for (std::size_t i = 0; i != size; ++i)
            enabled[i] = !wanted.empty() && names_include(wanted, names[i]);
        return enabled;
    }

    /// The same, or no value if the list is empty or names something that is not here.
    static constexpr std::optional<std::array<bool, size>> subset(std::string_view wanted)
    {
        const auto enabled = those_in(wanted);
        const auto found = std::count(enabled.begin(), enabled.end(), true);
        const auto asked = std::count(wanted.begin(), wanted.end(), ',') + 1;
        return found == asked ? std::optional(enabled) : std::nullopt;
    }

    static constexpr std::array<bool, size> all()
    {
        std::array<bool, size> enabled{};
        enabled.fill(true);
        return enabled;
    }
};

} // namespace detail

/// Security policies in order of preference. A peer names what it has; the first of these that it names proves it.
template <class... P>
struct securities : detail::named_list<checked_security<P>...> {
    static_assert(sizeof...(P) > 0, "securities<> is empty: no peer could be admitted");
    static_assert(!((security::blocking_policy<P> && security::exchanging_policy<P>) || ...),
                  "a security policy cannot both block and exchange");
    using instances = std::tuple<P...>;
    /// Which of them block, and which have an exchange.
    static constexpr std::array<bool, sizeof...(P)> blocks{security::blocking_policy<P>...};
    static constexpr std::array<bool, sizeof...(P)> exchanges{security::exchanging_policy<P>...};

    /// pick(), where a policy with an exchange is for clients that name it, and for nobody else: security/policy.hpp says why.
    static constexpr std::optional<std::size_t> pick_for(bool client, std::string_view wanted,
                                                         std::array<bool, sizeof...(P)> enabled)
    {
        if (wanted.empty() || !client)
            for (std::size_t i = 0; i != enabled.size(); ++i)
                enabled[i] &= !exchanges[i];
        return securities::pick(wanted, enabled);
    }

    /// Calls f(policy) with element `i`.
    template <class F>
    static decltype(auto) visit(const instances& policies, std::size_t i, F&& f)
    {
        return visit_from<0>(policies, i, f);
    }

private:
    template <std::size_t At, class F>
    static decltype(auto) visit_from(const instances& policies, std::size_t i, F& f)
    {
        if constexpr (At + 1 == sizeof...(P))
            return f(std::get<At>(policies));
        else
            return i == At ? f(std::get<At>(policies)) : visit_from<At + 1>(policies, i, f);
    }
};

/// Encodings in order of preference. A peer speaks the one it names, for as long as it is connected.
template <class... E>
struct encodings : detail::named_list<checked_encoding<E>...> {
    static_assert(sizeof...(E) > 0, "encodings<> is empty: no peer could be understood");

    /// What agreement::newest is for each.
    static constexpr std::array<wire::data_type, sizeof...(E)> newest{E::newest...};

    /// Calls f(std::type_identity<E>{}) with element `i`.
    template <class F>
    static decltype(auto) visit(std::size_t i, F&& f)
    {
        return visit_from<E...>(i, f);
    }

    /// The same with the family of element `i`: f is instantiated once for each form.
    template <class F>
    static decltype(auto) visit_family(std::size_t i, F&& f)
    {
        return visit(i, [&]<class One>(std::type_identity<One>) -> decltype(auto) {
            return f(std::type_identity<wire::family<typename One::form>>{});
        });
    }

private:
    template <class First, class... Rest, class F>
    static decltype(auto) visit_from(std::size_t i, F& f)
    {
        if constexpr (sizeof...(Rest) == 0)
            return f(std::type_identity<First>{});
        else
            return i == 0 ? f(std::type_identity<First>{}) : visit_from<Rest...>(i - 1, f);
    }
};

/// What a host's policies derive from. It says nothing about security: that choice has no default.
///
///     struct site : pmixio::defaults {
///         using security = pmixio::securities<pmixio::security::native>;
///     };
struct defaults {
    using buffer_ops = encodings<wire::v61, wire::v51, wire::v41, wire::v4, wire::v3, wire::v21>;
    using observer = no_observer;
    using clock = std::chrono::steady_clock;
    static constexpr pmixio::limits limits{};
    /// Inflates a zlib stream that must have that length then; none: it has not. Without it, strings that a process has
    /// compressed reach others as they are, which releases 5.x and 6.x cannot read: see zlib.hpp.
    static constexpr std::optional<std::string> (*inflate)(std::span<const std::byte> stream,
                                                           std::size_t length) = nullptr;
};

/// A host's choices: a type that derives from `defaults` and says `using security = securities<...>`.
template <class P>
concept host_policies = std::derived_from<P, defaults> && requires {
    typename P::security::instances;
    { P::buffer_ops::size } -> std::convertible_to<std::size_t>;
    { P::limits } -> std::convertible_to<limits>;
};

} // namespace pmixio
