#include <pmixio/security/native.hpp>

#include "../support/bytes.hpp"

using namespace pmixio;
using namespace pmixio::test;

namespace {

using kernel_answer = result<security::kernel_peer>;

constexpr security::kernel_peer peer_of(::uid_t uid) { return {uid, 77, 1, std::nullopt}; }

constexpr const char* good = "e8030000 64000000"; // 1000, 100

struct row {
    const char* credential; ///< sent by a peer that claims to be a process of user 1000 and group 100
    kernel_answer kernel;
    std::error_code claimed; ///< what native_claimed says
    std::error_code proven;  ///< what native says
};

const row rows[] = {
    {good, peer_of(1000), {}, {}},
    {good, peer_of(1001), {}, fault::wrong_user},
    {good, peer_of(0), {}, fault::wrong_user},
    {good, kernel_answer(fault::kernel_unknown), {}, fault::kernel_unknown},
    {good, kernel_answer(fault::kernel_unavailable), {}, fault::kernel_unavailable},
    {"e8030000 64000000 00", peer_of(1000), {}, {}},                // more is ignored
    {"e8030000 64000000 ffffffff ffffffff", peer_of(1000), {}, {}}, //
    {"", peer_of(1000), fault::bad_credential, fault::bad_credential},
    {"e8030000", peer_of(1000), fault::bad_credential, fault::bad_credential},
    {"e8030000 640000", peer_of(1000), fault::bad_credential, fault::bad_credential},
    {"e9030000", peer_of(1000), fault::bad_credential, fault::bad_credential},
    {"e9030000 64000000", peer_of(1000), fault::wrong_user, fault::wrong_user},
    {"e9030000 64000000", peer_of(1001), fault::wrong_user, fault::wrong_user},
    {"00000000 64000000", peer_of(1000), fault::wrong_user, fault::wrong_user},
    {"e8030000 65000000", peer_of(1000), fault::wrong_group, fault::wrong_group},
    {"e8030000 00000000", peer_of(1000), fault::wrong_group, fault::wrong_group},
    {"e9030000 65000000", peer_of(1000), fault::wrong_user, fault::wrong_user},
    {"000003e8 00000064", peer_of(1000), fault::wrong_user, fault::wrong_user}, // network order
    {"ffffffff ffffffff", peer_of(1000), fault::wrong_user, fault::wrong_user},
    {"", peer_of(1001), fault::bad_credential, fault::wrong_user}, // the kernel's word comes first
    {"", kernel_answer(fault::kernel_unknown), fault::bad_credential, fault::kernel_unknown},
    {"e9030000 64000000", kernel_answer(fault::kernel_unavailable), fault::wrong_user, fault::kernel_unavailable},
};

} // namespace

TEST_CASE("native believes the kernel about the user and the credential about the group, native_claimed the credential")
{
    for (const auto& each : rows) {
        CAPTURE(&each - rows);
        const auto credential = hex(each.credential);
        const security::evidence evidence{credential, 1000, 100, each.kernel};
        const auto claimed = security::native_claimed().validate(evidence);
        const auto proven = security::native().validate(evidence);
        CHECK(claimed.error() == each.claimed);
        CHECK(proven.error() == each.proven);
        for (const auto& proof : {claimed, proven})
            if (proof) {
                CHECK(proof->uid == 1000);
                CHECK(proof->gid == 100);
            }
    }
}

TEST_CASE("root has to be root for the kernel too")
{
    const auto credential = hex("00000000 00000000");
    CHECK(security::native().validate({credential, 0, 0, peer_of(0)}).has_value());
    CHECK(security::native().validate({credential, 0, 0, peer_of(1000)}).error() == fault::wrong_user);
    CHECK(security::native().validate({{}, 0, 0, peer_of(0)}).error() == fault::bad_credential);
}

TEST_CASE("all 32 bits of user and group are compared")
{
    const auto credential = hex("04030201 08070605");
    const auto claimed = [&](::uid_t uid, ::gid_t gid) {
        return security::native_claimed().validate({credential, uid, gid}).error();
    };
    CHECK_FALSE(claimed(0x01020304, 0x05060708));
    for (unsigned bit = 0; bit != 32; ++bit) {
        CHECK(claimed(0x01020304u ^ (1u << bit), 0x05060708) == fault::wrong_user);
        CHECK(claimed(0x01020304, 0x05060708u ^ (1u << bit)) == fault::wrong_group);
    }
}

TEST_CASE("both go by the name native")
{
    CHECK(security::native::name == "native");
    CHECK(security::native_claimed::name == "native");
}

TEST_CASE("a process's own credential is its effective user and group, and admits it")
{
    const auto credential = security::native().credential().value();
    REQUIRE(credential.size() == 8);
    security::evidence seen{credential, ::geteuid(), ::getegid(), peer_of(::geteuid())};
    CHECK(security::native().validate(seen));
    seen.gid += 1;
    CHECK(security::native().validate(seen).error() == fault::wrong_group);
}
