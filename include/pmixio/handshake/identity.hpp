// From what a peer says to who it is: hello -> claim -> identity. Each is a type of its own, so that unverified data cannot
// reach code that needs verified data.
#pragma once

#include <pmixio/handshake/hello.hpp>
#include <pmixio/policies.hpp>
#include <pmixio/result.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pmixio {

/// What a host knows of a process before it connects.
struct registration {
    ::uid_t uid = 0;
    ::gid_t gid = 0;
};

/// Requirements on a registry R: `r.find_process(nspace, rank)` is the registration of that process, or unknown_namespace
/// or unknown_rank. Called once per handshake; nothing is changed.
template <class R>
concept process_directory = requires(const R& registry, std::string_view nspace, wire::rank_type rank) {
    { registry.find_process(nspace, rank) } -> std::same_as<result<registration>>;
};

/// A hello that matches a registration, and what its connection would use. Still unverified.
struct claim {
    hello said;
    registration registered; ///< of a tool that nobody registered: what it says of itself
    bool is_registered = false;
    std::size_t security = 0; ///< position in the host's securities<>
    std::size_t encoding = 0; ///< position in the host's encodings<>
};

/// Which elements of the compiled-in lists a server offers.
template <host_policies P>
struct offer {
    std::array<bool, P::security::size> securities = P::security::all();
    std::array<bool, P::buffer_ops::size> encodings = P::buffer_ops::all();
};

/// Matches a hello with what is registered and offered. Changes nothing.
///
/// A client must be registered. So must be the rank of a started tool or singleton, if its namespace is; every other tool is
/// its own word for who it is, and for whom it runs, and must bring no name of a registered process.
/// Faults: unsupported_security, unsupported_encoding, unknown_namespace, unknown_rank, name_taken.
template <host_policies P, process_directory Registry>
result<claim> resolve(hello said, const Registry& registry, const offer<P>& offered = {})
{
    const auto security =
        P::security::pick_for(said.kind == peer_kind::client, said.security, offered.securities);
    if (!security)
        return fault::unsupported_security;
    const auto encoding = P::buffer_ops::pick(said.encoding, offered.encodings);
    if (!encoding)
        return fault::unsupported_encoding;
    registration who{said.uid.value_or(0), said.gid.value_or(0)};
    bool is_registered = false;
    if (said.nspace) {
        const auto registered = registry.find_process(*said.nspace, said.rank);
        const bool unused = !registered && registered.error() == fault::unknown_namespace;
        if (said.kind == peer_kind::client || (was_started(said.kind) && !unused)) {
            if (!registered)
                return registered.error();
            who = *registered;
            is_registered = true;
        } else if (!unused) {
            return fault::name_taken;
        } else if (said.nspace->empty()) {
            return fault::unknown_namespace;
        } else if (said.rank >= wire::rank::first_reserved) {
            return fault::unknown_rank;
        }
    }
    return claim{std::move(said), who, is_registered, *security, *encoding};
}

/// What a policy is to look at.
inline security::evidence evidence_of(const claim& c, result<security::kernel_peer> kernel)
{
    return {c.said.credential,          c.registered.uid, c.registered.gid, kernel,
            c.said.nspace.value_or(""), c.said.rank};
}

namespace detail {
struct prover;
}

/// A proven identity. Only validate() makes one.
class identity {
public:
    /// The peer's name; without a namespace for a tool that has none yet.
    const wire::proc& who() const noexcept { return who_; }
    /// Whether the server is to serve it: a registered process, or a tool that was named().
    bool accepted() const noexcept { return accepted_; }
    /// The same peer, accepted under this name. A tool that brought a name knows itself by no other.
    identity named(wire::proc name) const
    {
        auto same = *this;
        same.who_ = std::move(name);
        same.accepted_ = true;
        return same;
    }
    ::uid_t uid() const noexcept { return proof_.uid; }
    ::gid_t gid() const noexcept { return proof_.gid; }
    peer_kind kind() const noexcept { return kind_; }
    const wire::release& release() const noexcept { return release_; }
    wire::buffer_kind buffer() const noexcept { return buffer_; }
    /// Positions in the host's lists, and the names there.
    std::size_t security() const noexcept { return security_; }
    std::size_t encoding() const noexcept { return encoding_; }
    /// What the kernel said of the peer, if it could be asked and knew.
    const std::optional<security::kernel_peer>& kernel() const noexcept { return kernel_; }
    /// Whether an exchange of the policy's has begun the reply: the peer has its status already.
    bool has_status() const noexcept { return has_status_; }

private:
    friend detail::prover;

    identity() = default;

    wire::proc who_;
    bool accepted_ = false;
    security::proof proof_;
    peer_kind kind_ = peer_kind::client;
    wire::release release_;
    wire::buffer_kind buffer_ = wire::buffer_kind::non_described;
    std::size_t security_ = 0, encoding_ = 0;
    std::optional<security::kernel_peer> kernel_;
    bool has_status_ = false;
};

/// The one maker of identities.
struct detail::prover {
    static identity prove(const claim& c, const security::proof& proof,
                          const result<security::kernel_peer>& kernel, bool has_status)
    {
        identity proven;
        proven.who_ = {std::string(c.said.nspace.value_or("")), c.said.rank};
        proven.accepted_ = c.is_registered;
        proven.proof_ = proof;
        proven.kind_ = c.said.kind;
        proven.release_ = c.said.release;
        proven.buffer_ = c.said.buffer;
        proven.security_ = c.security;
        proven.encoding_ = c.encoding;
        if (kernel)
            proven.kernel_ = *kernel;
        proven.has_status_ = has_status;
        return proven;
    }
};

} // namespace pmixio
