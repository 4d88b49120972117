"""hpcc.py PMIXRUN RANKS: the HPC Challenge benchmark, small, runs under pmixrun and finds all its results right.
Exits 77 where it is not installed."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

pmixrun, ranks = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
hpcc = shutil.which("hpcc")
if not hpcc:
    sys.exit(77)
rows = 2 if ranks % 2 == 0 and ranks > 2 else 1
# By position: two lines of title; output; then Linpack's sizes, blocks, grid, threshold, algorithms; a separator; what PTRANS adds.
values = ["", "", "HPL.out", 8, 1, 20, 1, 4, 0, 1, rows, ranks // rows, "16.0", 1, 2, 1, 4, 1, 2, 1, 1, 1, 1, 1, 1, 2, 64, 0, 0, 1, 8, "",
          0, "1200 10000 30000", 0, "40 9 8 13 13 20 16 32 64"]
text = "".join(f"{value}\n" for value in values)

with tempfile.TemporaryDirectory() as directory:
    (pathlib.Path(directory) / "hpccinf.txt").write_text(text)
    run = subprocess.run([pmixrun, "--timeout", "200", "-n", str(ranks), hpcc], cwd=directory, capture_output=True, text=True,
                         timeout=220, stdin=subprocess.DEVNULL)
    said = f"\n--- stdout\n{run.stdout}--- stderr\n{run.stderr}"
    assert run.returncode == 0, f"status {run.returncode}{said}"
    found = (pathlib.Path(directory) / "hpccoutf.txt").read_text()
    assert f"\nCommWorldProcs={ranks}\n" in found and "\nSuccess=1\n" in found, found[-2000:]
    failed = re.findall(r"^ +(\d+) tests completed and failed", found, re.M)
    assert len(failed) == 2 and set(failed) == {"0"}, failed
