// server: one PMIx server. Composes the rooms below it and holds all their state.
#pragma once

#include <pmixio/detail/slab.hpp>
#include <pmixio/handshake/identity.hpp>
#include <pmixio/handshake/parse.hpp>
#include <pmixio/handshake/pending.hpp>
#include <pmixio/handshake/reply.hpp>
#include <pmixio/handshake/validate.hpp>
#include <pmixio/host/cleanup.hpp>
#include <pmixio/host/collectives.hpp>
#include <pmixio/host/credentials.hpp>
#include <pmixio/host/deadlines.hpp>
#include <pmixio/host/entrance.hpp>
#include <pmixio/host/events.hpp>
#include <pmixio/host/forwarding.hpp>
#include <pmixio/host/logging.hpp>
#include <pmixio/host/monitoring.hpp>
#include <pmixio/host/publications.hpp>
#include <pmixio/host/queries.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/signals.hpp>
#include <pmixio/host/store.hpp>
#include <pmixio/host/targets.hpp>
#include <pmixio/host/upcalls.hpp>
#include <pmixio/listen/contact.hpp>
#include <pmixio/listen/listener.hpp>
#include <pmixio/message/control.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/policies.hpp>
#include <pmixio/rethrow.hpp>
#include <pmixio/security/kernel_peer.hpp>
#include <pmixio/session/session.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

/// What a server is told when it is made, besides its policies.
template <host_policies P>
struct server_settings {
    wire::proc name{"pmixio", 0}; ///< of the server itself, as its peers see it
    std::string hostname;         ///< of this node, for tools and children; empty: theirs to find out
    pmixio::limits limits = P::limits;
    offer<P> offered; ///< what of the compiled-in lists peers may use
    /// Where security policies run that block, if there is one among the offered; and where files are removed that processes
    /// have registered for that, on the server's executor if there is no pool. Its threads must end before the context of
    /// the server's executor is destroyed: an asio::thread_pool declared after the context does. Join it to have all removed.
    asio::any_io_executor pool{};
    /// Encodings that children are told of. v51 and v61 are left for those who ask: 6.x speaks v41 as well.
    std::array<bool, P::buffer_ops::size> advertised = P::buffer_ops::those_in("v41,v4,v3,v21");
    typename P::security::instances policies;
    typename P::observer observer;
};

/// One PMIx server for the processes of one node. Everything happens on its executor, which must run one function at a
/// time: a single-threaded context or a strand. Several servers in one process share nothing, and may each have a thread.
///
/// A connection's way is admit(); its stages are public: parse_handshake, resolve, validate, introduce (for tools only) and
/// reply. State changes in the last of them only, after the peer's identity is proven.
///
/// Host: an object whose functions are found at compile time, see upcalls.hpp. What it lacks, the library does itself.
/// Stream: what connections are, where they do not come from a pmixio::listener.
///
/// The registry, the host and the executor must outlive the server. Destroying the server ends all its connections;
/// its coroutines that are under way complete with operation_aborted.
///
/// Construction throws std::invalid_argument if a policy that blocks is offered, and there is no pool for it.
template <host_policies P, class Host = no_host, connection Stream = socket>
class server {
public:
    using policies = P;

    server(asio::any_io_executor executor, registry& jobs, Host& host, server_settings<P> settings = {})
        : core_(new core(std::move(executor), jobs, &host, std::move(settings)))
    {}
    server(asio::any_io_executor executor, registry& jobs, server_settings<P> settings = {})
        requires std::same_as<Host, no_host>
        : core_(new core(std::move(executor), jobs, nullptr, std::move(settings)))
    {}
    server(const server&) = delete;
    server& operator=(const server&) = delete;
    ~server() { core_->stop(); }

    typename P::observer& observer() noexcept { return core_->settings.observer; }
    const wire::proc& name() const noexcept { return core_->settings.name; }

    /// Connections that are admitted and not closed; connections in their handshake; requests that wait.
    std::size_t sessions() const noexcept { return core_->sessions; }
    std::size_t pending_handshakes() const noexcept { return core_->handshakes.size(); }
    std::size_t held_gets() const noexcept { return core_->data.held(); }
    std::size_t pending_collectives() const noexcept { return core_->together.pending(); }
    std::size_t held_lookups() const noexcept { return core_->published.held(); }
    /// Groups of processes that exist, and sets of processes that are connected.
    std::size_t groups() const noexcept { return core_->together.kept_groups(); }

    /// Events that are kept for processes that register later.
    std::size_t kept_events() const noexcept { return core_->listeners.kept(); }

    /// What is watched for sessions.
    std::size_t monitors() const noexcept { return core_->watched.active(); }

    /// Of all users, what counts against limits::published_bytes and limits::cleanup_bytes.
    std::size_t published_bytes() const noexcept { return core_->published.bytes(); }
    std::size_t cleanup_bytes() const noexcept { return core_->leftovers.bytes(); }

    /// Registrations for output; and what is kept of it for those to come, see limits::forwarded_bytes.
    std::size_t output_pulls() const noexcept { return core_->outputs.pulls(); }
    std::size_t forwarded_bytes() const noexcept { return core_->outputs.bytes(); }

    /// Whether the kernel can be asked who a peer is, as tried when the server was made. Policies that ask it admit nobody
    /// where this is kernel_unavailable.
    result<void> kernel_identity() const { return core_->kernel ? result<void>() : core_->kernel.error(); }

    /// What a child process has to be told to find this server at `listener`, as `who`. Of `where` the directories of
    /// contact files, in which tools look that the child starts. Throws std::invalid_argument if there is no such process.
    environment environment_for(const wire::proc& who, const listener& at,
                                const contact_plan& where = {}) const
    {
        if (!core_->jobs.find_process(who.nspace, who.rank))
            throw std::invalid_argument("pmixio::server: not registered: " + who.nspace + '.' +
                                        std::to_string(who.rank));
        const auto encodings = advertised_encodings();
        std::vector<std::string_view> securities;
        for (std::size_t i = 0; i != P::security::size; ++i)
            if (core_->settings.offered.securities[i])
                securities.push_back(P::security::names[i]);
        return child_environment({who, server_uri(name(), at.local_endpoint()), encodings, securities,
                                  wire::buffer_kind::non_described, core_->settings.hostname,
                                  where.session_directory, where.system_directory});
    }

    /// The encodings that children are told of.
    std::vector<std::string_view> advertised_encodings() const
    {
        std::vector<std::string_view> names;
        for (std::size_t i = 0; i != P::buffer_ops::size; ++i)
            if (core_->settings.advertised[i] && core_->settings.offered.encodings[i])
                names.push_back(P::buffer_ops::names[i]);
        return names;
    }

    /// Accepts connections and admits each, until the listener is closed or destroyed, or the caller cancelled; completes
    /// with why. Connections are served on after that. Run it on the server's executor. The listener must be there when the
    /// call begins.
    asio::awaitable<std::error_code> serve(listener& from)
        requires std::same_as<Stream, socket>
    {
        return serve_from(core_, from);
    }

    /// The whole way from a connection to a session, under the handshake's deadline. Completes when the peer is admitted,
    /// and served from then on; or refused, told so if its release listens, and closed: with the reason; or handed over, if
    /// the host knows a server `elsewhere`.
    asio::awaitable<result<void>> admit(Stream connection)
    {
        return admit_one(core_, std::move(connection), std::nullopt);
    }

