#include "../support/bytes.hpp"

#include <pmixio/wire/types.hpp>

#include <set>
#include <type_traits>

using namespace pmixio::wire;

// The numbers are the protocol. These are the ones whose neighbours a slip would hit.
static_assert(static_cast<int>(data_type::persistence) == 30 &&
              static_cast<int>(data_type::data_array) == 39);
static_assert(static_cast<int>(data_type::regex) == 49 && static_cast<int>(data_type::endpoint) == 55);
static_assert(static_cast<int>(data_type::device_type) == 57 &&
              static_cast<int>(data_type::proc_nspace) == 60);
static_assert(static_cast<int>(data_type::data_buffer) == 65 &&
              static_cast<int>(data_type::storage_access_type) == 69);
static_assert(static_cast<int>(command::deregister_events) == 14 &&
              static_cast<int>(command::group_destruct) == 28);
static_assert(static_cast<int>(command::resource_block) == 34 &&
              static_cast<int>(command::resolve_node) == 38);
static_assert(static_cast<int>(status::not_found) == -46 &&
              static_cast<int>(status::process_terminated) == -200);
static_assert(sizeof(data_type) == 2 && sizeof(status) == 4 && sizeof(command) == 1 && sizeof(scope) == 1);
static_assert(sizeof(data_range) == 1 && sizeof(persistence) == 1 && sizeof(buffer_kind) == 1);
static_assert(rank::wildcard == 0xfffffffe && rank::undefined == 0xffffffff &&
              rank::first_reserved < rank::local_peers);

TEST_CASE("processes are ordered by namespace, then rank")
{
    const std::set<proc> sorted{{"b", 0}, {"a", 1}, {"a", 0}, {"a", rank::wildcard}, {"a", 1}};
    REQUIRE(sorted.size() == 4);
    CHECK(sorted.begin()->nspace == "a");
    CHECK(sorted.begin()->rank == 0);
    CHECK(sorted.rbegin()->nspace == "b");
    CHECK((proc{"a", 1} == proc{"a", 1}));
    CHECK((proc{"a", 1} != proc{"a", 2}));
    CHECK(proc{}.rank == rank::undefined);
}
