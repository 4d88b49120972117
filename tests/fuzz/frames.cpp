// A stream of frames cut into pieces gives the same frames, and the same fault, as in one piece; who wants only the first half
// of them gets that and no more.
//
// The first byte is the number of cuts, and so many bytes after it are the sizes of the first pieces. The stream follows.
#include <pmixio/session/frame_assembler.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <tuple>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace pmixio;

constexpr std::size_t limit = 4'096;

struct outcome {
    std::vector<std::tuple<std::int32_t, std::uint32_t, std::uint32_t, wire::byte_buffer>> frames;
    std::error_code failed;
    bool inside = false;

    friend bool operator==(const outcome&, const outcome&) = default;
};

void feed(outcome& to, frame_assembler& frames, std::span<const std::byte> piece, std::size_t wanted = SIZE_MAX)
{
    const auto done = frames.feed(piece, limit, [&](const wire::frame_header& header, std::span<const std::byte> payload) {
        if (payload.size() != header.nbytes || payload.size() > limit)
            std::abort();
        to.frames.emplace_back(header.pindex, header.tag, header.nbytes, wire::byte_buffer(payload.begin(), payload.end()));
        return to.frames.size() < wanted;
    });
    to.failed = done.error();
    to.inside = done && frames.inside_frame();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const auto all = std::as_bytes(std::span(data, size));
    const auto cuts = all.subspan(1, std::min<std::size_t>(data[0], size - 1));
    const auto stream = all.subspan(1 + cuts.size());

    outcome whole;
    frame_assembler at_once;
    feed(whole, at_once, stream);

    outcome cut;
    frame_assembler in_pieces;
    auto rest = stream;
    for (const auto length : cuts) {
        const auto piece = rest.first(std::min(rest.size(), std::to_integer<std::size_t>(length)));
        rest = rest.subspan(piece.size());
        if (!cut.failed)
            feed(cut, in_pieces, piece);
    }
    if (!cut.failed)
        feed(cut, in_pieces, rest);

    if (cut != whole)
        std::abort();
    if (whole.failed && at_once.rejected().tag != in_pieces.rejected().tag)
        std::abort();

    outcome half;
    frame_assembler until_half;
    const auto wanted = whole.frames.size() / 2;
    if (wanted != 0)
        feed(half, until_half, stream.first(1), wanted), feed(half, until_half, stream.subspan(1), wanted);
    whole.frames.resize(wanted);
    if (half.failed || half.inside || half.frames != whole.frames)
        std::abort();
    return 0;
}
