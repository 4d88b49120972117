// The encodings, named as on the wire. An encoding is a name, a form, and the newest type code it has.
// messages.md section 6. v20 is in no default list: newer peers would fall back to it.
#pragma once

#include <pmixio/wire/forms.hpp>

#include <concepts>
#include <string_view>

namespace pmixio::wire {

/// What a type must say to be used as an encoding:
///   name    the bfrops module's name as peers send it;
///   form    how integers are written (an integer_form);
///   newest  the highest type code the module knows; values of a later type cannot be sent to its peers.
/// Encodings are never instantiated.
template <class E>
concept buffer_ops_policy = requires {
    { E::name } -> std::convertible_to<std::string_view>;
    typename E::form;
    { E::newest } -> std::convertible_to<data_type>;
} && integer_form<typename E::form>;

/// Releases 2.0.x. COMMAND is four bytes.
struct v20 {
    using form = v20_form;
    static constexpr std::string_view name = "v20";
    static constexpr data_type newest = data_type::info_array;
};

/// The reference for native integers; every release from 2.1 on can be told to use it.
struct v21 {
    using form = native_form;
    static constexpr std::string_view name = "v21";
    static constexpr data_type newest = data_type::info_array;
};

struct v3 : v21 {
    static constexpr std::string_view name = "v3";
    static constexpr data_type newest = data_type::envar;
};

/// The reference for flex integers.
struct v4 {
    using form = flex_form;
    static constexpr std::string_view name = "v4";
    static constexpr data_type newest = data_type::compressed_byte_object;
};

struct v41 : v4 {
    static constexpr std::string_view name = "v41";
    static constexpr data_type newest = data_type::storage_access_type;
};

struct v51 : v41 {
    static constexpr std::string_view name = "v51";
};

struct v61 : v51 {
    static constexpr std::string_view name = "v61";
};

/// All encodings of one form, for code that is compiled once for them; which it is, agreement::newest says.
template <integer_form Form>
struct family {
    using form = Form;
    static constexpr std::string_view name = "";
    static constexpr data_type newest = v61::newest;
};

static_assert(buffer_ops_policy<v20> && buffer_ops_policy<v21> && buffer_ops_policy<v3> &&
              buffer_ops_policy<v4> && buffer_ops_policy<v41> && buffer_ops_policy<v51> &&
              buffer_ops_policy<v61>);

} // namespace pmixio::wire
