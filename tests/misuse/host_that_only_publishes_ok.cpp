#include <pmixio/server.hpp>

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
};

struct host {
    asio::awaitable<pmixio::wire::status> publish(pmixio::requester, pmixio::message::publish);
    asio::awaitable<pmixio::message::lookup_reply> lookup(pmixio::requester, pmixio::message::lookup);
    asio::awaitable<pmixio::wire::status> unpublish(pmixio::requester, pmixio::message::unpublish);
};

using server = pmixio::server<site, host>;

std::size_t sessions(const server& s) { return s.sessions(); }
