/* Proves that PMIx_Spawn starts a job of several applications with their arguments, environment and directory; that parent
 * and children know each other, find what the other side has published, and connect; and that what cannot be started is
 * refused. Every rank spawns a job of its own; --child is what it starts. */
#include "check.h"

#include <limits.h>

static pmix_proc_t me;

/* One check. */
static void number(const pmix_proc_t *proc, const char *key, uint32_t want)
{
    pmix_value_t *value = NULL;
    uint32_t got = UINT32_MAX;
    pmix_status_t rc = PMIx_Get(proc, key, NULL, 0, &value);
    if (rc == PMIX_SUCCESS) {
        PMIX_VALUE_GET_NUMBER(rc, value, got, uint32_t);
        PMIX_VALUE_RELEASE(value);
    }
    CHECK(rc == PMIX_SUCCESS && got == want, "%s of %s:%u: %s, %u not %u", key, proc->nspace, proc->rank,
          PMIx_Error_string(rc), got, want);
}

/* One check. Connects a parent with its child's job, or parts them. */
static void meet(pmix_status_t (*how)(const pmix_proc_t *, size_t, const pmix_info_t *, size_t), const pmix_proc_t *parent, const char *child)
{
    pmix_proc_t both[2] = {*parent, *parent};
    snprintf(both[1].nspace, sizeof both[1].nspace, "%s", child);
    both[1].rank = PMIX_RANK_WILDCARD;
    MARK("meeting of %s", child);
    CHECK_RC(how(both, 2, NULL, 0), PMIX_SUCCESS, "meeting of %s:%u and %s", parent->nspace, parent->rank, child);
}

/* The name and the value of what a child publishes for its parent. */
static void name_of(char *key, size_t size, const char *nspace, unsigned rank)
{
    snprintf(key, size, "%s.%u", nspace, rank);
}

static int child(char **argv)
{
    pmix_proc_t parent = {"", 0};
    pmix_value_t *value = NULL;
    char here[PATH_MAX] = "";
    const uint32_t size = check_join("spawn child", &me);
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    const uint32_t app = me.rank < 2 ? 0 : 1;

    pmix_status_t rc = PMIx_Get(&me, PMIX_PARENT_ID, NULL, 0, &value);
    if (CHECK(rc == PMIX_SUCCESS && value->type == PMIX_PROC, "parent: %s", PMIx_Error_string(rc))) {
        parent = *value->data.proc;
        PMIX_VALUE_RELEASE(value);
    }
    CHECK(size == 3, "size %u", size);
    CHECK(strtoul(argv[2], NULL, 10) == app && getenv("APPLICATION") != NULL && strcmp(getenv("APPLICATION"), argv[2]) == 0,
          "application %s", argv[2]);
    CHECK(app == 0 || (getcwd(here, sizeof here) != NULL && strcmp(here, "/usr") == 0), "directory %s", here);
    number(&me, PMIX_APPNUM, app);
    number(&job, PMIX_JOB_NUM_APPS, 2);

    char key[PMIX_MAX_KEYLEN + 1];
    pmix_info_t info;
    name_of(key, sizeof key, me.nspace, me.rank);
    PMIx_Info_load(&info, key, &me.rank, PMIX_UINT32);
    CHECK_RC(PMIx_Publish(&info, 1), PMIX_SUCCESS, "publish %s", key);
    meet(PMIx_Connect, &parent, me.nspace);
    number(&parent, PMIX_LOCAL_RANK, parent.rank);
    meet(PMIx_Disconnect, &parent, me.nspace); /* what a job has published ends with it */
    return check_leave(CHECK_JOIN_LEAVE + 10);
}

/* Three checks for each of three children. */
static void look_at(const char *nspace)
{
    for (unsigned rank = 0; rank != 3; ++rank) {
        pmix_pdata_t found;
        pmix_proc_t proc;
        memset(&found, 0, sizeof found);
        name_of(found.key, sizeof found.key, nspace, rank);
        const pmix_status_t rc = PMIx_Lookup(&found, 1, NULL, 0);
        CHECK(rc == PMIX_SUCCESS && strcmp(found.proc.nspace, nspace) == 0 && found.proc.rank == rank, "%s by %s:%u: %s",
              found.key, found.proc.nspace, found.proc.rank, PMIx_Error_string(rc));
        PMIX_LOAD_PROCID(&proc, nspace, rank);
        number(&proc, PMIX_LOCAL_RANK, rank);
        number(&proc, PMIX_APPNUM, rank < 2 ? 0 : 1);
    }
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--child") == 0)
        return child(argv);
    check_join("spawn", &me);

    char self[PATH_MAX] = "";
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    pmix_nspace_t nspace = "";
    pmix_app_t *apps;
    PMIX_APP_CREATE(apps, 2); /* PMIx_Spawn reallocates what is in it */
    for (int i = 0; i != 2; ++i) {
        pmix_status_t rc;
        const char *number = i == 0 ? "0" : "1";
        apps[i].cmd = strdup(self);
        PMIX_ARGV_APPEND(rc, apps[i].argv, self);
        PMIX_ARGV_APPEND(rc, apps[i].argv, "--child");
        PMIX_ARGV_APPEND(rc, apps[i].argv, number);
        PMIX_SETENV(rc, "APPLICATION", number, &apps[i].env);
        apps[i].maxprocs = i == 0 ? 2 : 1;
        (void) rc;
    }
    apps[1].cwd = strdup("/usr");
    CHECK(length > 0, "who am I?");
    MARK("spawn");
    CHECK_RC(PMIx_Spawn(NULL, 0, apps, 2, nspace), PMIX_SUCCESS, "spawn");
    CHECK(nspace[0] != '\0' && strcmp(nspace, me.nspace) != 0, "namespace %s", nspace);
    meet(PMIx_Connect, &me, nspace);
    look_at(nspace);
    pmix_proc_t children;
    PMIX_LOAD_PROCID(&children, nspace, PMIX_RANK_WILDCARD);
    number(&children, PMIX_JOB_SIZE, 3);
    meet(PMIx_Disconnect, &me, nspace);

    free(apps[0].cmd);
    apps[0].cmd = strdup("/no/such/program");
    CHECK_RC(PMIx_Spawn(NULL, 0, apps, 1, nspace), PMIX_ERR_NOT_FOUND, "spawn of nothing");
    free(apps[0].cmd);
    apps[0].cmd = strdup("/etc/passwd");
    CHECK_RC(PMIx_Spawn(NULL, 0, apps, 1, nspace), PMIX_ERR_NO_PERMISSIONS, "spawn of what is no program");
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence");
    PMIX_APP_FREE(apps, 2);
    return check_leave(CHECK_JOIN_LEAVE + 4 + 9 + 2 + 3);
}
