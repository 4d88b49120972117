// An encoding and what else a connection agreed on, as an input of a target selects them.
#pragma once

#include <pmixio/policies.hpp>
#include <pmixio/wire/buffer.hpp>

#include <cstddef>
#include <utility>

namespace pmixio::fuzz {

using all_encodings = encodings<wire::v61, wire::v41, wire::v3, wire::v21, wire::v20, wire::v51, wire::v4>;

struct spoken {
    std::size_t encoding;
    wire::agreement with;

    /// Bits 0 to 2 are the encoding, bit 3 the kind of buffers. The release is a byte too: the major number in bits 0 to 3,
    /// the minor one above.
    static spoken in(unsigned bits, unsigned release = 0)
    {
        return {(bits & 7) % all_encodings::size,
                {bits & 8 ? wire::buffer_kind::fully_described : wire::buffer_kind::non_described,
                 {release & 15, release >> 4, 9}}};
    }

    /// Calls f(std::type_identity<E>{}) with the encoding.
    template <class F>
    decltype(auto) visit(F&& f) const
    {
        return all_encodings::visit(encoding, std::forward<F>(f));
    }

    /// Whether every type of value that the other has is here too. INFO_ARRAY ended with v3.
    bool has_types_of(const spoken& other) const
    {
        const auto newest = [](auto e) { return decltype(e)::type::newest; };
        const auto ours = visit(newest), theirs = other.visit(newest);
        return theirs <= ours &&
               (known(wire::data_type::info_array, ours) || !known(wire::data_type::info_array, theirs));
    }

    /// Whether values of type BUFFER keep their kind.
    bool says_kinds() const
    {
        return visit([](auto e) { return decltype(e)::type::form::buffers_say_kind; });
    }
};

} // namespace pmixio::fuzz
