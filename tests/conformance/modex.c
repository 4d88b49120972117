/* Proves that every type of value a client can Put arrives unchanged at every peer, in every scope its reader may
 * see, and that a later commit replaces what an earlier one said. Arguments restrict the run to the named types. */
#include "check.h"

#include <limits.h>
#include <sys/time.h>

/* What a value is made of: who put it, and in which commit. */
typedef struct {
    uint32_t rank, round;
} seed;

static void *kept[4096];
static size_t nkept;

/* Memory of the values we build; drop() frees it all. */
static void *keep(size_t size)
{
    if (nkept == sizeof kept / sizeof *kept)
        abort();
    void *p = calloc(1, size > 0 ? size : 1);
    if (p == NULL)
        abort();
    kept[nkept++] = p;
    return p;
}

static void drop(void)
{
    while (nkept > 0)
        free(kept[--nkept]);
}

/* A number that depends on rank, round and index, in all its bits. */
static uint64_t number(seed s, uint64_t index)
{
    uint64_t x = ((uint64_t) s.rank << 40) ^ ((uint64_t) s.round << 32) ^ (index + 1);
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 32);
}

static char *words(seed s, const char *tag)
{
    char *text = keep(96);
    snprintf(text, 96, "%s of rank %u, round %u", tag, s.rank, s.round);
    return text;
}

static char *long_text(seed s, size_t length)
{
    char *text = keep(length + 1);
    for (size_t i = 0; i < length; ++i)
        text[i] = (char) ('!' + number(s, i) % 90);
    return text;
}

static pmix_byte_object_t bytes_of(seed s, size_t size)
{
    pmix_byte_object_t bo = {NULL, size};
    if (size > 0) {
        bo.bytes = keep(size);
        for (size_t i = 0; i < size; ++i)
            bo.bytes[i] = (char) (number(s, i) & 0xff);
    }
    return bo;
}

static void load_proc(pmix_proc_t *proc, seed s, uint32_t index)
{
    snprintf(proc->nspace, sizeof proc->nspace, "space-%u-%u", s.rank, index);
    proc->rank = s.rank * 1000 + index;
}

static void *array_of(pmix_value_t *v, pmix_data_type_t type, size_t count, size_t width)
{
    v->type = PMIX_DATA_ARRAY;
    v->data.darray = keep(sizeof *v->data.darray);
    v->data.darray->type = type;
    v->data.darray->size = count;
    v->data.darray->array = count > 0 ? keep(count * width) : NULL;
    return v->data.darray->array;
}

/* ---- one maker per kind of value ---- */

#define SCALAR(name, code, field, expr)                \
    static void make_##name(pmix_value_t *v, seed s)   \
    {                                                  \
        (void) s;                                      \
        v->type = (code);                              \
        v->data.field = (expr);                        \
    }

