/* Proves that a server whose security policy can makes credentials, and says of others' who had them made: once each, and
 * of nothing that nobody made. credentials none: that one whose policies cannot says so. */
#include "check.h"

static pmix_proc_t me;

/* One check, and two if it is to be good: it is this user's. */
static void judge(const pmix_byte_object_t *credential, const char *type, pmix_status_t want, const char *what)
{
    pmix_info_t info, *results = NULL;
    size_t count = 0, uids = 0, gids = 0;
    PMIx_Info_load(&info, PMIX_CRED_TYPE, type, PMIX_STRING);
    MARK("validate %s", what);
    CHECK_RC(PMIx_Validate_credential(credential, &info, type != NULL, &results, &count), want, "validate %s", what);
    if (want != PMIX_SUCCESS)
        return;
    for (size_t i = 0; i < count; ++i) {
        uids += PMIX_CHECK_KEY(&results[i], PMIX_USERID) && results[i].value.data.uint32 == geteuid();
        gids += PMIX_CHECK_KEY(&results[i], PMIX_GRPID) && results[i].value.data.uint32 == getegid();
    }
    CHECK(uids == 1 && gids == 1, "%s is of this user", what);
}

int main(int argc, char **argv)
{
    static char made_up[] = "no credential at all";
    const pmix_byte_object_t false_one = {made_up, sizeof made_up};
    const uint32_t n = check_join("credentials", &me);
    const bool none = argc > 1 && strcmp(argv[1], "none") == 0;
    pmix_byte_object_t mine = {NULL, 0};
    unsigned long planned = CHECK_JOIN_LEAVE;
    MARK("get a credential");
    CHECK_RC(PMIx_Get_credential(NULL, 0, &mine), none ? PMIX_ERR_NOT_SUPPORTED : PMIX_SUCCESS, "get a credential");
    judge(&false_one, NULL, none ? PMIX_ERR_NOT_SUPPORTED : PMIX_ERR_INVALID_CRED, "what nobody made");
    planned += 2;
    if (none)
        return check_leave(planned);

    CHECK(mine.size > 6 && memcmp(mine.bytes, "MUNGE:", 6) == 0, "%zu bytes", mine.size);
    pmix_value_t value, *got = NULL;
    memset(&value, 0, sizeof value);
    value.type = PMIX_BYTE_OBJECT;
    value.data.bo = mine;
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, "credential", &value), PMIX_SUCCESS, "Put");
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit");
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence");
    planned += 4;

    const pmix_proc_t next = proc_of(&me, (me.rank + 1) % n);
    MARK("the credential of rank %u", next.rank);
    const pmix_status_t rc = PMIx_Get(&next, "credential", NULL, 0, &got);
    ++planned;
    if (CHECK_RC(rc, PMIX_SUCCESS, "the credential of rank %u", next.rank)) {
        judge(&got->data.bo, "native", PMIX_ERR_NOT_SUPPORTED, "another type of credential");
        judge(&got->data.bo, "native,munge", PMIX_SUCCESS, "another's credential");
        judge(&got->data.bo, NULL, PMIX_ERR_INVALID_CRED, "a credential that was shown before");
        planned += 4;
        PMIX_VALUE_RELEASE(got);
    }
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence");
    ++planned;
    return check_leave(planned);
}
