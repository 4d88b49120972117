// JOB_CONTROL, MONITOR and LOG as a server serves them: itself, and by its host.
#include "support/run.hpp"
#include "support/served.hpp"
#include "support/staged.hpp"
#include "support/temporary_directory.hpp"

#include <pmixio/server.hpp>

#include <doctest/doctest.h>

#include <signal.h>

#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace pmixio;
using test::client;
using test::open_site;
using test::payload;
using test::running;
using wire::status;
using wire::value;

constexpr auto all = wire::rank::wildcard;

wire::info text(const char* name, const std::string& s) { return {name, 0, value::string(s)}; }
wire::info flag(const char* name, bool on = true) { return {name, 0, value::boolean(on)}; }
wire::info number(const char* name, std::int32_t n)
{
    return {name, 0, value::of<wire::data_type::integer>(n)};
}

/// Logs nothing before it is told.
struct patient_host {
    asio::steady_timer* waiting = nullptr;

    asio::awaitable<status> log_entry(requester, pmixio::log_entry)
    {
        asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
        waiting = &never;
        std::error_code woken;
        co_await never.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        waiting = nullptr;
        co_return status::success;
    }
};

/// Writes down what it is asked.
struct busy_host {
    std::vector<std::pair<std::vector<wire::proc>, int>> signals;
    std::vector<std::string> logged;
    std::size_t controlled = 0, watched = 0;
    status outcome = status::success;

    asio::awaitable<status> signal(requester, signal_request request)
    {
        signals.emplace_back(std::move(request.targets), request.signal);
        co_return outcome;
    }
    asio::awaitable<status> log_entry(requester from, pmixio::log_entry entry)
    {
        if (entry.channel == key::log_syslog)
            co_return status::not_supported;
        logged.push_back(from.who.nspace + ':' + log_text(entry));
        co_return outcome;
    }
};
struct eager_host : busy_host {
    asio::awaitable<message::infos_reply> job_control(requester, message::job_control request)
    {
        controlled = request.directives.size();
        co_return message::infos_reply{status::success, std::vector{flag("done")}};
    }
    asio::awaitable<message::infos_reply> monitor(requester, message::monitor)
    {
        ++watched;
        co_return message::infos_reply{status::exists, {}};
    }
};

template <class Host>
struct busy {
    explicit busy(const limits& bounds = {}) : s(host, with(bounds)) {}
    static server_settings<open_site> with(const limits& bounds)
    {
        server_settings<open_site> settings;
        settings.limits = bounds;
        return settings;
    }

    Host host;
    running<open_site, Host> s;
    client<running<open_site, Host>> c{s, {"a", 0}};

    status control(std::vector<wire::info> directives, std::vector<wire::proc> targets = {})
    {
        return c.ask(message::job_control{std::move(targets), std::move(directives)});
    }
    status log(std::vector<wire::info> data, std::vector<wire::info> directives = {})
    {
        send_log(std::move(data), std::move(directives));
        return payload<message::status_reply>(c.answer()).result;
    }
    void send_log(std::vector<wire::info> data, std::vector<wire::info> directives = {})
    {
        constexpr wire::agreement with_timestamp{wire::buffer_kind::non_described, {4, 2, 2}};
        const message::log request{0, std::move(data), std::move(directives)};
        c.write(make_frame<wire::v41>(++c.tag, request, with_timestamp).value());
    }
};

using processes = std::vector<wire::proc>;

} // namespace

TEST_CASE_FIXTURE(busy<busy_host>,
                  "signals are named or numbered, and go to the requester's namespace or to targets")
{
    CHECK(control({number("pmix.jctrl.sig", SIGUSR2)}) == status::success);
    CHECK(control({flag("pmix.jctrl.kill")}, {{"a", 1}}) == status::success);
    CHECK(control({{"pmix.jctrl.term", 0, {}}}, {{"b", 0}, {"a", 1}, {"a", 1}}) == status::success);
    CHECK(control({flag("pmix.jctrl.pause")}, {{"a", 1}, {"a", all}, {"a", all}}) == status::success);
    CHECK(control({flag("pmix.jctrl.resume"), text("pmix.jctrl.id", "mine")}, {{"b", all}}) ==
          status::success);
    const decltype(host.signals) expected{{{{"a", 0}, {"a", 1}}, SIGUSR2},
                                          {{{"a", 1}}, SIGKILL},
                                          {{{"a", 1}, {"b", 0}}, SIGTERM},
                                          {{{"a", 0}, {"a", 1}}, SIGSTOP},
                                          {{{"b", 0}}, SIGCONT}};
    CHECK((host.signals == expected));
    host.outcome = status::no_permissions;
    CHECK(control({flag("pmix.jctrl.kill")}) == status::no_permissions);
}

