/* One rank of a job: init, put, a fence, a get from each of its next GETS neighbours, FENCES more fences, finalize. Rank 0 says
 * how many nanoseconds one of them took. client FENCES [GETS] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <pmix.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static void must(pmix_status_t rc, const char *what)
{
    if (rc == PMIX_SUCCESS)
        return;
    fprintf(stderr, "client: %s: %s\n", what, PMIx_Error_string(rc));
    exit(1);
}

int main(int argc, char **argv)
{
    const long fences = argc > 1 ? strtol(argv[1], NULL, 10) : 0, gets = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
    pmix_proc_t me, other;
    pmix_value_t *size, *got, mine;
    must(PMIx_Init(&me, NULL, 0), "init");
    PMIX_LOAD_PROCID(&other, me.nspace, PMIX_RANK_WILDCARD);
    must(PMIx_Get(&other, PMIX_JOB_SIZE, NULL, 0, &size), "size");
    PMIX_VALUE_LOAD(&mine, &me.rank, PMIX_UINT32);
    must(PMIx_Put(PMIX_GLOBAL, "key", &mine), "put");
    must(PMIx_Commit(), "commit");
    must(PMIx_Fence(NULL, 0, NULL, 0), "fence");
    const double asked = now();
    for (long i = 1; i <= gets; ++i) {
        other.rank = (uint32_t) (me.rank + i) % size->data.uint32;
        must(PMIx_Get(&other, "key", NULL, 0, &got), "get");
        if (got->data.uint32 != other.rank)
            return 1;
        PMIX_VALUE_RELEASE(got);
    }
    const double answered = now();
    const double began = now();
    for (long i = 0; i != fences; ++i)
        must(PMIx_Fence(NULL, 0, NULL, 0), "fence");
    if (me.rank == 0 && fences != 0)
        printf("fence_ns %.0f get_ns %.0f\n", (now() - began) / (double) fences, (answered - asked) / (double) gets);
    must(PMIx_Finalize(NULL, 0), "finalize");
    return 0;
}
