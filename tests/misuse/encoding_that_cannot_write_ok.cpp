#include <pmixio/policies.hpp>

struct whole_form {
    static constexpr bool tagged_sizes = false, wide_commands = false, integer_type_codes = false;
    static constexpr bool describes_nested = false;
    template <std::integral T> static constexpr std::size_t smallest = 1;
    template <std::integral T>
    static T get(pmixio::wire::cursor& in)
    {
        return pmixio::wire::flex_form::get<T>(in);
    }
    template <std::integral T>
    static void put(pmixio::wire::writer& out, T value)
    {
        pmixio::wire::flex_form::put(out, value);
    }
};

struct whole {
    using form = whole_form;
    static constexpr std::string_view name = "whole";
    static constexpr pmixio::wire::data_type newest = pmixio::wire::data_type::envar;
};

std::size_t count() { return pmixio::encodings<pmixio::wire::v41, whole>::size; }
