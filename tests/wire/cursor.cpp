#include "../support/bytes.hpp"

#include <pmixio/wire/cursor.hpp>

#include <array>
#include <cstring>
#include <functional>

using namespace pmixio;
using namespace pmixio::test;
using wire::cursor;

namespace {

constexpr std::array<std::byte, 8> counting{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                            std::byte{5}, std::byte{6}, std::byte{7}, std::byte{8}};

constexpr bool reads_at_compile_time()
{
    cursor in(counting);
    const bool numbers = in.u8() == 1 && in.big_endian<std::uint16_t>() == 0x0203 &&
                         in.big_endian<std::uint32_t>() == 0x04050607 && in.left() == 1 && !in.at_end();
    const bool piece = in.bytes(1).front() == std::byte{8} && in.at_end();
    in.finish();
    const bool clean = in.ok();
    return numbers && piece && clean && in.u8() == 0 && !in.ok() && in.error() == fault::truncated;
}
static_assert(reads_at_compile_time());

constexpr bool counts_at_compile_time()
{
    cursor in(counting);
    const bool fits = in.count(4, 2) == 4 && in.ok();
    return fits && in.count(5, 2) == 0 && in.error() == fault::bad_count && in.left() == 0;
}
static_assert(counts_at_compile_time());
static_assert(cursor().at_end() && cursor().ok());

/// Each read, the bytes it needs, and whether it gave what an error has to give: nothing.
struct read {
    std::string_view name;
    std::size_t size;
    std::function<bool(cursor&)> gives_nothing;
};

const std::array reads{
    read{"u8", 1, [](cursor& in) { return in.u8() == 0; }},
    read{"big_endian 1", 1, [](cursor& in) { return in.big_endian<std::uint8_t>() == 0; }},
    read{"big_endian 2", 2, [](cursor& in) { return in.big_endian<std::uint16_t>() == 0; }},
    read{"big_endian 4", 4, [](cursor& in) { return in.big_endian<std::uint32_t>() == 0; }},
    read{"big_endian 8", 8, [](cursor& in) { return in.big_endian<std::uint64_t>() == 0; }},
    read{"host_order 1", 1, [](cursor& in) { return in.host_order<std::uint8_t>() == 0; }},
    read{"host_order 2", 2, [](cursor& in) { return in.host_order<std::uint16_t>() == 0; }},
    read{"host_order 4", 4, [](cursor& in) { return in.host_order<std::uint32_t>() == 0; }},
    read{"host_order 8", 8, [](cursor& in) { return in.host_order<std::uint64_t>() == 0; }},
    read{"bytes", 3, [](cursor& in) { return in.bytes(3).empty(); }},
    read{"text", 5, [](cursor& in) { return in.text(5).empty(); }},
};

} // namespace

TEST_CASE("every read takes exactly its bytes and refuses every truncation")
{
    for (const auto& each : reads) {
        CAPTURE(each.name);
        for (std::size_t cut = 0; cut != each.size; ++cut) {
            cursor in{std::span(counting).first(cut)};
            CHECK(each.gives_nothing(in));
            CHECK_FALSE(in.ok());
            CHECK(in.error() == fault::truncated);
            CHECK(in.left() == 0);
            CHECK(in.rest().empty());
        }
        cursor in(counting);
        CHECK_FALSE(each.gives_nothing(in));
        CHECK(in.ok());
        CHECK(in.left() == counting.size() - each.size);
    }
}

TEST_CASE("the first fault sticks and nothing is readable after it")
{
    cursor in(counting);
    CHECK(in.u8() == 1);
    in.fail(fault::bad_descriptor);
    for (const auto& each : reads) {
        CAPTURE(each.name);
        CHECK(each.gives_nothing(in));
        CHECK(in.error() == fault::bad_descriptor);
    }
    CHECK(in.terminated().empty());
    CHECK(in.count(1, 1) == 0);
    CHECK(in.count(0, 1) == 0);
    CHECK(in.bytes(0).empty());
    in.fail(fault::too_deep);
    in.finish();
    CHECK(in.error() == fault::bad_descriptor);
    CHECK(in.at_end());
    CHECK(in.left() == 0);
}

