#include "support/peers.hpp"
#include "support/temporary_directory.hpp"

#include <pmixio/host/cleanup.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace pmixio;
using test::write_file;
using wire::status;
using wire::value;

constexpr auto all = wire::rank::wildcard;

wire::info text(std::string_view name, const std::string& content)
{
    return {std::string(name), 0, value::string(content)};
}
wire::info files(const std::string& list) { return text("pmix.reg.cleanup", list); }
wire::info directories(const std::string& list) { return text("pmix.reg.cleanupdir", list); }
wire::info ignore(const std::string& list) { return text("pmix.clnup.ignore", list); }
wire::info flag(const char* name, bool on = true) { return {name, 0, value::boolean(on)}; }
const auto recursive = flag("pmix.clnup.recurse"), empty = flag("pmix.clnup.empty"),
           leave_top = flag("pmix.clnup.lvtop");

void make_directory(const std::string& path) { REQUIRE(::mkdir(path.c_str(), 0700) == 0); }
bool there(const std::string& path)
{
    struct ::stat ignored;
    return ::lstat(path.c_str(), &ignored) == 0;
}

/// Two jobs of this process's user, one of another.
struct fixture {
    registry jobs{{"a", 3, ::geteuid(), 1000}, {"b", 2, ::geteuid(), 1000}, {"other", 1, 4711, 4711}};
    cleanups known{jobs, 1u << 20};
    test::temporary_directory dir;
    requester a0{{"a", 0}, ::geteuid(), 1}, a1{{"a", 1}, ::geteuid(), 2}, other{{"other", 0}, 4711, 3};

    status add(std::vector<wire::info> infos, std::vector<wire::proc> targets = {})
    {
        return known.add(a0, targets, infos);
    }
    static void run(const cleanups::due& due, std::size_t entries = 1000)
    {
        for (const auto& [whose, each] : due)
            each.what.run(entries);
    }
    void carry_out(std::vector<wire::info> infos, std::size_t entries = 1000)
    {
        CHECK(add(std::move(infos)) == status::success);
        run(known.forget("a"), entries);
        CHECK(known.bytes() == 0);
    }
    std::string file(const char* name)
    {
        write_file(dir / name, "x");
        return dir / name;
    }
    std::string directory(const char* name)
    {
        make_directory(dir / name);
        return dir / name;
    }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "without targets it is due at the end of the requester's namespace")
{
    const auto one = file("one"), two = file("two"), kept = file("kept");
    CHECK(add({files(one + ',' + two)}) == status::success);
    run(known.departed({"a", 0}));
    run(known.departed({"a", 1}));
    run(known.forget("b"));
    CHECK(there(one));
    CHECK(there(two));
    run(known.forget("a"));
    CHECK(!there(one));
    CHECK(!there(two));
    CHECK(there(kept));
    CHECK(known.bytes() == 0);
}

TEST_CASE_FIXTURE(fixture, "with targets it is due when each of them has ended")
{
    const auto one = file("one"), b = file("b");
    CHECK(add({files(one)}, {{"a", 1}}) == status::success);
    CHECK(add({files(b)}, {{"b", all}}) == status::success);
    run(known.departed({"a", 0}));
    CHECK(there(one));
    run(known.departed({"a", 1}));
    CHECK(!there(one));
    run(known.departed({"b", 0}));
    CHECK(there(b));
    run(known.forget("b"));
    CHECK(!there(b));
}

TEST_CASE_FIXTURE(fixture, "the end of a namespace, and of the server, is the end of all its processes")
{
    const auto one = file("one"), two = file("two");
    CHECK(add({files(one)}, {{"a", 1}}) == status::success);
    CHECK(add({files(two)}, {{"b", 0}, {"b", 1}}) == status::success);
    run(known.forget("a"));
    CHECK(!there(one));
    run(known.all());
    CHECK(!there(two));
    CHECK(known.bytes() == 0);
}

TEST_CASE_FIXTURE(fixture, "of a directory its files go, and itself if nothing is left")
{
    const auto top = directory("top");
    file("top/file");
    SUBCASE("flat") {}
    SUBCASE("with a subdirectory")
    {
        directory("top/sub");
        file("top/sub/file");
    }
    const bool sub = there(top + "/sub");
    carry_out({directories(top)});
    CHECK(!there(top + "/file"));
    CHECK(there(top) == sub);
    CHECK(there(top + "/sub/file") == sub);
}