    /// For the host's `elsewhere` at other servers, see upcalls.hpp: what comes this way is admitted as if it had just been
    /// accepted here, and its handshake's time begins anew. On the way there is no deadline: this server's context must run, and be
    /// one that other threads can post to.
    pmixio::entrance entrance() const
        requires std::same_as<Stream, socket>
    {
        return pmixio::entrance(core_->arrivals);
    }

    /// hello -> claim. Changes nothing.
    result<claim> resolve(hello said) const
    {
        return pmixio::resolve<P>(std::move(said), core_->jobs, core_->settings.offered);
    }

    /// claim -> identity: asks the kernel, and then the security policy. Changes nothing. Lifetimes, deadline and errors:
    /// see pmixio::validate(). The server must not be destroyed meanwhile.
    asio::awaitable<result<identity>> validate(Stream& connection, const claim& c)
    {
        return pmixio::validate<P>(connection, c, core_->settings.policies, core_->ask_kernel(connection),
                                   core_->pool);
    }

    /// identity -> identity with a name, for peers that no job has; others come back as they are. Asks the host, see
    /// upcalls.hpp; changes nothing. The server must not be destroyed meanwhile. Takes as long as the host: put it under a
    /// deadline. Errors: the host's; refused_by_host, name_taken; faults of the peer's attributes.
    asio::awaitable<result<identity>> introduce(const claim& c, identity who)
    {
        return introduce_tool(core_, c, std::move(who));
    }

    /// identity -> session: counts the peer in, answers it, and serves it from then on. The index the peer was given.
    /// Faults: too_many_connections; unsupported_peer_kind for a tool that was not introduced; name_taken; unknown_namespace
    /// or unknown_rank if it was removed meanwhile. The peer is told as refuse() does, and closed.
    result<std::uint32_t> reply(Stream connection, const identity& who)
    {
        return core_->reply(std::move(connection), who);
    }

    /// Tells a peer why it is not admitted, if its release listens, and closes.
    void refuse(Stream connection, std::error_code why, const wire::release& release = {})
    {
        core_->refuse(connection, why, {release, {}, {}});
    }

    /// The host knows that a process has ended: its exit code, 128 + N if signal N has killed it. Who waits for it is
    /// released, even if it never connected, and is told as of one that is lost, unless it has departed before. A process
    /// whose children still hold connections of its rank departs with the last of them.
    void process_exited(const wire::proc& who, int code = 0) { core_->process_exited(who, code); }

    /// Raises an event of the server's own. It reaches those whom an event of the process `about` would reach in this range,
    /// which is in the infos as the affected one; about name(): those of all users. Sent when this returns, and kept as all
    /// events are. False: there is no such process or namespace.
    bool notify(const wire::proc& about, wire::status code, wire::data_range range,
                std::vector<wire::info> infos = {})
    {
        return core_->notify(about, {code, range, std::move(infos)});
    }

    /// A process of this server has written `text` to one of the channels out, err and diagnostics; no text: it has closed
    /// that channel. Who pulls it gets it as one message, so best give whole lines, of less than limits::queued_output; see
    /// host/forwarding.hpp, and messages.md section 12. Complete when it returns: a peer that does not read is ended at its
    /// limit, and keeps nobody waiting. Ignored if there is no such process. Throws std::bad_alloc only.
    void forward_output(const wire::proc& from, message::channels channel, std::string_view text)
    {
        core_->outputs.output(from, channel, text);
    }

    /// Ends the sessions of a namespace, releases who waits for it, removes the files that are to go with it, and removes it
    /// from the registry.
    bool remove_namespace(std::string_view nspace) { return core_->remove_namespace(nspace); }

    /// Ends every session at once.
    void close_sessions() { core_->close_sessions({}); }

    /// As destruction does, while the server's observer and registry can still be asked. What is registered to be removed with
    /// namespaces goes now.
    void stop() { core_->stop(); }

    /// Waits until no session is left, or the time is over and then ends those that are. True: none was left.
    /// Close the listener first, or new ones come; handshakes under way are neither waited for nor ended. One drain at a time.
    asio::awaitable<bool> drain(std::chrono::steady_clock::duration limit) { return drain_all(core_, limit); }

private:
    struct core;
    using core_pointer = detail::local_ptr<core>;

    static asio::awaitable<std::error_code> serve_from(core_pointer self, listener& from)
    {
        struct accepting {
            explicit accepting(core& c) : owner(c) { owner.handshakes.accepting(true); }
            accepting(const accepting&) = delete;
            ~accepting() { owner.handshakes.accepting(false); }
            core& owner;
        } mark(*self);
        const auto paused = [&](std::error_code why) {
            detail::tell(self->settings.observer, event::accept_paused{why});
        };
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        const auto next = [&] { return from.accept(self->settings.limits.accept_pause, paused); };
        auto accepted = next();
        for (unsigned turn = 1;; ++turn) {
            auto connection = co_await std::move(accepted);
            if (!connection)
                co_return connection.error();
            if (self->stopped)
                co_return make_error_code(asio::error::operation_aborted);
            accepted = next(); // before the host hears of this one: it may destroy the listener
            typename core::arrival come;
            if (!self->admit_at_once(*connection, come))
                admit_later(self, *connection, come);
            if (turn % core::accepted_at_a_time != 0)
                continue;
            co_await asio::post(self->executor, asio::use_awaitable); // others have their turn
            if (cancellation.cancelled() != asio::cancellation_type::none)
                co_return make_error_code(asio::error::operation_aborted);
        }
    }

    /// Goes on where admit_at_once() has to wait.
    static void admit_later(const core_pointer& self, Stream& connection, typename core::arrival& come)
    {
        try {
            asio::co_spawn(self->executor, admit_one(self, std::move(connection), std::move(come)), forget);
        } catch (const std::bad_alloc&) {
            self->refuse(connection, std::make_error_code(std::errc::not_enough_memory), come.who);
        }
    }

    /// An admission's outcome, of which the observer has heard.
    static void forget(std::exception_ptr thrown, result<void>) { rethrow(thrown); }

    /// `begun`: what admit_at_once() leaves, where it was tried.
    static asio::awaitable<result<void>> admit_one(core_pointer self, Stream connection,
                                                   std::optional<typename core::arrival> begun)
    {
        if (self->stopped)
            co_return make_error_code(asio::error::operation_aborted);
        auto come = begun ? *std::move(begun) : typename core::arrival();
        if (!begun)
            if (const auto done = self->admit_at_once(connection, come))
                co_return *done;
        try {
            typename core::queue::template entry<Stream> waiting(self->handshakes, connection, come.owner);
            auto said =
                co_await parse_handshake(connection, self->settings.limits.handshake_bytes, come.sent);
            if (self->stopped)
                co_return make_error_code(asio::error::operation_aborted);
            if (!said)
                co_return self->refuse(connection,
                                       waiting.expired() ? fault::handshake_timeout : said.error(), come.who);
            if (const auto done = self->hand_over(connection, come, *said, request_in(*said)))
                co_return *done;

            const auto matched = self->recognise(*std::move(said), come.who);
            if (!matched)
                co_return self->refuse(connection, matched.error(), come.who);
            auto identified = identify(self, connection, *matched, come.kernel);
            result<identity> proven = fault::handshake_timeout;
            if (core::waits(*matched))
                proven = co_await within<typename P::clock>(P::clock::duration::max(), std::move(identified),
                                                            fault::handshake_timeout, &waiting.stop());
            else
                proven = co_await std::move(identified);
            if (self->stopped)
                co_return make_error_code(asio::error::operation_aborted);
            if (!proven)
                co_return self->refuse(
                    connection, waiting.expired() ? fault::handshake_timeout : proven.error(), come.who);
            waiting.leave();
            if (const auto index = self->reply(std::move(connection), *proven); !index)
                co_return index.error();
            co_return result<void>();
        } catch (const std::bad_alloc&) { // before reply(), which does not throw it
            co_return self->refuse(connection, std::make_error_code(std::errc::not_enough_memory), come.who);
        }
    }