TEST_CASE_FIXTURE(busy<busy_host>, "signals that are none, or are for nobody one may see, are sent to nobody")
{
    s.jobs.add({"other", 1, ::geteuid() + 1, 0});
    for (const auto bad : {0, -1, SIGRTMAX + 1})
        CHECK(control({number("pmix.jctrl.sig", bad)}) == status::bad_parameter);
    CHECK(control({text("pmix.jctrl.sig", "KILL")}) == status::bad_parameter);
    CHECK(control({flag("pmix.jctrl.term"), flag("pmix.jctrl.kill")}) == status::bad_parameter);
    CHECK(control({flag("pmix.jctrl.kill", false)}) == status::success);
    CHECK(control({flag("pmix.jctrl.kill")}, {{"a", 1}, {"a", 2}}) == status::not_found);
    CHECK(control({flag("pmix.jctrl.kill")}, {{"a", 1}, {"nowhere", all}}) == status::not_found);
    CHECK(host.signals.empty());
    const requester stranger{{"x", 0}, ::geteuid() + 2, 1}, theirs{{"other", 0}, ::geteuid() + 1, 1};
    CHECK(!processes_named(s.jobs, stranger, processes{{"other", 0}}));
    CHECK(!processes_named(s.jobs, stranger, processes{{"other", all}}));
    CHECK(processes_named(s.jobs, theirs, {}) == processes{{"other", 0}});
}

TEST_CASE_FIXTURE(busy<busy_host>,
                  "other controls, and signals where the host knows of none, are NOT_SUPPORTED")
{
    test::temporary_directory dir;
    CHECK(control({}) == status::not_supported);
    CHECK(control({text("pmix.jctrl.ckpt", "1")}) == status::not_supported);
    CHECK(control({flag("pmix.jctrl.kill"), text("pmix.jctrl.ckpt", "1")}) == status::not_supported);
    CHECK(control({text("pmix.reg.cleanup", "/no/such/file"), flag("other")}) == status::not_supported);
    CHECK(host.signals.empty());
    CHECK(s.under_test->cleanup_bytes() == 0);

    running<open_site> plain;
    client<running<open_site>> asks(plain, {"a", 0});
    CHECK(asks.ask(message::job_control{{}, {flag("pmix.jctrl.kill")}}) == status::not_supported);
}

TEST_CASE_FIXTURE(busy<eager_host>,
                  "a host that controls jobs gets the rest, with what the server has done itself")
{
    test::temporary_directory dir;
    test::write_file(dir / "file", "");
    CHECK(control({text("pmix.reg.cleanup", dir / "file")}) == status::success);
    CHECK(control({flag("pmix.jctrl.kill")}) == status::success);
    CHECK(host.controlled == 0);
    CHECK(host.signals.size() == 1);
    c.send(message::job_control{
        {}, {text("pmix.reg.cleanup", dir / "file"), flag("pmix.jctrl.kill"), flag("other")}});
    CHECK(payload<message::infos_reply>(c.answer()).infos == std::vector{flag("done")});
    CHECK(host.controlled == 3);
    CHECK(host.signals.size() == 1);
    CHECK(control({text("pmix.reg.cleanup", "no path"), flag("other")}) == status::bad_parameter);
    s.under_test->remove_namespace("a");
    CHECK(!std::filesystem::exists(dir / "file"));
}

TEST_CASE("files go with the process they were registered for, with its namespace, or with the server")
{
    test::temporary_directory dir;
    const auto path = [&](const char* name) { return dir / name; };
    for (const char* each : {"of zero", "of one", "of a", "of b"})
        test::write_file(path(each), "");
    const auto there = [&] { return dir.names(); };
    using names = std::vector<std::string>;
    running<open_site> s;
    using open_client = client<running<open_site>>;
    open_client b(s, {"b", 0});
    const auto ask = [&](open_client& from, const char* name, processes targets) {
        CHECK(from.ask(message::job_control{std::move(targets), {text("pmix.reg.cleanup", path(name))}}) ==
              status::success);
    };
    {
        open_client zero(s, {"a", 0});
        ask(zero, "of zero", {{"a", 0}});
        ask(zero, "of one", {{"a", 1}});
        ask(zero, "of a", {});
        ask(b, "of b", {});
        open_client child(s, {"a", 0}); // of the same identity
        zero.link.close();
        s.until([&] { return s.under_test->sessions() == 2; });
        CHECK(there() == names{"of a", "of b", "of one", "of zero"});
    }
    s.until([&] { return s.under_test->sessions() == 1; });
    CHECK(there() == names{"of a", "of b", "of one"});
    s.under_test->process_exited({"a", 1}); // which never connected
    CHECK(there() == names{"of a", "of b"});
    s.under_test->remove_namespace("a");
    CHECK(there() == names{"of b"});
    s.under_test.reset();
    CHECK(there().empty());
}

