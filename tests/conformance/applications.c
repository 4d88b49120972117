/* Proves that ranks know their application: `applications FIRST LEADER SIZE COUNT` is one of COUNT programs of a job, of SIZE
 * ranks from LEADER on, and the one of that number. */
#include "check.h"

static uint32_t number_of(const pmix_proc_t *proc, const char *key, const pmix_info_t *infos, size_t count)
{
    pmix_value_t *value = NULL;
    uint32_t got = UINT32_MAX;
    pmix_status_t rc = PMIx_Get(proc, key, infos, count, &value);
    if (rc == PMIX_SUCCESS) {
        PMIX_VALUE_GET_NUMBER(rc, value, got, uint32_t);
        PMIX_VALUE_RELEASE(value);
    }
    return got;
}

/* One check. */
static void check(const char *what, uint32_t got, uint32_t want)
{
    CHECK(got == want, "%s: %u, not %u", what, got, want);
}

int main(int argc, char **argv)
{
    pmix_proc_t me;
    check_join("applications", &me);
    uint32_t given[4] = {0};
    for (int i = 1; i < argc && i <= 4; ++i)
        given[i - 1] = (uint32_t) strtoul(argv[i], NULL, 10);
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    bool yes = true;
    pmix_info_t of_app[2];
    PMIx_Info_load(&of_app[0], PMIX_APP_INFO, &yes, PMIX_BOOL);
    PMIx_Info_load(&of_app[1], PMIX_APPNUM, &given[0], PMIX_UINT32);

    check("application", number_of(&me, PMIX_APPNUM, NULL, 0), given[0]);
    check("rank of application", number_of(&me, PMIX_APP_RANK, NULL, 0), me.rank - given[1]);
    check("size of application", number_of(&job, PMIX_APP_SIZE, of_app, 2), given[2]);
    check("leader of application", number_of(&job, PMIX_APPLDR, of_app, 2), given[1]);
    check("applications", number_of(&job, PMIX_JOB_NUM_APPS, NULL, 0), given[3]);
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence of all applications");
    return check_leave(CHECK_JOIN_LEAVE + 6);
}
