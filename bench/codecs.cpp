// What it costs to read a handshake, and to read and write messages, in memory: nanoseconds, bytes a second, allocations.
#include <pmixio/handshake/hello.hpp>
#include <pmixio/host/job_data.hpp>
#include <pmixio/message/collective.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/message/process.hpp>
#include <pmixio/session/responder.hpp>

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <new>
#include <span>

namespace {

std::size_t allocations = 0;

} // namespace

[[gnu::noinline]] void* operator new(std::size_t size)
{
    ++allocations;
    if (void* memory = std::malloc(size))
        return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace pmixio;

/// Runs f, which works on `bytes` bytes, and counts.
template <class F>
void measure(benchmark::State& state, std::size_t bytes, F f)
{
    const auto before = allocations;
    for (auto _ : state)
        f();
    state.counters["allocations"] =
        static_cast<double>(allocations - before) / static_cast<double>(state.iterations());
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}

/// With its header: handshake.md section 2.
wire::byte_buffer handshake()
{
    wire::byte_buffer payload;
    wire::writer out(payload);
    out.terminated("native");
    out.big_endian<std::uint32_t>(8), out.big_endian<std::uint64_t>(0);
    out.u8(0);
    out.terminated("a-namespace"), out.big_endian<std::uint32_t>(7);
    out.terminated("4.2.2"), out.terminated("v41"), out.u8(1), out.terminated("hash");
    const std::uint32_t header[4] = {UINT32_MAX, UINT32_MAX, static_cast<std::uint32_t>(payload.size()), 0};
    wire::byte_buffer request;
    wire::writer all(request);
    all.append(std::as_bytes(std::span(header))), all.append(payload);
    return request;
}

void parse_handshake(benchmark::State& state)
{
    const auto payload = handshake();
    measure(state, payload.size(), [&] {
        auto said = pmixio::parse_handshake(payload);
        if (!said)
            std::abort();
        benchmark::DoNotOptimize(said);
    });
}
BENCHMARK(parse_handshake);

template <class Encoding, class M>
wire::byte_buffer encoded(const M& m, wire::buffer_kind kind)
{
    wire::byte_buffer bytes;
    wire::writer out(bytes);
    static_cast<void>(message::write<Encoding>(out, m, {kind, wire::release::parse("4.2.2")}));
    return bytes;
}

message::commit commit_of(std::size_t keys)
{
    message::commit m;
    auto& bucket = m.buckets.emplace_back();
    bucket.visible = wire::scope::global;
    for (std::size_t i = 0; i != keys; ++i)
        bucket.data.push_back({"key." + std::to_string(i), wire::value::string("a value of some length")});
    return m;
}

template <class Encoding, class M>
void read(benchmark::State& state, const M& m)
{
    const auto bytes = encoded<Encoding>(m, wire::buffer_kind::non_described);
    const wire::agreement with{wire::buffer_kind::non_described, wire::release::parse("4.2.2")};
    measure(state, bytes.size(), [&] {
        wire::cursor in(bytes);
        static_cast<void>(message::read_command<Encoding>(in, with));
        auto got = message::read<M, Encoding>(in, with);
        if (!got)
            std::abort();
        benchmark::DoNotOptimize(got);
    });
}

template <class Encoding, class M>
void write(benchmark::State& state, const M& m)
{
    const wire::agreement with{wire::buffer_kind::non_described, wire::release::parse("4.2.2")};
    const auto size = encoded<Encoding>(m, with.kind).size();
    measure(state, size, [&] {
        auto frame = make_frame<Encoding>(101, m, with);
        if (!frame)
            std::abort();
        benchmark::DoNotOptimize(frame);
    });
}

template <class Encoding>
void read_fence(benchmark::State& state)
{
    message::fence m;
    m.processes = {{"a-namespace", wire::rank::wildcard}};
    m.infos = {{"pmix.collect", 0, wire::value::boolean(true)}};
    read<Encoding>(state, m);
}
BENCHMARK(read_fence<wire::v21>);
BENCHMARK(read_fence<wire::v41>);

template <class Encoding>
void read_commit(benchmark::State& state)
{
    read<Encoding>(state, commit_of(static_cast<std::size_t>(state.range(0))));
}
BENCHMARK(read_commit<wire::v21>)->Arg(16)->Arg(256);
BENCHMARK(read_commit<wire::v41>)->Arg(16)->Arg(256);

template <class Encoding>
void write_get_reply(benchmark::State& state)
{
    message::get_reply m;
    m.sources.push_back(
        {{"a-namespace", 3}, commit_of(static_cast<std::size_t>(state.range(0))).buckets[0].data});
    write<Encoding>(state, m);
}
BENCHMARK(write_get_reply<wire::v21>)->Arg(16);
BENCHMARK(write_get_reply<wire::v41>)->Arg(16);

template <class Encoding>
void write_job_data(benchmark::State& state)
{
    const namespace_record of({"a-namespace", static_cast<std::uint32_t>(state.range(0)), 0, 0});
    write<Encoding>(state, make_job_data(of, {"server", 0}));
}
BENCHMARK(write_job_data<wire::v21>)->Arg(64);
BENCHMARK(write_job_data<wire::v41>)->Arg(64);

void make_job_data_of(benchmark::State& state)
{
    const namespace_record of({"a-namespace", static_cast<std::uint32_t>(state.range(0)), 0, 0});
    measure(state, 0, [&] {
        auto data = make_job_data(of, {"server", 0});
        benchmark::DoNotOptimize(data);
    });
}
BENCHMARK(make_job_data_of)->Arg(8)->Arg(64)->Arg(256);

} // namespace

BENCHMARK_MAIN();