TEST_CASE("files are removed on the pool, where there is one")
{
    test::temporary_directory dir;
    test::write_file(dir / "file", "");
    asio::io_context pool; // nobody runs it yet
    server_settings<open_site> settings;
    settings.pool = pool.get_executor();
    running<open_site> s(settings);
    client<running<open_site>> c(s, {"a", 0});
    CHECK(c.ask(message::job_control{{}, {text("pmix.reg.cleanup", dir / "file")}}) == status::success);
    s.under_test.reset();
    CHECK(std::filesystem::exists(dir / "file"));
    std::thread([&] { pool.run(); }).join();
    CHECK(!std::filesystem::exists(dir / "file"));
}

TEST_CASE_FIXTURE(busy<eager_host>,
                  "what is watched ends with the session; what the server does not watch is the host's")
{
    message::monitor beats{
        flag("pmix.monitor.mbeat"), status::success, {{"pmix.monitor.btime", 0, value::uint32(3600)}}};
    CHECK(c.ask(beats) == status::success);
    CHECK(s.under_test->monitors() == 1);
    beats.directives.clear();
    CHECK(c.ask(beats) == status::bad_parameter);
    CHECK(c.ask(message::monitor{flag("something else"), status::success, {}}) == status::exists);
    CHECK(host.watched == 1);
    CHECK(c.ask(message::finalize{}) == status::success);
    CHECK(s.under_test->monitors() == 0);

    running<open_site> plain;
    client<running<open_site>> asks(plain, {"a", 0});
    CHECK(asks.ask(message::monitor{flag("something else"), status::success, {}}) == status::not_supported);
}

TEST_CASE("a heartbeat is a frame of its tag without content")
{
    using namespace std::chrono_literals;
    for (const auto tag : {wire::heartbeat_tag, wire::io_forwarding_tag}) {
        CAPTURE(tag);
        test::stage s;
        test::memory_stream listener(s.io.get_executor(), test::hello_bytes({"a", 0}, "6.1.0"));
        test::task<result<void>> listens(s.io, s.under_test->admit(test::memory_socket(listener.stall()))),
            beats(s.io, s.admit());
        s.poll();
        const auto send = [](test::memory_stream& by, const auto& m) {
            by.feed(make_frame<wire::v41>(wire::first_request_tag, m, {}).value());
        };
        send(listener, message::register_events{});
        send(s.far, message::monitor{flag("pmix.monitor.mbeat"),
                                     status::success,
                                     {number("pmix.monitor.btime", 10), number("pmix.range", 5)}});
        s.poll();
        const auto before = listener.output().size();
        wire::byte_buffer frame;
        wire::writer out(frame);
        wire::frame_header{0, tag, 0}.append_to(out);
        s.far.feed(frame);
        s.poll();
        test::pass_time(s.io, 10s);
        CHECK((listener.output().size() == before) == (tag == wire::heartbeat_tag));
        test::pass_time(s.io, 10s);
        CHECK(listener.output().size() > before);
        s.under_test->close_sessions();
        s.poll();
        CHECK(s.left_over() == "");
    }
}

TEST_CASE_FIXTURE(busy<busy_host>, "what is logged reaches the host entry by entry, in order")
{
    CHECK(log({text("pmix.log.stdout", "one"), text("pmix.log.stderr", "two")}, {flag("pmix.log.tag")}) ==
          status::success);
    CHECK(host.logged == std::vector<std::string>{"a:<stdout> one", "a:<stderr> two"});
    host.logged.clear();
    CHECK(log({text("pmix.log.syslog", "no"), text("pmix.log.stdout", "yes")}) == status::partial_success);
    CHECK(log({text("pmix.log.syslog", "no")}) == status::not_supported);
    CHECK(log({text("pmix.log.syslog", "no"), text("pmix.log.stdout", "once"),
               text("pmix.log.stderr", "not again")},
              {flag("pmix.log.once")}) == status::success);
    CHECK(host.logged == std::vector<std::string>{"a:yes", "a:once"});
    CHECK(log({text("pmix.log.stdout", "x")}, {number("pmix.log.syspri", 8)}) == status::bad_parameter);
    host.outcome = status::error;
    CHECK(log({text("pmix.log.stdout", "x")}) == status::error);
}

TEST_CASE("log_bytes: what one user's processes want logged, until that is done")
{
    const auto line = text("pmix.log.stdout", std::string(100, 'x'));
    limits bounds;
    bounds.log_bytes = 2 * take_apart({0, {line}, {}}).value().size();
    busy<patient_host> b(bounds);
    CHECK(b.log({line, line, line, line, line, line, line, line, line, line, line}) ==
          status::out_of_resource);
    for (int i = 0; i != 2; ++i) {
        b.host.waiting = nullptr;
        b.send_log({line});
        b.s.until([&] { return b.host.waiting; });
    }
    CHECK(b.log({line}) == status::out_of_resource);
    b.host.waiting->cancel();
    CHECK(payload<message::status_reply>(b.c.answer(b.c.tag - 1)).result == status::success);
    b.send_log({line});
    b.s.until([&] { return b.host.waiting; });
    b.c.link.close();
    b.s.until([&] { return b.s.under_test->sessions() == 0; });
}
