// client_session: commands to a server over an admitted connection, and their answers. messages.md section 2.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/limits.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/message/process.hpp>
#include <pmixio/policies.hpp>
#include <pmixio/result.hpp>
#include <pmixio/session/session.hpp>
#include <pmixio/wire/status.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace pmixio {

/// What a handshake has settled, as the connecting side sees it.
struct admission {
    wire::proc who; ///< ourselves, as given to the server or as assigned by it
    wire::proc
        server; ///< as it says itself; clients are not told, they have it from where they found its address
    std::uint32_t index = 0;  ///< what our frames carry
    std::size_t encoding = 0; ///< position in the list
    wire::agreement with;     ///< the release is the one we announced: replies are made for it
};

/// Called with each event the server sends, or with why it could not be read.
using event_handler = std::function<void(result<message::event>)>;

/// One admitted connection to a server. Everything happens on the stream's executor, which must run one function at a
/// time: a single-threaded context or a strand.
///
/// Any number of requests may wait at a time; answers come in any order. A server that closes, or breaks the framing,
/// ends them all with the reason. Requests wait as long as the server takes: put them under within().
///
/// Destroying it closes the connection; what still waits completes with operation_aborted and refers to nothing of it.
/// It must not outlive the execution context.
template <host_policies P, class Stream = asio::ip::tcp::socket>
class client_session {
public:
    /// Of a connection whose handshake is done. Throws std::system_error if the stream does not work at all.
    client_session(Stream connected, admission settled, limits bounds = P::limits,
                   event_handler on_event = {})
        : core_(new core(std::move(settled), bounds, std::move(on_event)))
    {
        core_->open(std::move(connected));
    }
    client_session(client_session&&) noexcept = default;
    client_session& operator=(client_session&& other) noexcept
    {
        close(asio::error::operation_aborted);
        core_ = std::move(other.core_);
        return *this;
    }
    ~client_session() { close(asio::error::operation_aborted); }

    const wire::proc& who() const noexcept { return core_->settled.who; }
    const wire::proc& server() const noexcept { return core_->settled.server; }
    std::uint32_t index() const noexcept { return core_->settled.index; }
    std::string_view encoding() const noexcept { return P::buffer_ops::names[core_->settled.encoding]; }

    /// Requests that wait for their answers.
    std::size_t outstanding() const noexcept { return core_->waiting.size(); }
    /// Why the connection is no more; no error while it is open.
    std::error_code closed() const noexcept { return core_->ended; }

    /// Replaces the handler of events; null: they are dropped. Events come to those who have sent register_events.
    void on_event(event_handler handler) { core_->events = std::move(handler); }

    /// Sends a request when awaited, and completes with its reply. A failure that the server reports is in the reply's
    /// `result`; for a reply that has none it is the error. The request is read before this returns.
    /// Errors: unencodable; the faults of the reply's bytes; status lost_connection for an empty reply; whatever ended the
    /// connection; operation_aborted when cancelled, and then a reply that comes later is dropped.
    template <message::request_message M>
    asio::awaitable<result<typename M::reply>> request(const M& m)
    {
        return ask<typename M::reply>(core_, core_->frame(m));
    }

    /// Queues a message that has no answer. Errors: unencodable; whatever ended the connection.
    template <message::described_message M>
        requires(!message::request_message<M>)
    result<void> send(const M& m)
    {
        if (core_->ended)
            return core_->ended;
        auto frame = core_->frame(m);
        if (!frame)
            return frame.error();
        core_->send(*std::move(frame), core_->next_tag());
        return {};
    }

    /// Says good-bye and closes when it is answered, or cannot be. Errors: as request(); the server's status.
    /// Cancelled before it starts, it leaves the connection open.
    asio::awaitable<result<void>> finalize() { return finish(core_); }

    /// Ends the connection at once, and with it what waits. Only the first call counts.
    void close(std::error_code why = fault::closed_by_us)
    {
        if (core_)
            core_->close(why);
    }

private:
    struct core;
    using core_pointer = detail::local_ptr<core>;

    template <class Reply>
    static asio::awaitable<result<Reply>> ask(core_pointer self, result<wire::byte_buffer> frame)
    {
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        if (cancellation.cancelled() != asio::cancellation_type::none)
            co_return make_error_code(asio::error::operation_aborted);
        if (self->ended)
            co_return self->ended;
        if (!frame)
            co_return frame.error();
        const auto tag = self->next_tag();
        typename core::request answer(*self, tag, co_await asio::this_coro::executor);
        self->send(*std::move(frame), tag);
        std::error_code ignored;
        co_await answer.done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        if (answer.payload)
            co_return self->template read<Reply>(*answer.payload);
        co_return answer.failed ? answer.failed : make_error_code(asio::error::operation_aborted);
    }

    static asio::awaitable<result<void>> finish(core_pointer self)
    {
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        if (cancellation.cancelled() != asio::cancellation_type::none)
            co_return make_error_code(asio::error::operation_aborted);
        const auto answer = co_await ask<message::status_reply>(self, self->frame(message::finalize()));
        self->close(fault::closed_by_us);
        co_return answer ? wire::make_error_code(answer->result) : answer.error();
    }