TEST_CASE_FIXTURE(fixture, "subdirectories go only if that is asked for; the top stays if it shall")
{
    const auto top = directory("top");
    directory("top/sub");
    directory("top/sub/sub");
    file("top/file");
    file("top/sub/sub/file");
    for (const bool leave : {true, false}) {
        carry_out(leave ? std::vector{directories(top), recursive, leave_top}
                        : std::vector{recursive, directories(top), flag("pmix.clnup.lvtop", false)});
        CHECK(there(top) == leave);
        if (leave)
            CHECK(fs::is_empty(top));
    }
}

TEST_CASE_FIXTURE(fixture, "only what is empty goes if that is asked for")
{
    const auto top = directory("top");
    directory("top/empty");
    directory("top/empty/empty");
    directory("top/full");
    const auto kept = file("top/full/file");
    carry_out({directories(top), recursive, empty});
    CHECK(there(kept));
    CHECK(!there(top + "/empty"));
}

TEST_CASE_FIXTURE(fixture, "what is to be ignored stays, by path or by name, and with it what it lies in")
{
    const auto top = directory("top");
    directory("top/sub");
    const auto by_path = file("top/file"), by_name = file("top/sub/named"), gone = file("top/sub/gone");
    CHECK(add({ignore(by_path + ",named")}) == status::success);
    carry_out({directories(top), recursive});
    CHECK(there(by_path));
    CHECK(there(by_name));
    CHECK(!there(gone));
}

TEST_CASE_FIXTURE(fixture, "a path cannot be ignored and removed")
{
    const auto one = file("one");
    for (const auto& what : {files(one), directories(one + "//."), files("/nothing," + one)}) {
        CHECK(add({what, ignore(one)}) == status::conflicting_cleanup);
        CHECK(known.bytes() == 0);
        CHECK(add({ignore(one)}) == status::success);
        CHECK(add({what}) == status::conflicting_cleanup);
        run(known.forget("a"));
    }
    CHECK(there(one));
}

TEST_CASE_FIXTURE(fixture, "symbolic links are removed and never followed")
{
    const auto outside = directory("outside"), kept = file("outside/kept"), top = directory("top");
    fs::create_directory_symlink(outside, dir / "way");
    fs::create_directory_symlink(outside, dir / "top/inner");
    fs::create_symlink(kept, dir / "top/link");
    fs::create_symlink(kept, dir / "link");
    carry_out({directories((dir / "way") + ',' + top), files((dir / "way/kept") + ',' + (dir / "link")),
               recursive});
    CHECK(there(kept));
    CHECK(there(dir / "way"));
    CHECK(!there(dir / "link"));
    CHECK(!there(top));
}

TEST_CASE_FIXTURE(fixture, "a directory is no file, and a file no directory")
{
    const auto d = directory("directory"), f = file("file");
    carry_out({files(d), directories(f)});
    CHECK(there(d));
    CHECK(there(f));
}

TEST_CASE_FIXTURE(fixture, "nothing goes that is not the user's")
{
    const auto top = directory("top"), one = file("one"), two = file("top/two");
    cleanup foreign;
    foreign.uid = ::geteuid() + 1;
    foreign.files = {one};
    foreign.directories[top].recursive = true;
    foreign.run(1000);
    CHECK(there(one));
    CHECK(there(two));
}

TEST_CASE_FIXTURE(fixture, "a server of root's does for a user what that user could do")
{
    if (::geteuid() != 0)
        return;
    const auto own = [](const std::string& path) { REQUIRE(::lchown(path.c_str(), 4711, 4711) == 0); };
    const auto top = directory("top"), theirs = directory("theirs");
    const auto removed = file("top/own"), foreign = file("top/root's"), out_of_reach = file("theirs/own"),
               own_there = file("own");
    for (const auto& each : {top, removed, out_of_reach, own_there})
        own(each);
    REQUIRE(::chmod(dir.path().c_str(), 01777) == 0);
    const std::vector request{directories(top + ',' + theirs), recursive,
                              files(out_of_reach + ',' + own_there)};
    CHECK(known.add(other, {}, request) == status::success);
    run(known.forget("other"));
    CHECK(!there(removed));
    CHECK(there(foreign));
    CHECK(there(out_of_reach));
    CHECK(!there(own_there));
    CHECK(::geteuid() == 0);
    write_file(dir / "after", "x"); // with root's rights again
    struct ::stat after;
    REQUIRE(::stat((dir / "after").c_str(), &after) == 0);
    CHECK(after.st_uid == 0);
}

