// forwarding: what processes write, and who wants it. messages.md section 12, "I/O forwarding".
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/lines.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/host/targets.hpp>
#include <pmixio/message/forwarding.hpp>
#include <pmixio/session/responder.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pmixio {

/// IOF_PULL and IOF_DEREG, and the output of one node's processes.
///
/// What a process writes goes to every session that pulls it then, once per registration, and never to the process itself.
/// What nobody pulled is kept, and so is every end of a channel, for all who pull it later; beyond a limit per namespace
/// the oldest goes. Who may not see a user's processes cannot pull their output.
///
/// `pmix.iof.tag` and `pmix.iof.tagfull` put "[NAMESPACE,RANK]<stdout>: " in front of every line, `pmix.iof.rank`
/// "[RANK]<stdout>: ": libpmix itself tags only output of jobs that its own process has spawned. Other directives have no effect;
/// what is kept for everybody is not sized by one (`pmix.iof.csize`, `pmix.iof.old`, `pmix.iof.new`).
class forwarding {
public:
    /// `jobs` must outlive this. See limits::forwarded_bytes and limits::pulled_per_session.
    forwarding(registry& jobs, std::size_t bytes_per_namespace, std::size_t pulled_per_session)
        : jobs_(jobs), bytes_per_namespace_(bytes_per_namespace), pulled_per_session_(pulled_per_session)
    {}
    forwarding(const forwarding&) = delete;
    forwarding& operator=(const forwarding&) = delete;

    /// Answers, and then sends what is kept. `to` reaches the session, until drop(). NOT_FOUND if one of the processes is;
    /// BAD_PARAM without processes, or channels that can be written to; OUT_OF_RESOURCE beyond the limit of the session.
    void pull(const requester& from, message::iof_pull request, notifier<message::output> to,
              responder<message::iof_pull_reply> reply)
    {
        using enum message::channels;
        request.wanted = request.wanted & (out | err | diagnostics);
        if (request.processes.empty() || request.wanted == none)
            return reply.refuse(wire::status::bad_parameter);
        auto of = visible_targets(jobs_, from, std::move(request.processes));
        if (!of)
            return reply.refuse(wire::status::not_found);
        auto& by = pullers_.try_emplace(from.session, puller{from.who, std::move(to), 0, {}}).first->second;
        if (of->size() > pulled_per_session_ - by.pulled)
            return reply.refuse(wire::status::out_of_resource);
        by.pulled += of->size();
        const auto tag = flag_attribute(request.directives, "pmix.iof.tag") ||
                                 flag_attribute(request.directives, "pmix.iof.tagfull")
                             ? tagging::process
                         : flag_attribute(request.directives, "pmix.iof.rank") ? tagging::rank
                                                                               : tagging::none;
        const auto& made =
            by.pulls
                .emplace(++last_, pull_record{&by, request.wanted, tag, request.reference, *std::move(of)})
                .first->second;
        for (const auto& each : made.of)
            pulls_[each].emplace(last_, &made);
        reply({wire::status::success, last_});

        std::string_view last;
        for (const auto& [nspace, rank] : made.of)
            if (const auto kept = kept_.find(nspace);
                std::exchange(last, nspace) != nspace && kept != kept_.end())
                for (auto& each : kept->second.pieces)
                    if (is_among(each.source, made.of))
                        made.send(each);
    }

    /// NOT_FOUND if the session has no registration of that name.
    void deregister(const requester& from, const message::iof_deregister& request,
                    responder<message::status_reply> reply)
    {
        const auto by = pullers_.find(from.session);
        if (by == pullers_.end() || !end(by->second, by->second.pulls.find(request.reference)))
            return reply.refuse(wire::status::not_found);
        reply({});
    }

    /// A process has written `text` to a channel; no text: it is closed. Ignored if no such process is registered.
    void output(const wire::proc& from, message::channels channel, std::string_view text)
    {
        if (!jobs_.find(from))
            return;
        const auto bytes = std::as_bytes(std::span(text));
        message::output piece{from, channel, 0, {}, {bytes.begin(), bytes.end()}};
        bool pulled = false;
        for (const auto& of : {from, wire::proc{from.nspace, wire::rank::wildcard}})
            if (const auto at = pulls_.find(of); at != pulls_.end())
                for (const auto& [reference, each] : at->second)
                    pulled |= each->send(piece);
        if (!pulled || text.empty())
            keep(std::move(piece));
    }

    /// The session has finalized or is closed.
    void drop(std::uint64_t session) noexcept
    {
        const auto by = pullers_.find(session);
        if (by == pullers_.end())
            return;
        while (end(by->second, by->second.pulls.begin()))
            ;
        pullers_.erase(by);
    }

