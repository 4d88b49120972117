#include "../support/bytes.hpp"
#include "../support/reference.hpp"

#include <pmixio/wire/codec.hpp>

#include <functional>

using namespace pmixio;
using namespace pmixio::test;
using namespace pmixio::wire;
namespace reference = pmixio::test::reference;

namespace {

template <class Form>
bytes write(const std::function<void(output<Form>&)>& what, bool described = false)
{
    bytes target;
    writer out(target);
    output<Form> io(out, described);
    what(io);
    CHECK(out.ok());
    return target;
}

/// Reads with `what`; the fault, if any, is in `in`.
template <class Form>
cursor read(const bytes& raw, const std::function<void(input<Form>&)>& what, bool described = false)
{
    cursor in(raw);
    input<Form> io(in, described);
    what(io);
    return in;
}

template <class Form>
bytes size_prefix()
{
    return Form::tagged_sizes ? hex("00 0f") : bytes{};
}

template <class Form, class T>
bytes number(T value)
{
    return std::is_same_v<Form, flex_form> ? reference::flex(value) : reference::native(value);
}

template <class Form>
bytes string_of(std::string_view content)
{
    return number<Form>(static_cast<std::int32_t>(content.size() + 1)) + bytes_of(content) + hex("00");
}

} // namespace

TYPE_TO_STRING(native_form);
TYPE_TO_STRING(v20_form);
TYPE_TO_STRING(flex_form);

TEST_CASE_TEMPLATE("integers are written as their form writes them and read back", Form, native_form,
                   v20_form, flex_form)
{
    const auto raw = write<Form>([](auto& io) {
        io.u8(std::uint8_t{200}), io.u16(std::uint16_t{513}), io.u32(rank::wildcard),
            io.u64(std::uint64_t{1} << 40);
        io.s16(std::int16_t{-2}), io.s32(status::not_found), io.s64(std::int64_t{-1}),
            io.code(data_type::data_array);
    });
    CHECK(show(raw) == show(hex("c8") + number<Form>(std::uint16_t{513}) +
                            number<Form>(std::uint32_t{0xfffffffe}) + number<Form>(std::uint64_t{1} << 40) +
                            number<Form>(std::int16_t{-2}) + number<Form>(std::int32_t{-46}) +
                            number<Form>(std::int64_t{-1}) + number<Form>(std::uint16_t{39})));
    const auto in = read<Form>(raw, [](auto& io) {
        std::uint8_t a = 0;
        std::uint16_t b = 0;
        rank_type c = 0;
        std::uint64_t d = 0;
        std::int16_t e = 0;
        auto f = status::success;
        std::int64_t g = 0;
        auto h = data_type::undef;
        io.u8(a), io.u16(b), io.u32(c), io.u64(d), io.s16(e), io.s32(f), io.s64(g), io.code(h);
        CHECK(a == 200);
        CHECK(b == 513);
        CHECK(c == rank::wildcard);
        CHECK(d == std::uint64_t{1} << 40);
        CHECK(e == -2);
        CHECK(f == status::not_found);
        CHECK(g == -1);
        CHECK(h == data_type::data_array);
    });
    CHECK(in.ok());
    CHECK(in.at_end());
}

TEST_CASE("a native SIZE, INT or UINT has its concrete type in front, a PID in every form")
{
    CHECK(show(write<native_form>([](auto& io) { io.size(3); })) == "00 0f 00 00 00 00 00 00 00 03");
    CHECK(show(write<native_form>([](auto& io) { io.integer(-5); })) == "00 09 ff ff ff fb");
    CHECK(show(write<native_form>([](auto& io) { io.uint(4000000000u); })) == "00 09 ee 6b 28 00");
    CHECK(show(write<native_form>([](auto& io) { io.pid(4321); })) == "00 0e 00 00 10 e1");
    CHECK(show(write<flex_form>([](auto& io) { io.size(3); })) == "03");
    CHECK(show(write<flex_form>([](auto& io) { io.integer(-5); })) == "09");
    CHECK(show(write<flex_form>([](auto& io) { io.uint(4000000000u); })) == "ff df a6 99 02");
    CHECK(show(write<flex_form>([](auto& io) { io.pid(4321); })) == "0e e1 21");
}

