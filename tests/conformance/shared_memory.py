"""shared_memory.py PMIXRUN PROGRAMS RANKS: an Open MPI job that is aborted leaves none of its shared-memory segments behind,
which its processes have registered to be removed."""
import os
import pathlib
import subprocess
import sys
import tempfile

pmixrun, programs, ranks = sys.argv[1:]
program = pathlib.Path(programs) / "mpi_abort"
if not program.exists():
    sys.exit(77)
with tempfile.TemporaryDirectory() as directory:
    # Variables of Open MPI's that pmixrun inherits do not reach the ranks.
    job = subprocess.Popen([pmixrun, "--timeout", "100", "-n", ranks, "--", "env", "OMPI_MCA_btl=self,vader",
                            f"OMPI_MCA_btl_vader_backing_directory={directory}", program, "1"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    seen = set()
    while job.poll() is None:
        seen |= set(os.listdir(directory))
    left = os.listdir(directory)
    if job.returncode != 42 or not seen or left:
        sys.exit(f"exit status {job.returncode}, segments seen: {sorted(seen)}, left behind: {sorted(left)}")
