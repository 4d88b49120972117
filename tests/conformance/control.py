"""control.py PMIXRUN PROGRAMS RANKS [OPTIONS of pmixrun]: files that the ranks have registered are gone when the job has
ended, and nothing else is."""
import os
import pathlib
import subprocess
import sys
import tempfile

pmixrun, programs, ranks, *options = sys.argv[1:]
program = pathlib.Path(programs) / "control"
if not program.exists():
    sys.exit(77)
stays = {f"kept.{rank}" for rank in range(int(ranks))}
if os.geteuid() == 0:  # only root can make files that are another user's
    stays |= {f"foreign.{rank}" for rank in range(int(ranks))}
with tempfile.TemporaryDirectory() as directory:
    run = subprocess.run([pmixrun, "--timeout", "100", "-n", ranks, *options, "--", program, directory],
                         capture_output=True, text=True, timeout=110, stdin=subprocess.DEVNULL)
    left = {entry.name for entry in pathlib.Path(directory).iterdir()}
    said = f"\n--- stdout\n{run.stdout}--- stderr\n{run.stderr}"
    if run.returncode != 0:
        sys.exit(f"exit status {run.returncode}{said}")
    if left != stays:
        sys.exit(f"gone: {sorted(stays - left)}, left behind: {sorted(left - stays)}{said}")
