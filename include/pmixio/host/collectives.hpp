// collectives: operations that complete when all their participants have joined. messages.md section 10.
#pragma once

#include <pmixio/host/attributes.hpp>
#include <pmixio/host/deadlines.hpp>
#include <pmixio/host/groups.hpp>
#include <pmixio/host/job_data.hpp>
#include <pmixio/host/registry.hpp>
#include <pmixio/host/requester.hpp>
#include <pmixio/message/collective.hpp>
#include <pmixio/session/responder.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pmixio {

/// Fences, connects, disconnects, and the making and ending of groups, of the processes of one node.
///
/// An operation is known by its kind and its participants as they were written, {job:*} and {job:0, job:1} are two; that
/// of a group by its kind and name. A group in place of a namespace stands for its members. One process is in a pending
/// operation once; its second contribution begins the next one of the same name.
///
/// Participants are of one user: others' are NOT_FOUND, as are those that are not registered. Who is not among them gets
/// BAD_PARAM. Both at once.
///
/// A participant that leaves, or had left before, is not waited for: the rest gets PARTIAL_SUCCESS. No group is made then
/// (GROUP_CONSTRUCT_ABORT), unless a member has asked for `pmix.grp.ftcoll` or `pmix.grp.opt`: of the rest. The first
/// `pmix.timeout` among the contributions ends the operation for all with TIMEOUT. Contributions that disagree, on
/// `pmix.collect` of a fence or who is in a group, end it with BAD_PARAM when it is complete.
class collectives {
public:
    /// The host's part, where it has one: set before the first operation.
    struct last_word {
        /// All participants have joined. True: decided(ticket, ...) will be called, later. Other participants of the same
        /// name begin the next operation meanwhile.
        std::function<bool(wire::command, message::group_construct, std::uint64_t ticket)> ask;
        /// It need not be called any more.
        std::function<void(std::uint64_t ticket)> cancel;
    };
    last_word host;

    /// All must outlive the collectives. `server`: its name, the source of its events; `groups_per_user`: see limits.
    collectives(registry& jobs, deadline_service& clock, events& listeners, const wire::proc& server,
                std::size_t groups_per_user)
        : jobs_(jobs), clock_(clock), server_(server), groups_(jobs, listeners, server, groups_per_user)
    {}

    void fence(const requester& from, message::fence request, responder<message::status_reply> reply)
    {
        auto asked = among(wire::command::fence, from, std::move(request.processes));
        asked.collect = flag_attribute(request.infos, key::collect);
        join(from, std::move(asked), request.infos, std::move(reply));
    }

    /// Answered with the job data of the other namespaces taking part. OUT_OF_RESOURCE beyond limits::groups_per_user.
    void connect(const requester& from, message::connect request, responder<message::connect_reply> reply)
    {
        join(from, among(wire::command::connect, from, std::move(request.processes)), request.infos,
             std::move(reply));
    }

    /// INVALID_OPERATION at once if these are not connected.
    void disconnect(const requester& from, message::disconnect request,
                    responder<message::status_reply> reply)
    {
        join(from, among(wire::command::disconnect, from, std::move(request.processes)), request.infos,
             std::move(reply));
    }

    /// EXISTS at once if there is such a group, or a namespace of that name; OUT_OF_RESOURCE beyond limits::groups_per_user.
    /// Members get the group's context id if one of them has asked for it (`pmix.grp.actxid`). With `pmix.grp.notterm` of
    /// one, they hear of those that leave the server. NOT_SUPPORTED: members that do not take part in the making.
    void construct(const requester& from, message::group_construct request,
                   responder<message::group_reply> reply)
    {
        for (const auto each : {key::bootstrap, key::add_members})
            if (find_attribute(request.infos, each))
                return reply.refuse(wire::status::not_supported);
        if (request.group.empty() || request.group.size() > wire::max_nspace_length)
            return reply.refuse(wire::status::bad_parameter);
        auto asked = among(wire::command::group_construct, from, std::move(request.processes),
                           std::move(request.group));
        const auto flag = [&](std::string_view key) { return flag_attribute(request.infos, key); };
        asked.with_context = flag(key::assign_context);
        asked.notify = flag(key::notify_termination);
        asked.of_the_rest = flag(key::fault_tolerant) || flag(key::optional_members);
        join(from, std::move(asked), request.infos, std::move(reply));
    }

