/* Proves that every other request a client can send is answered, served or refused, without closing the connection
 * and without harm to what follows: each call returns, and a fence of the job works after it. Prints one line
 * `call NAME STATUS` per call. Usage: unsupported [NAME...] or unsupported -NAME...: only these calls, or all but these. */
#include "check.h"

#include <pmix_tool.h>

static pmix_proc_t me;
static uint32_t n;

/* What later calls need from earlier ones. */
static size_t handler = SIZE_MAX, default_handler = SIZE_MAX, puller = SIZE_MAX;
static pmix_byte_object_t credential;

static void on_event(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                     pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *cbdata)
{
    (void) id, (void) status, (void) source, (void) info, (void) ninfo, (void) results, (void) nresults;
    if (done != NULL)
        done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, cbdata);
}

static void on_output(size_t id, pmix_iof_channel_t channel, pmix_proc_t *source, pmix_byte_object_t *payload,
                      pmix_info_t info[], size_t ninfo)
{
    (void) id, (void) channel, (void) source, (void) payload, (void) info, (void) ninfo;
}

static char *own_key(void)
{
    static char key[64];
    snprintf(key, sizeof key, "published.by.%u", me.rank);
    return key;
}

static pmix_info_t seconds(int count)
{
    pmix_info_t info;
    PMIx_Info_load(&info, PMIX_TIMEOUT, &count, PMIX_INT);
    return info;
}

static pmix_status_t call_publish(void)
{
    pmix_info_t info;
    PMIx_Info_load(&info, own_key(), &me.rank, PMIX_UINT32);
    return PMIx_Publish(&info, 1);
}

static pmix_status_t lookup(const char *key, const pmix_info_t *infos, size_t count)
{
    pmix_pdata_t data;
    memset(&data, 0, sizeof data);
    snprintf(data.key, sizeof data.key, "%s", key);
    pmix_status_t rc = PMIx_Lookup(&data, 1, infos, count);
    if (rc == PMIX_SUCCESS)
        PMIX_VALUE_DESTRUCT(&data.value);
    return rc;
}

static pmix_status_t call_lookup(void)
{
    char key[64];
    snprintf(key, sizeof key, "published.by.%u", (me.rank + 1) % n);
    return lookup(key, NULL, 0);
}

static pmix_status_t call_lookup_missing(void)
{
    return lookup("published.by.nobody", NULL, 0);
}

static pmix_status_t call_lookup_wait(void)
{
    int keys = 1;
    pmix_info_t infos[2] = {seconds(1)};
    PMIx_Info_load(&infos[1], PMIX_WAIT, &keys, PMIX_INT);
    return lookup("published.by.nobody", infos, 2);
}

static pmix_status_t call_unpublish(void)
{
    char *keys[] = {own_key(), NULL};
    return PMIx_Unpublish(keys, NULL, 0);
}

static pmix_status_t call_unpublish_all(void)
{
    return PMIx_Unpublish(NULL, NULL, 0);
}

/* Rank 0 only: of a program that is nowhere, so that a server which does spawn leaves nothing behind. */
static pmix_status_t call_spawn(void)
{
    if (me.rank != 0)
        return PMIX_SUCCESS;
    pmix_app_t app;
    pmix_nspace_t child;
    char *argv[] = {"no-such-program-anywhere", NULL};
    memset(&app, 0, sizeof app);
    app.cmd = argv[0];
    app.argv = argv;
    app.maxprocs = 1;
    return PMIx_Spawn(NULL, 0, &app, 1, child);
}

static pmix_status_t call_connect(void)
{
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    return PMIx_Connect(&job, 1, NULL, 0);
}

static pmix_status_t call_disconnect(void)
{
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    return PMIx_Disconnect(&job, 1, NULL, 0);
}

static pmix_status_t registered(pmix_status_t reference, size_t *id)
{
    if (reference < 0)
        return reference;
    *id = (size_t) reference;
    return PMIX_SUCCESS;
}

static pmix_status_t call_register_handler(void)
{
    pmix_status_t codes[2] = {PMIX_ERR_PROC_MIGRATE, PMIX_EXTERNAL_ERR_BASE - 7};
    return registered(PMIx_Register_event_handler(codes, 2, NULL, 0, on_event, NULL, NULL), &handler);
}

static pmix_status_t call_register_default(void)
{
    return registered(PMIx_Register_event_handler(NULL, 0, NULL, 0, on_event, NULL, NULL), &default_handler);
}

