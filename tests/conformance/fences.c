/* Proves that fences are told apart by their members: of the whole job, of listed ranks, of disjoint and overlapping
 * subsets, several outstanding at once; that none releases anybody early; and that a timeout ends one.
 * Usage: fences [--same-twice]: adds two outstanding fences of the same members, which the standard forbids. */
#include "check.h"

#include <pthread.h>

#define IN_A_ROW 200

static pmix_proc_t me;
static uint32_t n;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

typedef struct {
    bool done;
    pmix_status_t status;
} outcome;

static void completed(pmix_status_t status, void *cbdata)
{
    outcome *o = cbdata;
    pthread_mutex_lock(&mutex);
    o->done = true;
    o->status = status;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static pmix_status_t await(outcome *o)
{
    pthread_mutex_lock(&mutex);
    while (!o->done)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return o->status;
}

/* Fills `list` with first, first + step, ... below n; returns how many. */
static size_t every(pmix_proc_t *list, uint32_t first, uint32_t step)
{
    size_t count = 0;
    for (uint32_t rank = first; rank < n; rank += step)
        list[count++] = proc_of(&me, rank);
    return count;
}

/* One check. */
static void fence(const pmix_proc_t *procs, size_t count, const char *what)
{
    MARK("%s", what);
    CHECK_RC(PMIx_Fence(procs, count, NULL, 0), PMIX_SUCCESS, "%s", what);
}

/* One check. */
static void fence_nb(const pmix_proc_t *procs, size_t count, outcome *o, const char *what)
{
    o->done = false;
    CHECK_RC(PMIx_Fence_nb(procs, count, NULL, 0, completed, o), PMIX_SUCCESS, "posting %s", what);
}

/* One check. */
static void finish(outcome *o, const char *what)
{
    MARK("%s", what);
    CHECK_RC(await(o), PMIX_SUCCESS, "%s", what);
}

/* Two checks. Everybody counts up before the barrier, so behind it everybody's count can be read. */
static void step(uint32_t count)
{
    pmix_value_t value;
    char key[32];
    snprintf(key, sizeof key, "step.%u", count);
    PMIx_Value_load(&value, &count, PMIX_UINT32);
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, key, &value), PMIX_SUCCESS, "Put");
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit");
}

/* One check per rank listed: it has passed that step, or the fence let us through too early. */
static void all_stepped(const pmix_proc_t *procs, size_t count, uint32_t want)
{
    bool yes = true;
    pmix_info_t immediate;
    char key[32];
    snprintf(key, sizeof key, "step.%u", want);
    PMIx_Info_load(&immediate, PMIX_IMMEDIATE, &yes, PMIX_BOOL);
    for (size_t i = 0; i < count; ++i) {
        pmix_value_t *value = NULL;
        MARK("Get %s of rank %u", key, procs[i].rank);
        pmix_status_t rc = PMIx_Get(&procs[i], key, &immediate, 1, &value);
        CHECK(rc == PMIX_SUCCESS && value->data.uint32 == want, "rank %u had not come to fence %u: %s", procs[i].rank,
              want, PMIx_Error_string(rc));
        if (value != NULL)
            PMIX_VALUE_RELEASE(value);
    }
}

