"""compile.py [--rounds N]: what it costs to compile examples/minimal_host.cpp, beside the Asio headers it includes (medians), and
each public header alone (once): seconds of CPU, MiB at the peak, KiB of object code and, where clang++ is there, how many
templates it instantiates. Writes bench/compile.json."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

import machine

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=3)
args = parser.parse_args()
here = pathlib.Path(__file__).resolve().parent
include = here.parent / "include"
FLAGS = ["-std=c++20", "-DASIO_HAS_CO_AWAIT=1", "-DNDEBUG", f"-I{include}", "-c"]


def compiled(compiler, source, target, *more):
    """CPU seconds, MiB and KiB."""
    child = os.posix_spawnp(compiler, [compiler, *FLAGS, *more, "-o", str(target), str(source)], os.environ)
    _, status, used = os.wait4(child, 0)
    if status != 0:
        raise SystemExit(f"{source} does not compile")
    return {"cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024, "object_kib": target.stat().st_size / 1024}


def instantiations(source, target):
    if not shutil.which("clang++"):
        return None
    compiled("clang++", source, target, "-ftime-trace", "-ftime-trace-granularity=0")
    # Not read here: a child's peak is at least what its parent had when it started the child.
    found = subprocess.run(["grep", "-oE", '"name":"Instantiate(Class|Function)"', target.with_suffix(".json")],
                           stdout=subprocess.PIPE)
    return found.stdout.count(b"\n")


def cases(directory):
    """Name, source, option and rounds of what is compiled."""
    def alone(header):
        source = directory / (header.replace("/", "_") + ".cpp")
        source.write_text(f"#include <{header}>\n")
        return source

    host = here.parent / "examples" / "minimal_host.cpp"
    yield "Asio alone, -O0", alone("pmixio/detail/asio.hpp"), "-O0", args.rounds
    yield "examples/minimal_host.cpp, -O0", host, "-O0", args.rounds
    yield "the same, -O2", host, "-O2", args.rounds
    for header in sorted(include.rglob("*.hpp")):
        name = header.relative_to(include).as_posix()
        preprocessed = subprocess.run(["g++", *FLAGS[:-1], "-E", "-o", os.devnull, header], stderr=subprocess.DEVNULL)
        if "detail" not in name and preprocessed.returncode == 0:  # or it needs what is not installed
            yield name, alone(name), "-O0", 1


def line(name, *cells):
    print("| " + " | ".join([name.ljust(36), *(cell.rjust(10) for cell in cells)]) + " |", flush=True)


def measured(case):
    what, source, option, rounds = case
    with tempfile.TemporaryDirectory() as name:
        target = pathlib.Path(name) / "one.o"
        every = [compiled("g++", source, target, option) for _ in range(rounds)]
        return what, {"rounds": every, "templates": instantiations(source, target) if option == "-O0" else None}


results = {}
line("g++", "CPU s", "peak MiB", "object KiB", "templates")
line("-" * 36, *["-" * 10] * 4)
with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as at_once:
    for what, costs in at_once.map(measured, cases(pathlib.Path(name))):
        results[what] = costs
        cpu, peak, size = (statistics.median(each[key] for each in costs["rounds"]) for key in ("cpu_s", "peak_mib", "object_kib"))
        line(what, f"{cpu:.1f}", f"{peak:.0f}", f"{size:.0f}", str(costs["templates"] or "-"))
about = machine.about() | {"rounds": args.rounds}
(here / "compile.json").write_text(json.dumps({"machine": about, "compiled": results}, indent=1))