static pmix_status_t call_notify(void)
{
    pmix_info_t info;
    PMIx_Info_load(&info, "the.reason", "none", PMIX_STRING);
    return PMIx_Notify_event(PMIX_EXTERNAL_ERR_BASE - 7, &me, PMIX_RANGE_NAMESPACE, &info, 1, NULL, NULL);
}

static pmix_status_t call_notify_global(void)
{
    return PMIx_Notify_event(PMIX_EXTERNAL_ERR_BASE - 8, &me, PMIX_RANGE_GLOBAL, NULL, 0, NULL, NULL);
}

static pmix_status_t call_deregister_handler(void)
{
    return handler != SIZE_MAX ? PMIx_Deregister_event_handler(handler, NULL, NULL) : PMIX_ERR_NOT_FOUND;
}

static pmix_status_t call_deregister_default(void)
{
    return default_handler != SIZE_MAX ? PMIx_Deregister_event_handler(default_handler, NULL, NULL) : PMIX_ERR_NOT_FOUND;
}

static pmix_status_t query(char *key)
{
    char *keys[] = {key, NULL};
    pmix_query_t question = {keys, NULL, 0};
    pmix_info_t *results = NULL;
    size_t count = 0;
    return PMIx_Query_info(&question, 1, &results, &count);
}

static pmix_status_t call_query(void)
{
    return query(PMIX_QUERY_NAMESPACES);
}

static pmix_status_t call_query_unknown(void)
{
    return query("no.such.question");
}

static pmix_status_t call_log(void)
{
    pmix_info_t info;
    PMIx_Info_load(&info, PMIX_LOG_STDERR, "a line to be logged\n", PMIX_STRING);
    return PMIx_Log(&info, 1, NULL, 0);
}

static pmix_status_t job_control(const char *key, const void *data, pmix_data_type_t type)
{
    pmix_info_t info, *results = NULL;
    size_t count = 0;
    PMIx_Info_load(&info, key, data, type);
    return PMIx_Job_control(NULL, 0, &info, 1, &results, &count);
}

static pmix_status_t call_job_control_cleanup(void)
{
    return job_control(PMIX_REGISTER_CLEANUP, "no-such-file-to-clean-up", PMIX_STRING);
}

static pmix_status_t call_job_control_unknown(void)
{
    bool yes = true;
    return job_control("no.such.control", &yes, PMIX_BOOL);
}

static pmix_status_t call_monitor(void)
{
    bool yes = true;
    uint32_t every = 60, drops = 1000;
    pmix_info_t what, how[3], *results = NULL;
    size_t count = 0;
    PMIx_Info_load(&what, PMIX_MONITOR_HEARTBEAT, &yes, PMIX_BOOL);
    PMIx_Info_load(&how[0], PMIX_MONITOR_ID, "a monitor", PMIX_STRING);
    PMIx_Info_load(&how[1], PMIX_MONITOR_HEARTBEAT_TIME, &every, PMIX_UINT32);
    PMIx_Info_load(&how[2], PMIX_MONITOR_HEARTBEAT_DROPS, &drops, PMIX_UINT32);
    return PMIx_Process_monitor(&what, PMIX_MONITOR_HEARTBEAT_ALERT, how, 3, &results, &count);
}

static pmix_status_t call_heartbeat(void)
{
    pmix_info_t what;
    PMIx_Info_load(&what, PMIX_SEND_HEARTBEAT, NULL, PMIX_POINTER);
    return PMIx_Process_monitor_nb(&what, PMIX_SUCCESS, NULL, 0, NULL, NULL);
}

static pmix_status_t call_monitor_cancel(void)
{
    pmix_info_t what, *results = NULL;
    size_t count = 0;
    PMIx_Info_load(&what, PMIX_MONITOR_CANCEL, "a monitor", PMIX_STRING);
    return PMIx_Process_monitor(&what, PMIX_SUCCESS, NULL, 0, &results, &count);
}

static pmix_status_t call_allocation(void)
{
    uint64_t nodes = 1;
    pmix_info_t info, *results = NULL;
    size_t count = 0;
    PMIx_Info_load(&info, PMIX_ALLOC_NUM_NODES, &nodes, PMIX_UINT64);
    return PMIx_Allocation_request(PMIX_ALLOC_EXTEND, &info, 1, &results, &count);
}

static pmix_status_t call_get_credential(void)
{
    return PMIx_Get_credential(NULL, 0, &credential);
}

