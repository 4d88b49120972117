#include "support/peers.hpp"

#include <pmixio/message/data.hpp>
#include <pmixio/session/responder.hpp>

#include <doctest/doctest.h>

#include <utility>

namespace {

using namespace pmixio;
using test::peer;
using wire::status;
using reply = message::status_reply;

std::string show_payload(const wire::byte_buffer& frame)
{
    return test::show(std::span(frame).subspan(wire::frame_header_size));
}

} // namespace

TEST_CASE("a request is answered once, whatever is tried after that")
{
    peer by({"a", 0});
    {
        auto answer = by.ask<reply>();
        CHECK(answer);
        answer({status::success});
        CHECK(!answer);
        answer({status::error});
        answer.refuse(status::timeout);
    }
    CHECK(by.status() == status::success);
}

TEST_CASE("a request that is dropped is answered with ERROR")
{
    peer by({"a", 0});
    (void)by.ask<reply>();
    CHECK(by.status() == status::error);
}

TEST_CASE("a request that is abandoned is not answered")
{
    peer by({"a", 0});
    {
        auto answer = by.ask<reply>();
        answer.abandon();
        CHECK(!answer);
        answer({});
    }
    CHECK(by.answers() == 0);
}

TEST_CASE("a refusal is a lone status, whatever the reply looks like otherwise")
{
    peer by({"a", 0});
    by.ask<message::get_reply>().refuse(status::not_found);
    CHECK(by.status() == status::not_found);
}

TEST_CASE("the duty to answer moves")
{
    peer by({"a", 0});
    {
        auto first = by.ask<reply>();
        auto second = std::move(first);
        responder<reply> third;
        CHECK(!third);
        third = std::move(second);
        CHECK(by.answers() == 0);
        third({status::exists});
    }
    CHECK(by.status() == status::exists);
}

TEST_CASE("a request that is overwritten by another is answered with ERROR")
{
    peer by({"a", 0}), other({"a", 1});
    auto answer = by.ask<reply>();
    answer = other.ask<reply>();
    CHECK(by.status() == status::error);
    CHECK(other.answers() == 0);
    answer({});
    CHECK(other.status() == status::success);
}

TEST_CASE("a reply that the peer's encoding cannot express becomes ERROR")
{
    peer by({"a", 0});
    const auto newer = wire::value::of<wire::data_type::storage_persistence>(1);
    auto answer =
        responder<message::get_reply>::to<wire::v21>(detail::local_ptr<outlet>(by.out.get()), 101, {});
    answer({status::success, {{{"a", 0}, {{"k", newer}}}}});
    CHECK(!answer);
    REQUIRE(by.answers() == 1);
    CHECK(test::payload<reply, wire::v21>(by.out->frames[0]).result == status::error);
}

TEST_CASE("a frame has the request's tag, index 0 and its own length")
{
    const auto frame = make_frame<wire::v41>(0x01020304, reply{status::success}, {}).value();
    CHECK(test::show(frame) == "00 00 00 00 01 02 03 04 00 00 00 02 00 00 00 00 02 00");
}

TEST_CASE("the encoding and buffer kind of an answer are those of the request")
{
    const wire::agreement described{wire::buffer_kind::fully_described, {}};
    CHECK(show_payload(make_frame<wire::v3>(101, reply{status::not_found}, {}).value()) ==
          "00 00 00 01 ff ff ff d2");
    CHECK(show_payload(make_frame<wire::v41>(101, reply{status::not_found}, described).value()) ==
          "09 02 14 5b");
}

TEST_CASE(
    "a message that nobody asked for goes out as often as it is sent, or not at all if it cannot be encoded")
{
    peer by({"a", 0});
    const auto send =
        notifier<message::get_reply>::to<wire::v21>(detail::local_ptr<outlet>(by.out.get()), {});
    send(0, {});
    send(0, {});
    CHECK(by.answers() == 2);
    send(0,
         {status::success, {{{"a", 0}, {{"k", wire::value::of<wire::data_type::storage_persistence>(1)}}}}});
    CHECK(by.answers() == 2);
}

TEST_CASE("a reply that is kept is made once for all who ask in one encoding, and once more for any other")
{
    peer by({"a", 0});
    kept_reply kept;
    int made = 0;
    const auto ask = [&]<class Encoding>(std::type_identity<Encoding>, std::uint32_t tag,
                                         const wire::agreement& with) {
        const auto before = by.answers();
        auto answer =
            responder<message::get_reply>::to<Encoding>(detail::local_ptr<outlet>(by.out.get()), tag, with);
        const message::get_reply reply{status::success, {{{"a", 0}, {{"k", wire::value::uint32(7)}}}}};
        answer(kept, [&] { return ++made, reply; });
        CHECK(!answer);
        REQUIRE(by.answers() == before + 1);
        CHECK(by.out->frames.back() == make_frame<Encoding>(tag, reply, with).value());
    };
    const wire::agreement described{wire::buffer_kind::fully_described, {}}, newer{{}, {6, 1, 0}};
    const std::type_identity<wire::v41> v41;
    ask(v41, 101, {}), ask(v41, 102, {}), ask(v41, 103, {});
    CHECK(made == 1);
    ask(v41, 101, described), ask(v41, 102, described), ask(v41, 103, newer);
    CHECK(made == 3);
    ask(std::type_identity<wire::v21>(), 104, newer);
    ask(v41, 105, newer);
    CHECK(made == 5);
}

TEST_CASE("a reply that cannot be encoded is not kept")
{
    peer by({"a", 0});
    kept_reply kept;
    const auto ask = [&](const wire::value& content) {
        const message::get_reply owed{status::success, {{{"a", 0}, {{"k", content}}}}};
        responder<message::get_reply>::to<wire::v21>(detail::local_ptr<outlet>(by.out.get()), 101,
                                                     {})(kept, [&] { return owed; });
        return make_frame<wire::v21>(101, owed, {});
    };
    CHECK(!ask(wire::value::of<wire::data_type::storage_persistence>(1)));
    CHECK(test::payload<reply, wire::v21>(by.out->frames.back()).result == status::error);
    const auto whole = ask(wire::value::uint32(1));
    CHECK(by.out->frames.back() == whole.value());
}
