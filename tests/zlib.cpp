#include "support/bytes.hpp"

#include <pmixio/zlib.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>

using pmixio::zlib_inflate;
using pmixio::test::hex;

TEST_CASE("a zlib stream is inflated if it has the length that is said, and ends there")
{
    // zlib.compress(b"a" * 5000)
    const auto stream =
        hex("78 9c ed c1 31 01 00 00 00 c2 a0 ac eb 5f c2 14 7e 40 01 00 00 00 00 6f 03 4b 6f 66 f2");
    CHECK(zlib_inflate(stream, 5000) == std::string(5000, 'a'));
    CHECK_FALSE(zlib_inflate(stream, 4999));
    CHECK_FALSE(zlib_inflate(stream, 5001));
    CHECK_FALSE(zlib_inflate(std::span(stream).first(20), 5000));
    auto longer = stream;
    longer.push_back(std::byte{0});
    CHECK_FALSE(zlib_inflate(longer, 5000));
    CHECK_FALSE(zlib_inflate({}, 5000));
}