SCALAR(bool_true, PMIX_BOOL, flag, true)
SCALAR(bool_odd, PMIX_BOOL, flag, (s.rank + s.round) % 2 == 1)
SCALAR(byte, PMIX_BYTE, byte, (uint8_t) (0xff - s.rank - s.round))
SCALAR(string, PMIX_STRING, string, words(s, "a string"))
SCALAR(string_utf8, PMIX_STRING, string, words(s, "gr\xc3\xb6\xc3\x9f""e \xe2\x82\xac"))
SCALAR(string_empty, PMIX_STRING, string, keep(1))
SCALAR(string_20k, PMIX_STRING, string, long_text(s, 20 * 1024 + s.rank))
SCALAR(size, PMIX_SIZE, size, (size_t) number(s, 0))
SCALAR(size_max, PMIX_SIZE, size, SIZE_MAX - s.rank)
SCALAR(pid, PMIX_PID, pid, (pid_t) (100000 + s.rank + s.round))
SCALAR(int_min, PMIX_INT, integer, INT_MIN + (int) s.rank)
SCALAR(int_max, PMIX_INT, integer, INT_MAX - (int) s.rank)
SCALAR(int8, PMIX_INT8, int8, (int8_t) (INT8_MIN + (int) (s.rank % 100 + s.round)))
SCALAR(int16_min, PMIX_INT16, int16, (int16_t) (INT16_MIN + (int) s.rank))
SCALAR(int16_max, PMIX_INT16, int16, (int16_t) (INT16_MAX - (int) s.rank))
SCALAR(int32_min, PMIX_INT32, int32, INT32_MIN + (int32_t) s.rank)
SCALAR(int32_max, PMIX_INT32, int32, INT32_MAX - (int32_t) s.rank)
SCALAR(int64_min, PMIX_INT64, int64, INT64_MIN + (int64_t) s.rank)
SCALAR(int64_max, PMIX_INT64, int64, INT64_MAX - (int64_t) s.rank)
SCALAR(int64_minus_one, PMIX_INT64, int64, -1 - (int64_t) s.rank)
SCALAR(uint_max, PMIX_UINT, uint, UINT_MAX - s.rank)
SCALAR(uint_high, PMIX_UINT, uint, 0x80000000U + s.rank)
SCALAR(uint8, PMIX_UINT8, uint8, (uint8_t) (UINT8_MAX - s.rank - s.round))
SCALAR(uint16_max, PMIX_UINT16, uint16, (uint16_t) (UINT16_MAX - s.rank))
SCALAR(uint32_max, PMIX_UINT32, uint32, UINT32_MAX - s.rank)
SCALAR(uint64_max, PMIX_UINT64, uint64, UINT64_MAX - s.rank)
SCALAR(uint64_2_56, PMIX_UINT64, uint64, (UINT64_C(1) << 56) + s.rank)
SCALAR(uint64_small, PMIX_UINT64, uint64, s.rank)
SCALAR(float, PMIX_FLOAT, fval, (float) s.rank * 8.0f - 0.375f + (float) s.round)
SCALAR(double, PMIX_DOUBLE, dval, (double) s.rank * -1048576.0 + 0.015625 + (double) s.round)
SCALAR(time, PMIX_TIME, time, (time_t) (INT64_C(1) << 33) + (time_t) s.rank)
SCALAR(status, PMIX_STATUS, status, -3000 - (int) s.rank)
SCALAR(rank, PMIX_PROC_RANK, rank, s.rank * 3 + s.round)
SCALAR(rank_wildcard, PMIX_PROC_RANK, rank, PMIX_RANK_WILDCARD)
SCALAR(persist, PMIX_PERSIST, persist, (pmix_persistence_t) ((s.rank + s.round) % 5))
SCALAR(scope, PMIX_SCOPE, scope, (pmix_scope_t) ((s.rank + s.round) % 5))
SCALAR(range, PMIX_DATA_RANGE, range, (pmix_data_range_t) ((s.rank + s.round) % 8))
SCALAR(proc_state, PMIX_PROC_STATE, state, (pmix_proc_state_t) (50 + (s.rank + s.round) % 100))
SCALAR(alloc_directive, PMIX_ALLOC_DIRECTIVE, adir, (pmix_alloc_directive_t) (1 + (s.rank + s.round) % 4))
SCALAR(job_state, PMIX_JOB_STATE, jstate, (pmix_job_state_t) (1 + (s.rank + s.round) % 15))
SCALAR(link_state, PMIX_LINK_STATE, linkstate, (pmix_link_state_t) ((s.rank + s.round) % 3))
SCALAR(locality, PMIX_LOCTYPE, locality, (pmix_locality_t) (0x8000 + s.rank))
SCALAR(device_type, PMIX_DEVTYPE, devtype, (UINT64_C(1) << 63) + s.rank)
SCALAR(bytes, PMIX_BYTE_OBJECT, bo, bytes_of(s, 17 + s.rank % 5))
SCALAR(bytes_empty, PMIX_BYTE_OBJECT, bo, bytes_of(s, 0))
SCALAR(bytes_64k, PMIX_BYTE_OBJECT, bo, bytes_of(s, 64 * 1024))
SCALAR(bytes_compressed, PMIX_COMPRESSED_BYTE_OBJECT, bo, bytes_of(s, 40))
SCALAR(storage_medium, PMIX_STOR_MEDIUM, uint64, (UINT64_C(1) << 40) + s.rank)
SCALAR(storage_access, PMIX_STOR_ACCESS, uint64, (UINT64_C(1) << 41) + s.rank)
SCALAR(storage_persist, PMIX_STOR_PERSIST, uint64, (UINT64_C(1) << 42) + s.rank)
SCALAR(storage_access_type, PMIX_STOR_ACCESS_TYPE, uint16, (uint16_t) (0xff00 + s.rank))

/* These two carry nothing but their type. */
SCALAR(undef, PMIX_UNDEF, uint64, 0)
SCALAR(string_null, PMIX_STRING, string, NULL)

static void make_timeval(pmix_value_t *v, seed s)
{
    v->type = PMIX_TIMEVAL;
    v->data.tv.tv_sec = (time_t) (1700000000 + (long) s.rank);
    v->data.tv.tv_usec = (suseconds_t) (999999 - (long) s.round);
}

static void make_proc(pmix_value_t *v, seed s)
{
    v->type = PMIX_PROC;
    v->data.proc = keep(sizeof *v->data.proc);
    load_proc(v->data.proc, s, s.round);
}

static void make_nspace(pmix_value_t *v, seed s)
{
    v->type = PMIX_PROC_NSPACE;
    v->data.nspace = keep(sizeof *v->data.nspace);
    snprintf(*v->data.nspace, sizeof *v->data.nspace, "space-%u-%u", s.rank, s.round);
}

static void fill_proc_info(pmix_proc_info_t *info, seed s, uint32_t index)
{
    load_proc(&info->proc, s, index);
    info->hostname = words(s, "host");
    info->executable_name = words(s, "executable");
    info->pid = (pid_t) (4000 + s.rank + index);
    info->state = (pmix_proc_state_t) (20 + s.round);
}

static void make_proc_info(pmix_value_t *v, seed s)
{
    v->type = PMIX_PROC_INFO;
    v->data.pinfo = keep(sizeof *v->data.pinfo);
    fill_proc_info(v->data.pinfo, s, 1);
}

static void fill_envar(pmix_envar_t *envar, seed s, uint32_t index)
{
    envar->envar = words(s, "NAME");
    envar->value = index % 2 == 0 ? words(s, "value") : keep(1);
    envar->separator = (char) (':' + index);
}

static void make_envar(pmix_value_t *v, seed s)
{
    v->type = PMIX_ENVAR;
    fill_envar(&v->data.envar, s, 0);
}

static void fill_coord(pmix_coord_t *coord, seed s, uint32_t index)
{
    coord->view = PMIX_COORD_LOGICAL_VIEW;
    coord->dims = 3 + index;
    coord->coord = keep(coord->dims * sizeof *coord->coord);
    for (size_t i = 0; i < coord->dims; ++i)
        coord->coord[i] = (uint32_t) number(s, i);
}

static void make_coord(pmix_value_t *v, seed s)
{
    v->type = PMIX_COORD;
    v->data.coord = keep(sizeof *v->data.coord);
    fill_coord(v->data.coord, s, 0);
}

