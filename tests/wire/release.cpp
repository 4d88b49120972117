#include "../support/bytes.hpp"

#include <pmixio/wire/release.hpp>

using pmixio::wire::release;

TEST_CASE("a release is read from any text and never fails")
{
    struct row {
        std::string_view text;
        release expected;
    };
    for (const auto& each : {
             row{"4.2.2", {4, 2, 2}},
             row{"4.2.2rc2", {4, 2, 2}},
             row{"4.2.2-1+deb12u1", {4, 2, 2}},
             row{"v4.2.9", {4, 2, 9}},
             row{"5.0.10", {5, 0, 10}},
             row{"6.1.0a1", {6, 1, 0}},
             row{"10.20.30.40", {10, 20, 30}},
             row{"4", {4, 0, 0}},
             row{"4.", {4, 0, 0}},
             row{"4.2", {4, 2, 0}},
             row{"4.2.", {4, 2, 0}},
             row{"4.2rc1.7", {4, 2, 0}},
             row{"4..2", {4, 0, 0}},
             row{"4.x.2", {4, 0, 0}},
             row{"04.002.2", {4, 2, 2}},
             row{"", {}},
             row{"v", {}},
             row{"vv4.1.1", {}},
             row{"V4.1.1", {}},
             row{"unknown", {}},
             row{".4", {}},
             row{" 4.1", {}},
             row{"-4.1.1", {}},
             row{"+4.1.1", {}},
             row{"4.-1.1", {4, 0, 0}},
             row{"4294967295.1.1", {4294967295, 1, 1}},
             row{"4294967296.1.1", {}},
             row{"4.99999999999.1", {4, 0, 0}},
             row{std::string_view("4\0.2", 4), {4, 0, 0}},
         }) {
        CAPTURE(std::string(each.text));
        CHECK((release::parse(each.text) == each.expected));
    }
}

TEST_CASE("releases are ordered by major, minor, patch")
{
    static_assert(release{4, 2, 3} < release{4, 2, 4});
    static_assert(release{4, 2, 9} < release{4, 2, 10});
    static_assert(release{4, 9, 9} < release{5, 0, 0});
    static_assert(release{6, 0, 0} < release{6, 1, 0});
    static_assert(release{} < release{0, 0, 1});
    static_assert(release{2, 2, 5} == release{2, 2, 5});
    CHECK(release::parse("4.2.3") < release{4, 2, 4});
    CHECK(release::parse("4.2.10") >= release{4, 2, 4});
}
