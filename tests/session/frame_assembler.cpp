#include <pmixio/session/frame_assembler.hpp>

#include "support/bytes.hpp"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

namespace {

using namespace pmixio;
using test::bytes;
using test::operator+;

using frames = std::vector<std::pair<std::uint32_t, bytes>>;

bytes frame(std::uint32_t tag, std::string_view payload)
{
    wire::byte_buffer raw;
    wire::writer out(raw);
    wire::frame_header{7, tag, static_cast<std::uint32_t>(payload.size())}.append_to(out);
    return bytes(raw.begin(), raw.end()) + test::bytes_of(payload);
}

auto into(frames& seen)
{
    return [&seen](const wire::frame_header& header, std::span<const std::byte> payload) {
        CHECK(header.pindex == 7);
        CHECK(header.nbytes == payload.size());
        seen.emplace_back(header.tag, bytes(payload.begin(), payload.end()));
        return true;
    };
}

const bytes several = frame(101, "one") + frame(1, "") + frame(102, "") + frame(103, "a longer one than its header is");
const frames expected{{101, test::bytes_of("one")},
                      {1, {}},
                      {102, {}},
                      {103, test::bytes_of("a longer one than its header is")}};

} // namespace

TEST_CASE("frames that come at once are handed out in order")
{
    frame_assembler in;
    frames seen;
    CHECK(in.feed(several, 100, into(seen)));
    CHECK(seen == expected);
    CHECK(!in.inside_frame());
}

TEST_CASE("frames that come a byte at a time are the same")
{
    frame_assembler in;
    frames seen;
    std::size_t begun = 0;
    for (const auto& byte : several) {
        CHECK(in.feed({&byte, 1}, 100, into(seen)));
        begun += in.inside_frame();
    }
    CHECK(seen == expected);
    CHECK(begun == several.size() - expected.size());
    CHECK(!in.inside_frame());
}

TEST_CASE("however two cuts divide them, frames are the same")
{
    for (std::size_t first = 0; first <= several.size(); ++first)
        for (std::size_t second = first; second <= several.size(); ++second) {
            frame_assembler in;
            frames seen;
            const std::span<const std::byte> all(several);
            REQUIRE(in.feed(all.first(first), 100, into(seen)));
            REQUIRE(in.feed(all.subspan(first, second - first), 100, into(seen)));
            REQUIRE(in.feed(all.subspan(second), 100, into(seen)));
            REQUIRE(seen == expected);
            REQUIRE(!in.inside_frame());
        }
}

TEST_CASE("no bytes change nothing")
{
    frame_assembler in;
    frames seen;
    CHECK(in.feed({}, 100, into(seen)));
    CHECK(!in.inside_frame());
    CHECK(in.feed(std::span(several).first(5), 100, into(seen)));
    CHECK(in.feed({}, 100, into(seen)));
    CHECK(in.inside_frame());
    CHECK(seen.empty());
}

TEST_CASE("a payload of exactly the limit is taken")
{
    frame_assembler in;
    frames seen;
    CHECK(in.feed(frame(101, "12345"), 5, into(seen)));
    CHECK(seen == frames{{101, test::bytes_of("12345")}});
}

TEST_CASE("a header that announces more than the limit is refused as soon as it is whole, whatever cut it")
{
    const auto good = frame(101, "one");
    auto large = frame(102, "123456");
    large.resize(wire::frame_header_size);
    for (std::size_t cut = 0; cut != wire::frame_header_size; ++cut) {
        CAPTURE(cut);
        frame_assembler in;
        frames seen;
        CHECK(in.feed(good + bytes(large.begin(), large.begin() + static_cast<std::ptrdiff_t>(cut)), 5, into(seen)));
        const auto refused = in.feed(std::span(large).subspan(cut), 5, into(seen));
        CHECK(refused.error() == fault::message_too_large);
        CHECK(in.rejected().tag == 102);
        CHECK(in.rejected().nbytes == 6);
        CHECK(in.rejected().pindex == 7);
        CHECK(seen.size() == 1);
    }
}

TEST_CASE("the largest length a header can say is refused without memory for it")
{
    auto header = frame(105, "");
    for (std::size_t at = 8; at != 12; ++at)
        header[at] = std::byte{0xff};
    frame_assembler in;
    frames seen;
    CHECK(in.feed(header, 32u << 20, into(seen)).error() == fault::message_too_large);
    CHECK(in.rejected().nbytes == 0xffffffff);
}

TEST_CASE("a large frame that is allowed takes memory as its bytes come")
{
    auto header = frame(105, "");
    for (std::size_t at = 8; at != 12; ++at)
        header[at] = std::byte{0xff};
    frames seen;
    std::vector<frame_assembler> many(1000); // 4 TB if they believed the headers
    for (auto& in : many)
        CHECK(in.feed(header + test::bytes_of("abc"), UINT32_MAX, into(seen)));
    CHECK(many.front().inside_frame());
    CHECK(seen.empty());
}

TEST_CASE("an owner that returns false gets no further frame, and the rest is dropped")
{
    for (std::size_t cut = 0; cut <= several.size(); ++cut) {
        frame_assembler in;
        int seen = 0;
        const auto stop = [&](const auto&, auto) { return ++seen < 2; };
        REQUIRE(in.feed(std::span(several).first(cut), 100, stop));
        if (seen < 2)
            REQUIRE(in.feed(std::span(several).subspan(cut), 100, stop));
        REQUIRE(seen == 2);
        REQUIRE(!in.inside_frame());
    }
}
