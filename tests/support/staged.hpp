// A server whose connections are scripted streams, and what must hold when the last of them has ended.
#pragma once

#include "manual_clock.hpp"
#include "memory_socket.hpp"
#include "run.hpp"
#include "served.hpp"

#include <pmixio/reporting.hpp>

#include <memory>
#include <optional>

namespace pmixio::test {

struct staged_site : open_site {
    using clock = manual_clock;
};

/// One server, one connection: a client of job "b", which has one process.
struct stage {
    using server_type = server<staged_site, no_host, memory_socket>;

    explicit stage(std::size_t chunk = memory_stream::whole, trouble script = {},
                   bytes greeting = hello_bytes({"b", 0}, "6.1.0"), const server_settings<staged_site>& settings = {})
        : far(io.get_executor(), std::move(greeting), chunk, script),
          under_test(std::make_unique<server_type>(io.get_executor(), jobs, settings))
    {
        far.stall();
    }
    /// Whole and without trouble.
    explicit stage(const limits& bounds, bytes greeting = hello_bytes({"b", 0}, "6.1.0"))
        : stage(memory_stream::whole, {}, std::move(greeting), with(bounds))
    {}
    static server_settings<staged_site> with(const limits& bounds)
    {
        server_settings<staged_site> settings;
        settings.limits = bounds;
        return settings;
    }

    asio::awaitable<result<void>> admit() { return under_test->admit(memory_socket(far)); }
    void poll()
    {
        io.restart();
        io.poll();
    }

    /// One of every command a client of today's server gets an answer to; the last is its good-bye.
    static bytes requests()
    {
        std::uint32_t tag = wire::first_request_tag;
        bytes all;
        const auto add = [&](const auto& request) { all = all + make_frame<wire::v41>(++tag, request, {}).value(); };
        add(message::req{});
        add(message::register_events{});
        add(message::commit{{{wire::scope::local, {{"k", wire::value::uint32(7)}}}}});
        add(message::get{"b", 0, {}, "k"});
        add(message::get{"a", 0, {}, "nothing yet"}); // held
        const auto number = [](const char* name, std::int32_t n) {
            return wire::info{name, 0, wire::value::of<wire::data_type::int32>(n)};
        };
        add(message::get{"a", 0, {number("pmix.timeout", 3600)}, "nothing yet"});
        message::fence f;
        f.processes = {{"b", wire::rank::wildcard}};
        add(f);
        const auto until_it_departs = number("pmix.persist", static_cast<std::int32_t>(wire::persistence::process));
        add(message::publish{0, {until_it_departs, number("service", 1), number("another", 2)}});
        add(message::lookup{0, {"service"}, {}});
        add(message::lookup{0, {"nothing yet"}, {number("pmix.wait", 0)}}); // held
        add(message::lookup{0, {"nothing yet"}, {number("pmix.wait", 0), number("pmix.timeout", 3600)}});
        add(message::unpublish{0, {"service"}, {}});
        message::connect c;
        c.processes = f.processes;
        add(c);
        c.processes.push_back({"a", 0}); // pending
        c.processes.push_back({"b", 0});
        add(c);
        message::disconnect d;
        d.processes = f.processes;
        add(d);
        add(message::group_construct{"a group", {{"b", 0}}, {{"pmix.grp.actxid", 0, wire::value::boolean(true)}}});
        add(message::group_construct{"a pending group with a long name", {{"a", 0}, {"b", 0}}, {}});
        add(message::group_destruct{"a group", {}, {}});
        add(message::group_leave{"a group", {}});
        add(message::notify{wire::status::group_construct_complete,
                            wire::data_range::custom,
                            {{"pmix.grp.id", 0, wire::value::string("another group with a long name")},
                             {"pmix.evrange", 0, wire::value::of_proc({"b", 0})}}});
        add(message::query{{{{"pmix.qry.ns"}, {}}}});
        add(message::resolve_peers{{}, "a"});
        add(message::resolve_node{"a"});
        add(message::get_credential{});
        add(message::validate_credential{wire::byte_buffer(8), {}});
        add(message::notify{});
        add(message::iof_pull{{{"a", wire::rank::wildcard}}, {}, message::channels::out, 0});
        add(message::iof_pull{{{"a", 0}, {"a", 1}}, {}, message::channels::err, 1});
        add(message::iof_deregister{{}, 1});
        add(message::iof_push{{{"a", 0}}, {}, {}});
        add(message::allocate{});
        add(message::job_control{
            {{"b", 0}}, {{"pmix.reg.cleanup", 0, wire::value::string("/there is/no such file,/and no other/")}}});
        message::monitor m;
        m.what = {"pmix.monitor.mbeat", 0, wire::value::boolean(true)};
        m.directives = {number("pmix.monitor.btime", 3600), {"pmix.monitor.id", 0, wire::value::string("a monitor of its own")}};
        add(m);
        add(message::finalize{});
        return all;
    }

    /// What holds once nothing is connected, in words; empty if all does.
    std::string left_over() const
    {
        const auto& s = *under_test;
        const auto& seen = under_test->observer();
        std::string left;
        const auto none = [&](const char* what, std::size_t n) {
            if (n != 0)
                left += std::to_string(n) + ' ' + what + "; ";
        };
        none("sessions", s.sessions());
        none("handshakes", s.pending_handshakes());
        none("held gets", s.held_gets());
        none("collectives", s.pending_collectives());
        none("held lookups", s.held_lookups());
        none("published bytes", s.published_bytes());
        none("groups", s.groups());
        none("registrations for output", s.output_pulls());
        none("monitors", s.monitors());
        none("bytes of cleanup", s.cleanup_bytes());
        none("connections of the process", jobs.find(wire::proc{"b", 0})->connections);
        none("open streams", far.is_open());
        none("calls under way", far.busy());
        if (seen.accepted != seen.admitted + seen.refused || seen.admitted != seen.closed || seen.sessions != 0)
            left += "the counters do not add up: " + to_json(seen);
        return left;
    }

    asio::io_context io;
    mutable registry jobs{{"a", 2, ::geteuid(), ::getegid()}, {"b", 1, ::geteuid(), ::getegid()}};
    memory_stream far;
    std::unique_ptr<server_type> under_test;
};

} // namespace pmixio::test
