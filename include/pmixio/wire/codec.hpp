// The primitive values of the protocol over a form: `input` reads them from a cursor, `output` writes them.
// messages.md sections 4 and 5.
#pragma once

#include <pmixio/wire/forms.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace pmixio::wire {

/// A STRING: no value is the C NULL pointer, which travels as length 0; the empty string has length 1.
using text = std::optional<std::string>;

/// An integer or an enumeration of that size.
template <class T, class U>
concept represents = std::same_as<T, U> || (std::is_enum_v<T> && sizeof(T) == sizeof(U));

namespace detail {

/// The concrete type codes that native forms put in front of machine dependent integers.
inline constexpr data_type size_tag = data_type::uint64, integer_tag = data_type::int32,
                           pid_tag = data_type::uint32;

} // namespace detail

/// Reads primitive values. Faults stick in the cursor, see there.
template <integer_form Form>
class input {
public:
    using form = Form;

    /// `described`: the buffer is of the fully described kind (which matters here for v20 only).
    input(cursor& in, bool described) noexcept : in_(in), described_(described) {}

    cursor& raw() noexcept { return in_; }
    bool described() const noexcept { return described_; }

    template <class T>
    void u8(T& to)
    {
        to = static_cast<T>(in_.u8());
    }
    template <class T>
    void u16(T& to)
    {
        fixed<std::uint16_t>(to);
    }
    template <class T>
    void u32(T& to)
    {
        fixed<std::uint32_t>(to);
    }
    template <class T>
    void u64(T& to)
    {
        fixed<std::uint64_t>(to);
    }
    template <class T>
    void s16(T& to)
    {
        fixed<std::int16_t>(to);
    }
    template <class T>
    void s32(T& to)
    {
        fixed<std::int32_t>(to);
    }
    template <class T>
    void s64(T& to)
    {
        fixed<std::int64_t>(to);
    }

    void boolean(bool& to)
    {
        const auto byte = in_.u8();
        if (byte > 1)
            in_.fail(fault::bad_boolean);
        to = byte == 1;
    }

    void size(std::uint64_t& to) { size_type(), u64(to); }
    void integer(std::int32_t& to) { integer_type(), s32(to); }
    void pid(std::uint32_t& to) { pid_type(), u32(to); }
    /// UINT travels as a signed 32 bit integer.
    void uint(std::uint32_t& to)
    {
        std::int32_t value = 0;
        integer(value);
        to = static_cast<std::uint32_t>(value);
    }

    /// The concrete types alone: an array has them once, in front of all its elements.
    void size_type() { tag<Form::tagged_sizes>(detail::size_tag); }
    void integer_type() { tag<Form::tagged_sizes>(detail::integer_tag); }
    void pid_type() { tag<true>(detail::pid_tag); }

    void code(data_type& to) { u16(to); }

    /// The view lasts as long as the bytes below; no value is NULL.
    std::optional<std::string_view> string()
    {
        std::int32_t length = 0;
        s32(length);
        if (length < 0)
            in_.fail(fault::bad_count);
        if (length <= 0)
            return std::nullopt;
        const auto raw = in_.text(static_cast<std::uint64_t>(length));
        if (raw.empty())
            return std::nullopt;
        if (raw.find('\0') != raw.size() - 1) {
            in_.fail(fault::bad_string);
            return std::nullopt;
        }
        return raw.substr(0, raw.size() - 1);
    }

    void string(text& to)
    {
        const auto view = string();
        view ? void(to.emplace(*view)) : to.reset();
    }

    /// NULL reads as the empty string.
    void string(std::string& to) { to = string().value_or(std::string_view{}); }

    void key(std::string& to) { bounded(to, max_key_length); }
    void nspace(std::string& to) { bounded(to, max_nspace_length); }

