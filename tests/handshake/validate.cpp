#include "../support/bytes.hpp"
#include "../support/claims.hpp"
#include "../support/loops.hpp"

#include <pmixio/handshake/validate.hpp>
#include <pmixio/security/dummy_handshake.hpp>
#include <pmixio/security/native.hpp>
#include <pmixio/security/none.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

using namespace pmixio;
using namespace pmixio::test;
using namespace std::chrono_literals;

namespace {

using kernel_answer = result<security::kernel_peer>;

/// Vouches for somebody else than who was claimed, unless it has an answer of its own.
struct quiet {
    static constexpr std::string_view name = "quiet";
    result<security::proof> validate(const security::evidence& e) const
    {
        *seen = e.kernel;
        *claimed = {std::string(e.nspace), e.rank};
        if (answer)
            return *answer;
        return security::proof{e.uid + 1, e.gid + 1};
    }
    std::shared_ptr<kernel_answer> seen = std::make_shared<kernel_answer>(fault::refused_by_host);
    std::shared_ptr<wire::proc> claimed = std::make_shared<wire::proc>();
    std::optional<std::error_code> answer;
};

/// Takes as long as it is told. What is shared is how a copy of it can be reached.
struct slow {
    static constexpr std::string_view name = "slow";
    static constexpr bool blocks = true;
    struct state {
        std::atomic<bool> go = true, entered = false;
        std::thread::id where;
    };
    result<security::proof> validate(const security::evidence& e) const
    {
        shared->where = std::this_thread::get_id();
        shared->entered = true;
        while (!shared->go)
            std::this_thread::sleep_for(1ms);
        if (throws)
            throw std::runtime_error("from the policy");
        if (e.credential.size() != 3 || e.nspace != "job")
            return fault::bad_credential;
        return security::proof{e.uid, e.gid};
    }
    std::shared_ptr<state> shared = std::make_shared<state>();
    bool throws = false;
};

struct site : defaults {
    using security = securities<security::native, security::none, quiet, slow, security::dummy_handshake>;
};
using policies = site::security::instances;

struct lone : defaults {
    using security = securities<security::none>;
};

claim claim_of(const char* security, const bytes& credential = {}, peer_kind kind = peer_kind::client)
{
    auto said = hello_of(security, "v3", 1, kind);
    said.storage = std::make_unique<std::byte[]>(credential.size());
    std::copy(credential.begin(), credential.end(), said.storage.get());
    said.credential = {said.storage.get(), credential.size()};
    said.buffer = wire::buffer_kind::fully_described;
    return resolve<site>(std::move(said), directory()).value();
}

const bytes user_1001 = hex("e9030000 64000000");

constexpr security::kernel_peer somebody{1001, 77, 1, std::nullopt};

/// Of policies that complete at once, on a stream they do not touch.
template <class Site = site>
result<identity> validate_now(const claim& c, const typename Site::security::instances& with,
                              kernel_answer kernel = fault::kernel_unavailable)
{
    asio::io_context io;
    memory_stream untouched(io.get_executor(), "");
    pmixio::detail::blocking_pool nowhere({}, 0);
    auto outcome = run(io, validate<Site>(untouched, c, with, kernel, nowhere));
    CHECK(untouched.calls() == 0);
    return outcome;
}

} // namespace

TEST_CASE("every policy and every identity has what the kernel said")
{
    policies with;
    const auto& seen = *std::get<quiet>(with).seen;
    const auto proven = validate_now(claim_of("quiet"), with, somebody).value();
    CHECK((*seen == somebody));
    CHECK((*proven.kernel() == somebody));
    CHECK_FALSE(validate_now(claim_of("quiet"), with, fault::kernel_unknown)->kernel());
    CHECK(seen.error() == fault::kernel_unknown);
    CHECK((*validate_now(claim_of("none"), with, somebody)->kernel() == somebody));
    CHECK((*validate_now(claim_of("native", user_1001), with, somebody)->kernel() == somebody));
}

