"""run.py --pmixrun PATH --programs DIR [--expect STATUS] [--count N --line REGEX] [--repeat N] [--say REGEX]
       [--input TEXT] -- [PMIXRUN OPTIONS] -- PROGRAM [ARGS]

Runs PROGRAM of DIR (@NAME among its arguments is another) under pmixrun and checks its exit status; how many lines of its
output match; that pmixrun's stderr says something; and, by its counters, that every connection was admitted and is closed again. Exits 77 if the program is not built."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import peers

parser = argparse.ArgumentParser()
parser.add_argument("--pmixrun", required=True)
parser.add_argument("--programs", type=pathlib.Path, required=True)
parser.add_argument("--expect", type=int, default=0)
parser.add_argument("--line", default="")
parser.add_argument("--count", type=int)
parser.add_argument("--say", default="")
parser.add_argument("--input", default="")
parser.add_argument("--repeat", type=int, default=1)
parser.add_argument("rest", nargs=argparse.REMAINDER)
args = parser.parse_args()

split = args.rest.index("--", 1)
options, (name, *arguments) = args.rest[1:split], args.rest[split + 1:]
program = args.programs / name
if not program.exists():
    sys.exit(77)
ranks = int(options[options.index("-n") + 1])
arguments = [str(args.programs / word[1:]) if word.startswith("@") else word for word in arguments]
command = [peers.system_python(), str(program)] if name.endswith(".py") else [str(program)]
environment = os.environ | {"OMPI_MCA_btl_vader_single_copy_mechanism": "none"}

for attempt in range(args.repeat):
    with tempfile.TemporaryDirectory() as directory:
        stats = pathlib.Path(directory) / "stats.json"
        run = subprocess.run([args.pmixrun, "--tmpdir", directory, "--timeout", "100", "--stats", str(stats), *options, "--",
                              *command, *arguments],
                             capture_output=True, text=True, timeout=110, env=environment,
                             input=args.input.replace("\\n", "\n"))
        said = f"\n--- stdout\n{run.stdout}--- stderr\n{run.stderr}"
        if run.returncode != args.expect:
            sys.exit(f"exit status {run.returncode}, not {args.expect}{said}")
        lines = [line for line in run.stdout.splitlines() if re.search(args.line, line)]
        if args.count is not None and len(lines) != args.count:
            sys.exit(f"{len(lines)} lines match {args.line!r}, not {args.count}{said}")
        if not re.search(args.say, run.stderr):
            sys.exit(f"stderr does not say {args.say!r}{said}")
        if list(pathlib.Path(directory).glob("pmixrun-*")):
            sys.exit("the job's directory was left behind")
        counters = json.loads(stats.read_text())
        if args.expect == 0 and counters["admitted"] < ranks:
            sys.exit(f"{counters['admitted']} peers admitted, not {ranks}")
        # A job that is killed may leave connections that never said who they are.
        if counters["admitted"] != counters["closed"] or counters["malformed"] or (counters["refused"] and args.expect == 0):
            sys.exit(f"counters: {counters}{said}")
