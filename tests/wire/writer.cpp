#include "../support/bytes.hpp"

#include <pmixio/wire/cursor.hpp>
#include <pmixio/wire/writer.hpp>

#include <array>
#include <functional>

using namespace pmixio;
using namespace pmixio::test;
using wire::writer;

namespace {

struct write {
    std::string_view name;
    std::size_t size;
    std::function<void(writer&)> one;
    std::string expected;
};

const std::array piece{std::byte{9}, std::byte{8}, std::byte{7}};
const std::array writes{
    write{"u8", 1, [](writer& out) { out.u8(0xfe); }, "fe"},
    write{"big_endian 2", 2, [](writer& out) { out.big_endian(std::uint16_t{0x0102}); }, "01 02"},
    write{"big_endian 4", 4, [](writer& out) { out.big_endian(0x01020304u); }, "01 02 03 04"},
    write{"big_endian 8", 8, [](writer& out) { out.big_endian(std::uint64_t{0x0102030405060708}); },
          "01 02 03 04 05 06 07 08"},
    write{"append", 3, [](writer& out) { out.append(piece); }, "09 08 07"},
    write{"text", 2, [](writer& out) { out.text("ab"); }, "61 62"},
    write{"zeros", 4, [](writer& out) { out.zeros(4); }, "00 00 00 00"},
};

} // namespace

TEST_CASE("every write appends its bytes")
{
    for (const auto& each : writes) {
        CAPTURE(each.name);
        auto target = hex("aa");
        writer out(target);
        each.one(out);
        CHECK(out.ok());
        CHECK(show(target) == "aa " + each.expected);
        CHECK(out.size() == target.size());
    }
    bytes target;
    writer out(target);
    out.terminated("ab");
    out.terminated("");
    CHECK(show(target) == "61 62 00 00");
}

TEST_CASE("the order of this machine is written as cursor reads it")
{
    bytes target;
    writer out(target);
    out.host_order(0x01020304u);
    out.host_order(std::uint16_t{0x0506});
    wire::cursor in(target);
    CHECK(in.host_order<std::uint32_t>() == 0x01020304u);
    CHECK(in.host_order<std::uint16_t>() == 0x0506);
    CHECK(in.at_end());
}

TEST_CASE("a write that fits the limit is made, one byte more is refused whole")
{
    for (const auto& each : writes) {
        CAPTURE(each.name);
        auto target = hex("aa bb");
        writer exact(target, 2 + each.size);
        each.one(exact);
        CHECK(exact.ok());
        CHECK(target.size() == 2 + each.size);

        target = hex("aa bb");
        writer out(target, 1 + each.size);
        each.one(out);
        CHECK_FALSE(out.ok());
        CHECK(out.error() == fault::message_too_large);
        CHECK(show(target) == "aa bb");
    }
}

TEST_CASE("a target already beyond the limit takes nothing")
{
    auto target = hex("aa bb cc");
    writer out(target, 2);
    CHECK(out.ok());
    out.append({});
    CHECK(out.ok());
    out.u8(1);
    CHECK(out.error() == fault::message_too_large);
    CHECK(target.size() == 3);
}

TEST_CASE("the first fault sticks and later writes do nothing")
{
    auto target = hex("aa");
    writer out(target, 2);
    out.big_endian(std::uint16_t{1});
    CHECK_FALSE(out.ok());
    out.fail(fault::unencodable);
    CHECK(out.error() == fault::message_too_large);
    for (const auto& each : writes)
        each.one(out);
    out.terminated("x");
    out.patch(0, 0xffffffff);
    CHECK(show(target) == "aa");

    bytes other;
    writer failed(other);
    failed.fail(fault::unencodable);
    failed.fail(fault::message_too_large);
    failed.u8(1);
    CHECK(failed.error() == fault::unencodable);
    CHECK(other.empty());
}

TEST_CASE("what was written before a fault stays")
{
    bytes target;
    writer out(target, 2);
    out.terminated("ab");
    CHECK_FALSE(out.ok());
    CHECK(show(target) == "61 62");
}

TEST_CASE("a patch overwrites four bytes in place")
{
    auto target = hex("aa");
    writer out(target);
    out.zeros(4);
    out.u8(0xbb);
    out.patch(1, 0x01020304);
    CHECK(show(target) == "aa 01 02 03 04 bb");
    CHECK(out.ok());
}

TEST_CASE("big endian numbers are written most significant byte first for every width")
{
    std::array<std::byte, 8> raw{};
    writer::put_big_endian(raw.data(), std::uint8_t{0x12});
    CHECK(show(std::span(raw).first(1)) == "12");
    writer::put_big_endian(raw.data(), std::uint64_t{0xfedcba9876543210});
    CHECK(show(raw) == "fe dc ba 98 76 54 32 10");
}