    /// A SIZE and that many bytes.
    std::span<const std::byte> object()
    {
        std::uint64_t length = 0;
        size(length);
        return in_.bytes(length);
    }

private:
    template <class U, class T>
    void fixed(T& to)
    {
        static_assert(represents<T, U> || represents<T, std::make_signed_t<U>> ||
                      represents<T, std::make_unsigned_t<U>>);
        to = static_cast<T>(Form::template get<U>(in_));
    }

    void bounded(std::string& to, std::size_t limit)
    {
        const auto view = string().value_or(std::string_view{});
        if (view.size() > limit)
            in_.fail(fault::name_too_long);
        else
            to = view;
    }

    template <bool Present>
    void tag([[maybe_unused]] data_type expected)
    {
        if constexpr (Present) {
            expect(expected);
            if (Form::describes_nested && described_)
                expect(expected);
        }
    }

    void expect(data_type expected)
    {
        if (static_cast<data_type>(Form::template get<std::uint16_t>(in_)) != expected)
            in_.fail(fault::bad_integer);
    }

    cursor& in_;
    bool described_;
};

/// Writes what `input` reads.
template <integer_form Form>
class output {
public:
    using form = Form;

    output(writer& out, bool described) noexcept : out_(out), described_(described) {}

    writer& raw() noexcept { return out_; }
    bool described() const noexcept { return described_; }

    template <class T>
    void u8(T value)
    {
        out_.u8(static_cast<std::uint8_t>(value));
    }
    template <class T>
    void u16(T value)
    {
        Form::put(out_, static_cast<std::uint16_t>(value));
    }
    template <class T>
    void u32(T value)
    {
        Form::put(out_, static_cast<std::uint32_t>(value));
    }
    template <class T>
    void u64(T value)
    {
        Form::put(out_, static_cast<std::uint64_t>(value));
    }
    template <class T>
    void s16(T value)
    {
        Form::put(out_, static_cast<std::int16_t>(value));
    }
    template <class T>
    void s32(T value)
    {
        Form::put(out_, static_cast<std::int32_t>(value));
    }
    template <class T>
    void s64(T value)
    {
        Form::put(out_, static_cast<std::int64_t>(value));
    }

    void boolean(bool value) { out_.u8(value ? 1 : 0); }
    void size(std::uint64_t value) { size_type(), u64(value); }
    void integer(std::int32_t value) { integer_type(), s32(value); }
    void pid(std::uint32_t value) { pid_type(), u32(value); }
    void uint(std::uint32_t value) { integer(static_cast<std::int32_t>(value)); }
    void size_type() { tag<Form::tagged_sizes>(detail::size_tag); }
    void integer_type() { tag<Form::tagged_sizes>(detail::integer_tag); }
    void pid_type() { tag<true>(detail::pid_tag); }
    void code(data_type value) { u16(value); }

    void string(std::nullopt_t) { s32(0); }
    void string(std::string_view value)
    {
        if (value.size() >= INT32_MAX || value.find('\0') != value.npos)
            return out_.fail(fault::unencodable); // no reader would accept it
        s32(static_cast<std::int32_t>(value.size() + 1));
        out_.terminated(value);
    }
    void string(const text& value) { value ? string(std::string_view(*value)) : string(std::nullopt); }
    void string(const std::string& value) { string(std::string_view(value)); }
    void key(std::string_view value) { bounded(value, max_key_length); }
    void nspace(std::string_view value) { bounded(value, max_nspace_length); }

    void object(std::span<const std::byte> value)
    {
        size(value.size());
        out_.append(value);
    }

private:
    void bounded(std::string_view value, std::size_t limit)
    {
        if (value.size() > limit)
            return out_.fail(fault::name_too_long);
        string(value);
    }

    template <bool Present>
    void tag([[maybe_unused]] data_type concrete)
    {
        if constexpr (Present) {
            code(concrete);
            if (Form::describes_nested && described_)
                code(concrete);
        }
    }

    writer& out_;
    bool described_;
};

} // namespace pmixio::wire