    /// All members have to. NOT_FOUND at once if there is no such group.
    void destruct(const requester& from, message::group_destruct request,
                  responder<message::status_reply> reply)
    {
        const auto* members = groups_.members(user_of(from), request.group);
        if (!members)
            return reply.refuse(wire::status::not_found);
        auto asked = among(wire::command::group_destruct, from, *members, request.group);
        asked.notify = groups_.notifies(asked.about.user, request.group);
        asked.through.insert(std::move(request.group));
        join(from, std::move(asked), request.infos, std::move(reply));
    }

    /// The others are told (`group_left`), and do not wait for it any more where the group was named. NOT_FOUND if the
    /// requester is no member.
    void leave(const requester& from, const message::group_leave& request,
               responder<message::status_reply> reply)
    {
        reply({leave(from, request.group, true)});
    }

    /// An event of a process may be the news of a group: that it was made by invitation (`group_construct_complete`), or
    /// that its source has left it (`group_left`). Not SUCCESS: the event is none.
    wire::status heard(const requester& from, const message::notify& event)
    {
        const auto* named = find_attribute(event.infos, key::group);
        const auto group = named ? named->get<wire::data_type::string>() : std::nullopt;
        if (event.code == wire::status::group_left && group)
            leave(from, std::string(*group), false);
        if (event.code != wire::status::group_construct_complete)
            return wire::status::success;
        if (!group || group->empty() || group->size() > wire::max_nspace_length)
            return wire::status::bad_parameter;
        const auto made =
            among(wire::command::group_invite, from, processes_attribute(event.infos, key::custom_range));
        std::set<wire::proc> members;
        const auto found = for_each(
            made, from, [&](const process_record&, wire::proc each) { members.insert(std::move(each)); });
        return found == wire::status::success
                   ? groups_.add({made.about.user, std::string(*group), {}}, std::move(members))
                   : found;
    }

    /// The process is gone, and in no operation any more. Those it was connected with.
    std::set<wire::proc> departed(const wire::proc& who) noexcept
    {
        for (auto at = pending_.begin(); at != pending_.end();) {
            const auto here = at++;
            if (here->ticket != 0 || !here->has(who))
                continue;
            try {
                if (!here->gone.insert(who).second)
                    continue;
            } catch (const std::bad_alloc&) { // it would never be complete
                complete(here, wire::status::out_of_resource);
                continue;
            }
            here->missing -= !here->joined.contains(who);
            if (here->is_deserted()) // who joins later begins it anew
                pending_.erase(here);
            else
                complete_if_all_joined(here);
        }
        return groups_.departed(who);
    }

    /// The session is closed: nobody waits there for an answer.
    void drop(std::uint64_t session)
    {
        for (auto at = pending_.begin(); at != pending_.end();) {
            const auto here = at++;
            const auto gone = std::erase_if(here->waiting, [&](contribution& c) {
                if (c.from.session != session)
                    return false;
                std::visit([](auto& reply) { reply.abandon(); }, c.reply);
                return true;
            });
            if (here->ticket != 0 && gone != 0 && here->waiting.empty())
                complete(here, wire::status::error);
        }
    }

    /// What the host has to say of an operation it was asked about: SUCCESS, or how it ends instead.
    void decided(std::uint64_t ticket, wire::status outcome)
    {
        const auto at = std::find_if(pending_.begin(), pending_.end(),
                                     [&](const operation& each) { return each.ticket == ticket; });
        if (at == pending_.end())
            return;
        at->ticket = 0;
        complete(at, outcome == wire::status::success ? at->outcome : outcome);
    }