    /// validate and introduce.
    static asio::awaitable<result<identity>> identify(core_pointer self, Stream& connection, const claim& c,
                                                      result<security::kernel_peer> kernel)
    {
        auto proven =
            co_await pmixio::validate<P>(connection, c, self->settings.policies, kernel, self->pool);
        if (self->stopped) // and the host may be gone
            co_return make_error_code(asio::error::operation_aborted);
        if (proven && !proven->accepted())
            proven = co_await introduce_tool(self, c, *std::move(proven));
        co_return proven;
    }

    static asio::awaitable<result<identity>> introduce_tool(core_pointer self, const claim& c, identity who)
    {
        if (who.accepted())
            co_return who;
        auto infos = P::buffer_ops::visit(
            c.encoding, [&]<class E>(std::type_identity<E>) { return decode_attributes<E>(c.said); });
        if (!infos)
            co_return infos.error();
        if constexpr (upcall::tool_connected::in<Host>) {
            tool_request asked{who, std::string(c.said.version), *std::move(infos)};
            auto name = co_await self->host->tool_connected(std::move(asked));
            if (self->stopped) // and the registry may be gone
                co_return make_error_code(asio::error::operation_aborted);
            if (!name)
                co_return name.error();
            if (*name != who.who() && !who.who().nspace.empty())
                co_return fault::refused_by_host;
            who = who.named(*std::move(name));
        } else if (who.uid() != ::geteuid() && who.uid() != 0) {
            co_return fault::refused_by_host;
        }
        co_return who.named(who.who().nspace.empty() ? self->free_tool_name() : who.who());
    }

    static asio::awaitable<bool> drain_all(core_pointer self, std::chrono::steady_clock::duration limit)
    {
        asio::steady_timer over(co_await asio::this_coro::executor, limit);
        struct watch {
            watch(core& c, asio::steady_timer& t) : owner(c)
            {
                owner.on_idle = [&t] { t.cancel(); };
            }
            watch(const watch&) = delete;
            ~watch() { owner.on_idle = nullptr; }
            core& owner;
        } until_idle(*self, over);
        std::error_code ended;
        if (self->sessions != 0)
            co_await over.async_wait(asio::redirect_error(asio::use_awaitable, ended));
        const bool idle = self->sessions == 0;
        self->close_sessions({});
        co_return idle;
    }

    core_pointer core_;
};

/// All state of a server. Coroutines hold it; it is stopped when the server is destroyed.
template <host_policies P, class Host, connection Stream>
struct server<P, Host, Stream>::core : detail::local_counted {
    using queue = handshake_queue<typename P::clock>;
    struct peer;
    using session_type = session<Stream, core>;
    using session_pointer = detail::local_ptr<session_type>;

    /// What a session knows of who is at its other end.
    struct peer {
        requester from;
        wire::agreement with;
        std::uint32_t index = 0;
        bool finalized = false;
        /// dispatch() and refuse_request() for the encodings of this peer's form, picked once.
        void (core::*handle)(session_type&, std::uint32_t tag, std::span<const std::byte>) = nullptr;
        void (core::*refuse)(session_type&, std::uint32_t tag, wire::status) = nullptr;
    };

    struct pooled final : session_type {
        using session_type::session_type;
        static void* operator new(std::size_t n, detail::slab& from)
        {
            return detail::address_sanitized ? ::operator new(n) : from.allocate();
        }
        static void operator delete(void* at, detail::slab&) { operator delete(at); }
        static void operator delete(void* at)
        {
            detail::address_sanitized ? ::operator delete(at) : detail::slab::deallocate(at);
        }
    };

    core(asio::any_io_executor ex, registry& known, Host* asked, server_settings<P> given)
        : executor(std::move(ex)), jobs(known), host(asked), settings(std::move(given)),
          kernel(security::kernel_lookup::open()), handshakes(executor, settings.limits.handshake),
          pool(settings.pool, settings.limits.pending_handshakes),
          credentials(settings.policies, settings.offered.securities, pool, settings.limits), clock(executor),
          data(jobs, clock, settings.name, P::inflate, settings.limits.message_bytes),
          published(jobs, clock, settings.limits.published_bytes), listeners(settings.limits),
          together(jobs, clock, listeners, settings.name, settings.limits.groups_per_user),
          outputs(jobs, settings.limits.forwarded_bytes, settings.limits.pulled_per_session),
          questions(jobs, settings.name), watched(clock, listeners, settings.limits.monitors_per_session),
          leftovers(jobs, settings.limits.cleanup_bytes), logged(settings.limits.log_bytes)
    {
        upcall::check<Host>();
        static_assert(std::same_as<Stream, socket> || !upcall::elsewhere::in<Host>,
                      "only a pmixio::socket can be handed over");
        if constexpr (std::same_as<Stream, socket>)
            arrivals = std::make_shared<detail::inbox>(executor, settings.limits,
                                                       [this](auto come) { take_over(std::move(come)); });
        if constexpr (upcall::fence::in<Host> || upcall::connect::in<Host> || upcall::disconnect::in<Host> ||
                      upcall::group_construct::in<Host> || upcall::group_destruct::in<Host>) {
            together.host.ask = [this](wire::command kind, message::group_construct joined,
                                       std::uint64_t ticket) {
                return ask_about(kind, std::move(joined), ticket);
            };
            together.host.cancel = [this](std::uint64_t ticket) { cancel_upcalls(ticket | of_operation); };
        }
        for (std::size_t i = 0; i != P::security::size; ++i)
            if (settings.offered.securities[i] && P::security::blocks[i] && !settings.pool)
                throw std::invalid_argument("pmixio::server: \"" + std::string(P::security::names[i]) +
                                            "\" blocks: server_settings::pool is missing");
        if (kernel)
            if (const auto works = kernel->self_test(); !works)
                kernel = works.error();
    }

    // the handshake

    /// Who is at the other end. The answer holds as long as the connection does.
    result<security::kernel_peer> ask_kernel(const Stream& connection)
    {
        auto answer = guess(connection);
        return answer && !still_there(connection) ? fault::kernel_unknown : std::move(answer);
    }

    /// The same if the connection is still there at any time after: once it is reset, others may take its pair of addresses.
    result<security::kernel_peer> guess(const Stream& connection)
    {
        if (!kernel)
            return kernel.error();
        return kernel->ask(connection.local().data(), connection.remote().data());
    }

    static bool still_there(const Stream& connection)
    {
        std::error_code gone;
        connection.remote_endpoint(gone);
        return !gone;
    }

    /// For limits::pending_per_user: a user of this machine, or an address where there is none.
    static std::uint64_t owner_of(const Stream& connection, const result<security::kernel_peer>& kernel)
    {
        constexpr std::uint64_t elsewhere = std::uint64_t{1} << 63;
        return kernel ? kernel->uid
                      : elsewhere | std::hash<asio::ip::address>()(connection.remote().address());
    }

