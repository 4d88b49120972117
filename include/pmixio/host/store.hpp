// store: what processes have put, and those who wait for it. messages.md section 9.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/deadlines.hpp>
#include <pmixio/host/job_data.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/session/responder.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <list>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace pmixio {

/// Commits and Gets of the processes of one node. Data lies in the registry's records and goes with them.
///
/// A Get for data that is not there yet is held: until its process commits it, or is gone (NOT_FOUND), until the
/// request's own timeout (TIMEOUT), or until its requester is gone. A Get never waits for a key of the server's own.
///
/// Strings that a client has compressed are inflated where the host can: not all releases read others' compressed ones.
class store {
public:
    using inflate = std::optional<std::string> (*)(std::span<const std::byte> stream, std::size_t length);

    /// All must outlive the store. `how`: see defaults::inflate; `most`: bytes that one commit may become by it, what is
    /// beyond stays compressed.
    store(registry& jobs, deadline_service& clock, wire::proc server, inflate how = nullptr,
          std::size_t most = SIZE_MAX)
        : jobs_(jobs), clock_(clock), server_(std::move(server)), inflate_(how), most_(most)
    {}

    /// Everything of the requester's job. NOT_FOUND if the job has been removed.
    void job_data(const requester& from, responder<message::job_data> reply)
    {
        auto* nspace = jobs_.find(from.who.nspace);
        if (!nspace)
            return reply.refuse(wire::status::not_found);
        reply(nspace->whole, [&] { return make_job_data(*nspace, server_); });
    }

    /// Merges by key, the last value wins. Of the two buckets of a commit, the first is for processes of this node.
    void commit(const requester& from, message::commit request, responder<message::status_reply> reply)
    {
        auto* process = jobs_.find(from.who);
        if (!process)
            return reply.refuse(wire::status::not_found);
        auto budget = most_;
        for (auto& bucket : request.buckets) {
            const bool both = bucket.visible == wire::scope::global;
            for (auto& each : bucket.data) {
                if (is_reserved_key(each.key))
                    continue;
                if (inflate_ && each.content.is(wire::data_type::compressed_string))
                    decompress(each.content, budget);
                if (bucket.visible == wire::scope::remote || both)
                    process->remote.insert_or_assign(each.key, each.content);
                if (bucket.visible == wire::scope::local || both)
                    process->local.insert_or_assign(std::move(each.key), std::move(each.content));
            }
        }
        process->committed = true;
        reply({});
        retry(from.who.nspace, [&](const held_get& held) { return concerns(held, from.who); });
    }

    void get(const requester& from, message::get request, responder<message::get_reply> reply)
    {
        if (const auto now = answer(from, request))
            return reply(*now);
        if (flag_attribute(request.infos, key::immediate) || !can_come(from, request))
            return reply.refuse(wire::status::not_found);
        const auto timeout = timeout_attribute(request.infos);
        const auto at = held_.insert(held_.end(), {from, std::move(request), std::move(reply), {}});
        if (timeout)
            at->limit = clock_.after(*timeout, [this, at] {
                auto expired = take(at);
                expired.reply.refuse(wire::status::timeout);
            });
    }

    /// The process will commit nothing more: who waits for its data gets NOT_FOUND.
    void departed(const wire::proc& who) noexcept
    {
        retry(who.nspace, [&](const held_get& held) { return concerns(held, who); });
    }

    /// The session is closed: what it waits for is forgotten.
    void drop(std::uint64_t session)
    {
        held_.remove_if([&](held_get& held) {
            if (held.from.session != session)
                return false;
            held.reply.abandon();
            return true;
        });
    }

    /// The namespace is about to be removed: who waits for its data gets NOT_FOUND.
    void forget(std::string_view nspace)
    {
        for (auto at = held_.begin(); at != held_.end();) {
            const auto here = at++;
            if (here->request.nspace == nspace)
                take(here).reply.refuse(wire::status::not_found);
        }
    }

    std::size_t held() const noexcept { return held_.size(); }

private:
    struct held_get {
        requester from;
        message::get request;
        responder<message::get_reply> reply;
        deadline_service::deadline limit;
    };

