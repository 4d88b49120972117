#include "../support/bytes.hpp"
#include "../support/golden.hpp"
#include "../support/reference.hpp"

#include <pmixio/wire/encodings.hpp>
#include <pmixio/wire/transcode.hpp>

#include <set>

using namespace pmixio;
using namespace pmixio::test;
using namespace pmixio::wire;
namespace reference = pmixio::test::reference;

namespace {

struct copied {
    bytes target;
    bool ok = false;
    fault error{};
    std::size_t left = 0;
    data_type newest = data_type::undef;
};

template <class From, class To>
copied copy(std::uint16_t type, std::span<const std::byte> raw, data_type limit = v41::newest,
            bool from_described = false, bool to_described = false)
{
    copied result;
    cursor bytes_in(raw);
    writer bytes_out(result.target);
    input<From> in(bytes_in, from_described);
    output<To> out(bytes_out, to_described);
    transcoder<From, To> transcode(in, out, limit);
    transcode.one(static_cast<data_type>(type));
    result.ok = bytes_in.ok();
    result.error = bytes_in.error();
    result.left = bytes_in.left();
    result.newest = transcode.newest_seen();
    return result;
}

copied read_flex(std::uint16_t type, const bytes& raw, data_type limit = v41::newest)
{
    return copy<flex_form, flex_form>(type, raw, limit);
}

constexpr std::uint16_t array = 39;

/// UINT8 5 inside `levels` arrays of arrays, without the outermost type code.
bytes nested_arrays(std::size_t levels)
{
    bytes result;
    for (std::size_t i = 1; i != levels; ++i)
        result = result + hex("27 01");
    return result + hex("0c 01 05");
}

/// What messages.md sections 5 and 6 list per module, minus what "a server does not need" and 44 where it is
/// gone.
std::set<unsigned> types_of(std::string_view encoding)
{
    std::set<unsigned> result;
    const auto add = [&](unsigned from, unsigned to) {
        for (auto code = from; code <= to; ++code)
            result.insert(code);
    };
    add(0, 44);
    if (encoding == "v20" || encoding == "v21")
        result.erase(29);
    if (encoding == "v3")
        add(45, 46), result.erase(29);
    if (encoding.starts_with("v4") || encoding >= "v5")
        add(45, 59), result.erase(29), result.erase(44), result.erase(56);
    if (encoding == "v41" || encoding == "v51" || encoding == "v61")
        add(60, 69), result.erase(61), result.erase(62), result.erase(63), result.erase(64);
    return result;
}

} // namespace

TYPE_TO_STRING(v20);
TYPE_TO_STRING(v21);
TYPE_TO_STRING(v3);
TYPE_TO_STRING(v4);
TYPE_TO_STRING(v41);
TYPE_TO_STRING(v51);
TYPE_TO_STRING(v61);

TEST_CASE_TEMPLATE("an encoding knows the type codes of its module and no others", Encoding, v20, v21, v3, v4,
                   v41, v51, v61)
{
    using form = typename Encoding::form;
    const auto expected = types_of(Encoding::name);
    for (unsigned code = 0; code <= 75; ++code) {
        if (code == 44)
            continue; // INFO_ARRAY has a case of its own
        CAPTURE(code);
        CHECK(known(static_cast<data_type>(code), Encoding::newest) == expected.contains(code));
        const auto result = copy<form, flex_form>(static_cast<std::uint16_t>(code), {}, Encoding::newest);
        CHECK((!result.ok && result.error == fault::unknown_type) == !expected.contains(code));
    }
    for (const unsigned code : {76u, 255u, 256u, 0x8000u, 0xffffu})
        CHECK_FALSE(known(static_cast<data_type>(code), Encoding::newest));
}

