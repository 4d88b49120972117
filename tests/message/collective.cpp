#include "../support/recorded.hpp"

#include <pmixio/message/collective.hpp>

using namespace pmixio;
using namespace pmixio::test;
using namespace pmixio::message;
using wire::value;

namespace {

const std::vector<wire::proc> everybody{{"golden", wire::rank::wildcard}};
const std::vector<wire::proc> both{{"golden", 0}, {"golden", 1}};

wire::agreement client(const char* release)
{
    return {wire::buffer_kind::non_described, wire::release::parse(release)};
}

} // namespace

TEST_CASE("a fence names its participants and whether to collect, in every release the same")
{
    const auto barrier =
        same_content<fence>({"debian", "debian-fulldesc", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"},
                            "fence-barrier-c2s");
    CHECK((barrier.processes == everybody));
    CHECK(barrier.infos.empty());
    const auto collect =
        same_content<fence>({"debian", "debian-fulldesc", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"},
                            "fence-collect-c2s");
    CHECK((collect.processes == everybody));
    CHECK((collect.infos == std::vector<wire::info>{{"pmix.collect", 0, value::boolean(true)}}));
    const auto done =
        same_content<status_reply>({"debian", "debian-fulldesc", "ompi414"}, "fence-collect-s2c");
    CHECK((done == status_reply{}));
    CHECK_FALSE((barrier == collect));
}

TEST_CASE("the worked example of a fence is read and written")
{
    const auto payload = hex("02 03 | 02 01 | 02 0e 67 6f 6c 64 65 6e 00 fe ff ff ff 0f | 02 01 | 02 1a") +
                         bytes_of("pmix.collect") + hex("00 00 01 01");
    CHECK((payload == open("msg-debian-fence-collect-c2s").payload));
    fence content;
    content.processes = everybody;
    content.infos = {{"pmix.collect", 0, value::boolean(true)}};
    CHECK(show(*encode<wire::v41>(content, {})) == show(payload));
}

TEST_CASE("connect and disconnect name their participants")
{
    const auto older =
        same_content<message::connect>({"debian", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10"}, "connect-c2s");
    CHECK((older.processes == everybody));
    CHECK(older.infos.empty());
    CHECK_FALSE(older.put_data.has_value());
    CHECK((content_of<disconnect>("msg-debian-disconnect-c2s").processes == everybody));
}

TEST_CASE("a connect of release 6 carries what the caller has put")
{
    const auto content = content_of<message::connect>("msg-v6.1.0-connect-c2s");
    CHECK((content.processes == everybody));
    REQUIRE(content.put_data.has_value());
    CHECK(content.put_data->key == "pmix.pdata");
    CHECK(content.put_data->content.is(data_type::data_array));
    CHECK(content.put_data->content.newest() == data_type::envar);
    auto without = content;
    without.put_data.reset();
    CHECK_FALSE((without == content));
    check_survives(content, "6.1.0");
    check_survives(without, "6.1.0");
}

TEST_CASE("the answer to a connect has the data of the other namespaces")
{
    const auto alone = same_content<connect_reply>(
        {"debian", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}, "connect-s2c");
    CHECK((alone == connect_reply{}));
    check_survives(connect_reply{wire::status::success,
                                 {{"job2", {{"pmix.job.size", value::uint32(2)}}}, {"job3", {}}}});
    check_survives(connect_reply{wire::status::timeout, {}});
}

TEST_CASE("a group is constructed by name, members and attributes")
{
    const auto content =
        same_content<group_construct>({"debian", "v4.2.9", "v5.0.10"}, "group_construct-c2s");
    CHECK((content == group_construct{"g1", both, {{"pmix.grp.actxid", 0, value::boolean(true)}}}));
    const auto newest = content_of<group_construct>("msg-v6.1.0-group_construct-c2s");
    CHECK(newest.group == "g1");
    CHECK((newest.processes == both));
    REQUIRE(newest.infos.size() == 2);
    CHECK(newest.infos[1].key == "pmix.pdata");
}

TEST_CASE("a group is destructed with its members since 4.2.4")
{
    CHECK((content_of<group_destruct>("msg-debian-group_destruct-c2s") == group_destruct{"g1", {}, {}}));
    const auto since = same_content<group_destruct>({"v4.2.9", "v5.0.10", "v6.1.0"}, "group_destruct-c2s");
    CHECK((since == group_destruct{"g1", both, {}}));
    const group_destruct content{"g", {{"n", 0}}, {}};
    CHECK(show(*encode<wire::v41>(content, client("4.2.3"))) == "02 1c 02 04 67 00 02 00");
    CHECK(show(*encode<wire::v41>(content, client("4.2.4"))) ==
          "02 1c 02 04 67 00 02 01 02 04 6e 00 00 02 00");
}

TEST_CASE("a group is left by its name")
{
    const group_leave content{"g", {{"k", 0, value::boolean(true)}}};
    CHECK(show(*encode<wire::v41>(content, {})) == "02 1b 02 04 67 00 02 01 02 04 6b 00 00 01 01");
    check_survives(content);
    check_survives(group_leave{"g", {}}, "2.2.5");
    CHECK_FALSE((content == group_leave{"g", {}}));
}

TEST_CASE("the answer to a group construct has the layout of the client's release")
{
    CHECK((content_of<group_reply>("msg-debian-group_construct-s2c") ==
           group_reply{wire::status::success, {}, 1}));
    const auto later = same_content<group_reply>({"v4.2.9", "v5.0.10", "v6.1.0"}, "group_construct-s2c");
    CHECK((later == group_reply{wire::status::success, both, 1}));

    const group_reply with_context{wire::status::success, {{"n", 0}}, 5},
        without{wire::status::success, {{"n", 0}}, {}};
    struct row {
        const char* release;
        std::string_view with_context, without;
    };
    for (const auto& each : {
             row{"2.2.5", "02 00 02 05", "02 00"},
             row{"4.2.2", "02 00 02 05", "02 00"},
             row{"4.2.3", "02 00 02 05", "02 00"},
             row{"4.2.4", "02 00 02 01 02 04 6e 00 00 02 05", "02 00 02 01 02 04 6e 00 00"},
             row{"4.2.9", "02 00 02 01 02 04 6e 00 00 02 05", "02 00 02 01 02 04 6e 00 00"},
             row{"5.0.10", "02 00 02 01 02 04 6e 00 00 02 05", "02 00 02 01 02 04 6e 00 00"},
             row{"6.0.0", "02 00 02 01 02 04 6e 00 00 02 01 02 05", "02 00 02 01 02 04 6e 00 00 02 00"},
             row{"6.1.0", "02 00 02 01 02 04 6e 00 00 02 01 02 05 02 00",
                 "02 00 02 01 02 04 6e 00 00 02 00 02 00"},
         }) {
        CAPTURE(std::string_view(each.release));
        const auto with = client(each.release);
        const bool has_members = with.release >= wire::release{4, 2, 4};
        CHECK(show(*encode<wire::v41>(with_context, with)) == each.with_context);
        CHECK(show(*encode<wire::v41>(without, with)) == each.without);
        const auto read = decode<group_reply, wire::v41>(hex(each.with_context), with).value();
        CHECK(read.context == 5);
        CHECK(read.members.size() == (has_members ? 1 : 0));
        CHECK_FALSE(decode<group_reply, wire::v41>(hex(each.without), with).value().context.has_value());
        const group_reply failed{wire::status::timeout, {{"n", 0}}, 5};
        CHECK(show(*encode<wire::v41>(failed, with)) == "02 2f");
        CHECK((decode<group_reply, wire::v41>(hex("02 2f"), with).value() ==
               group_reply{wire::status::timeout, {}, {}}));
        CHECK(decode<group_reply, wire::v41>(hex("02 2f 02 00"), with).error() == fault::extra_bytes);
    }
}

TEST_CASE("a group reply of release 6 that announces a context has one")
{
    for (const char* release : {"6.0.0", "6.1.0"})
        CHECK(decode<group_reply, wire::v41>(hex("02 00 02 00 02 01"), client(release)).error() ==
              fault::truncated);
}

TEST_CASE("a group reply of release 6.1 that announces attributes has them")
{
    CHECK_FALSE((decode<group_reply, wire::v41>(hex("02 00 02 00 02 00 02 07"), client("6.1.0"))));
}
