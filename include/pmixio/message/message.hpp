// What every message has in common, and how one becomes bytes and back.
//
// A message is a struct of plain data with a template `items(self, io)` that names its items in order. It is written once
// for reading and writing, for every encoding and both buffer kinds. messages.md section 7 has the table of commands.
#pragma once

#include <pmixio/wire/buffer.hpp>

#include <optional>
#include <span>

namespace pmixio::message {

using wire::as;
using wire::data_type;

/// A message: default constructible data that describes its items.
template <class M>
concept described_message =
    std::default_initializable<M> && requires(M& m, wire::decoder<wire::v41>& in) { M::items(m, in); };

/// A request: a message that starts with a COMMAND and has a reply type.
template <class M>
concept request_message = described_message<M> && requires {
    { M::id } -> std::convertible_to<wire::command>;
} && described_message<typename M::reply>;

/// The reply of most commands, and the error reply of all: a lone STATUS.
struct status_reply {
    wire::status result = wire::status::success;

    friend bool operator==(const status_reply&, const status_reply&) = default;
    static void items(auto& self, auto& io) { io.item(as<data_type::status>, self.result); }
};

/// Reads the COMMAND of a request; `in` is then at the items that follow.
template <wire::buffer_ops_policy Encoding>
result<wire::command> read_command(wire::cursor& in, const wire::agreement& with)
{
    wire::command id{};
    wire::decoder<Encoding>(in, with).item(as<data_type::command>, id);
    if (!in.ok())
        return in.error();
    return id;
}

/// Reads a message from the rest of a payload, which must end with it.
template <described_message M, wire::buffer_ops_policy Encoding>
result<M> read(wire::cursor& in, const wire::agreement& with)
{
    wire::decoder<Encoding> items(in, with);
    M message;
    M::items(message, items);
    if (const auto done = items.finish(); !done)
        return done.error();
    return message;
}

/// Writes a message, with its COMMAND in front if it is a request.
template <wire::buffer_ops_policy Encoding, described_message M>
result<void> write(wire::writer& out, const M& message, const wire::agreement& with)
{
    wire::encoder<Encoding> items(out, with);
    if constexpr (requires { M::id; })
        items.item(as<data_type::command>, M::id);
    M::items(message, items);
    if (out.ok())
        return {};
    return out.error();
}

} // namespace pmixio::message
