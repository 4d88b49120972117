/* Proves that files are removed when those have ended for whom that was registered, that signals arrive, and that what
 * makes no sense is refused. The last rank leaves early. DIRECTORY then holds what control.py expects.
 * Usage: control DIRECTORY; or control kill|terminate: rank 1, or all of the job. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static pmix_proc_t me;
static uint32_t n;
static const char *directory;
static volatile sig_atomic_t got[64];

static void on_signal(int number) { got[number] = 1; }

static const char *path_of(const char *name, uint32_t rank)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s.%u", directory, name, rank);
    return path;
}

static void make_file(const char *path)
{
    const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0)
        perror(path);
    close(fd);
}

static bool there(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static pmix_info_t signal_of(int number)
{
    pmix_info_t info;
    PMIx_Info_load(&info, PMIX_JOB_CTRL_SIGNAL, &number, PMIX_INT);
    return info;
}

static pmix_status_t control(const pmix_proc_t *target, const pmix_info_t *infos, size_t count)
{
    pmix_info_t *results = NULL;
    size_t nresults = 0;
    return PMIx_Job_control(target, target != NULL, infos, count, &results, &nresults);
}

static pmix_status_t control_one(const pmix_proc_t *target, pmix_info_t info)
{
    return control(target, &info, 1);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool answered;
static pmix_status_t answer;

static void on_answer(pmix_status_t status, pmix_info_t *info, size_t ninfo, void *cbdata,
                      pmix_release_cbfunc_t release_fn, void *release_cbdata)
{
    (void) info, (void) ninfo, (void) cbdata;
    if (release_fn != NULL)
        release_fn(release_cbdata);
    pthread_mutex_lock(&mutex);
    answered = true;
    answer = status;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* A file, one that is not this user's, and a tree, of every rank, for all of the job. */
static void register_cleanup(void)
{
    make_file(path_of("file", me.rank));
    make_file(path_of("foreign", me.rank));
    make_file(path_of("kept", me.rank));
    mkdir(path_of("tree", me.rank), 0700);
    char inner[600], list[1200];
    snprintf(inner, sizeof inner, "%s/inner", path_of("tree", me.rank));
    mkdir(inner, 0700);
    strcat(inner, "/file");
    make_file(inner);
    if (geteuid() == 0)
        CHECK(chown(path_of("foreign", me.rank), 4711, 4711) == 0, "chown: %s", strerror(errno));
    else
        CHECK(remove(path_of("foreign", me.rank)) == 0, "remove: %s", strerror(errno));

    snprintf(list, sizeof list, "%s,%s", path_of("file", me.rank), path_of("foreign", me.rank));
    CHECK_RC(control_one(NULL, info_text(PMIX_REGISTER_CLEANUP, list)), PMIX_SUCCESS, "files");

    static pmix_info_t tree[2];
    tree[0] = info_text(PMIX_REGISTER_CLEANUP_DIR, path_of("tree", me.rank));
    tree[1] = info_flag(PMIX_CLEANUP_RECURSIVE);
    MARK("directory, without blocking");
    pmix_status_t rc = PMIx_Job_control_nb(NULL, 0, tree, 2, on_answer, NULL);
    if (rc == PMIX_SUCCESS) {
        pthread_mutex_lock(&mutex);
        while (!answered)
            pthread_cond_wait(&changed, &mutex);
        rc = answer;
        pthread_mutex_unlock(&mutex);
    }
    CHECK_RC(rc, PMIX_SUCCESS, "directory");
}
#define CLEANUP_CHECKS 3

static void refusals(void)
{
    const pmix_proc_t nobody = proc_of(&me, n);
    pmix_proc_t nowhere = me;
    snprintf(nowhere.nspace, sizeof nowhere.nspace, "nowhere");
    pmix_info_t conflict[2] = {info_text(PMIX_REGISTER_CLEANUP, path_of("kept", me.rank)),
                               info_text(PMIX_CLEANUP_IGNORE, path_of("kept", me.rank))};
    CHECK_RC(control_one(NULL, info_text(PMIX_REGISTER_CLEANUP, "relative")), PMIX_ERR_BAD_PARAM, "relative path");
    CHECK_RC(control(NULL, conflict, 2), PMIX_ERR_CONFLICTING_CLEANUP_DIRECTIVES, "ignored and removed");
    CHECK_RC(control_one(&nobody, info_text(PMIX_REGISTER_CLEANUP, "/nothing")), PMIX_ERR_NOT_FOUND, "no such rank");
    CHECK_RC(control_one(&nowhere, info_flag(PMIX_JOB_CTRL_KILL)), PMIX_ERR_NOT_FOUND, "no such job");
    CHECK_RC(control_one(NULL, signal_of(0)), PMIX_ERR_BAD_PARAM, "no signal");
    CHECK_RC(control_one(NULL, info_text(PMIX_JOB_CTRL_CHECKPOINT, "a checkpoint")), PMIX_ERR_NOT_SUPPORTED, "checkpoint");
}
#define REFUSALS 6

