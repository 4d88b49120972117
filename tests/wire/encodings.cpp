#include "../support/bytes.hpp"

#include <pmixio/wire/encodings.hpp>

#include <string>
#include <vector>

using namespace pmixio;
using namespace pmixio::wire;

namespace encoding_models { // not in the unnamed namespace: clang then warns of constants nobody reads

struct own {
    using form = flex_form;
    static constexpr std::string_view name = "own";
    static constexpr data_type newest = data_type::envar;
};
struct nameless {
    using form = flex_form;
    static constexpr data_type newest = data_type::envar;
};
struct misnamed : own {
    static constexpr int name = 41;
};
struct formless {
    static constexpr std::string_view name = "formless";
    static constexpr data_type newest = data_type::envar;
};
struct ageless {
    using form = flex_form;
    static constexpr std::string_view name = "ageless";
};
struct numbered : own {
    static constexpr int newest = 46;
};
struct deformed : own {
    struct form {
        static constexpr bool tagged_sizes = false, wide_commands = false, integer_type_codes = false,
                              describes_nested = false;
        template <class T>
        static constexpr std::size_t smallest = 1;
        template <class T>
        static T get(cursor&)
        {
            return {};
        }
    };
};

} // namespace encoding_models

using namespace encoding_models;

namespace {

template <class... Encodings>
std::string names_of()
{
    std::string result;
    ((result += std::string(Encodings::name) + ' '), ...);
    return result;
}

} // namespace

static_assert(buffer_ops_policy<v20> && buffer_ops_policy<v21> && buffer_ops_policy<v3> &&
              buffer_ops_policy<v4>);
static_assert(buffer_ops_policy<v41> && buffer_ops_policy<v51> && buffer_ops_policy<v61>);
static_assert(buffer_ops_policy<own>, "a name, a form and a newest type are all it takes");
static_assert(!buffer_ops_policy<nameless>);
static_assert(!buffer_ops_policy<misnamed>);
static_assert(!buffer_ops_policy<formless>);
static_assert(!buffer_ops_policy<ageless>);
static_assert(!buffer_ops_policy<numbered>);
static_assert(!buffer_ops_policy<deformed>, "its form cannot put");
static_assert(!buffer_ops_policy<int> && !buffer_ops_policy<flex_form>);

TEST_CASE("encodings are named as peers announce them")
{
    CHECK(names_of<v20, v21, v3, v4, v41, v51, v61>() == "v20 v21 v3 v4 v41 v51 v61 ");
}

TEST_CASE("integers are native up to v3 and flex from v4 on")
{
    static_assert(std::is_same_v<v20::form, v20_form>);
    static_assert(std::is_same_v<v21::form, native_form> && std::is_same_v<v3::form, native_form>);
    static_assert(std::is_same_v<v4::form, flex_form> && std::is_same_v<v41::form, flex_form>);
    static_assert(std::is_same_v<v51::form, flex_form> && std::is_same_v<v61::form, flex_form>);
    CHECK(v21::newest == data_type{44});
    CHECK(v3::newest == data_type{46});
    CHECK(v4::newest == data_type{59});
    CHECK(v41::newest == data_type{69});
    CHECK(v20::newest <= v21::newest);
    CHECK(v51::newest >= v41::newest);
    CHECK(v61::newest >= v51::newest);
}
