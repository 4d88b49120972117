#include "support/memory_stream.hpp"
#include "support/run.hpp"

#include <pmixio/client/session.hpp>
#include <pmixio/deadline.hpp>
#include <pmixio/message/collective.hpp>
#include <pmixio/message/control.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/security/none.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::hex;
using test::memory_stream;
using test::operator+;
using wire::status;

struct site : defaults {
    using security = securities<security::none>;
    using buffer_ops = encodings<wire::v41, wire::v21>;
};

/// A session holds its stream by value; a memory_stream stays where it is.
struct stream_ref {
    using executor_type = memory_stream::executor_type;
    memory_stream* to;
    executor_type get_executor() const noexcept { return to->get_executor(); }
    template <class B, class T>
    auto async_read_some(const B& b, T&& t)
    {
        return to->async_read_some(b, std::forward<T>(t));
    }
    template <class B, class T>
    auto async_write_some(const B& b, T&& t)
    {
        return to->async_write_some(b, std::forward<T>(t));
    }
    void close(std::error_code& e) { to->close(e); }
};

using session_type = client_session<site, stream_ref>;

/// A session, and the server's end of it by hand.
template <class Encoding = wire::v41>
struct fixture {
    explicit fixture(limits bounds = site::limits, std::size_t chunk = memory_stream::whole)
        : stream(io.get_executor(), bytes{}, chunk)
    {
        stream.stall();
        admission settled{{"a", 0},
                          {"s", 0},
                          7,
                          site::buffer_ops::pick(Encoding::name, site::buffer_ops::all()).value(),
                          with};
        under_test.emplace(stream_ref{&stream}, settled, bounds,
                           [this](auto e) { events.push_back(std::move(e)); });
        poll();
    }
    ~fixture()
    {
        under_test.reset();
        poll();
    }

    void poll() { io.restart(), io.poll(); }

    template <class M>
    test::task<result<typename M::reply>> ask(const M& m)
    {
        test::task<result<typename M::reply>> asked(io, under_test->request(m));
        poll();
        return asked;
    }
    template <class M>
    void answer(std::uint32_t tag, const M& reply)
    {
        stream.feed(make_frame<Encoding>(tag, reply, with).value());
        poll();
    }
    void answer_raw(std::uint32_t tag, const bytes& payload)
    {
        bytes frame;
        wire::writer out(frame);
        wire::frame_header{0, tag, static_cast<std::uint32_t>(payload.size())}.append_to(out);
        stream.feed(frame + payload);
        poll();
    }
    /// The tags of what was sent so far, every frame of which must carry our index.
    std::vector<std::uint32_t> tags() const
    {
        std::vector<std::uint32_t> found;
        std::span<const std::byte> left(stream.output());
        while (left.size() >= wire::frame_header_size) {
            const auto header = wire::frame_header::parse(left.first<wire::frame_header_size>());
            CHECK(header.pindex == 7);
            found.push_back(header.tag);
            REQUIRE(left.size() >= wire::frame_header_size + header.nbytes);
            left = left.subspan(wire::frame_header_size + header.nbytes);
        }
        CHECK(left.empty());
        return found;
    }

    wire::agreement with{wire::buffer_kind::non_described, {5, 0, 10}};
    asio::io_context io;
    memory_stream stream;
    std::vector<result<message::event>> events;
    std::optional<session_type> under_test;
};

using tag_list = std::vector<std::uint32_t>;

message::query question()
{
    message::query q;
    q.queries = {{{"pmix.qry.ns"}, {}}};
    return q;
}
message::infos_reply names(const char* text)
{
    return {status::success, std::vector<wire::info>{{"pmix.qry.ns", 0, wire::value::string(text)}}};
}
message::get key(const char* name)
{
    message::get g;
    g.nspace = "a";
    g.key = name;
    return g;
}

} // namespace

TEST_CASE("a request is the bytes that a real tool sends, with the index that the server gave")
{
    fixture f;
    auto asked = f.ask(message::req());
    CHECK(test::show(f.stream.output()) == "00 00 00 07 00 00 00 65 00 00 00 02 00 00 00 00 02 00");
    fixture<wire::v21> old;
    auto again = old.ask(message::req());
    CHECK(test::show(old.stream.output()) ==
          "00 00 00 07 00 00 00 65 00 00 00 05 00 00 00 00 00 00 00 01 00");
}

