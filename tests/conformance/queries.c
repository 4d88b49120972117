/* Proves what a client is told that asks about its job: its namespaces, every process and how it is, the job's status and its
 * command line, and what can be asked; that what is not known is said so; and where its peers are. */
#include "check.h"

static pmix_proc_t me;
static uint32_t n;
static unsigned long planned = CHECK_JOIN_LEAVE;

/* One check. The results of one query, by keys and the namespace it is about; two keys at most. */
static size_t ask(const char *key, const char *other, const char *nspace, pmix_status_t want, pmix_info_t **found)
{
    pmix_query_t *query;
    pmix_status_t rc;
    size_t count = 0;
    bool yes = true;
    *found = NULL;
    PMIX_QUERY_CREATE(query, 1);
    PMIX_ARGV_APPEND(rc, query->keys, key);
    if (other != NULL)
        PMIX_ARGV_APPEND(rc, query->keys, other);
    PMIX_QUERY_QUALIFIERS_CREATE(query, nspace != NULL ? 2 : 1);
    PMIx_Info_load(&query->qualifiers[0], PMIX_QUERY_REFRESH_CACHE, &yes, PMIX_BOOL);
    if (nspace != NULL)
        PMIx_Info_load(&query->qualifiers[1], PMIX_NSPACE, nspace, PMIX_STRING);
    MARK("query %s", key);
    rc = PMIx_Query_info(query, 1, found, &count);
    CHECK_RC(rc, want, "query %s", key);
    PMIX_QUERY_FREE(query, 1);
    ++planned;
    return rc == PMIX_SUCCESS ? count : 0;
}

/* Two checks. The only result, of this type. */
static const pmix_value_t *ask_one(const char *key, const char *nspace, pmix_data_type_t type)
{
    static const pmix_value_t none;
    pmix_info_t *found;
    const size_t count = ask(key, NULL, nspace, PMIX_SUCCESS, &found);
    ++planned;
    if (!CHECK(count == 1 && strcmp(found[0].key, key) == 0 && found[0].value.type == type, "%zu results for %s, type %u", count,
               key, count > 0 ? found[0].value.type : 0))
        return &none;
    return &found[0].value;
}

/* Three and 3n checks. */
static void processes(const char *key)
{
    const pmix_value_t *value = ask_one(key, me.nspace, PMIX_DATA_ARRAY);
    const pmix_data_array_t *array = value->type == PMIX_DATA_ARRAY ? value->data.darray : NULL;
    const size_t size = array != NULL && array->type == PMIX_PROC_INFO ? array->size : 0;
    const pmix_proc_info_t *each = size != 0 ? array->array : NULL;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    CHECK(size == n, "%s has %zu processes", key, size);
    for (size_t i = 0; i < size; ++i) {
        CHECK(each[i].proc.rank == i && strcmp(each[i].proc.nspace, me.nspace) == 0, "process %zu is %s:%u", i,
              each[i].proc.nspace, each[i].proc.rank);
        CHECK(each[i].state == PMIX_PROC_STATE_CONNECTED && each[i].hostname != NULL && each[i].executable_name != NULL &&
                  strstr(each[i].executable_name, "queries") != NULL,
              "process %zu on %s runs %s, state %u", i, each[i].hostname, each[i].executable_name, each[i].state);
        CHECK(i == me.rank ? each[i].pid == getpid() : kill(each[i].pid, 0) == 0, "process %zu is %d", i, each[i].pid);
    }
    planned += 1 + 3 * n;
}

int main(void)
{
    pmix_info_t *found;
    n = check_join("queries", &me);
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence");
    ++planned;

    const pmix_value_t *value = ask_one(PMIX_QUERY_NAMESPACES, NULL, PMIX_STRING);
    CHECK(value->type == PMIX_STRING && strcmp(value->data.string, me.nspace) == 0, "namespaces: %s", value->data.string);
    value = ask_one(PMIX_QUERY_SUPPORTED_KEYS, NULL, PMIX_STRING);
    CHECK(value->type == PMIX_STRING && strstr(value->data.string, PMIX_QUERY_PROC_TABLE) != NULL, "keys: %s", value->data.string);
    value = ask_one(PMIX_QUERY_JOB_STATUS, me.nspace, PMIX_STATUS);
    CHECK(value->type == PMIX_STATUS && value->data.status == PMIX_SUCCESS, "job status %d", value->data.status);
    processes(PMIX_QUERY_PROC_TABLE);
    processes(PMIX_QUERY_LOCAL_PROC_TABLE);

    /* An array of one array: the namespace, and its command line. */
    value = ask_one(PMIX_QUERY_NAMESPACE_INFO, me.nspace, PMIX_DATA_ARRAY);
    const pmix_info_t *one = value->type == PMIX_DATA_ARRAY && value->data.darray->size == 1 ? value->data.darray->array : NULL;
    const pmix_info_t *in = one != NULL && one->value.type == PMIX_DATA_ARRAY && one->value.data.darray->size == 2
                                ? one->value.data.darray->array
                                : NULL;
    CHECK(in != NULL && strcmp(in[0].value.data.string, me.nspace) == 0 && strstr(in[1].value.data.string, "queries") != NULL,
          "namespace info");

    /* Megabytes of the server, which runs as this user. */
    value = ask_one(PMIX_QUERY_MEMORY_USAGE, NULL, PMIX_DATA_ARRAY);
    one = value->type == PMIX_DATA_ARRAY && value->data.darray->size == 1 ? value->data.darray->array : NULL;
    CHECK(one != NULL && one->value.type == PMIX_FLOAT && one->value.data.fval > 1 && one->value.data.fval < 10000,
          "the server's memory");
    planned += 5;

    ask("no.such.key", NULL, NULL, PMIX_ERR_NOT_FOUND, &found);
    ask(PMIX_QUERY_PROC_TABLE, NULL, "no-such-namespace", PMIX_ERR_NOT_FOUND, &found);
    ask("no.such.key", PMIX_QUERY_NAMESPACES, NULL, PMIX_ERR_PARTIAL_SUCCESS, &found); /* libpmix drops the one it has */

    pmix_proc_t *peers = NULL;
    size_t count = 0;
    char *nodes = NULL;
    MARK("resolve");
    CHECK_RC(PMIx_Resolve_peers(NULL, me.nspace, &peers, &count), PMIX_SUCCESS, "resolve peers");
    CHECK(count == n, "%zu peers", count);
    for (size_t i = 0; i < count; ++i)
        CHECK(peers[i].rank == i && strcmp(peers[i].nspace, me.nspace) == 0, "peer %zu is %u", i, peers[i].rank);
    CHECK_RC(PMIx_Resolve_nodes(me.nspace, &nodes), PMIX_SUCCESS, "resolve nodes");
    CHECK(nodes != NULL && nodes[0] != '\0' && strchr(nodes, ',') == NULL, "nodes %s", nodes);
    planned += 4 + n;

    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence");
    ++planned;
    return check_leave(planned);
}
