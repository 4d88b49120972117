/* Starts two more processes by MPI_Comm_spawn, twice, and talks to them; --child is what they are. With a program that is not
 * there, the spawn fails and the job goes on. */
#include "check.h"

static void child(void)
{
    MPI_Comm parent, all;
    int size, rank, sum = 0;
    MPI_Comm_get_parent(&parent);
    CHECK(parent != MPI_COMM_NULL);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    CHECK(size == 2);
    MPI_Intercomm_merge(parent, 1, &all);
    MPI_Comm_rank(all, &rank);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, all);
    MPI_Comm_size(all, &size);
    CHECK(sum == size * (size - 1) / 2);
    MPI_Comm_free(&all);
    MPI_Comm_disconnect(&parent);
}

int main(int argc, char** argv)
{
    int world, rank, round;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    if (argc > 1 && strcmp(argv[1], "--child") == 0) {
        child();
        MPI_Finalize();
        return 0;
    }
    for (round = 0; round != 2; ++round) {
        MPI_Comm children, all;
        char* args[] = {"--child", NULL};
        int codes[2], size, mine, sum = 0;
        CHECK(MPI_Comm_spawn(argv[0], args, 2, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children, codes) == MPI_SUCCESS);
        MPI_Comm_remote_size(children, &size);
        CHECK(size == 2);
        MPI_Intercomm_merge(children, 0, &all);
        MPI_Comm_rank(all, &mine);
        CHECK(mine == rank);
        MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, all);
        MPI_Comm_size(all, &size);
        CHECK(size == world + 2);
        CHECK(sum == size * (size - 1) / 2);
        MPI_Comm_free(&all);
        MPI_Comm_disconnect(&children);
    }
    if (rank == 0)
        printf("spawned twice\n");
    MPI_Finalize();
    return 0;
}
