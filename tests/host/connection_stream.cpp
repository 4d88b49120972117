// Whole connections of a server on a scripted stream: admission and every command, split, failing, stalled, cancelled.
#include "support/staged.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <string>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::pass_time;
using test::stage;
using test::task;

constexpr std::size_t greeted = 8, header_size = wire::frame_header_size;

/// Plays the client's side to its end. Stops early where nothing moves any more.
void play(stage& s, task<result<void>>& admission)
{
    s.poll();
    s.far.feed(stage::requests());
    s.poll();
    s.far.end_input();
    s.poll();
    if (!admission.done() || s.under_test->pending_handshakes() != 0)
        pass_time(s.io, 5s); // the handshake's deadline
    if (s.under_test->sessions() != 0)
        s.under_test->close_sessions();
    s.poll();
}

/// Which of the requests were answered, by the frames behind the handshake's reply.
std::vector<std::uint32_t> answered(const stage& s)
{
    std::vector<std::uint32_t> numbers;
    auto rest = std::span(s.far.output()).subspan(greeted);
    while (!rest.empty()) {
        const auto header = wire::frame_header::parse(rest.first<header_size>());
        numbers.push_back(header.tag - wire::first_request_tag);
        rest = rest.subspan(header_size + header.nbytes);
    }
    return numbers;
}

} // namespace

TEST_CASE("every request but the held ones is answered once, in order, however the stream cuts it")
{
    const auto greeting = test::hello_bytes({"b", 0}, "6.1.0").size();
    for (const std::size_t chunk :
         {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, header_size - 1, header_size,
          header_size + 1, greeting - 1, std::size_t{100'000}}) {
        CAPTURE(chunk);
        stage s(chunk);
        task<result<void>> admission(s.io, s.admit());
        s.poll();
        REQUIRE(admission.done());
        CHECK(admission.get());
        s.far.feed(stage::requests());
        s.poll();
        CHECK(answered(s) == std::vector<std::uint32_t>{1,  2,  3,  4,  7,  8,  9,  12, 13, 15,
                                                        16, 18, 19, 20, 21, 22, 23, 24, 25, 26,
                                                        27, 28, 29, 30, 31, 32, 33, 34});
        CHECK(s.under_test->cleanup_bytes() > 0);
        CHECK(s.under_test->held_gets() == 2);
        CHECK(s.under_test->held_lookups() == 2);
        CHECK(s.under_test->output_pulls() == 0); // it has said good-bye
        s.far.end_input();
        s.poll();
        CHECK(s.left_over() == "");
        CHECK(s.under_test->observer().messages_received == 34);
    }
}

TEST_CASE("a stream that fails or stalls at any call leaves nothing behind")
{
    for (const bool stalls : {false, true})
        for (const std::size_t chunk : {test::memory_stream::whole, std::size_t{40}})
            for (std::size_t call = 0;; ++call) {
                CAPTURE(stalls);
                CAPTURE(chunk);
                CAPTURE(call);
                stage s(chunk, stalls ? test::stall_at(call) : test::fail_at(call));
                task<result<void>> admission(s.io, s.admit());
                play(s, admission);
                REQUIRE(admission.done());
                CHECK(s.left_over() == "");
                const auto admitted = admission.get();
                CHECK(s.under_test->observer().admitted == (admitted ? 1 : 0));
                if (!admitted)
                    CHECK(admitted.error() == (stalls ? make_error_code(fault::handshake_timeout)
                                                      : make_error_code(asio::error::connection_reset)));
                if (!s.far.in_trouble()) {
                    CHECK(call > 5);
                    break;
                }
            }
}

TEST_CASE("whenever the server stops or goes, or who admits is cancelled, nothing is left")
{
    enum class end { stop, destroy, cancel };
    for (const auto how : {end::stop, end::destroy, end::cancel})
        for (std::size_t steps = 0; steps != 60; ++steps) {
            CAPTURE(static_cast<int>(how));
            CAPTURE(steps);
            stage s(16);
            task<result<void>> admission(s.io, s.admit());
            bool fed = false;
            for (std::size_t i = 0; i != steps; ++i) {
                s.io.restart();
                s.io.poll_one();
                if (!fed && s.under_test->sessions() == 1)
                    fed = (s.far.feed(stage::requests()), true);
            }
            switch (how) {
            case end::stop: s.under_test->stop(); break;
            case end::destroy: s.under_test.reset(); break;
            case end::cancel: admission.cancel(); break;
            }
            s.poll();
            CHECK(admission.done());
            if (how == end::cancel && s.under_test->sessions() == 1)
                s.under_test->close_sessions(); // it is the server's since it was admitted
            s.poll();
            CHECK_FALSE(s.far.is_open());
            CHECK_FALSE(s.far.busy());
            CHECK(s.jobs.find(wire::proc{"b", 0})->connections == 0);
            if (how == end::stop)
                CHECK(s.left_over() == "");
        }
}

TEST_CASE("a client that reads nothing is read no more above one limit, and closed at the other")
{
    stage s;
    s.far.take_only(greeted);
    task<result<void>> admission(s.io, s.admit());
    s.poll();
    REQUIRE(s.under_test->sessions() == 1);
    const auto ask = make_frame<wire::v41>(101, message::req{}, {}).value();
    for (int i = 0; i != 20'000 && s.under_test->sessions() == 1; ++i) {
        s.far.feed(ask);
        s.poll();
    }
    const auto read = s.under_test->observer().messages_received;
    CHECK(read < 20'000);
    CHECK(s.under_test->observer().bytes_sent > limits{}.unread_output);
    CHECK(s.under_test->observer().bytes_sent < 2 * limits{}.unread_output);
    s.far.give_room(limits{}.unread_output);
    s.poll();
    CHECK(s.under_test->observer().messages_received > read);
    s.under_test->close_sessions();
    s.poll();
    CHECK(s.left_over() == "");
}
