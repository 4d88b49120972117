#include "support/peers.hpp"

#include <pmixio/host/events.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace pmixio;
using test::event_of;
using test::peer;
using wire::data_range;
using wire::status;
using wire::value;

constexpr auto ours = static_cast<status>(-1000), others = static_cast<status>(-1001);
constexpr auto default_handler = message::deregister_events::default_handler;

struct fixture {
    events known;
    peer source{{"a", 0}}, listener{{"a", 1}}, far{{"b", 0}};

    void add(peer& who, std::vector<status> codes = {})
    {
        known.add(who.from, {std::move(codes), {}},
                  notifier<message::event>::to<wire::v41>(detail::local_ptr<outlet>(who.out.get()), {}));
    }
    void notify(status code, data_range range = data_range::session, std::vector<wire::info> infos = {})
    {
        known.notify(source.from, {code, range, std::move(infos)});
    }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "an event reaches who has registered its code, as it was sent")
{
    add(listener, {others, ours});
    notify(ours, data_range::global, {{"k", 1, value::uint32(7)}});
    const auto event = event_of(listener);
    CHECK(event.code == ours);
    CHECK(event.source == wire::proc{"a", 0});
    CHECK(event.infos == std::vector<wire::info>{{"k", 1, value::uint32(7)}});
    CHECK(event.range == data_range::global);
}

TEST_CASE_FIXTURE(fixture, "an event does not reach who has registered other codes, or nothing")
{
    add(listener, {others});
    notify(ours);
    CHECK(listener.answers() == 0);
    CHECK(far.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "a default handler hears every code")
{
    add(listener);
    notify(ours);
    CHECK(event_of(listener).code == ours);
}

TEST_CASE_FIXTURE(fixture, "an event that says so does not reach default handlers, only its code's")
{
    add(listener);
    add(far, {ours});
    notify(ours, data_range::session, {{"pmix.evnondef", 0, {}}});
    CHECK(listener.answers() == 0);
    CHECK(far.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "an event reaches a session once, however often it registered")
{
    add(listener, {ours});
    add(listener, {ours, others});
    add(listener);
    notify(ours);
    CHECK(listener.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "an event does not reach the process it came from, in none of its sessions")
{
    peer child({"a", 0});
    add(source);
    add(child);
    add(listener);
    notify(ours);
    CHECK(source.answers() == 0);
    CHECK(child.answers() == 0);
    CHECK(listener.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "an event does not reach processes of another user")
{
    peer stranger({"c", 0}, 2000);
    add(stranger);
    add(far);
    notify(ours, data_range::global);
    CHECK(stranger.answers() == 0);
    CHECK(far.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "the range says whether other namespaces hear of an event")
{
    const auto heard = [&](data_range range) {
        peer near({"a", 2}), away({"b", 1});
        add(near);
        add(away);
        notify(ours, range);
        known.drop(near.from.session);
        known.drop(away.from.session);
        return near.answers() * 10 + away.answers();
    };
    CHECK(heard(data_range::undefined) == 11);
    CHECK(heard(data_range::local) == 11);
    CHECK(heard(data_range::session) == 11);
    CHECK(heard(data_range::global) == 11);
    CHECK(heard(data_range::nspace) == 10);
    CHECK(heard(data_range::resource_manager) == 0);
    CHECK(heard(data_range::proc_local) == 0);
    CHECK(heard(static_cast<data_range>(99)) == 0);
}

TEST_CASE_FIXTURE(fixture, "a custom range reaches the process it names")
{
    add(listener);
    add(far);
    notify(ours, data_range::custom, {{"pmix.evrange", 0, value::of_proc({"b", 0})}});
    CHECK(listener.answers() == 0);
    CHECK(far.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "a custom range may name all of a namespace")
{
    add(listener);
    add(far);
    notify(ours, data_range::custom, {{"pmix.evrange", 0, value::of_proc({"a", wire::rank::wildcard})}});
    CHECK(listener.answers() == 1);
    CHECK(far.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "a custom range that names nobody reaches nobody")
{
    add(listener);
    notify(ours, data_range::custom);
    notify(ours, data_range::custom, {{"pmix.evrange", 0, value::uint32(1)}});
    CHECK(listener.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "a code that was taken back is not heard any more, the others are")
{
    add(listener, {ours, others});
    known.remove(listener.from, {{ours}});
    notify(ours);
    CHECK(listener.answers() == 0);
    notify(others);
    CHECK(listener.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "the default handler goes by its own number, and codes stay")
{
    add(listener, {ours});
    add(listener);
    known.remove(listener.from, {{default_handler}});
    notify(others);
    CHECK(listener.answers() == 0);
    notify(ours);
    CHECK(listener.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "taking back what was never registered changes nothing")
{
    known.remove(listener.from, {{ours}});
    add(far);
    known.remove(listener.from, {{default_handler}});
    notify(ours);
    CHECK(far.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "a session that is dropped hears nothing")
{
    add(listener);
    known.drop(listener.from.session);
    known.drop(far.from.session);
    notify(ours);
    CHECK(listener.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "an event is not kept for who registers later")
{
    notify(ours);
    add(listener);
    CHECK(listener.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "a session may end while it, or another, is sent an event")
{
    add(listener);
    add(far);
    for (auto* each : {&listener, &far})
        each->out->on_send = [this] {
            known.drop(listener.from.session);
            known.drop(far.from.session);
        };
    notify(ours);
    CHECK(listener.answers() + far.answers() == 1);
}
