#include <pmixio/policies.hpp>
#include <pmixio/security/none.hpp>

struct site : pmixio::defaults {
    using security = pmixio::securities<pmixio::security::none>;
};

std::size_t count() { return site::security::size; }
