"""iof.py PMIXRUN PROGRAMS-DIR RANKS: a real tool pulls the output of a running job, and pushes its input."""
import os
import pathlib
import subprocess
import sys
import tempfile

pmixrun, programs, ranks = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
tool = programs / "iof"
if not tool.exists():
    sys.exit(77)

process = """echo "early $PMIX_RANK"; echo "oops $PMIX_RANK" >&2
while read line; do echo "echo $PMIX_RANK $line"; done
echo "bye $PMIX_RANK" """


def attend(*how):
    """What a tool prints that attends to a job, and what the job's own standard output was."""
    with tempfile.TemporaryDirectory() as directory:
        where = pathlib.Path(directory) / "uri"
        run = subprocess.Popen([pmixrun, "-n", str(ranks), "--nspace", "job", "--tmpdir", directory, "--report-uri", where,
                                "--stdin-from-tools", "--timeout", "100", "sh", "-c", process],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            # It prints what it has given to its server.
            lines = [run.stdout.readline() for _ in range(ranks)]
            errors = [run.stderr.readline() for _ in range(ranks)]
            assert sorted(lines) == sorted(f"early {r}\n" for r in range(ranks)), lines
            assert sorted(errors) == sorted(f"oops {r}\n" for r in range(ranks)), errors
            own = {k: v for k, v in os.environ.items() if not k.startswith(("PMIX_", "OMPI_", "PRTE_"))}
            done = subprocess.run([tool, "job", str(ranks), where.read_text().splitlines()[0], *how], capture_output=True,
                                  text=True, timeout=90, env=own | {"TMPDIR": directory, "CHECK_WATCHDOG": "60"})
            out, err = run.communicate(timeout=60)
        finally:
            run.kill()
            run.wait()
        said = f"{done.stdout}{done.stderr}--- pmixrun\n{out}{err}"
        assert done.returncode == 0, f"the tool ended with {done.returncode}\n{said}"
        assert run.returncode == 0, f"pmixrun ended with {run.returncode}\n{said}"
        assert err == "", said
        return done.stdout.splitlines(), done.stderr.splitlines(), out.splitlines()


printed, _, written = attend()
assert not any("unheard" in line for line in printed), printed  # libpmix prints what comes for a registration that has ended
assert written.count(f"echo {ranks - 1} unheard") == 1, written
assert sum("all" in line for line in written) == ranks, written

out, err, _ = attend("print")
for rank in range(ranks):
    assert out.count(f"[job,{rank}]<stdout>: early {rank}") == 1, out
    assert out.count(f"[job,{rank}]<stdout>: bye {rank}") == 1, out
    assert err.count(f"[job,{rank}]<stderr>: oops {rank}") == 1, err
