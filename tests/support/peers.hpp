// What rooms below the server see of the world: peers that keep what they are sent, and deadlines without a clock.
#pragma once

#include <pmixio/host/deadlines.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/session/responder.hpp>

#include "bytes.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pmixio::test {

/// Keeps the frames that it is sent. Must be made by new.
struct recorder final : outlet {
    std::vector<bytes> frames;
    std::function<void()> on_send; ///< called after each

    void send(wire::byte_buffer frame) override
    {
        frames.emplace_back(frame.begin(), frame.end());
        if (on_send)
            on_send();
    }
    void fail(std::error_code why) noexcept override { failed = why; }

    std::error_code failed;
};

/// The payload of a frame as a message.
template <class M, class Encoding = wire::v41>
M payload(const bytes& frame, const wire::agreement& with = {})
{
    wire::cursor in(std::span<const std::byte>{frame}.subspan(wire::frame_header_size));
    return message::read<M, Encoding>(in, with).value();
}

/// One session of a process, and everything that is sent to it. It speaks v41.
class peer {
public:
    explicit peer(wire::proc who, ::uid_t uid = 1000)
        : from{std::move(who), uid, ++last_session}, out(new recorder)
    {
    }

    requester from;
    pmixio::detail::local_ptr<recorder> out;

    template <class Reply>
    responder<Reply> ask(const wire::agreement& with = {})
    {
        return responder<Reply>::template to<wire::v41>(pmixio::detail::local_ptr<outlet>(out.get()), ++tag, with);
    }

    std::size_t answers() const { return out->frames.size(); }

    /// The only frame so far, which must be the answer to the last request.
    const bytes& only() const
    {
        REQUIRE(answers() == 1);
        return last();
    }
    /// The last frame, which must be the answer to the last request.
    const bytes& last() const
    {
        REQUIRE(answers() > 0);
        const auto header = wire::frame_header::parse(std::span(out->frames.back()).first<wire::frame_header_size>());
        CHECK(header.tag == tag);
        CHECK(header.nbytes + wire::frame_header_size == out->frames.back().size());
        return out->frames.back();
    }
    wire::status status() const { return payload<message::status_reply>(only()).result; }

private:
    static inline std::uint64_t last_session = 0;
    std::uint32_t tag = 100;
};

/// The only thing that was sent: an event.
inline message::event event_of(const peer& who)
{
    REQUIRE(who.answers() == 1);
    const auto& frame = who.out->frames[0];
    const auto header = wire::frame_header::parse(std::span(frame).first<wire::frame_header_size>());
    CHECK(header.tag == wire::event_tag);
    wire::cursor in(std::span<const std::byte>{frame}.subspan(wire::frame_header_size));
    CHECK(*message::read_command<wire::v41>(in, {}) == wire::command::notify);
    return *message::read<message::event, wire::v41>(in, {});
}

/// Deadlines that come when a test says so.
class fake_deadlines final : public deadline_service {
public:
    deadline after(duration wait, std::function<void()> f) override
    {
        waits.push_back(wait);
        calls_.emplace(++last_, std::move(f));
        return {*this, last_};
    }

    std::size_t pending() const { return calls_.size(); }
    void expire_all()
    {
        while (!calls_.empty())
            calls_.extract(calls_.begin()).mapped()();
    }

    /// Only those that are pending now, not what they ask for.
    void expire_once()
    {
        const auto last = last_;
        while (!calls_.empty() && calls_.begin()->first <= last)
            calls_.extract(calls_.begin()).mapped()();
    }

    std::vector<duration> waits; ///< asked for so far

private:
    void cancel(std::uint64_t id) noexcept override { calls_.erase(id); }

    std::map<std::uint64_t, std::function<void()>> calls_;
    std::uint64_t last_ = 0;
};

} // namespace pmixio::test

template <> struct doctest::StringMaker<pmixio::wire::status> {
    static doctest::String convert(pmixio::wire::status s) { return std::to_string(static_cast<int>(s)).c_str(); }
};
