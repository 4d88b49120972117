#include "../support/recorded.hpp"

#include <pmixio/message/event.hpp>

using namespace pmixio;
using namespace pmixio::test;
using namespace pmixio::message;
using wire::value;

namespace {

const wire::info payload{"my.evkey", 0, value::string("payload")};

// PMIX_EXTERNAL_ERR_BASE moved with release 4, and the test program's own code with it.
constexpr auto code_until_3 = wire::status{-3337}, code_since_4 = wire::status{-3007};

} // namespace

TEST_CASE("a notification has a code, a range and attributes")
{
    const auto since = same_content<notify>({"debian", "v4.2.9", "v5.0.10", "v6.1.0"}, "notify-c2s");
    CHECK((since == notify{code_since_4, wire::data_range::nspace, {payload}}));
    const auto before = same_content<notify>({"v2.2.5", "v3.2.5"}, "notify-c2s");
    CHECK((before == notify{code_until_3, wire::data_range::nspace, {payload}}));
}

TEST_CASE("an event has its source, and its range since release 4")
{
    const auto since = same_content<message::event>({"debian", "v4.2.9", "v5.0.10", "v6.1.0"}, "event-s2c");
    const wire::info internal{"pmix.srvr.internal.notify", 0, value::boolean(true)};
    CHECK((since ==
           message::event{code_since_4, {"golden", 0}, {payload, internal}, wire::data_range::nspace}));
    const auto before = same_content<message::event>({"v2.2.5", "v3.2.5"}, "event-s2c");
    CHECK((before == message::event{code_until_3, {"golden", 0}, {payload, internal}, std::nullopt}));
    CHECK(content_of<message::event>("msg-debian-fulldesc-event-s2c").code == code_since_4);
    CHECK(show(*encode<wire::v41>(message::event{wire::status::error, {"n", 0}, {}, {}}, {})) ==
          "02 0c 02 01 02 04 6e 00 00 02 00");
}

TEST_CASE("a registration names codes, or is for the default handler")
{
    const auto since = same_content<register_events>(
        {"debian", "debian-fulldesc", "v4.2.9", "v5.0.10", "v6.1.0"}, "regevents-c2s");
    CHECK((since == register_events{{code_since_4}, {}}));
    CHECK((content_of<register_events>("msg-v2.2.5-regevents-c2s") == register_events{{code_until_3}, {}}));
    CHECK((content_of<register_events>("msg-ompi414-regevents-c2s") == register_events{}));
    check_survives(
        register_events{{code_since_4, wire::status::error}, {{"pmix.evproc", 0, value::of_proc({"n", 1})}}});
}

TEST_CASE("a deregistration names codes to its end, and may name none")
{
    const auto since =
        same_content<deregister_events>({"debian", "v4.2.9", "v5.0.10", "v6.1.0"}, "deregevents-c2s");
    CHECK((since == deregister_events{{code_since_4}}));
    CHECK((content_of<deregister_events>("msg-v3.2.5-deregevents-c2s") == deregister_events{{code_until_3}}));
    CHECK((content_of<deregister_events>("msg-ompi414-deregevents-c2s") == deregister_events{}));
    const deregister_events all{{deregister_events::default_handler, code_since_4}};
    CHECK(show(*encode<wire::v41>(all, {})) == "02 0e 02 ff ff ff ff 0f 02 fd 2e");
    check_survives(all);
}
