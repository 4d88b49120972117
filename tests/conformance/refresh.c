/* Proves that a value which a process has put anew is found by who asks for a refresh, and that asking so for what is not there
 * waits as any Get does, or does not if it must not. */
#include "check.h"

static pmix_proc_t me;

/* One check. */
static void put(const char *key, uint32_t content)
{
    pmix_value_t value;
    PMIx_Value_load(&value, &content, PMIX_UINT32);
    MARK("put %s", key);
    pmix_status_t rc = PMIx_Put(PMIX_GLOBAL, key, &value);
    CHECK_RC(rc == PMIX_SUCCESS ? PMIx_Commit() : rc, PMIX_SUCCESS, "put %s", key);
}

/* One check. */
static void get(pmix_rank_t rank, const char *key, bool refresh, bool immediate, pmix_status_t want, uint32_t content)
{
    const pmix_proc_t proc = proc_of(&me, rank);
    pmix_info_t infos[2];
    pmix_value_t *got = NULL;
    PMIx_Info_load(&infos[0], PMIX_GET_REFRESH_CACHE, &refresh, PMIX_BOOL);
    PMIx_Info_load(&infos[1], PMIX_IMMEDIATE, &immediate, PMIX_BOOL);
    MARK("%s of rank %u", key, rank);
    pmix_status_t rc = PMIx_Get(&proc, key, infos, 2, &got);
    const uint32_t is = rc == PMIX_SUCCESS ? got->data.uint32 : content;
    CHECK(rc == want && is == content, "%s of rank %u: %s, %u", key, rank, PMIx_Error_string(rc), is);
    if (rc == PMIX_SUCCESS)
        PMIX_VALUE_RELEASE(got);
}

/* One check. */
static void fence(void)
{
    MARK("fence");
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence");
}

int main(void)
{
    const uint32_t n = check_join("refresh", &me);
    const pmix_rank_t next = (me.rank + 1) % n;
    put("key", me.rank);
    fence();
    get(next, "key", false, false, PMIX_SUCCESS, next);
    fence();
    put("key", 100 + me.rank);
    fence();
    get(next, "key", true, false, PMIX_SUCCESS, 100 + next);
    get(next, "nothing", true, true, PMIX_ERR_NOT_FOUND, 0);
    fence();
    if (me.rank % 2 == 0)
        put("late", me.rank);
    get(next, "late", true, false, PMIX_SUCCESS, next); /* of an odd rank: waits until it is put */
    if (me.rank % 2 != 0)
        put("late", me.rank);
    fence();
    return check_leave(CHECK_JOIN_LEAVE + 12);
}
