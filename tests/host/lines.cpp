#include "../support/run.hpp"

#include <pmixio/host/lines.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace {

using namespace pmixio;
using test::run;

/// All that is read when these are written one after the other.
std::vector<std::string> read(const std::vector<std::string>& written, std::size_t longest = 1 << 20)
{
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    asio::io_context io;
    asio::posix::stream_descriptor to(io, ends[1]);
    line_reader from(asio::posix::stream_descriptor(io, ends[0]), longest);
    std::vector<std::string> got;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
            for (auto text = co_await from.next(); !text.empty(); text = co_await from.next())
                got.push_back(text);
        },
        [](std::exception_ptr thrown) { CHECK_FALSE(thrown); });
    for (const auto& each : written) {
        asio::write(to, asio::buffer(each));
        io.poll();
    }
    to.close();
    io.run();
    return got;
}

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("text is read in whole lines, and the rest at the end")
{
    CHECK(read({"a", "b\nc\nd", "e"}) == texts{"ab\nc\n", "de"});
    CHECK(read({"a\n", "b\n"}) == texts{"a\n", "b\n"});
    CHECK(read({}).empty());
    CHECK(read({"\n"}) == texts{"\n"});
}

TEST_CASE("a line that is too long is given in pieces")
{
    CHECK(read({"abc", "de", "f\n"}, 2) == texts{"abc", "def\n"});
}

TEST_CASE("every line gets a tag")
{
    CHECK(tag_lines("a\n\nb", "> ") == "> a\n> \n> b\n");
    CHECK(tag_lines("", "> ") == "");
}

TEST_CASE("text is written whole, and given up when nobody reads it")
{
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    asio::io_context io;
    asio::thread_pool writer(1); // its threads end before the context does
    const std::string text(1 << 20, 'x'); // more than a pipe holds
    std::string got;
    std::thread reader([&] {
        char piece[4096];
        for (ssize_t n; (n = ::read(ends[0], piece, sizeof piece)) > 0;)
            got.append(piece, static_cast<std::size_t>(n));
    });
    run(io, write_all(writer.get_executor(), ends[1], text));
    ::close(ends[1]);
    reader.join();
    ::close(ends[0]);
    CHECK(got == text);
    run(io, write_all(writer.get_executor(), -1, text));
}