    /// Whether one more handshake may begin.
    result<void> room_for(std::uint64_t owner) const
    {
        const auto& bounds = settings.limits;
        if (handshakes.size() >= bounds.pending_handshakes)
            return fault::too_many_pending;
        if (handshakes.size() >= bounds.pending_per_user && handshakes.of(owner) >= bounds.pending_per_user)
            return fault::too_many_of_user;
        return {};
    }

    /// What is known of a peer that is not admitted, so far.
    struct acquaintance {
        wire::release release;
        wire::proc claimed;
        std::optional<::uid_t> uid;
    };

    /// A peer on its way in: what is known of it, and what it has sent so far.
    struct arrival {
        acquaintance who;
        result<security::kernel_peer> kernel = fault::kernel_unavailable;
        std::uint64_t owner = 0;
        wire::byte_buffer sent;
        bool stays = false; ///< it is not to be handed over
    };
    static constexpr unsigned accepted_at_a_time = 32;

    /// Begins an admission; and ends it, where nothing has to be waited for: the whole request is here, and its policy judges
    /// it without waiting. None: `come` is for admit_later().
    std::optional<result<void>> admit_at_once(Stream& connection, arrival& come)
    {
        detail::tell(settings.observer, event::accepted{});
        const auto refused = [&](std::error_code why) { return turn_away(connection, why, come); };
        try {
            come.kernel = guess(connection); // who can be answered was there
            if (come.kernel)
                come.who.uid = come.kernel->uid;
            come.owner = owner_of(connection, come.kernel);
            if (const auto room = room_for(come.owner); !room)
                return refused(room.error());

            std::array<std::byte, 512> bytes;
            std::error_code failed;
            if (!connection.non_blocking())
                connection.non_blocking(true, failed);
            const auto n = failed ? 0 : connection.read_some(asio::buffer(bytes), failed);
            const auto request = std::span(bytes).first(n);
            const auto later = [&] {
                confirm(connection, come);
                come.sent.assign(request.begin(), request.end());
                return std::nullopt;
            };
            if (failed == asio::error::would_block)
                return later();
            if (failed)
                return refused(failed == asio::error::eof ? make_error_code(fault::closed_by_peer) : failed);
            if (!is_whole_request(request, settings.limits.handshake_bytes))
                return later();
            const auto done = answer_at_once(connection, come, request);
            return done ? done : later();
        } catch (const std::bad_alloc&) { // before reply(), which does not throw it
            return refused(std::make_error_code(std::errc::not_enough_memory));
        }
    }

    /// What the kernel said holds from here on, or is forgotten.
    static void confirm(const Stream& connection, arrival& come)
    {
        if (come.kernel && !still_there(connection))
            come.kernel = fault::kernel_unknown, come.who.uid.reset();
    }

    std::optional<result<void>> turn_away(Stream& connection, std::error_code why, arrival& come)
    {
        confirm(connection, come);
        return result<void>(refuse(connection, why, come.who));
    }

    /// admit_at_once() from a whole request on. Throws std::bad_alloc before reply() only.
    std::optional<result<void>> answer_at_once(Stream& connection, arrival& come,
                                               std::span<const std::byte> request)
    {
        const auto refused = [&](std::error_code why) { return turn_away(connection, why, come); };
        auto said = parse_handshake(request, settings.limits.handshake_bytes);
        if (!said)
            return refused(said.error());
        if (const auto done = hand_over(connection, come, *said, request))
            return done;
        const auto matched = recognise(*std::move(said), come.who);
        if (!matched)
            return refused(matched.error());
        if (waits(*matched))
            return std::nullopt;
        const auto proven = validate_at_once<P>(*matched, settings.policies, come.kernel);
        if (!proven)
            return refused(proven.error());
        const auto index = reply(std::move(connection), *proven);
        return index ? result<void>() : result<void>(index.error());
    }

    /// Gives a peer whose namespace is not known here to the server that the host says has it. None: it stays.
    std::optional<result<void>> hand_over(Stream& connection, arrival& come, const hello& said,
                                          std::span<const std::byte> request)
    {
        if constexpr (upcall::elsewhere::in<Host>) {
            if (std::exchange(come.stays, true) || said.nspace.value_or("").empty() ||
                jobs.find(*said.nspace))
                return std::nullopt;
            const pmixio::entrance there = host->elsewhere(*said.nspace);
            meet(said, come.who);
            confirm(connection, come);
            detail::passage on;
            on.request.assign(request.begin(), request.end());
            on.kernel = come.kernel;
            on.owner = come.owner;
            if (const auto went = there.pass(connection, std::move(on)))
                detail::tell(settings.observer, event::handed_over{*said.nspace, said.rank});
            else if (went.error() == fault::unknown_namespace)
                return std::nullopt;
            else
                return refuse(connection, went.error(), come.who);
            return result<void>();
        }
        return std::nullopt;
    }

    /// What another server has handed over.
    void take_over(detail::passage come)
    {
        const core_pointer keep(this);
        detail::tell(settings.observer, event::accepted{});
        arrival known{{{}, {}, {}}, come.kernel, come.owner, {}, true};
        if (come.kernel)
            known.who.uid = come.kernel->uid;
        Stream connection(asio::ip::tcp::socket(executor), come.local, come.remote);
        try {
            std::error_code failed;
            connection.assign(come.local.protocol(), come.connection.get(), failed);
            if (!failed) {
                come.connection.release();
                connection.non_blocking(true, failed);
            }
            const auto room = failed ? result<void>(failed) : room_for(come.owner);
            if (!room) {
                if (const auto said = parse_handshake(come.request, settings.limits.handshake_bytes))
                    meet(*said, known.who);
                refuse(connection, room.error(), known.who);
            } else if (!answer_at_once(connection, known, come.request)) {
                known.sent = std::move(come.request);
                admit_later(keep, connection, known);
            }
        } catch (const std::bad_alloc&) {
            refuse(connection, std::make_error_code(std::errc::not_enough_memory), known.who);
        }
    }

    static void meet(const hello& said, acquaintance& who)
    {
        who.release = said.release;
        who.claimed = {std::string(said.nspace.value_or("")), said.rank};
    }

    result<claim> recognise(hello said, acquaintance& who) const
    {
        meet(said, who);
        auto matched = pmixio::resolve<P>(std::move(said), jobs, settings.offered);
        if (matched && P::security::exchanges[matched->security])
            who.release = deaf_release; // a status would be taken for a step of the exchange
        return matched;
    }

    /// Whether who that is cannot be said without waiting for a policy, the peer or the host.
    static bool waits(const claim& c) noexcept
    {
        return !c.is_registered || P::security::exchanges[c.security] || P::security::blocks[c.security];
    }

    std::error_code refuse(Stream& connection, std::error_code why, const acquaintance& of)
    {
        note_limit(why);
        detail::tell(settings.observer, event::refused{why, of.claimed.nspace, of.claimed.rank, of.uid});
        std::error_code ignored;
        if (why != refusal::gone && obeys_status(of.release))
            try {
                wire::byte_buffer bytes;
                wire::writer out(bytes);
                append_status(out, status_for(why));
                connection.non_blocking(true, ignored);
                connection.write_some(asio::buffer(bytes), ignored);
                connection.shutdown(asio::socket_base::shutdown_send, ignored);
            } catch (const std::bad_alloc&) { // the end says enough
            }
        connection.close(ignored);
        return why;
    }

    void note_limit(std::error_code why)
    {
        if (const auto bound = limit_behind(why, settings.limits))
            detail::tell(settings.observer, event::limit_reached{why, *bound});
    }