TEST_CASE("INFO_ARRAY ended with v3")
{
    // bfrops modules v4 and later of OpenPMIx v4.2.2 and v6.1.0 do not register it
    const auto native = hex("000f 0000000000000001 00000002 6b00 00000000 0001 01");
    CHECK(copy<native_form, native_form>(44, native, v21::newest).target == native);
    CHECK(copy<native_form, native_form>(44, native, v3::newest).target == native);
    CHECK(show(copy<native_form, flex_form>(44, native, v3::newest).target) == "01 04 6b 00 00 01 01");
    CHECK_FALSE(known(data_type::info_array, v4::newest));
    CHECK_FALSE(known(data_type::info_array, v41::newest));
    CHECK_FALSE(known(data_type::info_array, v61::newest));
}

TEST_CASE("every known type has a golden value")
{
    std::set<unsigned> covered{44};
    for (const auto& each : goldens)
        covered.insert(each.type);
    for (const auto code : types_of("v41"))
        CHECK_MESSAGE(covered.contains(code), code);
}

TEST_CASE("every golden value is the same in every form, back and forth")
{
    for (const auto& each : goldens) {
        CAPTURE(each.type);
        CAPTURE(each.flex);
        const auto native = hex(each.native), flex = hex(each.flex);
        CHECK(show(copy<native_form, native_form>(each.type, native).target) == show(native));
        CHECK(show(copy<native_form, flex_form>(each.type, native).target) == show(flex));
        CHECK(show(copy<flex_form, native_form>(each.type, flex).target) == show(native));
        CHECK(show(copy<flex_form, flex_form>(each.type, flex).target) == show(flex));
        CHECK(show(copy<native_form, flex_form>(each.type, native, v41::newest, true, true).target) ==
              show(flex));
        CHECK(show(copy<flex_form, native_form>(each.type, flex, v41::newest, true, true).target) ==
              show(native));
        CHECK(copy<native_form, flex_form>(each.type, native + hex("55")).left == 1);
        CHECK(copy<flex_form, native_form>(each.type, flex + hex("55 aa")).left == 2);
    }
}

TEST_CASE("every golden value of v20 is the same in every form and buffer kind")
{
    for (const auto& each : goldens_v20) {
        CAPTURE(each.type);
        CAPTURE(each.flex);
        const auto plain = hex(each.plain), described = hex(each.described), flex = hex(each.flex);
        constexpr auto limit = v20::newest;
        CHECK(show(copy<v20_form, flex_form>(each.type, plain, limit, false, false).target) == show(flex));
        CHECK(show(copy<v20_form, flex_form>(each.type, described, limit, true, false).target) == show(flex));
        CHECK(show(copy<flex_form, v20_form>(each.type, flex, limit, false, false).target) == show(plain));
        CHECK(show(copy<flex_form, v20_form>(each.type, flex, limit, false, true).target) == show(described));
        CHECK(show(copy<v20_form, v20_form>(each.type, plain, limit, false, true).target) == show(described));
        CHECK(show(copy<v20_form, v20_form>(each.type, described, limit, true, false).target) == show(plain));
        for (std::size_t cut = 0; cut != described.size(); ++cut)
            CHECK_FALSE(
                copy<v20_form, flex_form>(each.type, std::span(described).first(cut), limit, true).ok);
    }
}

TEST_CASE("a description of another type inside a v20 value is refused")
{
    const auto value = hex("000e 000d 0000012c"); // UINT32, described as UINT16
    CHECK(copy<v20_form, flex_form>(21, value, v20::newest, true).error == fault::bad_descriptor);
    const auto elements = hex("000e 000f 000f 0000000000000001 000d 00000001");
    CHECK(copy<v20_form, flex_form>(array, elements, v20::newest, true).error == fault::bad_descriptor);
    const auto code = hex("00000002 6100 00000000 0009 0000ffff 0201"); // INFO of type 65535
    CHECK(copy<v20_form, flex_form>(24, code, v20::newest).error == fault::unknown_type);
}