TEST_CASE("a policy is told which process the peer claims to be")
{
    const policies with;
    const auto ask_about = [&](hello said) {
        CHECK(validate_now(resolve<site>(std::move(said), directory()).value(), with));
        return *std::get<quiet>(with).claimed;
    };
    CHECK((ask_about(hello_of("quiet", "v3", 1)) == wire::proc{"job", 1}));
    CHECK((ask_about(hello_of("quiet", "v3", 0)) == wire::proc{"job", 0}));
    auto tool = hello_of("quiet", "v3", 5, peer_kind::tool);
    tool.nspace = "own";
    CHECK((ask_about(std::move(tool)) == wire::proc{"own", 5}));
    auto nameless = hello_of("quiet", "v3", wire::rank::undefined, peer_kind::tool_needs_id);
    nameless.nspace.reset();
    CHECK((ask_about(std::move(nameless)) == wire::proc{"", wire::rank::undefined}));
}

TEST_CASE("faults of the policy, of the kernel and of the credential pass through")
{
    policies with;
    const auto refused_with = [&](const char* name, bytes credential, kernel_answer kernel) {
        return validate_now(claim_of(name, std::move(credential)), with, kernel).error();
    };
    CHECK(refused_with("native", {}, somebody) == fault::bad_credential);
    CHECK(refused_with("native", hex("e8030000 64000000"), somebody) == fault::wrong_user);
    CHECK(refused_with("native", hex("e9030000 65000000"), somebody) == fault::wrong_group);
    CHECK(refused_with("native", user_1001, fault::kernel_unknown) == fault::kernel_unknown);
    CHECK(refused_with("native", user_1001, fault::kernel_unavailable) == fault::kernel_unavailable);
    CHECK(refused_with("native", user_1001, security::kernel_peer{1000, 77, 1, {}}) == fault::wrong_user);
    CHECK_FALSE(refused_with("native", user_1001, somebody));

    std::get<quiet>(with).answer = std::make_error_code(std::errc::permission_denied);
    CHECK(refused_with("quiet", {}, somebody) == std::errc::permission_denied);
}

TEST_CASE("an identity is what was claimed and what was proven")
{
    const auto proven = validate_now(claim_of("quiet", {}, peer_kind::singleton), {}).value();
    CHECK((proven.who() == wire::proc{"job", 1}));
    CHECK(proven.accepted());
    CHECK(proven.uid() == 1002); // the policy's word, not the registration's
    CHECK(proven.gid() == 101);
    CHECK(proven.kind() == peer_kind::singleton);
    CHECK((proven.release() == wire::release{4, 2, 2}));
    CHECK(proven.buffer() == wire::buffer_kind::fully_described);
    CHECK(proven.security() == 2);
    CHECK(proven.encoding() == 4);
    CHECK_FALSE(proven.kernel());
    CHECK_FALSE(proven.has_status());
}

TEST_CASE("an identity outlives the hello it came from")
{
    std::optional<identity> proven;
    {
        std::string text = "job";
        auto said = hello_of("", "v21");
        said.nspace = text;
        const auto c = resolve<lone>(std::move(said), directory()).value();
        proven = validate_now<lone>(c, {}).value();
        text.assign(64, 'x');
    }
    CHECK(proven->who().nspace == "job");
    CHECK(proven->encoding() == 5);
    CHECK(proven->uid() == 1001);
}

TEST_CASE("a tool without a name has none until it is given one")
{
    auto said = hello_of("none", "v3", wire::rank::undefined, peer_kind::tool_needs_id);
    said.nspace.reset();
    said.uid = 7, said.gid = 8;
    const auto nobody = validate_now(resolve<site>(std::move(said), directory()).value(), {}).value();
    CHECK(nobody.who().nspace.empty());
    CHECK(!nobody.accepted());
    const auto somebody_else = nobody.named({"t", 3});
    CHECK((somebody_else.who() == wire::proc{"t", 3}));
    CHECK(somebody_else.accepted());
    CHECK(somebody_else.uid() == 7);
    CHECK(somebody_else.kind() == peer_kind::tool_needs_id);
}

namespace {

/// A policy that blocks, on a thread of its own.
struct blocking {
    asio::io_context io;
    asio::thread_pool threads{1};
    pmixio::detail::blocking_pool pool{threads.get_executor(), 2};
    memory_stream untouched{io.get_executor(), ""};
    policies with;
    claim about = claim_of("slow", hex("010203"));
    slow::state& policy = *std::get<slow>(with).shared;

