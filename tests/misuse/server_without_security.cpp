// expect: P::security::instances
#include <pmixio/server.hpp>

struct site : pmixio::defaults {};

using server = pmixio::server<site>;

std::size_t sessions(const server& s) { return s.sessions(); }