TEST_CASE_FIXTURE(fixture, "what is no list of absolute paths is BAD_PARAM, and nothing of it is kept")
{
    const auto good = file("good");
    for (const auto& bad :
         {files("relative"), files("./relative"), directories("/"), directories("/./"), files("/a/../b"),
          files("/.."), ignore("relative/path"), files(std::string("/a\0b", 4)),
          files('/' + std::string(4095, 'x')), wire::info{"pmix.reg.cleanup", 0, value::uint32(7)},
          wire::info{"pmix.reg.cleanupdir", 0, {}}}) {
        CHECK(add({files(good), bad}) == status::bad_parameter);
        CHECK(known.bytes() == 0);
    }
    CHECK(add({files(",,")}) == status::success);
    CHECK(add({files('/' + std::string(4094, 'x'))}) == status::success);
}

TEST_CASE_FIXTURE(fixture, "targets that the requester cannot see are NOT_FOUND")
{
    const auto one = file("one");
    requester stranger{{"other", 0}, 4711, 1};
    for (const auto& target : {wire::proc{"a", 0}, {"a", all}, {"nowhere", 0}, {"other", 1}}) {
        const std::vector<wire::proc> targets{{"other", 0}, target};
        CHECK(known.add(stranger, targets, std::vector{files(one)}) == status::not_found);
        CHECK(known.bytes() == 0);
    }
}

TEST_CASE_FIXTURE(fixture, "what is registered twice is kept once, and does all that was asked")
{
    const auto top = directory("top");
    directory("top/sub");
    CHECK(add({directories(top)}) == status::success);
    const auto once = known.bytes();
    CHECK(known.add(a1, {}, std::vector{directories(top + '/'), recursive}) == status::success);
    CHECK(known.bytes() == once);
    run(known.forget("a"));
    CHECK(!there(top));
}

TEST_CASE("one user's paths are limited, all or nothing")
{
    registry jobs{{"a", 1, 1, 1}, {"b", 1, 2, 2}};
    std::size_t one = 0;
    {
        cleanups measured(jobs, 1u << 20);
        CHECK(measured.add({{"a", 0}, 1, 1}, {}, std::vector{files("/1")}) == status::success);
        one = measured.bytes();
    }
    cleanups known(jobs, 2 * one);
    CHECK(known.add({{"a", 0}, 1, 1}, {}, std::vector{files("/1,/2,/3")}) == status::out_of_resource);
    CHECK(known.bytes() == 0);
    CHECK(known.add({{"a", 0}, 1, 1}, {}, std::vector{files("/1"), directories("/2")}) == status::success);
    CHECK(known.add({{"a", 0}, 1, 1}, {}, std::vector{ignore("x")}) == status::out_of_resource);
    CHECK(known.bytes() == 2 * one);
    CHECK(known.add({{"b", 0}, 2, 2}, {}, std::vector{files("/1,/2")}) == status::success);
    const auto due = known.forget("a"); // is charged to nobody any more
    CHECK(due.size() == 1);
    CHECK(known.bytes() == 2 * one);
}

TEST_CASE_FIXTURE(fixture, "no more entries are looked at than allowed, and none below the deepest level")
{
    const auto top = directory("top");
    for (const char* name : {"top/1", "top/2", "top/3"})
        file(name);
    carry_out({directories(top)}, 1 + 2);
    CHECK(dir.names() == std::vector<std::string>{"top"});
    CHECK(std::distance(fs::directory_iterator(top), {}) == 1);
    carry_out({directories(top)}, 1 + 1);
    CHECK(!there(top));

    std::string path = dir / "deep";
    for (int i = 0; i <= cleanup::deepest; ++i, path += "/d")
        make_directory(path);
    carry_out({directories(dir / "deep"), recursive});
    CHECK(there(dir / "deep"));
    CHECK(there(path.substr(0, path.size() - 2)));
    fs::remove(path.substr(0, path.size() - 2));
    carry_out({directories(dir / "deep"), recursive});
    CHECK(!there(dir / "deep"));
}
