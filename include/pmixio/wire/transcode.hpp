// Copies packed values from one form to another, checking every byte on the way. The one place that knows the packed
// form of every type code: messages.md section 5.
#pragma once

#include <pmixio/wire/codec.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace pmixio::wire {

/// Nesting of values, arrays and structures beyond this is refused.
inline constexpr unsigned max_depth = 32;

/// Whether a packed form is known for `type` and an encoding whose newest type is `newest` has it.
constexpr bool known(data_type type, data_type newest) noexcept
{
    const auto code = static_cast<std::uint16_t>(type);
    const bool gap = code == 29 || code == 56 || (code >= 61 && code <= 64) ||
                     (type == data_type::info_array && newest > data_type::envar); // ended with v3
    return !gap && type <= newest && type <= data_type::storage_access_type;
}

/// How one value of each type is packed, where that is a primitive.
enum class shape : std::uint8_t {
    nothing,
    boolean,
    u8,
    s8,
    u16,
    u32,
    u64,
    s16,
    s32,
    s64,
    size,
    integer,
    uint,
    pid,
    string,
    object,
    composite,
};

constexpr shape shape_of(data_type type) noexcept
{
    switch (type) {
    case data_type::undef: return shape::nothing;
    case data_type::boolean: return shape::boolean;
    case data_type::int8: return shape::s8;
    case data_type::byte:
    case data_type::uint8:
    case data_type::persistence:
    case data_type::pointer:
    case data_type::scope:
    case data_type::data_range:
    case data_type::command:
    case data_type::proc_state:
    case data_type::alloc_directive:
    case data_type::job_state:
    case data_type::link_state: return shape::u8;
    case data_type::uint16:
    case data_type::data_type:
    case data_type::iof_channel:
    case data_type::locality:
    case data_type::storage_access_type: return shape::u16;
    case data_type::uint32:
    case data_type::info_directives:
    case data_type::proc_rank: return shape::u32;
    case data_type::uint64:
    case data_type::time:
    case data_type::device_type:
    case data_type::storage_medium:
    case data_type::storage_access:
    case data_type::storage_persistence: return shape::u64;
    case data_type::int16: return shape::s16;
    case data_type::int32:
    case data_type::status: return shape::s32;
    case data_type::int64: return shape::s64;
    case data_type::size: return shape::size;
    case data_type::integer: return shape::integer;
    case data_type::uint: return shape::uint;
    case data_type::pid: return shape::pid;
    case data_type::string:
    case data_type::float32:
    case data_type::float64:
    case data_type::proc_nspace:
    case data_type::cpuset: return shape::string;
    case data_type::byte_object:
    case data_type::compressed_string:
    case data_type::compressed_byte_object:
    case data_type::data_buffer: return shape::object;
    default: return shape::composite;
    }
}

/// Copies from `in` to `out`. Faults of the bytes stick in the cursor of `in`; `out` then holds a part.
template <integer_form From, integer_form To>
class transcoder {
public:
    /// Types newer than `newest` are fault::unknown_type.
    transcoder(input<From>& in, output<To>& out, data_type newest) noexcept
        : in_(in), out_(out), limit_(newest)
    {}

    /// One value of the given type, without its type code.
    void one(data_type type)
    {
        if (!known(type, limit_))
            return in_.raw().fail(fault::unknown_type);
        if (type > seen_)
            seen_ = type;
        if (shape_of(type) != shape::composite)
            return primitive(shape_of(type));
        if (depth_ == max_depth)
            return in_.raw().fail(fault::too_deep);
        ++depth_;
        composite(type);
        --depth_;
    }

    /// A type code and a value of that type: VALUE, and the value part of INFO and PDATA.
    /// `as_integer`: in v20 the latter two write the code as an INT.
    void typed(bool as_integer)
    {
        const auto type = code(as_integer);
        described(type);
        one(type);
    }

    /// The highest type code met so far.
    data_type newest_seen() const noexcept { return seen_; }

private:
    void primitive(shape s)
    {
        switch (s) {
        case shape::nothing:
        case shape::composite: return;
        case shape::boolean: return pass<bool>([](auto& io, auto& v) { io.boolean(v); });
        case shape::u8:
        case shape::s8: return pass<std::uint8_t>([](auto& io, auto& v) { io.u8(v); });
        case shape::u16: return pass<std::uint16_t>([](auto& io, auto& v) { io.u16(v); });
        case shape::u32: return u32();
        case shape::u64: return pass<std::uint64_t>([](auto& io, auto& v) { io.u64(v); });
        case shape::s16: return pass<std::int16_t>([](auto& io, auto& v) { io.s16(v); });
        case shape::s32: return pass<std::int32_t>([](auto& io, auto& v) { io.s32(v); });
        case shape::s64: return pass<std::int64_t>([](auto& io, auto& v) { io.s64(v); });
        case shape::size: return void(size());
        case shape::integer: return void(integer());
        case shape::uint: return pass<std::uint32_t>([](auto& io, auto& v) { io.uint(v); });
        case shape::pid: return pass<std::uint32_t>([](auto& io, auto& v) { io.pid(v); });
        case shape::string: return string();
        case shape::object: return object();
        }
    }

