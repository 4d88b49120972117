/* Proves that what one rank publishes another finds: every value type a service needs, every range and persistence,
 * waiting and its time limit, subsets, duplicates, and who may take back what. Every rank plays every part. */
#include "check.h"

#include <pthread.h>

static pmix_proc_t me;
static uint32_t n;

static const char *key_of(const char *name, uint32_t rank)
{
    static char keys[4][PMIX_MAX_KEYLEN + 1];
    static int next;
    char *key = keys[next++ % 4];
    snprintf(key, sizeof keys[0], "%s.%u", name, rank);
    return key;
}

static pmix_info_t range_of(pmix_data_range_t range)
{
    pmix_info_t info;
    PMIx_Info_load(&info, PMIX_RANGE, &range, PMIX_DATA_RANGE);
    return info;
}

static pmix_info_t persistence_of(pmix_persistence_t lasts)
{
    pmix_info_t info;
    PMIx_Info_load(&info, PMIX_PERSISTENCE, &lasts, PMIX_PERSIST);
    return info;
}

static pmix_info_t integer(const char *key, int number)
{
    pmix_info_t info;
    PMIx_Info_load(&info, key, &number, PMIX_INT);
    return info;
}

static pmix_info_t number_info(const char *key, uint32_t number)
{
    pmix_info_t info;
    PMIx_Info_load(&info, key, &number, PMIX_UINT32);
    return info;
}

static pmix_info_t named(uint32_t rank)
{
    pmix_info_t info;
    pmix_proc_t proc = proc_of(&me, rank);
    PMIx_Info_load(&info, PMIX_EVENT_CUSTOM_RANGE, &proc, PMIX_PROC);
    return info;
}

static void fence(void)
{
    MARK("Fence");
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "Fence");
}

/* One check: publishes a number with up to two directives. */
static void publish(const char *key, uint32_t number, const pmix_info_t *directives, size_t count, pmix_status_t want)
{
    pmix_info_t infos[3] = {number_info(key, number)};
    memcpy(infos + 1, directives, count * sizeof *directives);
    MARK("Publish %s", key);
    CHECK_RC(PMIx_Publish(infos, count + 1), want, "Publish %s", key);
}

/* One check: what that rank published is found, under its name; or not found, for want NOT_FOUND. */
static void lookup(const char *key, uint32_t publisher, uint32_t number, const pmix_info_t *directives, size_t count,
                   pmix_status_t want)
{
    pmix_pdata_t data;
    PMIX_PDATA_CONSTRUCT(&data);
    snprintf(data.key, sizeof data.key, "%s", key);
    MARK("Lookup %s", key);
    pmix_status_t rc = PMIx_Lookup(&data, 1, directives, count);
    CHECK(rc == want && (rc != PMIX_SUCCESS || (data.value.type == PMIX_UINT32 && data.value.data.uint32 == number &&
                                               data.proc.rank == publisher && PMIX_CHECK_NSPACE(data.proc.nspace, me.nspace))),
          "Lookup %s: %s, wanted %s; type %d of %s.%u", key, PMIx_Error_string(rc), PMIx_Error_string(want), data.value.type,
          data.proc.nspace, data.proc.rank);
    PMIX_PDATA_DESTRUCT(&data);
}

static void finds(const char *key, uint32_t publisher, uint32_t number)
{
    lookup(key, publisher, number, NULL, 0, PMIX_SUCCESS);
}

static void misses(const char *key)
{
    lookup(key, 0, 0, NULL, 0, PMIX_ERR_NOT_FOUND);
}

static void unpublish(const char *key, const pmix_info_t *directives, size_t count)
{
    char *keys[] = {(char *) key, NULL};
    MARK("Unpublish %s", key);
    CHECK_RC(PMIx_Unpublish(keys, directives, count), PMIX_SUCCESS, "Unpublish %s", key);
}

