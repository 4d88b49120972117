// server: one PMIx server. Composes the rooms below it and holds all their state.
#pragma once

#include <pmixio/handshake/identity.hpp>
#include <pmixio/handshake/parse.hpp>
#include <pmixio/handshake/pending.hpp>
#include <pmixio/handshake/reply.hpp>
#include <pmixio/host/collectives.hpp>
#include <pmixio/host/deadlines.hpp>
#include <pmixio/host/events.hpp>
#include <pmixio/host/queries.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/store.hpp>
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

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
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
    /// Encodings that children are told of. v51 and v61 are left for those who ask: 6.x speaks v41 as well.
    std::array<bool, P::buffer_ops::size> advertised = P::buffer_ops::those_in("v41,v4,v3,v21");
    typename P::security::instances policies;
    typename P::observer observer;
};

/// One PMIx server for the processes of one node. Everything happens on its executor, which must run one function at a
/// time: a single-threaded context or a strand. Several servers in one process share nothing.
///
/// A connection's way is admit(); its stages are public: parse_handshake, resolve, validate, introduce (for tools only) and
/// reply. State changes in the last of them only, after the peer's identity is proven.
///
/// Host: an object whose functions are found at compile time, see upcalls.hpp. What it lacks, the library does itself.
///
/// The registry, the host and the executor must outlive the server. Destroying the server ends all its connections;
/// its coroutines that are under way complete with operation_aborted.
template <host_policies P, class Host = no_host>
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
    std::size_t pending_collectives() const noexcept { return core_->fences.pending(); }

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

    /// Accepts connections and admits each, until the listener is closed or the caller cancelled; completes with why.
    /// Connections are served on after that. The listener must outlive the call.
    asio::awaitable<std::error_code> serve(listener& from) { return serve_from(core_, from); }

    /// The whole way from a connection to a session, under the handshake's deadline. Completes when the peer is admitted,
    /// and served from then on; or refused, told so if its release listens, and closed: with the reason.
    asio::awaitable<result<void>> admit(socket connection) { return admit_one(core_, std::move(connection)); }

    /// hello -> claim. Changes nothing.
    result<claim> resolve(hello said) const
    {
        return pmixio::resolve<P>(std::move(said), core_->jobs, core_->settings.offered);
    }

    /// claim -> identity: asks the security policy, and for it the kernel. Changes nothing.
    result<identity> validate(const socket& connection, const claim& c)
    {
        return core_->validate(connection, c);
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
    result<std::uint32_t> reply(socket connection, const identity& who)
    {
        return core_->reply(std::move(connection), who);
    }

    /// Tells a peer why it is not admitted, if its release listens, and closes.
    void refuse(socket connection, std::error_code why, const wire::release& release = {})
    {
        core_->refuse(connection, why, release, {});
    }

    /// The host knows that a process has ended. Who waits for it is released, even if it never connected.
    void process_exited(const wire::proc& who) { core_->process_exited(who); }

    /// Ends the sessions of a namespace, releases who waits for it, and removes it from the registry.
    bool remove_namespace(std::string_view nspace) { return core_->remove_namespace(nspace); }

    /// Ends every session at once.
    void close_sessions() { core_->close_sessions({}); }

    /// As destruction does, while the server's observer and registry can still be asked.
    void stop() { core_->stop(); }

    /// Waits until no session is left, or the time is over and then ends those that are. True: none was left.
    /// Close the listener first, or new ones come. One drain at a time.
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
        while (true) {
            auto connection = co_await from.accept(self->settings.limits.accept_pause, paused);
            if (!connection)
                co_return connection.error();
            if (self->stopped)
                co_return make_error_code(asio::error::operation_aborted);
            asio::co_spawn(self->executor, admit_and_forget(self, *std::move(connection)), rethrow);
        }
    }

    static asio::awaitable<void> admit_and_forget(core_pointer self, socket connection)
    {
        (void)co_await admit_one(std::move(self), std::move(connection)); // the observer has heard of it
    }

    static asio::awaitable<result<void>> admit_one(core_pointer self, socket connection)
    {
        detail::tell(self->settings.observer, event::accepted{});
        const auto since = P::clock::now();
        if (self->handshakes.size() >= self->settings.limits.pending_handshakes)
            co_return self->refuse(connection, fault::too_many_pending, {}, {});

        typename core::queue::template entry<socket> waiting(self->handshakes, connection);
        auto said = co_await parse_handshake(connection, self->settings.limits.handshake_bytes);
        if (self->stopped)
            co_return make_error_code(asio::error::operation_aborted);
        if (!said)
            co_return self->refuse(connection, waiting.expired() ? fault::handshake_timeout : said.error(),
                                   {}, {});

        const auto release = said->release;
        const wire::proc claimed{std::string(said->nspace.value_or("")), said->rank};
        const auto matched = pmixio::resolve<P>(*std::move(said), self->jobs, self->settings.offered);
        if (!matched)
            co_return self->refuse(connection, matched.error(), release, claimed);
        auto proven = self->validate(connection, *matched);
        if (!proven)
            co_return self->refuse(connection, proven.error(), release, claimed);
        if (!proven->accepted()) {
            proven = co_await within<typename P::clock>(
                self->settings.limits.handshake - (P::clock::now() - since),
                introduce_tool(self, *matched, *std::move(proven)), fault::handshake_timeout);
            if (self->stopped)
                co_return make_error_code(asio::error::operation_aborted);
            if (!proven)
                co_return self->refuse(connection, proven.error(), release, claimed);
        }
        waiting.leave();
        if (const auto index = self->reply(std::move(connection), *proven); !index)
            co_return index.error();
        co_return result<void>();
    }

    static asio::awaitable<result<identity>> introduce_tool(core_pointer self, const claim& c, identity who)
    {
        if (who.accepted())
            co_return who;
        auto infos = P::buffer_ops::visit(
            c.encoding, [&]<class E>(std::type_identity<E>) { return decode_attributes<E>(c.said); });
        if (!infos)
            co_return infos.error();
        if constexpr (names_tools<Host>) {
            tool_request asked{who, std::string(c.said.version), *std::move(infos)};
            auto name = co_await self->host->tool_connected(std::move(asked));
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
template <host_policies P, class Host>
struct server<P, Host>::core : detail::local_counted {
    using queue = handshake_queue<typename P::clock>;
    struct peer;
    using session_type = session<socket, core>;
    using session_pointer = detail::local_ptr<session_type>;

    /// What a session knows of who is at its other end.
    struct peer {
        requester from;
        wire::agreement with;
        std::uint32_t index = 0;
        bool finalized = false;
        /// dispatch() and refuse_request() for the encoding of this peer, picked once.
        void (core::*handle)(session_type&, std::uint32_t tag, std::span<const std::byte>) = nullptr;
        void (core::*refuse)(session_type&, std::uint32_t tag, wire::status) = nullptr;
    };

    core(asio::any_io_executor ex, registry& known, Host* asked, server_settings<P> given)
        : executor(std::move(ex)), jobs(known), host(asked), settings(std::move(given)),
          kernel(security::kernel_lookup::open()), handshakes(executor, settings.limits.handshake),
          clock(executor), data(jobs, clock, settings.name), fences(jobs, clock),
          questions(jobs, settings.name)
    {
        if (kernel)
            if (const auto works = kernel->self_test(); !works)
                kernel = works.error();
    }

    // the handshake

    result<identity> validate(const socket& connection, const claim& c)
    {
        return pmixio::validate<P>(c, settings.policies, [&]() -> result<security::kernel_peer> {
            if (!kernel)
                return kernel.error();
            auto answer = kernel->ask(connection.local().data(), connection.remote().data());
            std::error_code
                gone; // reset meanwhile: the answer may be about who took the pair of addresses after that
            connection.remote_endpoint(gone);
            return answer && gone ? fault::kernel_unknown : std::move(answer);
        });
    }

    std::error_code refuse(socket& connection, std::error_code why, const wire::release& release,
                           const wire::proc& claimed)
    {
        detail::tell(settings.observer, event::refused{why, claimed.nspace, claimed.rank});
        std::error_code ignored;
        if (why != refusal::gone && obeys_status(release)) {
            wire::byte_buffer bytes;
            wire::writer out(bytes);
            append_status(out, status_for(why));
            connection.non_blocking(true, ignored);
            connection.write_some(asio::buffer(bytes), ignored);
            connection.shutdown(socket::shutdown_send, ignored);
        }
        connection.close(ignored);
        return why;
    }

    result<std::uint32_t> reply(socket connection, const identity& who)
    {
        const auto found = place_for(who);
        if (!found)
            return refuse(connection, found.error(), who.release(), who.who());
        auto* process = *found;

        const auto index = free_index();
        wire::byte_buffer bytes;
        wire::writer out(bytes);
        if (wants_client_reply(who.kind(), who.release()))
            append_client_reply(out, index);
        else if (is_legacy(who.kind()))
            append_legacy_tool_reply(out, settings.name, who.who().nspace);
        else
            append_tool_reply(out, settings.name,
                              needs_identity(who.kind()) ? std::optional(who.who()) : std::nullopt);
        std::error_code failed;
        connection.non_blocking(true, failed);
        if (!failed && connection.write_some(asio::buffer(bytes), failed) != bytes.size() && !failed)
            failed = fault::closed_by_peer;
        if (failed) {
            unused.push_back(index);
            forget_tool(who.who().nspace);
            return refuse(connection, failed, who.release(), who.who());
        }
        connection.set_option(asio::ip::tcp::no_delay(true), failed);

        peer state{{who.who(), who.uid(), ++last_session},
                   {who.buffer(), who.release()},
                   index,
                   false,
                   nullptr,
                   nullptr};
        P::buffer_ops::visit(who.encoding(), [&]<class E>(std::type_identity<E>) {
            state.handle = &core::template dispatch<E>;
            state.refuse = &core::template refuse_request<E>;
        });
        const session_pointer made(
            new session_type(std::move(connection), *this, settings.limits, reads, std::move(state)));
        peers[index] = made;
        ++sessions;
        ++process->connections;
        process->departed = false;
        detail::tell(settings.observer, event::admitted{who.who().nspace, who.who().rank, who.uid(),
                                                        P::security::names[who.security()],
                                                        P::buffer_ops::names[who.encoding()]});
        if constexpr (wants_connected<Host>)
            host->connected(who);
        if (!made->closed())
            made->start();
        return index;
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
        data.forget(name);
        fences.forget(name);
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
        peers.emplace_back();
        return static_cast<std::uint32_t>(peers.size() - 1);
    }

    // sessions

    void on_frame(session_type& from, const wire::frame_header& header, std::span<const std::byte> payload)
    {
        detail::tell(settings.observer, event::received{wire::frame_header_size + payload.size()});
        if (payload.empty()) // a heartbeat, or nothing at all
            return;
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
        detail::tell(settings.observer, event::closed{why, who.nspace, who.rank});
        data.drop(ended.peer.from.session);
        fences.drop(ended.peer.from.session);
        listeners.drop(ended.peer.from.session);
        if (auto* process = jobs.find(who);
            process && process->connections != 0 && --process->connections == 0) {
            depart(who, *process);
            if constexpr (wants_lost<Host>)
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

    void depart(const wire::proc& who, process_record& process)
    {
        process.departed = true;
        data.departed(who);
        fences.departed(who);
    }

    void process_exited(const wire::proc& who)
    {
        if (auto* process = jobs.find(who); process && process->connections == 0 && !process->departed)
            depart(who, *process);
    }

    /// Ends the sessions of one namespace; with no name, all.
    void close_sessions(std::string_view nspace)
    {
        const auto now = peers; // closing changes it
        for (const auto& each : now)
            if (each && (nspace.empty() || each->peer.from.who.nspace == nspace))
                each->close(fault::closed_by_us);
    }

    bool remove_namespace(std::string_view nspace)
    {
        if (!jobs.find(nspace))
            return false;
        close_sessions(nspace);
        data.forget(nspace);
        fences.forget(nspace);
        jobs.remove(nspace); // unless it was a tool's, and went with its last session
        return true;
    }

    void stop()
    {
        const core_pointer keep(this);
        stopped = true;
        handshakes.cancel();
        close_sessions({});
        on_idle = nullptr;
    }

    // requests

    /// One request. Whatever it is, it gets the one answer it is owed: messages.md section 2.
    template <class Encoding>
    void dispatch(session_type& from, std::uint32_t tag, std::span<const std::byte> payload)
    {
        if (tag < wire::first_request_tag) // unsolicited: heartbeats, input of tools; nobody asked for them
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
        switch (*command) {
        case wire::command::req:
            return handle(std::type_identity<message::req>{},
                          [&](auto, auto reply) { data.job_data(who, std::move(reply)); });
        case wire::command::commit:
            return handle(std::type_identity<message::commit>{}, [&](auto request, auto reply) {
                data.commit(who, std::move(request), std::move(reply));
            });
        case wire::command::get:
            return handle(std::type_identity<message::get>{}, [&](auto request, auto reply) {
                data.get(who, std::move(request), std::move(reply));
            });
        case wire::command::fence:
            return handle(std::type_identity<message::fence>{}, [&](auto request, auto reply) {
                fences.fence(who, std::move(request), std::move(reply));
            });
        case wire::command::finalize:
            return handle(std::type_identity<message::finalize>{}, [&](auto, auto reply) {
                from.peer.finalized = true;
                listeners.drop(who.session);
                reply({});
                if constexpr (wants_finalized<Host>)
                    host->finalized(who);
            });
        case wire::command::abort:
            if constexpr (handles_abort<Host>)
                return handle(std::type_identity<message::abort>{}, [&](auto request, auto reply) {
                    call(host->abort(who, std::move(request)), std::move(reply));
                });
            break;
        case wire::command::register_events:
            return handle(std::type_identity<message::register_events>{}, [&](auto request, auto reply) {
                listeners.add(who, request,
                              notifier<message::event>::template to<Encoding>(
                                  detail::local_ptr<outlet>(&from), from.peer.with));
                reply({});
            });
        case wire::command::deregister_events: { // never answered
            const auto request = message::read<message::deregister_events, Encoding>(in, from.peer.with);
            return request ? listeners.remove(who, *request) : report_malformed(from, request.error());
        }
        case wire::command::query:
            return handle(std::type_identity<message::query>{},
                          [&](auto request, auto reply) { reply(questions.answer(who, request)); });
        case wire::command::notify:
            return handle(std::type_identity<message::notify>{}, [&](auto request, auto reply) {
                reply({});
                listeners.notify(who, std::move(request));
            });
        default: break;
        }
        refuse_request<Encoding>(from, tag, wire::status::not_supported);
    }

    /// Answers with what the host's coroutine returns.
    void call(asio::awaitable<wire::status> upcall, responder<message::status_reply> reply)
    {
        asio::co_spawn(executor, std::move(upcall),
                       [reply = std::move(reply)](std::exception_ptr thrown, wire::status outcome) mutable {
                           reply({thrown ? wire::status::error : outcome});
                           if (thrown)
                               std::rethrow_exception(thrown);
                       });
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
    deadlines<typename P::clock> clock;
    store data;
    collectives fences;
    events listeners;
    queries questions;
    read_buffer reads;
    std::vector<session_pointer> peers; ///< by index
    std::vector<std::uint32_t> unused;  ///< free indices
    std::size_t sessions = 0;
    std::uint64_t last_session = 0, last_tool = 0;
    std::function<void()> on_idle;
    bool stopped = false;
};

} // namespace pmixio