    result<std::uint32_t> reply(Stream connection, const identity& who)
    {
        process_record* process = nullptr;
        std::optional<std::uint32_t> index;
        wire::byte_buffer greeting;
        session_pointer made;
        const auto give_up = [&](Stream& on, std::error_code why, const acquaintance& of) {
            if (index)
                unused.push_back(*index);
            forget_tool(who.who().nspace);
            return refuse(on, why, of);
        };
        try {
            const auto found = place_for(who);
            if (!found)
                return refuse(connection, found.error(), acquaintance_of(who));
            process = *found;
            index = free_index();
            greeting = greeting_for(who, *index);
            made = session_pointer(new (memory) pooled(std::move(connection), *this, settings.limits, reads,
                                                       peer_for(who, *index)));
        } catch (const std::bad_alloc&) {
            return give_up(connection, std::make_error_code(std::errc::not_enough_memory),
                           acquaintance_of(who));
        }
        if (const auto failed = greet(made->stream(), greeting)) // and who it is was a guess
            return give_up(made->stream(), failed, {deaf_release, who.who(), std::nullopt});
        peers[*index] = made;
        ++sessions;
        ++process->connections;
        process->departed = process->finalized = false;
        process->met = true;
        detail::tell(settings.observer, event::admitted{who.who().nspace, who.who().rank, who.uid(),
                                                        P::security::names[who.security()],
                                                        P::buffer_ops::names[who.encoding()]});
        if constexpr (upcall::connected::in<Host>)
            host->connected(who);
        if (!made->closed())
            made->start(std::move(greeting));
        return *index;
    }

    /// Sends what the socket takes, and drops that from `greeting`.
    static std::error_code greet(Stream& connection, wire::byte_buffer& greeting)
    {
        std::error_code failed;
        if (!connection.non_blocking())
            connection.non_blocking(true, failed);
        const auto n = failed ? 0 : connection.write_some(asio::buffer(greeting), failed);
        if (failed == asio::error::would_block && still_there(connection))
            failed = {};
        greeting.erase(greeting.begin(), greeting.begin() + static_cast<std::ptrdiff_t>(n));
        return failed;
    }

    static acquaintance acquaintance_of(const identity& who)
    {
        return {who.has_status() ? deaf_release : who.release(), who.who(),
                who.kernel() ? std::optional(who.kernel()->uid) : std::nullopt};
    }

    /// What the peer waits for.
    wire::byte_buffer greeting_for(const identity& who, std::uint32_t index) const
    {
        wire::byte_buffer bytes;
        bytes.reserve(16); // of a client's
        wire::writer out(bytes);
        if (who.has_status())
            out.big_endian(index);
        else if (wants_client_reply(who.kind(), who.release()))
            append_client_reply(out, index);
        else if (is_legacy(who.kind()))
            append_legacy_tool_reply(out, settings.name, who.who().nspace);
        else
            append_tool_reply(out, settings.name,
                              needs_identity(who.kind()) ? std::optional(who.who()) : std::nullopt);
        return bytes;
    }

    peer peer_for(const identity& who, std::uint32_t index)
    {
        peer state{{who.who(), who.uid(), ++last_session},
                   {who.buffer(), who.release(), P::buffer_ops::newest[who.encoding()]},
                   index,
                   false,
                   nullptr,
                   nullptr};
        P::buffer_ops::visit_family(who.encoding(), [&]<class E>(std::type_identity<E>) {
            state.handle = &core::template dispatch<E>;
            state.refuse = &core::template refuse_request<E>;
        });
        return state;
    }

    /// The record that the peer's connections are counted in. For a tool it is made here.
    result<process_record*> place_for(const identity& who)
    {
        if (!who.accepted())
            return fault::unsupported_peer_kind;
        const auto& [name, rank] = who.who();
        auto* nspace = jobs.find(name);
        if (!nspace && who.kind() != peer_kind::client) {
            job about;
            about.nspace = name;
            about.uid = who.uid();
            about.gid = who.gid();
            if (!settings.hostname.empty())
                about.hostname = settings.hostname;
            nspace = jobs.add_tool(std::move(about), rank);
        }
        if (!nspace)
            return fault::unknown_namespace;
        auto* process = nspace->process(rank);
        const bool same = nspace->of_tool() ? who.kind() != peer_kind::client && process &&
                                                  nspace->description().uid == who.uid()
                                            : was_started(who.kind());
        if (!same)
            return fault::name_taken;
        if (!process)
            return fault::unknown_rank;
        if (process->connections >= settings.limits.connections_per_rank)
            return fault::too_many_connections;
        return process;
    }

    /// Removes the namespace of a tool that has no connection.
    void forget_tool(std::string_view name)
    {
        auto* nspace = jobs.find(name);
        if (!nspace || !nspace->of_tool() || nspace->processes()[0].connections != 0)
            return;
        forget(name);
        jobs.remove(name);
    }

    wire::proc free_tool_name()
    {
        wire::proc name{{}, 0};
        do
            name.nspace = settings.name.nspace + "-tool-" + std::to_string(++last_tool);
        while (jobs.find(name.nspace));
        return name;
    }

    std::uint32_t free_index()
    {
        if (!unused.empty()) {
            const auto index = unused.back();
            unused.pop_back();
            return index;
        }
        unused.reserve(peers.size() + 1); // giving one back needs no memory
        peers.emplace_back();
        return static_cast<std::uint32_t>(peers.size() - 1);
    }

    // sessions

    void on_frame(session_type& from, const wire::frame_header& header, std::span<const std::byte> payload)
    {
        detail::tell(settings.observer, event::received{wire::frame_header_size + payload.size()});
        if (payload.empty()) { // a heartbeat, or nothing at all
            if (header.tag == wire::heartbeat_tag)
                watched.beat(from.peer.from.session);
            return;
        }
        const core_pointer keep(this);
        (this->*from.peer.handle)(from, header.tag, payload);
    }

    void on_oversized(session_type& from, const wire::frame_header& header)
    {
        if (header.tag >= wire::first_request_tag)
            (this->*from.peer.refuse)(from, header.tag, wire::status::bad_parameter);
    }

    void on_sent(std::size_t bytes) { detail::tell(settings.observer, event::sent{bytes}); }

    void on_closed(session_type& ended, std::error_code why)
    {
        const core_pointer keep(this);
        const auto& who = ended.peer.from.who;
        note_limit(why);
        detail::tell(settings.observer, event::closed{why, who.nspace, who.rank});
        data.drop(ended.peer.from.session);
        together.drop(ended.peer.from.session);
        published.drop(ended.peer.from.session);
        listeners.drop(ended.peer.from.session);
        outputs.drop(ended.peer.from.session);
        watched.drop(ended.peer.from.session);
        cancel_upcalls(ended.peer.from.session);
        if (auto* process = jobs.find(who);
            process && process->connections != 0 && --process->connections == 0) {
            process->finalized = ended.peer.finalized;
            depart(who, *process, why != make_error_code(fault::closed_by_us));
            if constexpr (upcall::lost::in<Host>)
                if (!ended.peer.finalized && !stopped)
                    host->lost(ended.peer.from);
            forget_tool(who.nspace);
        }
        --sessions;
        unused.push_back(ended.peer.index);
        const auto last_reference = std::exchange(peers[ended.peer.index], {});
        if (sessions == 0 && on_idle)
            on_idle();
    }

