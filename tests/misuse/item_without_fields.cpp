// expect: fields
#include <pmixio/message/message.hpp>

#include <cstdint>

struct pair {
    std::uint32_t first = 0, second = 0;
};

struct ping {
    pair sequence;
    static void items(auto& self, auto& io)
    {
        io.item(pmixio::message::as<pmixio::wire::data_type::endpoint>, self.sequence);
    }
};

auto use(pmixio::wire::cursor& in) { return pmixio::message::read<ping, pmixio::wire::v41>(in, {}); }
