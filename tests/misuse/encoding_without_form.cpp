// expect: typename E::form
#include <pmixio/wire/buffer.hpp>

#include <string_view>

struct site {
    static constexpr std::string_view name = "site";
    static constexpr auto newest = pmixio::wire::data_type::envar;
};

void use(pmixio::wire::encoder<site>&);
