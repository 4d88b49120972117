#include "../support/recorded.hpp"

#include <pmixio/message/control.hpp>

using namespace pmixio;
using namespace pmixio::test;
using wire::value;

TEST_CASE("a query asks for keys")
{
    CHECK((content_of<message::query>("msg-debian-query-c2s") == message::query{{{{"pmix.qry.ns"}, {}}}}));
    const auto answer =
        same_content<message::infos_reply>({"debian", "v4.2.9", "v5.0.10", "v6.1.0"}, "query-s2c");
    REQUIRE(answer.infos.has_value());
    CHECK((*answer.infos == std::vector<wire::info>{{"pmix.qry.ns", 0, value::string("answer-from-host")}}));
    check_survives(message::query{{{{"a", "b"}, {{"q", 8, value::rank(1)}}}, {{}, {}}}});
}

TEST_CASE("a log has a timestamp since release 3")
{
    const auto content = content_of<message::log>("msg-debian-log-c2s");
    CHECK(content.timestamp == 0);
    CHECK((content.data == std::vector<wire::info>{{"pmix.log.stderr", 0, value::string("hi\n")}}));
    CHECK(content.directives.empty());

    const message::log late{1700000000, {{"k", 0, {}}}, {}};
    struct row {
        const char* release;
        std::string_view text;
        std::uint64_t timestamp;
    };
    for (const auto& each : {
             row{"2.2.5", "02 10 02 01 02 04 6b 00 00 00 02 00", 0},
             row{"3.0.0", "02 10 02 80 e2 cf aa 06 02 01 02 04 6b 00 00 00 02 00", 1700000000},
             row{"3.2.5", "02 10 02 80 e2 cf aa 06 02 01 02 04 6b 00 00 00 02 00", 1700000000},
             row{"6.1.0", "02 10 02 80 e2 cf aa 06 02 01 02 04 6b 00 00 00 02 00", 1700000000},
         }) {
        CAPTURE(std::string_view(each.release));
        const wire::agreement with{wire::buffer_kind::non_described, wire::release::parse(each.release)};
        CHECK(show(*encode<wire::v41>(late, with)) == each.text);
        const auto read = decode<message::log, wire::v41>(hex(each.text), with).value();
        CHECK(read.timestamp == each.timestamp);
        CHECK((read.data == late.data));
    }
    check_survives(late);
}

TEST_CASE("job control names targets and directives, and its answer may be a lone status")
{
    check_survives(
        message::job_control{{{"golden", 0}}, {{"pmix.reg.cleanupdir", 0, value::string("/tmp/x")}}});
    check_survives(message::job_control{});
    const auto answer = content_of<message::infos_reply>("msg-ompi414-job_control-s2c");
    CHECK((answer == message::infos_reply{}));
    CHECK_FALSE(answer.infos.has_value());
}

TEST_CASE("an answer with no attributes differs from one that does not speak of them")
{
    CHECK(show(*encode<wire::v41>(message::infos_reply{}, {})) == "02 00");
    CHECK(show(*encode<wire::v41>(message::infos_reply{wire::status::success, {{}}}, {})) == "02 00 02 00");
    check_survives(message::infos_reply{wire::status::partial_success, {{{"k", 0, value::uint64(1)}}}});
}
