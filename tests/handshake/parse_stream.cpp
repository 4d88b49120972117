#include <pmixio/handshake/parse.hpp>

#include "../support/loops.hpp"
#include "../support/vectors.hpp"

#include <cstring>
#include <string>

using namespace pmixio;
using namespace pmixio::test;

namespace {

/// What of a hello can be compared, taken while its storage is alive.
struct summary {
    std::string security, nspace, version, encoding, gds;
    bytes credential, attributes;
    peer_kind kind{};
    std::uint32_t rank = 0;

    friend bool operator==(const summary&, const summary&) = default;
};

summary summary_of(const hello& said)
{
    return {std::string(said.security), std::string(said.nspace.value_or("")), std::string(said.version),
            std::string(said.encoding), std::string(said.gds), {said.credential.begin(), said.credential.end()},
            {said.attributes.begin(), said.attributes.end()}, said.kind, said.rank};
}

/// What parse_handshake(bytes) says.
summary read_at_once(std::span<const std::byte> request) { return summary_of(parse_handshake(request).value()); }

/// The operation under test; the hello is moved once on its way, as in a server.
asio::awaitable<result<summary>> parse(memory_stream& from)
{
    auto said = co_await parse_handshake(from);
    if (!said)
        co_return said.error();
    const hello moved = *std::move(said);
    co_return summary_of(moved);
}

bytes captured(const char* name) { return load(std::string(name) + ".request").bytes; }

constexpr const char* small_and_large[] = {"debian-client", "v6.1.0-client", "debian-client-munge", "v5.0.10-launcher-given-id"};

bytes header(std::uint32_t announced)
{
    auto result = hex("ffffffff ffffffff 00000000 00000000");
    std::memcpy(result.data() + 8, &announced, sizeof announced);
    return result;
}

/// The largest request there may be.
bytes largest()
{
    auto request = captured("v3.2.5-client");
    request.resize(wire::frame_header_size + max_handshake_bytes);
    const auto front = header(max_handshake_bytes);
    std::copy(front.begin(), front.end(), request.begin());
    return request;
}

/// One run on a stream of its own.
struct attempt {
    explicit attempt(const bytes& input, std::size_t chunk = memory_stream::whole) : stream(io.get_executor(), input, chunk) {}
    result<summary> outcome() { return run(io, parse(stream)); }

    asio::io_context io;
    memory_stream stream;
};

} // namespace

TEST_CASE("a request is read from a stream as from bytes, in pieces of any size")
{
    for (const auto* name : small_and_large) {
        CAPTURE(name);
        const auto request = captured(name);
        attempt whole(request);
        CHECK((whole.outcome().value() == read_at_once(request)));
        each_chunk(request, parse);
    }
}

TEST_CASE("what was read before is the beginning of a request, however much that was")
{
    const auto request = captured("debian-client-munge");
    for (std::size_t begun = 0; begun <= request.size(); ++begun) {
        CAPTURE(begun);
        const auto first = std::span<const std::byte>(request).first(begun);
        CHECK(is_whole_request(first) == (begun == request.size()));
        asio::io_context io;
        memory_stream rest(io.get_executor(), {request.begin() + static_cast<std::ptrdiff_t>(begun), request.end()});
        const auto said = run(io, parse_handshake(rest, max_handshake_bytes, first));
        CHECK(summary_of(said.value()) == read_at_once(request));
    }
    CHECK(is_whole_request(header(max_handshake_bytes + 1))); // it cannot become one
}

TEST_CASE("every captured request is read from a stream as from bytes")
{
    for (const auto& name : names("")) {
        if (!name.ends_with(".request"))
            continue;
        CAPTURE(name);
        const auto request = load(name).bytes;
        attempt once(request);
        CHECK((once.outcome().value() == read_at_once(request)));
        CHECK(once.stream.is_open());
    }
}

TEST_CASE("the views of a hello from a stream point into its storage")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), captured("debian-client"));
    auto said = run(io, parse_handshake(stream)).value();
    REQUIRE(said.storage);
    const auto* const base = reinterpret_cast<const char*>(said.storage.get());
    CHECK(said.security.data() == base + 16);
    CHECK(said.nspace->data() == base + 36);
    const hello moved = std::move(said);
    CHECK(reinterpret_cast<const char*>(moved.storage.get()) == base);
    CHECK(moved.nspace == "labns");
}

TEST_CASE("an error of the stream is the result, at whichever call")
{
    for (const auto* name : small_and_large) {
        CAPTURE(name);
        const auto request = captured(name);
        CHECK(fail_at_each_call(request, parse) >= 1);
        CHECK(fail_at_each_call(request, parse, 16) >= request.size() / 16);
        CHECK(fail_at_each_call(captured("debian-client"), parse, 1) == 66);
    }
}

