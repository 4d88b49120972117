// A payload is a sequence of items: decoder and encoder. messages.md section 3.
//
//     non-described:    count:INT32   value * count
//     fully described:  INT32-code count:INT32   type-code   value * count
//
// A message describes its items once, in a template that runs with either as `io`.
#pragma once

#include <pmixio/result.hpp>
#include <pmixio/wire/encodings.hpp>
#include <pmixio/wire/release.hpp>
#include <pmixio/wire/value.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace pmixio::wire {

/// Names an item's type in a description: `io.item(as<data_type::status>, self.result)`.
template <data_type Type>
inline constexpr std::integral_constant<data_type, Type> as{};

/// What a connection agreed on in its handshake, besides the encoding's form.
struct agreement {
    buffer_kind kind = buffer_kind::non_described;
    wire::release release;          ///< of the peer: some replies depend on it
    data_type newest = v61::newest; ///< no later type is read or written; nor one later than Encoding::newest

    friend bool operator==(const agreement&, const agreement&) = default;
};

/// Reads items. Faults stick in the cursor; test `finish()`.
template <buffer_ops_policy Encoding>
class decoder : public input<typename Encoding::form> {
public:
    using encoding = Encoding;

    decoder(cursor& in, const agreement& with) noexcept
        : input<form>(in, with.kind == buffer_kind::fully_described), with_(with)
    {}

    const wire::release& release() const noexcept { return with_.release; }
    buffer_kind kind() const noexcept { return with_.kind; }
    bool more() noexcept { return this->raw().ok() && !this->raw().at_end(); }

    /// Success when everything was read and nothing is left.
    result<void> finish() noexcept
    {
        this->raw().finish();
        if (this->raw().ok())
            return {};
        return this->raw().error();
    }

    /// One item of one value.
    template <data_type Type, class T>
    void item(std::integral_constant<data_type, Type>, T& to)
    {
        begin(described_type<Type>(), 1);
        one<Type>(to);
    }

    /// A SIZE and, unless it is 0, one item of that many values.
    template <data_type Type, class T>
    void list(std::integral_constant<data_type, Type>, std::vector<T>& to)
    {
        std::uint64_t announced = 0;
        item(as<data_type::size>, announced);
        to.clear();
        const auto n = this->raw().count(announced, 1);
        if (n == 0)
            return;
        begin(Type, n);
        for (std::size_t i = 0; i != n && this->raw().ok(); ++i)
            one<Type>(to.emplace_back());
    }

    /// A SIZE and that many items of one value each.
    template <data_type Type, class T>
    void items(std::integral_constant<data_type, Type> type, std::vector<T>& to)
    {
        std::uint64_t announced = 0;
        item(as<data_type::size>, announced);
        to.clear();
        const auto n = this->raw().count(announced, 1);
        for (std::size_t i = 0; i != n && this->raw().ok(); ++i)
            item(type, to.emplace_back());
    }

    /// An item that may be missing at the end.
    template <data_type Type, class T>
    void tail(std::integral_constant<data_type, Type> type, std::optional<T>& to)
    {
        to.reset();
        if (more())
            item(type, to.emplace());
    }

    /// An item that is there although its value is optional elsewhere.
    template <data_type Type, class T>
    void present(std::integral_constant<data_type, Type> type, std::optional<T>& to)
    {
        item(type, to.emplace());
    }

    /// A list that may be missing at the end.
    template <data_type Type, class T>
    void tail_list(std::integral_constant<data_type, Type> type, std::optional<std::vector<T>>& to)
    {
        to.reset();
        if (more())
            list(type, to.emplace());
    }

    /// Items of one value each, to the end.
    template <data_type Type, class T>
    void rest(std::integral_constant<data_type, Type> type, std::vector<T>& to)
    {
        to.clear();
        while (more())
            item(type, to.emplace_back());
    }

    /// Structures or nested payloads to the end: `each(element, io)` describes one.
    template <class T, class Each>
    void repeat(std::vector<T>& to, Each each)
    {
        to.clear();
        while (more())
            each(to.emplace_back(), *this);
    }

    /// An item of type BYTE_OBJECT whose bytes are items again.
    template <class Inside>
    void nested(Inside inside)
    {
        begin(data_type::byte_object, 1);
        within(this->object(), with_.kind, inside);
    }

