#include "../support/bytes.hpp"

#include <pmixio/handshake/identity.hpp>
#include <pmixio/security/native.hpp>
#include <pmixio/security/none.hpp>

#include <optional>
#include <string>

using namespace pmixio;
using namespace pmixio::test;

namespace {

/// Looks at nothing but whether it is called.
struct quiet {
    static constexpr std::string_view name = "quiet";
    static constexpr bool asks_kernel = false;
    result<security::proof> validate(const security::evidence& e) const
    {
        CHECK_FALSE(e.kernel);
        return security::proof{e.uid + 1, e.gid + 1};
    }
};

/// Vouches for the user the kernel names, unless it has an answer of its own.
struct asking {
    static constexpr std::string_view name = "asking";
    static constexpr bool asks_kernel = true;
    result<security::proof> validate(const security::evidence& e) const
    {
        ++*calls;
        REQUIRE(e.kernel);
        if (!*e.kernel)
            return e.kernel->error();
        if (answer)
            return *answer;
        return security::proof{(*e.kernel)->uid, e.gid};
    }
    int* calls = nullptr;
    std::optional<fault> answer;
};

struct site : defaults {
    using security = securities<security::native, security::native_claimed, security::none, quiet, asking>;
    using buffer_ops = encodings<wire::v41, wire::v3, wire::v21>;
};

struct lone : defaults {
    using security = securities<security::none>;
};

/// Two ranks of one job.
struct directory {
    result<registration> find_process(std::string_view nspace, wire::rank_type rank) const
    {
        ++asked;
        if (nspace != "job")
            return fault::unknown_namespace;
        if (rank > 1)
            return fault::unknown_rank;
        return registration{1000 + rank, 100};
    }
    mutable int asked = 0;
};

static_assert(process_directory<directory>);
static_assert(!process_directory<int>);
static_assert(host_policies<site> && !host_policies<defaults> && !host_policies<int>);
static_assert(!std::is_default_constructible_v<identity>);

hello hello_of(std::string_view security, std::string_view encoding, wire::rank_type rank = 1,
               peer_kind kind = peer_kind::client)
{
    hello said;
    said.security = security;
    said.encoding = encoding;
    said.nspace = "job";
    said.rank = rank;
    said.kind = kind;
    said.release = {4, 2, 2};
    return said;
}

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

claim claim_of(const char* security, bytes credential = {}, peer_kind kind = peer_kind::client)
{
    static bytes kept;
    kept = std::move(credential);
    auto said = hello_of(security, "v3", 1, kind);
    said.credential = kept;
    said.buffer = wire::buffer_kind::fully_described;
    return resolve<site>(std::move(said), directory()).value();
}

const bytes user_1001 = hex("e9030000 64000000");

constexpr security::kernel_peer somebody{1001, 77, 1, std::nullopt};

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

TEST_CASE("a tool without a name has none until it is given one")
{
    auto said = hello_of("none", "v3", wire::rank::undefined, peer_kind::tool_needs_id);
    said.nspace.reset();
    said.uid = 7, said.gid = 8;
    site::security::instances policies;
    const auto c = resolve<site>(std::move(said), directory()).value();
    const auto nobody = validate<site>(c, policies, []() -> result<security::kernel_peer> {
                            return fault::kernel_unavailable;
                        }).value();
    CHECK(nobody.who().nspace.empty());
    CHECK(!nobody.accepted());
    const auto somebody_else = nobody.named({"t", 3});
    CHECK((somebody_else.who() == wire::proc{"t", 3}));
    CHECK(somebody_else.accepted());
    CHECK(somebody_else.uid() == 7);
    CHECK(somebody_else.kind() == peer_kind::tool_needs_id);
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
    CHECK(security_of("munge,asking,quiet") == 3);
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

TEST_CASE("only policies that ask have the kernel asked, once")
{
    int calls = 0;
    site::security::instances policies;
    std::get<asking>(policies).calls = &calls;
    struct row {
        const char* name;
        int asked;
    };
    for (const auto& each : {row{"native", 1}, {"none", 0}, {"quiet", 0}, {"asking", 1}}) {
        CAPTURE(each.name);
        int asked = 0;
        const auto proven =
            validate<site>(claim_of(each.name, user_1001), policies, [&]() -> result<security::kernel_peer> {
                ++asked;
                return somebody;
            });
        REQUIRE_MESSAGE(proven, proven.error().message());
        CHECK(asked == each.asked);
        CHECK(proven->kernel().has_value() == (each.asked == 1));
        if (proven->kernel())
            CHECK((*proven->kernel() == somebody));
    }
    CHECK(calls == 1);
}

TEST_CASE("faults of the policy, of the kernel and of the credential pass through")
{
    int calls = 0;
    site::security::instances policies;
    auto& policy = std::get<asking>(policies);
    policy.calls = &calls;
    const auto refused_with = [&](const char* name, bytes credential, result<security::kernel_peer> kernel) {
        return validate<site>(claim_of(name, std::move(credential)), policies, [&] { return kernel; })
            .error();
    };
    CHECK(refused_with("native", {}, somebody) == fault::bad_credential);
    CHECK(refused_with("native", hex("e8030000 64000000"), somebody) == fault::wrong_user);
    CHECK(refused_with("native", hex("e9030000 65000000"), somebody) == fault::wrong_group);
    CHECK(refused_with("native", user_1001, fault::kernel_unknown) == fault::kernel_unknown);
    CHECK(refused_with("native", user_1001, fault::kernel_unavailable) == fault::kernel_unavailable);
    CHECK(refused_with("native", user_1001, security::kernel_peer{1000, 77, 1, {}}) == fault::wrong_user);
    CHECK_FALSE(refused_with("native", user_1001, somebody));

    CHECK(refused_with("asking", {}, fault::kernel_unknown) == fault::kernel_unknown);
    const std::error_code system = std::make_error_code(std::errc::permission_denied);
    CHECK(refused_with("asking", {}, system) == system);
    policy.answer = fault::refused_by_host;
    CHECK(refused_with("asking", {}, somebody) == fault::refused_by_host);
    CHECK(calls == 3);
}

TEST_CASE("an identity is what was claimed and what was proven")
{
    site::security::instances policies;
    const auto no_kernel = []() -> result<security::kernel_peer> { return fault::kernel_unavailable; };
    const auto proven =
        validate<site>(claim_of("quiet", {}, peer_kind::singleton), policies, no_kernel).value();
    CHECK((proven.who() == wire::proc{"job", 1}));
    CHECK(proven.accepted());
    CHECK(proven.uid() == 1002); // the policy's word, not the registration's
    CHECK(proven.gid() == 101);
    CHECK(proven.kind() == peer_kind::singleton);
    CHECK((proven.release() == wire::release{4, 2, 2}));
    CHECK(proven.buffer() == wire::buffer_kind::fully_described);
    CHECK(proven.security() == 3);
    CHECK(proven.encoding() == 1);
    CHECK_FALSE(proven.kernel());

    const auto native =
        validate<site>(claim_of("native", user_1001), policies, []() -> result<security::kernel_peer> {
            return somebody;
        }).value();
    CHECK(native.uid() == 1001);
    CHECK(native.gid() == 100);
    CHECK(native.security() == 0);
    CHECK(native.kernel()->inode == 77);
}

TEST_CASE("an identity outlives the hello it came from")
{
    lone::security::instances policies;
    std::optional<identity> proven;
    {
        std::string text = "job";
        auto said = hello_of("", "v21");
        said.nspace = text;
        const auto c = resolve<lone>(std::move(said), directory()).value();
        const auto no_kernel = []() -> result<security::kernel_peer> { return fault::kernel_unavailable; };
        proven = validate<lone>(c, policies, no_kernel).value();
        text.assign(64, 'x');
    }
    CHECK(proven->who().nspace == "job");
    CHECK(proven->encoding() == 5);
    CHECK(proven->uid() == 1001);
}
