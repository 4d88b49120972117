"""hpcc.py PMIXRUN RANKS: the HPC Challenge benchmark, small, runs under pmixrun and finds all its results right.
Exits 77 where it is not installed."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

pmixrun, ranks = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
hpcc, example = shutil.which("hpcc"), pathlib.Path("/usr/share/doc/hpcc/examples/_hpccinf.txt")
if not hpcc or not example.exists():
    sys.exit(77)
rows = 2 if ranks % 2 == 0 and ranks > 2 else 1
text = example.read_text()
for what, value in (("Ns", 20), ("NBs", 4), ("Ps", rows), ("Qs", ranks // rows)):
    text, changed = re.subn(rf"^\S+( +{what})$", rf"{value}\1", text, count=1, flags=re.M)
    assert changed == 1, what

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