    void composite(data_type type)
    {
        switch (type) {
        case data_type::timeval: primitive(shape::s64), primitive(shape::s64); break;
        case data_type::value: typed(false); break;
        case data_type::proc: string(max_nspace_length), u32(); break;
        case data_type::info: string(max_key_length), u32(), typed(true); break;
        case data_type::pdata: one(data_type::proc), string(max_key_length), typed(true); break;
        case data_type::kval: string(max_key_length), one(data_type::value); break;
        case data_type::buffer: kind(), object(); break;
        case data_type::app:
            string();
            times(integer(), data_type::string);
            times(int32(), data_type::string);
            string();
            integer();
            times(size(), data_type::info);
            break;
        case data_type::query: times(int32(), data_type::string), times(size(), data_type::info); break;
        case data_type::info_array: times(size(), data_type::info); break;
        case data_type::proc_info:
            one(data_type::proc), string(), string(), primitive(shape::pid), primitive(shape::u8);
            break;
        case data_type::envar: string(), string(), primitive(shape::u8); break;
        case data_type::coord: primitive(shape::u8), times(size(), data_type::uint32); break;
        case data_type::regattr:
            string(), string(), primitive(shape::u16);
            times(int32(), data_type::string);
            break;
        case data_type::geometry: size(), string(), string(), times(size(), data_type::coord); break;
        case data_type::device_distance:
            string(), string(), primitive(shape::u64), primitive(shape::u16), primitive(shape::u16);
            break;
        case data_type::endpoint: string(), string(), object(); break;
        case data_type::regex: regex(); break;
        case data_type::data_array: {
            const auto element = code(false);
            const auto n = size();
            if (element != data_type::undef && n != 0) {
                described(element);
                elements(n, element);
            }
            break;
        }
        default: in_.raw().fail(fault::unknown_type);
        }
    }

    template <class T, class Copy>
    void pass(Copy copy)
    {
        T value{};
        copy(in_, value);
        copy(out_, value);
    }

    void u32()
    {
        pass<std::uint32_t>([](auto& io, auto& v) { io.u32(v); });
    }

    std::uint64_t size()
    {
        std::uint64_t n = 0;
        in_.size(n), out_.size(n);
        return n;
    }

    std::uint64_t integer()
    {
        return counted([](auto& io, auto& v) { io.integer(v); });
    }
    std::uint64_t int32()
    {
        return counted([](auto& io, auto& v) { io.s32(v); });
    }

    template <class Copy>
    std::uint64_t counted(Copy copy)
    {
        std::int32_t n = 0;
        copy(in_, n), copy(out_, n);
        return static_cast<std::uint64_t>(std::int64_t{n});
    }

    void times(std::uint64_t announced, data_type element)
    {
        const auto n = in_.raw().count(announced, 1);
        for (std::size_t i = 0; i != n && in_.raw().ok(); ++i)
            one(element);
    }

    /// As times(), but the concrete type of machine dependent integers is there only once.
    void elements(std::uint64_t announced, data_type element)
    {
        switch (shape_of(element)) {
        case shape::size: in_.size_type(), out_.size_type(); return bare(announced, element, shape::u64);
        case shape::integer:
        case shape::uint:
            in_.integer_type(), out_.integer_type();
            return bare(announced, element, shape::s32);
        case shape::pid: in_.pid_type(), out_.pid_type(); return bare(announced, element, shape::u32);
        default: times(announced, element);
        }
    }

    void bare(std::uint64_t announced, data_type element, shape s)
    {
        seen_ = std::max(seen_, element);
        const auto n = in_.raw().count(announced, 1);
        for (std::size_t i = 0; i != n && in_.raw().ok(); ++i)
            primitive(s);
    }

    void kind()
    {
        std::uint8_t value = in_.described() ? 2 : 1;
        if (From::buffers_say_kind)
            in_.u8(value);
        if (To::buffers_say_kind)
            out_.u8(value);
    }

    void string(std::size_t limit = SIZE_MAX)
    {
        const auto view = in_.string();
        if (view && view->size() > limit)
            return in_.raw().fail(fault::name_too_long);
        view ? out_.string(*view) : out_.string(std::nullopt);
    }

    void object() { out_.object(in_.object()); }

    data_type code(bool as_integer)
    {
        data_type type{};
        if (From::integer_type_codes && as_integer) {
            std::int32_t wide = 0;
            in_.integer(wide);
            if (wide < 0 || wide > 0xffff)
                in_.raw().fail(fault::unknown_type);
            type = static_cast<data_type>(wide);
        } else {
            in_.code(type);
        }
        if (To::integer_type_codes && as_integer)
            out_.integer(static_cast<std::int32_t>(type));
        else
            out_.code(type);
        return type;
    }

    /// v20 describes nested values too, in fully described buffers.
    void described(data_type type)
    {
        if (From::describes_nested && in_.described() && type != data_type::undef) {
            data_type said{};
            in_.code(said);
            if (said != type)
                in_.raw().fail(fault::bad_descriptor);
        }
        if (To::describes_nested && out_.described() && type != data_type::undef)
            out_.code(type);
    }

    /// REGEX has no length. Either text up to its NUL, or `blob:` NUL `component=...:` NUL `size=N:` NUL and N bytes.
    void regex()
    {
        const auto first = in_.raw().terminated();
        out_.raw().terminated(first);
        if (first != "blob:")
            return;
        const auto component = in_.raw().terminated();
        const auto length = in_.raw().terminated();
        std::uint64_t n = 0;
        constexpr std::string_view prefix = "size=";
        bool good = length.size() > prefix.size() + 1 && length.starts_with(prefix) &&
                    length.ends_with(':') && length.size() < prefix.size() + 12;
        for (std::size_t i = prefix.size(); good && i + 1 < length.size(); ++i) {
            good = length[i] >= '0' && length[i] <= '9';
            n = n * 10 + static_cast<std::uint64_t>(length[i] - '0');
        }
        if (!good)
            return in_.raw().fail(fault::bad_count);
        out_.raw().terminated(component);
        out_.raw().terminated(length);
        out_.raw().append(in_.raw().bytes(n));
    }

    input<From>& in_;
    output<To>& out_;
    data_type limit_;
    data_type seen_ = data_type::undef;
    unsigned depth_ = 0;
};

} // namespace pmixio::wire
