#include <pmixio/observer.hpp>

#include <doctest/doctest.h>

#include <string>
#include <system_error>

using namespace pmixio;
using detail::tell;

namespace {

/// Wants one kind of event.
struct only_refusals {
    std::string reasons;
    void on(const event::refused& e) { reasons += e.why.message() + ' '; }
};

event::refused refused(fault why) { return {why, "job", 1}; }

} // namespace

TEST_CASE("counters count refusals by reason, and time-outs apart")
{
    counters seen;
    tell(seen, event::accepted{});
    tell(seen, event::accepted{});
    tell(seen, refused(fault::wrong_user));
    tell(seen, refused(fault::wrong_user));
    tell(seen, refused(fault::handshake_timeout));
    tell(seen, event::refused{std::make_error_code(std::errc::connection_reset), {}});
    CHECK(seen.accepted == 2);
    CHECK(seen.refused == 4);
    CHECK(seen.timed_out == 1);
    CHECK(seen.refused_by_reason.size() == 3);
    CHECK(seen.refused_by_reason["wrong_user"] == 2);
    CHECK(seen.refused_by_reason["handshake_timeout"] == 1);
    CHECK(seen.admitted == 0);
    CHECK(seen.sessions == 0);
}

TEST_CASE("counters know how many sessions there are and were at most")
{
    counters seen;
    const auto come = [&] { tell(seen, event::admitted{"job", 0, 1000, "native", "v41"}); };
    const auto go = [&] { tell(seen, event::closed{fault::closed_by_peer, "job", 0}); };
    come();
    come();
    go();
    come();
    CHECK(seen.sessions == 2);
    CHECK(seen.peak_sessions == 2);
    come();
    CHECK(seen.peak_sessions == 3);
    go();
    go();
    go();
    CHECK(seen.sessions == 0);
    CHECK(seen.peak_sessions == 3);
    CHECK(seen.admitted == 4);
    CHECK(seen.closed == 4);
    CHECK(seen.refused == 0);
}

TEST_CASE("counters add up messages and their bytes")
{
    counters seen;
    tell(seen, event::received{18});
    tell(seen, event::received{0});
    tell(seen, event::received{1'000});
    tell(seen, event::sent{20});
    tell(seen, event::malformed{fault::truncated, "job", 0});
    CHECK(seen.messages_received == 3);
    CHECK(seen.bytes_received == 1'018);
    CHECK(seen.messages_sent == 1);
    CHECK(seen.bytes_sent == 20);
    CHECK(seen.malformed == 1);
}

TEST_CASE("an observer is told what it wants to know and nothing else")
{
    only_refusals seen;
    tell(seen, event::accepted{});
    tell(seen, refused(fault::bad_credential));
    tell(seen, event::admitted{});
    tell(seen, event::accept_paused{std::make_error_code(std::errc::too_many_files_open)});
    tell(seen, refused(fault::unknown_rank));
    CHECK(seen.reasons == "bad_credential unknown_rank ");

    no_observer nobody;
    tell(nobody, event::accepted{});
    tell(nobody, refused(fault::bad_credential));
    counters all; // which does not count pauses
    tell(all, event::accept_paused{std::make_error_code(std::errc::too_many_files_open)});
    CHECK(all.accepted == 0);
}

TEST_CASE("what a peer says is printed without its control characters")
{
    CHECK(printable("job.1 ~") == "job.1 ~");
    CHECK(printable(std::string_view("\0\x1b[2J\n\x7f\xff\\", 9)) == "\\x00\\x1b[2J\\x0a\\x7f\\xff\\\\");
    CHECK(printable("").empty());
}
