/* Proves that the death of a rank by SIGKILL is noticed at every stage and takes down the job: the last rank kills
 * itself, the others sit in a fence and nobody leaves by itself. Usage: victim STAGE
 *   before-init N   N is the number of ranks: before Init nothing else tells
 *   after-init
 *   in-fence        inside a fence with rank 0, which does not come
 *   in-get          waiting for a key that never comes
 * The last two need two ranks or more. */
#include "check.h"

#include <pthread.h>
#include <time.h>

/* How long the victim has been inside the call when it dies. */
static const struct timespec delay = {0, 300 * 1000 * 1000};

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void *die_later(void *unused)
{
    nanosleep(&delay, NULL);
    die();
    return unused;
}

int main(int argc, char **argv)
{
    static const char *const stages[] = {"before-init", "after-init", "in-fence", "in-get"};
    int stage = 0;
    while (stage < 4 && (argc != (stage == 0 ? 3 : 2) || strcmp(argv[1], stages[stage]) != 0))
        ++stage;
    if (stage == 4) {
        fprintf(stderr, "usage: victim before-init N|after-init|in-fence|in-get\n");
        return 2;
    }

    if (stage == 0) {
        const char *rank = getenv("PMIX_RANK");
        if (rank == NULL) {
            fprintf(stderr, "victim before-init: PMIX_RANK is missing\n");
            return 2;
        }
        if (strtoul(rank, NULL, 10) + 1 == strtoul(argv[2], NULL, 10))
            die();
    }

    pmix_proc_t me;
    const uint32_t n = check_join("victim", &me);
    if (stage >= 2 && n < 2) {
        fprintf(stderr, "victim %s: needs two ranks\n", stages[stage]);
        return 2;
    }

    if (stage > 0) {
        MARK("fence with everybody");
        if (!CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence with everybody"))
            return 1;
    }
    if (me.rank + 1 == n) {
        if (stage == 1)
            die();
        pthread_t killer;
        if (pthread_create(&killer, NULL, die_later, NULL) != 0)
            return 1;
        const pmix_proc_t pair[2] = {proc_of(&me, 0), me};
        pmix_value_t *value = NULL;
        int seconds = 60;
        pmix_info_t timeout;
        PMIx_Info_load(&timeout, PMIX_TIMEOUT, &seconds, PMIX_INT);
        pmix_status_t rc = stage == 2 ? PMIx_Fence(pair, 2, NULL, 0) : PMIx_Get(&pair[0], "never", &timeout, 1, &value);
        fprintf(stderr, "FAIL victim rank %u: %s returned %s before the end\n", me.rank, stages[stage],
                PMIx_Error_string(rc));
        return 1;
    }

    MARK("the fence that the victim does not join");
    pmix_status_t rc = PMIx_Fence(NULL, 0, NULL, 0);
    printf("fence rank %u: %s\n", me.rank, PMIx_Error_string(rc));
    MARK("being killed by the launcher");
    for (;;)
        pause();
}
