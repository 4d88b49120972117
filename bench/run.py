"""run.py BUILD [--quick]: measures pmixrun beside its peers, all in the same run, prints the table of targets and writes
bench/results.json and bench/*.svg. Figures are medians; what a server costs is told as a ratio to `floor`."""
import argparse
import contextlib
import json
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import machine

parser = argparse.ArgumentParser()
parser.add_argument("build", type=pathlib.Path)
parser.add_argument("--quick", action="store_true")
parser.add_argument("--rounds", type=int)
args = parser.parse_args()

here = pathlib.Path(__file__).resolve().parent
rounds = args.rounds or (5 if not args.quick else 3)
scale = 1 if not args.quick else 8
programs = args.build / "bench"
pmixrun = args.build / "examples" / "pmixrun"
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

NSPACE = "bench"
SERVERS = {
    "floor": lambda ranks: [programs / "floor"],
    "neighbour": lambda ranks: [programs / "neighbour"],
    "pmixio": lambda ranks: [pmixrun, "--serve", "-n", ranks, "--nspace", NSPACE, "--handshake-timeout", 300, "--max-pending",
                             20000, "--max-pending-per-user", 20000],
    "libpmix": lambda ranks: [programs / "libpmix_host", NSPACE, ranks],
}
if not (programs / "libpmix_host").exists():
    del SERVERS["libpmix"]
# One process that serves on so many contexts, at a port each or all at one; beside so many generators of load. With one
# generator all share one core.
CONTEXTS = {"1 core": ("own", 1, 1), "1 context": ("own", 1, 2), "2 contexts": ("own", 2, 2), "2 contexts, 1 port": ("shared", 2, 2)}


def words(command, pinned):
    return (["taskset", "-c", "0"] if pinned else []) + [str(word) for word in command]


