#include "../support/recorded.hpp"

#include <pmixio/message/process.hpp>

#include <algorithm>

using namespace pmixio;
using namespace pmixio::test;
using namespace pmixio::message;
using wire::value;

namespace {

const job_data::entry* find(const job_data& job, std::string_view key)
{
    const auto found =
        std::find_if(job.entries.begin(), job.entries.end(), [&](auto& each) { return each.job.key == key; });
    return found == job.entries.end() ? nullptr : &*found;
}

const value* find(const std::vector<wire::kval>& data, std::string_view key)
{
    const auto found = std::find_if(data.begin(), data.end(), [&](auto& each) { return each.key == key; });
    return found == data.end() ? nullptr : &found->content;
}

/// A payload whose only entry is `pmix.pblob` with the rest of a KVAL.
bytes with_process_key(const char* rest)
{
    return hex("02 04 6e00 | 02 16") + bytes_of("pmix.pblob") + hex("00") + hex(rest);
}

} // namespace

TEST_CASE("requests about the caller itself are only a command")
{
    CHECK((same_content<req>(
               {"debian", "debian-fulldesc", "ompi414", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"},
               "req-c2s") == req()));
    CHECK((same_content<finalize>({"debian", "ompi414", "v2.2.5", "v3.2.5"}, "finalize-c2s") == finalize()));
    CHECK((same_content<status_reply>({"debian", "ompi414"}, "finalize-s2c") == status_reply()));
    CHECK(decode<finalize, wire::v41>(hex("02 05 02"), {}).error() == fault::extra_bytes);
}

TEST_CASE("an abort has a status, a text and whom it is for")
{
    const auto content = content_of<message::abort>("msg-debian-abort-c2s");
    CHECK((content == message::abort{wire::status{7}, "test abort", {}}));
    check_survives(
        message::abort{wire::status::error, std::nullopt, {{"golden", 1}, {"golden", wire::rank::wildcard}}});
    check_survives(message::abort{wire::status::error, "", {}});
}

TEST_CASE("the job data of every release names the job, its size and its processes")
{
    for (const char* client :
         {"debian", "debian-fulldesc", "v2.2.5", "v3.2.5", "v4.2.9", "v5.0.10", "v6.1.0"}) {
        CAPTURE(std::string_view(client));
        const auto job = content_of<job_data>(std::string("msg-") + client + "-req-s2c");
        CHECK(job.nspace == "golden");
        const auto* size = find(job, "pmix.job.size");
        REQUIRE(size);
        CHECK((size->job.content == value::uint32(2)));
        CHECK(size->process.empty());
        std::size_t processes = 0;
        for (const auto& each : job.entries) {
            if (each.job.key != job_data::process_key)
                continue;
            CHECK(each.rank == processes);
            CHECK((each.job.content == value()));
            const auto* rank = find(each.process, "pmix.grank");
            if (rank)
                CHECK((*rank == value::rank(each.rank)));
            const auto* local = find(each.process, "pmix.lrank");
            REQUIRE(local);
            CHECK(local->get<data_type::uint16>() == each.rank);
            ++processes;
        }
        CHECK(processes == 2);
    }
}

TEST_CASE("job data of Open MPI is read and survives")
{
    const auto job = content_of<job_data>("msg-ompi414-req-s2c");
    CHECK_FALSE(job.nspace.empty());
    REQUIRE(find(job, "pmix.job.size"));
    CHECK(std::any_of(job.entries.begin(), job.entries.end(),
                      [](auto& each) { return !each.process.empty(); }));
    check_survives(job);
}

TEST_CASE("the data of a process is items again, behind its rank")
{
    const job_data job{"n",
                       {{{"k", value::uint32(5)}, wire::rank::undefined, {}},
                        {{"pmix.pblob", {}}, 3, {{"pmix.lrank", value::uint16(1)}}},
                        {{"pmix.pblob", {}}, 4, {}}}};
    CHECK(show(*encode<wire::v41>(job, {})) ==
          show(hex("02 04 6e00 | 02 04 6b00 0e 05 | 02 16") + bytes_of("pmix.pblob") +
               hex("00 1b 11 | 02 03 | 02 16") + bytes_of("pmix.lrank") + hex("00 0d 01 | 02 16") +
               bytes_of("pmix.pblob") + hex("00 1b 02 | 02 04")));
    check_survives(job);
    check_survives(job_data{"n", {}});
}

TEST_CASE("the data of a process ends with its bytes")
{
    const auto read = [](const char* rest) {
        return decode<job_data, wire::v41>(with_process_key(rest), {});
    };
    CHECK(read("1b 02 | 02 03"));
    CHECK(read("1b 00").error() == fault::truncated);
    CHECK(read("1b 01 | 02").error() == fault::truncated);
    CHECK(read("1b 03 | 02 03 02").error() == fault::truncated);
    CHECK(read("1b 03 | 04 03 05").error() == fault::bad_count);
    CHECK(read("1b 08 | 02 03 | 02 04 6b00 1d 00").error() == fault::unknown_type);
}

TEST_CASE("a process key that holds no bytes is kept or refused, not replaced")
{
    for (const char* rest : {"0e 05", "00", "03 04 6b00"}) {
        CAPTURE(std::string_view(rest));
        const auto payload = with_process_key(rest);
        const auto job = decode<job_data, wire::v41>(payload, {});
        if (job)
            CHECK(show(*encode<wire::v41>(*job, {})) == show(payload));
    }
}

TEST_CASE("job data whose process data cannot be encoded is refused")
{
    const job_data job{"n", {{{"pmix.pblob", {}}, 0, {{"k", value::of<data_type::proc_nspace>("n")}}}}};
    CHECK(encode<wire::v21>(job, {}).error() == fault::unencodable);
    CHECK(encode<wire::v41>(job, {}));
}
