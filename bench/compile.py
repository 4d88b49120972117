"""compile.py [--headers] [--rounds N]: what it costs to compile examples/minimal_host.cpp, beside the Asio headers it includes,
and with --headers each public header alone: seconds of CPU, MiB at the peak, KiB of object code and, where clang++ is there,
how many templates it instantiates. Prints medians, and writes bench/compile.json."""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

import machine

parser = argparse.ArgumentParser()
parser.add_argument("--headers", action="store_true")
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
    events = json.loads(target.with_suffix(".json").read_text())["traceEvents"]
    return sum(each["name"] in ("InstantiateClass", "InstantiateFunction") for each in events)


def cases(directory):
    """Name, source and option of what is compiled."""
    def alone(header):
        source = directory / (header.replace("/", "_") + ".cpp")
        source.write_text(f"#include <{header}>\n")
        return source

    host = here.parent / "examples" / "minimal_host.cpp"
    yield "Asio alone, -O0", alone("pmixio/detail/asio.hpp"), "-O0"
    yield "examples/minimal_host.cpp, -O0", host, "-O0"
    yield "the same, -O2", host, "-O2"
    for header in sorted(include.rglob("*.hpp")) if args.headers else ():
        name = header.relative_to(include).as_posix()
        preprocessed = subprocess.run(["g++", *FLAGS[:-1], "-E", "-o", os.devnull, header], stderr=subprocess.DEVNULL)
        if "detail" not in name and preprocessed.returncode == 0:  # or it needs what is not installed
            yield name, alone(name), "-O0"


def line(name, *cells):
    print("| " + " | ".join([name.ljust(36), *(cell.rjust(10) for cell in cells)]) + " |", flush=True)


results = {}
line("g++", "CPU s", "peak MiB", "object KiB", "templates")
line("-" * 36, *["-" * 10] * 4)
with tempfile.TemporaryDirectory() as name:
    target = pathlib.Path(name) / "one.o"
    for what, source, option in cases(pathlib.Path(name)):
        rounds = [compiled("g++", source, target, option) for _ in range(args.rounds)]
        templates = instantiations(source, target) if option == "-O0" else None
        results[what] = {"rounds": rounds, "templates": templates}
        cpu, peak, size = (statistics.median(each[key] for each in rounds) for key in ("cpu_s", "peak_mib", "object_kib"))
        line(what, f"{cpu:.1f}", f"{peak:.0f}", f"{size:.0f}", str(templates or "-"))
about = machine.about() | {"rounds": args.rounds}
(here / "compile.json").write_text(json.dumps({"machine": about, "compiled": results}, indent=1))
