/* The rank that is named aborts with 42 while the others sit in a barrier. */
#include <mpi.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (argc == 2 && rank == atoi(argv[1]))
        MPI_Abort(MPI_COMM_WORLD, 42);
    MPI_Barrier(MPI_COMM_WORLD); /* without the one that aborts: never complete */
    MPI_Finalize();
    return 0;
}
