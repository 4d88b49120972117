#include <pmixio/handshake/hello.hpp>
#include <pmixio/policies.hpp>

#include "../support/bytes.hpp"
#include "../support/vectors.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>

namespace {

std::size_t allocations = 0;

} // namespace

// Counted for the whole program; one test reads the difference.
void* operator new(std::size_t size)
{
    ++allocations;
    if (void* const p = std::malloc(size ? size : 1))
        return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using namespace pmixio;
using namespace pmixio::test;

using all_encodings = encodings<wire::v61, wire::v51, wire::v41, wire::v4, wire::v3, wire::v21, wire::v20>;

/// A captured request and where its comments say each field is.
struct captured {
    std::string name;
    bytes request;
    std::map<std::string, std::pair<std::size_t, std::size_t>> fields;

    bool has(const std::string& field) const { return fields.contains(field); }
    std::size_t end(const std::string& field) const { return fields.at(field).second; }
    std::span<const std::byte> raw(const std::string& field) const
    {
        const auto [from, to] = fields.at(field);
        return std::span(request).subspan(from, to - from);
    }
    /// Without its NUL.
    std::string_view text(const std::string& field) const
    {
        const auto whole = to_text(raw(field));
        return whole.substr(0, whole.size() - 1);
    }
    std::uint32_t number(const std::string& field) const
    {
        std::uint32_t value = 0;
        for (const auto byte : raw(field))
            value = value * 256 + std::to_integer<std::uint32_t>(byte);
        return value;
    }
    /// The bytes behind the gds name, as captured.
    std::span<const std::byte> behind_gds() const { return std::span(request).subspan(end("gds")); }
};

captured capture_of(const std::string& name)
{
    auto file = load(name);
    captured result{name, std::move(file.bytes), {}};
    for (const auto& line : file.comments) { // "psec       [16,23)"
        const auto open = line.find('['), comma = line.find(',', open), close = line.find(')', comma);
        if (open == line.npos || open == 0 || line[open - 1] != ' ' || close != line.size() - 1)
            continue;
        result.fields[line.substr(0, line.find(' '))] = {std::stoul(line.substr(open + 1)), std::stoul(line.substr(comma + 1))};
    }
    return result;
}

const std::vector<captured>& all_requests()
{
    static const auto found = [] {
        std::vector<captured> result;
        for (const auto& name : names(""))
            if (name.ends_with(".request"))
                result.push_back(capture_of(name));
        return result;
    }();
    return found;
}

/// Whether a view is just these bytes of the request, not a copy.
bool is_at(std::string_view view, const captured& of, const std::string& field)
{
    return view.data() == reinterpret_cast<const char*>(of.raw(field).data()) && view == of.text(field);
}

/// A payload with a header that announces its size, or another.
bytes framed(const bytes& payload, std::uint32_t announced)
{
    bytes request = hex("ffffffff ffffffff 00000000 00000000");
    std::memcpy(request.data() + 8, &announced, sizeof announced);
    return request + payload;
}
bytes framed(const bytes& payload) { return framed(payload, static_cast<std::uint32_t>(payload.size())); }

bytes z(std::string_view text) { return bytes_of(text) + hex("00"); }

const bytes native_credential = hex("00000008 e8030000 64000000");
const bytes labns_7 = z("labns") + hex("00000007");

/// The payload of a client, with what is behind the gds name.
bytes client_payload(std::string_view version, const bytes& tail = {})
{
    return z("native") + native_credential + hex("00") + labns_7 + z(version) + z("v3") + hex("01") + z("hash") + tail;
}

std::error_code error_of(const bytes& request) { return parse_handshake(request).error(); }

/// As hello::operator==, if it had one.
bool same(const hello& a, const hello& b)
{
    return a.security == b.security && std::ranges::equal(a.credential, b.credential) && a.kind == b.kind && a.uid == b.uid &&
           a.gid == b.gid && a.nspace == b.nspace && a.rank == b.rank && a.version == b.version && a.release == b.release &&
           a.encoding == b.encoding && a.buffer == b.buffer && a.gds == b.gds;
}

/// The attributes decoded, in whatever encoding the peer names; and encoded again.
result<std::vector<wire::info>> attributes_of(const hello& said, bytes* again = nullptr)
{
    const auto encoding = all_encodings::pick(said.encoding, all_encodings::all());
    if (!encoding)
        return fault::unsupported_encoding;
    return all_encodings::visit(*encoding, [&](auto tag) -> result<std::vector<wire::info>> {
        using E = typename decltype(tag)::type;
        auto infos = decode_attributes<E>(said);
        if (infos && again) {
            wire::writer out(*again);
            wire::encoder<E>(out, {said.buffer, said.release}).list(wire::as<wire::data_type::info>, *infos);
        }
        return infos;
    });
}

std::vector<std::string> keys_of(const std::vector<wire::info>& infos)
{
    std::vector<std::string> keys;
    for (const auto& each : infos)
        keys.push_back(each.key);
    return keys;
}

using keys = std::vector<std::string>;

} // namespace

