/* What hosts on libpmix's server tell it of the ranks that they serve. */
#ifndef RANKS_H
#define RANKS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <pmix.h>
#include <pmix_server.h>

/* Ranks 0 to `ranks` - 1 of this user, all on this node. */
static inline pmix_status_t register_ranks(const char *nspace, uint32_t ranks)
{
    pmix_proc_t proc;
    PMIX_LOAD_PROCID(&proc, nspace, 0);
    char host[256] = "", *peers = NULL, *nodes, *processes;
    size_t size;
    FILE *text = open_memstream(&peers, &size);
    for (uint32_t rank = 0; rank < ranks; ++rank)
        fprintf(text, rank == 0 ? "%u" : ",%u", rank);
    fclose(text);
    gethostname(host, sizeof host - 1);
    PMIx_generate_regex(host, &nodes);
    PMIx_generate_ppn(peers, &processes);

    /* Without maps it has nothing to say of a rank, and answers none. Of each rank the keys that pmixio has. */
    const size_t ninfo = 3 + ranks;
    pmix_info_t *info;
    PMIX_INFO_CREATE(info, ninfo);
    PMIX_INFO_LOAD(&info[0], PMIX_JOB_SIZE, &ranks, PMIX_UINT32);
    PMIX_INFO_LOAD(&info[1], PMIX_NODE_MAP, nodes, PMIX_REGEX);
    PMIX_INFO_LOAD(&info[2], PMIX_PROC_MAP, processes, PMIX_REGEX);
    for (uint32_t rank = 0; rank < ranks; ++rank) {
        const uint16_t local = (uint16_t) rank;
        const uint32_t zero = 0;
        pmix_data_array_t keys;
        PMIX_DATA_ARRAY_CONSTRUCT(&keys, 8, PMIX_INFO);
        pmix_info_t *each = keys.array;
        PMIX_INFO_LOAD(each++, PMIX_RANK, &rank, PMIX_PROC_RANK);
        PMIX_INFO_LOAD(each++, PMIX_LOCAL_RANK, &local, PMIX_UINT16);
        PMIX_INFO_LOAD(each++, PMIX_NODE_RANK, &local, PMIX_UINT16);
        PMIX_INFO_LOAD(each++, PMIX_GLOBAL_RANK, &rank, PMIX_PROC_RANK);
        PMIX_INFO_LOAD(each++, PMIX_APP_RANK, &rank, PMIX_PROC_RANK);
        PMIX_INFO_LOAD(each++, PMIX_APPNUM, &zero, PMIX_UINT32);
        PMIX_INFO_LOAD(each++, PMIX_NODEID, &zero, PMIX_UINT32);
        PMIX_INFO_LOAD(each, PMIX_HOSTNAME, host, PMIX_STRING);
        PMIX_INFO_LOAD(&info[3 + rank], PMIX_PROC_DATA, &keys, PMIX_DATA_ARRAY);
        PMIX_DATA_ARRAY_DESTRUCT(&keys);
    }
    pmix_status_t rc = PMIx_server_register_nspace(proc.nspace, (int) ranks, info, ninfo, NULL, NULL);
    PMIX_INFO_FREE(info, ninfo);
    free(nodes);
    free(processes);
    free(peers);
    for (; rc == PMIX_OPERATION_SUCCEEDED && proc.rank < ranks; ++proc.rank)
        rc = PMIx_server_register_client(&proc, getuid(), getgid(), NULL, NULL, NULL);
    return rc == PMIX_OPERATION_SUCCEEDED ? PMIX_SUCCESS : rc;
}

#endif
