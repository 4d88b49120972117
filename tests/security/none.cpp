#include <pmixio/security/none.hpp>

#include "../support/bytes.hpp"

using namespace pmixio;
using namespace pmixio::test;

TEST_CASE("none vouches for whomever the peer claims to be")
{
    CHECK(security::none::name == "none");

    const result<security::kernel_peer> kernels[] = {fault::kernel_unavailable, fault::kernel_unknown,
                                                     security::kernel_peer{7, 77, 1, std::nullopt}};
    for (const auto* sent : {"", "00", "e8030000 64000000", "ffffffff ffffffff ffffffff"})
        for (const auto& kernel : kernels)
            for (const ::uid_t uid : {0u, 1000u, 0xffff'fffeu}) {
                CAPTURE(sent);
                CAPTURE(uid);
                const auto credential = hex(sent);
                const auto proof = security::none().validate({credential, uid, uid + 1, kernel}).value();
                CHECK(proof.uid == uid);
                CHECK(proof.gid == uid + 1);
            }
}

TEST_CASE("none has nothing to show")
{
    CHECK(security::none().credential().value().empty());
}
