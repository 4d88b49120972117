// expect: policy.validate(e)
#include <pmixio/policies.hpp>

struct toothless {
    static constexpr std::string_view name = "toothless";
};

struct site : pmixio::defaults {
    using security = pmixio::securities<toothless>;
};

std::size_t count() { return site::security::size; }
