/* A tool that pulls the output of a job and pushes its input. Usage: iof NSPACE RANKS URI [print]
 * Each process of the job, rank R, writes "early R" to standard output and "oops R" to standard error before this starts;
 * then "echo R LINE" for every LINE it reads, and at the end "bye R". With `print`, libpmix prints what it pulls, with tags. */
#include "check.h"

#include <pmix_tool.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

#define MOST 64
static const char *job;
static uint32_t ranks;
static struct {
    char out[4096], err[4096]; /* all that came from a rank */
    unsigned closed;
} got[MOST];
static unsigned strange; /* pieces of other processes, on other channels, or for other registrations */
static size_t puller = SIZE_MAX;

static void on_output(size_t id, pmix_iof_channel_t channel, pmix_proc_t *source, pmix_byte_object_t *text,
                      pmix_info_t info[], size_t ninfo)
{
    (void) info;
    pthread_mutex_lock(&mutex);
    char *to = source->rank >= ranks                ? NULL
               : channel == PMIX_FWD_STDOUT_CHANNEL ? got[source->rank].out
               : channel == PMIX_FWD_STDERR_CHANNEL ? got[source->rank].err
                                                    : NULL;
    if (to == NULL || strcmp(source->nspace, job) != 0 || ninfo != 0 || (puller != SIZE_MAX && id != puller))
        ++strange;
    else if (text->size == 0)
        ++got[source->rank].closed;
    else
        strncat(to, text->bytes, text->size < 2048 ? text->size : 2048);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static pmix_status_t push(pmix_rank_t rank, const char *text)
{
    pmix_proc_t to;
    PMIX_LOAD_PROCID(&to, job, rank);
    pmix_byte_object_t bytes = {(char *) text, text != NULL ? strlen(text) : 0};
    return check_outcome(PMIx_IOF_push(&to, 1, &bytes, NULL, 0, check_done, NULL));
}

static void forget(void)
{
    pthread_mutex_lock(&mutex);
    memset(got, 0, sizeof got);
    puller = SIZE_MAX;
    pthread_mutex_unlock(&mutex);
}

static bool pull(pmix_rank_t rank, pmix_iof_cbfunc_t to)
{
    pmix_proc_t of;
    PMIX_LOAD_PROCID(&of, job, rank);
    bool yes = true;
    pmix_info_t tagged;
    PMIX_INFO_LOAD(&tagged, PMIX_IOF_TAG_OUTPUT, &yes, PMIX_BOOL);
    forget();
    MARK("PMIx_IOF_pull");
    pmix_status_t id = PMIx_IOF_pull(&of, 1, &tagged, to == NULL, PMIX_FWD_STDOUT_CHANNEL | PMIX_FWD_STDERR_CHANNEL, to,
                                     NULL, NULL);
    pthread_mutex_lock(&mutex);
    puller = id > 0 ? (size_t) id : SIZE_MAX;
    pthread_mutex_unlock(&mutex);
    return CHECK(id > 0, "PMIx_IOF_pull: %s", PMIx_Error_string(id));
}

/* Waits until as much as `wanted` has come from a rank, and checks that it is that. */
static void expect(pmix_rank_t rank, const char *from, const char *wanted)
{
    MARK("waiting for \"%s\" of rank %u", wanted, rank);
    pthread_mutex_lock(&mutex);
    while (strlen(from) < strlen(wanted))
        pthread_cond_wait(&changed, &mutex);
    CHECK(strcmp(from, wanted) == 0, "rank %u wrote \"%s\", not \"%s\"", rank, from, wanted);
    pthread_mutex_unlock(&mutex);
}

static void await_end(pmix_rank_t rank)
{
    MARK("waiting for the end of rank %u", rank);
    pthread_mutex_lock(&mutex);
    while (got[rank].closed < 2)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: iof NSPACE RANKS URI [print]\n");
        return 2;
    }
    job = argv[1];
    ranks = (uint32_t) strtoul(argv[2], NULL, 10);
    const bool print = argc > 4;
    pmix_info_t where;
    PMIX_INFO_LOAD(&where, PMIX_SERVER_URI, argv[3], PMIX_STRING);

    check_begin("iof");
    pmix_proc_t me;
    char text[256];
    MARK("PMIx_tool_init");
    if (ranks > MOST || !CHECK_RC(PMIx_tool_init(&me, &where, 1), PMIX_SUCCESS, "PMIx_tool_init"))
        return 1;
    if (print)
        pull(PMIX_RANK_WILDCARD, NULL);

    pull(PMIX_RANK_WILDCARD, on_output);
    for (uint32_t r = 0; r < ranks; ++r) { /* written before: kept for us */
        snprintf(text, sizeof text, "early %u\n", r);
        expect(r, got[r].out, text);
        snprintf(text, sizeof text, "oops %u\n", r);
        expect(r, got[r].err, text);
    }
    if (!print) {
        CHECK_RC(push(0, "one\ntwo\n"), PMIX_SUCCESS, "push to rank 0");
        expect(0, got[0].out, "early 0\necho 0 one\necho 0 two\n");
        CHECK_RC(push(PMIX_RANK_WILDCARD, "all\n"), PMIX_SUCCESS, "push to all");
        for (uint32_t r = 0; r < ranks; ++r) {
            snprintf(text, sizeof text, "early %u\n%secho %u all\n", r, r == 0 ? "echo 0 one\necho 0 two\n" : "", r);
            expect(r, got[r].out, text);
        }
        CHECK_RC(push(ranks, "nobody\n"), PMIX_ERR_NOT_FOUND, "push to no rank");

        MARK("PMIx_IOF_deregister");
        CHECK_RC(check_outcome(PMIx_IOF_deregister(puller, NULL, 0, check_done, NULL)), PMIX_SUCCESS, "PMIx_IOF_deregister");
        CHECK_RC(push(ranks - 1, "unheard\n"), PMIX_SUCCESS, "push that nobody hears");
        pull(PMIX_RANK_WILDCARD, on_output);
        snprintf(text, sizeof text, "early %u\necho %u unheard\n", ranks - 1, ranks - 1);
        expect(ranks - 1, got[ranks - 1].out, text);
    }
    CHECK_RC(push(PMIX_RANK_WILDCARD, NULL), PMIX_SUCCESS, "the end of the input");
    for (uint32_t r = 0; r < ranks; ++r)
        await_end(r);
    /* Whatever else was sent to us has come before this answer. */
    CHECK_RC(push(0, "late\n"), PMIX_ERR_IOF_COMPLETE, "push behind the end");
    pthread_mutex_lock(&mutex);
    for (uint32_t r = 0; r < ranks; ++r) {
        char unheard[64] = "";
        if (!print && r == ranks - 1)
            snprintf(unheard, sizeof unheard, "echo %u unheard\n", r);
        snprintf(text, sizeof text, "early %u\n%sbye %u\n", r, unheard, r);
        CHECK(strcmp(got[r].out, text) == 0, "rank %u wrote \"%s\", not \"%s\"", r, got[r].out, text);
        CHECK(got[r].closed == 2, "rank %u closed %u channels", r, got[r].closed);
    }
    CHECK(strange == 0, "%u pieces of output were not asked for", strange);
    pthread_mutex_unlock(&mutex);
    MARK("PMIx_tool_finalize");
    CHECK_RC(PMIx_tool_finalize(), PMIX_SUCCESS, "PMIx_tool_finalize");
    return check_end(print ? 7 + 4 * ranks : 14 + 5 * ranks);
}