    /// The namespace is about to be removed.
    void forget(std::string_view nspace) noexcept
    {
        const auto [first, last] = pulls_.equal_range(nspace);
        pulls_.erase(first, last);
        if (const auto kept = kept_.find(nspace); kept != kept_.end())
            kept_.erase(kept);
    }

    /// Registrations of all sessions.
    std::size_t pulls() const noexcept
    {
        std::size_t sum = 0;
        for (const auto& [session, each] : pullers_)
            sum += each.pulls.size();
        return sum;
    }

    /// What is kept of all namespaces.
    std::size_t bytes() const noexcept
    {
        std::size_t sum = 0;
        for (const auto& [nspace, each] : kept_)
            sum += each.bytes;
        return sum;
    }

private:
    enum class tagging { none, process, rank };
    struct puller;
    struct pull_record {
        const puller* by;
        message::channels wanted;
        tagging tag;
        std::uint64_t reference; ///< the client's
        std::vector<wire::proc> of;

        bool send(message::output& piece) const
        {
            if ((wanted & piece.channel) == message::channels::none || by->who == piece.source)
                return false;
            piece.reference = reference;
            if (tag == tagging::none || piece.data.empty())
                by->to(wire::io_forwarding_tag, piece);
            else
                send_tagged(piece);
            return true;
        }

        /// Some lines at a time: the tag may be longer than they are, and the session ends at its limit.
        void send_tagged(const message::output& piece) const
        {
            const auto& [nspace, rank] = piece.source;
            const std::string mark = '[' + (tag == tagging::rank ? "" : nspace + ',') + std::to_string(rank) +
                                     (piece.channel == message::channels::out   ? "]<stdout>: "
                                      : piece.channel == message::channels::err ? "]<stderr>: "
                                                                                : "]<stddiag>: ");
            message::output part{piece.source, piece.channel, piece.reference, {}, {}};
            std::string_view rest(reinterpret_cast<const char*>(piece.data.data()), piece.data.size());
            while (!rest.empty()) {
                auto end = rest.substr(0, 4096).rfind('\n');
                end = std::min(end == rest.npos ? rest.find('\n') : end, rest.size() - 1) + 1;
                const auto lines = tag_lines(rest.substr(0, end), mark);
                const auto bytes = std::as_bytes(std::span(lines));
                part.data.assign(bytes.begin(), bytes.end());
                by->to(wire::io_forwarding_tag, part);
                rest.remove_prefix(end);
            }
        }
    };
    using pull_records = std::map<std::uint64_t, pull_record>; // by the server's reference
    struct puller {
        wire::proc who;
        notifier<message::output> to;
        std::size_t pulled = 0; ///< processes and namespaces, over all records
        pull_records pulls;
    };
    struct history {
        std::deque<message::output> pieces;
        std::size_t bytes = 0;
    };

    bool end(puller& by, pull_records::iterator which) noexcept
    {
        if (which == by.pulls.end())
            return false;
        for (const auto& each : which->second.of)
            if (const auto at = pulls_.find(each); at != pulls_.end()) {
                at->second.erase(which->first);
                if (at->second.empty())
                    pulls_.erase(at);
            }
        by.pulled -= which->second.of.size();
        by.pulls.erase(which);
        return true;
    }

    static std::size_t upkeep(const message::output& piece)
    {
        return sizeof(piece) + piece.source.nspace.size();
    }

    /// Of a text beyond the limit its end.
    void keep(message::output piece)
    {
        const auto limit = bytes_per_namespace_;
        const auto room = limit - std::min(limit, upkeep(piece));
        if (piece.data.size() > room)
            piece.data = {piece.data.end() - static_cast<std::ptrdiff_t>(room), piece.data.end()};
        auto& of = kept_[piece.source.nspace];
        const auto size = upkeep(piece) + piece.data.size();
        of.pieces.push_back(std::move(piece));
        of.bytes += size;
        for (; of.bytes > limit; of.pieces.pop_front())
            of.bytes -= upkeep(of.pieces.front()) + of.pieces.front().data.size();
    }

    registry& jobs_;
    std::size_t bytes_per_namespace_, pulled_per_session_;
    std::map<std::uint64_t, puller> pullers_; // by session
    std::map<wire::proc, std::map<std::uint64_t, const pull_record*>, process_or_namespace> pulls_;
    std::map<std::string, history, std::less<>> kept_; // by namespace
    std::uint64_t last_ = 0;
};

} // namespace pmixio