static void fill_regattr(pmix_regattr_t *attr, seed s)
{
    attr->name = words(s, "PMIX_SOMETHING");
    snprintf(attr->string, sizeof attr->string, "some.key.%u", s.rank);
    attr->type = PMIX_UNDEF; /* 4.2.2 sends any type right but reads it zig-zag: 14 comes back as 7 */
    attr->description = keep(3 * sizeof *attr->description);
    attr->description[0] = words(s, "first line");
    attr->description[1] = words(s, "second line");
}

static void make_regattr(pmix_value_t *v, seed s)
{
    v->type = PMIX_REGATTR;
    v->data.ptr = keep(sizeof(pmix_regattr_t));
    fill_regattr(v->data.ptr, s);
}

static void make_geometry(pmix_value_t *v, seed s)
{
    v->type = PMIX_GEOMETRY;
    v->data.geometry = keep(sizeof *v->data.geometry);
    v->data.geometry->fabric = s.rank;
    v->data.geometry->uuid = words(s, "uuid");
    v->data.geometry->osname = words(s, "os name");
    v->data.geometry->ncoords = 2;
    v->data.geometry->coordinates = keep(2 * sizeof *v->data.geometry->coordinates);
    fill_coord(&v->data.geometry->coordinates[0], s, 0);
    fill_coord(&v->data.geometry->coordinates[1], s, 1);
}

static void make_device_dist(pmix_value_t *v, seed s)
{
    v->type = PMIX_DEVICE_DIST;
    v->data.devdist = keep(sizeof *v->data.devdist);
    v->data.devdist->uuid = words(s, "uuid");
    v->data.devdist->osname = words(s, "os name");
    v->data.devdist->type = PMIX_DEVTYPE_NETWORK;
    v->data.devdist->mindist = (uint16_t) s.rank;
    v->data.devdist->maxdist = (uint16_t) (UINT16_MAX - s.rank);
}

static void make_endpoint(pmix_value_t *v, seed s)
{
    v->type = PMIX_ENDPOINT;
    v->data.endpoint = keep(sizeof *v->data.endpoint);
    v->data.endpoint->uuid = words(s, "uuid");
    v->data.endpoint->osname = words(s, "os name");
    v->data.endpoint->endpt = bytes_of(s, 33);
}

static void fill_disk_stats(pmix_disk_stats_t *stats, seed s)
{
    stats->disk = words(s, "disk");
    stats->num_reads_completed = number(s, 1);
    stats->weighted_milliseconds_io = number(s, 2);
}

static void fill_net_stats(pmix_net_stats_t *stats, seed s)
{
    stats->net_interface = words(s, "interface");
    stats->num_bytes_recvd = number(s, 3);
    stats->num_send_errs = number(s, 4);
}

static void make_disk_stats(pmix_value_t *v, seed s)
{
    v->type = PMIX_DISK_STATS;
    v->data.dkstats = keep(sizeof *v->data.dkstats);
    fill_disk_stats(v->data.dkstats, s);
}

static void make_net_stats(pmix_value_t *v, seed s)
{
    v->type = PMIX_NET_STATS;
    v->data.netstats = keep(sizeof *v->data.netstats);
    fill_net_stats(v->data.netstats, s);
}

#define ARRAY(name, code, ctype, count, expr)               \
    static void make_##name(pmix_value_t *v, seed s)        \
    {                                                       \
        const size_t n = (count);                           \
        ctype *a = array_of(v, (code), n, sizeof *a);       \
        for (size_t i = 0; i < n; ++i)                      \
            a[i] = (expr);                                  \
    }

ARRAY(array_bool, PMIX_BOOL, bool, 9, number(s, i) % 2 == 1)
ARRAY(array_byte, PMIX_BYTE, uint8_t, 300, (uint8_t) number(s, i))
ARRAY(array_int, PMIX_INT, int, 5 + s.rank % 3, (int) (int32_t) (uint32_t) number(s, i))
ARRAY(array_int8, PMIX_INT8, int8_t, 5, (int8_t) (number(s, i) % 256 - 128))
ARRAY(array_int16, PMIX_INT16, int16_t, 5, (int16_t) ((int) (number(s, i) % 65536) - 32768))
ARRAY(array_int32, PMIX_INT32, int32_t, 1000, (int32_t) ((int64_t) (number(s, i) % UINT32_MAX) + INT32_MIN))
ARRAY(array_int64, PMIX_INT64, int64_t, 7, -(int64_t) (number(s, i) >> 1))
ARRAY(array_uint, PMIX_UINT, unsigned, 5, (unsigned) number(s, i))
ARRAY(array_uint16, PMIX_UINT16, uint16_t, 5, (uint16_t) number(s, i))
ARRAY(array_uint32, PMIX_UINT32, uint32_t, 5, (uint32_t) number(s, i))
ARRAY(array_uint64, PMIX_UINT64, uint64_t, 100, number(s, i))
ARRAY(array_size, PMIX_SIZE, size_t, 5, (size_t) number(s, i))
ARRAY(array_pid, PMIX_PID, pid_t, 5, (pid_t) (number(s, i) % 100000))
ARRAY(array_float, PMIX_FLOAT, float, 5, (float) (number(s, i) % 1000) * 0.25f)
ARRAY(array_double, PMIX_DOUBLE, double, 5, (double) (number(s, i) % 1000000) * -0.125)
ARRAY(array_status, PMIX_STATUS, pmix_status_t, 5, -(int) (number(s, i) % 10000))
ARRAY(array_rank, PMIX_PROC_RANK, pmix_rank_t, 5, (pmix_rank_t) number(s, i))
ARRAY(array_string, PMIX_STRING, char *, 6, i == 3 ? (char *) keep(1) : words(s, i % 2 == 0 ? "even" : "odd"))
ARRAY(array_bytes, PMIX_BYTE_OBJECT, pmix_byte_object_t, 3, bytes_of(s, 10 * (i + 1)))
ARRAY(array_empty, PMIX_UINT32, uint32_t, 0, (uint32_t) s.rank)
ARRAY(array_uint8, PMIX_UINT8, uint8_t, 5, (uint8_t) number(s, i))
ARRAY(array_time, PMIX_TIME, time_t, 4, (time_t) (number(s, i) >> 30))
ARRAY(array_persist, PMIX_PERSIST, pmix_persistence_t, 4, (pmix_persistence_t) (number(s, i) % 5))
ARRAY(array_scope, PMIX_SCOPE, pmix_scope_t, 4, (pmix_scope_t) (number(s, i) % 5))
ARRAY(array_range, PMIX_DATA_RANGE, pmix_data_range_t, 4, (pmix_data_range_t) (number(s, i) % 8))
ARRAY(array_directives, PMIX_INFO_DIRECTIVES, pmix_info_directives_t, 4, (pmix_info_directives_t) number(s, i))

