#include "../support/recorded.hpp"

#include <pmixio/message/data.hpp>

#include <algorithm>

using namespace pmixio;
using namespace pmixio::test;
using namespace pmixio::message;
using wire::value;

namespace {

std::string keys_of(const std::vector<wire::kval>& data)
{
    std::string result;
    for (const auto& each : data)
        result += (result.empty() ? "" : " ") + each.key;
    return result;
}

const value& at(const std::vector<wire::kval>& data, std::string_view key)
{
    const auto found = std::find_if(data.begin(), data.end(), [&](auto& each) { return each.key == key; });
    REQUIRE(found != data.end());
    return found->content;
}

/// What the small test client put for everybody, as rank 0.
void check_golden_data(const std::vector<wire::kval>& data, std::uint32_t u32 = 300)
{
    const auto number = [&](std::string_view key, data_type type, std::int64_t expected) {
        CAPTURE(key);
        CHECK(at(data, key).is(type));
        CHECK(at(data, key).to_integer() == expected);
    };
    number("g.u32", data_type::uint32, u32);
    number("g.size", data_type::size, std::int64_t{1} << 40);
    number("g.i64", data_type::int64, -1);
    number("g.u8", data_type::uint8, 200);
    number("g.flag", data_type::boolean, 1);
    number("g.pid", data_type::pid, 4321);
    number("g.int", data_type::integer, -5);
    number("g.uint", data_type::uint, 4000000000);
    number("g.rank", data_type::proc_rank, wire::rank::wildcard);
    number("g.stat", data_type::status, -46);
    number("g.time", data_type::time, 1700000000);
    CHECK(at(data, "g.dbl").get<data_type::float64>() == "2.500000");
    CHECK(at(data, "g.flt").get<data_type::float32>() == "0.250000");
    CHECK((at(data, "g.bo") == value::object(hex("01 02 03 ff"))));
    CHECK(at(data, "g.tv").is(data_type::timeval));
    CHECK(show(at(data, "g.tv").packed()) == "0e 12");
    CHECK((at(data, "g.proc") == value::of_proc({"other", 3})));
    CHECK(show(at(data, "g.arr").packed()) == "0e 03 01 c8 01 f0 a2 04");
    const std::vector<wire::info> infos{{"a", 0, value::uint16(513)}, {"b", 0, value::string("two")}};
    CHECK((at(data, "g.infos") == value::infos(infos)));
}

constexpr auto golden_keys =
    "g.size g.i64 g.bo g.dbl g.u8 g.flag g.pid g.int g.uint g.rank g.stat g.flt g.time g.tv g.proc "
    "g.arr g.infos";

} // namespace

TEST_CASE("a commit has a bucket for local and one for remote consumers, in every release the same")
{
    const auto content = same_content<commit>(
        {"debian", "debian-fulldesc", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}, "commit-c2s");
    REQUIRE(content.buckets.size() == 2);
    const auto &local = content.buckets[0], &remote = content.buckets[1];
    CHECK(local.visible == wire::scope::local);
    CHECK(remote.visible == wire::scope::remote);
    CHECK(keys_of(local.data) == std::string("g.u32 l.str ") + golden_keys + " g.env");
    CHECK(keys_of(remote.data) == std::string("g.u32 r.i16 ") + golden_keys + " g.env");
    check_golden_data(local.data);
    check_golden_data(remote.data);
    CHECK(at(local.data, "l.str").get<data_type::string>() == "local");
    CHECK(at(remote.data, "r.i16").get<data_type::int16>() == -2);
    CHECK(show(at(local.data, "g.env").packed()) == "0a 50 41 54 48 00 06 2f 78 00 3a");
}

TEST_CASE("a commit of release 2 lacks what its types cannot say")
{
    const auto content = content_of<commit>("msg-v2.2.5-commit-c2s");
    REQUIRE(content.buckets.size() == 2);
    CHECK(keys_of(content.buckets[0].data) == std::string("g.u32 l.str ") + golden_keys);
    check_golden_data(content.buckets[0].data);
    check_golden_data(content.buckets[1].data);
}

TEST_CASE("a commit for a peer whose module lacks a type is unencodable")
{
    const auto content = content_of<commit>("msg-debian-commit-c2s");
    CHECK(encode<wire::v21>(content, {}).error() == fault::unencodable);
    CHECK(encode<wire::v3>(content, {}));
    CHECK(encode<wire::v4>(content, {}));
}

TEST_CASE("a commit of nothing is only its command")
{
    CHECK(show(*encode<wire::v41>(commit(), {})) == "02 02");
    CHECK((decode<commit, wire::v41>(hex("02 02"), {}).value() == commit()));
    check_survives(commit{{{wire::scope::local, {}}, {wire::scope::global, {{"k", {}}}}}});
}

