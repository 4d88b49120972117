/* The peer: a host on libpmix's server, as small as one can be. libpmix_host NSPACE RANKS [PROGRAM ARGS...]: serves the ranks
 * until its input ends, after the line READY URI; or starts PROGRAM as each of them, and ends with the last. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pmix.h>
#include <pmix_server.h>

#include "../tests/conformance/ranks.h"

extern char **environ;

static pmix_status_t connected(const pmix_proc_t *proc, void *object, pmix_op_cbfunc_t answer, void *cbdata)
{
    (void) proc, (void) object, (void) answer, (void) cbdata;
    return PMIX_OPERATION_SUCCEEDED;
}

static void release(void *data)
{
    free(data);
}

/* All ranks are here: what they have put is all there is. */
static pmix_status_t fence(const pmix_proc_t procs[], size_t nprocs, const pmix_info_t info[], size_t ninfo, char *data,
                           size_t ndata, pmix_modex_cbfunc_t answer, void *cbdata)
{
    (void) procs, (void) nprocs, (void) info, (void) ninfo;
    answer(PMIX_SUCCESS, data, ndata, cbdata, release, data);
    return PMIX_SUCCESS;
}

/* 0 if all ranks ended so. */
static int launch(const char *nspace, uint32_t ranks, char **argv)
{
    int status = 0, how;
    for (uint32_t rank = 0; rank < ranks; ++rank) {
        pmix_proc_t proc;
        PMIX_LOAD_PROCID(&proc, nspace, rank);
        char **variables = NULL;
        pmix_status_t rc;
        for (char **each = environ; *each != NULL; ++each)
            if (strncmp(*each, "PMIX_", 5) != 0)
                PMIX_ARGV_APPEND(rc, variables, *each);
        rc = PMIx_server_setup_fork(&proc, &variables);
        if (rc == PMIX_SUCCESS && fork() == 0) {
            execve(argv[0], argv, variables);
            _exit(127);
        }
        PMIX_ARGV_FREE(variables);
    }
    while (wait(&how) > 0)
        status |= how;
    return status != 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: libpmix_host NSPACE RANKS [PROGRAM ARGS...]\n");
        return 2;
    }
    pmix_server_module_t module = {0};
    module.client_connected = connected;
    module.client_finalized = connected;
    module.fence_nb = fence;
    pmix_info_t *info;
    char directory[] = "/tmp/libpmix_host-XXXXXX";
    if (mkdtemp(directory) == NULL)
        return 1;
    setenv("PMIX_MCA_gds", "hash", 0);
    PMIX_INFO_CREATE(info, 2);
    PMIX_INFO_LOAD(&info[0], PMIX_SERVER_TMPDIR, directory, PMIX_STRING);
    PMIX_INFO_LOAD(&info[1], PMIX_SYSTEM_TMPDIR, directory, PMIX_STRING);
    pmix_status_t rc = PMIx_server_init(&module, info, 2);
    if (rc != PMIX_SUCCESS) {
        fprintf(stderr, "PMIx_server_init: %s\n", PMIx_Error_string(rc));
        return 1;
    }
    const uint32_t ranks = (uint32_t) strtoul(argv[2], NULL, 10);
    rc = register_ranks(argv[1], ranks);
    if (rc != PMIX_SUCCESS) {
        fprintf(stderr, "registration: %s\n", PMIx_Error_string(rc));
        return 1;
    }
    int status = 0;
    if (argc > 3) {
        status = launch(argv[1], ranks, argv + 3);
    } else {
        pmix_proc_t proc;
        char **variables = NULL;
        PMIX_LOAD_PROCID(&proc, argv[1], 0);
        PMIx_server_setup_fork(&proc, &variables);
        for (char **each = variables; *each != NULL; ++each)
            if (strncmp(*each, "PMIX_SERVER_URI41=", 18) == 0)
                printf("READY %s\n", *each + 18);
        fflush(stdout);
        while (getchar() != EOF)
            ;
    }
    PMIx_server_finalize();
    rmdir(directory);
    return status;
}
