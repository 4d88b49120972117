/* Proves that the job data a server hands out at Init answers every common reserved key, with the right type and
 * value, at the level where the standard files it, for the process itself, the job and every peer.
 * Usage: job_keys [--size N] [--nspace NAME] [--sparse]; --sparse lets those keys be missing that the runtime of
 * Open MPI 4 does not file, but a wrong one still fails. For a job on one node, with one application. */
#include "check.h"

static pmix_proc_t me;
static uint32_t n;
static bool sparse;

/* A Get with at most one BOOL directive and one more. */
static pmix_status_t get(const pmix_proc_t *proc, const char *key, const char *level, const pmix_info_t *more,
                         pmix_value_t **value)
{
    pmix_info_t infos[2];
    size_t count = 0;
    bool yes = true;
    *value = NULL;
    if (level != NULL)
        PMIx_Info_load(&infos[count++], level, &yes, PMIX_BOOL);
    if (more != NULL)
        infos[count++] = *more;
    return PMIx_Get(proc, key, count > 0 ? infos : NULL, count, value);
}

static const char *who(const pmix_proc_t *proc)
{
    static char text[64];
    if (proc->rank == PMIX_RANK_WILDCARD)
        return "the job";
    snprintf(text, sizeof text, "rank %u", proc->rank);
    return text;
}

/* One check: the number, with its exact type. `optional`: may be missing if --sparse. */
static void number(const pmix_proc_t *proc, const char *key, const char *level, const pmix_info_t *more,
                   pmix_data_type_t type, uint64_t low, uint64_t high, bool optional)
{
    pmix_value_t *value;
    MARK("Get %s of %s", key, who(proc));
    pmix_status_t rc = get(proc, key, level, more, &value);
    if (rc == PMIX_ERR_NOT_FOUND && optional && sparse) {
        CHECK(true, "missing");
        return;
    }
    uint64_t got = 0;
    int got_type = -1;
    if (rc == PMIX_SUCCESS) {
        got_type = value->type;
        if (type == PMIX_UINT16)
            got = value->data.uint16;
        else if (type == PMIX_UINT32)
            got = value->data.uint32;
        else if (type == PMIX_PROC_RANK)
            got = value->data.rank;
        PMIX_VALUE_RELEASE(value);
    }
    CHECK(rc == PMIX_SUCCESS && got_type == type && got >= low && got <= high,
          "%s of %s%s%s: %s, type %d value %llu, wanted type %d value %llu..%llu", key, who(proc),
          level != NULL ? ", " : "", level != NULL ? level : "", PMIx_Error_string(rc), got_type,
          (unsigned long long) got, type, (unsigned long long) low, (unsigned long long) high);
}

/* The string, or NULL; the caller frees it. One check: it is a string and not empty. */
static char *text_of(const pmix_proc_t *proc, const char *key, const char *level, const pmix_info_t *more)
{
    pmix_value_t *value;
    char *text = NULL;
    MARK("Get %s of %s", key, who(proc));
    pmix_status_t rc = get(proc, key, level, more, &value);
    int type = rc == PMIX_SUCCESS ? (int) value->type : -1;
    if (type == PMIX_STRING && value->data.string != NULL)
        text = strdup(value->data.string);
    if (value != NULL)
        PMIX_VALUE_RELEASE(value);
    CHECK(text != NULL && text[0] != '\0', "%s of %s%s%s: %s, type %d", key, who(proc), level != NULL ? ", " : "",
          level != NULL ? level : "", PMIx_Error_string(rc), type);
    return text != NULL ? text : strdup("");
}

/* Two checks. */
static void text(const pmix_proc_t *proc, const char *key, const char *level, const pmix_info_t *more, const char *want)
{
    char *got = text_of(proc, key, level, more);
    CHECK(strcmp(got, want) == 0, "%s of %s is '%s', wanted '%s'", key, who(proc), got, want);
    free(got);
}

/* What is filed for one process: 7 numbers, and two checks for the host name. */
#define PROCESS_CHECKS 9
static void process_level(const pmix_proc_t *proc, uint32_t rank, const char *host)
{
    number(proc, PMIX_LOCAL_RANK, NULL, NULL, PMIX_UINT16, rank, rank, false);
    number(proc, PMIX_NODE_RANK, NULL, NULL, PMIX_UINT16, rank, rank, false);
    number(proc, PMIX_GLOBAL_RANK, NULL, NULL, PMIX_PROC_RANK, rank, rank, false);
    number(proc, PMIX_APP_RANK, NULL, NULL, PMIX_PROC_RANK, rank, rank, true);
    number(proc, PMIX_APPNUM, NULL, NULL, PMIX_UINT32, 0, 0, false);
    number(proc, PMIX_NODEID, NULL, NULL, PMIX_UINT32, 0, 0, false);
    number(proc, PMIX_UNIV_SIZE, NULL, NULL, PMIX_UINT32, n, 1000000, false);
    text(proc, PMIX_HOSTNAME, NULL, NULL, host);
}