TEST_CASE("a commit whose bucket is of another kind than the connection is read as it says")
{
    const auto inner_described =
        hex("02 02 | 02 20 | 02 01 | 02 1a 02 07"); // cut short: COMMAND 34 is no SCOPE
    CHECK_FALSE((decode<commit, wire::v41>(inner_described, {})));
    const auto bucket =
        decode<commit, wire::v41>(hex("02 02 | 02 01 | 02 02 08 | 09 02 1c 04 6b00 0c 07"), {}).value();
    REQUIRE(bucket.buckets.size() == 1);
    CHECK((bucket.buckets[0] == commit::bucket{wire::scope::local, {{"k", value::of<data_type::uint8>(7)}}}));
    CHECK(decode<commit, wire::v41>(hex("02 02 | 02 01 | 02 03 05 | 02 04 6b00 00"), {}).error() ==
          fault::bad_buffer_kind);
    CHECK(decode<commit, wire::v41>(hex("02 02 | 02 01"), {}).error() == fault::truncated);
    CHECK(decode<commit, wire::v41>(hex("02 02 | 02 01 | 02 01 06 | 02 04 6b00 00 02"), {}).error() ==
          fault::truncated);
}

TEST_CASE("a get names one rank's key, and from release 2 no key")
{
    const auto content = same_content<get>(
        {"debian", "debian-fulldesc", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}, "get-peer-c2s");
    CHECK((content == get{"golden", 1, {}, "g.u32"}));
    CHECK((content_of<get>("msg-v2.2.5-get-peer-c2s") == get{"golden", 1, {}, std::nullopt}));
    const auto reserved =
        same_content<get>({"debian", "debian-fulldesc", "v4.2.9", "v5.0.10", "v6.1.0"}, "get-reserved-c2s");
    CHECK((reserved ==
           get{"golden", wire::rank::wildcard, {{"pmix.immediate", 0, value::boolean(true)}}, "pmix.nope"}));
}

TEST_CASE("the answer to a get is all data of a rank, in every release the same")
{
    const auto content = same_content<get_reply>(
        {"debian", "debian-fulldesc", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}, "get-peer-s2c");
    CHECK(content.result == wire::status::success);
    REQUIRE(content.sources.size() == 1);
    CHECK((content.sources[0].id == wire::proc{"golden", 1}));
    CHECK(keys_of(content.sources[0].data) == std::string("g.u32 l.str ") + golden_keys + " g.env");
    check_golden_data(content.sources[0].data, 301);

    const auto older = content_of<get_reply>("msg-v2.2.5-get-peer-s2c");
    REQUIRE(older.sources.size() >= 1);
    CHECK(at(older.sources.back().data, "g.u32").to_integer() == 301);
}

TEST_CASE("the answer to a get of nothing is a lone status")
{
    const auto nothing =
        same_content<get_reply>({"debian", "v4.2.9", "v5.0.10", "v6.1.0"}, "get-reserved-s2c");
    CHECK((nothing == get_reply{}));
    CHECK((content_of<get_reply>("msg-debian-fulldesc-get-reserved-s2c") ==
           get_reply{wire::status::not_found, {}}));
    check_survives(get_reply{wire::status::success,
                             {{{"a", wire::rank::wildcard}, {}}, {{"b", 0}, {{"k", value::rank(1)}}}}});
}

TEST_CASE("a publish has data and directives mixed, in every release the same")
{
    const auto content = same_content<publish>(
        {"debian", "debian-fulldesc", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}, "publish-c2s");
    CHECK((content == publish{0, {{"svc.a", 0, value::string("tcp://x")}, {"svc.b", 0, value::uint32(77)}}}));
}

TEST_CASE("a lookup names its keys one by one, in every release the same")
{
    const auto content =
        same_content<lookup>({"debian", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}, "lookup-c2s");
    CHECK((content == lookup{0, {"svc.a", "svc.b"}, {}}));
    const auto found = same_content<lookup_reply>(
        {"debian", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}, "lookup-found-s2c");
    CHECK((found == lookup_reply{wire::status::success,
                                 {{{"golden", 0}, "svc.a", value::string("tcp://x")},
                                  {{"golden", 0}, "svc.b", value::uint32(77)}}}));
    const auto failed = same_content<lookup_reply>(
        {"debian", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}, "lookup-failed-s2c");
    CHECK((failed == lookup_reply{wire::status::not_found, {}}));
}

TEST_CASE("an answer to a lookup has data exactly if it succeeded")
{
    CHECK(show(*encode<wire::v41>(lookup_reply{}, {})) == "02 00 02 00");
    CHECK(show(*encode<wire::v41>(lookup_reply{wire::status::not_found, {{{"n", 0}, "k", {}}}}, {})) ==
          "02 5b");
    CHECK(decode<lookup_reply, wire::v41>(hex("02 00"), {}).error() == fault::truncated);
    CHECK(decode<lookup_reply, wire::v41>(hex("02 5b 02 00"), {}).error() == fault::extra_bytes);
}

TEST_CASE("an unpublish names keys or means all")
{
    CHECK((content_of<unpublish>("msg-debian-unpublish-c2s") == unpublish{0, {"svc.a", "svc.b"}, {}}));
    check_survives(unpublish{1000, {}, {{"pmix.range", 0, value::of<data_type::data_range>(4)}}});
}