TEST_CASE("replies are matched by their tags, in any order")
{
    fixture f;
    auto first = f.ask(question());
    auto second = f.ask(key("k"));
    auto third = f.ask(message::commit());
    CHECK(f.under_test->outstanding() == 3);
    CHECK((f.tags() == tag_list{101, 102, 103}));
    CHECK_FALSE(first.done());

    f.answer(103, message::status_reply{status::success});
    CHECK_FALSE(first.done());
    CHECK_FALSE(second.done());
    CHECK(third.get()->result == status::success);
    f.answer(101, names("a,b"));
    CHECK((first.get().value() == names("a,b")));
    message::get_reply data;
    data.sources = {{{"a", 1}, {{"k", wire::value::uint32(5)}}}};
    f.answer(102, data);
    CHECK((second.get().value() == data));
    CHECK(f.under_test->outstanding() == 0);
}

TEST_CASE("a reply that nobody waits for is dropped, be it late, doubled, or of a reserved tag")
{
    fixture f;
    auto asked = f.ask(question());
    for (const std::uint32_t tag : {1u, 2u, 99u, 100u, 102u, UINT32_MAX})
        f.answer(tag, names("wrong"));
    CHECK_FALSE(asked.done());
    f.answer(101, names("right"));
    f.answer(101, names("again"));
    CHECK((asked.get().value() == names("right")));
    auto next = f.ask(question());
    f.answer(101, names("late"));
    CHECK_FALSE(next.done());
    f.answer(102, names("next"));
    CHECK((next.get().value() == names("next")));
    CHECK_FALSE(f.under_test->closed());
}

TEST_CASE("replies that arrive byte by byte, or all at once, are the same")
{
    for (const std::size_t chunk : {std::size_t(1), std::size_t(3), memory_stream::whole}) {
        fixture f(site::limits, chunk);
        auto first = f.ask(question());
        auto second = f.ask(question());
        f.stream.feed(make_frame<wire::v41>(102, names("2"), f.with).value() +
                      make_frame<wire::v41>(101, names("1"), f.with).value());
        f.poll();
        CHECK((first.get().value() == names("1")));
        CHECK((second.get().value() == names("2")));
    }
}

TEST_CASE_TEMPLATE("a lone error status is the reply's status, or the error of a reply that has none",
                   Encoding, wire::v41, wire::v21)
{
    fixture<Encoding> f;
    auto query = f.ask(question());
    auto get = f.ask(key("k"));
    auto lookup = f.ask(message::lookup());
    auto connect = f.ask(message::connect());
    auto group = f.ask(message::group_construct());
    auto fence = f.ask(message::fence());
    auto req = f.ask(message::req());
    for (std::uint32_t tag = 101; tag <= 107; ++tag)
        f.answer(tag, message::status_reply{status::not_supported});
    CHECK(query.get()->result == status::not_supported);
    CHECK(get.get()->result == status::not_supported);
    CHECK(lookup.get()->result == status::not_supported);
    CHECK(connect.get()->result == status::not_supported);
    CHECK(group.get()->result == status::not_supported);
    CHECK(fence.get()->result == status::not_supported);
    CHECK(req.get().error() == wire::make_error_code(status::not_supported));
}

namespace {

/// Its reply has more items even when it fails.
struct rigid_reply {
    status result = status::success;
    std::uint32_t number = 0;
    static void items(auto& self, auto& io)
    {
        io.item(message::as<wire::data_type::status>, self.result);
        io.item(message::as<wire::data_type::uint32>, self.number);
    }
};
struct rigid : message::req {
    using reply = rigid_reply;
};

} // namespace

TEST_CASE("a lone error status is found even where the reply's form has no place for one")
{
    fixture f;
    auto asked = f.ask(rigid());
    f.answer(101, message::status_reply{status::not_found});
    CHECK(asked.get()->result == status::not_found);
    auto succeeded = f.ask(rigid());
    f.answer(102, message::status_reply{status::success}); // then the number is owed
    CHECK(succeeded.get().error() == fault::truncated);
}