TEST_CASE("every captured request is read as its comments say, in place")
{
    for (const auto& from : all_requests()) {
        CAPTURE(from.name);
        const auto said = parse_handshake(from.request);
        REQUIRE_MESSAGE(said, said.error().message());
        CHECK(is_at(said->security, from, "psec"));
        CHECK(from.number("cred_len") == from.raw("cred").size());
        CHECK(said->credential.data() == from.raw("cred").data());
        CHECK(said->credential.size() == from.raw("cred").size());
        CHECK(static_cast<std::uint32_t>(said->kind) == from.number("flag"));
        CHECK(said->uid.has_value() == from.has("uid"));
        CHECK(said->gid.has_value() == from.has("gid"));
        if (from.has("uid") && said->uid)
            CHECK(*said->uid == from.number("uid"));
        if (from.has("gid") && said->gid)
            CHECK(*said->gid == from.number("gid"));
        CHECK(said->nspace.has_value() == from.has("nspace"));
        if (from.has("nspace") && said->nspace)
            CHECK(is_at(*said->nspace, from, "nspace"));
        CHECK(said->rank == (from.has("rank") ? from.number("rank") : wire::rank::undefined));
        CHECK(is_at(said->version, from, "version"));
        CHECK(said->release == wire::release::parse(from.text("version")));
        CHECK(is_at(said->encoding, from, "bfrops"));
        CHECK(static_cast<std::uint32_t>(said->buffer) == from.number("buftype"));
        CHECK(is_at(said->gds, from, "gds"));
        CHECK(said->storage == nullptr);

        const auto behind = from.behind_gds();
        const bool stray_nul = from.text("version") == "4.2.2rc2";
        CHECK(said->attributes.size() == behind.size() - stray_nul);
        if (!said->attributes.empty())
            CHECK(said->attributes.data() == behind.data());
    }
    CHECK(all_requests().size() == 61);
}

TEST_CASE("captured requests say what their names say")
{
    const auto parsed = [](const char* name) {
        static std::map<std::string, captured> kept;
        const auto& from = kept.emplace(name, capture_of(name + std::string(".request"))).first->second;
        return parse_handshake(from.request).value();
    };

    const auto client = parsed("debian-client");
    CHECK(client.security == "native");
    CHECK(show(client.credential) == "00 00 00 00 00 00 00 00");
    CHECK(client.kind == peer_kind::client);
    CHECK(client.nspace == "labns");
    CHECK(client.rank == 0);
    CHECK(client.version == "4.2.2rc2");
    CHECK((client.release == wire::release{4, 2, 2}));
    CHECK(client.encoding == "v41");
    CHECK(client.buffer == wire::buffer_kind::non_described);
    CHECK(client.gds == "hash");
    CHECK(client.attributes.empty());

    CHECK(parsed("debian-client-munge").security == "munge");
    CHECK(parsed("debian-client-munge").credential.size() == 144);
    CHECK(to_text(parsed("debian-client-munge").credential).starts_with("MUNGE:"));
    CHECK(parsed("v2.2.5-client-none").security == "none");
    CHECK(parsed("v2.2.5-client-none").credential.empty());
    CHECK(parsed("v6.1.0-client-uri21").encoding == "v21");
    CHECK(parsed("v6.1.0-client").encoding == "v61");
    CHECK((parsed("v5.0.10-client").release == wire::release{5, 0, 10}));
    CHECK(parsed("v3.2.5-tool").kind == peer_kind::tool_needs_id);
    CHECK_FALSE(parsed("v3.2.5-tool").nspace);
    CHECK(parsed("v3.2.5-tool").rank == wire::rank::undefined);
    CHECK(parsed("v3.2.5-tool-fullydesc").buffer == wire::buffer_kind::fully_described);
    CHECK(parsed("debian-tool-given-id").kind == peer_kind::tool);
    CHECK(parsed("debian-tool-given-id").nspace == "mytool");
    CHECK(parsed("debian-tool-given-id").rank == 3);
    CHECK(parsed("debian-tool-client").kind == peer_kind::started_tool);
    CHECK(parsed("v6.1.0-launcher").kind == peer_kind::launcher_needs_id);
    CHECK(parsed("v6.1.0-launcher-given-id").kind == peer_kind::launcher);
    CHECK(parsed("v6.1.0-launcher-given-id").nspace == "mylaunch");
    CHECK(parsed("v5.0.10-singleton").kind == peer_kind::singleton);
    CHECK(parsed("v5.0.10-singleton").nspace == "singleton.nn.9602");
    CHECK(parsed("v5.0.10-singleton").gds == "shmem2");
}

