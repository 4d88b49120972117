// expect: represents<
#include <pmixio/wire/codec.hpp>

void use(pmixio::wire::input<pmixio::wire::flex_form>& in)
{
    std::uint16_t rank = 0;
    in.u32(rank);
}
