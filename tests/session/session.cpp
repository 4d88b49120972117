#include <pmixio/listen/socket.hpp>
#include <pmixio/session/session.hpp>

#include "support/memory_stream.hpp"
#include "support/run.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::bytes;
using test::bytes_of;
using test::memory_stream;
using test::operator+;

bytes frame(std::uint32_t tag, std::string_view payload)
{
    wire::byte_buffer raw;
    wire::writer out(raw);
    wire::frame_header{0, tag, static_cast<std::uint32_t>(payload.size())}.append_to(out);
    return raw + bytes_of(payload);
}

/// A session holds its stream by value; a memory_stream stays where it is.
struct stream_ref {
    using executor_type = memory_stream::executor_type;
    memory_stream* to;
    executor_type get_executor() const noexcept { return to->get_executor(); }
    template <class B, class T> auto async_read_some(const B& b, T&& t) { return to->async_read_some(b, std::forward<T>(t)); }
    template <class B, class T> auto async_write_some(const B& b, T&& t) { return to->async_write_some(b, std::forward<T>(t)); }
    void close(std::error_code& e) { to->close(e); }
};

template <class Stream>
struct recording_owner {
    struct peer {};
    using session_type = session<Stream, recording_owner>;

    std::vector<std::string> seen; ///< "tag:payload"
    std::vector<std::uint32_t> oversized;
    std::size_t sent = 0, closed = 0;
    std::error_code why;
    std::function<void(session_type&, std::uint32_t tag)> react = [](auto&, auto) {};

    void on_frame(session_type& from, const wire::frame_header& header, std::span<const std::byte> payload)
    {
        seen.push_back(std::to_string(header.tag) + ':' + std::string(test::to_text(payload)));
        react(from, header.tag);
    }
    void on_oversized(session_type& from, const wire::frame_header& header)
    {
        oversized.push_back(header.tag);
        from.send(frame(header.tag, "no"));
    }
    void on_sent(std::size_t n) { sent += n; }
    void on_closed(session_type&, std::error_code reason)
    {
        ++closed;
        why = reason;
    }
};

struct memory_fixture {
    using owner_type = recording_owner<stream_ref>;
    asio::io_context io;
    limits bounds;
    read_buffer shared;
    owner_type owner;
    memory_stream stream{io.get_executor(), bytes{}};
    detail::local_ptr<owner_type::session_type> under_test;

    memory_fixture() { stream.stall(); }
    void start()
    {
        under_test = detail::local_ptr(new owner_type::session_type(stream_ref{&stream}, owner, bounds, shared, {}));
        under_test->start();
        poll();
    }
    void poll() { io.restart(), io.poll(); }
};

struct socket_fixture {
    using owner_type = recording_owner<asio::ip::tcp::socket>;
    asio::io_context io;
    limits bounds;
    read_buffer shared;
    owner_type owner;
    asio::ip::tcp::socket client{io};
    detail::local_ptr<owner_type::session_type> under_test;

    void start()
    {
        asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
        client.connect(acceptor.local_endpoint());
        auto taken = acceptor.accept();
        taken.set_option(asio::socket_base::send_buffer_size(4096));
        under_test = detail::local_ptr(new owner_type::session_type(std::move(taken), owner, bounds, shared, {}));
        under_test->start();
    }
    void write(const bytes& what) { asio::write(client, asio::buffer(what)); }
    bytes read(std::size_t n)
    {
        bytes got(n);
        asio::read(client, asio::buffer(got));
        return got;
    }
    /// Reads what the session still has, while it works, until the connection ends.
    std::size_t read_all()
    {
        std::size_t n = 0;
        client.non_blocking(true);
        bytes part(1 << 16);
        for (std::error_code failed; failed != asio::error::eof && failed != asio::error::connection_reset;) {
            io.restart(), io.poll();
            n += client.read_some(asio::buffer(part), failed);
        }
        return n;
    }
};

using strings = std::vector<std::string>;

} // namespace

TEST_CASE_FIXTURE(memory_fixture, "frames reach the owner in order, however they are cut")
{
    start();
    const auto all = frame(101, "one") + frame(1, "") + frame(102, "two");
    for (const auto& byte : all) {
        stream.feed({&byte, 1});
        poll();
    }
    stream.feed(all);
    poll();
    CHECK(owner.seen == strings{"101:one", "1:", "102:two", "101:one", "1:", "102:two"});
    CHECK(!under_test->closed());
    under_test->close(fault::closed_by_us);
}