    /// An item of type BUFFER, likewise; it says itself of which kind it is.
    template <class Inside>
    void nested_buffer(Inside inside)
    {
        begin(data_type::buffer, 1);
        auto kind = with_.kind;
        if (form::buffers_say_kind)
            this->u8(kind);
        if (kind != buffer_kind::non_described && kind != buffer_kind::fully_described)
            this->raw().fail(fault::bad_buffer_kind);
        within(this->object(), kind, inside);
    }

    /// Runs `inside` over a piece of bytes from the same peer, which must be read to its end.
    template <class Inside>
    void within(std::span<const std::byte> piece, buffer_kind kind, Inside inside)
    {
        if (!this->raw().ok())
            return;
        cursor bytes(piece);
        decoder in(bytes, {kind, with_.release, with_.newest});
        inside(in);
        if (const auto done = in.finish(); !done)
            this->raw().fail(bytes.error());
    }

    // the parts of structures

    void process(proc& to) { this->nspace(to.nspace), this->u32(to.rank); }
    void typed(value& to, bool as_integer)
    {
        to = value::decode(static_cast<input<form>&>(*this), std::min(Encoding::newest, with_.newest),
                           as_integer, scratch_);
    }
    void strings_int(std::vector<std::string>& to)
    {
        strings(to, [this](auto& n) { this->integer(n); });
    }
    void strings_int32(std::vector<std::string>& to)
    {
        strings(to, [this](auto& n) { this->s32(n); });
    }

    template <class T>
    void structures(std::vector<T>& to)
    {
        std::uint64_t announced = 0;
        this->size(announced);
        const auto n = this->raw().count(announced, 1);
        to.clear();
        for (std::size_t i = 0; i != n && this->raw().ok(); ++i)
            T::fields(to.emplace_back(), *this);
    }

private:
    using form = typename Encoding::form;

    template <data_type Type>
    static constexpr data_type described_type()
    {
        return Type == data_type::command && form::wide_commands ? data_type::uint32 : Type;
    }

    void begin(data_type type, std::size_t expected)
    {
        if (this->described())
            expect(data_type::int32);
        std::int32_t count = 0;
        this->s32(count);
        if (std::cmp_not_equal(count, expected))
            this->raw().fail(fault::bad_count);
        if (this->described())
            expect(type);
    }

    void expect(data_type type)
    {
        data_type said{};
        this->code(said);
        if (said != type)
            this->raw().fail(fault::bad_descriptor);
    }

    template <data_type Type, class T>
    void one(T& to)
    {
        constexpr auto s = shape_of(Type);
        if constexpr (Type == data_type::command && form::wide_commands) {
            std::uint32_t wide = 0;
            this->u32(wide);
            if (wide > 0xff)
                this->raw().fail(fault::bad_integer);
            to = static_cast<T>(wide);
        } else if constexpr (s == shape::boolean)
            this->boolean(to);
        else if constexpr (s == shape::u8 || s == shape::s8)
            this->u8(to);
        else if constexpr (s == shape::u16)
            this->u16(to);
        else if constexpr (s == shape::u32)
            this->u32(to);
        else if constexpr (s == shape::u64)
            this->u64(to);
        else if constexpr (s == shape::s32)
            this->s32(to);
        else if constexpr (s == shape::size)
            this->size(to);
        else if constexpr (s == shape::string)
            this->string(to);
        else if constexpr (s == shape::object) {
            const auto view = this->object();
            to.assign(view.begin(), view.end());
        } else if constexpr (Type == data_type::proc)
            process(to);
        else
            T::fields(to, *this);
    }

    template <class Count>
    void strings(std::vector<std::string>& to, Count count)
    {
        std::int32_t announced = 0;
        count(announced);
        const auto n = this->raw().count(static_cast<std::uint64_t>(std::int64_t{announced}), 1);
        to.clear();
        for (std::size_t i = 0; i != n && this->raw().ok(); ++i)
            this->string(to.emplace_back());
    }

    const agreement with_;
    byte_buffer scratch_;
};

/// Writes what decoder reads, with the same names. Faults stick in the writer.
template <buffer_ops_policy Encoding>
class encoder : public output<typename Encoding::form> {
public:
    using encoding = Encoding;

    encoder(writer& out, const agreement& with) noexcept
        : output<form>(out, with.kind == buffer_kind::fully_described), with_(with)
    {}

    const wire::release& release() const noexcept { return with_.release; }
    const agreement& with() const noexcept { return with_; }