/* Arrays of the pointer-valued kinds: one element each, made by the kind itself. */
#define ARRAY_OF_ONE(name, code, ctype, field)                       \
    static void make_array_##name(pmix_value_t *v, seed s)           \
    {                                                                \
        pmix_value_t one;                                            \
        make_##name(&one, s);                                        \
        memcpy(array_of(v, (code), 1, sizeof(ctype)), one.data.field, sizeof(ctype)); \
    }

ARRAY_OF_ONE(geometry, PMIX_GEOMETRY, pmix_geometry_t, geometry)
ARRAY_OF_ONE(device_dist, PMIX_DEVICE_DIST, pmix_device_distance_t, devdist)
ARRAY_OF_ONE(endpoint, PMIX_ENDPOINT, pmix_endpoint_t, endpoint)
ARRAY_OF_ONE(nspace, PMIX_PROC_NSPACE, pmix_nspace_t, nspace)

static void make_array_timeval(pmix_value_t *v, seed s)
{
    struct timeval *a = array_of(v, PMIX_TIMEVAL, 3, sizeof *a);
    for (size_t i = 0; i < 3; ++i) {
        a[i].tv_sec = (time_t) (number(s, i) >> 30);
        a[i].tv_usec = (suseconds_t) (number(s, i) % 1000000);
    }
}

static void make_array_pdata(pmix_value_t *v, seed s)
{
    pmix_pdata_t *a = array_of(v, PMIX_PDATA, 2, sizeof *a);
    for (uint32_t i = 0; i < 2; ++i) {
        load_proc(&a[i].proc, s, i);
        snprintf(a[i].key, sizeof a[i].key, "published.%u", i);
        make_string(&a[i].value, s);
    }
}

static char **list_of(seed s, size_t count)
{
    char **list = keep((count + 1) * sizeof *list);
    for (size_t i = 0; i < count; ++i)
        list[i] = words(s, i % 2 == 0 ? "even" : "odd");
    return list;
}

static void make_array_app(pmix_value_t *v, seed s)
{
    pmix_app_t *app = array_of(v, PMIX_APP, 1, sizeof *app);
    app->cmd = words(s, "command");
    app->argv = list_of(s, 3);
    app->env = list_of(s, 2);
    app->cwd = words(s, "directory");
    app->maxprocs = 3 + (int) s.rank;
}

static void make_array_query(pmix_value_t *v, seed s)
{
    pmix_query_t *query = array_of(v, PMIX_QUERY, 1, sizeof *query);
    query->keys = list_of(s, 2);
}

static void make_array_proc(pmix_value_t *v, seed s)
{
    pmix_proc_t *a = array_of(v, PMIX_PROC, 4, sizeof *a);
    for (uint32_t i = 0; i < 4; ++i)
        load_proc(&a[i], s, i);
}

static void make_array_envar(pmix_value_t *v, seed s)
{
    pmix_envar_t *a = array_of(v, PMIX_ENVAR, 3, sizeof *a);
    for (uint32_t i = 0; i < 3; ++i)
        fill_envar(&a[i], s, i);
}

static void make_array_proc_info(pmix_value_t *v, seed s)
{
    pmix_proc_info_t *a = array_of(v, PMIX_PROC_INFO, 2, sizeof *a);
    for (uint32_t i = 0; i < 2; ++i)
        fill_proc_info(&a[i], s, i);
}

static void make_array_coord(pmix_value_t *v, seed s)
{
    pmix_coord_t *a = array_of(v, PMIX_COORD, 2, sizeof *a);
    for (uint32_t i = 0; i < 2; ++i)
        fill_coord(&a[i], s, i);
}

static void make_array_regattr(pmix_value_t *v, seed s)
{
    pmix_regattr_t *a = array_of(v, PMIX_REGATTR, 2, sizeof *a);
    for (uint32_t i = 0; i < 2; ++i)
        fill_regattr(&a[i], s);
}

static void make_array_value(pmix_value_t *v, seed s)
{
    pmix_value_t *a = array_of(v, PMIX_VALUE, 3, sizeof *a);
    make_uint64_max(&a[0], s);
    make_string(&a[1], s);
    make_bytes(&a[2], s);
}

