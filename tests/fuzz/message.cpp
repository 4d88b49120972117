// Any bytes as any message in any encoding: what can be read can be written, and is then read the same.
//
// The first byte selects the encoding (bits 0 to 2) and the buffer kind (bit 3), the second the message, and the third is
// the major number of the peer's release. The payload follows, without the command.
#include <pmixio/message/collective.hpp>
#include <pmixio/message/control.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/message/process.hpp>
#include <pmixio/policies.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace pmixio;

using all_encodings = encodings<wire::v61, wire::v41, wire::v3, wire::v21, wire::v20>;

/// A request and its reply.
template <class Request>
using both = std::tuple<Request, typename Request::reply>;

using all_messages = decltype(std::tuple_cat(
    std::declval<both<message::req>>(), std::declval<both<message::abort>>(), std::declval<both<message::commit>>(),
    std::declval<both<message::fence>>(), std::declval<both<message::get>>(), std::declval<both<message::finalize>>(),
    std::declval<both<message::publish>>(), std::declval<both<message::lookup>>(), std::declval<both<message::unpublish>>(),
    std::declval<both<message::connect>>(), std::declval<both<message::disconnect>>(), std::declval<both<message::notify>>(),
    std::declval<both<message::register_events>>(), std::declval<std::tuple<message::deregister_events>>(),
    std::declval<std::tuple<message::event>>(), std::declval<both<message::query>>(), std::declval<both<message::log>>(),
    std::declval<both<message::job_control>>(), std::declval<both<message::group_construct>>(),
    std::declval<both<message::group_destruct>>()));

template <class M, class E>
result<M> decode(std::span<const std::byte> payload, const wire::agreement& with)
{
    wire::cursor in(payload);
    return message::read<M, E>(in, with);
}

template <class M, class E>
void check(std::span<const std::byte> payload, const wire::agreement& with)
{
    const auto first = decode<M, E>(payload, with);
    if (!first)
        return;
    wire::byte_buffer again;
    wire::writer out(again);
    wire::encoder<E> items(out, with);
    M::items(*first, items);
    if (!out.ok())
        std::abort();
    const auto second = decode<M, E>(again, with);
    if (!second || !(*second == *first))
        std::abort();
}

template <class E, std::size_t... I>
void check_message(std::size_t which, std::span<const std::byte> payload, const wire::agreement& with, std::index_sequence<I...>)
{
    ((which == I ? check<std::tuple_element_t<I, all_messages>, E>(payload, with) : void()), ...);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    constexpr std::size_t messages = std::tuple_size_v<all_messages>;
    if (size < 3)
        return 0;
    const auto payload = std::as_bytes(std::span(data, size)).subspan(3);
    const wire::agreement with{data[0] & 8 ? wire::buffer_kind::fully_described : wire::buffer_kind::non_described,
                               {data[2], 1, 0}};
    all_encodings::visit((data[0] & 7) % all_encodings::size, [&](auto encoding) {
        check_message<typename decltype(encoding)::type>(data[1] % messages, payload, with, std::make_index_sequence<messages>());
    });
    return 0;
}
