// responder: the one answer that a request is owed.
#pragma once

#include <pmixio/detail/local_ptr.hpp>
#include <pmixio/message/message.hpp>
#include <pmixio/wire/frame.hpp>

#include <cstdint>
#include <new>
#include <system_error>
#include <utility>

namespace pmixio {

/// Where frames for a peer go. Sessions are outlets; sending after their end does nothing. Neither function may call back:
/// whoever holds requests answers them while walking its tables.
class outlet : public detail::local_counted {
public:
    virtual ~outlet() = default;
    virtual void send(wire::byte_buffer frame) = 0;
    /// The peer cannot be served any more.
    virtual void fail(std::error_code why) noexcept = 0;
};

namespace detail {

/// Sends what `make()` gives, a result<byte_buffer>; false: it gave none. A peer that there is no memory for is failed.
template <class Make>
bool deliver(outlet& to, Make make) noexcept
{
    try {
        auto frame = make();
        if (frame)
            to.send(*std::move(frame));
        return frame.has_value();
    } catch (const std::bad_alloc&) {
        to.fail(std::make_error_code(std::errc::not_enough_memory));
        return true;
    }
}

} // namespace detail

/// A message as a frame. Fault: message_too_large beyond what a header can say; unencodable.
template <wire::buffer_ops_policy Encoding, message::described_message M>
result<wire::byte_buffer> make_frame(std::uint32_t tag, const M& m, const wire::agreement& with)
{
    wire::byte_buffer frame;
    frame.reserve(96); // most replies, at once
    wire::writer out(frame, UINT32_MAX);
    wire::frame_header{0, tag, 0}.append_to(out);
    if (const auto written = message::write<Encoding>(out, m, with); !written)
        return written.error();
    out.patch(8, static_cast<std::uint32_t>(frame.size() - wire::frame_header_size));
    return frame;
}

/// Sends messages that nobody asked for to one peer, in its encoding.
template <message::described_message M>
class notifier {
public:
    template <wire::buffer_ops_policy Encoding>
    static notifier to(detail::local_ptr<outlet> peer, const wire::agreement& with)
    {
        notifier n;
        n.to_ = std::move(peer);
        n.with_ = with;
        n.make_ = make_frame<Encoding, M>;
        return n;
    }

    /// A message that the peer's encoding cannot express is not sent.
    void operator()(std::uint32_t tag, const M& m) const noexcept
    {
        detail::deliver(*to_, [&] { return make_(tag, m, with_); });
    }

private:
    detail::local_ptr<outlet> to_;
    wire::agreement with_;
    result<wire::byte_buffer> (*make_)(std::uint32_t, const M&, const wire::agreement&) = nullptr;
};

/// A reply that is owed to many, as the frame that the last of them got.
class kept_reply {
    template <message::described_message Reply>
    friend class responder;

    void (*made_by_)() = nullptr;
    wire::agreement with_;
    wire::byte_buffer frame_;
};

/// Answers one request, once, in the encoding of whoever asked. Movable, can be kept while the request waits.
/// Destroyed without an answer, it answers with status ERROR: no client waits for ever.
template <message::described_message Reply>
class responder {
public:
    responder() noexcept = default;
    responder(responder&& other) noexcept = default;
    responder& operator=(responder&& other) noexcept
    {
        refuse(wire::status::error);
        to_ = std::move(other.to_);
        tag_ = other.tag_;
        with_ = other.with_;
        reply_ = other.reply_;
        refuse_ = other.refuse_;
        return *this;
    }
    ~responder() { refuse(wire::status::error); }

    /// To the request with this tag, from a peer that speaks Encoding.
    template <wire::buffer_ops_policy Encoding>
    static responder to(detail::local_ptr<outlet> peer, std::uint32_t tag, const wire::agreement& with)
    {
        responder r;
        r.to_ = std::move(peer);
        r.tag_ = tag;
        r.with_ = with;
        r.reply_ = make_frame<Encoding, Reply>;
        r.refuse_ = make_frame<Encoding, message::status_reply>;
        return r;
    }

    /// Answers. A reply that the peer's encoding cannot express is answered with status ERROR instead.
    void operator()(const Reply& reply) noexcept
    {
        if (to_ && detail::deliver(*to_, [&] { return reply_(tag_, reply, with_); }))
            to_.reset();
        refuse(wire::status::error);
    }

    /// Answers with what `build()` returns, which must be the same each time; it is called only where `kept` is not what
    /// somebody got in this encoding. For large replies.
    template <class Make>
    void operator()(kept_reply& kept, Make build) noexcept
    {
        const auto by = reinterpret_cast<void (*)()>(reply_);
        if (to_ && detail::deliver(*to_, [&]() -> result<wire::byte_buffer> {
                if (kept.made_by_ != by || kept.with_ != with_) {
                    auto made = reply_(tag_, build(), with_);
                    if (!made)
                        return made;
                    kept.frame_ = *std::move(made);
                    kept.made_by_ = by, kept.with_ = with_;
                }
                auto frame = kept.frame_;
                wire::frame_header::set_tag(frame, tag_);
                return frame;
            }))
            to_.reset();
        refuse(wire::status::error);
    }

    /// Answers with a lone status, whatever the reply to this request looks like otherwise.
    void refuse(wire::status why) noexcept
    {
        if (const auto to = std::exchange(to_, {}))
            detail::deliver(*to, [&] { return refuse_(tag_, {why}, with_); });
    }

    /// Drops the request unanswered: the peer is gone.
    void abandon() noexcept { to_.reset(); }

    explicit operator bool() const noexcept { return static_cast<bool>(to_); }

private:
    template <class M>
    using make = result<wire::byte_buffer> (*)(std::uint32_t, const M&, const wire::agreement&);

    detail::local_ptr<outlet> to_;
    std::uint32_t tag_ = 0;
    wire::agreement with_;
    make<Reply> reply_ = nullptr;
    make<message::status_reply> refuse_ = nullptr;
};

} // namespace pmixio