    /// The namespace is about to be removed: operations with its processes end with NOT_FOUND.
    void forget(std::string_view nspace)
    {
        for (auto at = pending_.begin(); at != pending_.end();) {
            const auto here = at++;
            const auto& all = here->participants();
            if (std::any_of(all.begin(), all.end(), [&](const auto& p) { return p.nspace == nspace; }))
                complete(here, wire::status::not_found);
        }
        groups_.forget(nspace);
    }

    std::size_t pending() const noexcept { return pending_.size(); }
    /// Groups that exist, and sets of processes that are connected.
    std::size_t kept_groups() const noexcept { return groups_.size(); }

private:
    using answer = std::variant<responder<message::status_reply>, responder<message::connect_reply>,
                                responder<message::group_reply>>;
    struct contribution {
        requester from;
        answer reply;
    };
    struct operation {
        wire::command kind{};
        group_id about;                   ///< sorted; a wildcard stands for all ranks of its namespace
        std::vector<wire::proc> of_group; ///< who takes part where `about` is a name
        std::set<std::string> through; ///< groups that its participants are members of, by which it was named
        std::set<wire::proc> joined, gone;
        std::size_t missing = 0; ///< participants that are in neither set
        std::vector<contribution> waiting;
        bool collect = false, with_context = false, notify = false, of_the_rest = false;
        bool disagreement = false, limited = false;
        deadline_service::deadline limit;
        std::vector<wire::info> infos; ///< of the first, if there is a host to ask
        std::uint64_t ticket = 0;      ///< not 0: all have joined, and the host is asked
        wire::status outcome{};        ///< unless the host decides otherwise

        std::vector<wire::proc>& participants() { return about.name.empty() ? about.processes : of_group; }
        const std::vector<wire::proc>& participants() const
        {
            return about.name.empty() ? about.processes : of_group;
        }
        bool same(const operation& other) const { return kind == other.kind && about == other.about; }
        bool is_deserted() const
        {
            return waiting.empty() && std::includes(gone.begin(), gone.end(), joined.begin(), joined.end());
        }
        bool has(const wire::proc& who) const
        {
            const auto& all = participants();
            return std::binary_search(all.begin(), all.end(), who) || has_all(who.nspace);
        }
        bool has_all(const std::string& nspace) const
        {
            const auto& all = participants();
            return std::binary_search(all.begin(), all.end(), wire::proc{nspace, wire::rank::wildcard});
        }
    };
    using position = std::list<operation>::iterator;

    ::uid_t user_of(const requester& from) const
    {
        const auto* nspace = jobs_.find(from.who.nspace);
        return nspace ? nspace->description().uid : from.uid;
    }

    /// An operation of these, that nobody has joined; about a group if it has a name.
    operation among(wire::command kind, const requester& from, std::vector<wire::proc> processes,
                    std::string group = {}) const
    {
        operation asked;
        asked.kind = kind;
        asked.about.user = user_of(from);
        asked.about.name = std::move(group);
        for (const auto& each : processes)
            if (!groups_.is_namespace(asked.about.user, each.nspace))
                asked.through.insert(each.nspace);
        if (!asked.through.empty())
            processes = groups_.substitute(asked.about.user, std::move(processes));
        std::sort(processes.begin(), processes.end());
        processes.erase(std::unique(processes.begin(), processes.end()), processes.end());
        asked.participants() = std::move(processes);
        return asked;
    }

