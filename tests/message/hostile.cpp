// What a peer that does not follow the protocol can do to whoever reads its messages: nothing but be refused.

#include "../support/recorded.hpp"
#include "../support/reference.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

/// What the heap gave out, in bytes.
struct account {
    std::size_t live = 0, peak = 0, total = 0;
};

account heap;

} // namespace

// All of this program counts.

void* operator new(std::size_t size)
{
    void* const piece = std::malloc(size);
    if (!piece)
        throw std::bad_alloc();
    const auto got = malloc_usable_size(piece);
    heap.live += got;
    heap.total += got;
    heap.peak = std::max(heap.peak, heap.live);
    return piece;
}

void operator delete(void* piece) noexcept
{
    if (piece)
        heap.live -= malloc_usable_size(piece);
    std::free(piece);
}

void operator delete(void* piece, std::size_t) noexcept { operator delete(piece); }

namespace {

using namespace pmixio;
using namespace pmixio::test;

struct cost {
    std::size_t peak = 0, total = 0;
    bool read = false; ///< it was accepted
};

/// Decodes and throws away.
template <class Message, class Encoding>
cost read(std::span<const std::byte> payload, const wire::agreement& with)
{
    const auto before = heap;
    heap.peak = heap.live;
    cost result;
    result.read = decode<Message, Encoding>(payload, with).has_value();
    result.peak = heap.peak - before.live;
    result.total = heap.total - before.total;
    heap.peak = std::max(heap.peak, before.peak);
    if (heap.live != before.live)
        throw std::runtime_error("decoding keeps memory");
    return result;
}

template <class Message, class Encoding>
result<bytes> again(std::span<const std::byte> payload, const wire::agreement& with)
{
    const auto content = decode<Message, Encoding>(payload, with);
    if (!content)
        return content.error();
    return encode<Encoding>(*content, with);
}

struct codec {
    cost (*read)(std::span<const std::byte>, const wire::agreement&);
    result<bytes> (*again)(std::span<const std::byte>, const wire::agreement&);
};

codec codec_of(const recorded& from)
{
    return visit_encoding(from, [&](auto encoding) {
        using E = typename decltype(encoding)::type;
        return visit_message(from, [](auto message) -> codec {
            using M = typename decltype(message)::type;
            return {read<M, E>, again<M, E>};
        });
    });
}

/// The most that decoding `size` bytes may take at once: the densest element is 35 times its bytes in memory,
/// and a vector that grows holds up to three times its elements.
constexpr std::size_t allowed(std::size_t size) { return 1024 + 128 * size; }

/// The recorded messages without those that are the same bytes to the same reader.
const std::vector<recorded>& different()
{
    static const auto result = [] {
        std::vector<recorded> kept;
        for (const auto& name : names("msg-")) {
            auto from = open(name);
            const auto same = [&](const recorded& other) {
                const auto form = [](const recorded& r) { return r.encoding < "v4"; };
                return other.command == from.command && other.request == from.request &&
                       form(other) == form(from) && other.payload == from.payload;
            };
            if (std::none_of(kept.begin(), kept.end(), same))
                kept.push_back(std::move(from));
        }
        return kept;
    }();
    return result;
}

/// Runs through everything a peer could change, `change(payload, visit)` calling `visit` with each.
template <class Change>
void sweep(Change change)
{
    std::size_t tried = 0, accepted = 0;
    double worst_peak = 0, worst_total = 0;
    std::string worst_peak_in, worst_total_in;
    for (const auto& from : different()) {
        const auto& name = from.name;
        const auto codec = codec_of(from);
        change(from.payload, [&](std::span<const std::byte> payload) {
            ++tried;
            const auto cost = codec.read(payload, from.with);
            if (cost.peak > allowed(payload.size()))
                FAIL_CHECK(name << " takes " << cost.peak << " bytes: " << show(payload));
            const auto size = static_cast<double>(payload.size());
            if (payload.size() >= 64 && static_cast<double>(cost.peak) / size > worst_peak)
                worst_peak = static_cast<double>(cost.peak) / size, worst_peak_in = name;
            if (payload.size() >= 64 && static_cast<double>(cost.total) / size > worst_total)
                worst_total = static_cast<double>(cost.total) / size, worst_total_in = name;
            if (!cost.read)
                return;
            if (accepted++ % 16 != 0) // costs four times as much as reading it
                return;
            const auto once = codec.again(payload, from.with);
            const auto twice = once ? codec.again(*once, from.with) : once;
            if (!once || !twice || *once != *twice)
                FAIL_CHECK(name << " is accepted and not read the same again: " << show(payload));
        });
    }
    CHECK(tried > 10000);
    CHECK(accepted > 0);
    CHECK(accepted < tried);
    MESSAGE(tried << " messages, " << accepted << " accepted; at most " << worst_peak
                  << " bytes at once per byte (" << worst_peak_in << "), " << worst_total << " in all ("
                  << worst_total_in << ")");
}

/// Many copies of the bytes of one element.
bytes times(std::size_t n, const bytes& one)
{
    bytes result;
    result.reserve(n * one.size());
    for (std::size_t i = 0; i != n; ++i)
        result.insert(result.end(), one.begin(), one.end());
    return result;
}

bytes list_of(unsigned n, const bytes& one)
{
    return hex("02") + reference::flex(std::uint64_t{n}) + reference::flex(static_cast<std::int32_t>(n)) +
           times(n, one);
}

bytes object_of(const bytes& content)
{
    return hex("02") + reference::flex(std::uint64_t{content.size()}) + content;
}

} // namespace