    /// The answer as things are, or none if it has to wait or fail.
    std::optional<message::get_reply> answer(const requester& from, const message::get& request)
    {
        auto* nspace = visible(from, request);
        if (!nspace)
            return std::nullopt;

        const auto has = [&](const auto& data) {
            return !request.key || std::any_of(data.begin(), data.end(),
                                               [&](const auto& each) { return each.key == *request.key; });
        };
        if (request.rank == wire::rank::wildcard || (request.key && is_reserved_key(*request.key))) {
            auto data = level_data(*nspace, request.rank, server_);
            if (!data || !has(*data))
                return std::nullopt;
            return reply_with(from, *nspace, {request.nspace, request.rank}, *std::move(data));
        }
        if (request.rank == wire::rank::undefined) {
            for (const auto& process : nspace->processes())
                if (request.key && process.local.contains(*request.key))
                    return reply_with(from, *nspace, {request.nspace, wire::rank::undefined},
                                      values(process));
            return std::nullopt;
        }
        const auto* process = nspace->process(request.rank);
        if (!process || !process->committed || (request.key && !process->local.contains(*request.key)))
            return std::nullopt;
        return reply_with(from, *nspace, {request.nspace, request.rank}, values(*process));
    }

    /// A length in host byte order, and a zlib stream.
    void decompress(wire::value& content, std::size_t& budget) const
    {
        const auto bytes = content.to_bytes();
        std::uint32_t length = 0;
        if (!bytes || bytes->size() < sizeof length)
            return;
        std::memcpy(&length, bytes->data(), sizeof length);
        if (length > budget)
            return;
        const auto text = inflate_(bytes->subspan(sizeof length), length);
        if (!text || text->find('\0') != text->npos)
            return;
        budget -= length;
        content = wire::value::string(*text);
    }

    static std::vector<wire::kval> values(const process_record& process)
    {
        std::vector<wire::kval> data;
        data.reserve(process.local.size());
        for (const auto& [name, content] : process.local)
            data.push_back({name, content});
        return data;
    }

    /// A requester of another namespace gets that job's data too, once: newer clients find nothing if it is there twice.
    message::get_reply reply_with(const requester& from, const namespace_record& of, wire::proc id,
                                  std::vector<wire::kval> data) const
    {
        message::get_reply reply;
        const bool foreign = id.nspace != from.who.nspace, of_job = id.rank == wire::rank::wildcard;
        if (foreign) {
            auto& job = reply.sources.emplace_back();
            job.id = {id.nspace, wire::rank::wildcard};
            job.data = foreign_job_data(of, server_);
        }
        if (!foreign || !of_job) {
            auto& source = reply.sources.emplace_back();
            source.id = std::move(id);
            source.data = std::move(data);
        }
        return reply;
    }

    /// The namespace a request is about, unless it is another user's.
    namespace_record* visible(const requester& from, const message::get& request)
    {
        auto* nspace = jobs_.find(request.nspace);
        return nspace && from.may_see(nspace->description().uid) ? nspace : nullptr;
    }

    /// Whether waiting makes sense.
    bool can_come(const requester& from, const message::get& request)
    {
        auto* nspace = visible(from, request);
        if (!nspace || request.rank == wire::rank::wildcard || (request.key && is_reserved_key(*request.key)))
            return false;
        const auto& processes = nspace->processes();
        if (request.rank == wire::rank::undefined)
            return !std::all_of(processes.begin(), processes.end(), [](const auto& p) { return p.departed; });
        const auto* process = nspace->process(request.rank);
        return process && !process->departed;
    }

    static bool concerns(const held_get& held, const wire::proc& changed)
    {
        return held.request.rank == changed.rank || held.request.rank == wire::rank::undefined;
    }

    template <class Affected>
    void retry(std::string_view nspace, Affected affected)
    {
        for (auto at = held_.begin(); at != held_.end();) {
            const auto here = at++;
            if (here->request.nspace != nspace || !affected(*here))
                continue;
            try {
                if (const auto now = answer(here->from, here->request))
                    take(here).reply(*now);
                else if (!can_come(here->from, here->request))
                    take(here).reply.refuse(wire::status::not_found);
            } catch (const std::bad_alloc&) { // others may be luckier
                take(here).reply.refuse(wire::status::out_of_resource);
            }
        }
    }

    held_get take(std::list<held_get>::iterator at)
    {
        auto held = std::move(*at);
        held_.erase(at);
        return held;
    }

    registry& jobs_;
    deadline_service& clock_;
    wire::proc server_;
    inflate inflate_;
    std::size_t most_;
    std::list<held_get> held_;
};

} // namespace pmixio