/* Infos of several types, the last one an array itself. */
static void make_array_info(pmix_value_t *v, seed s)
{
    pmix_info_t *a = array_of(v, PMIX_INFO, 5, sizeof *a);
    for (size_t i = 0; i < 5; ++i)
        snprintf(a[i].key, sizeof a[i].key, "info.%zu", i);
    make_string(&a[0].value, s);
    make_bool_odd(&a[1].value, s);
    make_int64_min(&a[2].value, s);
    make_proc(&a[3].value, s);
    make_array_string(&a[4].value, s);
}

/* An info in an array in an info in an array ... eight deep. */
static void make_array_deep(pmix_value_t *v, seed s)
{
    pmix_value_t inner;
    memset(&inner, 0, sizeof inner);
    make_uint64_max(&inner, s);
    for (int depth = 0; depth < 8; ++depth) {
        pmix_value_t outer;
        memset(&outer, 0, sizeof outer);
        pmix_info_t *a = array_of(&outer, PMIX_INFO, 1, sizeof *a);
        snprintf(a->key, sizeof a->key, "depth.%d", depth);
        a->value = inner;
        inner = outer;
    }
    *v = inner;
}

typedef struct {
    const char *name;
    void (*make)(pmix_value_t *, seed);
} kind;

/*
 * Left out, because Debian's 4.2.2 itself cannot carry them (seen against its own server):
 *   Put refuses: COMMAND, DATA_TYPE, INFO_DIRECTIVES, IOF_CHANNEL as values ("unsupported type"); arrays of
 *     DATA_ARRAY (NOT-SUPPORTED) and of the states, LINK_STATE, ALLOC_DIRECTIVE, LOCTYPE, DEVTYPE, DATA_TYPE,
 *     IOF_CHANNEL (UNKNOWN-DATA-TYPE). An array inside an array must be wrapped in infos or values.
 *   The server rejects the commit: PROC_STATS (unpack fails), arrays of COMMAND (no memory).
 *   The server crashes: REGEX; NODE_STATS; POINTER at the second commit of its rank.
 *   It arrives empty: DATA_BUFFER.
 * "COMPARE-PMIX-VALUE: UNSUPPORTED TYPE" on stderr is the client comparing an old value with a new one; harmless.
 */
#define KIND(name) {#name, make_##name}
static const kind kinds[] = {
    KIND(undef), KIND(bool_true), KIND(bool_odd), KIND(byte), KIND(string), KIND(string_utf8), KIND(string_empty),
    KIND(string_null), KIND(string_20k), KIND(size), KIND(size_max), KIND(pid), KIND(int_min), KIND(int_max),
    KIND(int8), KIND(int16_min), KIND(int16_max), KIND(int32_min), KIND(int32_max), KIND(int64_min), KIND(int64_max),
    KIND(int64_minus_one), KIND(uint_max), KIND(uint_high), KIND(uint8), KIND(uint16_max), KIND(uint32_max),
    KIND(uint64_max), KIND(uint64_2_56), KIND(uint64_small), KIND(float), KIND(double), KIND(timeval), KIND(time),
    KIND(status), KIND(rank), KIND(rank_wildcard), KIND(persist), KIND(scope), KIND(range),
    KIND(proc_state), KIND(alloc_directive), KIND(job_state), KIND(link_state), KIND(locality), KIND(device_type),
    KIND(proc), KIND(nspace), KIND(proc_info), KIND(envar), KIND(coord), KIND(regattr), KIND(geometry),
    KIND(device_dist), KIND(endpoint), KIND(bytes), KIND(bytes_empty), KIND(bytes_64k), KIND(bytes_compressed),
    KIND(storage_medium), KIND(storage_access), KIND(storage_persist), KIND(storage_access_type),
    KIND(array_bool), KIND(array_byte), KIND(array_int), KIND(array_int8), KIND(array_int16), KIND(array_int32),
    KIND(array_int64), KIND(array_uint), KIND(array_uint8), KIND(array_uint16), KIND(array_uint32),
    KIND(array_uint64), KIND(array_size), KIND(array_pid), KIND(array_float), KIND(array_double), KIND(array_time),
    KIND(array_timeval), KIND(array_status), KIND(array_rank), KIND(array_persist), KIND(array_scope),
    KIND(array_range), KIND(array_directives), KIND(array_string), KIND(array_bytes), KIND(array_empty),
    KIND(array_proc), KIND(array_nspace), KIND(array_envar), KIND(array_proc_info), KIND(array_coord),
    KIND(array_regattr), KIND(array_geometry), KIND(array_device_dist), KIND(array_endpoint), KIND(array_pdata),
    KIND(array_app), KIND(array_query), KIND(array_value), KIND(array_info), KIND(array_deep),
};

/* Only 4.x and 5.x know these; they run only when named. */
static const kind rare_kinds[] = {KIND(disk_stats), KIND(net_stats)};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- comparison ---- */

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(char *const *a, char *const *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    while (*a != NULL && *b != NULL)
        if (!same_text(*a++, *b++))
            return false;
    return *a == *b;
}

