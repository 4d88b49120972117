// session: an admitted connection. Frames in, frames out.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/detail/operation_memory.hpp>
#include <pmixio/limits.hpp>
#include <pmixio/result.hpp>
#include <pmixio/session/frame_assembler.hpp>
#include <pmixio/session/responder.hpp>
#include <pmixio/wire/writer.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <system_error>
#include <utility>

namespace pmixio {

/// Where the sessions of one server read to what is large: they take turns, so that an idle one holds little.
struct read_buffer {
    std::array<std::byte, 64 * 1024> bytes;
};

/// Frames in and out over one connection. Its owner keeps an Owner::peer with it, and is told:
///
///     void on_frame(session&, const wire::frame_header&, std::span<const std::byte> payload);
///     void on_oversized(session&, const wire::frame_header&);  // beyond limits::message_bytes; then the session ends
///     void on_sent(std::size_t bytes);                         // a frame was queued
///     void on_closed(session&, std::error_code why);           // once, the last of all
///
/// on_closed may not throw. All calls on the stream's executor. Nothing waits for a slow peer: output queues up to
/// limits::queued_output, and above limits::unread_output the peer's requests are left in its socket until it has caught
/// up. One read and one write are under way at a time. Replies to requests that arrived together leave together. A session
/// for which there is no memory ends (errc::not_enough_memory); its server goes on.
/// Lives as long as a local_ptr to it; close() is safe from within the owner's functions.
template <class Stream, class Owner>
class session : public outlet {
public:
    /// `owner`, `bounds` and `shared` must outlive on_closed.
    session(Stream stream, Owner& owner, const limits& bounds, read_buffer& shared, typename Owner::peer who)
        : peer(std::move(who)), stream_(std::move(stream)), owner_(&owner), limits_(&bounds), shared_(&shared)
    {}

    typename Owner::peer peer;

    /// Sends `greeting`, which is no frame and not counted, and begins to read. The session holds itself until it is closed.
    void start(wire::byte_buffer greeting = {})
    {
        const auto keep = self();
        guarded([&] {
            if constexpr (at_once)
                if (!stream_.non_blocking())
                    stream_.non_blocking(true);
            if (out_.empty())
                out_ = std::move(greeting);
            else
                out_.insert(out_.begin(), greeting.begin(), greeting.end());
            flush();
            read_next(keep);
        });
    }

    /// Queues one whole frame, header included, and sends as much as the peer takes now. Ignored after the end. Never
    /// calls on_closed: a session that cannot go on ends later, so that the owner may send while it walks its tables.
    void send(wire::byte_buffer frame) override
    {
        if (closed_ || failing_)
            return;
        if (queued() + frame.size() > limits_->queued_output)
            return fail(fault::output_limit);
        const auto size = frame.size();
        if (out_.empty())
            out_ = std::move(frame);
        else
            out_.insert(out_.end(), frame.begin(), frame.end());
        owner_->on_sent(size);
        if (!corked_)
            flush();
    }

    /// Needs no memory: something always waits on the stream, is woken by its end, and calls the owner then.
    void fail(std::error_code why) noexcept override
    {
        if (closed_ || failing_)
            return;
        failing_ = why;
        std::error_code ignored;
        stream_.close(ignored);
    }

    /// Ends the session at once; what the peer has not read is lost. Only the first call counts.
    void close(std::error_code why)
    {
        if (std::exchange(closed_, true))
            return;
        const auto keep = self();
        linger_.reset();
        std::error_code ignored;
        stream_.close(ignored);
        owner_->on_closed(*this, why);
    }

    /// Reads no more, and ends the session when the queue is sent, at the latest after limits::drain.
    void close_after_output(std::error_code why)
    {
        if (closed_ || failing_ || last_words_)
            return;
        last_words_ = why;
        if (!corked_)
            flush();
        if (failing_)
            return;
        linger_ = std::make_unique<asio::steady_timer>(stream_.get_executor(), limits_->drain);
        linger_->async_wait([me = self(), why](std::error_code failed) {
            if (!failed)
                me->close(why);
        });
    }

    bool closed() const noexcept { return closed_; }
    Stream& stream() noexcept { return stream_; }

private:
    using pointer = detail::local_ptr<session>;
    // Asio's sockets also read and write at once, what can be.
    static constexpr bool at_once = requires(Stream& s, std::error_code ec) {
        s.non_blocking(!s.non_blocking());
        s.read_some(asio::mutable_buffer(), ec);
        s.write_some(asio::const_buffer(), ec);
        s.async_wait(asio::socket_base::wait_write, [](std::error_code) {});
    };

    /// What a handler does. Only where the owner is not in the middle of something: the session may end here.
    template <class F>
    void guarded(F f)
    {
        try {
            f();
        } catch (const std::bad_alloc&) {
            corked_ = false;
            fail(std::make_error_code(std::errc::not_enough_memory));
        }
        if (failing_)
            close(failing_);
    }

