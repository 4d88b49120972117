/* Proves that groups are made, named, left and ended: of the whole job and of some ranks, by all members at once; that a
 * group's name stands for its members in a fence; that a name in use, a timeout, a departure and an unknown name end as
 * they should; that members hear of who leaves; and that one can be made by invitation. The last rank leaves early. */
#include "check.h"

#include <pthread.h>

static pmix_proc_t me;
static uint32_t n;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* What the handler has heard of, by code. */
typedef struct {
    pmix_status_t code;
    unsigned count;
    pmix_proc_t affected;
    char group[64];
} news;
static news left = {.code = PMIX_GROUP_LEFT}, failed = {.code = PMIX_GROUP_MEMBER_FAILED},
            invited = {.code = PMIX_GROUP_INVITED}, complete = {.code = PMIX_GROUP_CONSTRUCT_COMPLETE};

static void on_event(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                     pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *cbdata)
{
    (void) id, (void) source, (void) results, (void) nresults;
    news *all[] = {&left, &failed, &invited, &complete};
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
        if (all[i]->code == status) {
            ++all[i]->count;
            for (size_t k = 0; k < ninfo; ++k)
                if (PMIX_CHECK_KEY(&info[k], PMIX_EVENT_AFFECTED_PROC) && info[k].value.type == PMIX_PROC)
                    all[i]->affected = *info[k].value.data.proc;
                else if (PMIX_CHECK_KEY(&info[k], PMIX_GROUP_ID) && info[k].value.type == PMIX_STRING)
                    snprintf(all[i]->group, sizeof all[i]->group, "%s", info[k].value.data.string);
        }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    if (done != NULL)
        done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, cbdata);
}

/* One check. */
static void hear(const news *of, const char *group)
{
    MARK("event %d of %s", of->code, group);
    pthread_mutex_lock(&mutex);
    while (of->count == 0)
        pthread_cond_wait(&changed, &mutex);
    CHECK(of->count == 1 && strcmp(of->group, group) == 0, "event %d: %u times, of group %s", of->code, of->count,
          of->group);
    pthread_mutex_unlock(&mutex);
}

/* One check. The context id, or SIZE_MAX. */
static size_t construct(const char *name, const pmix_proc_t *procs, size_t count, const char *directive, pmix_status_t want)
{
    bool yes = true;
    size_t context = SIZE_MAX, nresults = 0;
    pmix_info_t info[2], *results = NULL;
    PMIx_Info_load(&info[0], PMIX_GROUP_ASSIGN_CONTEXT_ID, &yes, PMIX_BOOL);
    if (directive != NULL)
        PMIx_Info_load(&info[1], directive, &yes, PMIX_BOOL);
    MARK("construct %s", name);
    CHECK_RC(PMIx_Group_construct(name, procs, count, info, directive != NULL ? 2 : 1, &results, &nresults), want,
             "construct %s", name);
    for (size_t i = 0; i < nresults; ++i)
        if (PMIX_CHECK_KEY(&results[i], PMIX_GROUP_CONTEXT_ID))
            context = results[i].value.data.size;
    PMIX_INFO_FREE(results, nresults);
    return context;
}

/* One check. */
static void destruct(const char *name, pmix_status_t want)
{
    MARK("destruct %s", name);
    CHECK_RC(PMIx_Group_destruct(name, NULL, 0), want, "destruct %s", name);
}

/* One check. */
static void fence(const char *nspace, pmix_status_t want, const char *what)
{
    pmix_proc_t all;
    PMIX_LOAD_PROCID(&all, nspace, PMIX_RANK_WILDCARD);
    MARK("%s", what);
    CHECK_RC(PMIx_Fence(&all, 1, NULL, 0), want, "%s", what);
}

/* 2 + n checks: everybody was given the same. */
static void same_everywhere(const char *key, size_t mine)
{
    pmix_value_t value, *got = NULL;
    PMIx_Value_load(&value, &mine, PMIX_SIZE);
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, key, &value), PMIX_SUCCESS, "Put");
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit");
    for (uint32_t rank = 0; rank < n; ++rank) {
        const pmix_proc_t proc = proc_of(&me, rank);
        MARK("%s of rank %u", key, rank);
        pmix_status_t rc = PMIx_Get(&proc, key, NULL, 0, &got);
        CHECK(rc == PMIX_SUCCESS && got->data.size == mine, "%s of rank %u is not %zu", key, rank, mine);
        if (rc == PMIX_SUCCESS)
            PMIX_VALUE_RELEASE(got);
    }
}