/* Several types in one Publish, and all of a peer's in one Lookup that also asks for what is not there. */
static void types(void)
{
    const uint32_t peer = (me.rank + 1) % n;
    char text[32], wanted[32];
    double real = me.rank + 0.5;
    int64_t negative = -(int64_t) me.rank;
    char object[3] = {1, 0, (char) me.rank};
    pmix_byte_object_t bo = {object, sizeof object};
    snprintf(text, sizeof text, "tcp://host/%u", me.rank);
    snprintf(wanted, sizeof wanted, "tcp://host/%u", peer);
    pmix_info_t infos[4];
    PMIx_Info_load(&infos[0], key_of("text", me.rank), text, PMIX_STRING);
    PMIx_Info_load(&infos[1], key_of("real", me.rank), &real, PMIX_DOUBLE);
    PMIx_Info_load(&infos[2], key_of("negative", me.rank), &negative, PMIX_INT64);
    PMIx_Info_load(&infos[3], key_of("object", me.rank), &bo, PMIX_BYTE_OBJECT);
    MARK("Publish of four");
    CHECK_RC(PMIx_Publish(infos, 4), PMIX_SUCCESS, "Publish of four");
    fence();

    static const char *const names[5] = {"object", "nosuch", "text", "negative", "real"};
    pmix_pdata_t data[5];
    for (int i = 0; i < 5; ++i) {
        PMIX_PDATA_CONSTRUCT(&data[i]);
        snprintf(data[i].key, sizeof data[i].key, "%s.%u", names[i], peer);
    }
    MARK("Lookup of five");
    CHECK_RC(PMIx_Lookup(data, 5, NULL, 0), PMIX_SUCCESS, "Lookup of five");
    const pmix_value_t *found = &data[0].value;
    CHECK(found->type == PMIX_BYTE_OBJECT && found->data.bo.size == 3 && found->data.bo.bytes[2] == (char) peer, "type %d",
          found->type);
    CHECK(data[1].value.type == PMIX_UNDEF, "type %d", data[1].value.type);
    CHECK(data[2].value.type == PMIX_STRING && strcmp(data[2].value.data.string, wanted) == 0, "type %d", data[2].value.type);
    CHECK(data[3].value.type == PMIX_INT64 && data[3].value.data.int64 == -(int64_t) peer, "type %d", data[3].value.type);
    CHECK(data[4].value.type == PMIX_DOUBLE && data[4].value.data.dval == peer + 0.5, "type %d", data[4].value.type);
    for (int i = 0; i < 5; ++i)
        PMIX_PDATA_DESTRUCT(&data[i]);
    misses("nosuch");
    fence();
    PMIX_INFO_DESTRUCT(&infos[0]);
    PMIX_INFO_DESTRUCT(&infos[3]);
}
enum { TYPES = 10 };

static void duplicates(void)
{
    publish(key_of("twice", me.rank), 1, NULL, 0, PMIX_SUCCESS);
    publish(key_of("twice", me.rank), 2, NULL, 0, PMIX_ERR_DUPLICATE_KEY);
    const pmix_info_t global = range_of(PMIX_RANGE_GLOBAL);
    publish(key_of("twice", me.rank), 3, &global, 1, PMIX_SUCCESS);
    fence();
    const uint32_t peer = (me.rank + 1) % n;
    if (n > 1)
        publish(key_of("twice", peer), 4, NULL, 0, PMIX_ERR_DUPLICATE_KEY);
    fence();

    /* Not the peer's: it stays. */
    if (n > 1) {
        unpublish(key_of("twice", peer), NULL, 0);
        finds(key_of("twice", peer), peer, 1);
    }
    fence();
    unpublish(key_of("twice", me.rank), &global, 1);
    finds(key_of("twice", me.rank), me.rank, 1);
    unpublish(key_of("twice", me.rank), NULL, 0);
    misses(key_of("twice", me.rank));
    publish(key_of("twice", me.rank), 5, NULL, 0, PMIX_SUCCESS);
    fence();
    finds(key_of("twice", peer), peer, 5);
    fence();
}
#define DUPLICATES (14 + (n > 1 ? 3 : 0))