TEST_CASE("an empty reply means that the server has lost the request")
{
    fixture f;
    auto asked = f.ask(question());
    f.answer_raw(101, {});
    CHECK(asked.get().error() == wire::make_error_code(status::lost_connection));
    CHECK_FALSE(f.under_test->closed());
}

TEST_CASE("a reply cut anywhere is an error of its request alone, and so is one that goes on")
{
    const auto whole = make_frame<wire::v41>(101, names("abc"), {}).value();
    const bytes payload(whole.begin() + wire::frame_header_size, whole.end());
    fixture f;
    std::uint32_t tag = 100;
    std::size_t refused = 0;
    for (std::size_t size = 1; size != payload.size(); ++size) {
        auto asked = f.ask(question());
        f.answer_raw(++tag, {payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size)});
        const auto got = asked.get();
        if (size == 2) // the status alone
            CHECK_FALSE(got->infos);
        else
            CHECK(got.error() == refusal::malformed);
        refused += !got;
    }
    CHECK(refused == payload.size() - 2);
    auto longer = f.ask(question());
    f.answer_raw(++tag, payload + hex("00"));
    CHECK(longer.get().error() == fault::extra_bytes);
    auto asked = f.ask(question());
    f.answer_raw(++tag, payload);
    CHECK((asked.get().value() == names("abc")));
}

TEST_CASE("random replies end their request and nothing else")
{
    fixture f;
    auto random = test::numbers(7);
    for (std::uint32_t tag = 101; tag != 1101; ++tag) {
        bytes payload(1 + random() % 40);
        for (auto& each : payload)
            each = static_cast<std::byte>(random() % (random() % 2 ? 256 : 8));
        auto asked = f.ask(question());
        f.answer_raw(tag, payload);
        REQUIRE(asked.done());
        (void)asked.get();
    }
    CHECK(f.under_test->outstanding() == 0);
    CHECK_FALSE(f.under_test->closed());
}

TEST_CASE("events go to the handler, and what is none is said to be none")
{
    fixture f;
    message::event told;
    told.code = static_cast<status>(-3007);
    told.source = {"a", 1};
    f.answer(wire::event_tag, told);
    REQUIRE(f.events.size() == 1);
    CHECK((f.events[0].value() == told));

    f.answer(wire::event_tag, message::finalize());
    f.answer_raw(wire::event_tag, hex("020c"));
    f.answer_raw(wire::event_tag, hex("ff"));
    f.answer_raw(wire::event_tag, {}); // nothing
    REQUIRE(f.events.size() == 4);
    CHECK(f.events[1].error() == fault::unknown_command);
    CHECK(f.events[2].error() == fault::truncated);
    CHECK(f.events[3].error() == refusal::malformed);

    f.under_test->on_event(nullptr);
    f.answer(wire::event_tag, told);
    CHECK(f.events.size() == 4);
    CHECK_FALSE(f.under_test->closed());
}

TEST_CASE("the handler of events may replace itself, close, or destroy the session")
{
    for (const int what : {0, 1, 2}) {
        fixture f;
        auto asked = f.ask(question());
        std::size_t called = 0;
        auto kept = std::make_shared<int>(5);
        f.under_test->on_event([&, kept](auto) {
            ++called;
            if (what == 0)
                f.under_test->on_event([&](auto) { called += 10; });
            if (what == 1)
                f.under_test->close();
            if (what == 2)
                f.under_test.reset();
            called += static_cast<std::size_t>(*kept == 5);
        });
        message::event told;
        f.answer(wire::event_tag, told);
        CHECK(called == 2);
        if (what == 0) {
            f.answer(wire::event_tag, told);
            CHECK(called == 12);
            CHECK_FALSE(asked.done());
        } else {
            CHECK(asked.get().error() == (what == 1 ? make_error_code(fault::closed_by_us)
                                                    : make_error_code(asio::error::operation_aborted)));
            CHECK(kept.use_count() == 1);
        }
    }
}

