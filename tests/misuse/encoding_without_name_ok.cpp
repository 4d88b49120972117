#include <pmixio/policies.hpp>

struct named {
    static constexpr std::string_view name = "named";
    using form = pmixio::wire::flex_form;
    static constexpr pmixio::wire::data_type newest = pmixio::wire::data_type::envar;
};

std::size_t count() { return pmixio::encodings<pmixio::wire::v41, named>::size; }
