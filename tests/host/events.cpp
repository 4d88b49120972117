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
const wire::proc server{"server", 7};

limits bounds()
{
    limits l;
    l.kept_events = 3;
    l.registered_codes = 4;
    return l;
}
wire::info procs(const char* key, const wire::proc& who) { return {key, 0, value::of_proc(who)}; }

struct fixture {
    events known{bounds()};
    status registered = status::error;
    peer source{{"a", 0}}, listener{{"a", 1}}, far{{"b", 0}};

    void add(peer& who, std::vector<status> codes = {}, std::vector<wire::info> infos = {})
    {
        const message::register_events request{std::move(codes), std::move(infos)};
        registered =
            known.add(who.from, request,
                      notifier<message::event>::to<wire::v41>(detail::local_ptr<outlet>(who.out.get()), {}));
        known.catch_up(who.from, request);
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

// registrations for some processes

TEST_CASE_FIXTURE(fixture, "a registration may be for events that affect certain processes")
{
    add(listener, {ours}, {procs("pmix.evproc", {"a", 2})});
    add(far, {}, {procs("pmix.evaffected", {"a", wire::rank::wildcard})});
    const auto heard = [&](std::vector<wire::info> infos) {
        const auto near_before = listener.answers(), far_before = far.answers();
        notify(ours, data_range::session, std::move(infos));
        return (listener.answers() - near_before) * 10 + far.answers() - far_before;
    };
    CHECK(heard({procs("pmix.evproc", {"a", 2})}) == 11);
    CHECK(heard({procs("pmix.evproc", {"a", 3})}) == 1);
    CHECK(heard({procs("pmix.evproc", {"b", 2})}) == 0);
    CHECK(heard({procs("pmix.evaffected", {"a", wire::rank::wildcard})}) == 11);
    CHECK(heard({}) == 11);
}

TEST_CASE_FIXTURE(fixture, "registering a code for more processes adds them, and for all takes their place")
{
    add(listener, {ours}, {procs("pmix.evproc", {"a", 2})});
    add(listener, {ours}, {procs("pmix.evproc", {"a", 3})});
    notify(ours, data_range::session, {procs("pmix.evproc", {"a", 2})});
    notify(ours, data_range::session, {procs("pmix.evproc", {"a", 3})});
    notify(ours, data_range::session, {procs("pmix.evproc", {"a", 4})});
    CHECK(listener.answers() == 2);
    add(far, {ours}, {procs("pmix.evproc", {"a", 2})});
    add(far, {ours});
    const auto before = far.answers();
    notify(ours, data_range::session, {procs("pmix.evproc", {"a", 4})});
    CHECK(far.answers() == before + 1);
}

TEST_CASE_FIXTURE(fixture,
                  "codes and the processes they are for are counted, and what is too much changes nothing")
{
    add(listener, {ours}, {procs("pmix.evproc", {"a", 2})}); // 2
    CHECK(registered == status::success);
    add(listener, {others, static_cast<status>(-1002)}); // 4
    CHECK(registered == status::success);
    add(listener);
    CHECK(registered == status::out_of_resource);
    notify(static_cast<status>(-1003));
    CHECK(listener.answers() == 0);
    known.remove(listener.from, {{others}});
    add(listener);
    CHECK(registered == status::success);
}

// later registrations

TEST_CASE_FIXTURE(fixture, "an event is kept for who registers its code later, and sent once")
{
    notify(ours, data_range::session, {{"k", 0, value::uint32(7)}});
    add(listener, {others});
    CHECK(listener.answers() == 0);
    add(listener, {ours});
    CHECK(event_of(listener).infos == std::vector<wire::info>{{"k", 0, value::uint32(7)}});
    known.remove(listener.from, {{ours}});
    add(listener, {ours});
    CHECK(listener.answers() == 1);
    add(far, {ours});
    CHECK(far.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "who had an event when it happened does not have it again")
{
    add(listener);
    notify(ours);
    add(listener, {ours});
    CHECK(listener.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "a default handler hears nothing of what was before it")
{
    notify(ours);
    add(listener);
    CHECK(listener.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "what is kept reaches nobody whom it would not have reached")
{
    notify(ours, data_range::nspace, {procs("pmix.evproc", {"a", 2})});
    peer child({"a", 0}), stranger({"a", 3}, 2000);
    for (auto* each : {&child, &stranger, &far})
        add(*each, {ours});
    add(listener, {ours}, {procs("pmix.evproc", {"a", 3})});
    CHECK(child.answers() + stranger.answers() + far.answers() + listener.answers() == 0);
    peer root({"a", 4}, 0);
    add(root, {ours});
    CHECK(root.answers() == 1);
}

TEST_CASE_FIXTURE(fixture, "an event is not kept if it says so, or can reach nobody")
{
    notify(ours, data_range::session, {{"pmix.evnocache", 0, {}}});
    notify(ours, data_range::proc_local);
    notify(ours, data_range::resource_manager);
    notify(ours, data_range::custom);
    CHECK(known.kept() == 0);
}

TEST_CASE_FIXTURE(fixture, "an event for named processes is kept until all of them have had it")
{
    peer other({"a", 2});
    add(listener, {ours});
    notify(ours, data_range::custom,
           {{"pmix.evrange", 0, value::processes(std::vector<wire::proc>{{"a", 1}, {"a", 2}, {"b", 0}})}});
    CHECK(listener.answers() == 1);
    add(other, {ours});
    CHECK(other.answers() == 1);
    CHECK(known.kept() == 1);
    add(far, {ours});
    CHECK(far.answers() == 1);
    CHECK(known.kept() == 0);
}

TEST_CASE_FIXTURE(fixture, "the oldest events of a user make room for new ones, those of others stay")
{
    known.notify(peer({"c", 0}, 2000).from, {ours, data_range::session, {}});
    for (int i = 0; i != 5; ++i)
        notify(static_cast<status>(-1010 - i));
    CHECK(known.kept() == 4);
    add(listener, {static_cast<status>(-1010), static_cast<status>(-1011)});
    CHECK(listener.answers() == 0);
    add(listener, {static_cast<status>(-1012), static_cast<status>(-1013), static_cast<status>(-1014)});
    CHECK(registered == status::out_of_resource); // which does not matter to what was
    add(far, {static_cast<status>(-1012)});
    CHECK(far.answers() == 1);
}

TEST_CASE("an event that is as large as all that may be kept is kept alone, a larger one not at all")
{
    const auto kept = [](std::size_t room, int times) {
        limits l;
        l.kept_event_bytes = room;
        events known{l};
        for (int i = 0; i != times; ++i)
            known.notify(peer({"a", 0}).from, {ours, data_range::session, {{"k", 0, value::string("text")}}});
        return known.kept();
    };
    std::size_t one = 0;
    while (kept(one, 1) == 0)
        ++one;
    CHECK(one > sizeof(wire::info));
    CHECK(kept(one, 2) == 1);
    CHECK(kept(2 * one - 1, 2) == 1);
    CHECK(kept(2 * one, 2) == 2);
    CHECK(kept(one - 1, 2) == 0);
}

TEST_CASE_FIXTURE(fixture, "events go with the namespace of who told them")
{
    notify(ours);
    known.notify(far.from, {ours, data_range::session, {}});
    known.forget("a");
    CHECK(known.kept() == 1);
    add(listener, {ours});
    CHECK(event_of(listener).source == wire::proc{"b", 0});
}

TEST_CASE_FIXTURE(fixture, "a session may end while it is sent what was kept")
{
    notify(ours);
    notify(ours);
    listener.out->on_send = [this] { known.drop(listener.from.session); };
    add(listener, {ours});
    CHECK(listener.answers() == 1);
}

// lost processes

TEST_CASE_FIXTURE(fixture, "those of its job who have asked for it hear of a process that is lost, once")
{
    peer by_default({"a", 2}), other_name({"a", 3}), both({"a", 4}), late({"a", 5}), again({"a", 0});
    add(listener, {status::process_terminated});
    add(by_default);
    add(other_name, {status::process_ended});
    add(both, {status::process_ended, status::process_terminated});
    add(far, {status::process_terminated});
    add(again, {status::process_terminated});
    known.lost(source.from.who, source.from.uid, server, {}, true);
    add(late, {status::process_ended});
    CHECK(event_of(listener) ==
          message::event{status::process_terminated,
                         server,
                         {procs("pmix.evproc", {"a", 0}), {"pmix.evnondef", 0, value::boolean(true)}},
                         data_range::nspace});
    CHECK(event_of(other_name).code == status::process_ended);
    CHECK(event_of(both).code == status::process_terminated);
    CHECK(event_of(late).code == status::process_ended);
    CHECK(by_default.answers() + far.answers() + again.answers() == 0);
}

TEST_CASE_FIXTURE(fixture,
                  "those it was connected with hear of a lost process by their default handlers too, once")
{
    peer of_job({"a", 2});
    add(listener, {status::process_terminated});
    add(of_job);
    add(far);
    known.lost(source.from.who, source.from.uid, server, {{"a", 1}, {"b", 0}}, true);
    CHECK(listener.answers() == 1);
    CHECK(far.answers() == 1);
    CHECK(of_job.answers() == 0);
}

TEST_CASE_FIXTURE(fixture, "a job that ends is not told of its processes one by one")
{
    add(listener, {status::process_terminated});
    known.lost(source.from.who, source.from.uid, server, {}, false);
    CHECK(listener.answers() == 0);
    CHECK(known.kept() == 0);
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