@contextlib.contextmanager
def serving(name, ranks, pinned):
    command = [programs / "contexts", *CONTEXTS[name][:2], ranks] if name in CONTEXTS else SERVERS[name](ranks)
    with subprocess.Popen(words(command, pinned), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as server:
        try:
            uri = ""
            while not uri.startswith("READY "):
                uri = server.stdout.readline()
                if not uri:
                    raise RuntimeError(f"{name} did not start")
            yield uri.split()[1], server.pid
        finally:
            server.kill()


def load(kind, server, ranks, count, *more, pinned=False):
    """One measurement against a new server; after a short one that warms it up."""
    with serving(server, ranks, pinned) as (uri, pid):
        command = [programs / "load", kind, uri, NSPACE, ranks]
        if kind != "hold":
            subprocess.run(words([*command, max(1, count // 20), *more], pinned), check=True, stdout=subprocess.DEVNULL)
        run = subprocess.run(words([*command, count, *more, "--pid", pid], pinned), check=True, capture_output=True, text=True)
        return json.loads(run.stdout)


def cpu_ns(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def spread(kind, server, ranks, count, *more):
    """The same on contexts: what all generators have done together, and what it has cost the server."""
    _, contexts, generators = CONTEXTS[server]
    pinned = generators == 1
    with serving(server, ranks, pinned) as (uri, pid):
        nspaces = ",".join(f"{NSPACE}{n}" for n in range(contexts))

        def run(n):
            command = words([programs / "load", kind, uri, nspaces, ranks, n, *more], pinned)
            all_of_them = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(generators)]
            said = [json.loads(each.communicate()[0]) for each in all_of_them]
            return generators * n / (max(each["ended"] for each in said) - min(each["ended"] - each["seconds"] for each in said))

        run(max(1, count // 20))
        before = cpu_ns(pid)
        rate = run(count)
        return {"rate": rate, "cpu_ns": (cpu_ns(pid) - before) / (generators * count)}


def job(server, ranks, fences, gets=1):
    """A whole job of real clients: its seconds, and what a fence and a get took."""
    client = [programs / "client", fences, gets]
    command = {"pmixio": [pmixrun, "-n", ranks, "--", *client], "libpmix": [programs / "libpmix_host", NSPACE, ranks, *client]}
    began = time.monotonic()
    run = subprocess.run(words(command[server], False), check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    return {"seconds": seconds} | {what: float(ns) for what, ns in re.findall(r"(\w+_ns) (\d+)", run.stdout)}


def cells():
    """Name, servers, and how to measure one."""
    every, peers = list(SERVERS), [s for s in SERVERS if s in ("pmixio", "libpmix")]
    for name, ranks, pinned, count in (("pinned", 64, True, 20000), ("free, 1,024 ranks", 1024, False, 20000),
                                       ("free, 16,384 ranks", 16384, False, 20000)):
        yield f"handshakes {name}", every, lambda s, r=ranks, p=pinned, n=count: load("handshakes", s, r, n // scale, 16, pinned=p)
    yield "handshakes abrupt", every, lambda s: load("handshakes", s, 64, 4000 // scale, 16, "--abrupt", pinned=True)
    for stalled in (0, 1, 16, 1024):
        yield (f"handshakes beside {stalled} stalled", ["pmixio"],
               lambda s, n=stalled: load("handshakes", s, 64, 10000 // scale, 16, "--stalled", n))
    held = 10000 if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 10500 else 900
    held //= 4 if args.quick else 1
    yield f"hold {held:,}", every, lambda s: load("hold", s, held, held)
    yield "messages 1 x 1", every, lambda s: load("messages", s, 64, 40000 // scale, 1, 1, pinned=True)
    yield "messages 16 x 8", every, lambda s: load("messages", s, 64, 200000 // scale, 16, 8, pinned=True)
    yield "handshakes of contexts", list(CONTEXTS), lambda s: spread("handshakes", s, 64, 16000 // scale, 32)
    yield "messages of contexts", list(CONTEXTS), lambda s: spread("messages", s, 64, 400000 // scale, 32, 8)
    yield "job data of contexts", list(CONTEXTS), lambda s: spread("messages", s, 64, 100000 // scale, 32, 8, "--job")
    if "libpmix" in SERVERS:
        yield "fence of 8", peers, lambda s: job(s, 8, 4000 // scale, gets=7)
        for ranks in (16, 64, 128, 256) if not args.quick else (16, 64):
            yield f"job of {ranks}", peers, lambda s, n=ranks: job(s, n, 0)


def measure():
    """By cell and server, all figures of all rounds. Rounds go through all cells; servers alternate within."""
    results = {}
    all_cells = list(cells())
    for turn in range(rounds):
        for name, servers, measure_one in all_cells:
            for server in servers if turn % 2 == 0 else servers[::-1]:
                results.setdefault(name, {}).setdefault(server, []).append(measure_one(server))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def codecs():
    """Google Benchmark's figures, if it was there."""
    program = programs / "codecs"
    if not program.exists():
        return []
    run = subprocess.run([program, "--benchmark_format=json", "--benchmark_repetitions=5", "--benchmark_min_time=0.05",
                          "--benchmark_report_aggregates_only=true"], check=True, capture_output=True, text=True)
    return [each for each in json.loads(run.stdout)["benchmarks"] if each["aggregate_name"] == "median"]


class Ratios:
    """The figure of one cell, as a ratio to a peer's in the same round."""

    def __init__(self, results):
        self.results = results

    def __call__(self, cell, key, server, peer):
        rows = self.results.get(cell, {})
        if server not in rows or peer not in rows:
            return None
        return [a[key] / b[key] for a, b in zip(rows[server], rows[peer])]


def shown(values, form="{:.2f}"):
    if not values:
        return "-"
    middle = form.format(statistics.median(values))
    return f"{middle} ({form.format(min(values))}-{form.format(max(values))})"


def table(results, parsing):
    ratio = Ratios(results)
    held = next((cell for cell in results if cell.startswith("hold")), "")
    own = lambda cell, key: [each[key] for each in results[cell]["pmixio"]]  # noqa: E731
    rows = []

    def row(what, ours, theirs, target, at_most=True, form="{:.2f}"):
        middle = statistics.median(ours) if ours and target is not None else None
        verdict = "-" if middle is None else "met" if (middle <= target if at_most else middle >= target) else "NOT MET"
        wanted = "-" if target is None else ("<= " if at_most else ">= ") + form.format(target)
        rows.append((what, shown(ours, form), theirs, wanted, verdict))

    for what, cell, key, target, at_most in (
            ("CPU per handshake, pinned, x floor", "handshakes pinned", "cpu_ns", 1.18, True),
            ("handshakes per second, pinned, x floor", "handshakes pinned", "rate", 0.92, False),
            ("CPU per handshake, 1,024 ranks, x floor", "handshakes free, 1,024 ranks", "cpu_ns", 1.35, True),
            ("CPU per handshake, 16,384 ranks, x floor", "handshakes free, 16,384 ranks", "cpu_ns", 1.4, True),
            ("CPU per handshake, closed abruptly, x floor", "handshakes abrupt", "cpu_ns", 1.6, True),
            (f"CPU per handshake, {held.removeprefix('hold ')} held, x floor", held, "cpu_ns", 1.5, True),
            ("round trips per second, 1 connection, x floor", "messages 1 x 1", "rate", 0.88, False),
            ("round trips per second, 16 x 8, x floor", "messages 16 x 8", "rate", 0.85, False)):
        theirs = ", ".join(f"{peer} {shown(ratio(cell, key, peer, 'floor'))}" for peer in ("neighbour", "libpmix")
                           if peer in results[cell])
        row(what, ratio(cell, key, "pmixio", "floor"), theirs, target, at_most)
    for stalled in (1, 16, 1024):
        pairs = zip(own(f"handshakes beside {stalled} stalled", "p99_ns"), own("handshakes beside 0 stalled", "p99_ns"))
        row(f"p99 of handshakes beside {stalled:,} stalled, x none", [a / b for a, b in pairs], "libpmix never answers", 1.5)
    theirs = [each["bytes_each"] for each in results[held].get("libpmix", [])]
    row("bytes of memory per held connection", own(held, "bytes_each"), f"libpmix {shown(theirs, '{:.0f}')}", 1200, form="{:.0f}")
    theirs = [each["kept_each"] for each in results[held].get("libpmix", [])]
    row("bytes kept per connection that has ended", own(held, "kept_each"), f"libpmix {shown(theirs, '{:.0f}')}", 64, form="{:.0f}")
    row("fence of 8 real ranks, x libpmix", ratio("fence of 8", "fence_ns", "pmixio", "libpmix"), "1", 0.75)
    row("get among 8 real ranks, x libpmix", ratio("fence of 8", "get_ns", "pmixio", "libpmix"), "1", None)
    for cell in results:
        if cell.startswith("job of "):
            row(f"{cell} real ranks, x libpmix", ratio(cell, "seconds", "pmixio", "libpmix"), "1", 0.85)
    for cell, key, what in (("handshakes of contexts", "rate", "handshakes per second"),
                            ("messages of contexts", "rate", "messages per second"),
                            ("job data of contexts", "rate", "job data per second"),
                            ("handshakes of contexts", "cpu_ns", "CPU per handshake")):
        others = ", ".join(f"{name} {shown(ratio(cell, key, name, '1 core'))}" for name in ("1 context", "2 contexts, 1 port"))
        row(f"{what}, 2 contexts on 2 cores, x 1 core", ratio(cell, key, "2 contexts", "1 core"), others, None)
    for each in parsing:
        if each["run_name"] == "parse_handshake":
            row("parse one handshake, ns", [each["cpu_time"]], "-", 150, form="{:.0f}")
            row("allocations of that", [each["allocations"]], "-", 0, form="{:.0f}")
    return rows


def print_table(rows):
    heads = ("what", "pmixio: median (range)", "peers", "target", "")
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(5)]
    for row in [heads, tuple("-" * w for w in widths), *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")


def plot(path, title, axis, series, labels):
    """Bars in groups: series by name, one value a label."""
    colours = {"floor": "#999", "neighbour": "#6a8", "pmixio": "#25c", "libpmix": "#c62"}
    width, height, left, top = 760, 360, 70, 50
    highest = max(v for values in series.values() for v in values if v is not None) * 1.1
    group = (width - left - 20) / len(labels)
    bar = group * 0.8 / len(series)
    y = lambda v: top + height * (1 - v / highest)  # noqa: E731
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 130}" font-family="sans-serif" font-size="12">',
             f'<rect width="100%" height="100%" fill="white"/><text x="{left}" y="24" font-size="15">{title}</text>']
    for i in range(5):
        v = highest * i / 4
        parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:,.3g}</text>')
    for n, (name, values) in enumerate(series.items()):
        for i, v in enumerate(values):
            if v is not None:
                parts.append(f'<rect x="{left + i * group + group * 0.1 + n * bar:.1f}" y="{y(v):.1f}" width="{bar * 0.9:.1f}" '
                             f'height="{top + height - y(v):.1f}" fill="{colours[name]}"><title>{name}: {v:.4g}</title></rect>')
        parts.append(f'<rect x="{left + n * 120}" y="{top + height + 62}" width="12" height="12" fill="{colours[name]}"/>'
                     f'<text x="{left + n * 120 + 18}" y="{top + height + 72}">{name}</text>')
    for i, label in enumerate(labels):
        parts.append(f'<text x="{left + (i + 0.5) * group:.1f}" y="{top + height + 20}" text-anchor="middle">{label}</text>')
    parts.append(f'<text x="{left}" y="{top + height + 45}" fill="#555">{axis}</text></svg>')
    path.write_text("\n".join(parts))


def plots(results):
    middle = lambda cell, server, key: (statistics.median(e[key] for e in results[cell][server])  # noqa: E731
                                        if server in results.get(cell, {}) else None)
    by_ranks = {"64, pinned": "handshakes pinned", "1,024": "handshakes free, 1,024 ranks", "16,384": "handshakes free, 16,384 ranks"}
    plot(here / "handshake_cpu.svg", "CPU of the server per handshake, by ranks registered", "microseconds",
         {s: [middle(c, s, "cpu_ns") / 1000 for c in by_ranks.values()] for s in SERVERS}, list(by_ranks))
    stalled = (0, 1, 16, 1024)
    plot(here / "stalled.svg", "p99 of handshakes beside connections that stall (libpmix: never with 1)", "milliseconds",
         {"pmixio": [middle(f"handshakes beside {n} stalled", "pmixio", "p99_ns") / 1e6 for n in stalled]}, [f"{n:,}" for n in stalled])
    held = next(cell for cell in results if cell.startswith("hold"))
    plot(here / "memory.svg", f"Memory of the server per connection, {held.removeprefix('hold ')} of them", "bytes",
         {s: [middle(held, s, "bytes_each"), middle(held, s, "kept_each")] for s in SERVERS}, ["held", "after their end"])


results, parsing = measure(), codecs()
rows = table(results, parsing)
print_table(rows)
about = machine.about() | {"rounds": rounds, "quick": args.quick}
print(f"\n{about['date']}, {about['cores']} cores, {about['model']}, {rounds} rounds, {about['versions']}")
(here / "results.json").write_text(json.dumps({"machine": about, "table": rows, "rounds": results, "codecs": parsing}, indent=1))
plots(results)
