/* A name that rank 0 publishes is found by all, cannot be published twice nor found after it was taken back. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

/* In the scope that the info names, or in the default one. */
static int round_in(MPI_Info info, const char *name, int rank)
{
    char port[MPI_MAX_PORT_NAME] = "", found[MPI_MAX_PORT_NAME] = "";
    int wrong = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    wrong += MPI_Lookup_name(name, info, found) == MPI_SUCCESS;
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        wrong += MPI_Open_port(MPI_INFO_NULL, port) != MPI_SUCCESS;
        wrong += MPI_Publish_name(name, info, port) != MPI_SUCCESS;
        wrong += MPI_Publish_name(name, info, port) == MPI_SUCCESS;
    }
    MPI_Bcast(port, sizeof port, MPI_CHAR, 0, MPI_COMM_WORLD);
    wrong += MPI_Lookup_name(name, info, found) != MPI_SUCCESS;
    wrong += strcmp(port, found) != 0;
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        wrong += MPI_Unpublish_name(name, info, port) != MPI_SUCCESS;
        MPI_Close_port(port);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    wrong += MPI_Lookup_name(name, info, found) == MPI_SUCCESS;
    return wrong;
}

int main(int argc, char **argv)
{
    int rank, wrong;
    MPI_Info global;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    wrong = round_in(MPI_INFO_NULL, "a service", rank);
    MPI_Info_create(&global);
    MPI_Info_set(global, "ompi_global_scope", "true");
    MPI_Info_set(global, "ompi_lookup_order", "global");
    wrong += 100 * round_in(global, "a global service", rank);
    MPI_Info_free(&global);
    if (wrong)
        printf("rank %d: %d wrong results\n", rank, wrong);
    MPI_Finalize();
    return wrong != 0;
}