/* Who finds what is published in each range. */
static void ranges(void)
{
    static const struct {
        pmix_data_range_t range;
        char who; /* a: all, o: the publisher, p: who is named, which is the rank before it; n: nobody */
    } cases[] = {{PMIX_RANGE_UNDEF, 'a'},     {PMIX_RANGE_LOCAL, 'a'},  {PMIX_RANGE_NAMESPACE, 'a'}, {PMIX_RANGE_SESSION, 'a'},
                 {PMIX_RANGE_GLOBAL, 'a'},    {PMIX_RANGE_CUSTOM, 'p'}, {PMIX_RANGE_PROC_LOCAL, 'o'}, {PMIX_RANGE_RM, 'n'}};
    const uint32_t before = (me.rank + n - 1) % n, after = (me.rank + 1) % n;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char name[16];
        snprintf(name, sizeof name, "range%u", cases[i].range);
        const pmix_info_t directives[2] = {range_of(cases[i].range), named(before)};
        publish(key_of(name, me.rank), cases[i].range, directives, 2, PMIX_SUCCESS);
        fence();
        for (uint32_t rank = 0; rank < n; ++rank) {
            const bool seen = cases[i].who == 'a' || (cases[i].who == 'o' && rank == me.rank) ||
                              (cases[i].who == 'p' && rank == after);
            lookup(key_of(name, rank), rank, cases[i].range, NULL, 0, seen ? PMIX_SUCCESS : PMIX_ERR_NOT_FOUND);
        }
        fence();
    }

    /* And which publishers a lookup with a range looks at. */
    const pmix_info_t own = range_of(PMIX_RANGE_PROC_LOCAL), job = range_of(PMIX_RANGE_NAMESPACE);
    lookup(key_of("range4", me.rank), me.rank, 4, &own, 1, PMIX_SUCCESS);
    lookup(key_of("range4", after), after, 4, &own, 1, n > 1 ? PMIX_ERR_NOT_FOUND : PMIX_SUCCESS);
    lookup(key_of("range4", after), after, 4, &job, 1, PMIX_SUCCESS);
    const pmix_info_t none = range_of((pmix_data_range_t) 77);
    publish("no range", 1, &none, 1, PMIX_ERR_BAD_PARAM);
    fence();
}
#define RANGES (8 * (3 + n) + 5)