    /// `tell_job`: if it is lost.
    void depart(const wire::proc& who, process_record& process, bool tell_job)
    {
        process.departed = true;
        data.departed(who);
        const auto connected = together.departed(who);
        published.departed(who);
        if (!process.finalized && !stopped)
            listeners.lost(who, user_of(who), settings.name, connected, tell_job);
        clean_up(leftovers.departed(who));
    }

    /// Away from the executor, if the host has said where.
    void clean_up(cleanups::due ended) noexcept
    {
        if (ended.empty())
            return;
        auto work = [ended = std::move(ended), entries = settings.limits.cleanup_entries] {
            for (const auto& [whose, each] : ended)
                each.what.run(entries);
        };
        if (!settings.pool)
            return work();
        try {
            asio::post(settings.pool, std::move(work));
        } catch (const std::bad_alloc&) { // the files stay
        }
    }

    ::uid_t user_of(const wire::proc& who) { return jobs.find(who.nspace)->description().uid; }

    void process_exited(const wire::proc& who, int code)
    {
        auto* process = jobs.find(who);
        if (!process)
            return;
        process->exit_code = code;
        if (process->connections == 0 && !process->departed)
            depart(who, *process, true);
    }

    bool notify(const wire::proc& about, message::notify event)
    {
        const bool everybody = about == settings.name;
        const bool known = about.rank == wire::rank::wildcard ? jobs.find(about.nspace) != nullptr
                                                              : jobs.find(about) != nullptr;
        if (!known && !everybody)
            return false;
        event.infos.push_back({std::string(key::affected), 0, wire::value::of_proc(about)});
        listeners.notify({about, everybody ? 0 : user_of(about), 0}, std::move(event), settings.name);
        return true;
    }

    /// All but its registration.
    void forget(std::string_view nspace)
    {
        data.forget(nspace);
        together.forget(nspace);
        published.forget(nspace);
        outputs.forget(nspace);
        listeners.forget(nspace);
        clean_up(leftovers.forget(nspace));
    }

    /// Ends the sessions of one namespace; with no name, all.
    void close_sessions(std::string_view nspace)
    {
        for (std::size_t i = 0; i != peers.size(); ++i)
            if (const auto each = peers[i]; each && (nspace.empty() || each->peer.from.who.nspace == nspace))
                each->close(fault::closed_by_us);
    }

    bool remove_namespace(std::string_view nspace)
    {
        if (!jobs.find(nspace))
            return false;
        close_sessions(nspace);
        forget(nspace);
        jobs.remove(nspace); // unless it was a tool's, and went with its last session
        return true;
    }

    void stop()
    {
        const core_pointer keep(this);
        if (!std::exchange(stopped, true)) // their coroutines end later, and tell nobody
            for (auto pending = handshakes.size(); pending != 0; --pending)
                detail::tell(settings.observer, event::refused{fault::closed_by_us, {}, 0, {}});
        if (arrivals)
            for ([[maybe_unused]] const auto& each : arrivals->close()) {
                detail::tell(settings.observer, event::accepted{});
                detail::tell(settings.observer, event::refused{fault::closed_by_us, {}, 0, {}});
            }
        handshakes.cancel();
        close_sessions({});
        clean_up(leftovers.all());
        on_idle = nullptr;
    }

    // requests

