#include "../support/bytes.hpp"
#include "../support/reference.hpp"

#include <pmixio/wire/forms.hpp>

#include <array>
#include <bit>

using namespace pmixio;
using namespace pmixio::test;
using wire::cursor, wire::flex_form, wire::native_form, wire::v20_form, wire::writer;

namespace {

template <class Form, class T>
bytes put(T value)
{
    bytes target;
    writer out(target);
    Form::template put<T>(out, value);
    return target;
}

/// What one get() makes of bytes.
template <class T>
struct got {
    T value;
    bool ok;
    fault error;
    std::size_t left;
};

template <class Form, class T>
got<T> get(std::span<const std::byte> raw)
{
    cursor in(raw);
    const auto value = Form::template get<T>(in);
    return {value, in.ok(), in.error(), in.left()};
}

/// The numbers around everything that could go wrong with T: its ends, 0, and each power of two and of 128.
template <class T>
std::vector<T> interesting()
{
    std::vector<T> result{std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), 0};
    for (unsigned bit = 0; bit != sizeof(T) * 8; ++bit) {
        const auto power = static_cast<std::make_unsigned_t<T>>(std::make_unsigned_t<T>{1} << bit);
        for (const int off : {-1, 0, 1}) {
            const auto near =
                static_cast<std::make_unsigned_t<T>>(power + static_cast<std::make_unsigned_t<T>>(off));
            result.push_back(static_cast<T>(near));
            result.push_back(static_cast<T>(~near));
        }
    }
    auto random = numbers(sizeof(T));
    for (int i = 0; i != 500; ++i)
        result.push_back(static_cast<T>(random() >> (random() % 64)));
    return result;
}

template <class Form, class T>
void check_round_trips(bytes (*reference)(T))
{
    for (const T value : interesting<T>()) {
        CAPTURE(value);
        const auto raw = put<Form>(value);
        CHECK(show(raw) == show(reference(value)));
        const auto back = get<Form, T>(raw + hex("55"));
        CHECK(back.ok);
        CHECK(back.value == value);
        CHECK(back.left == 1);
        for (std::size_t cut = 0; cut != raw.size(); ++cut) {
            const auto part = get<Form, T>(std::span(raw).first(cut));
            CHECK_FALSE(part.ok);
            CHECK(part.error == fault::truncated);
            CHECK(part.left == 0);
        }
    }
}

template <class T>
struct number {
    using type = T;
};

} // namespace

namespace form_models { // not in the unnamed namespace: clang then warns of constants nobody reads

struct no_put {
    static constexpr bool tagged_sizes = true, wide_commands = false, integer_type_codes = false,
                          describes_nested = false;
    template <class T>
    static constexpr std::size_t smallest = sizeof(T);
    template <class T>
    static T get(cursor&)
    {
        return {};
    }
};
struct no_get {
    static constexpr bool tagged_sizes = true, wide_commands = false, integer_type_codes = false,
                          describes_nested = false;
    template <class T>
    static constexpr std::size_t smallest = sizeof(T);
    template <class T>
    static void put(writer&, T)
    {}
};
struct wrong_get : no_put {
    static long long get(cursor&) { return {}; }
    template <class T>
    static void put(writer&, T)
    {}
};
struct no_constants {
    template <class T>
    static T get(cursor&)
    {
        return {};
    }
    template <class T>
    static void put(writer&, T)
    {}
};
struct smallest_model : no_put {
    template <class T>
    static void put(writer&, T)
    {}
};

} // namespace form_models

using namespace form_models;

static_assert(wire::integer_form<native_form> && wire::integer_form<flex_form> &&
              wire::integer_form<v20_form>);
static_assert(wire::integer_form<smallest_model>);
static_assert(!wire::integer_form<no_put>);
static_assert(!wire::integer_form<no_get>);
static_assert(!wire::integer_form<wrong_get>);
static_assert(!wire::integer_form<no_constants>);
static_assert(!wire::integer_form<int>);

TYPE_TO_STRING(number<std::uint16_t>);
TYPE_TO_STRING(number<std::int16_t>);
TYPE_TO_STRING(number<std::uint32_t>);
TYPE_TO_STRING(number<std::int32_t>);
TYPE_TO_STRING(number<std::uint64_t>);
TYPE_TO_STRING(number<std::int64_t>);

