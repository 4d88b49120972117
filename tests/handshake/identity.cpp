#include "../support/claims.hpp"

#include <pmixio/security/native.hpp>
#include <pmixio/security/none.hpp>

#include <doctest/doctest.h>

#include <memory>

using namespace pmixio;
using namespace pmixio::test;

namespace {

/// Two more names in the list.
struct quiet : security::none {
    static constexpr std::string_view name = "quiet";
};
struct stepwise : security::none {
    static constexpr std::string_view name = "stepwise";
    static constexpr bool exchanges = true;
};

struct site : defaults {
    using security = securities<security::native, security::native_claimed, security::none, quiet, stepwise>;
    using buffer_ops = encodings<wire::v41, wire::v3, wire::v21>;
};

static_assert(process_directory<directory>);
static_assert(!process_directory<int>);
static_assert(host_policies<site> && !host_policies<defaults> && !host_policies<int>);
static_assert(!std::is_default_constructible_v<identity>);

std::error_code refused(hello said, const offer<site>& offered = {})
{
    return resolve<site>(std::move(said), directory(), offered).error();
}

std::size_t security_of(std::string_view names, const offer<site>& offered = {})
{
    return resolve<site>(hello_of(names, "v3"), directory(), offered).value().security;
}

std::size_t encoding_of(std::string_view names, const offer<site>& offered = {})
{
    return resolve<site>(hello_of("none", names), directory(), offered).value().encoding;
}

} // namespace

TEST_CASE("who was started by a server is registered, other tools must bring a name of their own")
{
    for (unsigned kind = 0; kind <= 10; ++kind) {
        CAPTURE(kind);
        const auto of = [&](std::string_view nspace, wire::rank_type rank) {
            auto said = hello_of("native", "v41", rank, static_cast<peer_kind>(kind));
            said.nspace = nspace;
            said.uid = 7, said.gid = 8;
            return resolve<site>(std::move(said), directory());
        };
        const bool client = kind == 0, started = client || kind == 5 || kind == 8 || kind == 9;
        CHECK(of("job", 1).error() == (started ? std::error_code() : make_error_code(fault::name_taken)));
        CHECK(of("job", 2).error() == (started ? fault::unknown_rank : fault::name_taken));
        CHECK(of("", 0).error() == fault::unknown_namespace);
        if (started)
            CHECK(of("job", 1)->registered.uid == 1001);
        const auto own = of("tool.of.mine", 5);
        CHECK(own.has_value() == !client);
        if (!client) {
            CHECK(own->registered.uid == 7);
            CHECK(own->registered.gid == 8);
            CHECK(of("tool", wire::rank::wildcard).error() == fault::unknown_rank);
        }
    }
    hello nameless; // a tool that needs an identity has no namespace to look for
    nameless.kind = peer_kind::tool_needs_id;
    nameless.uid = 7, nameless.gid = 8;
    const directory jobs;
    const auto c = resolve<site>(std::move(nameless), jobs);
    REQUIRE(c);
    CHECK(c->registered.uid == 7);
    CHECK(jobs.asked == 0);
}

TEST_CASE("a hello without anything that is offered is refused by what it lacks")
{
    CHECK(refused(hello_of("munge", "v41")) == fault::unsupported_security);
    CHECK(refused(hello_of("Native", "v41")) == fault::unsupported_security);
    CHECK(refused(hello_of("nativ", "v41")) == fault::unsupported_security);
    CHECK(refused(hello_of(",", "v41")) == fault::unsupported_security);
    CHECK(refused(hello_of("native", "v61")) == fault::unsupported_encoding);
    CHECK(refused(hello_of("native", "v4")) == fault::unsupported_encoding);
    CHECK(refused(hello_of("native", "v20")) == fault::unsupported_encoding);
    CHECK(refused(hello_of("native", "v41", 2)) == fault::unknown_rank);
    auto stranger = hello_of("native", "v41");
    stranger.nspace = "jo";
    CHECK(refused(std::move(stranger)) == fault::unknown_namespace);
    auto empty = hello_of("native", "v41");
    empty.nspace = "";
    CHECK(refused(std::move(empty)) == fault::unknown_namespace);
    CHECK_FALSE(refused(hello_of("native", "v41", 0)));
}

