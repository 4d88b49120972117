/* Proves that what ranks log reaches the launcher's output, and how requests end of which nothing, or not all, is logged.
 * run.py counts the lines. */
#include "check.h"

int main(void)
{
    pmix_proc_t me;
    check_join("log", &me);
    char line[64];
    snprintf(line, sizeof line, "logged by rank %u", me.rank);

    const pmix_info_t out = info_text(PMIX_LOG_STDOUT, line), err = info_text(PMIX_LOG_STDERR, "logged to stderr\n"),
                      sys = info_text(PMIX_LOG_SYSLOG, line), unknown = info_text("no.such.log", line);
    const pmix_info_t both[] = {out, err}, in_part[] = {sys, out}, neither[] = {sys, unknown};
    const pmix_info_t once = info_flag(PMIX_LOG_ONCE), stamped = info_flag(PMIX_LOG_GENERATE_TIMESTAMP);
    int level = 8;
    pmix_info_t priority;
    PMIx_Info_load(&priority, PMIX_LOG_SYSLOG_PRI, &level, PMIX_INT);

    CHECK_RC(PMIx_Log(&out, 1, NULL, 0), PMIX_SUCCESS, "stdout");
    CHECK_RC(PMIx_Log(both, 2, &stamped, 1), PMIX_SUCCESS, "stdout and stderr");
    CHECK_RC(PMIx_Log(in_part, 2, NULL, 0), PMIX_ERR_PARTIAL_SUCCESS, "syslog and stdout");
    CHECK_RC(PMIx_Log(in_part, 2, &once, 1), PMIX_SUCCESS, "one of syslog and stdout");
    CHECK_RC(PMIx_Log(both, 2, &once, 1), PMIX_SUCCESS, "one of stdout and stderr");
    CHECK_RC(PMIx_Log(neither, 2, NULL, 0), PMIX_ERR_NOT_SUPPORTED, "syslog and an unknown one");
    CHECK_RC(PMIx_Log(&out, 1, &priority, 1), PMIX_ERR_BAD_PARAM, "no priority");
    return check_leave(CHECK_JOIN_LEAVE + 7);
}
