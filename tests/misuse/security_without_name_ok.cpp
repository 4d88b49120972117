#include <pmixio/policies.hpp>

struct named {
    static constexpr std::string_view name = "named";
    pmixio::result<pmixio::security::proof> validate(const pmixio::security::evidence& e) const
    {
        return pmixio::security::proof{e.uid, e.gid};
    }
};

struct site : pmixio::defaults {
    using security = pmixio::securities<named>;
};

std::size_t count() { return site::security::size; }