TEST_CASE("when the server closes, all that wait hear it, and all that come later")
{
    for (const bool inside : {false, true}) {
        fixture f;
        auto first = f.ask(question());
        auto second = f.ask(key("k"));
        if (inside)
            f.stream.feed(hex("0000000000000065000000"));
        f.stream.end_input();
        f.poll();
        const auto why = inside ? fault::closed_inside_message : fault::closed_by_peer;
        CHECK(first.get().error() == why);
        CHECK(second.get().error() == why);
        CHECK(f.under_test->closed() == why);
        CHECK(f.ask(question()).get().error() == why);
        CHECK(f.under_test->send(message::deregister_events()).error() == why);
        CHECK(test::run(f.io, f.under_test->finalize()).error() == why);
        CHECK(f.under_test->outstanding() == 0);
    }
}

TEST_CASE("a frame beyond the limit ends the connection as soon as it is announced")
{
    auto bounds = site::limits;
    bounds.message_bytes = 100;
    fixture f(bounds);
    auto first = f.ask(question());
    auto second = f.ask(question());
    f.answer_raw(101, bytes(100, std::byte{1}));
    CHECK(first.done());
    f.stream.feed(hex("00000000 00000066 00000065 00000000"));
    f.poll();
    CHECK(second.get().error() == fault::message_too_large);
    CHECK(f.under_test->closed() == fault::message_too_large);
}

TEST_CASE("what the server does not read is queued up to the limit")
{
    auto bounds = site::limits;
    bounds.queued_output = 400;
    asio::io_context io;
    memory_stream stream(io.get_executor(), bytes{}, memory_stream::whole,
                         test::stall_at(1)); // the first write
    stream.stall();
    session_type session(stream_ref{&stream}, admission{}, bounds);
    std::vector<test::task<result<message::infos_reply>>> asked;
    for (int i = 0; i != 20; ++i)
        asked.emplace_back(io, session.request(question()));
    io.poll();
    for (auto& each : asked)
        CHECK(each.get().error() == fault::output_limit);
}

TEST_CASE("a cancelled request is forgotten, and its late reply dropped")
{
    fixture f;
    auto first = f.ask(question());
    auto second = f.ask(question());
    first.cancel();
    f.poll();
    CHECK(first.get().error() == asio::error::operation_aborted);
    CHECK(f.under_test->outstanding() == 1);
    f.answer(101, names("late"));
    f.answer(102, names("b"));
    CHECK((second.get().value() == names("b")));
}

TEST_CASE("a request that is cancelled before it starts sends nothing")
{
    fixture f;
    const auto when_cancelled = [](auto operation) -> decltype(operation) {
        co_await asio::this_coro::throw_if_cancelled(false);
        asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
        std::error_code ignored;
        co_await never.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_return co_await std::move(operation);
    };
    test::task<result<message::infos_reply>> asked(f.io, when_cancelled(f.under_test->request(question())));
    test::task<result<void>> ended(f.io, when_cancelled(f.under_test->finalize()));
    f.poll();
    asked.cancel();
    ended.cancel();
    f.poll();
    for (const auto& error : {asked.get().error(), ended.get().error()})
        CHECK(error == asio::error::operation_aborted);
    CHECK(f.stream.output().empty());
    CHECK_FALSE(f.under_test->closed());
}

TEST_CASE("a request cancelled when its reply is there already has the reply")
{
    fixture f;
    auto asked = f.ask(question());
    f.stream.feed(make_frame<wire::v41>(101, names("x"), f.with).value());
    while (f.under_test->outstanding() != 0)
        f.io.restart(), f.io.run_one();
    REQUIRE_FALSE(asked.done());
    asked.cancel();
    f.poll();
    CHECK((asked.get().value() == names("x")));
}

TEST_CASE("a deadline gives up one request and leaves the others")
{
    fixture f;
    auto patient = f.ask(question());
    test::task<result<message::infos_reply>> hasty(
        f.io, within(1ms, f.under_test->request(question()), fault::handshake_timeout));
    CHECK(test::finish(f.io, hasty).error() == fault::handshake_timeout);
    CHECK(f.under_test->outstanding() == 1);
    f.answer(101, names("x"));
    CHECK(patient.get());
}

