// The library release a peer announces, e.g. "4.2.2rc2". handshake.md section 3.2.
#pragma once

#include <charconv>
#include <compare>
#include <string_view>

namespace pmixio::wire {

/// Numbers of a release; suffixes do not count. Zeros where the text had none.
struct release {
    unsigned major = 0, minor = 0, patch = 0;

    friend constexpr auto operator<=>(const release&, const release&) = default;

    /// Reads up to three dotted numbers, an optional leading `v`, and ignores what follows them. Text that does not
    /// start with a number is release 0.0.0: peers' texts are free, so no text is an error.
    static release parse(std::string_view version) noexcept
    {
        release result;
        if (version.starts_with('v'))
            version.remove_prefix(1);
        for (unsigned* part : {&result.major, &result.minor, &result.patch}) {
            const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), *part);
            if (error != std::errc{})
                break;
            version.remove_prefix(static_cast<std::size_t>(end - version.data()));
            if (!version.starts_with('.'))
                break;
            version.remove_prefix(1);
        }
        return result;
    }
};

} // namespace pmixio::wire
