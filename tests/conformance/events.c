/* Proves that events reach whom they are for, once: by code and by default handler, in every range, to named processes, about
 * certain processes, to handlers registered later, and not after these are gone.
 * events lost: the last rank ends without a word, and the others hear of it, also who registers later; for a server that does
 * not end the job then. */
#include "check.h"

#include <pthread.h>

static pmix_proc_t me;
static uint32_t n;
static unsigned long planned = CHECK_JOIN_LEAVE;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* What a handler has heard. */
typedef struct {
    unsigned count;
    size_t id;
    pmix_proc_t source, affected;
    uint32_t payload;
} ear;

enum { EARLY, ALL, MINE, ABOUT, NONDEFAULT, LATE, END, CODES };
static pmix_status_t code_of(int which)
{
    return PMIX_EXTERNAL_ERR_BASE - 10 - which;
}
static ear heard[CODES], by_default, lost;

static ear *ear_of(pmix_status_t code)
{
    for (int i = 0; i < CODES; ++i)
        if (code == code_of(i))
            return &heard[i];
    return &lost;
}

static void on_event(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                     pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *cbdata)
{
    (void) id, (void) results, (void) nresults;
    pthread_mutex_lock(&mutex);
    ear *at = ear_of(status);
    ++at->count;
    at->source = *source;
    for (size_t k = 0; k < ninfo; ++k)
        if (PMIX_CHECK_KEY(&info[k], PMIX_EVENT_AFFECTED_PROC) && info[k].value.type == PMIX_PROC)
            at->affected = *info[k].value.data.proc;
        else if (PMIX_CHECK_KEY(&info[k], "payload") && info[k].value.type == PMIX_UINT32)
            at->payload = info[k].value.data.uint32;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    if (done != NULL) /* and let other handlers hear of it */
        done(PMIX_SUCCESS, NULL, 0, NULL, NULL, cbdata);
}

/* Of others: when a default handler comes, libpmix tells all handlers again what its own process has told before. */
static void on_any(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                   pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *cbdata)
{
    (void) id, (void) status, (void) info, (void) ninfo, (void) results, (void) nresults;
    pthread_mutex_lock(&mutex);
    by_default.count += !PMIX_CHECK_PROCID(source, &me);
    pthread_mutex_unlock(&mutex);
    if (done != NULL)
        done(PMIX_SUCCESS, NULL, 0, NULL, NULL, cbdata);
}

/* One check. */
static void listen_by_default(void)
{
    MARK("register a default handler");
    pmix_status_t id = PMIx_Register_event_handler(NULL, 0, NULL, 0, on_any, NULL, NULL);
    CHECK(id >= 0, "register a default handler: %s", PMIx_Error_string(id));
    by_default.id = (size_t) id;
    ++planned;
}

/* One check. */
static void listen_to(pmix_status_t code, ear *with, const pmix_info_t *infos, size_t count)
{
    MARK("register for %d", code);
    pmix_status_t id = PMIx_Register_event_handler(&code, 1, (pmix_info_t *) infos, count, on_event, NULL, NULL);
    CHECK(id >= 0, "register for %d: %s", code, PMIx_Error_string(id));
    with->id = (size_t) id;
    ++planned;
}

/* One check. */
static void ignore(ear *with)
{
    MARK("deregister");
    CHECK_RC(PMIx_Deregister_event_handler(with->id, NULL, NULL), PMIX_SUCCESS, "deregister");
    ++planned;
}

/* One check. */
static void tell(int which, pmix_data_range_t range, const pmix_info_t *infos, size_t count)
{
    MARK("notify %d", which);
    CHECK_RC2(PMIx_Notify_event(code_of(which), &me, range, infos, count, NULL, NULL), PMIX_SUCCESS, PMIX_OPERATION_SUCCEEDED,
              "notify %d", which);
    ++planned;
}

/* One check. */
static void fence(void)
{
    MARK("fence");
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence");
    ++planned;
}

static void tell_one(int which, pmix_rank_t rank)
{
    const pmix_proc_t whom = proc_of(&me, rank);
    pmix_info_t info;
    PMIx_Info_load(&info, PMIX_EVENT_CUSTOM_RANGE, &whom, PMIX_PROC);
    tell(which, PMIX_RANGE_CUSTOM, &info, 1);
    PMIX_INFO_DESTRUCT(&info);
}

/* One check: it has been heard that often by the time that everything is over. */
static void hear(const ear *at, unsigned count)
{
    pthread_mutex_lock(&mutex);
    MARK("event %ld", (long) (at - heard));
    while (at->count < count)
        pthread_cond_wait(&changed, &mutex);
    CHECK(at->count == count, "event %ld: %u times, not %u", (long) (at - heard), at->count, count);
    pthread_mutex_unlock(&mutex);
    ++planned;
}

/* Four checks: all that was told so far has been heard. Events keep their order. */
static void settle(void)
{
    static unsigned ends;
    fence();
    tell_one(END, (me.rank + 1) % n);
    hear(&heard[END], ++ends);
    fence();
}

