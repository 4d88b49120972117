#include <pmixio/listen/ports.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string_view>
#include <vector>

using namespace pmixio;

TEST_CASE("lists of ports and ranges are read, and written as they are read")
{
    using ranges = std::vector<port_ranges::range>;
    CHECK(port_ranges::parse("").ranges() == ranges{{0, 0}});
    CHECK(port_ranges::parse("0") == port_ranges());
    CHECK(port_ranges::parse("5000") == port_ranges(5000));
    CHECK(port_ranges::parse("5000-5010,6000,1-65535,0").ranges() ==
          ranges{{5000, 5010}, {6000, 6000}, {1, 65535}, {0, 0}});
    CHECK(port_ranges::parse("7-7").ranges() == ranges{{7, 7}});
    for (const auto text : {"0", "5000", "5000-5010,6000,1-65535,0"})
        CHECK(port_ranges::parse(text).to_string() == text);
}

TEST_CASE("what is no list of ports is refused with its text")
{
    for (const std::string_view text :
         {"x",     "-1",          "-",           "5000-", "-5000", "5010-5000",  "0-10",
          "65536", "1-65536",     "99999999999", "5000,", ",5000", "5000,,6000", " 5000",
          "5000 ", "5000 - 5010", "1-2-3",       "+5000", "0x50",  "5000!",      "5000;6000"}) {
        CAPTURE(text);
        CHECK_THROWS_WITH_AS(port_ranges::parse(text),
                             doctest::Contains(('"' + std::string(text) + '"').c_str()),
                             std::invalid_argument);
    }
}
