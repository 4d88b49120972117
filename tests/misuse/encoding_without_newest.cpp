// expect: E::newest
#include <pmixio/wire/buffer.hpp>

#include <string_view>

struct site {
    using form = pmixio::wire::flex_form;
    static constexpr std::string_view name = "site";
};

void use(pmixio::wire::decoder<site>&);
