// listener_config: everything that decides where a server listens, who is told, and how peers look for it; filled by
// code, by attributes, or from the environment. handshake.md sections 1.3, 1.4.
#pragma once

#include <pmixio/listen/contact_file.hpp>
#include <pmixio/listen/interfaces.hpp>
#include <pmixio/listen/ports.hpp>
#include <pmixio/wire/value.hpp>

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace pmixio {

/// Later settings replace earlier ones. An empty text is none.
struct listener_config {
    interface_filter interfaces{};
    port_ranges ipv4_ports{}, ipv6_ports{};

    std::string server_uri{}; ///< of the server to connect to, or file:PATH
    std::string report_uri{}; ///< where to write ours: "-" standard output, "+" standard error, else a file
    contact_plan contacts{};

    std::chrono::seconds connection_wait_time{4}; ///< between looks for a contact file
    unsigned max_retries = 2;                     ///< looks for it
    std::chrono::seconds handshake_wait_time{4};  ///< for the reply to a handshake
    unsigned handshake_max_retries = 2;
};

namespace detail {

/// A field of listener_config, under the names it goes by outside.
struct listener_setting {
    template <class T>
    using in = T& (*)(listener_config&);

    std::string_view parameter; ///< MCA parameter of ptl_base and ptl_tcp; empty: none
    std::string_view attribute; ///< empty: none
    std::variant<in<std::string>, in<std::vector<std::string>>, in<port_ranges>, in<bool>,
                 in<std::chrono::seconds>, in<unsigned>>
        field;
    bool negated = false;
};

// clang-format off
inline constexpr listener_setting listener_settings[] = {
    {"if_include",            "pmix.tcp.ifinclude", [](listener_config& c) -> auto& { return c.interfaces.include; }},
    {"if_exclude",            "pmix.tcp.ifexclude", [](listener_config& c) -> auto& { return c.interfaces.exclude; }},
    {"ipv4_port",             "pmix.tcp.ipv4",      [](listener_config& c) -> auto& { return c.ipv4_ports; }},
    {"ipv4_ports",            "",                   [](listener_config& c) -> auto& { return c.ipv4_ports; }},
    {"ipv6_port",             "pmix.tcp.ipv6",      [](listener_config& c) -> auto& { return c.ipv6_ports; }},
    {"ipv6_ports",            "",                   [](listener_config& c) -> auto& { return c.ipv6_ports; }},
    {"disable_ipv4_family",   "pmix.tcp.disipv4",   [](listener_config& c) -> auto& { return c.interfaces.ipv4; }, true},
    {"disable_ipv6_family",   "pmix.tcp.disipv6",   [](listener_config& c) -> auto& { return c.interfaces.ipv6; }, true},
    {"remote_connections",    "pmix.srvr.remote",   [](listener_config& c) -> auto& { return c.interfaces.remote_connections; }},
    {"server_uri",            "pmix.tcp.uri",       [](listener_config& c) -> auto& { return c.server_uri; }},
    {"",                      "pmix.srvr.uri",      [](listener_config& c) -> auto& { return c.server_uri; }},
    {"report_uri",            "pmix.tcp.repuri",    [](listener_config& c) -> auto& { return c.report_uri; }},
    {"",                      "pmix.tool.lncrnd",   [](listener_config& c) -> auto& { return c.contacts.rendezvous_file; }},
    {"",                      "pmix.srvr.tool",     [](listener_config& c) -> auto& { return c.contacts.tool; }},
    {"",                      "pmix.srvr.sess",     [](listener_config& c) -> auto& { return c.contacts.session; }},
    {"",                      "pmix.srvr.sys",      [](listener_config& c) -> auto& { return c.contacts.system; }},
    {"",                      "pmix.srvr.tmpdir",   [](listener_config& c) -> auto& { return c.contacts.session_directory; }},
    {"",                      "pmix.sys.tmpdir",    [](listener_config& c) -> auto& { return c.contacts.system_directory; }},
    {"connection_wait_time",  "pmix.tool.retry",    [](listener_config& c) -> auto& { return c.connection_wait_time; }},
    {"max_retries",           "pmix.tool.mretries", [](listener_config& c) -> auto& { return c.max_retries; }},
    {"handshake_wait_time",   "",                   [](listener_config& c) -> auto& { return c.handshake_wait_time; }},
    {"handshake_max_retries", "",                   [](listener_config& c) -> auto& { return c.handshake_max_retries; }},
};
// clang-format on

/// Parameters of the same two groups that some release has, but that are not about listening.
inline constexpr std::string_view other_ptl_parameters[] = {"max_msg_size", "tool_pid", "verbose"};

/// A setting as it arrives: a text, an integer, a truth value, or something that can be none of them.
using raw_setting = std::variant<std::monostate, std::string_view, std::int64_t, bool>;

/// Throws std::invalid_argument with the reason if `from` is no value for the field.
inline void assign(std::string& to, const raw_setting& from)
{
    const auto* text = std::get_if<std::string_view>(&from);
    if (!text || text->find('\0') != std::string_view::npos)
        throw std::invalid_argument("not a text");
    to = *text;
}

inline void assign(std::vector<std::string>& to, const raw_setting& from)
{
    std::string text;
    assign(text, from);
    auto list = split_list(text);
    check_interface_list(list);
    to = std::move(list);
}

inline void assign(port_ranges& to, const raw_setting& from)
{
    if (const auto* number = std::get_if<std::int64_t>(&from))
        return static_cast<void>(to = port_ranges::parse(std::to_string(*number)));
    std::string text;
    assign(text, from);
    to = port_ranges::parse(text);
}

inline void assign(bool& to, const raw_setting& from)
{
    if (const auto* truth = std::get_if<bool>(&from))
        return static_cast<void>(to = *truth);
    const auto* text = std::get_if<std::string_view>(&from);
    std::string lower;
    for (const char c : text ? *text : std::string_view())
        lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    for (const auto* yes : {"1", "t", "true", "y", "yes", "enabled"})
        if (lower == yes)
            return static_cast<void>(to = true);
    for (const auto* no : {"0", "f", "false", "n", "no", "disabled"})
        if (lower == no)
            return static_cast<void>(to = false);
    throw std::invalid_argument("neither true nor false");
}

inline void assign(unsigned& to, const raw_setting& from)
{
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    std::int64_t number = -1;
    if (const auto* given = std::get_if<std::int64_t>(&from))
        number = *given;
    if (const auto* text = std::get_if<std::string_view>(&from)) {
        const auto read = std::from_chars(text->data(), text->data() + text->size(), number);
        if (read.ec != std::errc() || read.ptr != text->data() + text->size())
            number = -1;
    }
    if (number < 0 || number > most)
        throw std::invalid_argument("not a decimal number from 0 to " + std::to_string(most));
    to = static_cast<unsigned>(number);
}

inline void assign(std::chrono::seconds& to, const raw_setting& from)
{
    unsigned count = 0;
    assign(count, from);
    to = std::chrono::seconds(count);
}

inline void assign(listener_config& config, const listener_setting& setting, const raw_setting& from)
{
    const auto into = [&](auto field) {
        auto content = field(config);
        assign(content, from);
        if constexpr (std::is_same_v<decltype(content), bool>)
            content = content != setting.negated;
        field(config) = std::move(content);
    };
    std::visit(into, setting.field);
}

[[noreturn]] inline void refuse_setting(std::string_view name, const std::string& value, std::string_view why)
{
    why.remove_prefix(why.starts_with("pmixio: ") ? 8 : 0);
    throw std::invalid_argument("pmixio: " + std::string(name) + " = " + value + ": " + std::string(why));
}

} // namespace detail

/// Takes over what the attributes of a server's or tool's start say about listening; leaves other keys alone.
/// Ports can be an integer or a text of ranges, flags a boolean or no content (which is true). Throws
/// std::invalid_argument with name and value for one of the wrong type or without sense; those before it are taken over.
inline void apply_attributes(listener_config& config, std::span<const wire::info> attributes)
{
    using setting = detail::listener_setting;
    for (const auto& each : attributes) {
        const auto& content = each.content;
        const auto text = content.get<wire::data_type::string>();
        const auto truth = content.get<wire::data_type::boolean>();
        const auto number = content.to_integer();
        detail::raw_setting raw;
        std::string shown = "a value of type " + std::to_string(static_cast<unsigned>(content.type()));
        if (text)
            raw = *text, shown = '"' + std::string(*text) + '"';
        else if (truth)
            raw = *truth, shown = *truth ? "true" : "false";
        else if (number)
            raw = *number, shown = std::to_string(*number);
        else if (content.is(wire::data_type::undef))
            raw = true, shown = "(nothing)";

        for (const auto& found : detail::listener_settings) {
            if (found.attribute.empty() || found.attribute != each.key)
                continue;
            try {
                if (text && (std::holds_alternative<setting::in<bool>>(found.field) ||
                             std::holds_alternative<setting::in<unsigned>>(found.field) ||
                             std::holds_alternative<setting::in<std::chrono::seconds>>(found.field)))
                    throw std::invalid_argument("a text is not expected here");
                detail::assign(config, found, raw);
            } catch (const std::invalid_argument& e) {
                detail::refuse_setting(each.key, shown, e.what());
            }
        }
    }
}

/// Reads the environment of this process.
inline environment process_environment()
{
    environment result;
    for (auto variable = ::environ; variable && *variable; ++variable) {
        const std::string_view text(*variable);
        if (const auto equals = text.find('='); equals != std::string_view::npos)
            result.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
    return result;
}

/// Takes over the variables PMIX_MCA_ptl_base_* and (their older names) PMIX_MCA_ptl_tcp_* of an environment; by
/// default reads the environment of this process. Truth values are 0/1, true/false, yes/no, enabled/disabled or a first
/// letter of the first three, in any case; numbers are decimal. Throws std::invalid_argument with name and value for a
/// value without sense, a parameter that no release has, and a setting that has different values under its names.
inline void apply_mca_environment(listener_config& config,
                                  const environment& variables = process_environment())
{
    struct assignment {
        const void* field;
        std::string_view name, value;
    };
    std::vector<assignment> earlier;
    for (const auto& [name, value] : variables) {
        std::string_view parameter;
        for (const std::string_view prefix : {"PMIX_MCA_ptl_base_", "PMIX_MCA_ptl_tcp_"})
            if (name.starts_with(prefix))
                parameter = std::string_view(name).substr(prefix.size());
        if (parameter.empty())
            continue;
        const auto& others = detail::other_ptl_parameters;
        if (std::find(std::begin(others), std::end(others), parameter) != std::end(others))
            continue;

        const auto shown = '"' + value + '"';
        const auto* found = std::begin(detail::listener_settings);
        while (found != std::end(detail::listener_settings) && found->parameter != parameter)
            ++found;
        if (found == std::end(detail::listener_settings))
            detail::refuse_setting(name, shown, "there is no such parameter");

        const assignment now{
            std::visit([&](auto field) -> const void* { return &field(config); }, found->field), name, value};
        for (const auto& each : earlier)
            if (each.field == now.field && each.value != now.value)
                detail::refuse_setting(name, shown, std::string(each.name) + " says otherwise");
        earlier.push_back(now);
        try {
            detail::assign(config, *found, std::string_view(value));
        } catch (const std::invalid_argument& e) {
            detail::refuse_setting(name, shown, e.what());
        }
    }
}

/// The directory for temporary files that an environment names: by the variable `own`, else by TMPDIR, TEMP or TMP,
/// else /tmp. By default reads the environment of this process.
inline std::string environment_tmpdir(std::string_view own,
                                      const environment& variables = process_environment())
{
    for (const std::string_view name :
         {own, std::string_view("TMPDIR"), std::string_view("TEMP"), std::string_view("TMP")})
        for (const auto& variable : variables)
            if (variable.first == name && !variable.second.empty())
                return variable.second;
    return "/tmp";
}

/// Sets both directories: PMIX_SERVER_TMPDIR and PMIX_SYSTEM_TMPDIR, else as environment_tmpdir() says.
inline void apply_tmpdir_environment(listener_config& config,
                                     const environment& variables = process_environment())
{
    config.contacts.session_directory = environment_tmpdir("PMIX_SERVER_TMPDIR", variables);
    config.contacts.system_directory = environment_tmpdir("PMIX_SYSTEM_TMPDIR", variables);
}

} // namespace pmixio