#define JOB_CHECKS 34
static void job_level(const char *host, const char *peers)
{
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    pmix_info_t here, app;
    uint32_t zero = 0;
    PMIx_Info_load(&here, PMIX_HOSTNAME, host, PMIX_STRING);
    PMIx_Info_load(&app, PMIX_APPNUM, &zero, PMIX_UINT32);

    number(&job, PMIX_JOB_SIZE, NULL, NULL, PMIX_UINT32, n, n, false);
    number(&job, PMIX_MAX_PROCS, NULL, NULL, PMIX_UINT32, n, 1000000, false);
    number(&job, PMIX_JOB_NUM_APPS, NULL, NULL, PMIX_UINT32, 1, 1, false);
    number(&job, PMIX_NUM_NODES, NULL, NULL, PMIX_UINT32, 1, 1, false);
    text(&job, PMIX_NODE_LIST, NULL, NULL, host);

    number(&job, PMIX_UNIV_SIZE, NULL, NULL, PMIX_UINT32, n, 1000000, false);
    number(&job, PMIX_UNIV_SIZE, PMIX_SESSION_INFO, NULL, PMIX_UINT32, n, 1000000, false);

    number(&job, PMIX_LOCAL_SIZE, NULL, NULL, PMIX_UINT32, n, n, false);
    number(&job, PMIX_LOCAL_SIZE, PMIX_NODE_INFO, NULL, PMIX_UINT32, n, n, false);
    number(&job, PMIX_LOCAL_SIZE, PMIX_NODE_INFO, &here, PMIX_UINT32, n, n, false);
    number(&job, PMIX_NODE_SIZE, NULL, NULL, PMIX_UINT32, n, 1000000, false);
    number(&job, PMIX_NODE_SIZE, PMIX_NODE_INFO, NULL, PMIX_UINT32, n, 1000000, false);
    number(&job, PMIX_LOCALLDR, NULL, NULL, PMIX_PROC_RANK, 0, 0, false);
    text(&job, PMIX_LOCAL_PEERS, NULL, NULL, peers);
    text(&job, PMIX_LOCAL_PEERS, PMIX_NODE_INFO, NULL, peers);
    text(&job, PMIX_LOCAL_PEERS, PMIX_NODE_INFO, &here, peers);

    number(&job, PMIX_APP_SIZE, NULL, NULL, PMIX_UINT32, n, n, true);
    number(&job, PMIX_APP_SIZE, PMIX_APP_INFO, NULL, PMIX_UINT32, n, n, true);
    number(&job, PMIX_APP_SIZE, PMIX_APP_INFO, &app, PMIX_UINT32, n, n, true);
    number(&job, PMIX_APPLDR, NULL, NULL, PMIX_PROC_RANK, 0, 0, true);
    number(&job, PMIX_APPLDR, PMIX_APP_INFO, NULL, PMIX_PROC_RANK, 0, 0, true);

    /* Nobody files these; the answer must not be waited for. */
    for (uint32_t rank = 0; rank < 3; ++rank) {
        const pmix_proc_t proc = proc_of(&me, rank == 0 ? PMIX_RANK_WILDCARD : rank == 1 ? me.rank : n - 1);
        pmix_value_t *value;
        MARK("missing reserved keys of %s", who(&proc));
        CHECK_RC(get(&proc, "pmix.no.such.key", NULL, NULL, &value), PMIX_ERR_NOT_FOUND, "an unknown reserved key of %s",
                 who(&proc));
        CHECK_RC(get(&proc, PMIX_CREDENTIAL, NULL, NULL, &value), PMIX_ERR_NOT_FOUND, "a reserved key not filed, of %s",
                 who(&proc));
        CHECK_RC(get(&proc, "pmix.no.such.key", PMIX_OPTIONAL, NULL, &value), PMIX_ERR_NOT_FOUND,
                 "an unknown reserved key of %s, optional", who(&proc));
    }
}

/* A rank number is valid or it is not, and a job is known or it is not. */
#define STRANGER_CHECKS 3
static void strangers(void)
{
    const pmix_proc_t beyond = proc_of(&me, n + 10);
    pmix_proc_t unknown;
    PMIX_LOAD_PROCID(&unknown, "no-such-job", PMIX_RANK_WILDCARD);
    pmix_value_t *value;
    MARK("keys of unknown ranks and jobs");
    CHECK_RC(get(&beyond, PMIX_LOCAL_RANK, NULL, NULL, &value), PMIX_ERR_NOT_FOUND, "local rank of a rank beyond the job");
    CHECK_RC(get(&unknown, PMIX_JOB_SIZE, PMIX_IMMEDIATE, NULL, &value), PMIX_ERR_NOT_FOUND, "size of an unknown job");
    CHECK_RC(get(&unknown, PMIX_JOB_SIZE, PMIX_OPTIONAL, NULL, &value), PMIX_ERR_NOT_FOUND,
             "size of an unknown job, optional");
}