TEST_CASE("the request is read before it is awaited, and not sent before that")
{
    fixture f;
    auto operation = [&] {
        auto temporary = std::make_unique<message::query>(question());
        return f.under_test->request(*temporary);
    }();
    f.poll();
    CHECK(f.stream.output().empty());
    test::task<result<message::infos_reply>> asked(f.io, std::move(operation));
    f.poll();
    f.answer(101, names("x"));
    CHECK(asked.get());
}

TEST_CASE("what the server's encoding cannot express is not sent")
{
    fixture<wire::v21> f;
    message::publish p;
    p.infos = {{"k", 0, wire::value::of<wire::data_type::storage_medium>(1)}};
    CHECK(f.ask(p).get().error() == fault::unencodable);
    CHECK(f.stream.output().empty());
    CHECK_FALSE(f.under_test->closed());
}

TEST_CASE("a message without an answer takes a tag, and nobody waits")
{
    fixture f;
    message::deregister_events d;
    d.codes = {status::not_found};
    CHECK(f.under_test->send(d));
    CHECK(f.under_test->outstanding() == 0);
    auto asked = f.ask(question());
    CHECK((f.tags() == tag_list{101, 102}));
}

TEST_CASE("finalize closes when it is answered, and when it is not")
{
    SUBCASE("answered")
    {
        fixture f;
        auto other = f.ask(question());
        test::task<result<void>> ended(f.io, f.under_test->finalize());
        f.poll();
        CHECK_FALSE(ended.done());
        CHECK(f.stream.is_open());
        f.answer(102, message::status_reply{status::success});
        CHECK(ended.get());
        CHECK(other.get().error() == fault::closed_by_us);
        CHECK_FALSE(f.stream.is_open());
        CHECK(f.under_test->closed() == fault::closed_by_us);
    }
    SUBCASE("refused")
    {
        fixture f;
        test::task<result<void>> ended(f.io, f.under_test->finalize());
        f.poll();
        f.answer(101, message::status_reply{status::error});
        CHECK(ended.get().error() == wire::make_error_code(status::error));
        CHECK_FALSE(f.stream.is_open());
    }
    SUBCASE("closed instead")
    {
        fixture f;
        test::task<result<void>> ended(f.io, f.under_test->finalize());
        f.poll();
        f.stream.end_input();
        f.poll();
        CHECK(ended.get().error() == fault::closed_by_peer);
    }
    SUBCASE("cancelled")
    {
        fixture f;
        test::task<result<void>> ended(f.io, f.under_test->finalize());
        f.poll();
        ended.cancel();
        f.poll();
        CHECK(ended.get().error() == asio::error::operation_aborted);
        CHECK_FALSE(f.stream.is_open());
    }
}

TEST_CASE("destroying or replacing a session ends what waits, and it can be moved meanwhile")
{
    fixture f;
    auto first = f.ask(question());
    {
        session_type moved(std::move(*f.under_test));
        f.answer(101, names("x"));
        CHECK((first.get().value() == names("x")));
        test::task<result<message::infos_reply>> second(f.io, moved.request(question()));
        f.poll();
        memory_stream other(f.io.get_executor(), bytes{});
        moved = session_type(stream_ref{&other}, admission{}, site::limits);
        f.poll();
        CHECK(second.get().error() == asio::error::operation_aborted);
        CHECK_FALSE(f.stream.is_open());
        f.poll();
    }
    f.under_test.reset();
}

TEST_CASE("a context that goes with sessions and requests in its coroutines leaves nothing")
{
    auto io = std::make_unique<asio::io_context>();
    auto stream = std::make_unique<memory_stream>(io->get_executor(), bytes{});
    stream->stall();
    bool resumed = false;
    auto run = [&]() -> asio::awaitable<void> {
        session_type session(stream_ref{stream.get()}, admission{}, site::limits);
        (void)co_await session.request(question());
        resumed = true;
    };
    asio::co_spawn(*io, run(), [](std::exception_ptr) {});
    io->poll();
    CHECK_FALSE(stream->output().empty());
    io.reset();
    CHECK_FALSE(resumed);
}
