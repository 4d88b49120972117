#include "../support/bytes.hpp"
#include "../support/reference.hpp"

#include <pmixio/wire/buffer.hpp>

#include <array>

using namespace pmixio;
using namespace pmixio::test;
using namespace pmixio::wire;
namespace reference = pmixio::test::reference;

namespace {

constexpr agreement plain{buffer_kind::non_described, {4, 2, 2}},
    described{buffer_kind::fully_described, {4, 2, 2}};

// Items as messages.md section 3 draws them, built without the library.

template <class Encoding, class T>
bytes number(T value)
{
    return std::is_same_v<typename Encoding::form, flex_form> ? reference::flex(value)
                                                              : reference::native(value);
}

template <class Encoding>
bytes desc(const agreement& with, unsigned type)
{
    return with.kind == buffer_kind::fully_described ? number<Encoding>(static_cast<std::uint16_t>(type))
                                                     : bytes{};
}

/// All of an item but its values.
template <class Encoding>
bytes head(const agreement& with, unsigned type, std::int32_t count = 1)
{
    return desc<Encoding>(with, 9) + number<Encoding>(count) + desc<Encoding>(with, type);
}

template <class Encoding>
bytes size_of(const agreement& with, std::uint64_t n)
{
    using form = typename Encoding::form;
    const auto tag = form::tagged_sizes ? hex("00 0f") : bytes{};
    return (form::describes_nested && with.kind == buffer_kind::fully_described ? tag + tag : tag) +
           number<Encoding>(n);
}

template <class Encoding>
bytes size_item(const agreement& with, std::uint64_t n)
{
    return head<Encoding>(with, 4) + size_of<Encoding>(with, n);
}

template <class Encoding>
bytes string_of(std::string_view content)
{
    return number<Encoding>(static_cast<std::int32_t>(content.size() + 1)) + bytes_of(content) + hex("00");
}

/// What `what` makes of the bytes, which it must read whole.
template <class Encoding, class What>
std::error_code read(const bytes& raw, const agreement& with, What what)
{
    cursor in(raw);
    decoder<Encoding> items(in, with);
    what(items);
    return items.finish().error();
}

template <class Encoding, class What>
bytes write(const agreement& with, What what)
{
    bytes target;
    writer out(target);
    encoder<Encoding> items(out, with);
    what(items);
    CHECK(out.ok());
    return target;
}

/// Reads bytes, expects them to hold `content`, and expects `content` to be written as these bytes.
template <class Encoding, class T, class What>
void both_ways(const bytes& raw, const agreement& with, const T& content, What what)
{
    T into{};
    CHECK(read<Encoding>(raw, with, [&](auto& io) { what(io, into); }) == std::error_code());
    CHECK((into == content));
    CHECK(show(write<Encoding>(with, [&](auto& io) { what(io, content); })) == show(raw));
}

/// The same, and every proper prefix is refused.
template <class Encoding, class T, class What>
void both_ways_whole(const bytes& raw, const agreement& with, const T& content, What what)
{
    both_ways<Encoding>(raw, with, content, what);
    for (std::size_t cut = 0; cut != raw.size(); ++cut) {
        CAPTURE(cut);
        T into{};
        const bytes part(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(cut));
        CHECK(read<Encoding>(part, with, [&](auto& io) { what(io, into); }) == refusal::malformed);
    }
    T into{};
    CHECK(read<Encoding>(raw + hex("00"), with, [&](auto& io) { what(io, into); }) == fault::extra_bytes);
}

constexpr std::array kinds{plain, described};

} // namespace

TYPE_TO_STRING(v20);
TYPE_TO_STRING(v21);
TYPE_TO_STRING(v3);
TYPE_TO_STRING(v41);
TYPE_TO_STRING(v61);

