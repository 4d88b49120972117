"""check.py BUILD SOURCE: SOURCE must not compile, and the compiler must say the text of its first line, `// expect: TEXT`.
A *_ok.cpp must compile, so that a broken harness shows; every SOURCE has one beside it."""
import json
import os
import pathlib
import shlex
import subprocess
import sys

build, source = (pathlib.Path(arg) for arg in sys.argv[1:])
entry = next(e for e in json.loads((build / "compile_commands.json").read_text()) if e["file"].endswith("odr/one.cpp"))
command = shlex.split(entry["command"])
command = command[:command.index("-MD")] + ["-fdiagnostics-color=never", "-fsyntax-only", str(source)]
run = subprocess.run(command, cwd=entry["directory"], env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True)

if source.stem.endswith("_ok"):
    sys.exit(run.stderr if run.returncode else 0)
if not source.with_name(source.stem + "_ok.cpp").exists():
    sys.exit(f"{source.stem}_ok.cpp is missing")
mark, _, expected = source.read_text().splitlines()[0].partition("// expect: ")
if mark or not expected:
    sys.exit("the first line is not `// expect: TEXT`")
if run.returncode == 0:
    sys.exit("it compiles")
if expected not in run.stderr:
    sys.exit(f"nothing said: {expected}\n{run.stderr}")
