/* Proves that PMIx_Abort by one rank takes down the whole job: the others sit in a fence and nobody leaves by itself.
 * Usage: abort CODE [RANK]; RANK (default 0) aborts. The launcher's exit status is what the test looks at. */
#include "check.h"

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: abort CODE [RANK]\n");
        return 2;
    }
    const int code = (int) strtol(argv[1], NULL, 10);
    const uint32_t rank = argc == 3 ? (uint32_t) strtoul(argv[2], NULL, 10) : 0;

    pmix_proc_t me;
    const uint32_t n = check_join("abort", &me);
    if (!CHECK(rank < n, "no rank %u among %u", rank, n))
        return 2;
    MARK("fence with everybody");
    if (!CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence with everybody"))
        return 1;

    if (me.rank == rank) {
        printf("aborting rank %u code %d\n", me.rank, code);
        MARK("PMIx_Abort");
        pmix_status_t rc = PMIx_Abort(code, "aborting on purpose", NULL, 0);
        printf("aborted rank %u: %s\n", me.rank, PMIx_Error_string(rc));
    } else {
        MARK("the fence that the aborting rank does not join");
        pmix_status_t rc = PMIx_Fence(NULL, 0, NULL, 0);
        printf("fence rank %u: %s\n", me.rank, PMIx_Error_string(rc));
    }
    MARK("being killed by the launcher");
    for (;;)
        pause();
}
