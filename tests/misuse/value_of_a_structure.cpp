// expect: native_type_of
#include <pmixio/wire/value.hpp>

void use(const pmixio::wire::value& content) { (void)content.get<pmixio::wire::data_type::data_array>(); }
