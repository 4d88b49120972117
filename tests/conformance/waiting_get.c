/* Proves that a Get for data not yet committed waits for it (direct modex, no fence), and that the directives which
 * forbid or bound the waiting are obeyed: immediate, timeout, optional.
 * Usage: waiting_get [--skip-unknown-job]: leaves out the one question Open MPI 4's runtime never answers. */
#include "check.h"

#include <pthread.h>
#include <time.h>

/* How long the committing rank keeps the others waiting: the delay that is the test. */
static const struct timespec delay = {0, 300 * 1000 * 1000};

static pmix_proc_t me;
static uint32_t n;
static bool skip_unknown_job;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* A Get_nb and what came of it. */
typedef struct {
    bool done;
    pmix_status_t status;
    pmix_data_type_t type;
    uint32_t number;
} answer;

static void answered(pmix_status_t status, pmix_value_t *value, void *cbdata)
{
    answer *a = cbdata;
    pthread_mutex_lock(&mutex);
    a->done = true;
    a->status = status;
    if (status == PMIX_SUCCESS && value != NULL) {
        a->type = value->type;
        a->number = value->type == PMIX_UINT32 ? value->data.uint32 : 0;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void await(answer *a)
{
    MARK("waiting for a Get_nb");
    pthread_mutex_lock(&mutex);
    while (!a->done)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static bool arrived(answer *a)
{
    pthread_mutex_lock(&mutex);
    bool done = a->done;
    pthread_mutex_unlock(&mutex);
    return done;
}

static uint32_t number_of(uint32_t rank, uint32_t which)
{
    return rank * 1000 + which;
}

/* Two checks. */
static void put_and_commit(const char *key, uint32_t number)
{
    pmix_value_t value;
    PMIx_Value_load(&value, &number, PMIX_UINT32);
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, key, &value), PMIX_SUCCESS, "Put %s", key);
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit %s", key);
}

static void fence(void)
{
    MARK("Fence");
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "Fence");
}

/* One check: a blocking Get gives this number. */
static void get(const pmix_proc_t *proc, const char *key, uint32_t want)
{
    pmix_value_t *value = NULL;
    MARK("Get %s of rank %u", key, proc->rank);
    pmix_status_t rc = PMIx_Get(proc, key, NULL, 0, &value);
    CHECK(rc == PMIX_SUCCESS && value->type == PMIX_UINT32 && value->data.uint32 == want, "%s of rank %u: %s, wanted %u",
          key, proc->rank, PMIx_Error_string(rc), want);
    if (value != NULL)
        PMIX_VALUE_RELEASE(value);
}

/* One check: a Get with one directive fails with one of two statuses. */
static void get_fails(const pmix_proc_t *proc, const char *key, const char *directive, int seconds, pmix_status_t want,
                      pmix_status_t or_want)
{
    bool yes = true;
    pmix_info_t info;
    pmix_value_t *value = NULL;
    if (seconds > 0)
        PMIx_Info_load(&info, directive, &seconds, PMIX_INT);
    else
        PMIx_Info_load(&info, directive, &yes, PMIX_BOOL);
    MARK("Get %s of %s rank %u with %s", key, proc->nspace, proc->rank, directive);
    CHECK_RC2(PMIx_Get(proc, key, &info, 1, &value), want, or_want, "%s of %s rank %u with %s", key, proc->nspace,
              proc->rank, directive);
    if (value != NULL)
        PMIX_VALUE_RELEASE(value);
}

/* Everyone else has asked rank 1 before it commits; the fence tells it that they have. */
static void all_wait_for_one(void)
{
    const pmix_proc_t source = proc_of(&me, 1);
    answer a = {false, PMIX_SUCCESS, PMIX_UNDEF, 0};
    if (me.rank != 1)
        CHECK_RC(PMIx_Get_nb(&source, "one.all", NULL, 0, answered, &a), PMIX_SUCCESS, "Get_nb");
    fence();
    if (me.rank == 1) {
        nanosleep(&delay, NULL);
        put_and_commit("one.all", number_of(1, 1));
    } else {
        CHECK(!arrived(&a) || a.status == PMIX_SUCCESS, "%s instead of waiting", PMIx_Error_string(a.status));
        await(&a);
        CHECK(a.status == PMIX_SUCCESS && a.type == PMIX_UINT32 && a.number == number_of(1, 1), "%s, type %d, number %u",
              PMIx_Error_string(a.status), a.type, a.number);
    }
    fence();
}

/* Rank 0 in a blocking Get, for a rank that has committed other keys before. */
static void one_waits_for_one(void)
{
    const pmix_proc_t source = proc_of(&me, 1);
    fence();
    if (me.rank == 0)
        get(&source, "one.two", number_of(1, 2));
    if (me.rank == 1) {
        nanosleep(&delay, NULL);
        put_and_commit("one.two", number_of(1, 2));
    }
    fence();
}