    /// One request. Whatever it is, it gets the one answer it is owed: messages.md section 2.
    template <class Encoding>
    void dispatch(session_type& from, std::uint32_t tag, std::span<const std::byte> payload)
    {
        if (tag < wire::first_request_tag) // unsolicited: heartbeats; input of tools comes by IOF_PUSH
            return;
        wire::cursor in(payload);
        const auto command = message::read_command<Encoding>(in, from.peer.with);
        if (!command)
            return malformed<Encoding>(from, tag, command.error());

        const auto handle = [&]<class M>(std::type_identity<M>, auto f) {
            auto request = message::read<M, Encoding>(in, from.peer.with);
            if (!request)
                return malformed<Encoding>(from, tag, request.error());
            f(*std::move(request), reply_to<typename M::reply, Encoding>(from, tag));
        };
        const auto& who = from.peer.from;
        // The host's, if it has it.
        const auto asked = [&]<class U, class M>(U, std::type_identity<M> type, auto otherwise) {
            handle(type, [&](auto request, auto reply) {
                if constexpr (U::template in<Host>)
                    call(who, U::call(*host, who, std::move(request)), std::move(reply));
                else
                    otherwise(std::move(request), std::move(reply));
            });
        };
        const auto not_supported = [](auto&&, auto&& reply) { reply.refuse(wire::status::not_supported); };
        using std::type_identity;
        switch (*command) {
        case wire::command::req:
            return handle(type_identity<message::req>(),
                          [&](auto, auto reply) { data.job_data(who, std::move(reply)); });
        case wire::command::commit:
            return handle(type_identity<message::commit>(), [&](auto request, auto reply) {
                data.commit(who, std::move(request), std::move(reply));
            });
        case wire::command::get:
            return handle(type_identity<message::get>(), [&](auto request, auto reply) {
                if constexpr (upcall::direct_modex::in<Host>)
                    if (!jobs.find(request.nspace))
                        return call(who, host->direct_modex(who, std::move(request)), std::move(reply));
                data.get(who, std::move(request), std::move(reply));
            });
        case wire::command::fence:
            return handle(type_identity<message::fence>(), [&](auto request, auto reply) {
                together.fence(who, std::move(request), std::move(reply));
            });
        case wire::command::connect:
            return handle(type_identity<message::connect>(), [&](auto request, auto reply) {
                together.connect(who, std::move(request), std::move(reply));
            });
        case wire::command::disconnect:
            return handle(type_identity<message::disconnect>(), [&](auto request, auto reply) {
                together.disconnect(who, std::move(request), std::move(reply));
            });
        case wire::command::group_construct:
            return handle(type_identity<message::group_construct>(), [&](auto request, auto reply) {
                together.construct(who, std::move(request), std::move(reply));
            });
        case wire::command::group_destruct:
            return handle(type_identity<message::group_destruct>(), [&](auto request, auto reply) {
                together.destruct(who, std::move(request), std::move(reply));
            });
        case wire::command::group_leave:
            return handle(type_identity<message::group_leave>(), [&](auto request, auto reply) {
                together.leave(who, std::move(request), std::move(reply));
            });
        case wire::command::publish:
            return asked(upcall::publish(), type_identity<message::publish>(), [&](auto request, auto reply) {
                published.publish(who, std::move(request), std::move(reply));
            });
        case wire::command::lookup:
            return asked(upcall::lookup(), type_identity<message::lookup>(), [&](auto request, auto reply) {
                published.lookup(who, std::move(request), std::move(reply));
            });
        case wire::command::unpublish:
            return asked(upcall::unpublish(), type_identity<message::unpublish>(),
                         [&](auto request, auto reply) {
                             published.unpublish(who, std::move(request), std::move(reply));
                         });
        case wire::command::finalize:
            return handle(type_identity<message::finalize>(), [&](auto, auto reply) {
                from.peer.finalized = true;
                listeners.drop(who.session);
                outputs.drop(who.session);
                watched.drop(who.session);
                reply({});
                if constexpr (upcall::finalized::in<Host>)
                    host->finalized(who);
            });
        case wire::command::register_events:
            return handle(type_identity<message::register_events>(), [&](auto request, auto reply) {
                reply({listeners.add(who, request,
                                     notifier<message::event>::template to<Encoding>(
                                         detail::local_ptr<outlet>(&from), from.peer.with))});
                listeners.catch_up(who, request);
                if constexpr (upcall::register_events::in<Host>)
                    host->register_events(who, request);
            });
        case wire::command::deregister_events: { // never answered
            const auto request = message::read<message::deregister_events, Encoding>(in, from.peer.with);
            if (!request)
                return report_malformed(from, request.error());
            listeners.remove(who, *request);
            if constexpr (upcall::deregister_events::in<Host>)
                host->deregister_events(who, *request);
            return;
        }
        case wire::command::query:
            return handle(type_identity<message::query>(), [&](auto request, auto reply) {
                query(who, std::move(request), std::move(reply));
            });
        case wire::command::resolve_peers:
            return handle(type_identity<message::resolve_peers>(),
                          [&](auto request, auto reply) { reply(questions.peers(who, request)); });
        case wire::command::resolve_node:
            return handle(type_identity<message::resolve_node>(),
                          [&](auto request, auto reply) { reply(questions.nodes(who, request)); });
        case wire::command::notify:
            return handle(type_identity<message::notify>(), [&](auto request, auto reply) {
                notify(who, std::move(request), std::move(reply));
            });
        case wire::command::abort:
            if (auto* process = jobs.find(who.who))
                process->aborted = true;
            return asked(upcall::abort(), type_identity<message::abort>(), not_supported);
        case wire::command::spawn:
            return asked(upcall::spawn(), type_identity<message::spawn>(), not_supported);
        case wire::command::log:
            return asked(upcall::log(), type_identity<message::log>(),
                         [&](auto request, auto reply) { log(who, std::move(request), std::move(reply)); });
        case wire::command::job_control:
            return handle(type_identity<message::job_control>(), [&](auto request, auto reply) {
                control(who, std::move(request), std::move(reply));
            });
        case wire::command::monitor:
            return handle(type_identity<message::monitor>(), [&](auto request, auto reply) {
                if (const auto served = watched.serve(who, request))
                    return reply.refuse(*served);
                if constexpr (upcall::monitor::in<Host>)
                    call(who, host->monitor(who, std::move(request)), std::move(reply));
                else
                    reply.refuse(wire::status::not_supported);
            });
        case wire::command::allocate:
            return asked(upcall::allocate(), type_identity<message::allocate>(), not_supported);
        case wire::command::fabric_register:
            return asked(upcall::fabric_register(), type_identity<message::fabric_register>(), not_supported);
        case wire::command::fabric_update:
            return asked(upcall::fabric_update(), type_identity<message::fabric_update>(), not_supported);
        case wire::command::get_credential:
            return asked(upcall::get_credential(), type_identity<message::get_credential>(),
                         [&](auto request, auto reply) {
                             const auto by = credentials.maker(who, request);
                             by ? call(who, credentials.make(who.uid, *by), std::move(reply))
                                : reply.refuse(wire::status::not_supported);
                         });
        case wire::command::validate_credential:
            return asked(upcall::validate_credential(), type_identity<message::validate_credential>(),
                         [&](auto request, auto reply) {
                             const auto by = credentials.judge_of(request);
                             by ? call(who, credentials.judge(who.uid, *by, std::move(request.credential)),
                                       std::move(reply))
                                : reply.refuse(wire::status::not_supported);
                         });
        case wire::command::iof_pull:
            return handle(type_identity<message::iof_pull>(), [&](auto request, auto reply) {
                outputs.pull(who, std::move(request),
                             notifier<message::output>::template to<Encoding>(
                                 detail::local_ptr<outlet>(&from), from.peer.with),
                             std::move(reply));
            });
        case wire::command::iof_deregister:
            return handle(type_identity<message::iof_deregister>(), [&](auto request, auto reply) {
                outputs.deregister(who, request, std::move(reply));
            });
        case wire::command::iof_push:
            return handle(type_identity<message::iof_push>(), [&](auto request, auto reply) {
                if constexpr (upcall::iof_push::in<Host>) {
                    auto targets = target_processes(jobs, who, std::move(request.targets));
                    if (!targets)
                        return reply.refuse(wire::status::not_found);
                    request.targets = *std::move(targets);
                    call(who, host->iof_push(who, std::move(request)), std::move(reply));
                } else {
                    not_supported(request, reply);
                }
            });
        default: break;
        }
        refuse_request<Encoding>(from, tag, wire::status::not_supported);
    }

    void notify(const requester& from, message::notify request, responder<message::status_reply> reply)
    {
        const auto tell = [this](const requester& who, message::notify event) {
            const auto heard = together.heard(who, event);
            if (heard == wire::status::success)
                listeners.notify(who, std::move(event));
            return heard;
        };
        if constexpr (upcall::notify::in<Host>) {
            auto asked = host->notify(from, request);
            ask(from, std::move(asked), std::move(reply),
                [=, request = std::move(request)](wire::status* said, auto& answer) mutable {
                    const auto outcome = said ? *said : wire::status::error;
                    answer({outcome == wire::status::success ? tell(from, std::move(request)) : outcome});
                });
        } else {
            reply({tell(from, std::move(request))});
        }
    }

    /// What is known here, and, of the rest, what the host knows.
    void query(const requester& from, message::query request, responder<message::infos_reply> reply)
    {
        auto known = questions.look_up(from, std::move(request));
        if constexpr (upcall::query::in<Host>)
            if (!known.unknown.queries.empty()) {
                auto asked = host->query(from, known.unknown);
                return ask(from, std::move(asked), std::move(reply),
                           [known = std::move(known)](message::infos_reply* said, auto& answer) mutable {
                               if (said)
                                   known.add(std::move(*said));
                               answer(std::move(known).answer());
                           });
            }
        reply(std::move(known).answer());
    }

    void log(const requester& from, message::log request, responder<message::status_reply> reply)
    {
        if constexpr (upcall::log_entry::in<Host>) {
            auto parts = take_apart(std::move(request));
            if (!parts)
                return reply.refuse(wire::status::bad_parameter);
            auto price = logged.charge(from.uid, parts->size());
            if (!price)
                return reply.refuse(wire::status::out_of_resource);
            auto logging = log_each(core_pointer(this), from, *std::move(parts), *std::move(price));
            call(from, std::move(logging), std::move(reply));
        } else {
            reply.refuse(wire::status::not_supported);
        }
    }

    static asio::awaitable<wire::status> log_each(core_pointer self, requester from, log_request request,
                                                  accounts::share)
    {
        log_outcome outcome(request.once);
        for (auto& each : request.entries) {
            if (self->stopped) // and the host may be gone
                co_return wire::status::error;
            const auto said = co_await self->host->log_entry(from, std::move(each));
            if (outcome.add(said))
                break;
        }
        co_return outcome.result();
    }