int main(int argc, char **argv)
{
    const bool same_twice = argc == 2 && strcmp(argv[1], "--same-twice") == 0;
    if (argc > 1 && !same_twice) {
        fprintf(stderr, "usage: fences [--same-twice]\n");
        return 2;
    }

    n = check_join("fences", &me);
    pmix_proc_t *all = calloc(n, sizeof *all), *some = calloc(n, sizeof *some);
    if (all == NULL || some == NULL)
        abort();
    every(all, 0, 1);
    outcome first, second;

    /* The whole job: unnamed, by wildcard, by list, by list backwards. */
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    step(1);
    fence(NULL, 0, "fence of the job");
    all_stepped(all, n, 1);
    step(2);
    fence(&job, 1, "fence of the job by wildcard");
    all_stepped(all, n, 2);
    step(3);
    fence(all, n, "fence of all ranks by list");
    all_stepped(all, n, 3);
    for (uint32_t i = 0; i < n; ++i)
        some[i] = all[me.rank % 2 == 0 ? n - 1 - i : i];
    step(4);
    fence(some, n, "fence of all ranks by list, backwards in every second one");
    all_stepped(all, n, 4);

    /* Evens and odds at the same time, the odds twice as often. */
    const size_t half = every(some, me.rank % 2, 2);
    step(5);
    fence(some, half, "fence of the even or the odd ranks");
    all_stepped(some, half, 5);
    if (me.rank % 2 == 1)
        fence(some, half, "second fence of the odd ranks");

    /* A chain {0,1}, {1,2}, ...: each link needs the one before, so it completes from the left. */
    for (uint32_t left = 0; left + 1 < n; ++left)
        if (me.rank == left || me.rank == left + 1)
            fence(&all[left], 2, "fence of two neighbours");

    /* Two outstanding at once, posted in opposite orders by neighbours. */
    const bool turned = me.rank % 2 == 1;
    fence_nb(turned ? all : NULL, turned ? n : 0, &first, "the first of two fences");
    fence_nb(turned ? NULL : all, turned ? 0 : n, &second, "the second of two fences");
    finish(&second, "the second of two fences");
    finish(&first, "the first of two fences");

    /* The fences of pairs complete inside the fence of the job; the last rank of an odd number has no partner. */
    const uint32_t lower = me.rank & ~UINT32_C(1);
    const bool paired = lower + 1 < n;
    fence_nb(NULL, 0, &first, "the fence of the job around those of the pairs");
    if (paired)
        fence(&all[lower], 2, "the fence of a pair inside the fence of the job");
    finish(&first, "the fence of the job around those of the pairs");

    if (same_twice) {
        fence_nb(NULL, 0, &first, "the first of two same fences");
        fence_nb(NULL, 0, &second, "the second of two same fences");
        finish(&first, "the first of two same fences");
        finish(&second, "the second of two same fences");
    }

    for (int i = 0; i < IN_A_ROW; ++i)
        fence(NULL, 0, "one of many fences in a row");

    /* Rank 0 alone in a fence with rank 1: only the timeout ends it, and nothing of it is left behind. */
    if (n > 1) {
        if (me.rank == 0) {
            int seconds = 1;
            pmix_info_t timeout;
            PMIx_Info_load(&timeout, PMIX_TIMEOUT, &seconds, PMIX_INT);
            MARK("a fence that nobody joins");
            CHECK_RC(PMIx_Fence(all, 2, &timeout, 1), PMIX_ERR_TIMEOUT, "a fence that nobody joins");
        }
        fence(NULL, 0, "fence of the job after the timeout");
        if (me.rank < 2)
            fence(all, 2, "the fence that timed out, joined by both");
    }

    /* A fence of one's own. */
    fence(&all[me.rank], 1, "a fence of one process");

    /* Everybody is still in step. */
    step(6);
    fence(NULL, 0, "the last fence");
    all_stepped(all, n, 6);

    free(all);
    free(some);

    const bool others = n > 1;
    unsigned long planned = CHECK_JOIN_LEAVE;
    planned += 5 * (3UL + n);                                                  /* with steps 1 to 4, and 6 */
    planned += 3 + (n + 1 - me.rank % 2) / 2 + me.rank % 2;                    /* evens and odds */
    planned += (me.rank > 0 ? 1UL : 0) + (me.rank + 1 < n ? 1 : 0);            /* the chain */
    planned += 4;                                                              /* two at once */
    planned += 2 + (n % 2 == 1 && me.rank == n - 1 ? 0 : 1);                   /* pairs */
    planned += (same_twice ? 4 : 0) + IN_A_ROW;
    planned += others ? 1 + (me.rank == 0 ? 1UL : 0) + (me.rank < 2 ? 1 : 0) : 0; /* the timeout */
    planned += 1;                                                              /* of one process */
    return check_leave(planned);
}
