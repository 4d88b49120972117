// Lists as text.
#pragma once

#include <string>

namespace pmixio::detail {

/// The texts of a range with a separator between them.
template <class Texts>
std::string join(const Texts& texts, char separator = ',')
{
    std::string list;
    bool first = true;
    for (const auto& each : texts) {
        if (!first)
            list += separator;
        list += each;
        first = false;
    }
    return list;
}

} // namespace pmixio::detail
