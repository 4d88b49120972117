/* Standard input goes to rank 0; the others find its end at once. The status of the job is that of the rank that fails. */
#include "check.h"

int main(int argc, char** argv)
{
    int rank, size, n, all = 0;
    char text[64];
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    n = (int)fread(text, 1, sizeof text, stdin);
    CHECK(rank == 0 ? n == 6 && memcmp(text, "input\n", 6) == 0 : n == 0);
    MPI_Allreduce(&n, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(all == 6);
    MPI_Finalize();
    return argc > 1 && rank == size - 1 ? atoi(argv[1]) : 0;
}
