/* A libpmix server: assigns identities to tools, answers queries for namespaces, and tells on stdout what happens, a line
 * each, after the line of its URI. Serves until its stdin ends.
 * Usage: libpmix_server DIRECTORY [refuse | NSPACE RANKS]; its contact files go there; with `refuse` no tool is admitted;
 * with NSPACE RANKS it serves these ranks too, of its own user, once it says `registered`. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pmix.h>
#include <pmix_server.h>

#include "ranks.h"

static bool refusing;

/* One thread of the library calls all of these. */
static void tool_connected(pmix_info_t *info, size_t ninfo, pmix_tool_connection_cbfunc_t answer, void *cbdata)
{
    static unsigned assigned;
    pmix_proc_t tool;
    char name[32];
    const char *brought = NULL;
    pmix_rank_t rank = 0;
    for (size_t i = 0; i < ninfo; ++i) {
        if (strcmp(info[i].key, PMIX_NSPACE) == 0)
            brought = info[i].value.data.string;
        else if (strcmp(info[i].key, PMIX_RANK) == 0)
            rank = info[i].value.data.rank;
    }
    snprintf(name, sizeof name, "toolns%u", assigned++);
    PMIX_LOAD_PROCID(&tool, brought != NULL ? brought : name, rank);
    printf("%s %s.%u %s\n", refusing ? "refused" : "connected", tool.nspace, tool.rank, brought != NULL ? "brought" : "assigned");
    answer(refusing ? PMIX_ERR_NOT_SUPPORTED : PMIX_SUCCESS, &tool, cbdata);
}

static void release_infos(void *cbdata)
{
    pmix_info_t *info = cbdata;
    PMIX_INFO_FREE(info, 1);
}

static pmix_status_t query(pmix_proc_t *asker, pmix_query_t *queries, size_t nqueries, pmix_info_cbfunc_t answer,
                           void *cbdata)
{
    bool found = false;
    for (size_t i = 0; i < nqueries; ++i) {
        for (char **key = queries[i].keys; key != NULL && *key != NULL; ++key) {
            printf("query %s.%u %s\n", asker->nspace, asker->rank, *key);
            found = found || strcmp(*key, PMIX_QUERY_NAMESPACES) == 0;
        }
    }
    if (!found)
        return PMIX_ERR_NOT_FOUND;
    pmix_info_t *info;
    PMIX_INFO_CREATE(info, 1);
    PMIX_INFO_LOAD(&info[0], PMIX_QUERY_NAMESPACES, "alpha,beta", PMIX_STRING);
    answer(PMIX_SUCCESS, info, 1, cbdata, release_infos, info);
    return PMIX_SUCCESS;
}

static pmix_status_t finalized(const pmix_proc_t *proc, void *server_object, pmix_op_cbfunc_t answer, void *cbdata)
{
    (void) server_object;
    (void) answer;
    (void) cbdata;
    printf("finalized %s.%u\n", proc->nspace, proc->rank);
    return PMIX_OPERATION_SUCCEEDED;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: libpmix_server DIRECTORY [refuse | NSPACE RANKS]\n");
        return 2;
    }
    refusing = argc == 3;
    setvbuf(stdout, NULL, _IOLBF, 0);

    pmix_server_module_t module = {0};
    module.tool_connected = tool_connected;
    module.query = query;
    module.client_finalized = finalized;
    pmix_info_t *info;
    bool yes = true;
    PMIX_INFO_CREATE(info, 5);
    PMIX_INFO_LOAD(&info[0], PMIX_SERVER_TOOL_SUPPORT, &yes, PMIX_BOOL);
    PMIX_INFO_LOAD(&info[1], PMIX_SERVER_TMPDIR, argv[1], PMIX_STRING);
    PMIX_INFO_LOAD(&info[2], PMIX_SYSTEM_TMPDIR, argv[1], PMIX_STRING);
    PMIX_INFO_LOAD(&info[3], PMIX_TCP_REPORT_URI, "-", PMIX_STRING);
    PMIX_INFO_LOAD(&info[4], PMIX_SERVER_SYSTEM_SUPPORT, &yes, PMIX_BOOL);
    pmix_status_t rc = PMIx_server_init(&module, info, 5);
    PMIX_INFO_FREE(info, 5);
    if (rc != PMIX_SUCCESS) {
        fprintf(stderr, "PMIx_server_init: %s\n", PMIx_Error_string(rc));
        return 1;
    }
    if (argc == 4) {
        rc = register_ranks(argv[2], (uint32_t) strtoul(argv[3], NULL, 10));
        if (rc == PMIX_SUCCESS)
            printf("registered %s\n", argv[2]);
        else
            fprintf(stderr, "registration: %s\n", PMIx_Error_string(rc));
    }
    while (getchar() != EOF)
        ;
    rc = PMIx_server_finalize();
    printf("stopped %s\n", PMIx_Error_string(rc));
    return rc == PMIX_SUCCESS ? 0 : 1;
}