static void await_signal(int number)
{
    MARK("waiting for signal %d", number);
    while (!got[number])
        usleep(1000);
    CHECK(got[number], "signal %d", number);
}

static void fence(const char *when)
{
    MARK("fence %s", when);
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence %s", when);
}

/* Field 3 of /proc/PID/stat. */
static char state_of(long pid)
{
    char name[64], line[512] = "";
    snprintf(name, sizeof name, "/proc/%ld/stat", pid);
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return '?';
    const char *end = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    fclose(file);
    return end != NULL ? end[2] : '?';
}

/* To one, to all, and pause and resume. */
static void signals(void)
{
    const pmix_proc_t one = proc_of(&me, 1);
    fence("before signals");
    if (me.rank == 0)
        CHECK_RC(control_one(&one, signal_of(SIGUSR1)), PMIX_SUCCESS, "to rank 1");
    if (me.rank == 1) {
        await_signal(SIGUSR1);
        pmix_value_t pid;
        uint32_t number = (uint32_t) getpid();
        PMIx_Value_load(&pid, &number, PMIX_UINT32);
        CHECK_RC(PMIx_Put(PMIX_GLOBAL, "pid", &pid), PMIX_SUCCESS, "put");
        PMIx_Commit();
    }
    fence("after one");
    CHECK(got[SIGUSR1] == (me.rank == 1), "signal for rank 1 only");
    fence("before all");
    if (me.rank == 0)
        CHECK_RC(control_one(NULL, signal_of(SIGUSR2)), PMIX_SUCCESS, "to all");
    await_signal(SIGUSR2);
    if (me.rank == 0) {
        pmix_value_t *pid = NULL;
        pmix_status_t rc = PMIx_Get(&one, "pid", NULL, 0, &pid);
        CHECK_RC(rc, PMIX_SUCCESS, "pid of rank 1");
        const long number = rc == PMIX_SUCCESS ? (long) pid->data.uint32 : 0;
        PMIX_VALUE_RELEASE(pid);
        pmix_info_t pause = info_flag(PMIX_JOB_CTRL_PAUSE), resume = info_flag(PMIX_JOB_CTRL_RESUME);
        pmix_status_t paused = control(&one, &pause, 1);
        MARK("rank 1 pauses");
        while (paused == PMIX_SUCCESS && state_of(number) != 'T')
            usleep(1000);
        CHECK_RC(paused, PMIX_SUCCESS, "pause");
        CHECK_RC(control(&one, &resume, 1), PMIX_SUCCESS, "resume");
    }
    fence("after signals");
}

/* What is registered for the last rank is gone when that is; what is for the job is not. */
static void departure(void)
{
    const uint32_t last = n - 1;
    const pmix_proc_t target = proc_of(&me, last);
    if (me.rank == 0) {
        make_file(path_of("early", last));
        CHECK_RC(control_one(&target, info_text(PMIX_REGISTER_CLEANUP, path_of("early", last))), PMIX_SUCCESS, "early");
        CHECK(there(path_of("early", last)), "still there");
    }
    fence("before the last leaves");
    if (me.rank == 0) {
        MARK("the last rank leaves");
        while (there(path_of("early", last)))
            usleep(1000);
        CHECK(there(path_of("file", last)) && there(path_of("tree", last)), "the job's is there");
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: control DIRECTORY|kill|terminate\n");
        return 2;
    }
    directory = argv[1];
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    n = check_join("control", &me);
    if (strcmp(directory, "kill") == 0 || strcmp(directory, "terminate") == 0) {
        const bool one = directory[0] == 'k';
        const pmix_proc_t target = proc_of(&me, 1);
        fence("before the end");
        if (me.rank == 0)
            CHECK_RC(one ? control_one(&target, info_flag(PMIX_JOB_CTRL_KILL)) : control_one(NULL, info_flag(PMIX_JOB_CTRL_TERMINATE)),
                     PMIX_SUCCESS, "%s", directory);
        for (;;)
            pause();
    }
    register_cleanup();
    refusals();
    signals();
    departure();
    return check_leave(CHECK_JOIN_LEAVE + CLEANUP_CHECKS + REFUSALS + (me.rank == 0 ? 15 : me.rank == 1 ? 9 : 7));
}
