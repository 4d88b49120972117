#include "../support/bytes.hpp"
#include "../support/vectors.hpp"

#include <pmixio/handshake/request.hpp>
#include <pmixio/policies.hpp>

#include <string>

using namespace pmixio;
using namespace pmixio::test;

namespace {

using all_encodings = encodings<wire::v61, wire::v51, wire::v41, wire::v4, wire::v3, wire::v21>;

hello tool(peer_kind kind, std::string_view version = "5.0.10")
{
    hello said;
    said.security = "native";
    said.kind = kind;
    if (sends_user(kind))
        said.uid = 1000, said.gid = 100;
    if (sends_identity(kind))
        said.nspace = "mine", said.rank = 7;
    said.version = version;
    said.encoding = "v41";
    said.gds = "hash";
    return said;
}

std::error_code error_of(const hello& said) { return make_handshake(said).error(); }

} // namespace

TEST_CASE("every captured request is built to the same bytes from what it says")
{
    std::size_t built = 0;
    for (const auto& name : names("")) {
        if (!name.ends_with(".request"))
            continue;
        CAPTURE(name);
        const auto captured = load(name).bytes;
        const auto said = parse_handshake(captured).value();
        const auto again = make_handshake(said);
        REQUIRE(again);
        CHECK(show(*again) == show(captured));
        ++built;
    }
    CHECK(built == 61);
}

TEST_CASE("attributes are packed to the bytes that real peers sent")
{
    std::size_t packed = 0;
    for (const auto& name : names("")) {
        if (!name.ends_with(".request"))
            continue;
        CAPTURE(name);
        const auto captured = load(name).bytes;
        const auto said = parse_handshake(captured).value();
        all_encodings::visit(all_encodings::pick(said.encoding, all_encodings::all()).value(),
                             [&]<class E>(std::type_identity<E>) {
                                 const auto infos = decode_attributes<E>(said).value();
                                 const auto again = encode_attributes<E>(infos, {said.buffer, said.release});
                                 CHECK(show(again.value()) == show(said.attributes));
                                 packed += !infos.empty();
                             });
    }
    CHECK(packed == 44);
    CHECK(encode_attributes<wire::v41>({}, {}).value().empty());
    CHECK(encode_attributes<wire::v41>({{std::string(512, 'k'), 0, {}}}, {}).error() == fault::name_too_long);
    CHECK(encode_attributes<wire::v21>({{"k", 0, wire::value::of<wire::data_type::storage_medium>(1)}}, {})
              .error() == fault::unencodable);

    const auto later =
        encode_attributes<wire::v3>({{"k", 0, wire::value::of<wire::data_type::iof_channel>(1)}}, {}).value();
    hello said;
    said.attributes = later;
    CHECK(decode_attributes<wire::v3>(said));
    CHECK(decode_attributes<wire::v21>(said).error() == fault::unknown_type);
}

TEST_CASE("a tool's request is the bytes of the specification")
{
    auto said = tool(peer_kind::tool_needs_id, "3.2.5a1");
    const auto credential = hex("0000000000000000");
    said.credential = credential;
    said.uid = said.gid = 0;
    said.encoding = "v3";
    const auto attributes =
        encode_attributes<wire::v3>({{"pmix.ppid", 0, wire::value::of<wire::data_type::pid>(9495)},
                                     {"pmix.cmd.line", 0, wire::value::string("ttool")}},
                                    {});
    said.attributes = attributes.value();
    CHECK(show(make_handshake(said).value()) == show(load("v3.2.5-tool.request").bytes));
}

TEST_CASE("what is built is read back, for every kind, in every form")
{
    const auto attributes = hex("020202");
    const auto credential = hex("00ff00");
    for (unsigned kind = 0; kind <= 10; ++kind)
        for (const auto* version :
             {"2.0.3", "2.2.5", "3.0.0", "3.2.5", "4.2.2", "5.0.10", "6.1.0", "", "main"}) {
            CAPTURE(kind);
            CAPTURE(version);
            auto said = tool(static_cast<peer_kind>(kind), version);
            const bool ends_early = std::string_view(version) == "2.0.3";
            said.credential = credential;
            said.buffer = ends_early ? wire::buffer_kind::non_described : wire::buffer_kind::fully_described;
            if (!ends_early)
                said.attributes = attributes;
            const auto request = make_handshake(said).value();
            const auto got = parse_handshake(request);
            REQUIRE_MESSAGE(got, got.error().message());
            CHECK(got->security == said.security);
            CHECK(show(got->credential) == show(said.credential));
            CHECK(got->kind == said.kind);
            CHECK(got->uid == said.uid);
            CHECK(got->gid == said.gid);
            CHECK(got->nspace == said.nspace);
            CHECK(got->rank == said.rank);
            CHECK(got->version == said.version);
            CHECK(got->encoding == (ends_early ? "v20" : "v41"));
            CHECK(got->buffer == said.buffer);
            CHECK(got->gds == (ends_early ? "" : "hash"));
            CHECK(show(got->attributes) == show(said.attributes));
        }
}

TEST_CASE("a legacy tool of 3.0 says whether it has an identity, others do not")
{
    auto said = tool(peer_kind::legacy_tool, "3.0.0");
    const auto without = make_handshake(said).value();
    said.nspace = "mine", said.rank = 7;
    const auto with = make_handshake(said).value();
    CHECK(with.size() == without.size() + 9);
    CHECK(parse_handshake(with)->nspace == "mine");
    said.version = "2.1.0";
    CHECK_FALSE(parse_handshake(make_handshake(said).value())->nspace);
}

TEST_CASE("what cannot be said is not built")
{
    auto said = tool(peer_kind::tool);
    CHECK_FALSE(error_of(said));
    const std::string longest(255, 'n'), too_long(256, 'n'), cut("a\0b", 3);
    said.nspace = longest;
    CHECK_FALSE(error_of(said));
    said.nspace = too_long;
    CHECK(error_of(said) == fault::name_too_long);
    said.nspace = std::nullopt;
    CHECK(error_of(said) == fault::unencodable);

    said = tool(peer_kind::tool);
    said.uid.reset();
    CHECK(error_of(said) == fault::unencodable);
    for (auto member : {&hello::security, &hello::version, &hello::encoding, &hello::gds}) {
        said = tool(peer_kind::tool);
        said.*member = cut;
        CHECK(error_of(said) == fault::unencodable);
    }
    said = tool(peer_kind::tool);
    said.nspace = cut;
    CHECK(error_of(said) == fault::unencodable);

    said = tool(peer_kind::client);
    const auto rest = max_handshake_bytes - (make_handshake(said)->size() - wire::frame_header_size);
    const bytes most(rest), more(rest + 1);
    said.credential = most;
    CHECK(parse_handshake(make_handshake(said).value()).value().credential.size() == rest);
    said.credential = more;
    CHECK(error_of(said) == fault::handshake_too_large);
}
