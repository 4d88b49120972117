#include <pmixio/wire/value.hpp>

void use(const pmixio::wire::value& content) { (void)content.get<pmixio::wire::data_type::uint32>(); }