TEST_CASE("every truncation of every golden value is refused")
{
    for (const auto& each : goldens) {
        CAPTURE(each.type);
        CAPTURE(each.flex);
        const auto native = hex(each.native), flex = hex(each.flex);
        for (std::size_t cut = 0; cut != native.size(); ++cut)
            CHECK_FALSE(copy<native_form, flex_form>(each.type, std::span(native).first(cut)).ok);
        for (std::size_t cut = 0; cut != flex.size(); ++cut)
            CHECK_FALSE(copy<flex_form, native_form>(each.type, std::span(flex).first(cut)).ok);
    }
}

TEST_CASE("SIZE, INT, UINT and PID say their concrete type once for all elements of an array")
{
    // pmix_bfrops_base_pack_sizet, _int and _pid (v2.1 to v6.1): the type, then num_vals bare values
    struct row {
        std::string_view native;
        std::string_view flex;
    };
    for (const auto& each : {
             row{"0004 000f 0000000000000002 | 000f 0000000000000007 0000010000000000",
                 "04 02 07 808080808020"},
             row{"0006 000f 0000000000000002 | 0009 fffffffb 00000005", "06 02 09 0a"},
             row{"000b 000f 0000000000000002 | 0009 ee6b2800 00000005", "0b 02 ffdfa69902 0a"},
             row{"0005 000f 0000000000000002 | 000e 000010e1 000010e2", "05 02 0e e121 e221"},
         }) {
        CAPTURE(each.flex);
        const auto native = hex(each.native), flex = hex(each.flex);
        CHECK(show(copy<native_form, flex_form>(array, native).target) == show(flex));
        CHECK(show(copy<flex_form, native_form>(array, flex).target) == show(native));
        CHECK(copy<native_form, flex_form>(array, native).ok);
        CHECK(copy<flex_form, native_form>(array, flex).ok);
        CHECK(copy<native_form, flex_form>(array, native).left == 0);
    }
    const auto described =
        hex("0004 000f 000f 0000000000000002 | 0004 000f 000f 0000000000000007 0000000000000008");
    CHECK(show(copy<v20_form, flex_form>(array, described, v20::newest, true).target) == "04 02 07 08");
}

TEST_CASE("a v20 BUFFER does not say its kind")
{
    // pmix_bfrop_pack_buf of v2.0.3 and pmix20_bfrop_pack_buf of v4.2.2
    CHECK(show(copy<v20_form, v20_form>(26, hex("000f 0000000000000002 aabb"), v20::newest).target) ==
          "00 0f 00 00 00 00 00 00 00 02 aa bb");
}

TEST_CASE("nesting is refused one level beyond the limit, whatever nests")
{
    CHECK(read_flex(array, nested_arrays(max_depth)).ok);
    CHECK(read_flex(array, nested_arrays(max_depth + 1)).error == fault::too_deep);
    CHECK_FALSE(read_flex(array, nested_arrays(max_depth + 1)).ok);
    CHECK(read_flex(array, nested_arrays(100000)).error == fault::too_deep);

    const auto values = [](std::size_t levels) { return bytes(levels - 1, std::byte{21}) + hex("0c 05"); };
    CHECK(read_flex(21, values(max_depth)).ok);
    CHECK(read_flex(21, values(max_depth + 1)).error == fault::too_deep);
    CHECK(read_flex(21, bytes(1000000, std::byte{21})).error == fault::too_deep);

    bytes infos; // arrays of one INFO that holds an array of one INFO ...
    for (int i = 0; i != 100; ++i)
        infos = infos + hex("18 01 04 6b00 00 27");
    CHECK(read_flex(array, infos + hex("0c 01 05")).error == fault::too_deep);
}

TEST_CASE("many values side by side are not deep")
{
    bytes flat = hex("27") + reference::flex(std::uint64_t{1000});
    for (int i = 0; i != 1000; ++i)
        flat = flat + nested_arrays(3);
    CHECK(read_flex(array, flat).ok);
}

