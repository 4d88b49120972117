/* A token goes around ten times; every rank adds one. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int rank, size, token = 0;
    const int rounds = 10;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const int next = (rank + 1) % size, previous = (rank + size - 1) % size;
    for (int i = 0; i < rounds; ++i) {
        if (rank == 0) {
            ++token;
            int sent = token;
            MPI_Sendrecv(&sent, 1, MPI_INT, next, i, &token, 1, MPI_INT, previous, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(&token, 1, MPI_INT, previous, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            ++token;
            MPI_Send(&token, 1, MPI_INT, next, i, MPI_COMM_WORLD);
        }
    }
    const int expected = rank == 0 ? rounds * size : (rounds - 1) * size + rank + 1;
    if (token != expected)
        printf("rank %d: the token is %d, not %d\n", rank, token, expected);
    MPI_Finalize();
    return token != expected;
}
