// Against real MUNGE daemons, which tests/with_munged.py has started: PMIXIO_MUNGED is the directory of their sockets.
#include "../support/bytes.hpp"

#include <pmixio/security/munge.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdlib>
#include <string>

using namespace pmixio;
using namespace pmixio::test;

namespace {

security::munge daemon(const std::string& name)
{
    const char* directory = std::getenv("PMIXIO_MUNGED");
    return {(directory ? directory : "") + ('/' + name)};
}

const security::munge ours = daemon("ours");

std::error_code outcome(const bytes& credential, ::uid_t uid = ::geteuid(), ::gid_t gid = ::getegid())
{
    return ours.validate({credential, uid, gid}).error();
}

} // namespace

TEST_CASE("a credential proves who had it made, once")
{
    const auto mine = ours.credential().value();
    CHECK(mine.back() == std::byte{0});
    CHECK(std::string(to_text(mine)).starts_with("MUNGE:"));
    const auto proof = ours.validate({mine, ::geteuid(), ::getegid()}).value();
    CHECK(proof.uid == ::geteuid());
    CHECK(proof.gid == ::getegid());
    CHECK(outcome(mine) == fault::credential_replayed);
    CHECK(outcome(ours.credential().value()) == std::error_code());
}

TEST_CASE("the NUL at its end may be missing")
{
    auto mine = ours.credential().value();
    mine.pop_back();
    CHECK_FALSE(outcome(mine));
}

TEST_CASE("whoever shows a credential, it can be told who had it made, once")
{
    const auto mine = ours.credential().value();
    const auto judged = ours.judge(mine).value();
    CHECK(judged.uid == ::geteuid());
    CHECK(judged.gid == ::getegid());
    CHECK(ours.judge(mine).error() == fault::credential_replayed);
    CHECK(ours.judge({}).error() == fault::bad_credential);
    CHECK(ours.judge(daemon("foreign").credential().value()).error() == fault::bad_credential);
}

TEST_CASE("it is no proof of anybody else")
{
    CHECK(outcome(ours.credential().value(), ::geteuid() + 1) == fault::wrong_user);
    CHECK(outcome(ours.credential().value(), ::geteuid(), ::getegid() + 1) == fault::wrong_group);
    const auto shown = ours.credential().value();
    CHECK(outcome(shown, ::geteuid() + 1) == fault::wrong_user);
    CHECK(outcome(shown) == fault::credential_replayed); // decoded once, whoever showed it
}

TEST_CASE("what the daemon has not made is refused, whatever is wrong with it")
{
    const auto good = ours.credential().value();
    CHECK(outcome({}) == fault::bad_credential);
    CHECK(outcome(bytes(1)) == fault::bad_credential);
    CHECK(outcome(bytes(131'072, std::byte{'M'})) == fault::bad_credential);
    CHECK(outcome(bytes_of("MUNGE:::")) == fault::bad_credential);
    CHECK(outcome(good + good) == fault::bad_credential);
    for (std::size_t size = 1; size < good.size() - 1; size += 7)
        CHECK(outcome({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}) == fault::bad_credential);
    for (std::size_t at = 0; at + 8 < good.size(); at += 5) {
        CAPTURE(at);
        auto forged = good;
        forged[at] = forged[at] == std::byte{'A'} ? std::byte{'B'} : std::byte{'A'};
        CHECK(outcome(forged) == fault::bad_credential);
    }
    CHECK_FALSE(outcome(good)); // none of them was it
}

TEST_CASE("another site's, an old one, and one from the future")
{
    CHECK(outcome(daemon("foreign").credential().value()) == fault::bad_credential);
    CHECK(outcome(daemon("late").credential().value()) == fault::credential_expired);
    CHECK(outcome(daemon("early").credential().value()) == fault::credential_rewound);
}

TEST_CASE("a credential for somebody else to decode")
{
    const auto context = ::munge_ctx_create();
    REQUIRE(context);
    REQUIRE(::munge_ctx_set(context, MUNGE_OPT_SOCKET, ours.socket.c_str()) == EMUNGE_SUCCESS);
    REQUIRE(::munge_ctx_set(context, MUNGE_OPT_UID_RESTRICTION, ::geteuid() + 1) == EMUNGE_SUCCESS);
    char* text = nullptr;
    REQUIRE(::munge_encode(&text, context, nullptr, 0) == EMUNGE_SUCCESS);
    CHECK(outcome(bytes_of(text)) == fault::wrong_recipient);
    std::free(text);
    ::munge_ctx_destroy(context);
}

TEST_CASE("without a daemon there is nothing to be had")
{
    const auto nobody = daemon("nobody");
    CHECK(nobody.credential().error() == fault::issuer_unavailable);
    const auto mine = ours.credential().value();
    CHECK(nobody.validate({mine, ::geteuid(), ::getegid()}).error() == fault::issuer_unavailable);
    CHECK_FALSE(outcome(mine));
}
