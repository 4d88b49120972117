// expect: buffer_ops_policy
#include <pmixio/message/message.hpp>

auto use(pmixio::wire::cursor& in) { return pmixio::message::read_command<pmixio::wire::flex_form>(in, {}); }