TEST_CASE("an array cannot announce more elements than bytes are left")
{
    for (const auto n : {std::uint64_t{3}, std::uint64_t{1} << 31, std::uint64_t{1} << 32,
                         std::uint64_t{1} << 63, UINT64_MAX}) {
        CAPTURE(n);
        for (const unsigned element : {1u, 3u, 12u, 14u, 21u, 24u, 39u, 46u}) {
            CAPTURE(element);
            const auto type = static_cast<std::uint16_t>(element);
            const auto flex = reference::flex(type) + reference::flex(n) + hex("00 00");
            const auto native = reference::native(type) + hex("000f") + reference::native(n) + hex("00 00");
            CHECK(read_flex(array, flex).error == fault::bad_count);
            CHECK_FALSE(read_flex(array, flex).ok);
            CHECK(copy<native_form, flex_form>(array, native).error == fault::bad_count);
        }
    }
    CHECK(read_flex(array, hex("0e 03 01 02")).error == fault::bad_count);
    CHECK(read_flex(array, hex("0e 03 01 02 80")).error == fault::truncated);
    CHECK(read_flex(array, hex("0e 01")).error == fault::bad_count);
    CHECK_FALSE(read_flex(array, hex("0e")).ok);
    CHECK_FALSE(read_flex(array, {}).ok);
}

TEST_CASE("an array of nothing, or of no type, has no elements after it")
{
    for (const std::string_view raw :
         {"0e 00", "27 00", "18 00", "00 00", "00 03", "00 808080808080808080", "00 ffffffffffffffffff"}) {
        CAPTURE(raw);
        const auto result = read_flex(array, hex(raw) + hex("55"));
        CHECK(result.ok);
        CHECK(result.left == 1);
        CHECK(show(result.target) == show(hex(raw)));
    }
}

TEST_CASE("elements of an unknown type are refused")
{
    CHECK(read_flex(array, hex("1d 01 00")).error == fault::unknown_type);
    CHECK(read_flex(array, hex("e707 01 00")).error == fault::unknown_type); // 999
    CHECK(read_flex(array, hex("3b 01 00"), v3::newest).error == fault::unknown_type);
    CHECK(read_flex(21, hex("46 00")).error == fault::unknown_type);
    CHECK(read_flex(24, hex("04 6b00 00 46 00")).error == fault::unknown_type);
}

TEST_CASE("counts of strings and structures are bounded and not negative")
{
    struct row {
        std::uint16_t type;
        std::string_view raw;
    };
    for (const auto& each : {
             row{23, "00 01"},             // argc -1
             row{23, "00 feffffff0f"},     // argc 2^31-1
             row{23, "00 00 03 00 00 00"}, // envc -2
             row{23, "00 00 00 00 00 ffffffffffffffffff"},
             row{41, "01 00"},
             row{41, "fe01 00 00"},
             row{41, "00 808080808080808080"},
             row{48, "00 00 00 01"},
             row{48, "00 00 00 7e 00"},
             row{47, "01 03 01 01"},
             row{47, "01 ffffffffffffffffff 01"},
             row{53, "01 00 00 808080808080808001"},
         }) {
        CAPTURE(each.raw);
        const auto result = read_flex(each.type, hex(each.raw));
        CHECK_FALSE(result.ok);
        CHECK(result.error == fault::bad_count);
    }
}

TEST_CASE("a boolean other than 0 and 1 is refused wherever it is")
{
    CHECK(read_flex(1, hex("02")).error == fault::bad_boolean);
    CHECK(read_flex(1, hex("ff")).error == fault::bad_boolean);
    CHECK(read_flex(21, hex("01 02")).error == fault::bad_boolean);
    CHECK(read_flex(array, hex("01 03 00 01 02")).error == fault::bad_boolean);
    CHECK(read_flex(24, hex("04 6b00 00 01 80")).error == fault::bad_boolean);
}