TEST_CASE("every proper prefix of a request is truncated")
{
    for (const auto& from : all_requests()) {
        CAPTURE(from.name);
        for (std::size_t size = 0; size != from.request.size(); ++size)
            if (const auto got = parse_handshake(std::span(from.request).first(size)); got.error() != fault::truncated)
                FAIL_CHECK("cut at " << size << ": " << got.error().message());
    }
}

TEST_CASE("a request that goes on behind its announced size has extra bytes")
{
    for (const auto& from : all_requests())
        CHECK(error_of(from.request + hex("00")) == fault::extra_bytes);
}

TEST_CASE("a payload that ends inside its fields is refused, and one that ends behind them is read the same")
{
    for (const auto& from : all_requests()) {
        CAPTURE(from.name);
        const auto whole = parse_handshake(from.request).value();
        const bytes payload(from.request.begin() + wire::frame_header_size, from.request.end());
        for (std::size_t size = 0; size != payload.size(); ++size) {
            CAPTURE(size);
            const auto request = framed({payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size)});
            const auto got = parse_handshake(request);
            if (request.size() < from.end("gds")) {
                CHECK((got.error() == fault::truncated || got.error() == fault::bad_string));
                continue;
            }
            REQUIRE_MESSAGE(got, got.error().message());
            CHECK(same(*got, whole));
            const auto kept = std::min(request.size() - from.end("gds"), whole.attributes.size());
            CHECK(got->attributes.size() <= kept);
            CHECK(got->attributes.size() + 1 >= kept); // a NUL at the end may be taken for the stray one
            CHECK(std::ranges::equal(got->attributes, whole.attributes.first(got->attributes.size())));
        }
    }
}

TEST_CASE("attributes are decoded in the encoding that the peer names, and encoded to the same bytes")
{
    std::size_t with_attributes = 0;
    for (const auto& from : all_requests()) {
        CAPTURE(from.name);
        const auto said = parse_handshake(from.request).value();
        bytes again;
        const auto infos = attributes_of(said, &again);
        REQUIRE_MESSAGE(infos, infos.error().message());
        CHECK(infos->empty() == said.attributes.empty());
        if (infos->empty())
            continue;
        ++with_attributes;
        CHECK(show(again) == show(said.attributes));
        const auto has = keys_of(*infos);
        CHECK(std::ranges::find(has, "pmix.ppid") != has.end());
    }
    CHECK(with_attributes == 44);
}

TEST_CASE("captured attributes have the keys and values that the specification lists")
{
    const auto infos_of = [](const char* name) {
        const auto from = capture_of(name + std::string(".request"));
        return attributes_of(parse_handshake(from.request).value()).value();
    };
    const auto tool = infos_of("v3.2.5-tool");
    CHECK((keys_of(tool) == keys{"pmix.ppid", "pmix.cmd.line"}));
    CHECK(tool[0].content.get<wire::data_type::pid>() == 9495u);
    CHECK(tool[1].content.get<wire::data_type::string>() == "ttool");
    const auto client = infos_of("v6.1.0-client");
    CHECK((keys_of(client) == keys{"pmix.ppid", "pmix.cmd.line"}));
    CHECK(client[0].content.get<wire::data_type::pid>() == 9606u);
    CHECK(client[1].content.get<wire::data_type::string>() == "tclient");
}