TEST_CASE("in a described v20 buffer the concrete type is said twice")
{
    // pmix_bfrop_pack_sizet of v2.0.3 stores the concrete type, then calls pack_buffer, which describes it
    CHECK(show(write<v20_form>([](auto& io) { io.size(3); }, true)) == "00 0f 00 0f 00 00 00 00 00 00 00 03");
    CHECK(show(write<v20_form>([](auto& io) { io.integer(-5); }, true)) == "00 09 00 09 ff ff ff fb");
    CHECK(show(write<v20_form>([](auto& io) { io.pid(1); }, true)) == "00 0e 00 0e 00 00 00 01");
    CHECK(show(write<v20_form>([](auto& io) { io.size(3); }, false)) == "00 0f 00 00 00 00 00 00 00 03");
    CHECK(show(write<native_form>([](auto& io) { io.size(3); }, true)) == "00 0f 00 00 00 00 00 00 00 03");
    std::uint64_t n = 0;
    CHECK(read<v20_form>(
              hex("00 0f 00 0f 00 00 00 00 00 00 00 03"), [&](auto& io) { io.size(n); }, true)
              .at_end());
    CHECK(n == 3);
    CHECK(read<v20_form>(
              hex("00 0f 00 0e 00 00 00 00 00 00 00 03"), [&](auto& io) { io.size(n); }, true)
              .error() == fault::bad_integer);
}

TEST_CASE_TEMPLATE("another concrete type in front than ours is refused, whatever it is", Form, native_form,
                   v20_form, flex_form)
{
    for (unsigned code = 0; code != 256; ++code) {
        CAPTURE(code);
        const auto tag = number<Form>(static_cast<std::uint16_t>(code));
        std::uint32_t pid = 0;
        const auto as_pid = read<Form>(tag + number<Form>(7u), [&](auto& io) { io.pid(pid); });
        CHECK(as_pid.ok() == (code == 14));
        if (!as_pid.ok())
            CHECK(as_pid.error() == fault::bad_integer);
        if (!Form::tagged_sizes)
            continue;
        std::uint64_t size = 0;
        std::int32_t integer = 0;
        CHECK(read<Form>(tag + number<Form>(std::uint64_t{7}), [&](auto& io) { io.size(size); }).ok() ==
              (code == 15));
        CHECK(read<Form>(tag + number<Form>(7), [&](auto& io) { io.integer(integer); }).ok() == (code == 9));
    }
}

TEST_CASE("a boolean is 0 or 1 and nothing else")
{
    for (unsigned byte = 0; byte != 256; ++byte) {
        CAPTURE(byte);
        bool value = true;
        const auto in = read<flex_form>({static_cast<std::byte>(byte)}, [&](auto& io) { io.boolean(value); });
        CHECK(in.ok() == (byte < 2));
        CHECK(value == (byte == 1));
        if (byte > 1)
            CHECK(in.error() == fault::bad_boolean);
    }
    CHECK(show(write<native_form>([](auto& io) { io.boolean(true), io.boolean(false); })) == "01 00");
}

TEST_CASE_TEMPLATE("a string is its length with the NUL, its bytes and the NUL", Form, native_form, v20_form,
                   flex_form)
{
    for (const std::string content : {"", "a", "golden", "tcp4://127.0.0.1:1", "\x80\xff"}) {
        const auto raw = write<Form>([&](auto& io) { io.string(content); });
        CHECK(show(raw) == show(string_of<Form>(content)));
        text read_text;
        std::string read_string = "old";
        CHECK(read<Form>(raw, [&](auto& io) { io.string(read_text); }).at_end());
        CHECK(read<Form>(raw, [&](auto& io) { io.string(read_string); }).at_end());
        CHECK(read_text == content);
        CHECK(read_string == content);
        for (std::size_t cut = 0; cut != raw.size(); ++cut) {
            const bytes part(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(cut));
            CHECK(read<Form>(part, [&](auto& io) { io.string(read_text); }).error() == fault::truncated);
            CHECK(read_text == std::nullopt);
        }
    }
}

TEST_CASE_TEMPLATE("a NULL string is a length of 0 and differs from the empty one", Form, native_form,
                   v20_form, flex_form)
{
    const auto null = number<Form>(std::int32_t{0});
    CHECK(show(write<Form>([](auto& io) { io.string(std::nullopt); })) == show(null));
    CHECK(show(write<Form>([](auto& io) { io.string(text()); })) == show(null));
    CHECK(show(write<Form>([](auto& io) { io.string(text("")); })) ==
          show(number<Form>(std::int32_t{1}) + hex("00")));
    text into = "old";
    CHECK(read<Form>(null, [&](auto& io) { io.string(into); }).at_end());
    CHECK(into == std::nullopt);
    std::string plain = "old";
    CHECK(read<Form>(null, [&](auto& io) { io.string(plain); }).ok());
    CHECK(plain.empty());
    CHECK(read<Form>(number<Form>(std::int32_t{1}) + hex("00"), [&](auto& io) { io.string(into); }).ok());
    CHECK(into == "");
}

