// Any bytes as any message in any encoding: what can be read can be written, in the same and in other encodings, and is then
// read the same.
//
// The first byte selects the encoding and kind of buffers (bits 0 to 3), and the others that are written besides (bits 4 to
// 7), the second the message, and the third the peer's release: see spoken.hpp. The payload follows, without the command.
#include "spoken.hpp"

#include <pmixio/message/collective.hpp>
#include <pmixio/message/control.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/message/forwarding.hpp>
#include <pmixio/message/process.hpp>
#include <pmixio/message/spawn.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <tuple>
#include <utility>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace pmixio;

using fuzz::spoken;

/// A request and its reply.
template <class Request>
using both = std::tuple<Request, typename Request::reply>;

using all_messages = decltype(std::tuple_cat(
    std::declval<both<message::req>>(), std::declval<both<message::abort>>(),
    std::declval<both<message::commit>>(), std::declval<both<message::fence>>(),
    std::declval<both<message::get>>(), std::declval<both<message::finalize>>(),
    std::declval<both<message::publish>>(), std::declval<both<message::lookup>>(),
    std::declval<both<message::unpublish>>(), std::declval<both<message::connect>>(),
    std::declval<both<message::disconnect>>(), std::declval<both<message::notify>>(),
    std::declval<both<message::register_events>>(), std::declval<std::tuple<message::deregister_events>>(),
    std::declval<std::tuple<message::event>>(), std::declval<both<message::query>>(),
    std::declval<both<message::log>>(), std::declval<both<message::job_control>>(),
    std::declval<both<message::group_construct>>(), std::declval<both<message::group_destruct>>(),
    std::declval<std::tuple<message::group_leave>>(), std::declval<both<message::spawn>>(),
    std::declval<both<message::allocate>>(), std::declval<both<message::monitor>>(),
    std::declval<both<message::get_credential>>(), std::declval<both<message::validate_credential>>(),
    std::declval<both<message::resolve_peers>>(), std::declval<both<message::resolve_node>>(),
    std::declval<both<message::iof_pull>>(), std::declval<both<message::iof_push>>(),
    std::declval<both<message::iof_deregister>>(), std::declval<std::tuple<message::output>>(),
    std::declval<both<message::fabric_register>>(), std::declval<both<message::fabric_update>>()));

template <class M>
result<M> read(wire::cursor in, const spoken& as)
{
    return as.visit([&](auto e) { return message::read<M, typename decltype(e)::type>(in, as.with); });
}

/// All of a payload, with the command that requests start with.
template <class M>
result<M> read(std::span<const std::byte> payload, const spoken& as)
{
    wire::cursor in(payload);
    if constexpr (requires { M::id; }) {
        const auto id =
            as.visit([&](auto e) { return message::read_command<typename decltype(e)::type>(in, as.with); });
        if (!id || *id != M::id)
            std::abort();
    }
    return read<M>(in, as);
}

template <class M>
result<wire::byte_buffer> write(const M& content, const spoken& as)
{
    wire::byte_buffer payload;
    wire::writer out(payload);
    const auto done =
        as.visit([&](auto e) { return message::write<typename decltype(e)::type>(out, content, as.with); });
    return done ? result<wire::byte_buffer>(std::move(payload)) : done.error();
}

template <class M>
void check(std::span<const std::byte> payload, const spoken& here, const spoken& there)
{
    const auto content = read<M>(wire::cursor(payload), here);
    if (!content)
        return;
    const auto again = write(*content, here);
    if (!again || !(read<M>(*again, here).value() == *content))
        std::abort();

    const auto elsewhere = write(*content, there);
    if (!elsewhere) {
        if (elsewhere.error() != fault::unencodable || there.has_types_of(here))
            std::abort();
        return;
    }
    const auto arrived = read<M>(*elsewhere, there).value();
    if (there.says_kinds() ? !(arrived == *content) : write(arrived, there).value() != *elsewhere)
        std::abort();
}

template <std::size_t... I>
void check_message(std::size_t which, std::span<const std::byte> payload, const spoken& here,
                   const spoken& there, std::index_sequence<I...>)
{
    ((which == I ? check<std::tuple_element_t<I, all_messages>>(payload, here, there) : void()), ...);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    constexpr std::size_t messages = std::tuple_size_v<all_messages>;
    if (size < 3)
        return 0;
    const auto payload = std::as_bytes(std::span(data, size)).subspan(3);
    const auto here = spoken::in(data[0], data[2]), there = spoken::in(data[0] >> 4, data[2]);
    check_message(data[1] % messages, payload, here, there, std::make_index_sequence<messages>());

    wire::cursor in(payload); // as what a dispatcher sees first
    here.visit(
        [&](auto e) { static_cast<void>(message::read_command<typename decltype(e)::type>(in, here.with)); });
    return 0;
}
