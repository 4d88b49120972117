/* Memory that ranks share, and memory that they reach into. */
#include "check.h"

int main(int argc, char** argv)
{
    int rank, size, local, i, got = -1, one = 1, unit;
    int *mine, *first, *counter;
    MPI_Aint length;
    MPI_Comm node;
    MPI_Win shared, remote;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node);
    MPI_Comm_size(node, &local);
    CHECK(local == size); /* all are on one node, and know it */
    MPI_Win_allocate_shared(sizeof(int), sizeof(int), MPI_INFO_NULL, node, &mine, &shared);
    MPI_Win_fence(0, shared);
    *mine = rank * rank;
    MPI_Win_fence(0, shared);
    MPI_Win_shared_query(shared, 0, &length, &unit, &first);
    for (i = 0; i != size; ++i)
        CHECK(first[i] == i * i);
    MPI_Win_free(&shared);

    MPI_Win_allocate(sizeof(int), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &counter, &remote);
    *counter = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, remote);
    MPI_Fetch_and_op(&one, &got, MPI_INT, 0, 0, MPI_SUM, remote);
    MPI_Win_unlock(0, remote);
    CHECK(got >= 0 && got < size);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, remote);
        CHECK(*counter == size);
        MPI_Win_unlock(0, remote);
        printf("windows of %d\n", size);
    }
    MPI_Win_free(&remote);
    MPI_Comm_free(&node);
    MPI_Finalize();
    return 0;
}
