#include <pmixio/result.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

using namespace pmixio;

namespace {

using pointer = std::unique_ptr<int>;

struct not_default {
    explicit not_default(int v) : value(v) {}
    int value;
};

struct pair {
    int first, second;
};

static_assert(!std::is_constructible_v<result<int>, std::string>);
static_assert(!std::is_default_constructible_v<result<not_default>>);
static_assert(std::is_convertible_v<fault, result<int>> && std::is_convertible_v<std::error_code, result<int>>);
static_assert(std::is_convertible_v<fault, result<void>> && std::is_default_constructible_v<result<void>>);
static_assert(std::is_nothrow_default_constructible_v<result<void>>);
static_assert(!std::is_copy_constructible_v<result<pointer>> && std::is_move_constructible_v<result<pointer>>);
static_assert(!std::is_convertible_v<result<int>, bool>, "explicit: an int is not compared by accident");
static_assert(std::is_same_v<decltype(*std::declval<result<int>&>()), int&>);
static_assert(std::is_same_v<decltype(*std::declval<const result<int>&>()), const int&>);
static_assert(std::is_same_v<decltype(*std::declval<result<int>>()), int&&>);
static_assert(std::is_same_v<result<int>::value_type, int> && std::is_void_v<result<void>::value_type>);

result<std::string> name(bool good)
{
    if (!good)
        return fault::truncated;
    return "name";
}

result<void> check(bool good)
{
    if (!good)
        return fault::truncated;
    return {};
}

} // namespace

TEST_CASE("a result with a value gives it and has no error")
{
    auto r = name(true);
    REQUIRE(r);
    CHECK(r.has_value());
    CHECK(*r == "name");
    CHECK(r->size() == 4);
    CHECK(r.value() == "name");
    CHECK_FALSE(r.error());
    *r += "d";
    CHECK(std::as_const(r).value() == "named");
    CHECK(*std::as_const(r) == "named");
    CHECK(std::as_const(r)->size() == 5);
}

TEST_CASE("a result without a value has the error")
{
    const auto r = name(false);
    CHECK_FALSE(r);
    CHECK_FALSE(r.has_value());
    CHECK(r.error() == fault::truncated);
    CHECK(r.error() == refusal::malformed);
}

TEST_CASE("value() of an error throws it")
{
    const auto thrown_by = [](auto&& r) {
        try {
            static_cast<void>(std::forward<decltype(r)>(r).value());
        } catch (const std::system_error& e) {
            return e.code();
        }
        return std::error_code();
    };
    auto error = name(false);
    CHECK(thrown_by(error) == fault::truncated);
    CHECK(thrown_by(std::as_const(error)) == fault::truncated);
    CHECK(thrown_by(name(false)) == fault::truncated);

    std::error_code code;
    try {
        check(false).value();
    } catch (const std::system_error& e) {
        code = e.code();
    }
    CHECK(code == fault::truncated);
    CHECK_NOTHROW(check(true).value());
}

TEST_CASE("errors of any category are kept")
{
    const auto reset = std::make_error_code(std::errc::connection_reset);
    CHECK(result<int>(reset).error() == reset);
    CHECK(result<void>(reset).error() == reset);
    CHECK(result<int>(reset).error() == refusal::gone);
}

TEST_CASE("a value that can only be moved is moved out")
{
    result<pointer> r = std::make_unique<int>(3);
    REQUIRE(r);
    const auto moved = *std::move(r);
    CHECK(*moved == 3);
    CHECK(**result<pointer>(std::make_unique<int>(4)) == 4);
    CHECK(*result<pointer>(std::make_unique<int>(5)).value() == 5);

    result<pointer> from = std::make_unique<int>(6);
    const result<pointer> to = std::move(from);
    CHECK(**to == 6);
}

TEST_CASE("a false value is a value")
{
    CHECK(result<bool>(false).has_value());
    CHECK_FALSE(*result<bool>(false));
    CHECK(result<int>(0).has_value());
    CHECK(result<pointer>(nullptr).has_value());
    CHECK(result<std::string>("").has_value());
}

TEST_CASE("a value need not have a default, and may be an aggregate")
{
    const result<not_default> r = not_default(7);
    CHECK(r->value == 7);
    const result<pair> two = pair{1, 2};
    CHECK(two->second == 2);
}

TEST_CASE("copies and assignments keep which of the two it is")
{
    auto r = name(true);
    const auto copy = r;
    r = name(false);
    CHECK_FALSE(r);
    CHECK(*copy == "name");
    r = copy;
    CHECK(*r == "name");
    r = fault::bad_string;
    CHECK(r.error() == fault::bad_string);
}

TEST_CASE("result<void> is true when nothing went wrong")
{
    CHECK(check(true));
    CHECK(check(true).has_value());
    CHECK_FALSE(check(true).error());
    CHECK_FALSE(check(false));
    CHECK(check(false).error() == fault::truncated);
}