TEST_CASE_FIXTURE(memory_fixture, "replies to requests that arrived together leave in one write")
{
    owner.react = [](auto& s, auto tag) { s.send(frame(tag, "r")); };
    start();
    const auto before = stream.calls();
    stream.feed(frame(101, "") + frame(102, "") + frame(103, ""));
    poll();
    CHECK(stream.output() == frame(101, "r") + frame(102, "r") + frame(103, "r"));
    CHECK(owner.sent == stream.output().size());
    CHECK(stream.calls() - before == 2); // a write, and the next read
    under_test->close(fault::closed_by_us);
}

TEST_CASE_FIXTURE(memory_fixture, "a stream that ends between messages was closed by the peer")
{
    start();
    stream.feed(frame(101, "x"));
    stream.end_input();
    poll();
    CHECK(owner.seen.size() == 1);
    CHECK(owner.closed == 1);
    CHECK(owner.why == fault::closed_by_peer);
    CHECK(!stream.is_open());
}

TEST_CASE_FIXTURE(memory_fixture, "a stream that ends inside a message breaks it")
{
    for (std::size_t cut = 1; cut != frame(101, "x").size(); ++cut) {
        memory_fixture each;
        each.start();
        each.stream.feed(std::span<const std::byte>(frame(101, "x")).first(cut));
        each.stream.end_input();
        each.poll();
        CHECK(each.owner.seen.empty());
        CHECK(each.owner.closed == 1);
        CHECK(each.owner.why == fault::closed_inside_message);
    }
}

TEST_CASE_FIXTURE(memory_fixture, "a message beyond the limit is reported, answered, and ends the session")
{
    bounds.message_bytes = 4;
    start();
    stream.feed(frame(101, "1234") + frame(102, "12345") + frame(103, ""));
    poll();
    CHECK(owner.seen == strings{"101:1234"});
    CHECK(owner.oversized == std::vector<std::uint32_t>{102});
    CHECK(stream.output() == frame(102, "no"));
    CHECK(owner.closed == 1);
    CHECK(owner.why == fault::message_too_large);
}

TEST_CASE_FIXTURE(memory_fixture, "an owner may close from within a frame: no further one comes")
{
    owner.react = [](auto& s, auto) { s.close(fault::closed_by_us); };
    start();
    stream.feed(frame(101, "") + frame(102, ""));
    poll();
    CHECK(owner.seen.size() == 1);
    CHECK(owner.closed == 1);
    CHECK(owner.why == fault::closed_by_us);
}

TEST_CASE_FIXTURE(memory_fixture, "a session is closed once, and sends nothing after that")
{
    start();
    under_test->close(fault::closed_by_us);
    under_test->close(fault::output_limit);
    under_test->close_after_output(fault::output_limit);
    under_test->send(frame(101, "late"));
    poll();
    CHECK(owner.closed == 1);
    CHECK(owner.why == fault::closed_by_us);
    CHECK(owner.sent == 0);
    CHECK(stream.output().empty());
}

TEST_CASE_FIXTURE(memory_fixture, "a write that fails ends the session")
{
    memory_stream broken(io.get_executor(), bytes{}, memory_stream::whole, test::fail_at(1));
    broken.stall();
    owner_type::session_type* const made = new owner_type::session_type(stream_ref{&broken}, owner, bounds, shared, {});
    under_test = detail::local_ptr(made);
    made->start();
    made->send(frame(101, "x"));
    poll();
    CHECK(owner.closed == 1);
    CHECK(owner.why == asio::error::connection_reset);
}

TEST_CASE_FIXTURE(memory_fixture, "what is queued leaves before a session closes after output")
{
    start();
    under_test->send(frame(101, "x"));
    under_test->close_after_output(fault::closed_by_us);
    poll();
    CHECK(stream.output() == frame(101, "x"));
    CHECK(owner.closed == 1);
    CHECK(owner.why == fault::closed_by_us);
}