static bool same_bytes(const pmix_byte_object_t *a, const pmix_byte_object_t *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

static bool same_proc(const pmix_proc_t *a, const pmix_proc_t *b)
{
    return strcmp(a->nspace, b->nspace) == 0 && a->rank == b->rank;
}

static bool same_coord(const pmix_coord_t *a, const pmix_coord_t *b)
{
    return a->view == b->view && a->dims == b->dims && memcmp(a->coord, b->coord, a->dims * sizeof *a->coord) == 0;
}

static bool same_disk(const pmix_disk_stats_t *a, const pmix_disk_stats_t *b)
{
    return same_text(a->disk, b->disk)
           && memcmp(&a->num_reads_completed, &b->num_reads_completed, sizeof *a - sizeof a->disk) == 0;
}

static bool same_net(const pmix_net_stats_t *a, const pmix_net_stats_t *b)
{
    return same_text(a->net_interface, b->net_interface)
           && memcmp(&a->num_bytes_recvd, &b->num_bytes_recvd, sizeof *a - sizeof a->net_interface) == 0;
}

static bool same_value(const pmix_value_t *a, const pmix_value_t *b);
static bool same_array(const pmix_data_array_t *a, const pmix_data_array_t *b);

/* The size of one element in an array; 0 for a type that no kind above uses. */
static size_t width_of(pmix_data_type_t type)
{
    switch (type) {
    case PMIX_BOOL: return sizeof(bool);
    case PMIX_BYTE: case PMIX_INT8: case PMIX_UINT8: case PMIX_PERSIST: case PMIX_SCOPE: case PMIX_DATA_RANGE:
    case PMIX_PROC_STATE: case PMIX_ALLOC_DIRECTIVE: case PMIX_JOB_STATE: case PMIX_LINK_STATE: return 1;
    case PMIX_INT16: case PMIX_UINT16: case PMIX_LOCTYPE: case PMIX_STOR_ACCESS_TYPE: return 2;
    case PMIX_INT32: case PMIX_UINT32: case PMIX_PROC_RANK: case PMIX_INFO_DIRECTIVES: return 4;
    case PMIX_INT64: case PMIX_UINT64: case PMIX_DEVTYPE: case PMIX_STOR_MEDIUM: case PMIX_STOR_ACCESS:
    case PMIX_STOR_PERSIST: return 8;
    case PMIX_INT: case PMIX_UINT: return sizeof(int);
    case PMIX_STATUS: return sizeof(pmix_status_t);
    case PMIX_SIZE: return sizeof(size_t);
    case PMIX_PID: return sizeof(pid_t);
    case PMIX_FLOAT: return sizeof(float);
    case PMIX_DOUBLE: return sizeof(double);
    case PMIX_TIME: return sizeof(time_t);
    case PMIX_TIMEVAL: return sizeof(struct timeval);
    case PMIX_STRING: return sizeof(char *);
    case PMIX_VALUE: return sizeof(pmix_value_t);
    case PMIX_PROC: return sizeof(pmix_proc_t);
    case PMIX_PROC_NSPACE: return sizeof(pmix_nspace_t);
    case PMIX_APP: return sizeof(pmix_app_t);
    case PMIX_INFO: return sizeof(pmix_info_t);
    case PMIX_PDATA: return sizeof(pmix_pdata_t);
    case PMIX_QUERY: return sizeof(pmix_query_t);
    case PMIX_BYTE_OBJECT: return sizeof(pmix_byte_object_t);
    case PMIX_PROC_INFO: return sizeof(pmix_proc_info_t);
    case PMIX_ENVAR: return sizeof(pmix_envar_t);
    case PMIX_COORD: return sizeof(pmix_coord_t);
    case PMIX_REGATTR: return sizeof(pmix_regattr_t);
    case PMIX_GEOMETRY: return sizeof(pmix_geometry_t);
    case PMIX_DEVICE_DIST: return sizeof(pmix_device_distance_t);
    case PMIX_ENDPOINT: return sizeof(pmix_endpoint_t);
    default: return 0;
    }
}

/* Two elements of a type, given by address. */
static bool same_element(pmix_data_type_t type, const void *a, const void *b)
{
    switch (type) {
    case PMIX_UNDEF: return true;
    case PMIX_STRING: return same_text(*(char *const *) a, *(char *const *) b);
    case PMIX_FLOAT: return *(const float *) a == *(const float *) b;
    case PMIX_DOUBLE: return *(const double *) a == *(const double *) b;
    case PMIX_TIMEVAL: {
        const struct timeval *x = a, *y = b;
        return x->tv_sec == y->tv_sec && x->tv_usec == y->tv_usec;
    }
    case PMIX_VALUE: return same_value(a, b);
    case PMIX_PROC: return same_proc(a, b);
    case PMIX_PROC_NSPACE: return same_text(a, b);
    case PMIX_APP: {
        const pmix_app_t *x = a, *y = b;
        return same_text(x->cmd, y->cmd) && same_list(x->argv, y->argv) && same_list(x->env, y->env)
               && same_text(x->cwd, y->cwd) && x->maxprocs == y->maxprocs && x->ninfo == y->ninfo;
    }
    case PMIX_INFO: {
        const pmix_info_t *x = a, *y = b;
        return strcmp(x->key, y->key) == 0 && same_value(&x->value, &y->value);
    }
    case PMIX_PDATA: {
        const pmix_pdata_t *x = a, *y = b;
        return same_proc(&x->proc, &y->proc) && strcmp(x->key, y->key) == 0 && same_value(&x->value, &y->value);
    }
    case PMIX_QUERY: {
        const pmix_query_t *x = a, *y = b;
        return same_list(x->keys, y->keys) && x->nqual == y->nqual;
    }
    case PMIX_BYTE_OBJECT: case PMIX_COMPRESSED_BYTE_OBJECT: return same_bytes(a, b);
    case PMIX_PROC_INFO: {
        const pmix_proc_info_t *x = a, *y = b;
        return same_proc(&x->proc, &y->proc) && same_text(x->hostname, y->hostname)
               && same_text(x->executable_name, y->executable_name) && x->pid == y->pid && x->state == y->state;
    }
    case PMIX_DATA_ARRAY: return same_array(a, b);
    case PMIX_ENVAR: {
        const pmix_envar_t *x = a, *y = b;
        return same_text(x->envar, y->envar) && same_text(x->value, y->value) && x->separator == y->separator;
    }
    case PMIX_COORD: return same_coord(a, b);
    case PMIX_REGATTR: {
        const pmix_regattr_t *x = a, *y = b;
        return same_text(x->name, y->name) && strcmp(x->string, y->string) == 0 && x->type == y->type
               && same_list(x->description, y->description);
    }
    case PMIX_GEOMETRY: {
        const pmix_geometry_t *x = a, *y = b;
        if (x->fabric != y->fabric || !same_text(x->uuid, y->uuid) || !same_text(x->osname, y->osname)
            || x->ncoords != y->ncoords)
            return false;
        for (size_t i = 0; i < x->ncoords; ++i)
            if (!same_coord(&x->coordinates[i], &y->coordinates[i]))
                return false;
        return true;
    }
    case PMIX_DEVICE_DIST: {
        const pmix_device_distance_t *x = a, *y = b;
        return same_text(x->uuid, y->uuid) && same_text(x->osname, y->osname) && x->type == y->type
               && x->mindist == y->mindist && x->maxdist == y->maxdist;
    }
    case PMIX_ENDPOINT: {
        const pmix_endpoint_t *x = a, *y = b;
        return same_text(x->uuid, y->uuid) && same_text(x->osname, y->osname) && same_bytes(&x->endpt, &y->endpt);
    }
    case PMIX_DISK_STATS: return same_disk(a, b);
    case PMIX_NET_STATS: return same_net(a, b);
    default: {
        size_t width = width_of(type);
        return width > 0 && memcmp(a, b, width) == 0;
    }
    }
}

static bool same_array(const pmix_data_array_t *a, const pmix_data_array_t *b)
{
    if (a->size != b->size)
        return false;
    if (a->size == 0)
        return true; /* the element type of an empty array is not promised to survive */
    size_t width = width_of(a->type);
    if (a->type != b->type || width == 0)
        return false;
    for (size_t i = 0; i < a->size; ++i)
        if (!same_element(a->type, (const char *) a->array + i * width, (const char *) b->array + i * width))
            return false;
    return true;
}

static bool same_value(const pmix_value_t *a, const pmix_value_t *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case PMIX_PROC: case PMIX_PROC_NSPACE: case PMIX_PROC_INFO: case PMIX_DATA_ARRAY: case PMIX_COORD:
    case PMIX_REGATTR: case PMIX_GEOMETRY: case PMIX_DEVICE_DIST: case PMIX_ENDPOINT:
    case PMIX_DISK_STATS: case PMIX_NET_STATS:
        return a->data.ptr != NULL && b->data.ptr != NULL && same_element(a->type, a->data.ptr, b->data.ptr);
    default:
        return same_element(a->type, &a->data, &b->data);
    }
}