static void persistences(void)
{
    static const pmix_persistence_t all[] = {PMIX_PERSIST_INDEF, PMIX_PERSIST_FIRST_READ, PMIX_PERSIST_PROC, PMIX_PERSIST_APP,
                                             PMIX_PERSIST_SESSION};
    for (uint32_t i = 0; i < 5; ++i) {
        char name[16];
        snprintf(name, sizeof name, "lasts%u", i);
        const pmix_info_t lasts = persistence_of(all[i]);
        publish(key_of(name, me.rank), i, &lasts, 1, PMIX_SUCCESS);
    }
    fence();
    const uint32_t peer = (me.rank + 1) % n;
    for (uint32_t i = 0; i < 5; ++i) {
        char name[16];
        snprintf(name, sizeof name, "lasts%u", i);
        finds(key_of(name, peer), peer, i);
        lookup(key_of(name, peer), peer, i, NULL, 0, all[i] == PMIX_PERSIST_FIRST_READ ? PMIX_ERR_NOT_FOUND : PMIX_SUCCESS);
    }
    const pmix_info_t none = persistence_of((pmix_persistence_t) 77);
    publish("no persistence", 1, &none, 1, PMIX_ERR_BAD_PARAM);
    fence();
}
enum { PERSISTENCES = 18 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* A Lookup_nb and what came of it. */
typedef struct {
    bool done;
    pmix_status_t status;
    size_t found;
    uint32_t sum;
} answer;

static void answered(pmix_status_t status, pmix_pdata_t data[], size_t count, void *cbdata)
{
    answer *a = cbdata;
    pthread_mutex_lock(&mutex);
    a->done = true;
    a->status = status;
    a->found = count;
    for (size_t i = 0; i < count; ++i)
        a->sum += data[i].value.type == PMIX_UINT32 ? data[i].value.data.uint32 : 1000000;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static bool arrived(answer *a)
{
    pthread_mutex_lock(&mutex);
    const bool done = a->done;
    pthread_mutex_unlock(&mutex);
    return done;
}

static void await(answer *a, size_t found, uint32_t sum)
{
    MARK("waiting for a Lookup_nb");
    pthread_mutex_lock(&mutex);
    while (!a->done)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    CHECK(a->status == PMIX_SUCCESS && a->found == found && a->sum == sum, "%s, %zu found, sum %u; wanted %zu, %u",
          PMIx_Error_string(a->status), a->found, a->sum, found, sum);
}

/* Everyone waits, twice over, for two keys of the next rank, which comes with the second only when all have the first. */
static void waiting(void)
{
    const uint32_t peer = (me.rank + 1) % n;
    char first[32], second[32];
    snprintf(first, sizeof first, "first.%u", peer);
    snprintf(second, sizeof second, "second.%u", peer);
    char *keys[] = {first, second, NULL};
    const pmix_info_t one = integer(PMIX_WAIT, 1), all = integer(PMIX_WAIT, 0);
    answer any = {0}, both = {0}, both_again = {0};
    CHECK_RC(PMIx_Lookup_nb(keys, &one, 1, answered, &any), PMIX_SUCCESS, "Lookup_nb of any");
    CHECK_RC(PMIx_Lookup_nb(keys, &all, 1, answered, &both), PMIX_SUCCESS, "Lookup_nb of both");
    CHECK_RC(PMIx_Lookup_nb(keys, &all, 1, answered, &both_again), PMIX_SUCCESS, "Lookup_nb of both, again");
    fence();
    CHECK(!arrived(&any) && !arrived(&both) && !arrived(&both_again), "answered before anything was published");
    fence();
    publish(key_of("first", me.rank), 10 + me.rank, NULL, 0, PMIX_SUCCESS);
    await(&any, 1, 10 + peer);
    fence();
    CHECK(!arrived(&both) && !arrived(&both_again), "answered before both were published");
    fence();
    publish(key_of("second", me.rank), 20 + me.rank, NULL, 0, PMIX_SUCCESS);
    await(&both, 2, 30 + 2 * peer);
    await(&both_again, 2, 30 + 2 * peer);

    const pmix_info_t limited[2] = {integer(PMIX_WAIT, 1), integer(PMIX_TIMEOUT, 1)};
    lookup("never", 0, 0, limited, 2, PMIX_ERR_TIMEOUT);
    lookup(key_of("first", peer), peer, 10 + peer, limited, 2, PMIX_SUCCESS);
    lookup("never", 0, 0, &limited[1], 1, PMIX_ERR_NOT_FOUND);
    fence();
}
enum { WAITING = 18 };

/* Everything that is left of this rank's, in one call. */
static void all_gone(void)
{
    MARK("Unpublish all");
    CHECK_RC(PMIx_Unpublish(NULL, NULL, 0), PMIX_SUCCESS, "Unpublish all");
    fence();
    static const char *const names[] = {"text", "object", "twice", "range3", "range5", "lasts0", "lasts4", "first", "second"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        misses(key_of(names[i], (me.rank + 1) % n));
}
enum { ALL_GONE = 11 };

int main(void)
{
    n = check_join("publish", &me);
    types();
    duplicates();
    ranges();
    persistences();
    waiting();
    all_gone();
    return check_leave(CHECK_JOIN_LEAVE + TYPES + DUPLICATES + RANGES + PERSISTENCES + WAITING + ALL_GONE);
}