TEST_CASE_FIXTURE(memory_fixture, "a peer that does not take the last output is not waited for beyond the limit")
{
    bounds.drain = 5ms;
    memory_stream stuck(io.get_executor(), bytes{}, memory_stream::whole, test::stall_at(1));
    stuck.stall();
    under_test = detail::local_ptr(new owner_type::session_type(stream_ref{&stuck}, owner, bounds, shared, {}));
    under_test->start();
    under_test->send(frame(101, "x"));
    under_test->close_after_output(fault::closed_by_us);
    io.restart();
    test::run_until(io, [&] { return owner.closed == 1; });
    CHECK(owner.why == fault::closed_by_us);
}

TEST_CASE("a session that is under way when its context goes leaks nothing")
{
    memory_fixture dropped;
    dropped.start();
    dropped.stream.feed(bytes_of("half"));
    dropped.poll();
    dropped.under_test.reset();

    socket_fixture other;
    other.start();
    other.under_test->send(frame(0, std::string(8 << 20, 'x')));
    other.io.poll();
    other.under_test.reset();
}

TEST_CASE_FIXTURE(socket_fixture, "a session over a real socket takes frames and answers")
{
    owner.react = [](auto& s, auto tag) { s.send(frame(tag, "r")); };
    start();
    const std::string large(200'000, 'x');
    write(frame(101, "one") + frame(102, large));
    test::run_until(io, [&] { return owner.seen.size() == 2; });
    CHECK(owner.seen == strings{"101:one", "102:" + large});
    CHECK(read(34) == frame(101, "r") + frame(102, "r"));
    client.close();
    test::run_until(io, [&] { return owner.closed == 1; });
    CHECK(owner.why == refusal::gone);
}

TEST_CASE_FIXTURE(socket_fixture, "requests of a peer that does not read are left alone until it does")
{
    bounds.unread_output = 1000;
    const std::string large(8 << 20, 'x'); // more than the kernel keeps
    owner.react = [&](auto& s, auto tag) { s.send(frame(tag, large)); };
    start();
    write(frame(101, ""));
    test::run_until(io, [&] { return owner.seen.size() == 1; });
    write(frame(102, ""));
    for (int i = 0; i != 50; ++i)
        io.poll();
    CHECK(owner.seen.size() == 1);
    client.shutdown(asio::socket_base::shutdown_send);
    CHECK(read_all() >= large.size() + 16);
    CHECK(owner.seen.size() == 2);
    CHECK(owner.closed == 1);
}

TEST_CASE_FIXTURE(memory_fixture, "a peer that leaves too much unread is closed")
{
    bounds.queued_output = 100;
    memory_stream stuck(io.get_executor(), bytes{}, memory_stream::whole, test::stall_at(1));
    stuck.stall();
    under_test = detail::local_ptr(new owner_type::session_type(stream_ref{&stuck}, owner, bounds, shared, {}));
    under_test->start();
    for (int i = 0; i != 4; ++i)
        under_test->send(frame(0, "123456789")); // 25 bytes
    poll();
    CHECK(owner.closed == 0);
    under_test->send(frame(0, ""));
    poll();
    CHECK(owner.closed == 1);
    CHECK(owner.why == fault::output_limit);
    CHECK(owner.sent == 100);
}

TEST_CASE_FIXTURE(socket_fixture, "a peer that resets its connection is gone")
{
    start();
    client.set_option(asio::socket_base::linger(true, 0));
    client.close();
    test::run_until(io, [&] { return owner.closed == 1; });
    CHECK(owner.why == refusal::gone);
}

TEST_CASE("what a session reads at once ends anywhere, and what comes before the end of a connection is heard")
{
    enum class end { none, closed, reset };
    for (std::size_t size = 0; size != 300; ++size)
        for (const auto ends : {end::none, end::closed, end::reset}) {
            CAPTURE(size);
            CAPTURE(static_cast<int>(ends));
            socket_fixture each;
            each.start();
            const std::string payload(size, 'x');
            each.write(frame(101, payload) + frame(102, "y"));
            if (ends == end::reset)
                each.client.set_option(asio::socket_base::linger(true, 0));
            if (ends != end::none)
                each.client.close();
            test::run_until(each.io, [&] { return each.owner.closed == 1 || each.owner.seen.size() == 2; });
            CHECK(each.owner.seen == strings{"101:" + payload, "102:y"});
            if (ends == end::none) {
                each.write(frame(103, ""));
                test::run_until(each.io, [&] { return each.owner.seen.size() == 3; });
                each.client.close();
            }
            test::run_until(each.io, [&] { return each.owner.closed == 1; });
            CHECK(each.owner.why == refusal::gone);
        }
}
