/* Proves that processes connect and disconnect: of one namespace; with a tool that rank 0 starts, each side getting the
 * job data of the other with the answer; and that a timeout, a departure, and a disconnect of what is not connected end
 * as they should. The last rank leaves early. */
#include "check.h"

#include <pmix_tool.h>
#include <sys/wait.h>

#define TOOL "connect-tool"

static pmix_proc_t me;
static uint32_t n;

/* One check. */
static void expect(pmix_status_t (*call)(const pmix_proc_t *, size_t, const pmix_info_t *, size_t), const pmix_proc_t *procs,
                   size_t count, pmix_status_t want, const char *what)
{
    MARK("%s", what);
    CHECK_RC(call(procs, count, NULL, 0), want, "%s", what);
}

/* One check: the number is there without asking the server. */
static void has(const pmix_proc_t *proc, const char *key, uint32_t want)
{
    bool yes = true;
    pmix_info_t optional;
    pmix_value_t *value = NULL;
    uint32_t got = UINT32_MAX;
    PMIx_Info_load(&optional, PMIX_OPTIONAL, &yes, PMIX_BOOL);
    MARK("%s of %s:%u", key, proc->nspace, proc->rank);
    pmix_status_t rc = PMIx_Get(proc, key, &optional, 1, &value);
    if (rc == PMIX_SUCCESS) {
        PMIX_VALUE_GET_NUMBER(rc, value, got, uint32_t);
        PMIX_VALUE_RELEASE(value);
    }
    CHECK(rc == PMIX_SUCCESS && got == want, "%s of %s:%u: %s, %u", key, proc->nspace, proc->rank, PMIx_Error_string(rc),
          got);
}

/* One check. */
static void nobody_yet(const pmix_proc_t *proc)
{
    bool yes = true;
    pmix_info_t optional;
    pmix_value_t *value = NULL;
    PMIx_Info_load(&optional, PMIX_OPTIONAL, &yes, PMIX_BOOL);
    CHECK_RC(PMIx_Get(proc, PMIX_JOB_SIZE, &optional, 1, &value), PMIX_ERR_NOT_FOUND, "job size of %s", proc->nspace);
}

/* The tool: connects with the job's ranks, and leaves. */
static int tool(const char *job, const char *size)
{
    pmix_proc_t both[2];
    pmix_info_t infos[2];
    pmix_rank_t rank = 0;
    check_begin("connect tool");
    PMIx_Info_load(&infos[0], PMIX_TOOL_NSPACE, TOOL, PMIX_STRING);
    PMIx_Info_load(&infos[1], PMIX_TOOL_RANK, &rank, PMIX_PROC_RANK);
    if (!CHECK_RC(PMIx_tool_init(&me, infos, 2), PMIX_SUCCESS, "PMIx_tool_init"))
        return 1;
    n = (uint32_t) strtoul(size, NULL, 10);
    PMIX_LOAD_PROCID(&both[0], job, PMIX_RANK_WILDCARD);
    both[1] = me;
    nobody_yet(&both[0]);
    puts("here");
    expect(PMIx_Connect, both, 2, PMIX_SUCCESS, "connect of a tool with a job");
    has(&both[0], PMIX_JOB_SIZE, n);
    for (uint32_t each = 0; each < n; ++each) {
        pmix_proc_t proc;
        PMIX_LOAD_PROCID(&proc, job, each);
        has(&proc, PMIX_LOCAL_RANK, each);
    }
    expect(PMIx_Disconnect, both, 2, PMIX_SUCCESS, "disconnect of a tool from a job");
    CHECK_RC(PMIx_tool_finalize(), PMIX_SUCCESS, "PMIx_tool_finalize");
    return check_end(6 + n);
}

