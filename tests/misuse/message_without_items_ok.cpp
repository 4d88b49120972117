#include <pmixio/message/message.hpp>

struct ping {
    pmixio::wire::status result{};
    static void items(auto& self, auto& io)
    {
        io.item(pmixio::message::as<pmixio::wire::data_type::status>, self.result);
    }
};

auto use(pmixio::wire::cursor& in) { return pmixio::message::read<ping, pmixio::wire::v41>(in, {}); }