    /// Registers what is to be cleaned up, sends signals, and leaves the rest to the host.
    void control(const requester& from, message::job_control request, responder<message::infos_reply> reply)
    {
        int signal = 0;
        bool cleans = false, ours = !request.directives.empty();
        for (const auto& each : request.directives) {
            if (cleanups::takes(each.key)) {
                cleans = true;
            } else if (const auto named = signal_named(each); named && upcall::signal::in<Host>) {
                if (*named != 0 && std::exchange(signal, *named) != 0)
                    return reply.refuse(wire::status::bad_parameter); // which of the two?
            } else if (each.key == key::send_signal && upcall::signal::in<Host>) {
                return reply.refuse(wire::status::bad_parameter);
            } else {
                ours &= each.key == key::control_id;
            }
        }
        if (!ours && !upcall::job_control::in<Host>)
            return reply.refuse(wire::status::not_supported);
        if (cleans)
            if (const auto added = leftovers.add(from, request.targets, request.directives);
                added != wire::status::success)
                return reply.refuse(added);
        if (!ours) {
            if constexpr (upcall::job_control::in<Host>)
                call(from, host->job_control(from, std::move(request)), std::move(reply));
        } else if (signal == 0) {
            reply.refuse(wire::status::success);
        } else if constexpr (upcall::signal::in<Host>) {
            auto targets = processes_named(jobs, from, std::move(request.targets));
            if (!targets)
                return reply.refuse(wire::status::not_found);
            call(from, host->signal(from, signal_request{*std::move(targets), signal}), std::move(reply));
        }
    }

    /// Answers with what the host's coroutine returns.
    template <class Outcome, class Reply>
    void call(const requester& from, asio::awaitable<Outcome> upcall, responder<Reply> reply)
    {
        ask(from, std::move(upcall), std::move(reply), [](Outcome* outcome, auto& answer) {
            if constexpr (std::same_as<Outcome, wire::status>)
                answer.refuse(outcome ? *outcome : wire::status::error);
            else
                outcome ? answer(*outcome) : answer.refuse(wire::status::error);
        });
    }

    /// Runs a coroutine of the host for a session, within its limit. `end`: as of run(), and gives the answer.
    template <class Outcome, class Reply, class End>
    void ask(const requester& from, asio::awaitable<Outcome> upcall, responder<Reply> reply, End end)
    {
        const auto at = upcalls.find(from.session);
        if (at != upcalls.end() && at->second.size() >= settings.limits.upcalls_per_session)
            return reply.refuse(wire::status::out_of_resource);
        run(from.session, std::move(upcall),
            [reply = std::move(reply), end = std::move(end)](Outcome* outcome) mutable {
                end(outcome, reply);
            });
    }

    /// Runs a coroutine of the host until cancel_upcalls(whose). `end`: called with what it returned, or nothing if it
    /// threw or was cancelled.
    template <class Outcome, class End>
    void run(std::uint64_t whose, asio::awaitable<Outcome> upcall, End end)
    {
        struct listed {
            listed(core& c, std::uint64_t of) : owner(&c)
            {
                auto& list = c.upcalls[of];
                at = list.emplace(list.end(), of);
            }
            listed(listed&&) noexcept = default;
            ~listed()
            {
                if (!owner)
                    return;
                const auto of = at->whose;
                auto& list = of ? owner->upcalls.find(of)->second : owner->cancelled;
                list.erase(at);
                if (of && list.empty())
                    owner->upcalls.erase(of);
            }
            core_pointer owner;
            typename std::list<running>::iterator at;
        };
        listed entry(*this, whose);
        const auto slot = entry.at->cancel.slot();
        auto done = [entry = std::move(entry), end = std::move(end)](std::exception_ptr thrown,
                                                                     Outcome outcome) mutable {
            const bool unwanted = entry.at->whose == 0;
            end(thrown || unwanted ? nullptr : &outcome);
            if (thrown && !unwanted)
                try {
                    std::rethrow_exception(thrown);
                } catch (const std::bad_alloc&) { // the peer was told
                }
        };
        asio::co_spawn(executor, std::move(upcall), asio::bind_cancellation_slot(slot, std::move(done)));
    }

    /// All have joined an operation. True: the host decides about it, and `together` will hear of it.
    bool ask_about(wire::command kind, message::group_construct joined, std::uint64_t ticket)
    {
        const auto decide = [&]<class U, class M>(U, M m) {
            if constexpr (U::template in<Host>)
                run(ticket | of_operation, U::call(*host, std::move(m)), [this, ticket](wire::status* said) {
                    together.decided(ticket, said ? *said : wire::status::error);
                });
            return U::template in<Host>;
        };
        const auto among = [&]<class M>(M m) {
            m.processes = std::move(joined.processes);
            m.infos = std::move(joined.infos);
            return m;
        };
        switch (kind) {
        case wire::command::fence: return decide(upcall::fence(), among(message::fence()));
        case wire::command::connect: return decide(upcall::connect(), among(message::connect()));
        case wire::command::disconnect: return decide(upcall::disconnect(), among(message::disconnect()));
        case wire::command::group_construct: return decide(upcall::group_construct(), std::move(joined));
        case wire::command::group_destruct: {
            message::group_destruct m;
            m.group = std::move(joined.group);
            m.members = std::move(joined.processes);
            m.infos = std::move(joined.infos);
            return decide(upcall::group_destruct(), std::move(m));
        }
        default: return false;
        }
    }

    void cancel_upcalls(std::uint64_t whose)
    {
        const auto of = upcalls.find(whose);
        if (of == upcalls.end())
            return;
        for (auto& each : of->second)
            each.whose = 0;
        const auto end = cancelled.end();
        auto at = of->second.empty() ? end : of->second.begin();
        cancelled.splice(end, of->second);
        upcalls.erase(of);
        while (at != end)
            (at++)->cancel.emit(asio::cancellation_type::terminal);
    }

    template <class Encoding>
    void malformed(session_type& from, std::uint32_t tag, std::error_code why)
    {
        report_malformed(from, why);
        refuse_request<Encoding>(from, tag, wire::status::unpack_failure);
    }

    void report_malformed(session_type& from, std::error_code why)
    {
        const auto& who = from.peer.from.who;
        detail::tell(settings.observer, event::malformed{why, who.nspace, who.rank});
    }

    template <class Encoding>
    void refuse_request(session_type& from, std::uint32_t tag, wire::status why)
    {
        reply_to<message::status_reply, Encoding>(from, tag)({why});
    }

    template <class Reply, class Encoding>
    responder<Reply> reply_to(session_type& from, std::uint32_t tag)
    {
        return responder<Reply>::template to<Encoding>(detail::local_ptr<outlet>(&from), tag, from.peer.with);
    }

    asio::any_io_executor executor;
    registry& jobs;
    Host* host;
    server_settings<P> settings;
    result<security::kernel_lookup> kernel;
    queue handshakes;
    std::shared_ptr<detail::inbox> arrivals; ///< none if a Stream cannot be handed over
    detail::blocking_pool pool;
    credential_desk<P> credentials;
    deadlines<typename P::clock> clock;
    store data;
    publications published;
    events listeners;
    collectives together;
    forwarding outputs;
    queries questions;
    monitoring watched;
    cleanups leftovers;
    accounts logged;
    detail::slab memory{sizeof(pooled)}; ///< of sessions
    read_buffer reads;
    struct running {
        explicit running(std::uint64_t of) : whose(of) {}
        std::uint64_t whose; ///< a session's, or an operation's with of_operation; 0: cancelled
        asio::cancellation_signal cancel;
    };
    static constexpr std::uint64_t of_operation = std::uint64_t{1} << 63;
    std::map<std::uint64_t, std::list<running>> upcalls; ///< of the host, under way, by whose they are
    std::list<running> cancelled;                        ///< that have not ended yet
    std::vector<session_pointer> peers;                  ///< by index
    std::vector<std::uint32_t> unused;                   ///< free indices
    std::size_t sessions = 0;
    std::uint64_t last_session = 0, last_tool = 0;
    std::function<void()> on_idle;
    bool stopped = false;
};

} // namespace pmixio
