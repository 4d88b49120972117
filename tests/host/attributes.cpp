#include "support/bytes.hpp"

#include <pmixio/host/attributes.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <vector>

namespace {

using namespace pmixio;
using wire::data_type;
using wire::value;

std::optional<std::chrono::seconds> limit(value content)
{
    const std::vector<wire::info> infos{{"pmix.timeout", 0, std::move(content)}};
    return timeout_attribute(infos);
}

bool flag(value content)
{
    const std::vector<wire::info> infos{{"f", 0, std::move(content)}};
    return flag_attribute(infos, "f");
}

constexpr auto s = [](int n) { return std::optional(std::chrono::seconds(n)); };

} // namespace

TEST_CASE("an attribute is found by its whole name, the first of several")
{
    const std::vector<wire::info> infos{{"pmix.time", 0, value::uint32(1)},
                                        {"pmix.timeout", 0, value::uint32(2)},
                                        {"pmix.timeout", 0, value::uint32(3)}};
    REQUIRE(find_attribute(infos, "pmix.timeout"));
    CHECK(*find_attribute(infos, "pmix.timeout") == value::uint32(2));
    CHECK(find_attribute(infos, "pmix") == nullptr);
    CHECK(find_attribute({}, "pmix.timeout") == nullptr);
}

TEST_CASE("a flag is true by its value, or by its presence without one")
{
    CHECK(flag({}));
    CHECK(flag(value::boolean(true)));
    CHECK(flag(value::uint32(1)));
    CHECK(!flag(value::boolean(false)));
    CHECK(!flag(value::uint32(0)));
    CHECK(!flag(value::string("true")));
    CHECK(!flag_attribute({}, "f"));
}

TEST_CASE("a time limit is seconds, in whatever integer type")
{
    CHECK(limit(value::of<data_type::integer>(3)) == s(3));
    CHECK(limit(value::uint32(3)) == s(3));
    CHECK(limit(value::of<data_type::int64>(3)) == s(3));
    CHECK(limit(value::uint16(3)) == s(3));
}

TEST_CASE("no time limit: absent, 0, negative, or no number")
{
    CHECK(!timeout_attribute({}));
    CHECK(!limit({}));
    CHECK(!limit(value::of<data_type::integer>(0)));
    CHECK(!limit(value::of<data_type::integer>(-5)));
    CHECK(!limit(value::string("5")));
    CHECK(!limit(value::uint64(UINT64_MAX)));
}

TEST_CASE("the longest time limit can be added to a clock")
{
    const auto longest = limit(value::uint64(INT64_MAX));
    REQUIRE(longest);
    CHECK(std::chrono::steady_clock::now() + *longest > std::chrono::steady_clock::now());
}

TEST_CASE("a list of processes may name all of a namespace, in any order")
{
    const auto raw = test::hex("27 16 02 0c 6f7468657200 03 04 6700 feffffff0f"); // other.3 and all of g
    wire::cursor bytes(raw);
    wire::input<wire::flex_form> in(bytes, false);
    wire::byte_buffer scratch;
    const std::vector<wire::info> infos{
        {"l", 0, value::decode(in, data_type::storage_access_type, false, scratch)}};
    const auto named = processes_attribute(infos, "l");
    CHECK(named.size() == 2);
    CHECK(is_among({"other", 3}, named));
    CHECK(!is_among({"other", 2}, named));
    CHECK(is_among({"g", 7}, named));
    CHECK(!is_among({"h", 3}, named));
    CHECK(processes_attribute(infos, "nosuch").empty());
}

TEST_CASE("keys that begin with pmix belong to the server")
{
    CHECK(is_reserved_key("pmix.job.size"));
    CHECK(is_reserved_key("pmix"));
    CHECK(!is_reserved_key("pmi"));
    CHECK(!is_reserved_key("my.pmix"));
    CHECK(!is_reserved_key(""));
}
