/* The lower half of the ranks accepts, the upper half connects by a published name, twice. */
#include "check.h"

int main(int argc, char** argv)
{
    char port[MPI_MAX_PORT_NAME] = "";
    int rank, size, round, accepts;
    MPI_Comm half;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    accepts = rank < (size + 1) / 2;
    MPI_Comm_split(MPI_COMM_WORLD, accepts, rank, &half);
    for (round = 0; round != 2; ++round) {
        MPI_Comm other;
        int sent = rank, got = -1, mine, theirs;
        if (rank == 0) {
            CHECK(MPI_Open_port(MPI_INFO_NULL, port) == MPI_SUCCESS);
            CHECK(MPI_Publish_name("accept", MPI_INFO_NULL, port) == MPI_SUCCESS);
        }
        MPI_Barrier(MPI_COMM_WORLD);
        if (accepts) {
            CHECK(MPI_Comm_accept(port, MPI_INFO_NULL, 0, half, &other) == MPI_SUCCESS);
        } else {
            if (rank == (size + 1) / 2)
                CHECK(MPI_Lookup_name("accept", MPI_INFO_NULL, port) == MPI_SUCCESS);
            CHECK(MPI_Comm_connect(port, MPI_INFO_NULL, 0, half, &other) == MPI_SUCCESS);
        }
        MPI_Comm_rank(other, &mine);
        MPI_Comm_remote_size(other, &theirs);
        CHECK(theirs == (accepts ? size / 2 : (size + 1) / 2));
        if (mine < theirs) {
            MPI_Sendrecv(&sent, 1, MPI_INT, mine, 0, &got, 1, MPI_INT, mine, 0, other, MPI_STATUS_IGNORE);
            CHECK(got == (accepts ? rank + (size + 1) / 2 : rank - (size + 1) / 2));
        }
        MPI_Comm_disconnect(&other);
        if (rank == 0) {
            CHECK(MPI_Unpublish_name("accept", MPI_INFO_NULL, port) == MPI_SUCCESS);
            CHECK(MPI_Close_port(port) == MPI_SUCCESS);
        }
        MPI_Barrier(MPI_COMM_WORLD);
    }
    if (rank == 0)
        printf("accepted twice\n");
    MPI_Comm_free(&half);
    MPI_Finalize();
    return 0;
}
