// Protocol values as C++ values that know no encoding: `value`, and the structures that carry one.
#pragma once

#include <pmixio/wire/transcode.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio::wire {

namespace detail {

template <shape>
struct native_type_of;
template <>
struct native_type_of<shape::boolean> {
    using type = bool;
};
template <>
struct native_type_of<shape::u8> {
    using type = std::uint8_t;
};
template <>
struct native_type_of<shape::s8> {
    using type = std::int8_t;
};
template <>
struct native_type_of<shape::u16> {
    using type = std::uint16_t;
};
template <>
struct native_type_of<shape::u32> {
    using type = std::uint32_t;
};
template <>
struct native_type_of<shape::u64> {
    using type = std::uint64_t;
};
template <>
struct native_type_of<shape::s16> {
    using type = std::int16_t;
};
template <>
struct native_type_of<shape::s32> {
    using type = std::int32_t;
};
template <>
struct native_type_of<shape::s64> {
    using type = std::int64_t;
};
template <>
struct native_type_of<shape::size> {
    using type = std::uint64_t;
};
template <>
struct native_type_of<shape::integer> {
    using type = std::int32_t;
};
template <>
struct native_type_of<shape::uint> {
    using type = std::uint32_t;
};
template <>
struct native_type_of<shape::pid> {
    using type = std::uint32_t;
};
template <>
struct native_type_of<shape::string> {
    using type = std::string_view;
};

} // namespace detail

/// The C++ type that stands for a primitive type code.
template <data_type Type>
using native_type = typename detail::native_type_of<shape_of(Type)>::type;

/// One value of any type a peer can send: a type code and the packed value, in flex integers and without
/// descriptions, whoever it came from. Relaying it to a peer with flex integers copies bytes; to others it is
/// re-encoded. Scalars and short strings need no allocation. Equality is equality of type and content.
class value {
public:
    using form = flex_form;

    /// UNDEF: a value of no content.
    value() noexcept = default;

    /// A value of a primitive type: `value::of<data_type::uint32>(4)`.
    template <data_type Type>
    static value of(native_type<Type> content)
    {
        return packed(Type, [&](output<form>& out) { put<Type>(out, content); });
    }
    static value string(std::string_view content) { return of<data_type::string>(content); }
    static value uint16(std::uint16_t content) { return of<data_type::uint16>(content); }
    static value uint32(std::uint32_t content) { return of<data_type::uint32>(content); }
    static value uint64(std::uint64_t content) { return of<data_type::uint64>(content); }
    static value boolean(bool content) { return of<data_type::boolean>(content); }
    static value rank(rank_type content) { return of<data_type::proc_rank>(content); }
    static value object(std::span<const std::byte> content)
    {
        return packed(data_type::byte_object, [&](output<form>& out) { out.object(content); });
    }
    static value of_proc(const proc& content)
    {
        return packed(data_type::proc,
                      [&](output<form>& out) { out.string(content.nspace), out.u32(content.rank); });
    }
    /// A DATA_ARRAY of PROC.
    static value processes(std::span<const proc> content)
    {
        return packed(data_type::data_array, [&](output<form>& out) {
            out.code(data_type::proc), out.size(content.size());
            for (const auto& each : content)
                out.string(each.nspace), out.u32(each.rank);
        });
    }
    /// A DATA_ARRAY of PROC_INFO; see proc_info below.
    static value proc_infos(std::span<const struct proc_info> content);
    /// A DATA_ARRAY of INFO; see info below.
    static value infos(std::span<const struct info> content);

    data_type type() const noexcept { return type_; }
    bool is(data_type type) const noexcept { return type_ == type; }

    /// The content, if the type is exactly this one. A string_view lasts as long as the value is not changed.
    template <data_type Type>
    std::optional<native_type<Type>> get() const
    {
        if (type_ != Type)
            return std::nullopt;
        cursor from(packed());
        input<form> in(from, false);
        if constexpr (shape_of(Type) == shape::string) {
            return in.string();
        } else {
            native_type<Type> content{};
            get_primitive<Type>(in, content);
            return from.ok() ? std::optional(content) : std::nullopt;
        }
    }

