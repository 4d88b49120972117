"""compile.py [--headers]: what it costs to compile examples/minimal_host.cpp, and with --headers each public header alone:
seconds of CPU, MiB at the peak, KiB of object code and, where clang++ is there, how many templates it instantiates."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("--headers", action="store_true")
args = parser.parse_args()
root = pathlib.Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++20", "-DASIO_HAS_CO_AWAIT=1", "-DNDEBUG", f"-I{root / 'include'}", "-c"]


def compiled(compiler, source, directory, *more):
    """CPU seconds, MiB and KiB."""
    target = pathlib.Path(directory) / "one.o"
    child = os.posix_spawnp(compiler, [compiler, *FLAGS, *more, "-o", str(target), str(source)], os.environ)
    _, status, used = os.wait4(child, 0)
    if status != 0:
        raise SystemExit(f"{source} does not compile")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, target.stat().st_size / 1024


def instantiations(source, directory):
    if not shutil.which("clang++"):
        return "-"
    compiled("clang++", source, directory, "-ftime-trace", "-ftime-trace-granularity=0")
    events = json.loads((pathlib.Path(directory) / "one.json").read_text())["traceEvents"]
    return sum(each["name"] in ("InstantiateClass", "InstantiateFunction") for each in events)


def line(name, *cells):
    print("| " + " | ".join([name.ljust(40), *(str(cell).rjust(9) for cell in cells)]) + " |", flush=True)


line("g++ -O0, unless it says otherwise", "CPU s", "peak MiB", "object KiB", "templates")
line("-" * 40, *["-" * 9] * 4)
with tempfile.TemporaryDirectory() as directory:
    host = root / "examples" / "minimal_host.cpp"
    for name, options in (("examples/minimal_host.cpp", ["-O0"]), ("the same, -O2", ["-O2"])):
        seconds, peak, size = compiled("g++", host, directory, *options)
        line(name, f"{seconds:.1f}", f"{peak:.0f}", f"{size:.0f}", instantiations(host, directory) if options == ["-O0"] else "")
    if args.headers:
        for header in sorted((root / "include").rglob("*.hpp")):
            name = header.relative_to(root / "include").as_posix()
            if "detail" in name or subprocess.run(["g++", *FLAGS[:-1], "-E", "-o", os.devnull, header],
                                                  stderr=subprocess.DEVNULL).returncode != 0:
                continue
            source = pathlib.Path(directory) / "one.cpp"
            source.write_text(f"#include <{name}>\n")
            seconds, peak, size = compiled("g++", source, directory, "-O0")
            line(name, f"{seconds:.1f}", f"{peak:.0f}", f"{size:.0f}", instantiations(source, directory))