TEST_CASE_TEMPLATE("every number survives, is written as the specification says, and is refused when cut",
                   Number, number<std::uint16_t>, number<std::int16_t>, number<std::uint32_t>,
                   number<std::int32_t>, number<std::uint64_t>, number<std::int64_t>)
{
    using T = typename Number::type;
    check_round_trips<native_form, T>(reference::native<T>);
    check_round_trips<v20_form, T>(reference::native<T>);
    check_round_trips<flex_form, T>(reference::flex<T>);
}

TEST_CASE_TEMPLATE("a flex integer wider than its field is refused", Number, number<std::uint16_t>,
                   number<std::int16_t>, number<std::uint32_t>, number<std::int32_t>)
{
    using T = typename Number::type;
    using limits = std::numeric_limits<T>;
    for (const std::int64_t beyond :
         {std::int64_t{1}, std::int64_t{2}, std::int64_t{1} << 20, std::int64_t{1} << 40}) {
        const auto above = std::int64_t{limits::max()} + beyond;
        const auto below = std::int64_t{limits::min()} - beyond;
        CAPTURE(above);
        using wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
        for (const auto& raw :
             {put<flex_form>(static_cast<wide>(above)), put<flex_form>(static_cast<wide>(below))}) {
            const auto read = get<flex_form, T>(raw + hex("01"));
            CHECK_FALSE(read.ok);
            CHECK(read.error == fault::bad_integer);
            CHECK(read.value == 0);
            CHECK(read.left == 0);
        }
    }
    CHECK(get<flex_form, T>(hex("ff ff ff ff ff ff ff ff ff")).ok == false);
}

TEST_CASE("the ends of every width are written in the fewest bytes")
{
    CHECK(show(put<flex_form>(UINT16_MAX)) == "fe ff 07"); // UINT16_MAX is an int: 65535 -> 131070
    CHECK(show(put<flex_form>(std::uint16_t{UINT16_MAX})) == "ff ff 03");
    CHECK(show(put<flex_form>(std::int16_t{INT16_MIN})) == "ff ff 03");
    CHECK(show(put<flex_form>(std::int16_t{INT16_MAX})) == "fe ff 03");
    CHECK(show(put<flex_form>(UINT32_MAX)) == "ff ff ff ff 0f");
    CHECK(show(put<flex_form>(INT32_MAX)) == "fe ff ff ff 0f");
    CHECK(show(put<flex_form>(UINT64_MAX)) == "ff ff ff ff ff ff ff ff ff");
    CHECK(show(put<flex_form>(std::int64_t{INT64_MIN})) == "ff ff ff ff ff ff ff ff ff");
    CHECK(show(put<flex_form>(std::int64_t{INT64_MAX})) == "fe ff ff ff ff ff ff ff ff");
}

TEST_CASE("the worked examples of the specification hold")
{
    struct row {
        std::string_view what;
        bytes raw;
        std::string_view text;
    };
    for (const auto& each : {
             row{"count 1", put<flex_form>(std::int32_t{1}), "02"},
             row{"string length 7", put<flex_form>(std::int32_t{7}), "0e"},
             row{"RANK wildcard", put<flex_form>(std::uint32_t{0xfffffffe}), "fe ff ff ff 0f"},
             row{"STATUS -46", put<flex_form>(std::int32_t{-46}), "5b"},
             row{"STATUS -3007", put<flex_form>(std::int32_t{-3007}), "fd 2e"},
             row{"SIZE 2^40", put<flex_form>(std::uint64_t{1} << 40), "80 80 80 80 80 20"},
             row{"INT32 -2^31", put<flex_form>(std::int32_t{INT32_MIN}), "ff ff ff ff 0f"},
             row{"UINT 4000000000 as INT32", put<flex_form>(std::int32_t{-294967296}), "ff df a6 99 02"},
             row{"0", put<flex_form>(std::uint64_t{0}), "00"},
             row{"127", put<flex_form>(std::uint64_t{127}), "7f"},
             row{"128", put<flex_form>(std::uint64_t{128}), "80 01"},
             row{"native STATUS -46", put<native_form>(std::int32_t{-46}), "ff ff ff d2"},
             row{"native SIZE 2^40", put<native_form>(std::uint64_t{1} << 40), "00 00 01 00 00 00 00 00"},
         }) {
        CAPTURE(each.what);
        CHECK(show(each.raw) == each.text);
    }
}

