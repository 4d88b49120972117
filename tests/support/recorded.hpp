// Recorded messages with what is needed to read them: which message it is, in which encoding, between whom.
#pragma once

#include "bytes.hpp"
#include "vectors.hpp"

#include <pmixio/message/collective.hpp>
#include <pmixio/message/control.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/message/forwarding.hpp>
#include <pmixio/message/process.hpp>
#include <pmixio/message/spawn.hpp>
#include <pmixio/wire/frame.hpp>

#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>

namespace pmixio::test {

struct recorded {
    std::string name;
    std::string command;  ///< "GETNB"
    std::string encoding; ///< "v41"
    bool request = false; ///< client to server
    wire::agreement with; ///< the release is the client's, which replies are made for
    bytes payload;        ///< without the frame header
};

inline recorded open(const std::string& name)
{
    const auto file = load(name);
    const auto module = file.header("bfrops module");
    const auto client = file.header("client");
    const auto library = client.find("libpmix");
    recorded result;
    result.name = name;
    result.command = file.header("command");
    result.encoding = module.substr(0, module.find(','));
    result.request = file.header("direction") == "client -> server";
    result.with.kind = module.find("fully described") == module.npos ? wire::buffer_kind::non_described
                                                                     : wire::buffer_kind::fully_described;
    result.with.release =
        wire::release::parse(std::string_view(client).substr(client.find(' ', library) + 1));
    result.payload.assign(file.bytes.begin() + wire::frame_header_size, file.bytes.end());
    return result;
}

/// The content of a payload.
template <class Message, class Encoding>
result<Message> decode(std::span<const std::byte> payload, const wire::agreement& with)
{
    wire::cursor in(payload);
    if constexpr (requires { Message::id; }) {
        const auto id = message::read_command<Encoding>(in, with);
        if (!id)
            return id.error();
        if (*id != Message::id)
            return fault::unknown_command;
    }
    return message::read<Message, Encoding>(in, with);
}

/// A payload of the content, or nothing where it cannot be encoded.
template <class Encoding, class Message>
result<bytes> encode(const Message& content, const wire::agreement& with)
{
    bytes target;
    wire::writer out(target);
    if (const auto done = message::write<Encoding>(out, content, with); !done)
        return done.error();
    return target;
}

/// Names a type to a generic lambda.
template <class T>
struct type_tag {
    using type = T;
};

/// Calls `f(type_tag<Message>)` for the message that is recorded.
template <class F>
auto visit_message(const recorded& from, F f)
{
    using namespace message;
    const auto either = [&]<class Request>(type_tag<Request> tag) {
        return from.request ? f(tag) : f(type_tag<typename Request::reply>());
    };
    const auto& command = from.command;
    if (command == "REQ")
        return either(type_tag<req>());
    if (command == "ABORT")
        return either(type_tag<message::abort>());
    if (command == "COMMIT")
        return either(type_tag<commit>());
    if (command == "FENCENB")
        return either(type_tag<fence>());
    if (command == "GETNB")
        return either(type_tag<get>());
    if (command == "FINALIZE")
        return either(type_tag<finalize>());
    if (command == "PUBLISHNB")
        return either(type_tag<publish>());
    if (command == "LOOKUPNB")
        return either(type_tag<lookup>());
    if (command == "UNPUBLISHNB")
        return either(type_tag<unpublish>());
    if (command == "CONNECTNB")
        return either(type_tag<message::connect>());
    if (command == "DISCONNECTNB")
        return either(type_tag<disconnect>());
    if (command == "NOTIFY")
        return either(type_tag<notify>());
    if (command == "REGEVENTS")
        return either(type_tag<register_events>());
    if (command == "DEREGEVENTS")
        return f(type_tag<deregister_events>());
    if (command == "EVENT")
        return f(type_tag<message::event>());
    if (command == "QUERY")
        return either(type_tag<message::query>());
    if (command == "LOG")
        return either(type_tag<message::log>());
    if (command == "JOB_CONTROL")
        return either(type_tag<job_control>());
    if (command == "GROUP_CONSTRUCT")
        return either(type_tag<group_construct>());
    if (command == "GROUP_DESTRUCT")
        return either(type_tag<group_destruct>());
    throw std::runtime_error("no message for " + command + " in " + from.name);
}

/// Calls `f(type_tag<Encoding>)` for the encoding it is recorded in.
template <class F>
auto visit_encoding(const recorded& from, F f)
{
    if (from.encoding == "v21")
        return f(type_tag<wire::v21>());
    if (from.encoding == "v3")
        return f(type_tag<wire::v3>());
    if (from.encoding == "v41")
        return f(type_tag<wire::v41>());
    if (from.encoding == "v61")
        return f(type_tag<wire::v61>());
    throw std::runtime_error("no encoding " + from.encoding + " in " + from.name);
}

/// The content of a recorded message of a known type, whatever its encoding.
template <class Message>
Message content_of(const std::string& name)
{
    const auto from = open(name);
    return visit_encoding(from, [&](auto encoding) {
        return decode<Message, typename decltype(encoding)::type>(from.payload, from.with).value();
    });
}

/// Checks that messages recorded from the same test program in several releases, encodings and buffer kinds
/// have the same content, which is returned.
template <class Message>
Message same_content(std::initializer_list<const char*> prefixes, const std::string& rest)
{
    const auto first = content_of<Message>(std::string("msg-") + *prefixes.begin() + "-" + rest);
    for (const std::string prefix : prefixes) {
        CAPTURE(prefix);
        CHECK((content_of<Message>("msg-" + prefix + "-" + rest) == first));
    }
    return first;
}

/// Content written by hand and read back in native and flex, in both buffer kinds, for a client of that
/// release.
template <class Message>
void check_survives(const Message& content, const char* client = "4.2.2")
{
    for (const auto kind : {wire::buffer_kind::non_described, wire::buffer_kind::fully_described}) {
        const wire::agreement with{kind, wire::release::parse(client)};
        CAPTURE(client);
        CHECK((decode<Message, wire::v3>(*encode<wire::v3>(content, with), with).value() == content));
        CHECK((decode<Message, wire::v41>(*encode<wire::v41>(content, with), with).value() == content));
    }
}

} // namespace pmixio::test