static int lose_one(void)
{
    const bool late = me.rank == 0 && n > 2;
    pmix_proc_t *rest = calloc(n, sizeof *rest);
    if (rest == NULL)
        abort();
    for (uint32_t rank = 0; rank + 1 < n; ++rank)
        rest[rank] = proc_of(&me, rank);
    listen_by_default();
    if (!late)
        listen_to(PMIX_ERR_PROC_TERM_WO_SYNC, &lost, NULL, 0);
    fence();
    if (me.rank + 1 == n) {
        kill(getpid(), SIGKILL);
        pause();
    }
    if (!late)
        hear(&lost, 1);
    MARK("fence of the rest");
    CHECK_RC(PMIx_Fence(rest, n - 1, NULL, 0), PMIX_SUCCESS, "fence of the rest");
    ++planned;
    if (late) {
        listen_to(PMIX_ERR_PROC_TERM_WO_SYNC, &lost, NULL, 0);
        hear(&lost, 1);
    }
    CHECK(lost.affected.rank == n - 1 && strcmp(lost.affected.nspace, me.nspace) == 0, "%s:%u is lost", lost.affected.nspace,
          lost.affected.rank);
    CHECK(by_default.count == 0, "a default handler hears of it %u times", by_default.count);
    planned += 2;
    free(rest);
    return check_leave(planned);
}

int main(int argc, char **argv)
{
    n = check_join("events", &me);
    if (argc > 1 && strcmp(argv[1], "lost") == 0)
        return lose_one();
    const uint32_t before = (me.rank + n - 1) % n;
    uint32_t number = 42;
    bool yes = true;
    pmix_info_t info[2];

    /* Nobody listens yet, and the first of two is for one process only. */
    if (me.rank == 0) {
        tell_one(LATE, n - 1);
        PMIx_Info_load(&info[0], "payload", &number, PMIX_UINT32);
        tell(EARLY, PMIX_RANGE_SESSION, info, 1);
    }
    fence();
    listen_to(code_of(END), &heard[END], NULL, 0);
    if (me.rank != 0) {
        listen_to(code_of(EARLY), &heard[EARLY], NULL, 0);
        hear(&heard[EARLY], 1);
        CHECK(heard[EARLY].source.rank == 0 && heard[EARLY].payload == 42, "from %u with %u", heard[EARLY].source.rank,
              heard[EARLY].payload);
        listen_to(code_of(LATE), &heard[LATE], NULL, 0);
        ++planned;
    }
    settle();
    hear(&heard[LATE], me.rank + 1 == n);
    hear(&heard[EARLY], me.rank != 0);

    /* Everybody, and everybody's own handlers. */
    listen_to(code_of(ALL), &heard[ALL], NULL, 0);
    fence();
    tell(ALL, PMIX_RANGE_NAMESPACE, NULL, 0);
    tell(ALL, PMIX_RANGE_LOCAL, NULL, 0);
    tell(ALL, PMIX_RANGE_SESSION, NULL, 0);
    tell(ALL, PMIX_RANGE_GLOBAL, NULL, 0);
    settle();
    hear(&heard[ALL], 4 * n);

    /* The next one only. */
    listen_to(code_of(MINE), &heard[MINE], NULL, 0);
    fence();
    tell_one(MINE, (me.rank + 1) % n);
    settle();
    hear(&heard[MINE], 1);
    CHECK(heard[MINE].source.rank == before, "from %u, not %u", heard[MINE].source.rank, before);
    ++planned;

    /* About rank 0 only. */
    const pmix_proc_t zero = proc_of(&me, 0), one = proc_of(&me, 1);
    PMIx_Info_load(&info[0], PMIX_EVENT_AFFECTED_PROC, &zero, PMIX_PROC);
    PMIx_Info_load(&info[1], PMIX_EVENT_AFFECTED_PROC, &one, PMIX_PROC);
    listen_to(code_of(ABOUT), &heard[ABOUT], &info[0], 1);
    fence();
    if (me.rank == 0) {
        tell(ABOUT, PMIX_RANGE_NAMESPACE, &info[0], 1);
        tell(ABOUT, PMIX_RANGE_NAMESPACE, &info[1], 1);
    }
    settle();
    hear(&heard[ABOUT], 1);

    /* Default handlers: not of what was before, not of what is not for them. */
    listen_by_default();
    fence();
    const unsigned ends = heard[END].count, was = by_default.count;
    fence();
    if (me.rank == 0) {
        PMIx_Info_load(&info[0], PMIX_EVENT_NON_DEFAULT, &yes, PMIX_BOOL);
        tell(NONDEFAULT, PMIX_RANGE_NAMESPACE, info, 1);
        tell(LATE, PMIX_RANGE_NAMESPACE, NULL, 0);
    }
    settle();
    CHECK(was == 0, "a default handler hears of %u that were before it", was);
    /* Handlers of a code come first; they let the default ones hear of it too. */
    CHECK(by_default.count == (me.rank != 0) + heard[END].count - ends, "a default handler hears of %u", by_default.count);
    planned += 2;

    /* Gone. */
    const unsigned all = heard[ALL].count;
    ignore(&heard[ALL]);
    ignore(&by_default);
    fence();
    const unsigned count = by_default.count;
    tell(ALL, PMIX_RANGE_NAMESPACE, NULL, 0);
    settle();
    hear(&heard[ALL], all);
    CHECK(by_default.count == count, "a default handler that is gone hears of %u", by_default.count - count);
    ++planned;
    return check_leave(planned);
}