TEST_CASE("the heap is counted")
{
    const auto before = heap;
    {
        std::vector<char> piece(100000);
        CHECK(heap.live >= before.live + 100000);
        CHECK(piece.back() == 0);
    }
    CHECK(heap.total >= before.total + 100000);
    CHECK(heap.peak >= before.live + 100000);
}

TEST_CASE("no overwritten byte of a recorded message does harm")
{
    sweep([](const bytes& payload, auto visit) {
        auto changed = payload;
        for (auto& byte : changed) {
            const auto original = byte;
            for (const auto value : {std::byte{0x00}, std::byte{0x7f}, std::byte{0x80}, std::byte{0xff},
                                     original ^ std::byte{0x01}}) {
                byte = value;
                if (value != original)
                    visit(changed);
            }
            byte = original;
        }
    });
}

TEST_CASE("no missing or additional byte of a recorded message does harm")
{
    sweep([](const bytes& payload, auto visit) {
        for (std::size_t at = 0; at != payload.size(); ++at) {
            auto changed = payload;
            changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(at));
            visit(changed);
            changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(at), 2,
                           at % 2 ? std::byte{0xff} : std::byte{0x02});
            visit(changed);
        }
    });
}

TEST_CASE("no three changed bytes of a recorded message do harm")
{
    auto random = numbers(20261124);
    sweep([&](const bytes& payload, auto visit) {
        for (int i = 0; i != 300; ++i) {
            auto changed = payload;
            for (int change = 0; change != 3; ++change)
                changed[random() % changed.size()] = static_cast<std::byte>(random());
            visit(changed);
        }
    });
}

TEST_CASE("random bytes are refused or read the same again, as any message")
{
    auto random = numbers(7);
    sweep([&](const bytes&, auto visit) {
        for (int i = 0; i != 300; ++i) {
            bytes payload(random() % 200);
            for (auto& byte : payload)
                byte = static_cast<std::byte>(random() % 4 ? random() % 8 : random());
            visit(payload);
        }
    });
}