/* Everyone waits for two keys of everyone else, all outstanding at once; both keys come in one commit. */
static void all_wait_for_all(void)
{
    answer *answers = calloc(2 * (size_t) n, sizeof *answers);
    if (answers == NULL)
        abort();
    for (uint32_t rank = 0; rank < n; ++rank)
        for (uint32_t i = 0; rank != me.rank && i < 2; ++i) {
            const pmix_proc_t peer = proc_of(&me, rank);
            CHECK_RC(PMIx_Get_nb(&peer, i == 0 ? "all.0" : "all.1", NULL, 0, answered, &answers[2 * rank + i]),
                     PMIX_SUCCESS, "Get_nb from rank %u", rank);
        }
    fence();

    pmix_value_t value;
    uint32_t number = number_of(me.rank, 10);
    PMIx_Value_load(&value, &number, PMIX_UINT32);
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, "all.0", &value), PMIX_SUCCESS, "Put");
    put_and_commit("all.1", number_of(me.rank, 11));

    for (uint32_t rank = 0; rank < n; ++rank)
        for (uint32_t i = 0; rank != me.rank && i < 2; ++i) {
            answer *a = &answers[2 * rank + i];
            await(a);
            CHECK(a->status == PMIX_SUCCESS && a->type == PMIX_UINT32 && a->number == number_of(rank, 10 + i),
                  "key %u of rank %u: %s, type %d, number %u", i, rank, PMIx_Error_string(a->status), a->type, a->number);
        }
    fence();
    free(answers);
}

/* `when`: whether the peers have committed anything at all yet makes no difference. */
static void uncommitted(const char *when)
{
    for (uint32_t step = 1; step < n && step < 3; ++step) {
        const pmix_proc_t peer = proc_of(&me, (me.rank + step) % n);
        get_fails(&peer, "never", PMIX_IMMEDIATE, 0, PMIX_ERR_NOT_FOUND, PMIX_ERR_NOT_FOUND);
        get_fails(&peer, when, PMIX_OPTIONAL, 0, PMIX_ERR_NOT_FOUND, PMIX_ERR_NOT_FOUND);
    }
    if (n > 1) {
        const pmix_proc_t peer = proc_of(&me, (me.rank + 1) % n);
        get_fails(&peer, "never", PMIX_TIMEOUT, 1, PMIX_ERR_TIMEOUT, PMIX_ERR_NOT_FOUND);
    }
    fence();
}

/* Optional never leaves the process: it finds what was put here or fetched before, and nothing else. */
static void optional(void)
{
    pmix_info_t info;
    bool yes = true;
    PMIx_Info_load(&info, PMIX_OPTIONAL, &yes, PMIX_BOOL);

    uint32_t number = number_of(me.rank, 20);
    pmix_value_t value, *got = NULL;
    PMIx_Value_load(&value, &number, PMIX_UINT32);
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, "mine", &value), PMIX_SUCCESS, "Put");
    get(&me, "mine", number); /* before the commit */
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit");
    fence();

    const pmix_proc_t peer = proc_of(&me, (me.rank + 1) % n);
    if (n > 1)
        get_fails(&peer, "mine", PMIX_OPTIONAL, 0, PMIX_ERR_NOT_FOUND, PMIX_ERR_NOT_FOUND);
    get(&peer, "mine", number_of(peer.rank, 20));
    pmix_status_t rc = PMIx_Get(&peer, "mine", &info, 1, &got);
    CHECK(rc == PMIX_SUCCESS && got->type == PMIX_UINT32 && got->data.uint32 == number_of(peer.rank, 20),
          "optional, after it was fetched: %s", PMIx_Error_string(rc));
    if (got != NULL)
        PMIX_VALUE_RELEASE(got);
    fence();
}

static void strangers(void)
{
    pmix_proc_t unknown;
    PMIX_LOAD_PROCID(&unknown, "no-such-job", 0);
    get_fails(&unknown, "never", PMIX_IMMEDIATE, 0, PMIX_ERR_NOT_FOUND, PMIX_ERR_NOT_FOUND);
    if (!skip_unknown_job)
        get_fails(&unknown, "never", PMIX_TIMEOUT, 1, PMIX_ERR_NOT_FOUND, PMIX_ERR_TIMEOUT);

    const pmix_proc_t beyond = proc_of(&me, n + 10);
    get_fails(&beyond, "never", PMIX_IMMEDIATE, 0, PMIX_ERR_NOT_FOUND, PMIX_ERR_NOT_FOUND);
    get_fails(&beyond, "never", PMIX_TIMEOUT, 1, PMIX_ERR_NOT_FOUND, PMIX_ERR_TIMEOUT);
    fence();
}

int main(int argc, char **argv)
{
    skip_unknown_job = argc == 2 && strcmp(argv[1], "--skip-unknown-job") == 0;
    if (argc > 1 && !skip_unknown_job) {
        fprintf(stderr, "usage: waiting_get [--skip-unknown-job]\n");
        return 2;
    }

    n = check_join("waiting_get", &me);
    uncommitted("before");
    if (n > 1) {
        all_wait_for_one();
        one_waits_for_one();
        all_wait_for_all();
    }
    optional();
    uncommitted("after");
    strangers();

    const unsigned long peers = n - 1, others = n > 1 ? 1 : 0;
    unsigned long planned = CHECK_JOIN_LEAVE;
    planned += 2 * (2 * (peers < 2 ? peers : 2) + others + 1);              /* uncommitted */
    planned += others * (2 + (me.rank == 1 ? 2 : 3));                       /* all_wait_for_one */
    planned += others * (2 + (me.rank == 0 ? 1 : 0) + (me.rank == 1 ? 2 : 0)); /* one_waits_for_one */
    planned += others * (2 + 4 * peers + 3);                                /* all_wait_for_all */
    planned += 7 + others;                                                  /* optional */
    planned += skip_unknown_job ? 4 : 5;                                    /* strangers */
    return check_leave(planned);
}
