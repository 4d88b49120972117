// expect: M::items
#include <pmixio/message/message.hpp>

struct ping {
    pmixio::wire::status result{};
};

auto use(pmixio::wire::cursor& in) { return pmixio::message::read<ping, pmixio::wire::v41>(in, {}); }
