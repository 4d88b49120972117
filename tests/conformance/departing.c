/* Proves that a rank which finalizes and leaves does not hang the others: their fences end, their Gets for it are
 * answered, and they finish normally. Usage: departing MODE
 *   finalize-early  the last rank leaves at once; the others go to the fence, before or after that
 *   finalize-late   the last rank leaves while the others are in the fence
 *   already-gone    as finalize-late, and the others start another fence with it when it is gone
 *   waited-for      the last rank leaves while the others wait for a key of it
 * OpenPMIx 4.2.2's own server hangs its clients in already-gone (so now and then in finalize-early), and in waited-for
 * until the Get's timeout. */
#include "check.h"

#include <time.h>

static const struct timespec delay = {0, 300 * 1000 * 1000};

/* One check. PMIX_ERR_LOST_CONNECTION is for a fence in which nobody else is left. */
static void fence_without_last(uint32_t n, const char *what)
{
    MARK("%s", what);
    pmix_status_t rc = PMIx_Fence(NULL, 0, NULL, 0);
    CHECK(rc == PMIX_ERR_PARTIAL_SUCCESS || (n == 2 && rc == PMIX_ERR_LOST_CONNECTION), "%s: status %d %s", what, rc,
          PMIx_Error_string(rc));
    printf("departed %s: %s\n", what, PMIx_Error_string(rc));
}

int main(int argc, char **argv)
{
    const char *mode = argc == 2 ? argv[1] : "";
    const bool early = strcmp(mode, "finalize-early") == 0, late = strcmp(mode, "finalize-late") == 0;
    const bool gone = strcmp(mode, "already-gone") == 0, waited_for = strcmp(mode, "waited-for") == 0;
    if (!early && !late && !gone && !waited_for) {
        fprintf(stderr, "usage: departing finalize-early|finalize-late|already-gone|waited-for\n");
        return 2;
    }

    pmix_proc_t me;
    const uint32_t n = check_join("departing", &me);
    const pmix_proc_t last = proc_of(&me, n - 1);
    const unsigned long common = CHECK_JOIN_LEAVE + 3;

    pmix_value_t value, *got = NULL;
    PMIx_Value_load(&value, &me.rank, PMIX_UINT32);
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, "left.behind", &value), PMIX_SUCCESS, "Put");
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit");
    MARK("fence with everybody");
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence with everybody");

    if (me.rank == last.rank) {
        if (!early)
            nanosleep(&delay, NULL);
        return check_leave(common);
    }

    if (waited_for) {
        int seconds = 30;
        pmix_info_t timeout;
        PMIx_Info_load(&timeout, PMIX_TIMEOUT, &seconds, PMIX_INT);
        MARK("a Get for a key of the rank that leaves");
        CHECK_RC(PMIx_Get(&last, "never", &timeout, 1, &got), PMIX_ERR_NOT_FOUND, "a key of the rank that left");
    } else {
        fence_without_last(n, "fence that it leaves");
    }
    if (gone)
        fence_without_last(n, "fence after it left");

    /* Its data outlives it. */
    MARK("Get of what the departed rank had committed");
    pmix_status_t rc = PMIx_Get(&last, "left.behind", NULL, 0, &got);
    CHECK(rc == PMIX_SUCCESS && got->type == PMIX_UINT32 && got->data.uint32 == last.rank, "what it had committed: %s",
          PMIx_Error_string(rc));
    if (got != NULL)
        PMIX_VALUE_RELEASE(got);

    /* Those who are left can still fence among themselves. */
    pmix_proc_t *rest = calloc(n, sizeof *rest);
    if (rest == NULL)
        abort();
    for (uint32_t rank = 0; rank + 1 < n; ++rank)
        rest[rank] = proc_of(&me, rank);
    MARK("fence of those left");
    CHECK_RC(PMIx_Fence(rest, n - 1, NULL, 0), PMIX_SUCCESS, "fence of those left");
    free(rest);

    return check_leave(common + 3 + (gone ? 1 : 0));
}