    /// Any integer or boolean type, as a wide integer (UINT64 above 2^63-1 is no value). Peers differ in the types they
    /// use for the same attribute.
    std::optional<std::int64_t> to_integer() const
    {
        cursor from(packed());
        input<form> in(from, false);
        std::int64_t content = 0;
        const auto read = [&]<class T>(T field, auto how) {
            how(field);
            content = static_cast<std::int64_t>(field);
            return from.ok() && std::in_range<std::int64_t>(field) ? std::optional(content) : std::nullopt;
        };
        switch (shape_of(type_)) {
        case shape::boolean:
        case shape::u8: return read(std::uint8_t{}, [&](auto& v) { in.u8(v); });
        case shape::s8: return read(std::int8_t{}, [&](auto& v) { in.u8(v); });
        case shape::u16:
        case shape::u32:
        case shape::pid:
        case shape::size:
        case shape::u64:
            if (type_ == data_type::pid)
                return read(std::uint32_t{}, [&](auto& v) { in.pid(v); });
            return read(std::uint64_t{}, [&](auto& v) { in.u64(v); });
        case shape::uint: return read(std::uint32_t{}, [&](auto& v) { in.uint(v); });
        case shape::s16:
        case shape::s32:
        case shape::s64:
        case shape::integer: return read(std::int64_t{}, [&](auto& v) { in.s64(v); });
        default: return std::nullopt;
        }
    }

    /// A flag: true, and also the presence of an attribute without content.
    bool to_flag() const { return type_ == data_type::undef || to_integer().value_or(0) != 0; }

    /// The processes of a PROC, or of a DATA_ARRAY of them; else none.
    std::vector<proc> to_processes() const
    {
        cursor content(packed());
        input<form> in(content, false);
        std::uint64_t n = 1;
        if (type_ == data_type::data_array) {
            data_type element{};
            in.code(element), in.size(n);
            if (element != data_type::proc)
                return {};
        } else if (type_ != data_type::proc) {
            return {};
        }
        std::vector<proc> processes(content.count(n, 1));
        for (auto& each : processes)
            in.nspace(each.nspace), in.u32(each.rank);
        return content.ok() ? processes : std::vector<proc>{};
    }

    /// The content of a BYTE_OBJECT, of what is compressed or of a DATA_BUFFER; lasts as long as the value is not changed.
    std::optional<std::span<const std::byte>> to_bytes() const
    {
        if (shape_of(type_) != shape::object)
            return std::nullopt;
        cursor content(packed());
        const auto bytes = input<form>(content, false).object();
        return content.ok() ? std::optional(bytes) : std::nullopt;
    }

    /// The packed value, in flex integers. Lasts as long as the value is not changed.
    std::span<const std::byte> packed() const noexcept
    {
        return std::as_bytes(std::span(packed_.data(), packed_.size()));
    }
    /// The highest type code inside, nested ones included.
    data_type newest() const noexcept { return newest_; }

    friend bool operator==(const value&, const value&) = default;

    /// Reads a type code and a value of that type. `as_integer`: see transcoder::typed.
    template <integer_form From>
    static value decode(input<From>& in, data_type newest, bool as_integer, byte_buffer& scratch)
    {
        value result;
        scratch.clear();
        writer target(scratch);
        output<form> out(target, false);
        transcoder<From, form> copy(in, out, newest);
        copy.typed(as_integer);
        if (!in.raw().ok())
            return result;
        cursor packed(scratch);
        input<form>(packed, false).code(result.type_);
        result.newest_ = copy.newest_seen();
        result.packed_ = packed.text(packed.left());
        return result;
    }

    /// Writes what decode() reads. A value newer than `newest` is fault::unencodable.
    template <integer_form To>
    void encode(output<To>& out, data_type newest, bool as_integer) const
    {
        if (newest_ > newest || !known(type_, newest))
            return out.raw().fail(fault::unencodable);
        if constexpr (std::is_same_v<To, form>) {
            out.code(type_);
            out.raw().append(packed());
        } else {
            if (To::integer_type_codes && as_integer)
                out.integer(static_cast<std::int32_t>(type_));
            else
                out.code(type_);
            if (To::describes_nested && out.described() && type_ != data_type::undef)
                out.code(type_);
            cursor from(packed());
            input<form> in(from, false);
            transcoder<form, To>(in, out, newest).one(type_);
            if (!from.ok())
                out.raw().fail(fault::unencodable);
        }
    }

private:
    template <class Pack>
    static value packed(data_type type, Pack pack)
    {
        byte_buffer buffer;
        writer target(buffer);
        output<form> out(target, false);
        pack(out);
        value result;
        result.type_ = type;
        result.newest_ = target.ok() ? type : never;
        result.packed_ = cursor(buffer).text(buffer.size());
        return result;
    }