TEST_CASE("numbers come most significant byte first, or in the order of this machine")
{
    cursor in(counting);
    CHECK(in.big_endian<std::uint64_t>() == 0x0102030405060708u);
    std::uint32_t expected = 0;
    std::memcpy(&expected, counting.data(), sizeof expected);
    CHECK(cursor(counting).host_order<std::uint32_t>() == expected);
    for (unsigned byte = 0; byte != 256; ++byte) {
        const std::array one{static_cast<std::byte>(byte)};
        CHECK(cursor(one).u8() == byte);
    }
}

TEST_CASE("views show the bytes in place")
{
    const auto text = bytes_of("PATH=/x");
    cursor in(text);
    CHECK(in.rest().data() == text.data());
    const auto name = in.text(4);
    CHECK(name == "PATH");
    CHECK(reinterpret_cast<const std::byte*>(name.data()) == text.data());
    CHECK(in.bytes(3).data() == text.data() + 4);
    CHECK(in.at_end());
}

TEST_CASE("no length makes a read go beyond the end")
{
    for (const std::uint64_t n : {std::uint64_t{9}, std::uint64_t{1} << 31, std::uint64_t{1} << 32,
                                  std::uint64_t{1} << 63, UINT64_MAX - 7, UINT64_MAX}) {
        CAPTURE(n);
        cursor in(counting);
        CHECK(in.bytes(n).empty());
        CHECK(in.error() == fault::truncated);
        cursor as_text(counting);
        CHECK(as_text.text(n).empty());
        CHECK_FALSE(as_text.ok());
    }
    cursor in(counting);
    CHECK(in.bytes(0).empty());
    CHECK(in.text(0).empty());
    CHECK(in.ok());
    CHECK(in.bytes(8).size() == 8);
    CHECK(in.ok());
}

TEST_CASE("a count passes only if its elements fit in what is left")
{
    struct row {
        std::uint64_t n;
        std::size_t smallest;
        bool fits;
    };
    constexpr auto half = std::uint64_t{1} << 63;
    for (const auto& each : {row{0, 1, true},
                             row{8, 1, true},
                             row{9, 1, false},
                             row{4, 2, true},
                             row{5, 2, false},
                             row{2, 3, true},
                             row{3, 3, false},
                             row{1, 8, true},
                             row{2, 8, false},
                             row{1, 9, false},
                             row{0, 9, true},
                             row{half, 1, false},
                             row{half, 2, false},
                             row{half, 8, false},
                             row{half + 1, 16, false},
                             row{UINT64_MAX, 1, false},
                             row{UINT64_MAX, 8, false},
                             row{UINT64_MAX, SIZE_MAX, false},
                             row{std::uint64_t{1} << 32, 8, false},
                             row{std::uint64_t{1} << 61, 8, false}}) {
        CAPTURE(each.n);
        CAPTURE(each.smallest);
        cursor in(counting);
        CHECK(in.count(each.n, each.smallest) == (each.fits ? each.n : 0));
        CHECK(in.ok() == each.fits);
        CHECK(in.left() == (each.fits ? 8 : 0));
        if (!each.fits)
            CHECK(in.error() == fault::bad_count);
    }
    cursor later(counting);
    later.bytes(6);
    CHECK(later.count(2, 1) == 2);
    CHECK(later.count(3, 1) == 0);
    CHECK(later.error() == fault::bad_count);
}

TEST_CASE("text up to a NUL leaves the NUL out and consumes it")
{
    const auto two = hex("61 62 00 00 63");
    cursor in(two);
    CHECK(in.terminated() == "ab");
    CHECK(in.left() == 2);
    CHECK(in.terminated().empty());
    CHECK(in.ok());
    CHECK(in.left() == 1);
    CHECK(in.terminated().empty());
    CHECK(in.error() == fault::bad_string);

    cursor empty;
    CHECK(empty.terminated().empty());
    CHECK(empty.error() == fault::truncated);

    for (std::size_t cut = 1; cut != 3; ++cut) {
        cursor missing{std::span(two).first(cut)};
        CHECK(missing.terminated().empty());
        CHECK(missing.error() == fault::bad_string);
        CHECK(missing.left() == 0);
    }
}

TEST_CASE("bytes after the last field are a fault")
{
    cursor in(counting);
    in.bytes(7);
    in.finish();
    CHECK(in.error() == fault::extra_bytes);
    CHECK(in.at_end());

    cursor whole(counting);
    whole.bytes(8);
    whole.finish();
    CHECK(whole.ok());
    CHECK(whole.at_end());

    cursor empty;
    empty.finish();
    CHECK(empty.ok());
}
