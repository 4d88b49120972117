// logging: what a request to log consists of. messages.md section 7, LOG.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/control.hpp>

#include <syslog.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

namespace key {
inline constexpr std::string_view log_stdout = "pmix.log.stdout", log_stderr = "pmix.log.stderr",
                                  log_syslog = "pmix.log.syslog", log_local_syslog = "pmix.log.lsys",
                                  log_global_syslog = "pmix.log.gsys", log_priority = "pmix.log.syspri",
                                  log_once = "pmix.log.once", log_timestamp = "pmix.log.tstmp",
                                  log_show_timestamp = "pmix.log.tsout", log_show_channel = "pmix.log.tag";
} // namespace key

/// One thing that a process wants logged. Where it goes, and whether at all, is the host's to decide: the text is the
/// process's, of any length and with any bytes in it.
struct log_entry {
    std::string channel;             ///< the key: one of key::log_..., or what only the host may know
    wire::value content;             ///< a STRING, for those that are known here
    int priority = LOG_ERR;          ///< for the syslog: LOG_EMERG to LOG_DEBUG
    std::optional<std::time_t> time; ///< when, by the process, if it wants that known
    bool show_time = false;          ///< wants it in the text
    bool show_channel = false;       ///< wants the channel named in the text

    /// Lasts as long as `content`.
    std::string_view text() const { return content.get<wire::data_type::string>().value_or(""); }

    /// Whether it is for the syslog of this machine or of the whole system.
    bool is_for_syslog() const noexcept
    {
        return channel == key::log_syslog || channel == key::log_local_syslog ||
               channel == key::log_global_syslog;
    }
};

/// A request to log, taken apart.
struct log_request {
    std::vector<log_entry> entries;
    bool once = false; ///< the first that can be logged is enough

    /// About what it takes to keep it.
    std::size_t size() const noexcept
    {
        std::size_t sum = 1024;
        for (const auto& each : entries)
            sum += sizeof each + each.channel.size() + each.content.packed().size();
        return sum;
    }
};

/// None if a directive is none that could be meant.
inline std::optional<log_request> take_apart(message::log request)
{
    log_entry like;
    if (const auto* priority = find_attribute(request.directives, key::log_priority)) {
        const auto level = priority->to_integer().value_or(-1);
        if (level < LOG_EMERG || level > LOG_DEBUG)
            return std::nullopt;
        like.priority = static_cast<int>(level);
    }
    if (request.timestamp != 0)
        like.time = static_cast<std::time_t>(request.timestamp);
    else if (const auto* at = find_attribute(request.directives, key::log_timestamp))
        like.time = at->get<wire::data_type::time>();
    like.show_time = flag_attribute(request.directives, key::log_show_timestamp);
    like.show_channel = flag_attribute(request.directives, key::log_show_channel);

    log_request result{{}, flag_attribute(request.directives, key::log_once)};
    result.entries.reserve(request.data.size());
    for (auto& each : request.data) {
        auto& entry = result.entries.emplace_back(like);
        entry.channel = std::move(each.key);
        entry.content = std::move(each.content);
    }
    return result;
}

/// What became of the entries of a request, added one by one.
class log_outcome {
public:
    explicit log_outcome(bool once) : once_(once) {}

    /// True: the rest need not be tried.
    bool add(wire::status said) noexcept
    {
        if (said == wire::status::success)
            ++logged_;
        else if (failure_ == wire::status::success)
            failure_ = said;
        return once_ && logged_ != 0;
    }
    /// SUCCESS, PARTIAL_SUCCESS, or why the first of them was not logged.
    wire::status result() const noexcept
    {
        if (failure_ == wire::status::success || logged_ == 0)
            return failure_;
        return once_ ? wire::status::success : wire::status::partial_success;
    }

private:
    bool once_;
    std::size_t logged_ = 0;
    wire::status failure_ = wire::status::success;
};

/// The text, with what the process wants in front of it: its time, as in 2024-01-31T23:59:59Z, and `<stderr>`.
inline std::string log_text(const log_entry& entry)
{
    std::string line;
    if (std::tm parts{}; entry.show_time && entry.time && ::gmtime_r(&*entry.time, &parts)) {
        char text[64];
        line.append(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ ", &parts));
    }
    if (entry.show_channel)
        line.append("<").append(entry.channel, entry.channel.rfind('.') + 1).append("> ");
    return line.append(entry.text());
}

/// Writes it to this machine's syslog, as one message that names the process; of each line break and other control
/// character a space. Where, and as what program: as this process has opened it. May block: not on a server's executor.
inline void write_to_syslog(const requester& from, const log_entry& entry)
{
    auto text = log_text(entry);
    for (auto& each : text)
        if (static_cast<unsigned char>(each) < ' ' || each == '\x7f')
            each = ' ';
    ::syslog(entry.priority, "[%s,%lu]: %s", from.who.nspace.c_str(),
             static_cast<unsigned long>(from.who.rank), text.c_str());
}

} // namespace pmixio
