#include <pmixio/server.hpp>

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::native>;
};

using server = pmixio::server<site>;

std::size_t sessions(const server& s) { return s.sessions(); }
