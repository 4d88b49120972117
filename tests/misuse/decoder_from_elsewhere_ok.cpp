#include <pmixio/message/message.hpp>

auto use(pmixio::wire::cursor& in) { return pmixio::message::read_command<pmixio::wire::v41>(in, {}); }