/* ---- the run ---- */

static kind chosen[COUNT(kinds) + COUNT(rare_kinds)];
static size_t nchosen;

static void make(pmix_value_t *v, const kind *k, seed s)
{
    memset(v, 0, sizeof *v);
    k->make(v, s);
}

/* Older encodings lack the newer types, and the client cannot commit them. */
static bool is_newer(const kind *k, unsigned newest)
{
    pmix_value_t v;
    make(&v, k, (seed){0, 0});
    bool newer = v.type > newest || (v.type == PMIX_DATA_ARRAY && v.data.darray->type > newest);
    drop();
    return newer;
}

static void choose(const kind *from, size_t count, const char *name, unsigned newest)
{
    for (size_t i = 0; i < count; ++i)
        if ((name == NULL || strcmp(from[i].name, name) == 0) && !is_newer(&from[i], newest))
            chosen[nchosen++] = from[i];
}

/* One check. */
static void put(pmix_scope_t scope, const char *prefix, const kind *k, seed s)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", prefix, k->name);
    pmix_value_t v;
    make(&v, k, s);
    CHECK_RC(PMIx_Put(scope, key, &v), PMIX_SUCCESS, "Put %s", key);
    drop();
}

/* One check: the value is there and is the one that `s` names. */
static void get(const pmix_proc_t *proc, const char *prefix, const kind *k, seed s)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", prefix, k->name);
    pmix_value_t want, *got = NULL;
    make(&want, k, s);
    MARK("Get %s of rank %u", key, proc->rank);
    pmix_status_t rc = PMIx_Get(proc, key, NULL, 0, &got);
    bool same = rc == PMIX_SUCCESS && got != NULL && same_value(&want, got);
    CHECK(same, "%s of rank %u round %u: %s, type %d, wanted type %d", key, s.rank, s.round, PMIx_Error_string(rc),
          got != NULL ? got->type : -1, want.type);
    if (got != NULL)
        PMIX_VALUE_RELEASE(got);
    drop();
}

/* Two checks. */
static void commit_and_collect(void)
{
    bool yes = true;
    pmix_info_t collect;
    PMIx_Info_load(&collect, PMIX_COLLECT_DATA, &yes, PMIX_BOOL);
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit");
    CHECK_RC(PMIx_Fence(NULL, 0, &collect, 1), PMIX_SUCCESS, "collecting fence");
}

