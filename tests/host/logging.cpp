#include <pmixio/host/logging.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

using namespace pmixio;
using wire::data_type;
using wire::status;
using wire::value;

wire::info text(const char* name, const std::string& s) { return {name, 0, value::string(s)}; }
wire::info flag(const char* name) { return {name, 0, value::boolean(true)}; }

log_request parts(std::vector<wire::info> data, std::vector<wire::info> directives = {},
                  std::uint64_t time = 0)
{
    return take_apart({time, std::move(data), std::move(directives)}).value();
}

status outcome(bool once, std::vector<status> each)
{
    log_outcome all(once);
    for (const auto said : each)
        if (all.add(said))
            break;
    return all.result();
}

} // namespace

TEST_CASE("entries come in order, each with its channel and what it holds, and with all directives")
{
    const auto request =
        parts({text("pmix.log.stderr", "one"), text("pmix.log.syslog", "two"), {"pmix.log.email", 0, {}}},
              {{"pmix.log.syspri", 0, value::of<data_type::integer>(LOG_WARNING)}}, 17);
    REQUIRE(request.entries.size() == 3);
    CHECK(!request.once);
    CHECK(request.entries[0].channel == key::log_stderr);
    CHECK(request.entries[0].text() == "one");
    CHECK(request.entries[1].text() == "two");
    CHECK(request.entries[2].text() == "");
    for (const auto& each : request.entries) {
        CHECK(each.priority == LOG_WARNING);
        CHECK(each.time == 17);
        CHECK(!each.show_time);
        CHECK(!each.show_channel);
        CHECK(each.is_for_syslog() == (each.channel == "pmix.log.syslog"));
    }
    const auto plain = parts({text("pmix.log.gsys", "")}).entries[0];
    CHECK(plain.priority == LOG_ERR);
    CHECK(!plain.time);
    CHECK(plain.is_for_syslog());
}

TEST_CASE("directives")
{
    CHECK(parts({}, {flag("pmix.log.once")}).once);
    const wire::info then{"pmix.log.tstmp", 0, value::of<data_type::time>(18)};
    CHECK(parts({{}}, {then}).entries[0].time == 18);
    CHECK(parts({{}}, {then}, 19).entries[0].time == 19);
    for (const int priority : {-1, 8, LOG_AUTH | LOG_ERR})
        CHECK(!take_apart({0, {}, {{"pmix.log.syspri", 0, value::of<data_type::integer>(priority)}}}));
    CHECK(!take_apart({0, {}, {text("pmix.log.syspri", "high")}}));
}

TEST_CASE("a request ends with success, in part, or with what its first entry met")
{
    constexpr auto good = status::success, none = status::not_supported, bad = status::error;
    CHECK(outcome(false, {}) == good);
    CHECK(outcome(false, {good, good}) == good);
    CHECK(outcome(false, {good, none}) == status::partial_success);
    CHECK(outcome(false, {bad, good}) == status::partial_success);
    CHECK(outcome(false, {none, bad}) == none);
    CHECK(outcome(true, {none, good, bad}) == good);
    CHECK(outcome(true, {none, bad}) == none);
}

TEST_CASE("once: what follows the first that was logged is not tried")
{
    log_outcome once(true), all(false);
    CHECK(!once.add(status::not_supported));
    CHECK(once.add(status::success));
    CHECK(!all.add(status::success));
}

TEST_CASE("text has in front of it what the process wants")
{
    const std::vector data{text("pmix.log.stdout", "text\n")};
    CHECK(log_text(parts(data, {}, 86'399).entries[0]) == "text\n");
    CHECK(log_text(parts(data, {flag("pmix.log.tsout")}, 86'399).entries[0]) ==
          "1970-01-01T23:59:59Z text\n");
    CHECK(log_text(parts(data, {flag("pmix.log.tsout")}).entries[0]) == "text\n");
    CHECK(log_text(parts(data, {flag("pmix.log.tag"), flag("pmix.log.tsout")}, 1).entries[0]) ==
          "1970-01-01T00:00:01Z <stdout> text\n");
    CHECK(log_text(parts({text("no key of ours", "text")}, {flag("pmix.log.tag")}).entries[0]) ==
          "<no key of ours> text");
}

TEST_CASE("the syslog gets one line that names the process, whatever the text holds")
{
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const int before = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    REQUIRE(::dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    ::openlog("logging-test", LOG_PERROR, LOG_USER); // a copy of each message to stderr
    write_to_syslog({{"job", 7}, 1000, 1}, parts({text("pmix.log.syslog", "a %s\nb\x1b\x7f"
                                                                          "c")})
                                               .entries[0]);
    ::closelog();
    ::dup2(before, STDERR_FILENO);
    ::close(before), ::close(ends[1]);
    char got[256];
    const auto n = ::read(ends[0], got, sizeof got);
    ::close(ends[0]);
    CHECK(std::string(got, static_cast<std::size_t>(std::max<ssize_t>(n, 0))) ==
          "logging-test: [job,7]: a %s b  c\n");
}