TEST_CASE("a peer that closes before its first byte is gone, and later has broken off a message")
{
    for (const auto* name : small_and_large) {
        CAPTURE(name);
        const auto request = captured(name);
        for (std::size_t size = 0; size != request.size(); ++size) {
            CAPTURE(size);
            attempt once({request.begin(), request.begin() + static_cast<std::ptrdiff_t>(size)});
            const auto got = once.outcome().error();
            CHECK(got == (size == 0 ? fault::closed_by_peer : fault::closed_inside_message));
            CHECK(once.stream.is_open());
        }
        refuse_each_prefix(request, parse, [](std::error_code e) { return e == refusal::malformed || e == refusal::gone; }, 7);
    }
}

TEST_CASE("parse_handshake can be cancelled before it starts, while it waits and at every step")
{
    const auto request = captured("debian-client");
    cancelled_before_start(request, parse);
    CHECK(cancelled_at_each_wait(request, parse, 16) == 5);
    CHECK(cancelled_at_each_wait(request, parse) >= 1);
    cancelled_at_each_step(request, parse, 16);
}

TEST_CASE("a cancelled parse_handshake has operation_aborted as its value")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), "");
    stream.stall();
    task<result<summary>> waiting(io, parse(stream));
    run_until(io, [&] { return stream.waiting(); });
    waiting.cancel();
    CHECK(finish(io, waiting).error() == asio::error::operation_aborted);
    CHECK(stream.is_open());
}

TEST_CASE("a header that announces too much is refused without reading on")
{
    for (const std::uint32_t announced : {131'073u, 0x3200'0000u, 0x7fff'ffffu, 0xffff'ffffu}) {
        CAPTURE(announced);
        attempt once(header(announced), 16);
        once.stream.stall();
        CHECK(once.outcome().error() == fault::handshake_too_large);
        CHECK(once.stream.calls() == 1);
        CHECK(once.stream.is_open());
    }
}

TEST_CASE("the limit on a request from a stream can be lower")
{
    const auto request = captured("debian-client"); // of 50 bytes behind the header
    for (const std::size_t limit : {49u, 50u}) {
        asio::io_context io;
        memory_stream stream(io.get_executor(), request);
        const auto got = run(io, parse_handshake(stream, limit));
        CHECK(got.error() == (limit < 50 ? make_error_code(fault::handshake_too_large) : std::error_code()));
    }
}

TEST_CASE("the largest request is read")
{
    const auto request = largest();
    for (const std::size_t chunk : {memory_stream::whole, std::size_t{1'000}}) {
        attempt once(request, chunk);
        const auto got = once.outcome().value();
        CHECK((got == read_at_once(request)));
    }
}

TEST_CASE("a request is complete at its last byte, though the stream goes on")
{
    for (const auto* name : small_and_large) {
        const auto request = captured(name);
        attempt once(request, 5);
        once.stream.stall();
        CHECK(once.outcome().has_value());
        CHECK(once.stream.unread().empty());
    }
}

TEST_CASE("bytes that come with the end of a request are extra")
{
    for (const auto* name : small_and_large) {
        CAPTURE(name);
        attempt one_more(captured(name) + hex("00"));
        CHECK(one_more.outcome().error() == fault::extra_bytes);
        attempt twice(captured(name) + captured(name));
        CHECK(twice.outcome().error() == fault::extra_bytes);
    }
    // a request of just the size that is read at a time
    for (const std::size_t size : {255u, 256u, 257u, 511u, 512u, 513u}) {
        CAPTURE(size);
        auto request = largest();
        request.resize(size);
        const auto front = header(static_cast<std::uint32_t>(size - wire::frame_header_size));
        std::copy(front.begin(), front.end(), request.begin());
        attempt exact(request);
        CHECK(exact.outcome().has_value());
        attempt waits(request);
        waits.stream.stall();
        CHECK(waits.outcome().has_value());
        attempt more(request + hex("00"));
        CAPTURE(more.stream.calls());
        const auto got = more.outcome();
        CHECK((got.error() == fault::extra_bytes || !more.stream.unread().empty()));
    }
}

TEST_CASE("what is wrong with the bytes is the result")
{
    auto request = captured("debian-client");
    request[35] = std::byte{11};
    attempt kind(request);
    CHECK(kind.outcome().error() == fault::unknown_peer_kind);
    attempt empty(header(0));
    CHECK(empty.outcome().error() == fault::truncated);
}