int main(int argc, char **argv)
{
    const bool limited = argc == 3 && strcmp(argv[1], "--newest") == 0;
    for (int i = 1; i < argc && !limited; ++i) {
        size_t before = nchosen;
        choose(kinds, COUNT(kinds), argv[i], UINT_MAX);
        choose(rare_kinds, COUNT(rare_kinds), argv[i], UINT_MAX);
        if (nchosen == before || nchosen > COUNT(kinds)) {
            fprintf(stderr, "usage: modex [TYPE... | --newest CODE]: no type %s, or too many\n", argv[i]);
            return 2;
        }
    }
    if (argc < 2 || limited)
        choose(kinds, COUNT(kinds), NULL, limited ? (unsigned) strtoul(argv[2], NULL, 10) : UINT_MAX);

    pmix_proc_t me;
    const uint32_t n = check_join("modex", &me);
    const size_t k = nchosen;
    const seed first = {me.rank, 0}, second = {me.rank, 1};

    /* Scopes are told apart by node, so the job must be on one. */
    pmix_proc_t job = proc_of(&me, PMIX_RANK_WILDCARD);
    pmix_value_t *value = NULL;
    pmix_status_t rc = PMIx_Get(&job, PMIX_LOCAL_SIZE, NULL, 0, &value);
    CHECK(rc == PMIX_SUCCESS && value->type == PMIX_UINT32 && value->data.uint32 == n, "%s: not one node",
          PMIx_Error_string(rc));
    if (value != NULL)
        PMIX_VALUE_RELEASE(value);

    static const kind late = KIND(string);
    char long_name[PMIX_MAX_KEYLEN - 4 + 1];
    memset(long_name, 'k', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';

    for (size_t i = 0; i < k; ++i) {
        put(PMIX_GLOBAL, "global", &chosen[i], first);
        put(PMIX_LOCAL, "local", &chosen[i], first);
        put(PMIX_REMOTE, "remote", &chosen[i], first);
    }
    commit_and_collect();

    for (uint32_t r = 0; r < n; ++r) {
        const pmix_proc_t peer = proc_of(&me, (me.rank + r) % n);
        const seed theirs = {peer.rank, 0};
        for (size_t i = 0; i < k; ++i) {
            get(&peer, "global", &chosen[i], theirs);
            get(&peer, "local", &chosen[i], theirs);
            if (peer.rank == me.rank)
                get(&peer, "remote", &chosen[i], theirs);
        }
    }

    /* What is meant for other nodes is hidden from this one. */
    char hidden[64];
    snprintf(hidden, sizeof hidden, "remote.%s", chosen[0].name);
    for (uint32_t r = 1; r < n; ++r) {
        const pmix_proc_t peer = proc_of(&me, (me.rank + r) % n);
        bool yes = true;
        pmix_info_t immediate;
        PMIx_Info_load(&immediate, PMIX_IMMEDIATE, &yes, PMIX_BOOL);
        CHECK_RC(PMIx_Get(&peer, hidden, &immediate, 1, &value), PMIX_ERR_NOT_FOUND, "%s of local rank %u, immediate",
                 hidden, peer.rank);
    }
    if (n > 1) {
        const pmix_proc_t peer = proc_of(&me, (me.rank + 1) % n);
        int seconds = 1;
        pmix_info_t timeout;
        PMIx_Info_load(&timeout, PMIX_TIMEOUT, &seconds, PMIX_INT);
        CHECK_RC2(PMIx_Get(&peer, hidden, &timeout, 1, &value), PMIX_ERR_TIMEOUT, PMIX_ERR_NOT_FOUND,
                  "%s of local rank %u, one second", hidden, peer.rank);
    }
    CHECK_RC(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS, "fence between the commits");

    /* A client keeps what it once fetched; asking for a key it has not seen makes it fetch all of that rank's again. */
    for (size_t i = 0; i < k; ++i)
        put(PMIX_GLOBAL, "global", &chosen[i], second);
    put(PMIX_GLOBAL, "late", &late, second);
    pmix_value_t marker;
    memset(&marker, 0, sizeof marker);
    marker.type = PMIX_UINT32;
    marker.data.uint32 = me.rank;
    char long_key[PMIX_MAX_KEYLEN + 1];
    snprintf(long_key, sizeof long_key, "key.%s", long_name);
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, long_key, &marker), PMIX_SUCCESS, "Put with a key of %zu bytes", strlen(long_key));
    commit_and_collect();

    for (uint32_t r = 0; r < n; ++r) {
        const pmix_proc_t peer = proc_of(&me, (me.rank + r) % n);
        const seed theirs = {peer.rank, 1}, earlier = {peer.rank, 0};
        get(&peer, "late", &late, theirs);
        for (size_t i = 0; i < k; ++i) {
            get(&peer, "global", &chosen[i], theirs);
            get(&peer, "local", &chosen[i], earlier);
        }
        rc = PMIx_Get(&peer, long_key, NULL, 0, &value);
        CHECK(rc == PMIX_SUCCESS && value->type == PMIX_UINT32 && value->data.uint32 == peer.rank,
              "%s: key of %zu bytes of rank %u", PMIx_Error_string(rc), strlen(long_key), peer.rank);
        if (rc == PMIX_SUCCESS)
            PMIX_VALUE_RELEASE(value);
    }

    commit_and_collect(); /* nothing new to commit */

    const unsigned long first_round = 3 * k + 2 + n * 2 * k + k + (n - 1) + (n > 1 ? 1 : 0) + 1;
    const unsigned long second_round = k + 2 + 2 + n * (2 * k + 2) + 2;
    return check_leave(CHECK_JOIN_LEAVE + 1 + first_round + second_round);
}
