// What every test with Asio would compile again.
#include <pmixio/detail/asio.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>
