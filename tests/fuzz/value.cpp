// Any bytes as values of any type, in any encoding: what can be read can be asked for its content, and written, in the same
// and in other encodings, and is then read the same.
//
// The first byte selects the encoding and kind of buffers (bits 0 to 3), and the others that are written besides (bits 4 to
// 7): see spoken.hpp. Bit 0 of the second is whether type codes are as in INFO. Values follow.
#include "spoken.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <utility>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace pmixio;
using fuzz::spoken;
using wire::data_type;
using wire::shape;
using wire::value;

bool described(const spoken& as) { return as.with.kind == wire::buffer_kind::fully_described; }

value read(wire::cursor& from, const spoken& as, bool as_integer)
{
    wire::byte_buffer scratch;
    return as.visit([&](auto e) {
        using encoding = typename decltype(e)::type;
        wire::input<typename encoding::form> in(from, described(as));
        return value::decode(in, encoding::newest, as_integer, scratch);
    });
}

std::optional<wire::byte_buffer> write(const value& content, const spoken& as, bool as_integer)
{
    wire::byte_buffer bytes;
    wire::writer target(bytes);
    as.visit([&](auto e) {
        using encoding = typename decltype(e)::type;
        wire::output<typename encoding::form> out(target, described(as));
        content.encode(out, encoding::newest, as_integer);
    });
    if (!target.ok() && target.error() != fault::unencodable)
        std::abort();
    return target.ok() ? std::optional(std::move(bytes)) : std::nullopt;
}

/// All of the bytes, which were written.
value read_whole(const wire::byte_buffer& bytes, const spoken& as, bool as_integer)
{
    wire::cursor from(bytes);
    auto content = read(from, as, as_integer);
    if (!from.ok() || !from.at_end())
        std::abort();
    return content;
}

template <std::uint16_t Code>
void check_content(const value& content)
{
    constexpr auto type = static_cast<data_type>(Code);
    if constexpr (wire::shape_of(type) != shape::nothing && wire::shape_of(type) != shape::object &&
                  wire::shape_of(type) != shape::composite) {
        const auto got = content.get<type>();
        if (!content.is(type)) {
            if (got)
                std::abort();
        } else if constexpr (wire::shape_of(type) == shape::string) {
            if (got && value::of<type>(*got) != content) // none is NULL
                std::abort();
        } else {
            const auto wide = content.to_integer();
            if (!got || value::of<type>(*got) != content)
                std::abort();
            if constexpr (wire::shape_of(type) == shape::boolean) {
                if (wide != *got || content.to_flag() != *got)
                    std::abort();
            } else if (std::in_range<std::int64_t>(*got) ? wide != static_cast<std::int64_t>(*got)
                                                         : wide.has_value()) {
                std::abort();
            }
        }
    }
}

template <std::uint16_t... Code>
void check_contents(const value& content, std::integer_sequence<std::uint16_t, Code...>)
{
    (check_content<Code>(content), ...);
}

std::uint64_t processes_in(const value& content)
{
    wire::cursor packed(content.packed());
    wire::input<value::form> in(packed, false);
    data_type element{};
    std::uint64_t count = 0;
    if (content.is(data_type::data_array))
        in.code(element), in.size(count);
    return content.is(data_type::proc) ? 1 : element == data_type::proc ? count : 0;
}

void check(const value& content, std::size_t taken, const spoken& here, const spoken& there, bool as_integer)
{
    const auto newest = here.visit([](auto e) { return decltype(e)::type::newest; });
    if (!known(content.type(), newest) || content.newest() < content.type() || content.newest() > newest)
        std::abort();
    if (content.packed().size() > taken + taken / 2) // three bytes for UINT16
        std::abort();
    check_contents(
        content,
        std::make_integer_sequence<std::uint16_t, static_cast<std::uint16_t>(wire::v61::newest) + 1>());
    const auto processes = content.to_processes();
    if (processes.size() != processes_in(content))
        std::abort();
    for (const auto& each : processes)
        if (value::of_proc(each).to_processes() != std::vector{each})
            std::abort();

    const auto again = write(content, here, as_integer);
    if (!again || again->size() > taken || read_whole(*again, here, as_integer) != content)
        std::abort();

    const auto elsewhere = write(content, there, as_integer);
    if (!elsewhere && there.has_types_of(here))
        std::abort();
    if (!elsewhere)
        return;
    const auto arrived = read_whole(*elsewhere, there, as_integer);
    if (there.says_kinds() ? arrived != content : write(arrived, there, as_integer) != elsewhere)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 2)
        return 0;
    const auto here = spoken::in(data[0]), there = spoken::in(data[0] >> 4);
    const bool as_integer = data[1] & 1;
    wire::cursor in(std::as_bytes(std::span(data, size)).subspan(2));
    while (!in.at_end()) {
        const auto before = in.left();
        const auto content = read(in, here, as_integer);
        if (in.ok())
            check(content, before - in.left(), here, there, as_integer);
    }
    return 0;
}