TEST_CASE("the registry is asked once, and not about peers that are refused before")
{
    const directory jobs;
    CHECK(resolve<site>(hello_of("munge", "v41"), jobs).error() == fault::unsupported_security);
    CHECK(resolve<site>(hello_of("native", "v9"), jobs).error() == fault::unsupported_encoding);
    CHECK(jobs.asked == 0);
    CHECK(resolve<site>(hello_of("native", "v41"), jobs).has_value());
    CHECK(jobs.asked == 1);
}

TEST_CASE("the first of the host's modules that the peer names is picked")
{
    CHECK(security_of("native") == 0);
    CHECK(security_of("none") == 2);
    CHECK(security_of("none,native") == 0);
    CHECK(security_of("munge,none") == 2);
    CHECK(security_of("munge,stepwise,quiet") == 3);
    CHECK(security_of("") == 0);
    CHECK(encoding_of("v41") == 0);
    CHECK(encoding_of("v21") == 2);
    CHECK(encoding_of("v21,v3") == 1);
    CHECK(encoding_of("v61,v21") == 2);
    CHECK(encoding_of("") == 0);
}

TEST_CASE("what is not offered is not picked")
{
    offer<site> offered;
    offered.securities = {false, true, false, false, false};
    offered.encodings = {false, false, true};
    CHECK(security_of("native", {offered.securities, {true, true, true}}) == 1); // the second of that name
    CHECK(security_of("", {offered.securities, {true, true, true}}) == 1);
    CHECK(encoding_of("v41,v21", {site::security::all(), offered.encodings}) == 2);
    CHECK(encoding_of("", {site::security::all(), offered.encodings}) == 2);
    CHECK(refused(hello_of("none", "v21"), offered) == fault::unsupported_security);
    CHECK(refused(hello_of("native", "v3"), offered) == fault::unsupported_encoding);
    CHECK(refused(hello_of("", ""), {{}, site::buffer_ops::all()}) == fault::unsupported_security);
    CHECK(refused(hello_of("", ""), {site::security::all(), {}}) == fault::unsupported_encoding);
}

TEST_CASE("a claim keeps the hello and its registration")
{
    auto said = hello_of("none", "v21");
    said.storage = std::make_unique<std::byte[]>(4);
    const auto* const kept = said.storage.get();
    const auto c = resolve<site>(std::move(said), directory()).value();
    CHECK(c.said.storage.get() == kept);
    CHECK(c.said.nspace == "job");
    CHECK(c.said.rank == 1);
    CHECK(c.registered.uid == 1001);
    CHECK(c.registered.gid == 100);
    CHECK(c.security == 2);
    CHECK(c.encoding == 2);
}


TEST_CASE("a policy with an exchange is for clients that name it, and for nobody else")
{
    struct eager : defaults {
        using security = securities<stepwise, security::none>;
    };
    const auto picked = [](std::string_view names, peer_kind kind) {
        auto said = hello_of(names, "v3", 1, kind);
        if (sends_user(kind))
            said.nspace = "tool", said.uid = 7, said.gid = 8;
        return resolve<eager>(std::move(said), directory());
    };
    CHECK(picked("stepwise", peer_kind::client)->security == 0);
    CHECK(picked("none,stepwise", peer_kind::client)->security == 0);
    CHECK(picked("", peer_kind::client)->security == 1);
    CHECK(picked("none", peer_kind::client)->security == 1);
    CHECK(picked("stepwise,none", peer_kind::tool)->security == 1);
    CHECK(picked("stepwise", peer_kind::tool).error() == fault::unsupported_security);
}
