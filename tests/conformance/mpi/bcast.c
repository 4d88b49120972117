/* One MiB from every rank in turn to all. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    enum { bytes = 1 << 20 };
    int rank, size, wrong = 0;
    unsigned char *data = malloc(bytes);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int root = 0; root < size; ++root) {
        for (int i = 0; i < bytes; ++i)
            data[i] = rank == root ? (unsigned char) (i * 31 + root) : 0;
        MPI_Bcast(data, bytes, MPI_BYTE, root, MPI_COMM_WORLD);
        for (int i = 0; i < bytes; ++i)
            wrong += data[i] != (unsigned char) (i * 31 + root);
    }
    if (wrong)
        printf("rank %d: %d wrong bytes\n", rank, wrong);
    MPI_Finalize();
    free(data);
    return wrong != 0;
}
