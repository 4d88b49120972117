#include "../support/served.hpp"

#include <pmixio/server.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace pmixio;
using namespace std::chrono_literals;
using test::client;
using test::payload;
using test::running;
using wire::status;
using wire::value;

/// Its credentials are the text "token", which is root's.
struct token {
    static constexpr std::string_view name = "token";

    result<security::proof> validate(const security::evidence&) const { return fault::bad_credential; }
    result<wire::byte_buffer> credential() const
    {
        wire::byte_buffer bytes;
        wire::writer(bytes).text("token");
        return bytes;
    }
    result<security::proof> judge(std::span<const std::byte> shown) const
    {
        if (wire::cursor(shown).text(shown.size()) != "token")
            return fault::credential_replayed;
        return security::proof{0, 7};
    }
};

/// Takes as long as it is told.
struct slow_token : token {
    static constexpr std::string_view name = "slow";
    static constexpr bool blocks = true;

    result<security::proof> judge(std::span<const std::byte> shown) const
    {
        while (!*go)
            std::this_thread::sleep_for(1ms);
        return token::judge(shown);
    }
    std::shared_ptr<std::atomic<bool>> go = std::make_shared<std::atomic<bool>>(true);
};

template <class... Policy>
struct site : defaults {
    using security = securities<security::none, Policy...>;
    using observer = counters;
    static constexpr pmixio::limits limits = [] {
        pmixio::limits l;
        l.pending_credentials = 2;
        l.handshake_bytes = 1'000;
        return l;
    }();
};

/// A server, and a client of it.
template <class Site>
struct fixture {
    explicit fixture(server_settings<Site> settings = {}) : server(std::move(settings)) {}

    message::credential_reply make(std::vector<wire::info> infos = {})
    {
        asks.send(message::get_credential{std::move(infos)});
        return payload<message::credential_reply>(asks.answer());
    }
    message::infos_reply judge(std::string_view shown, std::vector<wire::info> infos = {})
    {
        message::validate_credential request;
        wire::writer(request.credential).text(shown);
        request.infos = std::move(infos);
        asks.send(request);
        return payload<message::infos_reply>(asks.answer());
    }

    running<Site> server;
    client<running<Site>> asks{server, {"a", 0}};
};

wire::info type(std::string_view names) { return {"pmix.sec.ctype", 0, value::string(names)}; }
std::string_view text_of(const wire::byte_buffer& bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
const std::vector<wire::info> roots{type("token"),
                                    {"pmix.euid", 0, value::uint32(0)},
                                    {"pmix.egid", 0, value::uint32(7)}};

} // namespace

TEST_CASE("a credential is made and judged by the first policy that can")
{
    fixture<site<token, slow_token>> f([] {
        server_settings<site<token, slow_token>> settings;
        settings.offered.securities[2] = false; // there is no pool
        return settings;
    }());
    const auto made = f.make();
    CHECK(made.result == status::success);
    CHECK(text_of(made.credential) == "token");
    CHECK(made.infos == std::vector{type("token")});
    CHECK(f.judge("token") == message::infos_reply{status::success, roots});
    CHECK(f.judge("another") == message::infos_reply{status::invalid_credential, {}});
    CHECK(f.judge("") == message::infos_reply{status::invalid_credential, {}});
}

TEST_CASE("who names types of credentials gets one of these, or none")
{
    fixture<site<token>> f;
    CHECK(f.make({type("munge,token")}).result == status::success);
    CHECK(f.make({type("munge")}).result == status::not_supported);
    CHECK(f.make({type("none")}).result == status::not_supported);
    CHECK(f.make({{"pmix.sec.ctype", 0, value::uint32(1)}}).result == status::not_supported);
    CHECK(f.judge("token", {type("token")}).result == status::success);
    CHECK(f.judge("token", {type("munge")}).result == status::not_supported);
}

TEST_CASE("a policy whose credentials prove nothing by themselves makes and judges none")
{
    fixture<site<security::native>> f;
    CHECK(f.make().result == status::not_supported);
    CHECK(f.judge("12345678").result == status::not_supported);
}

TEST_CASE("a credential that no peer could have shown is judged by nobody")
{
    fixture<site<token>> f;
    CHECK(f.judge(std::string(1'001, 't')).result == status::invalid_credential);
    CHECK(f.judge(std::string(1'000, 't')).result == status::invalid_credential);
}

TEST_CASE("policies that block do so on the pool, a few questions of one user at a time")
{
    using slow_site = site<slow_token>;
    asio::thread_pool pool(1);
    server_settings<slow_site> settings;
    settings.pool = pool.get_executor();
    auto& go = *std::get<slow_token>(settings.policies).go;
    fixture<slow_site> f(settings);
    struct opened {
        ~opened() { go = true; } // or the pool would never end
        std::atomic<bool>& go;
    } at_the_end{go};
    CHECK(text_of(f.make().credential) == "token");
    CHECK(f.judge("token").result == status::success);
    go = false; // two are under way at most
    for (int i = 0; i != 3; ++i)
        f.asks.send(message::validate_credential{});
    const auto first = f.asks.tag - 2;
    CHECK(payload<message::status_reply>(f.asks.answer()).result == status::out_of_resource);
    go = true;
    for (const auto tag : {first, first + 1})
        CHECK(payload<message::status_reply>(f.asks.answer(tag)).result == status::invalid_credential);
    CHECK(f.judge("token").result == status::success);

    // Who does not wait for the answer leaves nothing behind.
    go = false;
    f.asks.send(message::validate_credential{});
    f.asks.link.close();
    f.server.until([&] { return f.server.under_test->sessions() == 0; });
    go = true;
    pool.join();
}

namespace {

struct desk {
    site<token>::security::instances policies;
    std::array<bool, 2> offered{true, true};
    pmixio::detail::blocking_pool pool{{}, 1};
    credential_desk<site<token>> under_test{policies, offered, pool, site<token>::limits};
};

} // namespace

TEST_CASE("the server's credential is not for other users, root included")
{
    desk d;
    const auto made_for = [&](::uid_t uid) { return d.under_test.maker({{"a", 0}, uid, 1}, {}).has_value(); };
    CHECK(made_for(::geteuid()));
    CHECK(!made_for(::geteuid() + 1));
    CHECK(made_for(0) == (::geteuid() == 0));
}
