/* What a host of its own mind says to its process: custom_host of the examples. */
#include "check.h"

int main(void)
{
    pmix_proc_t me;
    check_join("site", &me);
    char *keys[] = {"site.budget", NULL}, *unknown[] = {"no.such.question", NULL};
    pmix_query_t question = {keys, NULL, 0};
    pmix_info_t *results = NULL, line;
    size_t count = 0;
    pmix_status_t rc = PMIx_Query_info(&question, 1, &results, &count);
    CHECK(rc == PMIX_SUCCESS && count == 1 && results[0].value.type == PMIX_UINT32 && results[0].value.data.uint32 == 42,
          "budget: %s", PMIx_Error_string(rc));
    question.keys = unknown;
    CHECK_RC(PMIx_Query_info(&question, 1, &results, &count), PMIX_ERR_NOT_FOUND, "unknown key");

    PMIx_Info_load(&line, PMIX_LOG_STDERR, "all is well", PMIX_STRING);
    CHECK_RC(PMIx_Log(&line, 1, NULL, 0), PMIX_SUCCESS, "log");

    pmix_fabric_t fabric;
    memset(&fabric, 0, sizeof fabric);
    rc = PMIx_Fabric_register(&fabric, NULL, 0);
    CHECK(rc == PMIX_SUCCESS && fabric.ninfo == 1 && strcmp(fabric.info[0].value.data.string, "torus") == 0, "fabric: %s",
          PMIx_Error_string(rc));
    CHECK_RC(PMIx_Fabric_update(&fabric), PMIX_ERR_NOT_SUPPORTED, "fabric update");

    pmix_app_t *app;
    pmix_nspace_t nspace;
    PMIX_APP_CREATE(app, 1);
    app->cmd = strdup("true");
    app->maxprocs = 1;
    CHECK_RC(PMIx_Spawn(NULL, 0, app, 1, nspace), PMIX_ERR_NO_PERMISSIONS, "spawn");
    PMIX_APP_FREE(app, 1);
    return check_leave(CHECK_JOIN_LEAVE + 6);
}