#define RESOLVE_CHECKS 7
static void resolve(const char *host)
{
    for (int named = 0; named < 2; ++named) {
        pmix_proc_t *procs = NULL;
        size_t count = 0;
        MARK("Resolve_peers");
        CHECK_RC(PMIx_Resolve_peers(host, named ? me.nspace : NULL, &procs, &count), PMIX_SUCCESS, "Resolve_peers");
        bool right = count == n;
        for (size_t i = 0; right && i < count; ++i)
            right = strcmp(procs[i].nspace, me.nspace) == 0 && procs[i].rank == i;
        CHECK(right, "Resolve_peers: %zu processes, or not the ranks in order", count);
        free(procs);
    }

    char *nodes = NULL;
    MARK("Resolve_nodes");
    CHECK_RC(PMIx_Resolve_nodes(me.nspace, &nodes), PMIX_SUCCESS, "Resolve_nodes");
    CHECK(nodes != NULL && strcmp(nodes, host) == 0, "Resolve_nodes: '%s'", nodes != NULL ? nodes : "");
    free(nodes);

    /* The 4.2.2 client asks for the peers as for any key, and its own server then waits two seconds for them. */
    pmix_proc_t *procs = NULL;
    size_t count = 0;
    MARK("Resolve_peers of an unknown node");
    CHECK_RC2(PMIx_Resolve_peers("no.such.host", me.nspace, &procs, &count), PMIX_ERR_NOT_FOUND, PMIX_ERR_TIMEOUT,
              "Resolve_peers of an unknown node");
}

/* All ranks were told the same about the job. */
static unsigned long agree(void)
{
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    char *id = text_of(&job, PMIX_JOBID, NULL, NULL);
    pmix_value_t mine, *value;
    PMIx_Value_load(&mine, id, PMIX_STRING);
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, "jobid", &mine), PMIX_SUCCESS, "Put");
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit");
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "Fence");
    PMIX_VALUE_DESTRUCT(&mine);
    for (uint32_t rank = 0; rank < n; ++rank) {
        const pmix_proc_t peer = proc_of(&me, rank);
        pmix_status_t rc = get(&peer, "jobid", NULL, NULL, &value);
        CHECK(rc == PMIX_SUCCESS && value->type == PMIX_STRING && strcmp(value->data.string, id) == 0,
              "%s: rank %u has another job id than '%s'", PMIx_Error_string(rc), rank, id);
        if (value != NULL)
            PMIX_VALUE_RELEASE(value);
    }
    free(id);
    return 4UL + n;
}

int main(int argc, char **argv)
{
    const char *size = NULL, *nspace = NULL;
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--size") == 0 && i + 1 < argc)
            size = argv[++i];
        else if (strcmp(argv[i], "--nspace") == 0 && i + 1 < argc)
            nspace = argv[++i];
        else if (strcmp(argv[i], "--sparse") == 0)
            sparse = true;
        else {
            fprintf(stderr, "usage: job_keys [--size N] [--nspace NAME] [--sparse]\n");
            return 2;
        }
    }

    CHECK(!PMIx_Initialized(), "initialized before Init");
    n = check_join("job_keys", &me);
    CHECK(PMIx_Initialized(), "not initialized after Init");
    CHECK(size == NULL || n == strtoul(size, NULL, 10), "job size %u, wanted %s", n, size);
    CHECK(nspace == NULL || strcmp(me.nspace, nspace) == 0, "namespace %s, wanted %s", me.nspace, nspace);

    /* Init counts its callers: the second one is told the same, and its Finalize ends nothing. */
    pmix_proc_t again;
    CHECK_RC(PMIx_Init(&again, NULL, 0), PMIX_SUCCESS, "second Init");
    CHECK(strcmp(again.nspace, me.nspace) == 0 && again.rank == me.rank, "second Init: %s.%u", again.nspace, again.rank);
    CHECK_RC(PMIx_Finalize(NULL, 0), PMIX_SUCCESS, "first Finalize");
    CHECK(PMIx_Initialized(), "not initialized after the first of two Finalizes");

    char *host = text_of(&me, PMIX_HOSTNAME, NULL, NULL);
    CHECK(strpbrk(host, " ,;/") == NULL, "host name '%s'", host);
    char *peers = calloc(n, 12);
    for (uint32_t rank = 0; rank < n; ++rank)
        sprintf(peers + strlen(peers), "%s%u", rank > 0 ? "," : "", rank);

    for (uint32_t rank = 0; rank < n; ++rank) {
        const pmix_proc_t peer = proc_of(&me, rank);
        process_level(&peer, rank, host);
    }
    job_level(host, peers);
    strangers();
    resolve(host);
    const unsigned long agreed = agree();

    free(host);
    free(peers);
    const int status = check_leave(CHECK_JOIN_LEAVE + 10 + (unsigned long) n * PROCESS_CHECKS + JOB_CHECKS + STRANGER_CHECKS
                                   + RESOLVE_CHECKS + agreed);
    if (PMIx_Initialized()) {
        fprintf(stderr, "FAIL job_keys rank %u: initialized after the last Finalize\n", me.rank);
        return 1;
    }
    return status;
}
