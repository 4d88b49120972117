#include "../support/recorded.hpp"

#include <pmixio/message/spawn.hpp>

using namespace pmixio;
using namespace pmixio::test;
using wire::value;

TEST_CASE("a spawn names the applications of one job")
{
    check_survives(message::spawn{
        {{"pmix.mapby", 0, value::string("slot")}},
        {{"a", {"a", "-x"}, {"E=1"}, "/tmp", 2, {{"k", 0, {}}}}, {std::nullopt, {}, {}, {}, 0, {}}}});
    CHECK(show(*encode<wire::v41>(message::spawn{{}, {{"a", {}, {}, std::nullopt, 1, {}}}}, {})) ==
          "02 09 02 00 02 01 02 04 61 00 00 00 00 02 00");
}

TEST_CASE("the answer to a spawn has the name of the job, and may have data of it")
{
    check_survives(message::spawn_reply{wire::status::success, "job", {{"pmix.job.size", value::uint32(2)}}});
    CHECK(show(*encode<wire::v41>(message::spawn_reply{wire::status::success, "j", {}}, {})) ==
          "02 00 02 04 6a 00");
    CHECK(show(*encode<wire::v41>(message::spawn_reply{wire::status::error, "j", {}}, {})) == "02 01");
}