int main(void)
{
    n = check_join("groups", &me);
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    const bool even = me.rank % 2 == 0;
    unsigned long planned = CHECK_JOIN_LEAVE;
    pmix_proc_t *some = calloc(n, sizeof *some);
    size_t count = 0;
    if (some == NULL)
        abort();
    for (uint32_t rank = 0; rank < n; rank += 2)
        some[count++] = proc_of(&me, even ? rank : n - 2 - rank + n % 2); /* in two orders */
    pmix_status_t codes[] = {PMIX_GROUP_LEFT, PMIX_GROUP_MEMBER_FAILED, PMIX_GROUP_INVITED, PMIX_GROUP_CONSTRUCT_COMPLETE};
    CHECK(PMIx_Register_event_handler(codes, 4, NULL, 0, on_event, NULL, NULL) >= 0, "register a handler");
    ++planned;

    /* Of all, twice: two contexts, the same for all. */
    destruct("whole", PMIX_ERR_NOT_FOUND);
    const size_t first = construct("whole", &job, 1, NULL, PMIX_SUCCESS);
    const size_t second = construct("again", &job, 1, NULL, PMIX_SUCCESS);
    CHECK(first != SIZE_MAX && second != SIZE_MAX && first != second, "contexts %zu and %zu", first, second);
    same_everywhere("first", first);
    same_everywhere("second", second);
    construct("whole", &job, 1, NULL, PMIX_ERR_EXISTS);
    construct(me.nspace, &job, 1, NULL, PMIX_ERR_EXISTS);
    fence("whole", PMIX_SUCCESS, "fence of a group");
    destruct("whole", PMIX_SUCCESS);
    destruct("again", PMIX_SUCCESS);
    fence("whole", PMIX_ERR_BAD_PARAM, "fence of a group that has ended");
    planned += 10 + 2 * (2 + n);

    /* Of the even ranks; the odd ones make theirs of the same name afterwards. */
    if (even) {
        construct("some", some, count, NULL, PMIX_SUCCESS);
        for (int i = 0; i < 20; ++i)
            fence("some", PMIX_SUCCESS, "fence of the even ranks");
        destruct("some", PMIX_SUCCESS);
        planned += 22;
    }
    fence(me.nspace, PMIX_SUCCESS, "fence of the job after the group of the even ranks");
    if (!even) {
        construct("some", &me, 0, NULL, PMIX_ERR_BAD_PARAM);
        ++planned;
    }
    fence(me.nspace, PMIX_SUCCESS, "fence of the job before the timeout");
    planned += 2;

    /* Rank 0 alone: only the timeout ends it. */
    if (me.rank == 0) {
        int seconds = 1;
        size_t nresults = 0;
        pmix_info_t timeout, *results = NULL;
        PMIx_Info_load(&timeout, PMIX_TIMEOUT, &seconds, PMIX_INT);
        MARK("a construct that nobody joins");
        CHECK_RC(PMIx_Group_construct("late", &job, 1, &timeout, 1, &results, &nresults), PMIX_ERR_TIMEOUT,
                 "a construct that nobody joins");
        destruct("late", PMIX_ERR_NOT_FOUND);
        planned += 2;
    }

    /* Rank 0 leaves, and the rest go on without it. */
    construct("left", &job, 1, NULL, PMIX_SUCCESS);
    if (me.rank == 0) {
        CHECK_RC(PMIx_Group_leave("left", NULL, 0), PMIX_SUCCESS, "leave");
        CHECK_RC(PMIx_Group_leave("left", NULL, 0), PMIX_ERR_NOT_FOUND, "leave again");
        planned += 2;
    } else {
        hear(&left, "left");
        CHECK(left.affected.rank == 0, "rank %u has left", left.affected.rank);
        fence("left", PMIX_SUCCESS, "fence of those who are left");
        destruct("left", PMIX_SUCCESS);
        planned += 4;
    }
    fence(me.nspace, PMIX_SUCCESS, "fence of the job after the group that rank 0 has left");
    planned += 2;

    /* Rank 0 invites rank 1. The group is made when the news of it has reached the server. */
    if (me.rank < 2) {
        const pmix_proc_t leader = proc_of(&me, 0), pair[2] = {leader, proc_of(&me, 1)};
        pmix_info_t *results = NULL;
        size_t nresults = 0;
        if (me.rank == 0) {
            MARK("invite");
            CHECK_RC(PMIx_Group_invite("party", pair, 2, NULL, 0, &results, &nresults), PMIX_SUCCESS, "invite");
        } else {
            hear(&invited, "party");
            MARK("join");
            CHECK_RC(PMIx_Group_join("party", &leader, PMIX_GROUP_ACCEPT, NULL, 0, &results, &nresults), PMIX_SUCCESS,
                     "join");
            hear(&complete, "party");
            planned += 2;
        }
        fence("party", PMIX_SUCCESS, "fence of a group by invitation");
        destruct("party", PMIX_SUCCESS);
        planned += 3;
    }

    /* A member that leaves the server. */
    construct("watched", &job, 1, PMIX_GROUP_NOTIFY_TERMINATION, PMIX_SUCCESS);
    construct("unwatched", &job, 1, NULL, PMIX_SUCCESS);
    planned += 2;
    if (me.rank == n - 1) {
        free(some);
        return check_leave(planned);
    }
    hear(&failed, "watched");
    CHECK(failed.affected.rank == n - 1, "rank %u has failed", failed.affected.rank);
    fence("unwatched", PMIX_ERR_PARTIAL_SUCCESS, "fence of a group that lacks one");
    destruct("watched", PMIX_SUCCESS);
    destruct("unwatched", PMIX_ERR_PARTIAL_SUCCESS);
    construct("aborted", &job, 1, NULL, PMIX_GROUP_CONSTRUCT_ABORT);
    construct("rest", &job, 1, PMIX_GROUP_FT_COLLECTIVE, PMIX_SUCCESS);
    fence("rest", PMIX_SUCCESS, "fence of the group of the rest");
    destruct("rest", PMIX_SUCCESS);
    planned += 9;
    free(some);
    return check_leave(planned);
}