TEST_CASE_TEMPLATE("a string without its NUL, or with one inside, is refused", Form, native_form, v20_form,
                   flex_form)
{
    struct row {
        std::int32_t length;
        std::string_view content;
        fault expected;
    };
    for (const auto& each : {
             row{3, "61 62 63", fault::bad_string},
             row{1, "61", fault::bad_string},
             row{3, "61 00 00", fault::bad_string},
             row{3, "00 61 00", fault::bad_string},
             row{2, "00 00", fault::bad_string},
             row{4, "61 62 00", fault::truncated},
             row{-1, "61 00", fault::bad_count},
             row{INT32_MIN, "61 00", fault::bad_count},
             row{INT32_MAX, "61 00", fault::truncated},
             row{INT32_MAX, "", fault::truncated},
         }) {
        CAPTURE(each.length);
        CAPTURE(each.content);
        text into = "old";
        const auto in =
            read<Form>(number<Form>(each.length) + hex(each.content), [&](auto& io) { io.string(into); });
        CHECK_FALSE(in.ok());
        CHECK(in.error() == each.expected);
        CHECK(into == std::nullopt);
    }
}

TEST_CASE_TEMPLATE("keys end at 511 bytes and namespaces at 255", Form, native_form, flex_form)
{
    struct row {
        std::size_t size;
        bool key, nspace;
    };
    for (const auto& each : {row{0, true, true}, row{255, true, true}, row{256, true, false},
                             row{511, true, false}, row{512, false, false}, row{5000, false, false}}) {
        CAPTURE(each.size);
        const std::string name(each.size, 'k');
        const auto raw = string_of<Form>(name);
        std::string key, nspace;
        const auto as_key = read<Form>(raw, [&](auto& io) { io.key(key); });
        const auto as_nspace = read<Form>(raw, [&](auto& io) { io.nspace(nspace); });
        CHECK(as_key.ok() == each.key);
        CHECK(key == (each.key ? name : ""));
        CHECK(as_nspace.ok() == each.nspace);
        CHECK(nspace == (each.nspace ? name : ""));
        if (!each.nspace)
            CHECK(as_nspace.error() == fault::name_too_long);
    }
}

TEST_CASE_TEMPLATE("an object is a SIZE and that many bytes", Form, native_form, v20_form, flex_form)
{
    const auto content = hex("01 02 03 ff");
    const auto raw = write<Form>([&](auto& io) { io.object(content); });
    CHECK(show(raw) == show(size_prefix<Form>() + number<Form>(std::uint64_t{4}) + content));
    for (std::size_t cut = 0; cut <= raw.size(); ++cut) {
        const bytes part(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(cut));
        std::size_t length = 99;
        const auto in = read<Form>(part, [&](auto& io) { length = io.object().size(); });
        CHECK(in.ok() == (cut == raw.size()));
        CHECK(length == (cut == raw.size() ? 4 : 0));
    }
    for (const auto n : {std::uint64_t{5}, std::uint64_t{1} << 31, std::uint64_t{1} << 63, UINT64_MAX}) {
        const auto lie = size_prefix<Form>() + number<Form>(n) + content;
        CHECK(read<Form>(lie, [](auto& io) { io.object(); }).error() == fault::truncated);
    }
    CHECK(read<Form>(size_prefix<Form>() + number<Form>(std::uint64_t{0}), [](auto& io) {
              io.object();
          }).at_end());
}

TEST_CASE("what no reader accepts is not written: a NUL inside a string")
{
    bytes target;
    writer out(target);
    output<flex_form>(out, false).string(std::string_view("a\0b", 3));
    CHECK_FALSE(out.ok());
    CHECK(out.error() == fault::unencodable);
}

TEST_CASE("what no reader accepts is not written: a key or namespace too long")
{
    bytes target;
    writer key(target), nspace(target), good(target);
    output<flex_form>(good, false).key(std::string(max_key_length, 'k'));
    output<flex_form>(good, false).nspace(std::string(max_nspace_length, 'n'));
    CHECK(good.ok());
    output<flex_form>(key, false).key(std::string(max_key_length + 1, 'k'));
    output<flex_form>(nspace, false).nspace(std::string(max_nspace_length + 1, 'n'));
    CHECK(key.error() == fault::name_too_long);
    CHECK_FALSE(key.ok());
    CHECK_FALSE(nspace.ok());
}
