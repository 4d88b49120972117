// port_ranges: the ports that may be listened on.
#pragma once

#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace pmixio {

/// Ports and ranges of ports, in the order in which they are tried. Port 0 is any free port.
class port_ranges {
public:
    struct range {
        std::uint16_t first, last;
        friend bool operator==(const range&, const range&) = default;
    };

    port_ranges() : port_ranges(0) {}
    explicit port_ranges(std::uint16_t only) : ranges_{{only, only}} {}

    /// Of "5000", "5000-5010,6000"; nothing, like "0", is any free port. Throws std::invalid_argument with the text.
    static port_ranges parse(std::string_view text)
    {
        port_ranges result;
        if (text.empty())
            return result;
        result.ranges_.clear();
        for (auto left = text;; left.remove_prefix(left.find(',') + 1)) {
            const auto entry = left.substr(0, left.find(','));
            const auto dash = entry.find('-');
            range found{};
            found.last = found.first = number(entry.substr(0, dash), text);
            if (dash != std::string_view::npos) {
                found.last = number(entry.substr(dash + 1), text);
                if (found.first == 0 || found.last < found.first)
                    refuse(text);
            }
            result.ranges_.push_back(found);
            if (left.find(',') == std::string_view::npos)
                return result;
        }
    }

    const std::vector<range>& ranges() const noexcept { return ranges_; }

    /// What parse() reads.
    std::string to_string() const
    {
        std::string text;
        for (const auto& each : ranges_) {
            (text += text.empty() ? "" : ",") += std::to_string(each.first);
            if (each.last != each.first)
                text += '-' + std::to_string(each.last);
        }
        return text;
    }

    friend bool operator==(const port_ranges&, const port_ranges&) = default;

private:
    [[noreturn]] static void refuse(std::string_view text)
    {
        throw std::invalid_argument("pmixio: not a list of ports and ranges of ports: \"" +
                                    std::string(text) + '"');
    }
    static std::uint16_t number(std::string_view digits, std::string_view text)
    {
        std::uint16_t port = 0;
        const auto* const end = digits.data() + digits.size();
        const auto read = std::from_chars(digits.data(), end, port);
        if (read.ec != std::errc() || read.ptr != end)
            refuse(text);
        return port;
    }

    std::vector<range> ranges_;
};

} // namespace pmixio
