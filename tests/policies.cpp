#include <pmixio/policies.hpp>
#include <pmixio/security/native.hpp>
#include <pmixio/security/none.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

using namespace pmixio;
using detail::names_include;

namespace {

struct site : defaults {
    using security = securities<security::native, security::none>;
};

struct numbered {
    static constexpr std::string_view name = "numbered";
    result<security::proof> validate(const security::evidence&) const { return fault::refused_by_host; }
    int number = 0;
};

using three = securities<security::none, numbered, security::native>;
using five = encodings<wire::v61, wire::v41, wire::v3, wire::v21, wire::v20>;

static_assert(host_policies<site>);
static_assert(!host_policies<defaults>, "security has no default");
static_assert(!host_policies<numbered>);
static_assert(three::size == 3 && five::size == 5 && defaults::buffer_ops::size == 6);

static_assert(names_include("native", "native"));
static_assert(three::pick("native,none", three::all()) == 0);

} // namespace

TEST_CASE("a comma list has the names between its commas, and an empty list has every name")
{
    CHECK(names_include("", "native"));
    CHECK(names_include("", ""));
    CHECK(names_include("native", "native"));
    CHECK(names_include("munge,native", "native"));
    CHECK(names_include("munge,native", "munge"));
    CHECK(names_include("a,b,c", "b"));
    CHECK(names_include("a,,c", "c"));
    CHECK(names_include("a,", "a"));
    CHECK(names_include(",a", "a"));
    for (const auto* names : {"nativ", "natives", "xnative", "Native", " native", "native ", "munge, native", "munge;native", ",",
                              ",,", "munge", "nat,ive"}) {
        CAPTURE(names);
        CHECK_FALSE(names_include(names, "native"));
    }
}

TEST_CASE("names are in the order of the list")
{
    CHECK((three::names == std::array<std::string_view, 3>{"none", "numbered", "native"}));
    CHECK((defaults::buffer_ops::names == std::array<std::string_view, 6>{"v61", "v51", "v41", "v4", "v3", "v21"}));
    CHECK((three::all() == std::array{true, true, true}));
}

TEST_CASE("pick() gives the first element that is wanted and enabled")
{
    const auto all = three::all();
    CHECK(three::pick("none", all) == 0);
    CHECK(three::pick("native", all) == 2);
    CHECK(three::pick("native,none", all) == 0);
    CHECK(three::pick("munge,native,numbered", all) == 1);
    CHECK(three::pick("", all) == 0);
    CHECK_FALSE(three::pick("munge", all));
    CHECK_FALSE(three::pick(",", all));

    CHECK(three::pick("native,none", {false, true, true}) == 2);
    CHECK(three::pick("", {false, false, true}) == 2);
    CHECK_FALSE(three::pick("none", {false, true, true}));
    CHECK_FALSE(three::pick("", {}));
}

TEST_CASE("those_in() gives the elements that are named, and none for an empty list")
{
    CHECK((three::those_in("native") == std::array{false, false, true}));
    CHECK((three::those_in("native,none") == std::array{true, false, true}));
    CHECK((three::those_in("munge,numbered") == std::array{false, true, false}));
    CHECK((three::those_in("") == std::array{false, false, false}));
    CHECK((three::those_in("munge") == std::array{false, false, false}));
}

TEST_CASE("subset() refuses an empty list and names that are not here")
{
    CHECK(three::subset("none") == std::array{true, false, false});
    CHECK(three::subset("native,none") == std::array{true, false, true});
    CHECK(three::subset("none,numbered,native") == three::all());
    CHECK_FALSE(three::subset(""));
    CHECK_FALSE(three::subset("munge"));
    CHECK_FALSE(three::subset("none,munge"));
    CHECK_FALSE(three::subset("none,"));
    CHECK_FALSE(three::subset(",none"));
    CHECK_FALSE(three::subset("none,,native"));
    CHECK_FALSE(three::subset("none,none"));
}

TEST_CASE("securities visit the policy object at a position")
{
    three::instances policies;
    std::get<1>(policies).number = 5;
    int seen = 0;
    const std::array<std::string_view, 3> expected = three::names;
    for (std::size_t i = 0; i != three::size; ++i) {
        std::size_t calls = 0;
        const auto name = three::visit(policies, i, [&](auto& policy) -> std::string_view {
            ++calls;
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(policy)>, numbered>)
                seen = policy.number;
            return policy.name;
        });
        CHECK(name == expected[i]);
        CHECK(calls == 1);
    }
    CHECK(seen == 5);
}

TEST_CASE("encodings visit the type at a position")
{
    for (std::size_t i = 0; i != five::size; ++i) {
        std::size_t calls = 0;
        const auto name = five::visit(i, [&](auto tag) -> std::string_view {
            ++calls;
            return decltype(tag)::type::name;
        });
        CHECK(name == five::names[i]);
        CHECK(calls == 1);
        five::visit(i, [&]<class E>(std::type_identity<E>) {
            CHECK(five::newest[i] == E::newest);
            five::visit_family(i, [&]<class Family>(Family) {
                CHECK(std::is_same_v<Family, std::type_identity<wire::family<typename E::form>>>);
                ++calls;
            });
        });
        CHECK(calls == 2);
    }
}

TEST_CASE("the defaults are finite, and newest encodings come first")
{
    CHECK(defaults::limits.handshake == std::chrono::seconds(5));
    CHECK(defaults::limits.handshake_bytes == 131'072);
    CHECK(defaults::buffer_ops::pick("", defaults::buffer_ops::all()) == 0);
    CHECK_FALSE(defaults::buffer_ops::pick("v20", defaults::buffer_ops::all())); // only who asks for it has it
}