TEST_CASE("attributes cut anywhere are refused")
{
    for (const auto& from : all_requests()) {
        CAPTURE(from.name);
        auto said = parse_handshake(from.request).value();
        const auto whole = said.attributes;
        for (std::size_t size = 1; size < whole.size(); ++size) {
            said.attributes = whole.first(size);
            CHECK(attributes_of(said).error() == refusal::malformed);
        }
    }
}

TEST_CASE("only releases 4.0.0 to 4.2.2 lose a NUL at the end")
{
    const auto left = [](std::string_view version, const bytes& tail) {
        const auto request = framed(client_payload(version, tail));
        return parse_handshake(request).value().attributes.size();
    };
    for (const auto* version : {"4.0.0", "4.0.0rc1", "4.1.0", "4.1.2", "4.2.0", "4.2.2", "4.2.2rc2"}) {
        CAPTURE(version);
        CHECK(left(version, hex("00")) == 0);
        CHECK(left(version, hex("00 00")) == 1);
        CHECK(left(version, hex("02 00")) == 1);
        CHECK(left(version, hex("02")) == 1);
        CHECK(left(version, {}) == 0);
    }
    for (const auto* version : {"2.1.0", "2.2.5", "3.2.5", "4.2.3", "4.2.9", "5.0.0", "6.1.0", "", "main"}) {
        CAPTURE(version);
        CHECK(left(version, hex("00")) == 1);
        CHECK(left(version, {}) == 0);
    }
}

TEST_CASE("a kind of peer nobody sends is refused, and every other is read")
{
    for (unsigned kind = 0; kind != 256; ++kind) {
        CAPTURE(kind);
        const auto flag = bytes{static_cast<std::byte>(kind)};
        const auto user = kind == 0 ? bytes() : hex("000003e8 00000064");
        const auto identity = kind == 1 || kind == 2 || kind == 3 || kind == 6 ? bytes() : labns_7;
        const auto request = framed(z("native") + native_credential + flag + user + identity + z("4.2.9") + z("v41") +
                                    hex("01") + z("hash"));
        const auto said = parse_handshake(request);
        if (kind > 10) {
            CHECK(said.error() == fault::unknown_peer_kind);
            continue;
        }
        REQUIRE_MESSAGE(said, said.error().message());
        CHECK(static_cast<unsigned>(said->kind) == kind);
        CHECK(said->uid == (kind == 0 ? std::nullopt : std::optional(1000u)));
        CHECK(said->gid == (kind == 0 ? std::nullopt : std::optional(100u)));
        CHECK(said->nspace.has_value() == !identity.empty());
        CHECK(said->rank == (identity.empty() ? wire::rank::undefined : 7));
        CHECK(said->version == "4.2.9");
        CHECK(said->gds == "hash");
        CHECK(said->attributes.empty());
    }
}

TEST_CASE("a buffer kind other than 1 and 2 is refused")
{
    auto request = framed(client_payload("3.2.5"));
    const auto at = request.size() - 6; // in front of "hash"
    for (unsigned kind = 0; kind != 256; ++kind) {
        CAPTURE(kind);
        request[at] = static_cast<std::byte>(kind);
        const auto said = parse_handshake(request);
        if (kind == 1 || kind == 2)
            CHECK(static_cast<unsigned>(said.value().buffer) == kind);
        else
            CHECK(said.error() == fault::bad_buffer_kind);
    }
}

TEST_CASE("a credential longer than what is left is truncated, however long it claims to be")
{
    const auto rest = client_payload("3.2.5");
    for (const auto* length : {"ffffffff", "7fffffff", "80000000", "00020000", "00010000", "000000ff"}) {
        CAPTURE(length);
        const auto request = framed(z("native") + hex(length) + hex("00000000 00000000 00") + labns_7);
        CHECK(error_of(request) == fault::truncated);
    }
    // up to the last byte and one more
    CHECK(error_of(framed(z("native") + hex("00000003 010203"))) == fault::truncated); // no kind
    CHECK(error_of(framed(z("native") + hex("00000004 010203"))) == fault::truncated);
    // an empty one
    const auto none = framed(z("none") + hex("00000000 00") + labns_7 + z("3.2.5") + z("v3") + hex("01") + z("hash"));
    CHECK(parse_handshake(none).value().credential.empty());
}