    core_pointer core_;
};

/// The state of a session. Its requests and its connection hold it; it is closed when the session is destroyed.
template <host_policies P, class Stream>
struct client_session<P, Stream>::core : detail::local_counted {
    struct peer {
        core_pointer held; ///< as long as the connection's operations may call
    };
    using connection = session<Stream, core>;

    /// A request that waits, from construction to destruction.
    struct request {
        request(core& c, std::uint32_t t, const asio::any_io_executor& executor)
            : owner(c), tag(t), done(executor, asio::steady_timer::time_point::max())
        {
            owner.waiting.emplace(tag, this);
        }
        request(const request&) = delete;
        ~request()
        {
            if (const auto at = owner.waiting.find(tag); at != owner.waiting.end() && at->second == this)
                owner.waiting.erase(at);
        }

        core& owner;
        std::uint32_t tag;
        asio::steady_timer done; ///< cancelled when there is an answer, or will be none
        std::optional<wire::byte_buffer> payload;
        std::error_code failed;
    };

    core(admission s, limits b, event_handler handler)
        : settled(std::move(s)), bounds(b), events(std::move(handler))
    {
        settled.with.newest = P::buffer_ops::newest[settled.encoding];
        bounds.unread_output =
            SIZE_MAX; // two ends that both wait until the other has read would wait for ever
    }

    void open(Stream connected)
    {
        link = detail::local_ptr(
            new connection(std::move(connected), *this, bounds, reads, peer{core_pointer(this)}));
        try {
            link->start();
        } catch (...) {
            close(asio::error::operation_aborted);
            throw;
        }
    }

    void close(std::error_code why)
    {
        if (const auto now = link)
            now->close(why);
    }

    template <class M>
    result<wire::byte_buffer> frame(const M& m) const
    {
        return P::buffer_ops::visit_family(settled.encoding, [&]<class E>(std::type_identity<E>) {
            return make_frame<E>(0, m, settled.with);
        });
    }

    /// The counter starts below the first tag, is incremented before use, and never gives one that still waits.
    std::uint32_t next_tag()
    {
        do
            last_tag = last_tag == UINT32_MAX ? wire::first_request_tag : last_tag + 1;
        while (waiting.contains(last_tag));
        return last_tag;
    }

    void send(wire::byte_buffer frame, std::uint32_t tag)
    {
        wire::writer::put_big_endian(frame.data(), settled.index);
        wire::writer::put_big_endian(frame.data() + 4, tag);
        link->send(std::move(frame));
    }

    /// A reply; or the lone status of a failure, which not every reply's form has room for.
    template <class Reply>
    result<Reply> read(std::span<const std::byte> payload) const
    {
        return P::buffer_ops::visit_family(
            settled.encoding, [&]<class E>(std::type_identity<E>) -> result<Reply> {
                wire::cursor whole(payload), alone(payload);
                auto reply = message::read<Reply, E>(whole, settled.with);
                if (reply)
                    return reply;
                const auto failure = message::read<message::status_reply, E>(alone, settled.with);
                if (!failure || failure->result == wire::status::success)
                    return reply;
                if constexpr (requires(Reply& r) { r.result = failure->result; }) {
                    Reply failed;
                    failed.result = failure->result;
                    return failed;
                } else {
                    return wire::make_error_code(failure->result);
                }
            });
    }

    result<message::event> read_event(std::span<const std::byte> payload) const
    {
        return P::buffer_ops::visit_family(
            settled.encoding, [&]<class E>(std::type_identity<E>) -> result<message::event> {
                wire::cursor in(payload);
                const auto command = message::read_command<E>(in, settled.with);
                if (!command)
                    return command.error();
                if (*command != message::event::id)
                    return fault::unknown_command;
                return message::read<message::event, E>(in, settled.with);
            });
    }

    // what the connection tells

    void on_frame(connection&, const wire::frame_header& header, std::span<const std::byte> payload)
    {
        if (header.tag == wire::event_tag) {
            if (const auto handler = events; handler && !payload.empty())
                handler(read_event(payload));
            return;
        }
        const auto found = waiting.find(header.tag);
        if (found == waiting.end())
            return; // cancelled meanwhile, or nobody's
        auto& answered = *found->second;
        waiting.erase(found);
        if (payload.empty())
            answered.failed = wire::make_error_code(wire::status::lost_connection);
        else
            answered.payload.emplace(payload.begin(), payload.end());
        answered.done.cancel();
    }

    void on_oversized(connection& from, const wire::frame_header&) { from.close(fault::message_too_large); }
    void on_sent(std::size_t) {}

    void on_closed(connection&, std::error_code why)
    {
        ended = why;
        for (const auto& [tag, lost] : std::exchange(waiting, {})) {
            lost->failed = why;
            lost->done.cancel();
        }
        events = nullptr;
        link.reset();
    }

    admission settled;
    limits bounds;
    event_handler events;
    read_buffer reads;
    detail::local_ptr<connection> link;
    std::unordered_map<std::uint32_t, request*> waiting; ///< by tag
    std::uint32_t last_tag = wire::first_request_tag - 1;
    std::error_code ended;
};

} // namespace pmixio