TEST_CASE("the densest messages take a bounded multiple of their size")
{
    constexpr unsigned n = 20000;
    struct row {
        std::string_view name;
        bytes payload;
        cost (*read)(std::span<const std::byte>, const wire::agreement&);
    };
    const auto kvals = times(n, hex("02 00 00"));
    double worst = 0;
    for (const auto& each : {
             row{"publish: INFO of 3 bytes", hex("02 06 02 00") + list_of(n, hex("00 00 00")),
                 read<message::publish, wire::v41>},
             row{"fence: PROC of 2 bytes", hex("02 03") + list_of(n, hex("00 00")) + hex("02 00"),
                 read<message::fence, wire::v41>},
             row{"query: QUERY of 2 bytes", hex("02 0f") + list_of(n, hex("00 00")),
                 read<message::query, wire::v41>},
             row{"query: keys of 1 byte",
                 hex("02 0f 02 01 02") + reference::flex(std::int32_t{n}) + times(n, hex("00")) + hex("00"),
                 read<message::query, wire::v41>},
             row{"lookup: keys of 2 bytes",
                 hex("02 07 02 00 02") + reference::flex(std::uint64_t{n}) + times(n, hex("02 00")) +
                     hex("02 00"),
                 read<message::lookup, wire::v41>},
             row{"lookup reply: PDATA of 4 bytes", hex("02 00") + list_of(n, hex("00 00 00 00")),
                 read<message::lookup_reply, wire::v41>},
             row{"regevents: STATUS of 1 byte", hex("02 0d") + list_of(n, hex("00")) + hex("02 00"),
                 read<message::register_events, wire::v41>},
             row{"commit: BUFFER of 5 bytes", hex("02 02") + times(n, hex("02 01 02 01 00")),
                 read<message::commit, wire::v41>},
             row{"commit: KVAL of 3 bytes",
                 hex("02 02 02 01 02 01") + reference::flex(std::uint64_t{kvals.size()}) + kvals,
                 read<message::commit, wire::v41>},
             row{"get reply: object of 5 bytes", hex("02 00") + times(n, object_of(hex("02 00 00"))),
                 read<message::get_reply, wire::v41>},
             row{"get reply: KVAL of 3 bytes", hex("02 00") + object_of(hex("02 00 00") + kvals),
                 read<message::get_reply, wire::v41>},
             row{"job data: KVAL of 3 bytes", hex("02 04 6e00") + kvals, read<message::job_data, wire::v41>},
             row{"connect reply: object of 4 bytes", hex("02 00") + times(n, object_of(hex("02 00"))),
                 read<message::connect_reply, wire::v41>},
             row{"commit: one large value",
                 hex("02 02 02 01 02 01") + reference::flex(std::uint64_t{n + 8}) + hex("02 04 6b00 1b") +
                     reference::flex(std::uint64_t{n}) + bytes(n),
                 read<message::commit, wire::v41>},
             row{"publish: native array of UINT64",
                 hex("00000001 06 00000001 00000000 00000001 000f 0000000000000001 00000001 00000000 "
                     "00000000 0027 000f"
                     "000f 0000000000004e20") +
                     bytes(8 * n),
                 read<message::publish, wire::v3>},
         }) {
        CAPTURE(each.name);
        const auto cost = each.read(each.payload, {});
        const auto ratio = static_cast<double>(cost.peak) / static_cast<double>(each.payload.size());
        CHECK(cost.peak <= allowed(each.payload.size()));
        CHECK(cost.read);
        MESSAGE(each.name << ": " << each.payload.size() << " bytes take " << ratio << " each at once, "
                          << static_cast<double>(cost.total) / static_cast<double>(each.payload.size())
                          << " in all");
        worst = std::max(worst, ratio);
    }
    MESSAGE("at most " << worst << " bytes at once per byte");
}

TEST_CASE("a length that lies takes no more memory than the bytes that are there")
{
    // as many elements as bytes are left, or more, of every element that a message has
    for (const auto n : {std::uint64_t{30000}, std::uint64_t{1} << 31, std::uint64_t{1} << 63, UINT64_MAX}) {
        const auto size = hex("02") + reference::flex(n);
        const auto count = reference::flex(static_cast<std::int32_t>(n % (std::uint64_t{1} << 31)));
        const auto content = bytes(30000, std::byte{0xff});
        CAPTURE(n);
        for (const auto& cost : {
                 read<message::publish, wire::v41>(hex("02 06 02 00") + size + count + content, {}),
                 read<message::fence, wire::v41>(hex("02 03") + size + count + content, {}),
                 read<message::query, wire::v41>(hex("02 0f") + size + count + content, {}),
                 read<message::lookup, wire::v41>(hex("02 07 02 00") + size + content, {}),
                 read<message::lookup_reply, wire::v41>(hex("02 00") + size + count + content, {}),
                 read<message::register_events, wire::v41>(hex("02 0d") + size + count + content, {}),
                 read<message::commit, wire::v41>(hex("02 02 02 01 02 01") + reference::flex(n) + content,
                                                  {}),
                 read<message::get_reply, wire::v41>(hex("02 00 02") + reference::flex(n) + content, {}),
                 read<message::job_data, wire::v41>(hex("02") + count + content, {}),
             }) {
            CHECK_FALSE(cost.read);
            CHECK(cost.peak < 4096);
        }
    }
}
