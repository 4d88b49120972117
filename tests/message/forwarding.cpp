#include "../support/recorded.hpp"

#include <pmixio/message/forwarding.hpp>

using namespace pmixio;
using namespace pmixio::test;
using message::channels;

TEST_CASE("pulling output, and the answer")
{
    check_survives(message::iof_pull{{{"job", 0}}, {{"k", 0, {}}}, channels::out | channels::err, 3});
    check_survives(message::iof_pull_reply{wire::status::success, 300});
    check_survives(message::iof_deregister{{{"k", 0, {}}}, 300});
    CHECK(show(*encode<wire::v41>(message::iof_pull{{{"j", 0}}, {}, channels::err, 300}, {})) ==
          "02 16 02 01 02 04 6a 00 00 02 00 02 04 02 ac 02");
    CHECK(show(*encode<wire::v41>(message::iof_pull_reply{wire::status::success, 1}, {})) == "02 00 02 01");
    CHECK(show(*encode<wire::v41>(message::iof_pull_reply{wire::status::not_found, 1}, {})) == "02 5b");
    CHECK(show(*encode<wire::v41>(message::iof_deregister{{}, 1}, {})) == "02 1d 02 00 02 01");
}

TEST_CASE("pushing input, whose end has no data")
{
    check_survives(message::iof_push{{{"job", 0}}, {}, bytes(3, std::byte{'x'})});
    check_survives(message::iof_push{{}, {{"k", 0, {}}}, std::nullopt});
    CHECK(show(*encode<wire::v41>(message::iof_push{{}, {}, bytes(1, std::byte{'x'})}, {})) ==
          "02 17 02 00 02 00 02 01 78");
    CHECK(show(*encode<wire::v41>(message::iof_push{}, {})) == "02 17 02 00 02 00");
}

TEST_CASE("forwarded output has no command")
{
    check_survives(message::output{{"job", 1}, channels::out, 7, {{"k", 0, {}}}, bytes(2, std::byte{'x'})});
    CHECK(show(*encode<wire::v41>(message::output{{"j", 1}, channels::out, 7, {}, bytes(1, std::byte{'x'})},
                                  {})) == "02 04 6a 00 01 02 02 02 07 02 00 02 01 78");
}