TEST_CASE_TEMPLATE("an item is a count of 1 and a value, with descriptions only where agreed", Encoding, v20,
                   v21, v3, v41, v61)
{
    for (const auto& with : kinds) {
        both_ways_whole<Encoding>(head<Encoding>(with, 20) + number<Encoding>(std::int32_t{-46}), with,
                                  status::not_found,
                                  [](auto& io, auto& v) { io.item(as<data_type::status>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 14) + number<Encoding>(300u), with, std::uint32_t{300},
                                  [](auto& io, auto& v) { io.item(as<data_type::uint32>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 45) + number<Encoding>(std::uint16_t{513}), with,
                                  std::uint16_t{513},
                                  [](auto& io, auto& v) { io.item(as<data_type::iof_channel>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 19) + number<Encoding>(std::uint64_t{1} << 40), with,
                                  std::uint64_t{1} << 40,
                                  [](auto& io, auto& v) { io.item(as<data_type::time>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 1) + hex("01"), with, true,
                                  [](auto& io, auto& v) { io.item(as<data_type::boolean>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 33) + hex("03"), with, data_range::nspace,
                                  [](auto& io, auto& v) { io.item(as<data_type::data_range>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 3) + string_of<Encoding>("two"), with,
                                  std::string("two"),
                                  [](auto& io, auto& v) { io.item(as<data_type::string>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 3) + number<Encoding>(std::int32_t{0}), with, text(),
                                  [](auto& io, auto& v) { io.item(as<data_type::string>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 3) + string_of<Encoding>(""), with, text(""),
                                  [](auto& io, auto& v) { io.item(as<data_type::string>, v); });
        both_ways_whole<Encoding>(size_item<Encoding>(with, 7), with, std::uint64_t{7},
                                  [](auto& io, auto& v) { io.item(as<data_type::size>, v); });
        both_ways_whole<Encoding>(
            head<Encoding>(with, 22) + string_of<Encoding>("golden") + number<Encoding>(rank::wildcard), with,
            proc{"golden", rank::wildcard}, [](auto& io, auto& v) { io.item(as<data_type::proc>, v); });
        both_ways_whole<Encoding>(head<Encoding>(with, 27) + size_of<Encoding>(with, 3) + hex("00 ff 07"),
                                  with, hex("00 ff 07"),
                                  [](auto& io, auto& v) { io.item(as<data_type::byte_object>, v); });
    }
}

TEST_CASE("a command is one byte, and four described as UINT32 in v20")
{
    const auto item = [](auto& io, auto& id) { io.item(as<data_type::command>, id); };
    both_ways_whole<v21>(hex("00000001 03"), plain, command::fence, item);
    both_ways_whole<v41>(hex("02 03"), plain, command::fence, item);
    both_ways_whole<v21>(hex("0009 00000001 0022 03"), described, command::fence, item);
    both_ways_whole<v41>(hex("09 02 22 03"), described, command::fence, item);
    both_ways_whole<v20>(hex("00000001 00000003"), plain, command::fence, item);
    both_ways_whole<v20>(hex("0009 00000001 000e 00000003"), described, command::fence, item);
    command id{};
    CHECK(read<v20>(hex("00000001 00000100"), plain, [&](auto& io) { item(io, id); }) == fault::bad_integer);
    CHECK(read<v20>(hex("00000001 ffffffff"), plain, [&](auto& io) { item(io, id); }) == fault::bad_integer);
    CHECK(read<v20>(hex("0009 00000001 0022 00000003"), described, [&](auto& io) { item(io, id); }) ==
          fault::bad_descriptor);
    for (unsigned number = 0; number != 256; ++number) {
        CHECK(read<v41>(hex("02") + bytes{static_cast<std::byte>(number)}, plain,
                        [&](auto& io) { item(io, id); }) == std::error_code());
        CHECK(static_cast<unsigned>(id) == number);
    }
}

TEST_CASE_TEMPLATE("an item of another count or another type is refused", Encoding, v20, v21, v41)
{
    auto into = status::success;
    const auto item = [&](auto& io) { io.item(as<data_type::status>, into); };
    const auto content = number<Encoding>(std::int32_t{-1});
    for (const auto& with : kinds)
        for (const std::int32_t count : {0, 2, 3, -1, INT32_MAX, INT32_MIN}) {
            CAPTURE(count);
            CHECK(read<Encoding>(head<Encoding>(with, 20, count) + content + content, with, item) ==
                  fault::bad_count);
        }
    for (unsigned type = 0; type != 256; ++type) {
        CAPTURE(type);
        const auto expected = [](bool good) {
            return good ? std::error_code() : make_error_code(fault::bad_descriptor);
        };
        CHECK(read<Encoding>(head<Encoding>(described, type) + content, described, item) ==
              expected(type == 20));
        const auto count_type = number<Encoding>(static_cast<std::uint16_t>(type));
        CHECK(read<Encoding>(count_type + number<Encoding>(std::int32_t{1}) + desc<Encoding>(described, 20) +
                                 content,
                             described, item) == expected(type == 9));
    }
}

TEST_CASE_TEMPLATE("a list is a SIZE and, unless that is 0, one item of so many values", Encoding, v20, v21,
                   v41, v61)
{
    const auto codes = [](auto& io, auto& v) { io.list(as<data_type::status>, v); };
    for (const auto& with : kinds) {
        const auto values = number<Encoding>(std::int32_t{-1}) + number<Encoding>(std::int32_t{-2});
        both_ways_whole<Encoding>(size_item<Encoding>(with, 0), with, std::vector<status>{}, codes);
        both_ways_whole<Encoding>(size_item<Encoding>(with, 2) + head<Encoding>(with, 20, 2) + values, with,
                                  std::vector{status{-1}, status{-2}}, codes);
        both_ways_whole<Encoding>(size_item<Encoding>(with, 1) + head<Encoding>(with, 22) +
                                      string_of<Encoding>("g") + number<Encoding>(1u),
                                  with, std::vector<proc>{{"g", 1}},
                                  [](auto& io, auto& v) { io.list(as<data_type::proc>, v); });

        std::vector<status> into{status::error};
        const auto list = [&](auto& io) { codes(io, into); };
        for (const std::int32_t count : {0, 1, 3, -2})
            CHECK(read<Encoding>(size_item<Encoding>(with, 2) + head<Encoding>(with, 20, count) + values,
                                 with, list) == fault::bad_count);
        CHECK(read<Encoding>(size_item<Encoding>(with, 0) + head<Encoding>(with, 20, 0), with, list) ==
              fault::extra_bytes);
        CHECK(into.empty());
        for (const auto n :
             {std::uint64_t{1} << 31, std::uint64_t{1} << 32, std::uint64_t{1} << 63, UINT64_MAX})
            CHECK(read<Encoding>(size_item<Encoding>(with, n) + head<Encoding>(with, 20, 2) + values, with,
                                 list) == fault::bad_count);
    }
}

TEST_CASE_TEMPLATE("items are a SIZE and so many items of one value each", Encoding, v20, v21, v41)
{
    const auto keys = [](auto& io, auto& v) { io.items(as<data_type::string>, v); };
    for (const auto& with : kinds) {
        const auto one = [&](std::string_view key) {
            return head<Encoding>(with, 3) + string_of<Encoding>(key);
        };
        both_ways_whole<Encoding>(size_item<Encoding>(with, 0), with, std::vector<std::string>{}, keys);
        both_ways_whole<Encoding>(size_item<Encoding>(with, 2) + one("svc.a") + one("svc.b"), with,
                                  std::vector<std::string>{"svc.a", "svc.b"}, keys);
        std::vector<std::string> into{"old"};
        CHECK(read<Encoding>(size_item<Encoding>(with, 1) + one("a") + one("b"), with,
                             [&](auto& io) { keys(io, into); }) == fault::extra_bytes);
        CHECK(read<Encoding>(size_item<Encoding>(with, std::uint64_t{1} << 63) + one("a"), with,
                             [&](auto& io) { keys(io, into); }) == fault::bad_count);
        const auto together =
            head<Encoding>(with, 3, 2) + string_of<Encoding>("a") + string_of<Encoding>("b");
        CHECK(read<Encoding>(size_item<Encoding>(with, 2) + together, with,
                             [&](auto& io) { keys(io, into); }) == fault::bad_count);
    }
}

TEST_CASE_TEMPLATE("a tail may be missing, but not begun", Encoding, v20, v21, v41)
{
    const auto tail = [](auto& io, auto& v) { io.tail(as<data_type::string>, v); };
    const auto tail_list = [](auto& io, auto& v) { io.tail_list(as<data_type::status>, v); };
    for (const auto& with : kinds) {
        const auto raw = head<Encoding>(with, 3) + string_of<Encoding>("key");
        both_ways<Encoding>({}, with, std::optional<std::string>(), tail);
        both_ways<Encoding>(raw, with, std::optional<std::string>("key"), tail);
        for (std::size_t cut = 1; cut != raw.size(); ++cut) {
            std::optional<std::string> into;
            CHECK(read<Encoding>(bytes(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(cut)), with,
                                 [&](auto& io) { tail(io, into); }) == refusal::malformed);
        }
        both_ways<Encoding>({}, with, std::optional<std::vector<status>>(), tail_list);
        both_ways<Encoding>(size_item<Encoding>(with, 0), with, std::optional(std::vector<status>{}),
                            tail_list);
        both_ways<Encoding>(size_item<Encoding>(with, 1) + head<Encoding>(with, 20) +
                                number<Encoding>(std::int32_t{-1}),
                            with, std::optional(std::vector{status::error}), tail_list);
        std::optional<std::string> old = "old";
        CHECK(read<Encoding>({}, with, [&](auto& io) { tail(io, old); }) == std::error_code());
        CHECK(old == std::nullopt);
    }
}

TEST_CASE_TEMPLATE("the rest is items of one value to the end", Encoding, v20, v21, v41)
{
    const auto rest = [](auto& io, auto& v) { io.rest(as<data_type::status>, v); };
    for (const auto& with : kinds) {
        const auto one = [&](std::int32_t code) { return head<Encoding>(with, 20) + number<Encoding>(code); };
        both_ways<Encoding>({}, with, std::vector<status>{}, rest);
        both_ways<Encoding>(one(-1), with, std::vector{status{-1}}, rest);
        both_ways<Encoding>(one(-1) + one(INT32_MIN) + one(5), with,
                            std::vector{status{-1}, status{INT32_MIN}, status{5}}, rest);
        std::vector<status> into{status::error};
        CHECK(read<Encoding>(one(-1) + hex("00"), with, [&](auto& io) { rest(io, into); }) ==
              refusal::malformed);
    }
}

TEST_CASE_TEMPLATE("nested items fill their bytes exactly", Encoding, v20, v21, v41)
{
    const auto inside = [](auto& io, auto& v) {
        io.nested([&](auto& in) { in.item(as<data_type::status>, v); });
    };
    for (const auto& with : kinds) {
        const auto item = head<Encoding>(with, 20) + number<Encoding>(std::int32_t{-1});
        const auto object = [&](std::uint64_t size, const bytes& content) {
            return head<Encoding>(with, 27) + size_of<Encoding>(with, size) + content;
        };
        both_ways_whole<Encoding>(object(item.size(), item), with, status::error, inside);
        auto into = status::success;
        const auto read_it = [&](const bytes& raw) {
            return read<Encoding>(raw, with, [&](auto& io) { inside(io, into); });
        };
        CHECK(read_it(object(item.size() + 1, item + hex("00"))) == fault::extra_bytes);
        CHECK(read_it(object(item.size() - 1, bytes(item.begin(), item.end() - 1))) == fault::truncated);
        CHECK(read_it(object(0, {})) == fault::truncated);
        CHECK(read_it(object(item.size() + 1, item)) == fault::truncated);
        CHECK(read_it(object(std::uint64_t{1} << 63, item)) == fault::truncated);
    }
}

TEST_CASE_TEMPLATE("a nested buffer says its own kind, which need not be the outer one", Encoding, v21, v41)
{
    const auto inside = [](auto& io, auto& v) {
        io.nested_buffer([&](auto& in) { in.rest(as<data_type::status>, v); });
    };
    for (const auto& with : kinds) {
        const auto buffer = [&](unsigned kind, const bytes& content) {
            return head<Encoding>(with, 26) + bytes{static_cast<std::byte>(kind)} +
                   size_of<Encoding>(with, content.size()) + content;
        };
        const auto own_kind = static_cast<unsigned>(with.kind);
        const auto items_of = [](const agreement& kind) {
            return head<Encoding>(kind, 20) + number<Encoding>(std::int32_t{-1}) + head<Encoding>(kind, 20) +
                   number<Encoding>(std::int32_t{-2});
        };
        const std::vector expected{status{-1}, status{-2}};
        both_ways_whole<Encoding>(buffer(own_kind, {}), with, std::vector<status>{}, inside);
        both_ways<Encoding>(buffer(own_kind, items_of(with)), with, expected, inside);

        std::vector<status> into;
        const auto read_it = [&](const bytes& raw) {
            return read<Encoding>(raw, with, [&](auto& io) { inside(io, into); });
        };
        for (const auto& kind : kinds) {
            into.clear();
            CHECK(read_it(buffer(static_cast<unsigned>(kind.kind), items_of(kind))) == std::error_code());
            CHECK((into == expected));
        }
        CHECK(read_it(buffer(3 - own_kind, items_of(with))) == refusal::malformed);
        for (unsigned kind = 0; kind != 256; ++kind)
            if (kind != 1 && kind != 2) {
                CAPTURE(kind);
                CHECK(read_it(buffer(kind, items_of(with))) == fault::bad_buffer_kind);
            }
    }
}

TEST_CASE("a nested buffer of v20 does not say its kind")
{
    // pmix_bfrop_pack_buf of v2.0.3: the COMMIT of its clients
    const auto inside = [](auto& io, auto& v) {
        io.nested_buffer([&](auto& in) { in.rest(as<data_type::status>, v); });
    };
    both_ways_whole<v20>(hex("00000001 000f 0000000000000008 | 00000001 ffffffff"), plain,
                         std::vector{status::error}, inside);
    both_ways_whole<v20>(hex("0009 00000001 001a 000f 000f 000000000000000c | 0009 00000001 0014 ffffffff"),
                         described, std::vector{status::error}, inside);
}

TEST_CASE("a nested item inherits kind and release")
{
    const auto look = [](auto& io) {
        CHECK(io.described());
        CHECK((io.release() == release{4, 2, 2}));
        io.nested([](auto& in) {
            CHECK(in.described());
            CHECK((in.release() == release{4, 2, 2}));
        });
    };
    const auto raw = write<v41>(described, look);
    CHECK(show(raw) == "09 02 1b 00");
    CHECK(read<v41>(raw, described, look) == std::error_code());
}

TEST_CASE_TEMPLATE("structures of a list are written field by field without counts", Encoding, v21, v3, v41)
{
    const query question{{"pmix.qry.ns", ""}, {{"pmix.nspace", 1, value::string("golden")}}};
    const app program{
        "hostname", {"hostname", "-f"}, {"A=1"}, std::nullopt, 4, {{"pmix.wdir", 0, value::string("/")}}};
    const std::vector<info> infos{
        {"k", 9, {}}, {"pmix.collect", 0, value::boolean(true)}, {"", 0xffffffef, value::uint32(7)}};
    const std::vector<kval> kvals{{"g.u32", value::uint32(300)}, {"g.none", {}}};
    const std::vector<pdata> found{{{"golden", 0}, "svc.a", value::string("tcp://x")}};
    for (const auto& with : kinds) {
        const auto trip = [&](const auto& content, auto what) {
            auto into = content;
            into.clear();
            const auto raw = write<Encoding>(with, [&](auto& io) { what(io, content); });
            both_ways_whole<Encoding>(raw, with, content, what);
        };
        trip(std::vector{question, query{}}, [](auto& io, auto& v) { io.list(as<data_type::query>, v); });
        trip(std::vector{program, app{}}, [](auto& io, auto& v) { io.list(as<data_type::app>, v); });
        trip(infos, [](auto& io, auto& v) { io.list(as<data_type::info>, v); });
        trip(kvals, [](auto& io, auto& v) { io.list(as<data_type::kval>, v); });
        trip(found, [](auto& io, auto& v) { io.list(as<data_type::pdata>, v); });
    }
    CHECK(show(write<v41>(plain, [&](auto& io) {
              io.list(as<data_type::info>, std::vector<info>{infos[1]});
          })) == show(hex("02 01 02 1a") + bytes_of("pmix.collect") + hex("00 00 01 01")));
}

TEST_CASE("an app has the form that PMIx_Data_pack of libpmix gives it")
{
    const std::vector<app> one{{"a", {"x"}, {"E=1"}, std::nullopt, 2, {{"k", 1, value::boolean(true)}}}};
    const auto what = [](auto& io, auto& v) { io.list(as<data_type::app>, v); };
    both_ways_whole<v41>(hex("02 01 02 04 61 00 02 04 78 00 02 08 45 3d 31 00 00 04 01 04 6b 00 01 01 01"),
                         plain, one, what);
    both_ways_whole<v3>(
        hex("00000001 000f0000000000000001 00000001 00 00 00 02 61 00 00 09 00 00 00 01 00 00 00 02 78 00 00 "
            "00"
            "00 01 00 00 00 04 45 3d 31 00 00 00 00 00 00 09 00 00 00 02 00 0f 00 00 00 00 00 00 00 01 00 00"
            "00 02 6b 00 00 00 00 01 00 01 01"),
        plain, one, what);
}

TEST_CASE("counts inside structures are bounded and not negative")
{
    std::vector<query> queries;
    std::vector<app> apps;
    const auto read_query = [&](const char* raw) {
        return read<v41>(hex(raw), plain, [&](auto& io) { io.list(as<data_type::query>, queries); });
    };
    const auto read_app = [&](const char* raw) {
        return read<v41>(hex(raw), plain, [&](auto& io) { io.list(as<data_type::app>, apps); });
    };
    for (const char* raw : {"02 01 02 01 00", "02 01 02 ffffffff0f 00", "02 01 02 feffffff0f 00",
                            "02 01 02 00 808080808080808080", "02 01 02 00 02 00"})
        CHECK(read_query(raw) == fault::bad_count);
    for (const char* raw :
         {"02 01 02 00 01", "02 01 02 00 00 01", "02 01 02 00 feffffff0f", "02 01 02 00 00 00 00 00 7f"})
        CHECK(read_app(raw) == fault::bad_count);
}

TEST_CASE("a key of 512 bytes or a namespace of 256 is refused")
{
    const auto kval_of = [](std::size_t size) {
        return hex("02") + string_of<v41>(std::string(size, 'k')) + hex("00");
    };
    const auto proc_of = [](std::size_t size) {
        return hex("02") + string_of<v41>(std::string(size, 'n')) + hex("00");
    };
    std::vector<kval> kvals;
    proc who;
    const auto keys = [&](auto& io) { io.rest(as<data_type::kval>, kvals); };
    const auto names = [&](auto& io) { io.item(as<data_type::proc>, who); };
    CHECK(read<v41>(kval_of(511), plain, keys) == std::error_code());
    CHECK(read<v41>(kval_of(512), plain, keys) == fault::name_too_long);
    CHECK(read<v41>(proc_of(255), plain, names) == std::error_code());
    CHECK(read<v41>(proc_of(256), plain, names) == fault::name_too_long);
}

TEST_CASE("keys and namespaces inside values have the same limits")
{
    std::vector<kval> kvals;
    const auto keys = [&](auto& io) { io.rest(as<data_type::kval>, kvals); };
    const auto array_of_info =
        hex("02 04 6b00 27 18 01") + string_of<v41>(std::string(512, 'k')) + hex("00 00");
    const auto value_of_proc = hex("02 04 6b00 16") + string_of<v41>(std::string(256, 'n')) + hex("00");
    CHECK(read<v41>(array_of_info, plain, keys) == fault::name_too_long);
    CHECK(read<v41>(value_of_proc, plain, keys) == fault::name_too_long);
}

TEST_CASE("nothing is read or kept after a fault")
{
    std::vector<kval> kvals;
    auto late = status::error;
    const auto code =
        read<v41>(hex("02 04 6b00 01 01  02 04 6b00 01 02  02 04 6b00 01 01"), plain, [&](auto& io) {
            io.rest(as<data_type::kval>, kvals);
            CHECK_FALSE(io.more());
            io.item(as<data_type::status>, late);
        });
    CHECK(code == fault::bad_boolean);
    CHECK(kvals.size() == 2);
    CHECK(late == status::success);
}

TEST_CASE("what cannot be encoded anywhere inside refuses the whole")
{
    bytes target;
    writer out(target);
    encoder<v21> items(out, plain);
    items.nested([](auto& in) {
        in.nested([](auto& deep) {
            deep.item(as<data_type::kval>, kval{"k", value::of<data_type::proc_nspace>("n")});
        });
        in.item(as<data_type::status>, status::success);
    });
    CHECK_FALSE(out.ok());
    CHECK(out.error() == fault::unencodable);
}

TEST_CASE("a family has what the newest type of the agreement allows, nested or not")
{
    const kval level{"k", value::of<data_type::iof_channel>(1)}; // came with v3
    const auto directly = [](auto& io, auto& v) { io.item(as<data_type::kval>, v); };
    const auto inside = [&](auto& io, auto& v) { io.nested([&](auto& in) { directly(in, v); }); };
    const auto check = [&](auto what) {
        const auto raw = write<family<native_form>>(plain, [&](auto& io) { what(io, level); });
        for (const auto newest : {v21::newest, v3::newest}) {
            const agreement with{plain.kind, plain.release, newest};
            const bool has = newest == v3::newest;
            kval into;
            const auto read_by = [&](auto& io) { what(io, into); };
            CHECK(read<family<native_form>>(raw, with, read_by) ==
                  (has ? std::error_code() : make_error_code(fault::unknown_type)));
            bytes target;
            writer out(target);
            encoder<family<native_form>> items(out, with);
            what(items, level);
            CHECK(out.ok() == has);
            CHECK(read<v21>(raw, with, read_by) == fault::unknown_type); // whatever was agreed
        }
    };
    check(directly);
    check(inside);
}

TEST_CASE("the limit of the writer holds for nested items too")
{
    const auto what = [](auto& io) {
        io.nested([](auto& in) { in.item(as<data_type::string>, std::string(100, 'x')); });
    };
    const auto size = write<v41>(plain, what).size();
    for (const auto limit : {size, size - 1, std::size_t{5}, std::size_t{0}}) {
        bytes target;
        writer out(target, limit);
        encoder<v41> items(out, plain);
        what(items);
        CHECK(out.ok() == (limit == size));
        CHECK(target.size() <= limit);
        if (!out.ok())
            CHECK(out.error() == fault::message_too_large);
    }
}
