#include <pmixio/reporting.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <system_error>
#include <vector>

using namespace pmixio;
using detail::tell;

namespace {

struct written_log {
    written_log()
    {
        observer.out = [this](std::string_view line) { lines.emplace_back(line); };
    }
    written_log(const written_log&) = delete;
    std::vector<std::string> lines;
    log_observer observer;
};

counters some()
{
    counters c;
    tell(c, event::accepted{});
    tell(c, event::accepted{});
    tell(c, event::accepted{});
    tell(c, event::accepted{});
    tell(c, event::handed_over{"other", 0});
    tell(c, event::refused{fault::wrong_user, "job", 1});
    tell(c, event::refused{std::error_code(ECONNRESET, std::system_category()), {}, 0});
    tell(c, event::admitted{"job", 0, 1000, "native", "v41"});
    tell(c, event::received{20});
    tell(c, event::sent{30});
    return c;
}

} // namespace

TEST_CASE("every decision is a line, and what a peer says cannot break it")
{
    written_log l;
    tell(l.observer, event::refused{fault::wrong_user, "job", 1});
    tell(l.observer, event::refused{fault::handshake_timeout, {}, 0});
    tell(l.observer, event::refused{fault::unknown_namespace, "a\nb\x1b[2J", 2});
    tell(l.observer, event::refused{fault::closed_by_peer, {}, 0}); // not worth a line
    tell(l.observer, event::handed_over{"job", 3});
    tell(l.observer, event::admitted{"job", 3, 1000, "native", "v41"});
    tell(l.observer, event::malformed{fault::truncated, "job", 3});
    tell(l.observer, event::closed{fault::closed_by_us, "job", 3});
    tell(l.observer, event::accept_paused{std::error_code(EMFILE, std::system_category())});
    tell(l.observer, event::accepted{});
    const auto too_many = std::error_code(EMFILE, std::system_category()).message();
    CHECK(l.lines == std::vector<std::string>{
                         "refused a connection as job.1: wrong_user",
                         "refused a connection as ?: handshake_timeout",
                         "refused a connection as a\\x0ab\\x1b[2J.2: unknown_namespace",
                         "handed over a connection as job.3",
                         "admitted job.3 of user 1000 by native, speaking v41",
                         "malformed request of job.3: truncated",
                         "closed job.3: closed_by_us",
                         "no connections for the moment: " + too_many,
                     });
}

TEST_CASE("a log of problems leaves out what goes well")
{
    written_log l;
    l.observer.only_problems = true;
    tell(l.observer, event::handed_over{"job", 3});
    tell(l.observer, event::admitted{"job", 3, 1000, "native", "v41"});
    tell(l.observer, event::closed{fault::closed_by_peer, "job", 3});
    CHECK(l.lines.empty());
    tell(l.observer, event::refused{fault::wrong_user, "job", 1});
    CHECK(l.lines.size() == 1);
}

TEST_CASE("a log without a function says nothing")
{
    log_observer nobody;
    tell(nobody, event::refused{fault::wrong_user, "job", 1});
    CHECK(!nobody.out);
}

TEST_CASE("several observers are each told what they want to know")
{
    written_log l;
    observers<counters, log_observer> both;
    both.out = l.observer.out;
    tell(both, event::accepted{});
    tell(both, event::refused{fault::unknown_rank, "job", 9});
    tell(both, event::accept_paused{std::error_code(EMFILE, std::system_category())});
    CHECK(both.accepted == 1);
    CHECK(both.refused == 1);
    CHECK(l.lines.size() == 2);
    struct sent_only {
        void on(const event::sent&) {}
    };
    static_assert(!detail::wants_event<observers<sent_only>, event::accepted>);
    static_assert(detail::wants_event<observers<sent_only, counters>, event::accepted>);
}

TEST_CASE("counters as JSON")
{
    const auto reset = std::error_code(ECONNRESET, std::system_category()).message();
    CHECK(
        to_json(some()) ==
        R"({"accepted": 4, "admitted": 1, "refused": 2, "timed_out": 0, "handed_over": 1, "limits_reached": 0, "malformed": 0, "closed": 0, )"
        R"("messages_received": 1, "messages_sent": 1, "bytes_received": 20, "bytes_sent": 30, "sessions": 1, )"
        R"("peak_sessions": 1, "refused_by_reason": {")" +
            reset + R"(": 1, "wrong_user": 1}})");
    CHECK(to_json(counters{}).ends_with(R"("refused_by_reason": {}})"));
}

TEST_CASE("counters as Prometheus reads them")
{
    const auto text = to_prometheus(some(), "site_");
    CHECK(text.find("# TYPE site_accepted_total counter\nsite_accepted_total 4\n") == 0);
    CHECK(text.find("# TYPE site_sessions gauge\nsite_sessions 1\n") != text.npos);
    CHECK(text.find("# TYPE site_refused_total counter\n") != text.npos);
    CHECK(text.find("site_refused_total{reason=\"wrong_user\"} 1\n") != text.npos);
    CHECK(text.find("site_refused_total 2") == text.npos);
    CHECK(text.ends_with('\n'));
    counters odd;
    odd.refused_by_reason["a \"b\"\n"] = 1;
    CHECK(to_prometheus(odd).find("pmixio_refused_total{reason=\"a \\\"b\\\"\\\\x0a\"} 1\n") !=
          std::string::npos);
}