TEST_CASE("strings inside structures are checked like others")
{
    for (const std::string_view raw : {"04 6161 00", "06 610000 00", "02 61 00"}) // PROC
        CHECK(read_flex(22, hex(raw)).error == fault::bad_string);
    CHECK(read_flex(22, hex("01 00")).error == fault::bad_count);
    CHECK(read_flex(22, hex("80 01 61")).error == fault::truncated);
    CHECK(read_flex(22, hex("feffffff0f 61")).error == fault::truncated);
    CHECK(read_flex(22, hex("80808080808020 61")).error == fault::bad_integer);
}

TEST_CASE("a value wider than its type is refused and a longer spelling is written shortest")
{
    CHECK(read_flex(13, hex("808004")).error == fault::bad_integer);
    CHECK(read_flex(14, hex("8080808010")).error == fault::bad_integer);
    CHECK(read_flex(9, hex("8080808010")).error == fault::bad_integer);
    CHECK(read_flex(11, hex("8080808010")).error == fault::bad_integer);
    CHECK(show(read_flex(14, hex("85808000")).target) == "05");
    CHECK(show(read_flex(3, hex("8400 6100")).target) == "04 61 00");
}

TEST_CASE("a regular expression is text up to its NUL, or a blob with its size")
{
    const auto blob = bytes_of(std::string_view("blob:\0component=zlib:\0", 22));
    const auto sized = [&](std::string_view size, const char* content) {
        return blob + bytes_of(size) + hex("00") + hex(content);
    };
    for (const auto& good :
         {bytes_of(std::string_view("pmix[a[2:1-3]]\0", 15)), bytes_of(std::string_view("raw:\0", 5)),
          bytes_of(std::string_view("\0", 1)), bytes_of(std::string_view("blob\0", 5)), sized("size=0:", ""),
          sized("size=3:", "000102"), sized("size=0000000003:", "000102")}) {
        const auto result = read_flex(49, good + hex("55"));
        CHECK(result.ok);
        CHECK(result.left == 1);
        CHECK(show(result.target) == show(good));
        CHECK(show(copy<flex_form, native_form>(49, good).target) == show(good));
        for (std::size_t cut = 0; cut != good.size(); ++cut)
            CHECK_FALSE(copy<flex_form, flex_form>(49, std::span(good).first(cut)).ok);
    }
    struct row {
        std::string_view size;
        fault expected;
    };
    for (const auto& each : {
             row{"", fault::bad_count},
             row{"size=", fault::bad_count},
             row{"size=:", fault::bad_count},
             row{"size=3", fault::bad_count},
             row{"size=x:", fault::bad_count},
             row{"size=-1:", fault::bad_count},
             row{"size=+1:", fault::bad_count},
             row{"size= 1:", fault::bad_count},
             row{"size=1 :", fault::bad_count},
             row{"size=0x3:", fault::bad_count},
             row{"siz=3:", fault::bad_count},
             row{"3:", fault::bad_count},
             row{"size=3::", fault::bad_count},
             row{"size=18446744073709551617:", fault::bad_count},
             row{"size=99999999999:", fault::bad_count},
             row{"size=4:", fault::truncated},
             row{"size=9999999999:", fault::truncated},
             row{"size=2147483648:", fault::truncated},
         }) {
        CAPTURE(std::string(each.size));
        const auto result = read_flex(49, sized(each.size, "000102"));
        CHECK_FALSE(result.ok);
        CHECK(result.error == each.expected);
    }
}

TEST_CASE("the highest type inside is remembered")
{
    CHECK(read_flex(14, hex("05")).newest == data_type::uint32);
    CHECK(read_flex(array, hex("0e 01 05")).newest == data_type::data_array);
    CHECK(read_flex(array, hex("2e 01 04 6b00 04 7600 3a")).newest == data_type::envar);
    CHECK(read_flex(28, hex("04 6b00 3b 01 00")).newest == data_type::compressed_byte_object);
    CHECK(read_flex(array, hex("15 02 43 05 01 01")).newest == data_type::storage_access);
    CHECK(read_flex(0, {}).newest == data_type::undef);
}
