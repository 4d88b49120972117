// Any bytes as a handshake request, its attributes in every encoding, the request that says the same, and who it may be.
#include "spoken.hpp"

#include <pmixio/handshake/identity.hpp>
#include <pmixio/handshake/request.hpp>
#include <pmixio/security/native.hpp>
#include <pmixio/security/none.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <tuple>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace pmixio;

struct site : defaults {
    using security = securities<security::native, security::none>;
    using buffer_ops = fuzz::all_encodings;
};

/// Four processes of user 0 in every namespace whose name is in the first half of the alphabet.
struct directory {
    static bool has(std::string_view nspace) { return !nspace.empty() && nspace[0] <= 'm'; }
    result<registration> find_process(std::string_view nspace, wire::rank_type rank) const
    {
        if (!has(nspace))
            return fault::unknown_namespace;
        return rank < 4 ? result<registration>(registration{}) : fault::unknown_rank;
    }
};

bool same(const hello& a, const hello& b)
{
    const auto fields = [](const hello& said) {
        return std::tie(said.security, said.kind, said.uid, said.gid, said.nspace, said.rank, said.version,
                        said.release, said.encoding, said.buffer, said.gds);
    };
    return fields(a) == fields(b) && std::ranges::equal(a.credential, b.credential) &&
           std::ranges::equal(a.attributes, b.attributes);
}

template <class Encoding>
void check_attributes(const hello& said)
{
    const auto infos = decode_attributes<Encoding>(said);
    if (!infos)
        return;
    const auto again = encode_attributes<Encoding>(*infos, {said.buffer, said.release});
    if (!again) {
        if (again.error() != fault::handshake_too_large) // by empty texts that were NULL
            std::abort();
        return;
    }
    hello second;
    second.buffer = said.buffer;
    second.release = said.release;
    second.attributes = *again;
    if (decode_attributes<Encoding>(second).value() != *infos)
        std::abort();
}

void check_identity(hello said)
{
    const auto kind = said.kind;
    const auto name = wire::proc{std::string(said.nspace.value_or("")), said.rank};
    const bool registered = directory::has(name.nspace) && name.rank < 4;
    const auto credential = said.credential.size();
    const auto who = resolve<site>(std::move(said), directory());
    if (!who)
        return;
    if (who->is_registered ? !was_started(kind) || !registered
                           : kind == peer_kind::client || directory::has(name.nspace))
        std::abort();

    const auto seen = evidence_of(*who, security::kernel_peer{0, 1, TCP_ESTABLISHED, {}});
    if (seen.nspace != name.nspace || seen.rank != name.rank || seen.credential.size() != credential)
        std::abort();
    const bool native = who->security == 0;
    const auto proof =
        site::security::visit({}, who->security, [&](const auto& policy) { return policy.validate(seen); });
    if (proof && (proof->uid != who->registered.uid || (native && (proof->uid != 0 || credential < 8))))
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto request = std::as_bytes(std::span(data, size));
    auto said = parse_handshake(request);
    if (!said)
        return 0;
    if (!known(said->kind) || said->nspace.has_value() < sends_identity(said->kind))
        std::abort();
    for (std::size_t i = 0; i != fuzz::all_encodings::size; ++i)
        fuzz::all_encodings::visit(i, [&](auto e) { check_attributes<typename decltype(e)::type>(*said); });

    const auto again = make_handshake(*said);
    if (!again) {
        if (again.error() != fault::handshake_too_large) // by the stray NUL
            std::abort();
    } else if (!same(parse_handshake(*again).value(), *said)) {
        std::abort();
    }
    check_identity(*std::move(said));
    return 0;
}
