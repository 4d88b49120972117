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

TEST_CASE("requests for resources, watching and credentials, and their answers")
{
    check_survives(message::allocate{1, {{"pmix.alloc.nodes", 0, value::uint64(2)}}});
    check_survives(
        message::monitor{{"pmix.monitor.beat", 0, {}}, wire::status::error, {{"k", 8, value::uint32(5)}}});
    check_survives(message::get_credential{{{"k", 0, {}}}});
    check_survives(message::validate_credential{bytes(3, std::byte{7}), {}});
    check_survives(message::credential_reply{wire::status::success, bytes(2, std::byte{9}), {{"k", 0, {}}}});
    CHECK(show(*encode<wire::v41>(message::allocate{3, {}}, {})) == "02 11 02 03 02 00");
    CHECK(show(*encode<wire::v41>(message::monitor{{"k", 0, {}}, wire::status::error, {}}, {})) ==
          "02 13 02 04 6b 00 00 00 02 01 02 00");
    CHECK(show(*encode<wire::v41>(message::credential_reply{wire::status::success, {std::byte{9}}, {}},
                                  {})) == "02 00 02 01 09 02 00");
}

TEST_CASE("a fabric is registered with attributes, and asked about by its number")
{
    check_survives(message::fabric_register{{{"pmix.fab.vndr", 0, value::string("v")}}});
    check_survives(message::fabric_update{300});
    CHECK(show(*encode<wire::v41>(message::fabric_register{}, {})) == "02 1e 02 00");
    CHECK(show(*encode<wire::v41>(message::fabric_update{300}, {})) == "02 1f 02 ac 02");
}

TEST_CASE("who is where, and the answers")
{
    check_survives(message::resolve_peers{"node", std::nullopt});
    check_survives(message::resolve_node{"job"});
    check_survives(message::peers_reply{wire::status::success, {{"job", 0}, {"job", 3}}});
    check_survives(message::nodes_reply{wire::status::success, "a,b"});
    CHECK(show(*encode<wire::v41>(message::resolve_peers{std::nullopt, "j"}, {})) ==
          "02 25 02 00 02 04 6a 00");
    CHECK(show(*encode<wire::v41>(message::resolve_node{std::nullopt}, {})) == "02 26 02 00");
    CHECK(show(*encode<wire::v41>(message::nodes_reply{wire::status::success, "a"}, {})) ==
          "02 00 02 04 61 00");
}

TEST_CASE("a failure is a lone status")
{
    const auto failed = wire::status::not_found;
    CHECK(show(*encode<wire::v41>(message::credential_reply{failed, {std::byte{9}}, {}}, {})) == "02 5b");
    CHECK(show(*encode<wire::v41>(message::peers_reply{failed, {{"a", 0}}}, {})) == "02 5b");
    CHECK(show(*encode<wire::v41>(message::nodes_reply{failed, "a"}, {})) == "02 5b");
    CHECK((decode<message::nodes_reply, wire::v41>(hex("02 5b"), {}).value() ==
           message::nodes_reply{failed, ""}));
}