    template <data_type Type, class Out, class T>
    static void put(Out& out, T content)
    {
        constexpr auto s = shape_of(Type);
        if constexpr (s == shape::boolean)
            out.boolean(content);
        else if constexpr (s == shape::u8 || s == shape::s8)
            out.u8(content);
        else if constexpr (s == shape::u16)
            out.u16(content);
        else if constexpr (s == shape::u32)
            out.u32(content);
        else if constexpr (s == shape::u64)
            out.u64(content);
        else if constexpr (s == shape::s16)
            out.s16(content);
        else if constexpr (s == shape::s32)
            out.s32(content);
        else if constexpr (s == shape::s64)
            out.s64(content);
        else if constexpr (s == shape::size)
            out.size(content);
        else if constexpr (s == shape::integer)
            out.integer(content);
        else if constexpr (s == shape::uint)
            out.uint(content);
        else if constexpr (s == shape::pid)
            out.pid(content);
        else
            out.string(content);
    }

    template <data_type Type, class In, class T>
    static void get_primitive(In& in, T& content)
    {
        put<Type, In, T&>(in, content);
    }

    /// Newer than all: the content is one that no peer would accept.
    static constexpr auto never = static_cast<data_type>(0xffff);

    data_type type_ = data_type::undef;
    data_type newest_ = data_type::undef;
    std::string packed_;
};

// The structures below are described once, by fields(), for reading and for writing alike.

/// KVAL: what Put stores and job data consists of.
struct kval {
    std::string key;
    wire::value content;

    friend bool operator==(const kval&, const kval&) = default;
    static void fields(auto& self, auto& io) { io.key(self.key), io.typed(self.content, false); }
};

/// INFO: an attribute of a request. Of the flags only bits 0 (required) and 3 (qualifier) carry meaning.
struct info {
    std::string key;
    std::uint32_t flags = 0;
    wire::value content;

    friend bool operator==(const info&, const info&) = default;
    static void fields(auto& self, auto& io)
    {
        io.key(self.key), io.u32(self.flags), io.typed(self.content, true);
    }
};

/// PDATA: a published value and its publisher.
struct pdata {
    proc publisher;
    std::string key;
    wire::value content;

    friend bool operator==(const pdata&, const pdata&) = default;
    static void fields(auto& self, auto& io)
    {
        io.process(self.publisher), io.key(self.key), io.typed(self.content, true);
    }
};

/// PROC_INFO: a line of a table of processes. `pid`: 0 if unknown.
struct proc_info {
    proc who;
    std::string hostname, executable;
    std::uint32_t pid = 0;
    process_state state = process_state::undefined;

    friend bool operator==(const proc_info&, const proc_info&) = default;
};

struct query {
    std::vector<std::string> keys;
    std::vector<info> qualifiers;

    friend bool operator==(const query&, const query&) = default;
    static void fields(auto& self, auto& io)
    {
        io.strings_int32(self.keys);
        io.structures(self.qualifiers);
    }
};

/// APP: one application of a spawn request.
struct app {
    text command;
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    text directory;
    std::int32_t max_processes = 0;
    std::vector<info> infos;

    friend bool operator==(const app&, const app&) = default;
    static void fields(auto& self, auto& io)
    {
        io.string(self.command);
        io.strings_int(self.arguments);
        io.strings_int32(self.environment);
        io.string(self.directory);
        io.integer(self.max_processes);
        io.structures(self.infos);
    }
};

inline value value::proc_infos(std::span<const proc_info> content)
{
    return packed(data_type::data_array, [&](output<form>& out) {
        out.code(data_type::proc_info), out.size(content.size());
        for (const auto& each : content) {
            out.string(each.who.nspace), out.u32(each.who.rank);
            out.string(each.hostname), out.string(each.executable);
            out.pid(each.pid), out.u8(static_cast<std::uint8_t>(each.state));
        }
    });
}

inline value value::infos(std::span<const info> content)
{
    auto newest = data_type::data_array;
    auto result = packed(data_type::data_array, [&](output<form>& out) {
        out.code(data_type::info);
        out.size(content.size());
        for (const auto& each : content) {
            out.key(each.key), out.u32(each.flags);
            each.content.encode(out, data_type::storage_access_type, true);
            newest = std::max(newest, each.content.newest());
        }
    });
    byte_buffer again;
    writer target(again);
    output<form> out(target, false);
    cursor from(result.packed());
    input<form> in(from, false);
    transcoder<form, form>(in, out, newest).one(data_type::data_array); // too deep?
    result.newest_ = result.newest_ == never || !from.ok() ? never : newest;
    return result;
}

} // namespace pmixio::wire
