// The three ways in which bfrops modules write integers and describe nested values. messages.md sections 4 and 6.
//
// |                              | v20_form          | native_form       | flex_form                    |
// |------------------------------|-------------------|-------------------|------------------------------|
// | 16, 32, 64 bit               | big-endian        | big-endian        | 7 bits per byte, low first   |
// | signed                       | two's complement  | two's complement  | zig-zag                      |
// | SIZE, INT, UINT              | concrete type in front | concrete type in front | bare                |
// | PID                          | concrete type in front | concrete type in front | concrete type in front |
// | COMMAND                      | 4 bytes           | 1 byte            | 1 byte                       |
// | type code in INFO and PDATA  | as an INT         | 2 bytes           | flex                         |
// | nested values in a fully described buffer | described | bare         | bare                         |
// | BUFFER                       | bytes only        | kind and bytes    | kind and bytes               |
#pragma once

#include <pmixio/wire/cursor.hpp>
#include <pmixio/wire/types.hpp>
#include <pmixio/wire/writer.hpp>

#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace pmixio::wire {

/// Requirements on a form: `get<T>` and `put<T>` for the 16, 32 and 64 bit integers, with `get` failing the cursor
/// on a value that T cannot hold, and the constants of the table above. `smallest<T>` is the least number of bytes
/// that `put<T>` writes.
template <class Form>
concept integer_form = requires(cursor& in, writer& out) {
    { Form::template get<std::uint16_t>(in) } -> std::same_as<std::uint16_t>;
    { Form::template get<std::int32_t>(in) } -> std::same_as<std::int32_t>;
    { Form::template get<std::uint64_t>(in) } -> std::same_as<std::uint64_t>;
    Form::template put<std::uint16_t>(out, std::uint16_t{});
    Form::template put<std::int32_t>(out, std::int32_t{});
    Form::template put<std::uint64_t>(out, std::uint64_t{});
    { Form::template smallest<std::uint32_t> } -> std::convertible_to<std::size_t>;
    { Form::tagged_sizes } -> std::convertible_to<bool>;
    { Form::wide_commands } -> std::convertible_to<bool>;
    { Form::integer_type_codes } -> std::convertible_to<bool>;
    { Form::describes_nested } -> std::convertible_to<bool>;
};

struct native_form {
    static constexpr bool tagged_sizes = true;
    static constexpr bool wide_commands = false;
    static constexpr bool integer_type_codes = false;
    static constexpr bool describes_nested = false;
    static constexpr bool buffers_say_kind = true;
    template <std::integral T>
    static constexpr std::size_t smallest = sizeof(T);

    template <std::integral T>
    static T get(cursor& in) noexcept
    {
        return static_cast<T>(in.big_endian<std::make_unsigned_t<T>>());
    }

    template <std::integral T>
    static void put(writer& out, T value)
    {
        out.big_endian(static_cast<std::make_unsigned_t<T>>(value));
    }
};

struct v20_form : native_form {
    static constexpr bool wide_commands = true;
    static constexpr bool integer_type_codes = true;
    static constexpr bool describes_nested = true;
    static constexpr bool buffers_say_kind = false;
};

/// Up to eight bytes of seven bits, the top bit saying that another follows; a ninth byte holds eight bits whole.
struct flex_form {
    static constexpr bool tagged_sizes = false;
    static constexpr bool wide_commands = false;
    static constexpr bool integer_type_codes = false;
    static constexpr bool describes_nested = false;
    static constexpr bool buffers_say_kind = true;
    template <std::integral T>
    static constexpr std::size_t smallest = 1;

    template <std::integral T>
    static T get(cursor& in) noexcept
    {
        std::uint64_t raw = 0;
        unsigned shift = 0;
        for (; shift < 56; shift += 7) {
            const auto byte = in.u8();
            raw |= std::uint64_t{byte & 0x7fu} << shift;
            if (!(byte & 0x80u))
                return narrow<T>(in, raw);
        }
        raw |= std::uint64_t{in.u8()} << shift;
        return narrow<T>(in, raw);
    }

    template <std::integral T>
    static void put(writer& out, T value)
    {
        auto raw = to_raw(value);
        std::byte text[9];
        std::size_t n = 0;
        while (n < 8 && raw > 0x7f) {
            text[n++] = static_cast<std::byte>(raw | 0x80);
            raw >>= 7;
        }
        text[n++] = static_cast<std::byte>(raw);
        out.append({text, n});
    }

private:
    template <std::integral T>
    static std::uint64_t to_raw(T value) noexcept
    {
        if constexpr (std::is_signed_v<T>) {
            const auto wide = static_cast<std::int64_t>(value);
            return (static_cast<std::uint64_t>(wide) << 1) ^ static_cast<std::uint64_t>(wide >> 63);
        } else {
            return value;
        }
    }

    template <std::integral T>
    static T narrow(cursor& in, std::uint64_t raw) noexcept
    {
        if constexpr (std::is_signed_v<T>) {
            const auto wide = static_cast<std::int64_t>((raw >> 1) ^ (~(raw & 1) + 1));
            if (wide < std::numeric_limits<T>::min() || wide > std::numeric_limits<T>::max())
                return in.fail(fault::bad_integer), T{};
            return static_cast<T>(wide);
        } else {
            if (raw > std::numeric_limits<T>::max())
                return in.fail(fault::bad_integer), T{};
            return static_cast<T>(raw);
        }
    }
};

static_assert(integer_form<native_form> && integer_form<flex_form> && integer_form<v20_form>);

} // namespace pmixio::wire
