/* Every collective of MPI-2 and the non-blocking barrier, checked against what each rank can compute alone. */
#include "check.h"

enum { most = 64 };

int main(int argc, char** argv)
{
    int rank, size, i, one, two, many[most], others[most], counts[most], places[most];
    MPI_Request request;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    CHECK(size <= most);
    for (i = 0; i != size; ++i)
        counts[i] = 1, places[i] = size - 1 - i;

    one = rank == size - 1 ? 77 : 0;
    MPI_Bcast(&one, 1, MPI_INT, size - 1, MPI_COMM_WORLD);
    CHECK(one == 77);

    one = rank + 1;
    MPI_Gather(&one, 1, MPI_INT, many, 1, MPI_INT, 0, MPI_COMM_WORLD);
    for (i = 0; rank == 0 && i != size; ++i)
        CHECK(many[i] == i + 1);
    MPI_Gatherv(&one, 1, MPI_INT, many, counts, places, MPI_INT, 0, MPI_COMM_WORLD);
    for (i = 0; rank == 0 && i != size; ++i)
        CHECK(many[i] == size - i);
    MPI_Scatter(many, 1, MPI_INT, &two, 1, MPI_INT, 0, MPI_COMM_WORLD);
    CHECK(two == size - rank);
    MPI_Scatterv(many, counts, places, MPI_INT, &two, 1, MPI_INT, 0, MPI_COMM_WORLD);
    CHECK(two == rank + 1);

    MPI_Allgather(&one, 1, MPI_INT, many, 1, MPI_INT, MPI_COMM_WORLD);
    for (i = 0; i != size; ++i)
        CHECK(many[i] == i + 1);
    MPI_Allgatherv(&one, 1, MPI_INT, many, counts, places, MPI_INT, MPI_COMM_WORLD);
    for (i = 0; i != size; ++i)
        CHECK(many[i] == size - i);

    for (i = 0; i != size; ++i)
        many[i] = rank * most + i;
    MPI_Alltoall(many, 1, MPI_INT, others, 1, MPI_INT, MPI_COMM_WORLD);
    for (i = 0; i != size; ++i)
        CHECK(others[i] == i * most + rank);
    for (i = 0; i != size; ++i)
        places[i] = i;
    MPI_Alltoallv(many, counts, places, MPI_INT, others, counts, places, MPI_INT, MPI_COMM_WORLD);
    for (i = 0; i != size; ++i)
        CHECK(others[i] == i * most + rank);

    MPI_Reduce(&one, &two, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    CHECK(rank != 0 || two == size * (size + 1) / 2);
    MPI_Allreduce(&one, &two, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    CHECK(two == size);
    for (i = 0; i != size; ++i)
        many[i] = i;
    MPI_Reduce_scatter(many, &two, counts, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(two == rank * size);
    MPI_Scan(&one, &two, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(two == (rank + 1) * (rank + 2) / 2);
    two = 0;
    MPI_Exscan(&one, &two, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(two == rank * (rank + 1) / 2);

    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        printf("collectives of %d\n", size);
    MPI_Finalize();
    return 0;
}
