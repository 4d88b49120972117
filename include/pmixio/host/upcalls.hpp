// What a host may know and decide: functions of the host object that a server finds at compile time. Each is optional.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/handshake/identity.hpp>
#include <pmixio/host/entrance.hpp>
#include <pmixio/host/logging.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/host/signals.hpp>
#include <pmixio/message/collective.hpp>
#include <pmixio/message/control.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/message/forwarding.hpp>
#include <pmixio/message/process.hpp>
#include <pmixio/message/spawn.hpp>

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace pmixio {

/// A host with nothing to say.
struct no_host {};

/// A tool, launcher or singleton that no job has. Who it runs for is proven, what it says of itself is not.
struct tool_request {
    identity peer;
    std::string version;           ///< of its library
    std::vector<wire::info> infos; ///< what it was initialised with, and e.g. `pmix.ppid`, `pmix.cmd.line`
};

/// The upcalls. Of each, FORM is what the host's function of that name looks like; a function of the name that cannot be
/// called so, or returns something else, is an error at compile time that says so.
///
/// Those that return an awaitable answer a request with what they return, or with ERROR if they throw, which is then
/// rethrown, but for std::bad_alloc. They run on the server's executor, and are cancelled (terminal) when the session that
/// asked ends, or the server is stopped or destroyed; a host's coroutine may end then without an answer, by the exception of
/// the operation that was cancelled. What it awaits on another thread's executor must not be cancelled: reset the
/// cancellation state first. `requester::uid` is proven; what the message says of its sender is not.
///
/// The others are told, or answer at once, and must not throw.
namespace upcall {

template <class Result, class... Arguments>
struct form {
    using result = Result;
    template <class Call, class Host>
    static constexpr bool fits = requires(Call call, Host& host, Arguments... arguments) {
        { call(host, std::forward<Arguments>(arguments)...) } -> std::same_as<Result>;
    };
};

/// A coroutine that answers a request. A lone status stands for the reply that is one.
template <class Request>
using outcome = std::conditional_t<std::same_as<typename Request::reply, message::status_reply>, wire::status,
                                   typename Request::reply>;
template <class Request>
struct answers : form<asio::awaitable<outcome<Request>>, const requester&, Request> {};
/// A coroutine that is asked once per operation, when all its local participants have joined.
template <class Request>
struct completes : form<asio::awaitable<wire::status>, Request> {};

/// `in<Host>`: whether the host has it. `call(host, ...)`: calls it. `check<Host>()`: compiles unless the host has it in
/// another form.
#define PMIXIO_UPCALL(NAME, FORM, ...)                                                                       \
    struct NAME : __VA_ARGS__ {                                                                              \
        static constexpr auto call =                                                                         \
            []<class Host, class... T>(                                                                      \
                Host& host, T&&... arguments) -> decltype(host.NAME(std::forward<T>(arguments)...)) {        \
            return host.NAME(std::forward<T>(arguments)...);                                                 \
        };                                                                                                   \
        template <class Host>                                                                                \
        static constexpr bool in = NAME::template fits<decltype(call), Host>;                                \
        template <class Host>                                                                                \
        static constexpr bool check()                                                                        \
        {                                                                                                    \
            static_assert(in<Host> || !named<Host>(), "the host's " #NAME " is not of the form " FORM);      \
            return true;                                                                                     \
        }                                                                                                    \
                                                                                                             \
    private:                                                                                                 \
        struct same_name {                                                                                   \
            int NAME;                                                                                        \
        };                                                                                                   \
        template <class Host>                                                                                \
        struct together : Host, same_name {};                                                                \
        template <class Host>                                                                                \
        static constexpr bool named()                                                                        \
        {                                                                                                    \
            if constexpr (std::is_final_v<Host>)                                                             \
                return requires { &Host::NAME; };                                                            \
            else /* ambiguous? */                                                                            \
                return !requires { &together<Host>::NAME; };                                                 \
        }                                                                                                    \
    }

/// A peer has come whose namespace this server does not know: which other server of this process has it? The connection goes
/// that way as it is, and is not handed over again. An entrance that leads nowhere: none; the peer stays, as do all without
/// a namespace. Called before anything is answered or proven, on this server's thread, and must return at once; what it
/// looks at is the host's to keep safe, e.g. a copy for each server. Without it: all stay.
PMIXIO_UPCALL(elsewhere, "entrance elsewhere(std::string_view nspace)", form<entrance, std::string_view>);

/// A peer was admitted and answered.
PMIXIO_UPCALL(connected, "void connected(const identity&)", form<void, const identity&>);

/// A process said that it is done; its connection is about to end.
PMIXIO_UPCALL(finalized, "void finalized(const requester&)", form<void, const requester&>);

/// A process's last connection ended, and it had not finalized. The process may still be running: only its exit tells.
PMIXIO_UPCALL(lost, "void lost(const requester&)", form<void, const requester&>);

/// May such a peer connect, and as whom? Return `request.peer.who()` to accept it: a tool without a name gets one then, or
/// the one returned instead. A tool that has a name cannot be given another (refused_by_host). Errors are told to the peer
/// as status_for() says. The handshake's deadline covers the call; it is cancelled at its end.
/// Without it: tools of this process's user and of root are accepted.
PMIXIO_UPCALL(tool_connected, "asio::awaitable<result<wire::proc>> tool_connected(tool_request)",
              form<asio::awaitable<result<wire::proc>>, tool_request>);

/// A process wants processes killed. It waits for the answer: return first, kill then. Without it: NOT_SUPPORTED.
PMIXIO_UPCALL(abort, "asio::awaitable<wire::status> abort(requester, message::abort)",
              answers<message::abort>);

/// A process wants a job started. The namespace returned must be registered by then. Without it: NOT_SUPPORTED.
PMIXIO_UPCALL(spawn, "asio::awaitable<message::spawn_reply> spawn(requester, message::spawn)",
              answers<message::spawn>);

/// Data of a process that no registered job has. Without it: NOT_FOUND.
PMIXIO_UPCALL(direct_modex, "asio::awaitable<message::get_reply> direct_modex(requester, message::get)",
              answers<message::get>);

/// For a host that keeps what processes publish, e.g. where more than one node shall find it: all three of these, or none.
/// Directives are the host's to obey, and what it keeps is its own to limit. Without them: the server keeps it, see
/// host/publications.hpp.
PMIXIO_UPCALL(publish, "asio::awaitable<wire::status> publish(requester, message::publish)",
              answers<message::publish>);
PMIXIO_UPCALL(lookup, "asio::awaitable<message::lookup_reply> lookup(requester, message::lookup)",
              answers<message::lookup>);
PMIXIO_UPCALL(unpublish, "asio::awaitable<wire::status> unpublish(requester, message::unpublish)",
              answers<message::unpublish>);

/// All participants of an operation have joined, and it shall end with the status that is returned. The message has the
/// attributes of the first that joined. Cancelled when nobody waits for it any more. Without them: success.
PMIXIO_UPCALL(fence, "asio::awaitable<wire::status> fence(message::fence)", completes<message::fence>);
PMIXIO_UPCALL(connect, "asio::awaitable<wire::status> connect(message::connect)",
              completes<message::connect>);
PMIXIO_UPCALL(disconnect, "asio::awaitable<wire::status> disconnect(message::disconnect)",
              completes<message::disconnect>);
PMIXIO_UPCALL(group_construct, "asio::awaitable<wire::status> group_construct(message::group_construct)",
              completes<message::group_construct>);
PMIXIO_UPCALL(group_destruct, "asio::awaitable<wire::status> group_destruct(message::group_destruct)",
              completes<message::group_destruct>);

/// A process registers for events, or does not want them any more.
PMIXIO_UPCALL(register_events, "void register_events(const requester&, const message::register_events&)",
              form<void, const requester&, const message::register_events&>);
PMIXIO_UPCALL(deregister_events,
              "void deregister_events(const requester&, const message::deregister_events&)",
              form<void, const requester&, const message::deregister_events&>);

/// A process has an event for others. If SUCCESS is returned, those of this server get it then. Without it: the same.
PMIXIO_UPCALL(notify, "asio::awaitable<wire::status> notify(requester, message::notify)",
              answers<message::notify>);

/// A process asks for keys that the server has no answer to; the message has only these. Without it: they are not found.
PMIXIO_UPCALL(query, "asio::awaitable<message::infos_reply> query(requester, message::query)",
              answers<message::query>);

/// A process has something for a log; once per entry of its request, one after the other. The request ends with SUCCESS,
/// PARTIAL_SUCCESS, or with what the first entry met if none was logged; NOT_SUPPORTED is for those that the host does not
/// take. Writing may block: not here. Without it: NOT_SUPPORTED.
PMIXIO_UPCALL(log_entry, "asio::awaitable<wire::status> log_entry(requester, log_entry)",
              form<asio::awaitable<wire::status>, const requester&, pmixio::log_entry>);

/// The same for a host that wants the request as it came. Without it: log_entry.
PMIXIO_UPCALL(log, "asio::awaitable<wire::status> log(requester, message::log)", answers<message::log>);

/// A process wants others to get a signal. Without it: job_control. It waits for the answer: return first, signal then, if
/// it is one of them.
PMIXIO_UPCALL(signal, "asio::awaitable<wire::status> signal(requester, signal_request)",
              form<asio::awaitable<wire::status>, const requester&, signal_request>);

/// A process wants a job controlled in ways that the server has no part in, or not in all: the message has also what the
/// server does itself, see host/cleanup.hpp, and signals. Without it: NOT_SUPPORTED.
PMIXIO_UPCALL(job_control,
              "asio::awaitable<message::infos_reply> job_control(requester, message::job_control)",
              answers<message::job_control>);

/// A process wants something watched that the server does not watch itself. Without it: NOT_SUPPORTED.
PMIXIO_UPCALL(monitor, "asio::awaitable<message::infos_reply> monitor(requester, message::monitor)",
              answers<message::monitor>);

/// A process wants resources. Without it: NOT_SUPPORTED.
PMIXIO_UPCALL(allocate, "asio::awaitable<message::infos_reply> allocate(requester, message::allocate)",
              answers<message::allocate>);

/// A process wants a credential made, or one judged. Without them: the server's security policies, as far as they can.
PMIXIO_UPCALL(get_credential,
              "asio::awaitable<message::credential_reply> get_credential(requester, message::get_credential)",
              answers<message::get_credential>);
PMIXIO_UPCALL(
    validate_credential,
    "asio::awaitable<message::infos_reply> validate_credential(requester, message::validate_credential)",
    answers<message::validate_credential>);

/// A process wants to know of a fabric, or what has become of it. Without them: NOT_SUPPORTED.
PMIXIO_UPCALL(fabric_register,
              "asio::awaitable<message::infos_reply> fabric_register(requester, message::fabric_register)",
              answers<message::fabric_register>);
PMIXIO_UPCALL(fabric_update,
              "asio::awaitable<message::infos_reply> fabric_update(requester, message::fabric_update)",
              answers<message::fabric_update>);

/// A process has input for others; no data, or data of no bytes: the end of it. Its targets are processes of this server that
/// it may see, sorted and each once; or none, if it named none. Without it: NOT_SUPPORTED.
PMIXIO_UPCALL(iof_push, "asio::awaitable<wire::status> iof_push(requester, message::iof_push)",
              answers<message::iof_push>);

#undef PMIXIO_UPCALL

/// Whether the host keeps publications.
template <class Host>
inline constexpr bool keeps_publications = publish::in<Host> && lookup::in<Host> && unpublish::in<Host>;

/// Compiles if all that the host has is of the expected form. Host must be complete.
template <class Host>
constexpr void check()
{
    const auto all = []<class... Upcall>(std::type_identity<Upcall>...) {
        return (Upcall::template check<Host>() && ...);
    };
    using std::type_identity;
    static_assert(all(
        type_identity<connected>(), type_identity<finalized>(), type_identity<lost>(),
        type_identity<tool_connected>(), type_identity<upcall::abort>(), type_identity<spawn>(),
        type_identity<direct_modex>(), type_identity<publish>(), type_identity<lookup>(),
        type_identity<unpublish>(), type_identity<fence>(), type_identity<upcall::connect>(),
        type_identity<disconnect>(), type_identity<group_construct>(), type_identity<group_destruct>(),
        type_identity<register_events>(), type_identity<deregister_events>(), type_identity<notify>(),
        type_identity<query>(), type_identity<upcall::log_entry>(), type_identity<upcall::log>(),
        type_identity<upcall::signal>(), type_identity<job_control>(), type_identity<monitor>(),
        type_identity<allocate>(), type_identity<fabric_register>(), type_identity<fabric_update>(),
        type_identity<get_credential>(), type_identity<validate_credential>(), type_identity<iof_push>(),
        type_identity<elsewhere>()));
    static_assert(keeps_publications<Host> || !(publish::in<Host> || lookup::in<Host> || unpublish::in<Host>),
                  "a host has all of publish, lookup and unpublish, or none");
}

} // namespace upcall

} // namespace pmixio
