#include "support/loops.hpp"
#include "support/vectors.hpp"

#include <pmixio/client/connect.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace pmixio;
using namespace pmixio::test;

namespace {

struct row {
    const char* reply;
    peer_kind kind;
};
const row rows[] = {{"debian-client.reply", peer_kind::client},
                    {"server-debian-tool-given-id.reply", peer_kind::tool},
                    {"server-debian-tool-needs-id.reply", peer_kind::tool_needs_id},
                    {"debian-singleton.reply", peer_kind::singleton},
                    {"v6.1.0-singleton.reply", peer_kind::singleton}};

const bytes request = load("debian-tool.request").bytes;

} // namespace

TEST_CASE("a handshake writes its request and reads no more than the reply, however both are cut")
{
    for (const auto& each : rows) {
        CAPTURE(each.reply);
        const auto reply = load(each.reply).bytes;
        const auto op = [&](memory_stream& s) { return shake_hands(s, request, each.kind); };
        each_chunk(conversation(reply, request), op);
        fail_at_each_call(conversation(reply, request), op);
        fail_at_each_call(conversation(reply, request), op, 100);
        refuse_each_prefix(conversation(reply), op, [](std::error_code e) {
            return e == fault::closed_by_peer || e == fault::closed_inside_message;
        });

        asio::io_context io;
        memory_stream stream(io.get_executor(), reply + hex("01 02 03"));
        CHECK((run(io, op(stream)).value() == parse_reply(reply, each.kind).value()));
        CHECK(show(stream.unread()) == "01 02 03");
    }
}

TEST_CASE("a handshake can be cancelled at any time")
{
    for (const auto& each : rows) {
        CAPTURE(each.reply);
        const auto reply = load(each.reply).bytes;
        const auto op = [&](memory_stream& s) { return shake_hands(s, request, each.kind); };
        cancelled_before_start(conversation(reply, request), op);
        cancelled_at_each_wait(conversation(reply, request), op, 100);
        cancelled_at_each_step(conversation(reply, request), op, 100);
    }
}

TEST_CASE("of a refusal nothing behind the status is read")
{
    asio::io_context io;
    memory_stream stream(io.get_executor(), hex("ffffffd2 00000000"));
    const auto got = run(io, shake_hands(stream, request, peer_kind::tool_needs_id));
    CHECK(got.error() == wire::make_error_code(wire::status::not_found));
    CHECK(stream.unread().size() == 4);
    CHECK(show(stream.output()) == show(request));
}