    pointer self() noexcept { return pointer(this); }
    std::size_t queued() const noexcept { return out_.size() - out_begin_ + in_flight_.size(); }

    void read_next(pointer me)
    {
        if (closed_ || failing_ || last_words_)
            return;
        if (queued() > limits_->unread_output) {
            paused_ = true;
            return;
        }
        stream_.async_read_some(asio::buffer(small_), reading{std::move(me)});
    }

    struct reading {
        pointer me;

        using allocator_type = detail::operation_memory::allocator<void>;
        allocator_type get_allocator() const noexcept { return allocator_type(me->waiting_); }
        void operator()(std::error_code failed, std::size_t n)
        {
            auto& that = *me;
            that.guarded([&] { that.on_read(me, failed, n); });
        }
    };

    void on_read(const pointer& me, std::error_code failed, std::size_t n)
    {
        if (closed_ || failing_) // meanwhile; the shared buffer may be gone
            return;
        if constexpr (at_once)
            if (n == small_.size())
                return read_more(me);
        if (take(failed, std::span(small_).first(n)))
            read_next(me);
    }

    /// There is more than small_ takes: all that follows it now.
    void read_more(const pointer& me)
    {
        auto& bytes = shared_->bytes;
        auto have = static_cast<std::size_t>(std::ranges::copy(small_, bytes.begin()).out - bytes.begin());
        bool full;
        do {
            std::error_code failed;
            have += stream_.read_some(asio::buffer(bytes) + have, failed);
            if (!take({}, std::span(bytes).first(have)))
                return;
            if (failed && failed != asio::error::would_block) {
                take(failed, {});
                return;
            }
            full = std::exchange(have, 0) == bytes.size();
        } while (full && queued() <= limits_->unread_output);
        read_next(me);
    }

    /// One read's outcome. False: no more reading.
    bool take(std::error_code failed, std::span<const std::byte> bytes)
    {
        if (closed_ || failing_)
            return false;
        if (failed) {
            const bool end = failed == asio::error::eof;
            close(!end ? failed
                       : make_error_code(in_.inside_frame() ? fault::closed_inside_message
                                                            : fault::closed_by_peer));
            return false;
        }
        corked_ = true;
        const auto fed =
            in_.feed(bytes, limits_->message_bytes, [&](const wire::frame_header& header, auto payload) {
                owner_->on_frame(*this, header, payload);
                return !closed_ && !last_words_;
            });
        if (!fed && !closed_)
            owner_->on_oversized(*this, in_.rejected());
        corked_ = false;
        fed ? flush() : close_after_output(fed.error());
        return !closed_ && !failing_ && !last_words_;
    }

    void flush()
    {
        if (closed_ || failing_ || writing_)
            return;
        if (out_begin_ == out_.size()) {
            if (last_words_)
                fail(last_words_);
            return;
        }
        if constexpr (at_once) {
            std::error_code failed;
            const auto n =
                stream_.write_some(asio::buffer(out_.data() + out_begin_, out_.size() - out_begin_), failed);
            written(failed == asio::error::would_block ? std::error_code() : failed, n);
            if (!failing_ && out_begin_ != out_.size()) {
                writing_ = true;
                stream_.async_wait(asio::socket_base::wait_write, [me = self()](std::error_code waited) {
                    me->guarded([&] {
                        me->writing_ = false;
                        waited ? me->fail(waited) : me->flush();
                    });
                });
            }
        } else {
            writing_ = true;
            in_flight_.swap(out_);
            asio::async_write(stream_, asio::buffer(in_flight_),
                              [me = self()](std::error_code failed, std::size_t) {
                                  me->guarded([&] {
                                      me->writing_ = false;
                                      me->in_flight_.clear();
                                      me->written(failed, 0);
                                      me->flush();
                                  });
                              });
        }
    }

    void written(std::error_code failed, std::size_t n)
    {
        if (failed)
            return fail(failed);
        out_begin_ += n;
        if (out_begin_ == out_.size()) {
            out_begin_ = 0;
            wire::byte_buffer().swap(out_); // an idle session holds no memory for output
            if (last_words_)
                return fail(last_words_);
        } else if (out_begin_ > out_.size() / 2) {
            out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_begin_));
            out_begin_ = 0;
        }
        if (paused_ && queued() <= limits_->unread_output) {
            paused_ = false;
            read_next(self());
        }
    }

    Stream stream_;
    Owner* owner_;
    const limits* limits_;
    read_buffer* shared_;
    std::array<std::byte, 176> small_; ///< takes most requests whole
    detail::operation_memory waiting_;
    std::unique_ptr<asio::steady_timer> linger_;
    frame_assembler in_;
    wire::byte_buffer out_, in_flight_;
    std::size_t out_begin_ = 0;
    std::error_code last_words_; ///< why it ends when its output is sent
    std::error_code failing_;    ///< why it ends at the next chance
    bool closed_ = false, writing_ = false, corked_ = false, paused_ = false;
};

} // namespace pmixio
