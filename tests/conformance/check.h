/* Shared by the conformance programs: counted checks, and the planned number of them. A program passes only if
 * every planned check ran and none failed; a watchdog turns a hang into a failure that names the last check. */
#ifndef CHECK_H
#define CHECK_H

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pmix.h>

/* Exit status of a program whose watchdog fired. */
#define CHECK_HANG 97

static struct {
    const char *name;
    long rank;
    unsigned long ran, failed;
    const char *file;
    int line;
    char doing[128];
} check_ = {"?", -1, 0, 0, "start", 0, ""};

static inline const char *check_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static inline void check_hang(int sig)
{
    char line[256];
    size_t at = 0;
    char digits[12];
    int n = 0;
    const char *parts[] = {"HANG ", check_.name, ": nothing returned after ", check_.file, ":"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i)
        for (const char *c = parts[i]; *c != '\0' && at < sizeof line - 32; ++c)
            line[at++] = *c;
    for (int v = check_.line; n == 0 || v > 0; v /= 10)
        digits[n++] = (char) ('0' + v % 10);
    while (n > 0)
        line[at++] = digits[--n];
    if (check_.doing[0] != '\0')
        line[at++] = ' ';
    for (const char *c = check_.doing; *c != '\0' && at < sizeof line - 2; ++c)
        line[at++] = *c;
    line[at++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, at);
    (void) written;
    (void) sig;
    _exit(CHECK_HANG);
}

/* The watchdog's seconds: CHECK_WATCHDOG in the environment, else 120. */
static inline void check_begin(const char *name)
{
    const char *limit = getenv("CHECK_WATCHDOG");
    unsigned seconds = limit != NULL ? (unsigned) strtoul(limit, NULL, 10) : 120;
    check_.name = name;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGALRM, check_hang);
    alarm(seconds);
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline void check_mark(const char *file, int line, const char *fmt, ...)
{
    check_.file = check_basename(file);
    check_.line = line;
    va_list args;
    va_start(args, fmt);
    vsnprintf(check_.doing, sizeof check_.doing, fmt, args);
    va_end(args);
}

#if defined(__GNUC__)
__attribute__((format(printf, 5, 6)))
#endif
static inline bool check_that(bool good, const char *file, int line, const char *what, const char *fmt, ...)
{
    check_mark(file, line, "%s", "");
    ++check_.ran;
    if (good)
        return true;
    ++check_.failed;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "FAIL %s rank %ld %s:%d: %s: %s\n", check_.name, check_.rank, check_.file, line, what, text);
    return false;
}

#if defined(__GNUC__)
__attribute__((format(printf, 6, 7)))
#endif
static inline bool check_status(pmix_status_t got, pmix_status_t want, pmix_status_t or_want, const char *file,
                                int line, const char *fmt, ...)
{
    char text[512], what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(what, sizeof what, "status %d %s, wanted %d %s%s%s", got, PMIx_Error_string(got), want,
             PMIx_Error_string(want), or_want != want ? " or " : "", or_want != want ? PMIx_Error_string(or_want) : "");
    return check_that(got == want || got == or_want, file, line, what, "%s", text);
}

/* CHECK(condition, format, ...); CHECK_RC(status, wanted, format, ...); all yield whether the check passed. */
#define CHECK(cond, ...) check_that((cond), __FILE__, __LINE__, #cond, __VA_ARGS__)
#define CHECK_RC(got, want, ...) check_status((got), (want), (want), __FILE__, __LINE__, __VA_ARGS__)
#define CHECK_RC2(got, want, or_want, ...) check_status((got), (want), (or_want), __FILE__, __LINE__, __VA_ARGS__)
/* MARK(format, ...): what is about to be done, for the watchdog to name. */
#define MARK(...) check_mark(__FILE__, __LINE__, __VA_ARGS__)

/* The outcome of a call that ends with check_done(), given what the call returned: for those whose blocking form in 4.2.2
 * sleeps on a lock it has freed, and sometimes for ever. One at a time. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
    pmix_status_t status;
} check_call_ = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, PMIX_SUCCESS};

static inline void check_done(pmix_status_t status, void *cbdata)
{
    (void) cbdata;
    pthread_mutex_lock(&check_call_.mutex);
    check_call_.done = true;
    check_call_.status = status;
    pthread_cond_broadcast(&check_call_.changed);
    pthread_mutex_unlock(&check_call_.mutex);
}

static inline pmix_status_t check_outcome(pmix_status_t returned)
{
    if (returned != PMIX_SUCCESS)
        return returned;
    pthread_mutex_lock(&check_call_.mutex);
    while (!check_call_.done)
        pthread_cond_wait(&check_call_.changed, &check_call_.mutex);
    check_call_.done = false;
    returned = check_call_.status;
    pthread_mutex_unlock(&check_call_.mutex);
    return returned;
}

/* The exit status: 0 only if exactly `planned` checks ran and none failed. */
static inline int check_end(unsigned long planned)
{
    if (check_.ran != planned) {
        fprintf(stderr, "FAIL %s rank %ld: %lu checks ran, %lu were planned\n", check_.name, check_.rank, check_.ran,
                planned);
        return 1;
    }
    if (check_.failed != 0) {
        fprintf(stderr, "FAIL %s rank %ld: %lu of %lu checks failed\n", check_.name, check_.rank, check_.failed,
                check_.ran);
        return 1;
    }
    printf("ok %s rank %ld checks %lu\n", check_.name, check_.rank, check_.ran);
    return 0;
}

/* PMIx_Init and the size of the job: two checks. Without them nothing else makes sense, so failure ends the program. */
static inline uint32_t check_join(const char *name, pmix_proc_t *me)
{
    check_begin(name);
    if (!CHECK_RC(PMIx_Init(me, NULL, 0), PMIX_SUCCESS, "PMIx_Init"))
        exit(1);
    check_.rank = (long) me->rank;

    pmix_proc_t job = *me;
    job.rank = PMIX_RANK_WILDCARD;
    pmix_value_t *value = NULL;
    pmix_status_t rc = PMIx_Get(&job, PMIX_JOB_SIZE, NULL, 0, &value);
    uint32_t size = rc == PMIX_SUCCESS && value->type == PMIX_UINT32 ? value->data.uint32 : 0;
    if (!CHECK(size > me->rank && size < 1000000, "%s: job size %u for rank %u", PMIx_Error_string(rc), size, me->rank))
        exit(1);
    PMIX_VALUE_RELEASE(value);
    return size;
}

/* PMIx_Finalize, one check, and the verdict. */
static inline int check_leave(unsigned long planned)
{
    CHECK_RC(PMIx_Finalize(NULL, 0), PMIX_SUCCESS, "PMIx_Finalize");
    return check_end(planned);
}
#define CHECK_JOIN_LEAVE 3

static inline pmix_info_t info_text(const char *key, const char *value)
{
    pmix_info_t info;
    PMIx_Info_load(&info, key, value, PMIX_STRING);
    return info;
}

static inline pmix_info_t info_flag(const char *key)
{
    bool yes = true;
    pmix_info_t info;
    PMIx_Info_load(&info, key, &yes, PMIX_BOOL);
    return info;
}

static inline pmix_proc_t proc_of(const pmix_proc_t *me, pmix_rank_t rank)
{
    pmix_proc_t proc = *me;
    proc.rank = rank;
    return proc;
}

#endif