    ~blocking() { policy.go = true; } // the pool waits for what runs
    asio::awaitable<result<identity>> start()
    {
        return validate<site>(untouched, about, with, somebody, pool);
    }
    void until_entered()
    {
        for (io.restart(); !policy.entered; io.poll())
            std::this_thread::yield();
    }
};

} // namespace

TEST_CASE_FIXTURE(blocking, "a policy that blocks does so on the pool, and the outcome comes back")
{
    const auto proven = run(io, start());
    REQUIRE(proven);
    CHECK(proven->uid() == 1001);
    CHECK((*proven->kernel() == somebody));
    CHECK(policy.where != std::this_thread::get_id());
    about = claim_of("slow", hex("01"));
    CHECK(run(io, start()).error() == fault::bad_credential);
    std::get<slow>(with).throws = true;
    CHECK_THROWS_WITH(static_cast<void>(run(io, start())), "from the policy");
}

TEST_CASE_FIXTURE(blocking, "a deadline does not wait for a policy that hangs, nor does it need the hello any more")
{
    policy.go = false;
    task<result<identity>> hanging(io, start());
    until_entered();
    hanging.cancel();
    CHECK(finish(io, hanging).error() == asio::error::operation_aborted);
    about = claim_of("slow", hex("ff"));
    policy.go = true;
    threads.join();
    io.restart();
    io.run(); // the outcome is dropped
}

TEST_CASE_FIXTURE(blocking, "no more than the pool's limit is queued, whoever still waits")
{
    policy.go = false;
    {
        task<result<identity>> first(io, start()), second(io, start());
        until_entered();
        CHECK(run(io, start()).error() == fault::too_many_pending);
        first.cancel(), second.cancel();
        run_until(io, [&] { return first.done() && second.done(); });
        CHECK(run(io, start()).error() == fault::too_many_pending); // one runs, one is queued
        policy.go = true;
    }
    std::error_code again;
    do
        again = run(io, start()).error();
    while (again == fault::too_many_pending); // until the thread is done with the two
    CHECK(!again);
}

namespace {

const std::string challenge_text = "PMIX_PSEC_DUMMY_HANDSHAKE_STRING";
const bytes dymmy = bytes_of(std::string_view("dymmy_cred\0", 11));

/// READY_FOR_HANDSHAKE, and the challenge: length in host order, text.
bytes challenge()
{
    wire::byte_buffer raw;
    wire::writer out(raw);
    out.append(hex("ff ff ff f2")), out.host_order(std::uint64_t{32}), out.text(challenge_text);
    return raw;
}

asio::awaitable<result<wire::rank_type>> exchange_as_server(memory_stream& stream)
{
    static const auto c = claim_of("dummy_handshake", dymmy);
    static const policies with;
    pmixio::detail::blocking_pool nowhere({}, 0);
    const auto proven = co_await validate<site>(stream, c, with, somebody, nowhere);
    if (!proven)
        co_return proven.error();
    CHECK(proven->has_status());
    co_return proven->who().rank;
}

} // namespace

TEST_CASE("a policy with an exchange has it before its peer is proven, however the stream cuts it, and fails with it")
{
    const conversation good(bytes(4), challenge());
    each_chunk(good, exchange_as_server);
    fail_at_each_call(good, exchange_as_server, 3);
    cancelled_before_start(good, exchange_as_server);
    cancelled_at_each_wait(good, exchange_as_server, 3);
    cancelled_at_each_step(good, exchange_as_server, 3);
    refuse_each_prefix(good, exchange_as_server,
                       [](std::error_code e) { return e == fault::closed_inside_message; });
    asio::io_context io;
    memory_stream refusing(io.get_executor(), hex("ff ff ff ff"));
    CHECK(run(io, exchange_as_server(refusing)).error() == fault::exchange_failed);
}

TEST_CASE("no step is made for a credential that is wrong")
{
    CHECK(validate_now(claim_of("dummy_handshake", {}), {}).error() == fault::bad_credential);
    CHECK(validate_now(claim_of("dummy_handshake", bytes_of("dummy_cred")), {}).error() == fault::bad_credential);
}
