/* Proves that heartbeats keep a monitor quiet and that their absence is told to the other ranks, as the lack of changes
 * of a file is; that monitors are cancelled, and that what makes no sense is refused. Rank 0 is watched. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#define FILE_CODE (PMIX_EXTERNAL_ERR_BASE - 77)

static pmix_proc_t me;
static uint32_t n;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

typedef struct {
    pmix_status_t code;
    unsigned count;
    pmix_proc_t source;
    char id[64];
} news;
static news missed = {.code = PMIX_MONITOR_HEARTBEAT_ALERT}, unchanged = {.code = FILE_CODE};

static void on_event(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                     pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *cbdata)
{
    (void) id, (void) results, (void) nresults;
    news *of = status == missed.code ? &missed : &unchanged;
    pthread_mutex_lock(&mutex);
    ++of->count;
    of->source = *source;
    for (size_t i = 0; i < ninfo; ++i)
        if (PMIX_CHECK_KEY(&info[i], PMIX_MONITOR_ID) && info[i].value.type == PMIX_STRING)
            snprintf(of->id, sizeof of->id, "%s", info[i].value.data.string);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    if (done != NULL)
        done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, cbdata);
}

static unsigned heard(const news *of)
{
    pthread_mutex_lock(&mutex);
    const unsigned count = of->count;
    pthread_mutex_unlock(&mutex);
    return count;
}

/* One check, of all but the rank that is watched. */
static void hear(const news *of, const char *id)
{
    MARK("event %d", of->code);
    pthread_mutex_lock(&mutex);
    while (of->count == 0)
        pthread_cond_wait(&changed, &mutex);
    CHECK(of->count == 1 && of->source.rank == 0 && strcmp(of->source.nspace, me.nspace) == 0 && strcmp(of->id, id) == 0,
          "event %d: %u times, of rank %u, id %s", of->code, of->count, of->source.rank, of->id);
    pthread_mutex_unlock(&mutex);
}

static pmix_info_t number(const char *key, uint32_t value)
{
    pmix_info_t info;
    PMIx_Info_load(&info, key, &value, PMIX_UINT32);
    return info;
}

static pmix_status_t monitor(pmix_info_t what, pmix_status_t code, const pmix_info_t *how, size_t count)
{
    pmix_info_t *results = NULL;
    size_t nresults = 0;
    return PMIx_Process_monitor(&what, code, how, count, &results, &nresults);
}

static void fence(const char *when)
{
    MARK("fence %s", when);
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence %s", when);
}

/* Of rank 0. Far more often than is asked for, and far longer than a monitor waits. */
static void heartbeats(void)
{
    struct timespec now, begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        PMIx_Heartbeat();
        usleep(50000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < 7);
}

int main(void)
{
    n = check_join("monitor", &me);
    const bool watched = me.rank == 0;
    pmix_status_t codes[] = {PMIX_MONITOR_HEARTBEAT_ALERT, FILE_CODE};
    pmix_status_t reference = PMIx_Register_event_handler(codes, 2, NULL, 0, on_event, NULL, NULL);
    CHECK(reference >= 0, "event handler: %s", PMIx_Error_string(reference));
    fence("before monitors");

    if (watched) {
        const pmix_info_t how[] = {info_text(PMIX_MONITOR_ID, "beats"), number(PMIX_MONITOR_HEARTBEAT_TIME, 2),
                                   number(PMIX_MONITOR_HEARTBEAT_DROPS, 1)};
        CHECK_RC(monitor(info_flag(PMIX_MONITOR_HEARTBEAT), PMIX_MONITOR_HEARTBEAT_ALERT, how, 3), PMIX_SUCCESS, "heartbeats");
        heartbeats();
    }
    fence("after heartbeats");
    CHECK(heard(&missed) == 0, "an alert in spite of heartbeats");
    fence("before silence");
    if (!watched)
        hear(&missed, "beats");
    fence("after silence");

    if (watched) {
        char path[] = "/tmp/monitor-XXXXXX";
        const int fd = mkstemp(path);
        CHECK(fd >= 0, "mkstemp: %s", strerror(errno));
        close(fd);
        const pmix_info_t how[] = {info_text(PMIX_MONITOR_ID, "file"), number(PMIX_MONITOR_FILE_CHECK_TIME, 1),
                                   info_flag(PMIX_MONITOR_FILE_SIZE), info_flag(PMIX_MONITOR_FILE_MODIFY)};
        CHECK_RC(monitor(info_text(PMIX_MONITOR_FILE, path), FILE_CODE, how, 4), PMIX_SUCCESS, "file");
        fence("while the file is watched");
        unlink(path);
        CHECK_RC(monitor(info_text(PMIX_MONITOR_CANCEL, "beats"), PMIX_SUCCESS, NULL, 0), PMIX_SUCCESS, "cancel");
        CHECK_RC(monitor(info_text(PMIX_MONITOR_CANCEL, "beats"), PMIX_SUCCESS, NULL, 0), PMIX_ERR_NOT_FOUND, "cancel again");
        CHECK_RC(monitor(info_flag(PMIX_MONITOR_HEARTBEAT), PMIX_SUCCESS, NULL, 0), PMIX_ERR_BAD_PARAM, "without a time");
        CHECK_RC(monitor(info_text(PMIX_MONITOR_FILE, "relative"), PMIX_SUCCESS, how, 4), PMIX_ERR_BAD_PARAM, "relative path");
        CHECK_RC(monitor(info_flag("no.such.monitor"), PMIX_SUCCESS, how, 4), PMIX_ERR_NOT_SUPPORTED, "unknown");
    } else {
        hear(&unchanged, "file");
        fence("while the file is watched");
    }
    fence("after the file");
    CHECK(heard(&missed) + heard(&unchanged) == (watched ? 0 : 2), "alerts");
    return check_leave(CHECK_JOIN_LEAVE + 9 + (watched ? 8 : 2));
}