TEST_CASE("a namespace of 255 bytes is read and one of 256 is too long")
{
    for (const std::size_t length : {0u, 1u, 254u, 255u, 256u, 1000u}) {
        CAPTURE(length);
        const std::string name(length, 'n');
        for (const auto* kind : {"00", "04 000003e8 00000064", "09 000003e8 00000064"}) {
            const auto request = framed(z("native") + native_credential + hex(kind) + z(name) + hex("fffffffe") + z("3.2.5") +
                                        z("v3") + hex("01") + z("hash"));
            const auto said = parse_handshake(request);
            if (length > 255) {
                CHECK(said.error() == fault::name_too_long);
            } else {
                REQUIRE_MESSAGE(said, said.error().message());
                CHECK(said->nspace == name);
                CHECK(said->rank == wire::rank::wildcard);
            }
        }
    }
}

TEST_CASE("a payload of release 2.0 ends at its version")
{
    const auto front = z("native") + native_credential + hex("00") + labns_7;
    for (const auto* version : {"2.0.0", "2.0.3", "2.0", "v2.0.3", "2.0.3rc1"}) {
        CAPTURE(version);
        const auto request = framed(front + z(version));
        const auto said = parse_handshake(request);
        REQUIRE_MESSAGE(said, said.error().message());
        CHECK(said->version == version);
        CHECK(said->release.major == 2);
        CHECK(said->release.minor == 0);
        CHECK(said->encoding == "v20");
        CHECK(said->buffer == wire::buffer_kind::non_described);
        CHECK(said->gds.empty());
        CHECK(said->attributes.empty());
        CHECK(error_of(framed(front + z(version) + hex("00"))) == fault::extra_bytes);
        CHECK(error_of(framed(front + z(version) + z("v20") + hex("01") + z("hash"))) == fault::extra_bytes);
    }
    for (const auto* version : {"2.1.0", "2.2.5", "2", "20.0", "3.0.0", ""}) { // these must go on
        CAPTURE(version);
        if (std::string_view(version) != "2")
            CHECK(error_of(framed(front + z(version))) == fault::truncated);
    }
    const auto tool = framed(z("native") + native_credential + hex("01 000003e8 00000064") + z("2.0.3"));
    CHECK(parse_handshake(tool).value().kind == peer_kind::legacy_tool);
    CHECK(parse_handshake(tool).value().uid == 1000u);
}

TEST_CASE("a legacy tool of release 3.0 has its identity behind the gds name, or none")
{
    for (const auto* kind : {"01", "02"}) {
        CAPTURE(kind);
        const auto front = [&](std::string_view version) {
            return z("native") + native_credential + hex(kind) + hex("000003e8 00000064") + z(version) + z("v3") + hex("01") +
                   z("hash");
        };
        const auto with = framed(front("3.0.2") + hex("01") + labns_7);
        CHECK(parse_handshake(with).value().nspace == "labns");
        CHECK(parse_handshake(with).value().rank == 7);
        CHECK(parse_handshake(with).value().attributes.empty());

        const auto without = framed(front("3.0.2") + hex("00"));
        CHECK_FALSE(parse_handshake(without).value().nspace);
        CHECK(parse_handshake(without).value().rank == wire::rank::undefined);
        CHECK(parse_handshake(without).value().attributes.empty());

        CHECK(error_of(framed(front("3.0.2"))) == fault::truncated);
        CHECK(error_of(framed(front("3.0.2") + hex("01"))) == fault::truncated);
        CHECK(error_of(framed(front("3.0.2") + hex("01") + z("labns"))) == fault::truncated);
        CHECK(error_of(framed(front("3.0.2") + hex("01") + bytes_of("labns"))) == fault::bad_string);
        CHECK(error_of(framed(front("3.0.2") + hex("01") + z(std::string(256, 'n')) + hex("00000000"))) == fault::name_too_long);

        // other releases have no such field
        const auto old = framed(front("2.1.0"));
        CHECK_FALSE(parse_handshake(old).value().nspace);
    }
}

