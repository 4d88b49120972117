#include "../support/recorded.hpp"

#include <pmixio/message/message.hpp>

#include <map>

using namespace pmixio;
using namespace pmixio::test;

namespace {

// The types are erased here, so that each message is compiled once per encoding and not once per test.

/// A payload, decoded and encoded again. The second function may change what it decoded.
template <class Message, class From, class To>
result<bytes> again(std::span<const std::byte> payload, const wire::agreement& with)
{
    const auto content = decode<Message, From>(payload, with);
    if (!content)
        return content.error();
    return encode<To>(*content, with);
}

struct codec {
    result<bytes> (*again)(std::span<const std::byte>, const wire::agreement&);
    result<bytes> (*to_native)(std::span<const std::byte>, const wire::agreement&); ///< as v3
    result<bytes> (*from_native)(std::span<const std::byte>, const wire::agreement&);
};

codec codec_of(const recorded& from)
{
    return visit_encoding(from, [&](auto encoding) {
        using E = typename decltype(encoding)::type;
        return visit_message(from, [](auto message) -> codec {
            using M = typename decltype(message)::type;
            return {again<M, E, E>, again<M, E, wire::v3>, again<M, wire::v3, E>};
        });
    });
}

/// Messages whose end is optional or repeated: a prefix of them may be a message.
bool may_end_early(const recorded& from)
{
    const auto& command = from.command;
    if (from.request)
        return command == "COMMIT" || command == "GETNB" || command == "CONNECTNB" ||
               command == "DEREGEVENTS";
    return command == "REQ" || command == "GETNB" || command == "CONNECTNB" || command == "EVENT" ||
           command == "QUERY" || command == "JOB_CONTROL" || command == "GROUP_CONSTRUCT";
}

} // namespace

namespace message_models { // not in the unnamed namespace: clang then warns of constants nobody reads

struct no_items {};
struct not_default {
    explicit not_default(int) {}
    static void items(auto&, auto&) {}
};
struct no_reply {
    static constexpr auto id = wire::command::abort;
    static void items(auto&, auto&) {}
};
struct misnumbered {
    static constexpr int id = 1;
    using reply = message::status_reply;
    static void items(auto&, auto&) {}
};
struct smallest_request {
    static constexpr auto id = wire::command::abort;
    using reply = message::status_reply;
    static void items(auto&, auto&) {}
};

} // namespace message_models

using namespace message_models;

static_assert(message::described_message<smallest_request> && message::request_message<smallest_request>);
static_assert(message::described_message<no_reply> && !message::request_message<no_reply>);
static_assert(message::described_message<misnumbered> && !message::request_message<misnumbered>);
static_assert(!message::described_message<no_items> && !message::described_message<not_default>);
static_assert(!message::described_message<int> && !message::request_message<int>);
static_assert(message::request_message<message::commit> && message::request_message<message::fence>);
static_assert(message::described_message<message::event> && !message::request_message<message::event>);
static_assert(message::described_message<message::job_data> && !message::request_message<message::job_data>);

TEST_CASE("every recorded message is decoded and encoded again to the same bytes")
{
    std::size_t checked = 0;
    std::map<std::string, int> commands;
    for (const auto& name : names("msg-")) {
        CAPTURE(name);
        const auto from = open(name);
        const auto back = codec_of(from).again(from.payload, from.with);
        REQUIRE_MESSAGE(back, back.error().message());
        CHECK((*back == from.payload));
        ++checked;
        ++commands[from.command];
    }
    CHECK(checked == 183);
    CHECK(commands.size() == 20);
}

TEST_CASE("every proper prefix of a recorded message is refused, or is itself a message")
{
    std::size_t prefixes = 0, messages = 0, payload_bytes = 0;
    for (const auto& name : names("msg-")) {
        const auto from = open(name);
        const auto codec = codec_of(from);
        const auto may_end = may_end_early(from);
        payload_bytes += from.payload.size();
        for (std::size_t cut = 0; cut != from.payload.size(); ++cut) {
            const auto prefix = std::span(from.payload).first(cut);
            const auto back = codec.again(prefix, from.with);
            ++prefixes;
            if (!back) {
                if (back.error() != refusal::malformed)
                    FAIL_CHECK(name << " cut at " << cut << ": " << back.error().message());
            } else {
                ++messages;
                if (!may_end || !std::equal(back->begin(), back->end(), prefix.begin(), prefix.end()))
                    FAIL_CHECK(name << " cut at " << cut << " is read as another message");
            }
        }
    }
    CHECK(prefixes == payload_bytes);
    CHECK(messages > 100);
    CHECK(messages < prefixes / 50);
    MESSAGE(messages << " of " << prefixes << " prefixes are messages themselves");
}

