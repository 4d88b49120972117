/* Proves the all-to-all start-up of a larger job, meant for 64 ranks: everybody puts three keys, everybody reads
 * everybody's. */
#include "check.h"

static char *blob_of(uint32_t rank, size_t *size)
{
    *size = 64 + rank % 64;
    char *bytes = malloc(*size);
    if (bytes == NULL)
        abort();
    for (size_t i = 0; i < *size; ++i)
        bytes[i] = (char) ((rank * 131 + i * 7) & 0xff);
    return bytes;
}

int main(void)
{
    pmix_proc_t me;
    const uint32_t n = check_join("scale", &me);

    pmix_value_t number, text, blob;
    memset(&number, 0, sizeof number);
    number.type = PMIX_UINT64;
    number.data.uint64 = ((uint64_t) me.rank << 48) + n;
    char address[64];
    snprintf(address, sizeof address, "address of rank %u of %u", me.rank, n);
    memset(&text, 0, sizeof text);
    text.type = PMIX_STRING;
    text.data.string = address;
    memset(&blob, 0, sizeof blob);
    blob.type = PMIX_BYTE_OBJECT;
    blob.data.bo.bytes = blob_of(me.rank, &blob.data.bo.size);

    CHECK_RC(PMIx_Put(PMIX_GLOBAL, "scale.number", &number), PMIX_SUCCESS, "Put number");
    CHECK_RC(PMIx_Put(PMIX_LOCAL, "scale.text", &text), PMIX_SUCCESS, "Put text");
    CHECK_RC(PMIx_Put(PMIX_GLOBAL, "scale.blob", &blob), PMIX_SUCCESS, "Put blob");
    free(blob.data.bo.bytes);
    CHECK_RC(PMIx_Commit(), PMIX_SUCCESS, "Commit");

    bool yes = true;
    pmix_info_t collect;
    PMIx_Info_load(&collect, PMIX_COLLECT_DATA, &yes, PMIX_BOOL);
    MARK("collecting fence");
    CHECK_RC(PMIx_Fence(NULL, 0, &collect, 1), PMIX_SUCCESS, "collecting fence");

    for (uint32_t i = 0; i < n; ++i) {
        const uint32_t rank = (me.rank + i) % n;
        const pmix_proc_t peer = proc_of(&me, rank);
        pmix_value_t *got = NULL;

        MARK("Get from rank %u", rank);
        pmix_status_t rc = PMIx_Get(&peer, "scale.number", NULL, 0, &got);
        CHECK(rc == PMIX_SUCCESS && got->type == PMIX_UINT64 && got->data.uint64 == ((uint64_t) rank << 48) + n,
              "number of rank %u: %s", rank, PMIx_Error_string(rc));
        if (got != NULL)
            PMIX_VALUE_RELEASE(got);

        rc = PMIx_Get(&peer, "scale.text", NULL, 0, &got);
        snprintf(address, sizeof address, "address of rank %u of %u", rank, n);
        CHECK(rc == PMIX_SUCCESS && got->type == PMIX_STRING && strcmp(got->data.string, address) == 0,
              "text of rank %u: %s", rank, PMIx_Error_string(rc));
        if (got != NULL)
            PMIX_VALUE_RELEASE(got);

        size_t size;
        char *bytes = blob_of(rank, &size);
        rc = PMIx_Get(&peer, "scale.blob", NULL, 0, &got);
        CHECK(rc == PMIX_SUCCESS && got->type == PMIX_BYTE_OBJECT && got->data.bo.size == size
                  && memcmp(got->data.bo.bytes, bytes, size) == 0,
              "blob of rank %u: %s", rank, PMIx_Error_string(rc));
        if (got != NULL)
            PMIX_VALUE_RELEASE(got);
        free(bytes);
    }
    return check_leave(CHECK_JOIN_LEAVE + 5 + 3UL * n);
}