TEST_CASE("lists and empty names are kept as they were sent")
{
    const auto request = framed(z("munge,native") + native_credential + hex("00") + labns_7 + z("") + z("") + hex("02") + z(""));
    const auto said = parse_handshake(request).value();
    CHECK(said.security == "munge,native");
    CHECK(said.version.empty());
    CHECK((said.release == wire::release{}));
    CHECK(said.encoding.empty());
    CHECK(said.gds.empty());
    CHECK(said.buffer == wire::buffer_kind::fully_described);

    const auto any = framed(z("") + hex("00000000 00") + labns_7 + z("3.2.5") + z("v21,v3") + hex("01") + z("ds21,hash"));
    CHECK(parse_handshake(any).value().security.empty());
    CHECK(parse_handshake(any).value().encoding == "v21,v3");
    CHECK(parse_handshake(any).value().gds == "ds21,hash");
}

TEST_CASE("a string without its NUL is refused")
{
    CHECK(error_of(framed(bytes_of("native"))) == fault::bad_string);
    CHECK(error_of(framed(z("native") + native_credential + hex("00") + bytes_of("labns"))) == fault::bad_string);
    CHECK(error_of(framed({})) == fault::truncated);
}

TEST_CASE("131072 bytes of payload are read and one more is too large")
{
    const auto front = client_payload("3.2.5");
    const auto largest = framed(front + bytes(max_handshake_bytes - front.size()));
    REQUIRE(largest.size() == wire::frame_header_size + 131'072);
    CHECK(parse_handshake(largest).value().attributes.size() == max_handshake_bytes - front.size());

    CHECK(error_of(framed(front + bytes(max_handshake_bytes + 1 - front.size()))) == fault::handshake_too_large);
    CHECK(error_of(framed({}, 131'073)) == fault::handshake_too_large);
    CHECK(error_of(framed({}, 0xffff'ffff)) == fault::handshake_too_large);
    CHECK(error_of(framed({}, 0x3200'0000)) == fault::handshake_too_large); // 50, of a peer of the other byte order
    CHECK(error_of(framed({}, 131'072)) == fault::truncated);
}

TEST_CASE("the limit on a payload can be lower")
{
    const auto payload = client_payload("3.2.5");
    const auto request = framed(payload);
    CHECK(parse_handshake(request, payload.size()).has_value());
    CHECK(parse_handshake(request, payload.size() - 1).error() == fault::handshake_too_large);
    CHECK(parse_handshake(request, 0).error() == fault::handshake_too_large);

    const std::span<const std::byte, 16> header(request.data(), 16);
    CHECK(handshake_size(header).value() == request.size());
    CHECK(handshake_size(header, payload.size()).value() == request.size());
    CHECK(handshake_size(header, payload.size() - 1).error() == fault::handshake_too_large);
}

TEST_CASE("index, tag and padding of the header are not looked at")
{
    auto request = framed(client_payload("3.2.5"));
    for (const std::size_t at : {0u, 3u, 4u, 7u, 12u, 15u})
        request[at] ^= std::byte{0x5a};
    CHECK(parse_handshake(request).value().nspace == "labns");
}

TEST_CASE("reading a request allocates nothing")
{
    all_requests();
    std::size_t read = 0;
    const auto before = allocations;
    for (const auto& from : all_requests())
        read += parse_handshake(from.request).has_value();
    const auto after = allocations;
    CHECK(read == 61);
    CHECK(after == before);
}

TEST_CASE("attributes of a peer without any decode to none")
{
    CHECK(decode_attributes<wire::v41>(hello{}).value().empty());
    CHECK(decode_attributes<wire::v20>(hello{}).value().empty());
}

TEST_CASE("attributes that announce more than there is are refused before memory is taken")
{
    hello said;
    const auto huge = hex("00000001 000f 8000000000000000 00000002");
    said.attributes = huge;
    CHECK(decode_attributes<wire::v3>(said).error() == fault::bad_count);
    const auto more = hex("00000001 000f 0000000000000000 00");
    said.attributes = more;
    CHECK(decode_attributes<wire::v3>(said).error() == fault::extra_bytes);
}
