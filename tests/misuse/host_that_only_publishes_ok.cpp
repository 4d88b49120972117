#include <pmixio/server.hpp>

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
};

struct host {
    asio::awaitable<pmixio::wire::status> publish(pmixio::requester, pmixio::message::publish);
    asio::awaitable<pmixio::message::lookup_reply> lookup(pmixio::requester, pmixio::message::lookup);
    asio::awaitable<pmixio::wire::status> unpublish(pmixio::requester, pmixio::message::unpublish);
};

pmixio::server<site, host>* start(asio::io_context& io, pmixio::registry& jobs, host& h)
{
    return new pmixio::server<site, host>(io.get_executor(), jobs, h);
}