TEST_CASE("the ninth byte of a flex integer holds eight bits whole")
{
    const auto eight = hex("80 80 80 80 80 80 80 80");
    for (unsigned byte = 0; byte != 256; ++byte) {
        const auto read =
            get<flex_form, std::uint64_t>(eight + bytes{static_cast<std::byte>(byte)} + hex("ff"));
        CHECK(read.ok);
        CHECK(read.value == std::uint64_t{byte} << 56);
        CHECK(read.left == 1);
    }
    CHECK(show(put<flex_form>((std::uint64_t{1} << 56) - 1)) == "ff ff ff ff ff ff ff 7f");
    CHECK(show(put<flex_form>(std::uint64_t{1} << 56)) == "80 80 80 80 80 80 80 80 01");
    CHECK(show(put<flex_form>(std::uint64_t{1} << 63)) == "80 80 80 80 80 80 80 80 80");
    CHECK_FALSE(get<flex_form, std::uint64_t>(eight).ok);
    CHECK(get<flex_form, std::uint64_t>(eight).error == fault::truncated);
}

TEST_CASE("a flex integer may be longer than it needs to be")
{
    CHECK(get<flex_form, std::uint16_t>(hex("81 80 80 80 80 80 80 80 00")).value == 1);
    CHECK(get<flex_form, std::uint16_t>(hex("81 80 80 80 80 80 80 80 00")).ok);
    CHECK(get<flex_form, std::int32_t>(hex("82 00")).value == 1);
    CHECK(get<flex_form, std::uint64_t>(hex("80 00")).left == 0);
}

TEST_CASE("the first byte of a flex integer decides: below 128 it is all of it")
{
    for (unsigned first = 0; first != 256; ++first) {
        CAPTURE(first);
        const auto start = bytes{static_cast<std::byte>(first)};
        const auto alone = get<flex_form, std::uint32_t>(start);
        const auto more = get<flex_form, std::uint32_t>(start + hex("01"));
        const auto as_signed = get<flex_form, std::int32_t>(start + hex("01"));
        CHECK(alone.ok == (first < 128));
        CHECK(more.ok);
        if (first < 128) {
            CHECK(alone.value == first);
            CHECK(more.value == first);
            CHECK(more.left == 1);
            CHECK(as_signed.value ==
                  (first % 2 == 0 ? static_cast<int>(first / 2) : -1 - static_cast<int>(first / 2)));
        } else {
            CHECK(alone.error == fault::truncated);
            CHECK(more.value == first);
            CHECK(more.left == 0);
        }
    }
}

TEST_CASE("the first byte of a native integer is its most significant one")
{
    for (unsigned first = 0; first != 256; ++first) {
        const auto start = bytes{static_cast<std::byte>(first)};
        CHECK(get<native_form, std::uint16_t>(start + hex("02")).value == first * 256 + 2);
        CHECK(get<native_form, std::int16_t>(start + hex("00")).value ==
              std::bit_cast<std::int16_t>(static_cast<std::uint16_t>(first << 8)));
        CHECK(get<native_form, std::uint64_t>(start + hex("00 00 00 00 00 00 00")).value ==
              std::uint64_t{first} << 56);
        CHECK_FALSE(get<native_form, std::uint16_t>(start).ok);
    }
}

TEST_CASE("the forms differ as the table above them says")
{
    CHECK(native_form::tagged_sizes);
    CHECK(v20_form::tagged_sizes);
    CHECK_FALSE(flex_form::tagged_sizes);
    CHECK(v20_form::wide_commands);
    CHECK(v20_form::integer_type_codes);
    CHECK(v20_form::describes_nested);
    CHECK_FALSE(
        (native_form::wide_commands || native_form::integer_type_codes || native_form::describes_nested));
    CHECK_FALSE((flex_form::wide_commands || flex_form::integer_type_codes || flex_form::describes_nested));
    CHECK(native_form::smallest<std::uint32_t> == put<native_form>(std::uint32_t{0}).size());
    CHECK(flex_form::smallest<std::uint32_t> == put<flex_form>(std::uint32_t{0}).size());
}
