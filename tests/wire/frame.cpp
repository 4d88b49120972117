#include "../support/bytes.hpp"
#include "../support/vectors.hpp"

#include <pmixio/wire/frame.hpp>

using namespace pmixio;
using namespace pmixio::test;
using wire::frame_header;

namespace {

frame_header parse(const bytes& raw)
{
    return frame_header::parse(std::span(raw).first<wire::frame_header_size>());
}

std::string written(const frame_header& header)
{
    bytes target;
    wire::writer out(target);
    header.append_to(out);
    return show(target);
}

} // namespace

TEST_CASE("a header is read and written in network order")
{
    struct row {
        frame_header header;
        std::string text;
    };
    for (const auto& [header, text] : {
             row{{1, 104, 38}, "00 00 00 01 00 00 00 68 00 00 00 26 00 00 00 00"},
             row{{0, 0, 0}, "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"},
             row{{-1, UINT32_MAX, 131072}, "ff ff ff ff ff ff ff ff 00 02 00 00 00 00 00 00"},
             row{{INT32_MIN, 0x01020304, UINT32_MAX}, "80 00 00 00 01 02 03 04 ff ff ff ff 00 00 00 00"},
             row{{INT32_MAX, wire::first_request_tag, 1}, "7f ff ff ff 00 00 00 65 00 00 00 01 00 00 00 00"},
         }) {
        CHECK(written(header) == text);
        const auto read = parse(hex(text));
        CHECK(read.pindex == header.pindex);
        CHECK(read.tag == header.tag);
        CHECK(read.nbytes == header.nbytes);
    }
}

TEST_CASE("the padding is not read")
{
    const auto read = parse(hex("00 00 00 07 00 00 00 65 00 00 00 02 de ad be ef"));
    CHECK(written(read) == "00 00 00 07 00 00 00 65 00 00 00 02 00 00 00 00");
}

TEST_CASE("the header of every recorded message announces its payload and is written back the same")
{
    for (const auto& name : names("msg-")) {
        CAPTURE(name);
        const auto raw = load(name).bytes;
        REQUIRE(raw.size() >= wire::frame_header_size);
        const auto header = parse(raw);
        CHECK(header.nbytes == raw.size() - wire::frame_header_size);
        CHECK(written(header) == show(std::span(raw).first(wire::frame_header_size)));
        const bool event = name.find("-event-") != name.npos;
        CHECK((event ? header.tag == wire::event_tag : header.tag >= wire::first_request_tag));
    }
}
