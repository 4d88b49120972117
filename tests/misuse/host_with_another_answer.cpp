// expect: the host's spawn is not of the form asio::awaitable<message::spawn_reply> spawn(requester, message::spawn)
#include <pmixio/server.hpp>

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
};

struct host {
    asio::awaitable<pmixio::wire::status> spawn(pmixio::requester, pmixio::message::spawn);
};

pmixio::server<site, host>* start(asio::io_context& io, pmixio::registry& jobs, host& h)
{
    return new pmixio::server<site, host>(io.get_executor(), jobs, h);
}
