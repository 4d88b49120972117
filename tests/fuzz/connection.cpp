// Whole connections of one server, on scripted streams: any bytes, cut anywhere, with pauses, full buffers and ends. After it
// all nothing is left of them, the counters add up, and a good client is served.
//
// Input: instructions of one byte. The low three bits say what, the rest, n, how much or to whom.
//
//   0  n + 1 bytes follow, and are sent         4  the other end takes n more bytes, or all if n is 31
//   1  2^n bytes follow (n up to 12)            5  n seconds pass
//   2  the other end closes                     6  n handlers run
//   3  the other end takes no more bytes        7  talk on another of four connections; n over 15: a new one
//
// Each connection begins in its handshake; n of instruction 7 with bit 3 begins it admitted, as a client that speaks v21, v3,
// v41 or v61.
#include "support/manual_clock.hpp"
#include "support/memory_socket.hpp"

#include <pmixio/handshake/request.hpp>
#include <pmixio/security/native.hpp>
#include <pmixio/security/none.hpp>
#include <pmixio/server.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace pmixio;
using test::memory_socket;
using test::memory_stream;

struct site : defaults {
    using security = securities<security::native_claimed, security::none>;
    using observer = counters;
    using clock = test::manual_clock;
    static constexpr pmixio::limits limits{.pending_handshakes = 3, .message_bytes = 1u << 16, .queued_output = 1u << 18};
};

test::bytes greeting(std::string_view encoding)
{
    hello said;
    said.security = "none";
    said.nspace = "golden";
    said.rank = 0;
    said.version = "6.1.0";
    said.encoding = encoding;
    said.gds = "hash";
    return make_handshake(said).value();
}

void require(bool holds)
{
    if (!holds)
        std::abort();
}

class scene {
public:
    void play(std::span<const std::byte> script)
    {
        begin({});
        while (!script.empty()) {
            const auto what = std::to_integer<unsigned>(script.front()), n = what >> 3;
            script = script.subspan(1);
            switch (what & 7) {
            case 0: send(script, n + 1); break;
            case 1: send(script, std::size_t{1} << std::min(n, 12u)); break;
            case 2: here().end_input(); break;
            case 3: here().take_only(0); break;
            case 4: here().give_room(n == 31 ? 1u << 24 : n); break;
            case 5: test::pass_time(io_, std::chrono::seconds(n)); break;
            case 6: run(n); break;
            case 7:
                at_ = n % 4;
                if (n > 15 || !streams_[at_])
                    begin(n & 8 ? std::array{"v21", "v3", "v41", "v61"}[at_] : "");
                break;
            }
        }
    }

    void end()
    {
        for (auto& each : streams_)
            if (each) {
                each->give_room(1u << 24);
                each->end_input();
            }
        poll();
        test::pass_time(io_, std::chrono::seconds(20)); // handshakes, and who was to read the last words
        for (at_ = 0; at_ != streams_.size(); ++at_)
            streams_[at_].reset();
        poll();
        const auto& seen = server_.observer();
        require(server_.sessions() + server_.pending_handshakes() + server_.held_gets() == 0);
        require(seen.accepted == seen.admitted + seen.refused && seen.admitted == seen.closed);
        require(jobs_.find(wire::proc{"golden", 0})->connections == 0);

        at_ = 0;
        begin("v41");
        here().feed(make_frame<wire::v41>(wire::first_request_tag, message::req{}, {}).value());
        poll();
        require(server_.sessions() == 1 && here().output().size() > 8 + wire::frame_header_size);
        server_.close_sessions();
        poll();
    }

private:
    memory_stream& here() { return *streams_[at_]; }

    void begin(std::string_view encoding)
    {
        streams_[at_] = std::make_unique<memory_stream>(
            io_.get_executor(), encoding.empty() ? test::bytes() : greeting(encoding));
        here().stall();
        asio::co_spawn(io_, server_.admit(memory_socket(here())), [](std::exception_ptr thrown, result<void>) {
            require(!thrown);
        });
        if (!encoding.empty())
            poll();
    }

    void send(std::span<const std::byte>& script, std::size_t n)
    {
        const auto piece = script.first(std::min(n, script.size()));
        here().feed(piece);
        script = script.subspan(piece.size());
    }

    void run(unsigned handlers)
    {
        for (io_.restart(); handlers != 0; --handlers)
            if (io_.poll_one() == 0)
                break;
    }
    void poll()
    {
        io_.restart();
        io_.poll();
    }

    asio::io_context io_;
    registry jobs_{{"golden", 2, 0, 0}, {"labns", 8, 0, 0}, {"other", 1, 1, 1}}; // the first two are in the recordings
    std::array<std::unique_ptr<memory_stream>, 4> streams_;
    std::size_t at_ = 0;
    server<site, no_host, memory_socket> server_{io_.get_executor(), jobs_};
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    scene all;
    all.play(std::as_bytes(std::span(data, size)));
    all.end();
    return 0;
}
