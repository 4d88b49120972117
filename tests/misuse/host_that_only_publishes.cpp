// expect: all of publish, lookup and unpublish, or none
#include <pmixio/server.hpp>

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
};

struct host {
    asio::awaitable<pmixio::wire::status> publish(pmixio::requester, pmixio::message::publish);
};

using server = pmixio::server<site, host>;

std::size_t sessions(const server& s) { return s.sessions(); }