static pmix_status_t call_validate_credential(void)
{
    static char made_up[] = "no credential at all";
    pmix_byte_object_t cred = credential;
    pmix_info_t *results = NULL;
    size_t count = 0;
    if (cred.size == 0) {
        cred.bytes = made_up;
        cred.size = sizeof made_up;
    }
    return PMIx_Validate_credential(&cred, NULL, 0, &results, &count);
}

static pmix_status_t call_iof_pull(void)
{
    const pmix_proc_t peer = proc_of(&me, (me.rank + 1) % n);
    return registered(PMIx_IOF_pull(&peer, 1, NULL, 0, PMIX_FWD_STDERR_CHANNEL, on_output, NULL, NULL), &puller);
}

static pmix_status_t call_iof_deregister(void)
{
    return puller != SIZE_MAX ? check_outcome(PMIx_IOF_deregister(puller, NULL, 0, check_done, NULL)) : PMIX_ERR_NOT_FOUND;
}

static pmix_status_t call_iof_push(void)
{
    static char text[] = "pushed input\n";
    static pmix_proc_t peer;
    static pmix_byte_object_t bo = {text, sizeof text - 1};
    peer = proc_of(&me, (me.rank + 1) % n);
    return check_outcome(PMIx_IOF_push(&peer, 1, &bo, NULL, 0, check_done, NULL));
}

static pmix_status_t call_group_construct(void)
{
    const pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    bool yes = true;
    pmix_info_t info, *results = NULL;
    size_t count = 0;
    PMIx_Info_load(&info, PMIX_GROUP_ASSIGN_CONTEXT_ID, &yes, PMIX_BOOL);
    return PMIx_Group_construct("a-group", &job, 1, &info, 1, &results, &count);
}

static pmix_status_t call_group_destruct(void)
{
    return PMIx_Group_destruct("a-group", NULL, 0);
}

static pmix_status_t call_fabric_register(void)
{
    pmix_fabric_t fabric;
    memset(&fabric, 0, sizeof fabric);
    return PMIx_Fabric_register(&fabric, NULL, 0);
}

typedef struct {
    const char *name;
    pmix_status_t (*run)(void);
} call;

#define CALL(name) {#name, call_##name}
static const call calls[] = {
    CALL(publish), {"publish_again", call_publish}, CALL(lookup), CALL(lookup_missing), CALL(lookup_wait),
    CALL(unpublish), CALL(unpublish_all), CALL(spawn), CALL(connect), CALL(disconnect), CALL(register_handler),
    CALL(register_default), CALL(notify), CALL(notify_global), CALL(deregister_handler), CALL(deregister_default),
    CALL(query), CALL(query_unknown), CALL(log), CALL(job_control_cleanup), CALL(job_control_unknown), CALL(monitor),
    CALL(heartbeat), CALL(monitor_cancel), CALL(allocation), CALL(get_credential), CALL(validate_credential),
    CALL(iof_pull), CALL(iof_deregister), CALL(iof_push), CALL(group_construct), CALL(group_destruct),
    CALL(fabric_register),
};
#define NCALLS (sizeof calls / sizeof *calls)

static bool named(const char *name, char prefix, int argc, char **argv)
{
    for (int i = 1; i < argc; ++i)
        if (prefix == '\0' ? strcmp(argv[i], name) == 0 : argv[i][0] == prefix && strcmp(argv[i] + 1, name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const size_t arguments = (size_t) argc - 1;
    const bool all_but = argc > 1 && argv[1][0] == '-';
    call chosen[NCALLS];
    size_t count = 0;
    for (size_t i = 0; i < NCALLS; ++i)
        if (all_but ? !named(calls[i].name, '-', argc, argv) : argc < 2 || named(calls[i].name, '\0', argc, argv))
            chosen[count++] = calls[i];
    if (argc > 1 && count != (all_but ? NCALLS - arguments : arguments)) {
        fprintf(stderr, "usage: unsupported [NAME...] or unsupported -NAME...: a name is unknown\n");
        return 2;
    }

    n = check_join("unsupported", &me);
    for (size_t i = 0; i < count; ++i) {
        MARK("call %s", chosen[i].name);
        pmix_status_t rc = chosen[i].run();
        printf("call %s %s\n", chosen[i].name, PMIx_Error_string(rc));
        MARK("fence after %s", chosen[i].name);
        CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence after %s", chosen[i].name);
    }
    return check_leave(CHECK_JOIN_LEAVE + count);
}
