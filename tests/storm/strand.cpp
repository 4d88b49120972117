// One server on a strand of a context that two threads run.
#include "support/served.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <future>
#include <optional>
#include <thread>
#include <vector>

using namespace pmixio;

TEST_CASE("a server serves on a strand of several threads")
{
    asio::thread_pool pool(2);
    const asio::any_io_executor on = asio::make_strand(pool);
    registry jobs{{"a", 64, ::geteuid(), ::getegid()}};
    std::optional<listener> at(std::in_place, on, loopback());
    std::optional<server<test::open_site>> s;
    s.emplace(on, jobs);
    asio::co_spawn(on, s->serve(*at), [](std::exception_ptr, std::error_code) {});
    std::vector<std::thread> peers;
    std::atomic<int> served = 0;
    for (int n = 0; n != 3; ++n)
        peers.emplace_back([&, n] {
            asio::io_context io;
            for (int i = 0; i != 150; ++i) {
                asio::ip::tcp::socket link(io);
                link.connect(at->local_endpoint());
                asio::write(link, asio::buffer(test::hello_bytes({"a", static_cast<unsigned>(n)}, "6.1.0")));
                std::array<std::byte, 8> greeting;
                asio::read(link, asio::buffer(greeting));
                for (int k = 0; k != 4; ++k) {
                    auto f =
                        make_frame<wire::v41>(101u + static_cast<unsigned>(k), message::req{}, {}).value();
                    asio::write(link, asio::buffer(f));
                    std::array<std::byte, 16> head;
                    asio::read(link, asio::buffer(head));
                    std::vector<std::byte> rest(wire::frame_header::parse(head).nbytes);
                    asio::read(link, asio::buffer(rest));
                }
                ++served;
            }
        });
    for (auto& each : peers)
        each.join();
    CHECK(served == 450);
    std::promise<void> over;
    asio::post(on, [&] { s.reset(), at.reset(), over.set_value(); });
    over.get_future().wait();
    pool.join();
}
