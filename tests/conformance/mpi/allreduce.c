/* Sums, a maximum and a product over all ranks, of several types and sizes. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int rank, size, wrong = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    for (int n = 1; n <= 100000; n *= 10) {
        long *mine = malloc((size_t) n * sizeof *mine), *sum = malloc((size_t) n * sizeof *sum);
        for (int i = 0; i < n; ++i)
            mine[i] = (long) rank * n + i;
        MPI_Allreduce(mine, sum, n, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
        for (int i = 0; i < n; ++i)
            wrong += sum[i] != (long) size * (size - 1) / 2 * n + (long) size * i;
        free(mine);
        free(sum);
    }
    double top = 0, most = rank + 0.5;
    MPI_Allreduce(&most, &top, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    wrong += top != size - 0.5;
    int two = 2, product = 0;
    MPI_Allreduce(&two, &product, 1, MPI_INT, MPI_PROD, MPI_COMM_WORLD);
    wrong += product != 1 << size;

    if (wrong)
        printf("rank %d: %d wrong results\n", rank, wrong);
    MPI_Finalize();
    return wrong != 0;
}