    template <class Reply>
    void join(const requester& from, operation asked, const std::vector<wire::info>& infos,
              responder<Reply> reply)
    {
        if (const auto futile = futility(asked); futile != wire::status::success)
            return reply.refuse(futile);
        auto at = std::find_if(pending_.begin(), pending_.end(), [&](const operation& each) {
            return each.ticket == 0 && each.same(asked) && !each.joined.contains(from.who);
        });
        if (at != pending_.end()) {
            if (!at->has(from.who))
                return reply.refuse(wire::status::bad_parameter);
            at->disagreement |= at->collect != asked.collect || at->of_group != asked.of_group;
            at->with_context |= asked.with_context;
            at->notify |= asked.notify;
            at->of_the_rest |= asked.of_the_rest;
            at->through.merge(asked.through);
        } else {
            const auto found = for_each(asked, from, [&](const process_record& process, wire::proc each) {
                if (process.departed && each != from.who)
                    asked.gone.insert(std::move(each));
                else
                    ++asked.missing;
            });
            if (found != wire::status::success)
                return reply.refuse(found);
            if (host.ask)
                asked.infos = infos;
            at = pending_.insert(pending_.end(), std::move(asked));
        }

        if (const auto limit = timeout_attribute(infos); limit && !at->limited) {
            at->limited = true;
            at->limit = clock_.after(*limit, [this, at] { complete(at, wire::status::timeout); });
        }
        if (at->joined.insert(from.who).second && !at->gone.contains(from.who))
            --at->missing;
        at->waiting.push_back({from, std::move(reply)});
        complete_if_all_joined(at);
    }

    /// Calls f(process_record, proc) for each participant, once. Not SUCCESS: this cannot be an operation of `from`.
    template <class F>
    wire::status for_each(const operation& of, const requester& from, F f)
    {
        if (!of.has(from.who))
            return wire::status::bad_parameter;
        for (const auto& each : of.participants()) {
            if (!groups_.is_namespace(of.about.user, each.nspace))
                return wire::status::not_found;
            auto* nspace = jobs_.find(each.nspace);
            if (each.rank == wire::rank::wildcard) {
                auto rank = nspace->first_rank();
                for (const auto& process : nspace->processes())
                    f(process, wire::proc{each.nspace, rank++});
            } else if (const auto* process = nspace->process(each.rank)) {
                if (!of.has_all(each.nspace))
                    f(*process, each);
            } else {
                return wire::status::not_found;
            }
        }
        return wire::status::success;
    }

    wire::status leave(const requester& from, const std::string& group, bool tell_others)
    {
        const auto user = user_of(from);
        const auto left = groups_.leave(user, group, from.who, tell_others);
        if (left != wire::status::success)
            return left;
        for (auto at = pending_.begin(); at != pending_.end();) {
            const auto here = at++;
            if (here->ticket != 0 || here->about.user != user || !here->through.contains(group) ||
                here->kind == wire::command::disconnect || std::erase(here->participants(), from.who) == 0)
                continue;
            here->missing -= !here->joined.contains(from.who) && !here->gone.contains(from.who);
            complete_if_all_joined(here);
        }
        return left;
    }

    void complete_if_all_joined(position at) noexcept
    {
        if (at->missing != 0)
            return;
        const bool aborted = at->kind == wire::command::group_construct;
        const bool whole = at->gone.empty() || at->of_the_rest;
        at->outcome = at->disagreement ? wire::status::bad_parameter
                      : whole          ? wire::status::success
                      : aborted        ? wire::status::group_construct_abort
                                       : wire::status::partial_success;
        if (!host_decides(at))
            complete(at, at->outcome);
    }

    bool host_decides(position at) noexcept
    {
        if (!host.ask ||
            (at->outcome != wire::status::success && at->outcome != wire::status::partial_success))
            return false;
        try {
            at->ticket = ++last_ticket_;
            if (host.ask(at->kind, {at->about.name, at->participants(), std::move(at->infos)}, at->ticket))
                return true;
        } catch (const std::bad_alloc&) {
            at->outcome = wire::status::out_of_resource;
        }
        at->ticket = 0;
        return false;
    }