    template <data_type Type, class T>
    void item(std::integral_constant<data_type, Type>, const T& from)
    {
        begin(described_type<Type>(), 1);
        one<Type>(from);
    }

    template <data_type Type, class T>
    void list(std::integral_constant<data_type, Type>, const std::vector<T>& from)
    {
        item(as<data_type::size>, from.size());
        if (from.empty())
            return;
        begin(Type, from.size());
        for (const auto& each : from)
            one<Type>(each);
    }

    template <data_type Type, class T>
    void items(std::integral_constant<data_type, Type> type, const std::vector<T>& from)
    {
        item(as<data_type::size>, from.size());
        rest(type, from);
    }

    template <data_type Type, class T>
    void tail(std::integral_constant<data_type, Type> type, const std::optional<T>& from)
    {
        if (from)
            item(type, *from);
    }

    template <data_type Type, class T>
    void present(std::integral_constant<data_type, Type> type, const std::optional<T>& from)
    {
        item(type, *from);
    }

    template <data_type Type, class T>
    void tail_list(std::integral_constant<data_type, Type> type, const std::optional<std::vector<T>>& from)
    {
        if (from)
            list(type, *from);
    }

    template <data_type Type, class T>
    void rest(std::integral_constant<data_type, Type> type, const std::vector<T>& from)
    {
        for (const auto& each : from)
            item(type, each);
    }

    template <class T, class Each>
    void repeat(const std::vector<T>& from, Each each)
    {
        for (const auto& element : from)
            each(element, *this);
    }

    template <class Inside>
    void nested(Inside inside)
    {
        begin(data_type::byte_object, 1);
        within(inside);
    }

    template <class Inside>
    void nested_buffer(Inside inside)
    {
        begin(data_type::buffer, 1);
        if (form::buffers_say_kind)
            this->u8(with_.kind);
        within(inside);
    }

    /// Writes a SIZE and the items that `inside` writes.
    template <class Inside>
    void within(Inside inside)
    {
        byte_buffer piece;
        writer target(piece);
        encoder out(target, with_);
        inside(out);
        if (!target.ok())
            return this->raw().fail(target.error());
        this->object(piece);
    }

    void process(const proc& from) { this->nspace(from.nspace), this->u32(from.rank); }
    void typed(const value& from, bool as_integer)
    {
        from.encode(static_cast<output<form>&>(*this), std::min(Encoding::newest, with_.newest), as_integer);
    }
    void strings_int(const std::vector<std::string>& from)
    {
        this->integer(narrow(from.size())), strings(from);
    }
    void strings_int32(const std::vector<std::string>& from)
    {
        this->s32(narrow(from.size())), strings(from);
    }

    template <class T>
    void structures(const std::vector<T>& from)
    {
        this->size(from.size());
        for (const auto& each : from)
            T::fields(each, *this);
    }

private:
    using form = typename Encoding::form;

    template <data_type Type>
    static constexpr data_type described_type()
    {
        return Type == data_type::command && form::wide_commands ? data_type::uint32 : Type;
    }

    std::int32_t narrow(std::size_t count)
    {
        if (!std::in_range<std::int32_t>(count))
            this->raw().fail(fault::unencodable);
        return static_cast<std::int32_t>(count);
    }

    void begin(data_type type, std::size_t count)
    {
        if (this->described())
            this->code(data_type::int32);
        this->s32(narrow(count));
        if (this->described())
            this->code(type);
    }

    template <data_type Type, class T>
    void one(const T& from)
    {
        constexpr auto s = shape_of(Type);
        if constexpr (Type == data_type::command && form::wide_commands)
            this->u32(from);
        else if constexpr (s == shape::boolean)
            this->boolean(from);
        else if constexpr (s == shape::u8 || s == shape::s8)
            this->u8(from);
        else if constexpr (s == shape::u16)
            this->u16(from);
        else if constexpr (s == shape::u32)
            this->u32(from);
        else if constexpr (s == shape::u64)
            this->u64(from);
        else if constexpr (s == shape::s32)
            this->s32(from);
        else if constexpr (s == shape::size)
            this->size(from);
        else if constexpr (s == shape::string)
            this->string(from);
        else if constexpr (s == shape::object)
            this->object(from);
        else if constexpr (Type == data_type::proc)
            process(from);
        else
            T::fields(from, *this);
    }

    void strings(const std::vector<std::string>& from)
    {
        for (const auto& each : from)
            this->string(each);
    }

    const agreement with_;
};

} // namespace pmixio::wire
