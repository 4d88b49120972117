// What a host may know and decide: functions of the host object that a server finds at compile time. Each is optional.
#pragma once

#include <pmixio/detail/asio.hpp>
#include <pmixio/handshake/identity.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/message/process.hpp>

#include <concepts>
#include <string>
#include <vector>

namespace pmixio {

/// A host with nothing to say.
struct no_host {};

/// `void connected(const identity&)`: a peer was admitted and answered.
template <class Host>
concept wants_connected = requires(Host& host, const identity& who) { host.connected(who); };

/// `void finalized(const requester&)`: a process said that it is done; its connection is about to end.
template <class Host>
concept wants_finalized = requires(Host& host, const requester& who) { host.finalized(who); };

/// `void lost(const requester&)`: a process's last connection ended, and it had not finalized. The process may still be
/// running: only its exit tells.
template <class Host>
concept wants_lost = requires(Host& host, const requester& who) { host.lost(who); };

/// A tool, launcher or singleton that no job has. Who it runs for is proven, what it says of itself is not.
struct tool_request {
    identity peer;
    std::string version;           ///< of its library
    std::vector<wire::info> infos; ///< what it was initialised with, and e.g. `pmix.ppid`, `pmix.cmd.line`
};

/// `asio::awaitable<result<wire::proc>> tool_connected(tool_request)`: may such a peer connect, and as whom? Return
/// `request.peer.who()` to accept it: a tool without a name gets one then, or the one returned instead. A tool that has a
/// name cannot be given another (refused_by_host). Errors are told to the peer as status_for() says. The handshake's
/// deadline covers the call; it is cancelled at its end.
/// Without it: tools of this process's user and of root are accepted.
template <class Host>
concept names_tools = requires(Host& host, tool_request request) {
    { host.tool_connected(std::move(request)) } -> std::same_as<asio::awaitable<result<wire::proc>>>;
};

/// `asio::awaitable<wire::status> abort(requester, message::abort)`: a process wants processes killed. It is answered when
/// the coroutine returns, and waits for that: return first, kill then. Without it: NOT_SUPPORTED.
template <class Host>
concept handles_abort = requires(Host& host, requester from, message::abort request) {
    { host.abort(from, request) } -> std::same_as<asio::awaitable<wire::status>>;
};

/// For a host that keeps what processes publish, e.g. where more than one node shall find it: all three of
/// `asio::awaitable<wire::status> publish(requester, message::publish)`,
/// `asio::awaitable<message::lookup_reply> lookup(requester, message::lookup)` and
/// `asio::awaitable<wire::status> unpublish(requester, message::unpublish)`. Each is answered when its coroutine returns,
/// directives are the host's to obey, and what it keeps is its own to limit; `requester::uid` is proven, the uid in the
/// message is not. An answer to a process that is gone meanwhile goes nowhere. Without them: the server keeps it, see
/// host/publications.hpp.
template <class Host>
concept handles_publish = requires(Host& host, requester from, message::publish request) {
    { host.publish(from, request) } -> std::same_as<asio::awaitable<wire::status>>;
};
template <class Host>
concept handles_lookup = requires(Host& host, requester from, message::lookup request) {
    { host.lookup(from, request) } -> std::same_as<asio::awaitable<message::lookup_reply>>;
};
template <class Host>
concept handles_unpublish = requires(Host& host, requester from, message::unpublish request) {
    { host.unpublish(from, request) } -> std::same_as<asio::awaitable<wire::status>>;
};
template <class Host>
concept keeps_publications = handles_publish<Host> && handles_lookup<Host> && handles_unpublish<Host>;

} // namespace pmixio