    void complete(position at, wire::status outcome) noexcept
    {
        auto done = std::move(*at);
        pending_.erase(at);
        if (done.ticket != 0)
            host.cancel(done.ticket);
        std::map<std::string, message::connect_reply> of_connect;
        message::group_reply of_construct;
        wire::status futile = wire::status::success;
        try {
            if (outcome == wire::status::success || outcome == wire::status::partial_success) {
                if (done.kind == wire::command::connect)
                    of_connect = connect_replies(done, outcome);
                if (done.kind == wire::command::group_construct)
                    of_construct = construct_reply(done);
                outcome = keep(done, outcome);
                futile = futility(done);
            }
        } catch (const std::bad_alloc&) {
            outcome = wire::status::out_of_resource;
        }
        of_construct.result = outcome;
        for (auto& each : done.waiting)
            std::visit(
                [&]<class Reply>(responder<Reply>& reply) {
                    if constexpr (std::same_as<Reply, message::status_reply>)
                        reply({outcome});
                    else if constexpr (std::same_as<Reply, message::group_reply>)
                        reply(of_construct);
                    else if (const auto found = of_connect.find(each.from.who.nspace);
                             found != of_connect.end() && found->second.result == outcome)
                        reply(found->second);
                    else
                        reply.refuse(outcome);
                },
                each.reply);
        if (futile == wire::status::success)
            return;
        for (auto next = pending_.begin(); next != pending_.end();) {
            const auto here = next++;
            if (here->ticket == 0 &&
                here->same(done)) // those it waits for are told at once that it cannot be
                complete(here, futile);
        }
    }

    /// Why such an operation cannot be, or not any more.
    wire::status futility(const operation& asked) const noexcept
    {
        const auto& id = asked.about;
        switch (asked.kind) {
        case wire::command::disconnect:
            return groups_.contains(id) ? wire::status::success : wire::status::invalid_operation;
        case wire::command::group_construct:
            return groups_.contains(id) || groups_.is_namespace(id.user, id.name) ? wire::status::exists
                                                                                  : wire::status::success;
        case wire::command::group_destruct:
            return groups_.contains(id) ? wire::status::success : wire::status::not_found;
        default: return wire::status::success;
        }
    }

    /// By namespace of who is answered.
    std::map<std::string, message::connect_reply> connect_replies(const operation& done,
                                                                  wire::status outcome) const
    {
        std::map<std::string, message::connect_reply> replies;
        for (const auto& each : done.waiting)
            replies[each.from.who.nspace].result = outcome;
        std::string_view last;
        for (const auto& each : done.participants()) {
            const auto* nspace = each.nspace != last ? jobs_.find(last = each.nspace) : nullptr;
            if (!nspace)
                continue;
            for (auto& [own, reply] : replies)
                if (own != each.nspace)
                    reply.jobs.push_back({each.nspace, foreign_job_data(*nspace, server_)});
        }
        return replies;
    }

    message::group_reply construct_reply(const operation& done)
    {
        message::group_reply reply;
        std::set_difference(done.joined.begin(), done.joined.end(), done.gone.begin(), done.gone.end(),
                            std::back_inserter(reply.members));
        if (done.with_context)
            reply.context = ++last_context_;
        return reply;
    }

    /// What outlasts the operation. Returns what it comes to.
    wire::status keep(operation& done, wire::status outcome)
    {
        switch (done.kind) {
        case wire::command::connect:
        case wire::command::group_construct: {
            std::erase_if(done.joined, [&](const auto& each) { return done.gone.contains(each); });
            if (done.joined.empty())
                return outcome;
            const auto added = groups_.add(done.about, std::move(done.joined), done.notify);
            return added == wire::status::success ? outcome : added;
        }
        case wire::command::disconnect: groups_.remove(done.about); return outcome;
        case wire::command::group_destruct:
            groups_.remove(done.about);
            return done.notify ? wire::status::success : outcome; // the event is in place of an error
        default: return outcome;
        }
    }

    registry& jobs_;
    deadline_service& clock_;
    wire::proc server_;
    groups groups_;
    std::list<operation> pending_;
    std::uint64_t last_context_ = 0;
    std::uint64_t last_ticket_ = 0;
};

} // namespace pmixio
