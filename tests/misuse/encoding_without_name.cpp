// expect: E::name
#include <pmixio/policies.hpp>

struct nameless {
    using form = pmixio::wire::flex_form;
    static constexpr pmixio::wire::data_type newest = pmixio::wire::data_type::envar;
};

std::size_t count() { return pmixio::encodings<pmixio::wire::v41, nameless>::size; }