/* Starts the tool, and returns its output when it has connected to the server. It finds the server in the environment. */
static FILE *start_tool(const char *self)
{
    char command[4096], line[64] = "";
    snprintf(command, sizeof command, "exec env -u PMIX_NAMESPACE -u PMIX_RANK '%s' tool '%s' %u", self, me.nspace, n);
    FILE *out = popen(command, "r");
    MARK("start of the tool");
    CHECK(out != NULL && fgets(line, sizeof line, out) != NULL && strcmp(line, "here\n") == 0, "the tool says %s", line);
    return out;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "tool") == 0)
        return tool(argv[2], argv[3]);
    n = check_join("connect", &me);
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    const pmix_proc_t pair[2] = {proc_of(&me, 0), proc_of(&me, 1)}, backwards[2] = {pair[1], pair[0]};
    unsigned long planned = CHECK_JOIN_LEAVE;

    expect(PMIx_Disconnect, &job, 1, PMIX_ERR_INVALID_OPERATION, "disconnect before any connect");
    expect(PMIx_Connect, &job, 1, PMIX_SUCCESS, "connect of the job");
    expect(PMIx_Fence, &job, 1, PMIX_SUCCESS, "fence of those connected");
    expect(PMIx_Disconnect, &job, 1, PMIX_SUCCESS, "disconnect of the job");
    expect(PMIx_Disconnect, &job, 1, PMIX_ERR_INVALID_OPERATION, "disconnect a second time");
    planned += 5;

    if (me.rank < 2) {
        expect(PMIx_Connect, me.rank == 0 ? pair : backwards, 2, PMIX_SUCCESS, "connect of two");
        expect(PMIx_Disconnect, me.rank == 0 ? backwards : pair, 2, PMIX_SUCCESS, "disconnect of two");
        planned += 2;
    }

    /* Rank 0 alone: only the timeout ends it. */
    if (me.rank == 0) {
        int seconds = 1;
        pmix_info_t timeout;
        PMIx_Info_load(&timeout, PMIX_TIMEOUT, &seconds, PMIX_INT);
        MARK("a connect that nobody joins");
        CHECK_RC(PMIx_Connect(pair, 2, &timeout, 1), PMIX_ERR_TIMEOUT, "a connect that nobody joins");
        expect(PMIx_Disconnect, pair, 2, PMIX_ERR_INVALID_OPERATION, "disconnect after the timeout");
        planned += 2;
    }

    /* With another namespace. */
    pmix_proc_t both[2] = {job, job}, unknown[2] = {me, me};
    PMIX_LOAD_PROCID(&both[1], TOOL, 0);
    PMIX_LOAD_PROCID(&unknown[1], "no-such-namespace", 0);
    expect(PMIx_Connect, unknown, 2, PMIX_ERR_NOT_FOUND, "connect with nobody");
    FILE *out = NULL;
    if (me.rank == 0) {
        out = start_tool(argv[0]);
        ++planned;
    }
    expect(PMIx_Fence, NULL, 0, PMIX_SUCCESS, "fence when the tool is there");
    pmix_proc_t other = both[1];
    other.rank = PMIX_RANK_WILDCARD;
    nobody_yet(&other);
    expect(PMIx_Connect, both, 2, PMIX_SUCCESS, "connect of a job with a tool");
    has(&other, PMIX_JOB_SIZE, 1);
    expect(PMIx_Disconnect, both, 2, PMIX_SUCCESS, "disconnect of a job from a tool");
    planned += 6;
    if (out != NULL) {
        char line[256];
        while (fgets(line, sizeof line, out) != NULL)
            fputs(line, stdout);
        const int status = pclose(out);
        CHECK(status == 0, "the tool ended with %d", status);
        ++planned;
    }

    /* Who leaves is not waited for, whoever comes first. */
    expect(PMIx_Connect, &job, 1, PMIX_SUCCESS, "connect of the job before one leaves");
    ++planned;
    if (me.rank == n - 1)
        return check_leave(planned);
    expect(PMIx_Disconnect, &job, 1, PMIX_ERR_PARTIAL_SUCCESS, "disconnect of those left");
    expect(PMIx_Connect, &job, 1, PMIX_ERR_PARTIAL_SUCCESS, "connect of those left");
    return check_leave(planned + 2);
}
