/* A tool of libpmix: attaches to a server as its arguments say, asks it about a job, and leaves.
 * Usage: tool NSPACE SIZE [uri=URI | pid=PID | nspace=SERVER | attach=FILE | system | system-first] [name=NSPACE:RANK]
 *             [launcher]
 * NSPACE must be the only job of SIZE ranks there. Without a way to find the server, libpmix searches. */
#include "check.h"

#include <pmix_tool.h>

static size_t n_infos;
static pmix_info_t infos[8];

static void add(const char *key, const void *content, pmix_data_type_t type)
{
    PMIX_INFO_LOAD(&infos[n_infos], key, content, type);
    ++n_infos;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: tool NSPACE SIZE [HOW]...\n");
        return 2;
    }
    const char *job = argv[1];
    const uint32_t size = (uint32_t) strtoul(argv[2], NULL, 10);
    const char *name = NULL;
    bool launcher = false;
    char own[PMIX_MAX_NSLEN + 1] = "";
    uint32_t rank = 0;
    bool yes = true;
    for (int i = 3; i < argc; ++i) {
        char *value = strchr(argv[i], '=');
        if (value != NULL)
            *value++ = '\0';
        if (strcmp(argv[i], "uri") == 0) {
            add(PMIX_SERVER_URI, value, PMIX_STRING);
        } else if (strcmp(argv[i], "pid") == 0) {
            pid_t pid = (pid_t) strtol(value, NULL, 10);
            add(PMIX_SERVER_PIDINFO, &pid, PMIX_PID);
        } else if (strcmp(argv[i], "nspace") == 0) {
            add(PMIX_SERVER_NSPACE, value, PMIX_STRING);
        } else if (strcmp(argv[i], "attach") == 0) {
            add(PMIX_TOOL_ATTACHMENT_FILE, value, PMIX_STRING);
        } else if (strcmp(argv[i], "system") == 0) {
            add(PMIX_CONNECT_TO_SYSTEM, &yes, PMIX_BOOL);
        } else if (strcmp(argv[i], "system-first") == 0) {
            add(PMIX_CONNECT_SYSTEM_FIRST, &yes, PMIX_BOOL);
        } else if (strcmp(argv[i], "launcher") == 0) {
            add(PMIX_LAUNCHER, &yes, PMIX_BOOL);
            launcher = true;
        } else if (strcmp(argv[i], "name") == 0) {
            char *colon = strrchr(value, ':');
            *colon = '\0';
            snprintf(own, sizeof own, "%s", value);
            rank = (uint32_t) strtoul(colon + 1, NULL, 10);
            add(PMIX_TOOL_NSPACE, own, PMIX_STRING);
            add(PMIX_TOOL_RANK, &rank, PMIX_UINT32);
            name = own;
        } else {
            fprintf(stderr, "tool: what is %s?\n", argv[i]);
            return 2;
        }
    }

    check_begin("tool");
    pmix_proc_t me;
    MARK("PMIx_tool_init");
    if (!CHECK_RC(PMIx_tool_init(&me, infos, n_infos), PMIX_SUCCESS, "PMIx_tool_init"))
        return 1;
    if (name != NULL)
        CHECK(strcmp(me.nspace, name) == 0 && me.rank == rank, "is %s.%u", me.nspace, me.rank);
    else
        CHECK(me.nspace[0] != '\0' && me.rank == 0, "is %s.%u", me.nspace, me.rank);
    CHECK(PMIx_Initialized(), "not initialized");

    pmix_query_t *query;
    PMIX_QUERY_CREATE(query, 1);
    pmix_status_t rc;
    PMIX_ARGV_APPEND(rc, query->keys, PMIX_QUERY_NAMESPACES);
    pmix_info_t *found = NULL;
    size_t n_found = 0;
    MARK("PMIx_Query_info");
    CHECK_RC(PMIx_Query_info(query, 1, &found, &n_found), PMIX_SUCCESS, "PMIx_Query_info");
    CHECK(n_found == 1 && found[0].value.type == PMIX_STRING && strcmp(found[0].value.data.string, job) == 0,
          "%zu answers, first %s", n_found,
          n_found > 0 && found[0].value.type == PMIX_STRING ? found[0].value.data.string : "of another type");
    PMIX_QUERY_FREE(query, 1);
    if (launcher) { /* a server itself, which libpmix never lets ask another for data */
        CHECK_RC(PMIx_tool_finalize(), PMIX_SUCCESS, "PMIx_tool_finalize");
        return check_end(6);
    }

    pmix_proc_t whole;
    PMIX_LOAD_PROCID(&whole, job, PMIX_RANK_WILDCARD);
    pmix_value_t *value = NULL;
    MARK("PMIx_Get");
    rc = PMIx_Get(&whole, PMIX_JOB_SIZE, NULL, 0, &value);
    if (CHECK_RC(rc, PMIX_SUCCESS, "PMIx_Get of the job's size"))
        CHECK(value->type == PMIX_UINT32 && value->data.uint32 == size, "size %u", value->data.uint32);
    if (rc == PMIX_SUCCESS)
        PMIX_VALUE_RELEASE(value);
    for (uint32_t peer = 0; peer < 2; ++peer) {
        PMIX_LOAD_PROCID(&whole, job, peer % size);
        rc = PMIx_Get(&whole, PMIX_LOCAL_RANK, NULL, 0, &value);
        if (CHECK_RC(rc, PMIX_SUCCESS, "PMIx_Get of the local rank of %u", whole.rank))
            CHECK(value->type == PMIX_UINT16 && value->data.uint16 == whole.rank, "rank %u", value->data.uint16);
        if (rc == PMIX_SUCCESS)
            PMIX_VALUE_RELEASE(value);
    }
    MARK("PMIx_tool_finalize");
    CHECK_RC(PMIx_tool_finalize(), PMIX_SUCCESS, "PMIx_tool_finalize");
    return check_end(12);
}