TEST_CASE("bytes after a recorded message are refused")
{
    for (const auto& name : names("msg-")) {
        CAPTURE(name);
        const auto from = open(name);
        CHECK(codec_of(from).again(from.payload + hex("00"), from.with).error() == refusal::malformed);
    }
}

TEST_CASE("every recorded message of a flex client survives being written natively")
{
    std::size_t checked = 0;
    for (const auto& name : names("msg-")) {
        const auto from = open(name);
        if (from.encoding != "v41" && from.encoding != "v61")
            continue;
        CAPTURE(name);
        const auto codec = codec_of(from);
        const auto native = codec.to_native(from.payload, from.with);
        REQUIRE_MESSAGE(native, native.error().message());
        CHECK((*native != from.payload));
        const auto back = codec.from_native(*native, from.with);
        REQUIRE_MESSAGE(back, back.error().message());
        CHECK((*back == from.payload));
        ++checked;
    }
    CHECK(checked == 145);
}

TEST_CASE("every recorded message survives the other buffer kind")
{
    for (const auto& name : names("msg-")) {
        CAPTURE(name);
        const auto from = open(name);
        auto other = from.with;
        other.kind = from.with.kind == wire::buffer_kind::fully_described
                         ? wire::buffer_kind::non_described
                         : wire::buffer_kind::fully_described;
        const auto back = visit_encoding(from, [&](auto encoding) {
            using E = typename decltype(encoding)::type;
            return visit_message(from, [&](auto message) -> result<bytes> {
                using M = typename decltype(message)::type;
                const auto content = decode<M, E>(from.payload, from.with);
                const auto changed = encode<E>(*content, other);
                CHECK((*changed != from.payload));
                CHECK((decode<M, E>(*changed, other).value() == *content));
                const auto wrong = decode<M, E>(*changed, from.with);
                CHECK_FALSE(wrong);
                return encode<E>(*decode<M, E>(*changed, other), from.with);
            });
        });
        REQUIRE(back);
        CHECK((*back == from.payload));
    }
}

TEST_CASE("a request starts with its command, a reply with none")
{
    const wire::agreement with{};
    CHECK(show(*encode<wire::v41>(message::finalize(), with)) == "02 05");
    CHECK(show(*encode<wire::v21>(message::finalize(), with)) == "00 00 00 01 05");
    CHECK(show(*encode<wire::v41>(message::status_reply(), with)) == "02 00");
    CHECK(show(*encode<wire::v41>(message::status_reply{wire::status::not_found}, with)) == "02 5b");
    CHECK(show(*encode<wire::v21>(message::status_reply{wire::status::not_found}, with)) ==
          "00 00 00 01 ff ff ff d2");
    const wire::agreement described{wire::buffer_kind::fully_described, {}};
    CHECK(show(*encode<wire::v41>(message::status_reply(), described)) == "09 02 14 00");
    CHECK(show(*encode<wire::v41>(message::finalize(), described)) == "09 02 22 05");
}

TEST_CASE("the command of every recorded request is read and leaves the cursor at its items")
{
    for (const auto& name : names("msg-")) {
        const auto from = open(name);
        if (!from.request)
            continue;
        CAPTURE(name);
        const auto left = visit_encoding(from, [&](auto encoding) {
            using E = typename decltype(encoding)::type;
            wire::cursor in(from.payload);
            const auto id = message::read_command<E>(in, from.with);
            CHECK(id);
            visit_message(from, [&](auto message) {
                if constexpr (requires { decltype(message)::type::id; })
                    CHECK(*id == decltype(message)::type::id);
            });
            return in.left();
        });
        const auto described = from.with.kind == wire::buffer_kind::fully_described;
        CHECK(left == from.payload.size() - (from.encoding < "v4" ? 5u : described ? 4u : 2u));
    }
    for (const char* raw : {"", "02", "00 05", "04 05 05", "01 05"}) {
        const auto payload = hex(raw);
        wire::cursor in(payload);
        CHECK(message::read_command<wire::v41>(in, {}).error() == refusal::malformed);
    }
}

TEST_CASE("a message that does not fit the writer is refused")
{
    bytes target;
    wire::writer out(target, 10);
    const auto done =
        message::write<wire::v41>(out, content_of<message::commit>("msg-debian-commit-c2s"), {});
    CHECK(done.error() == fault::message_too_large);
    CHECK(target.size() <= 10);
}
