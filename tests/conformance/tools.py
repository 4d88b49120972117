"""tools.py PMIXRUN PROGRAMS-DIR: real tools attach to pmixrun --serve: by URI, by pid, namespace, system and attachment file,
and by search."""
import os
import pathlib
import subprocess
import sys

import peers

pmixrun, programs = sys.argv[1], pathlib.Path(sys.argv[2])
tool = programs / "tool"
if not tool.exists():
    sys.exit(77)


def run(server, *command, status=0):
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PMIX_", "OMPI_", "PRTE_"))}
    own |= {"PMIX_SERVER_TMPDIR": server.directory.name, "PMIX_SYSTEM_TMPDIR": server.directory.name,
            "TMPDIR": server.directory.name}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, env=own,
                          stdin=subprocess.DEVNULL)
    assert status is None or done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


with peers.Server(pmixrun, "--session-tool", "--system-tool", ranks=3) as server:
    directory = pathlib.Path(server.directory.name)
    files = {path.name for path in directory.glob("pmix.*")}
    assert files == {f"pmix.sys.{peers.host()}", f"pmix.{peers.host()}.tool.{server.process.pid}",
                     f"pmix.{peers.host()}.tool.{server.name}"}, files
    attachment = directory / f"pmix.{peers.host()}.tool.{server.name}"
    assert attachment.read_text().splitlines()[0] == server.uri

    ways = ([f"uri={server.uri}"], [f"uri=file:{attachment}"], [f"pid={server.process.pid}"], [f"nspace={server.name}"],
            [f"attach={attachment}"], ["system"], ["system-first"], [])
    who = ([], ["name=mytool:4"], ["launcher"], ["launcher", "name=mylauncher:0"])
    for way in ways:
        for name in who:
            run(server, tool, server.nspace, server.ranks, *way, *name)
    attached = len(ways) * len(who)

    run(server, programs / "scale")  # a singleton: started by nobody, it looks for the system's server
    # The distribution's own tools. pquery and plookup of libpmix 4.2.2 crash, whatever the server: pquery before it
    # connects, plookup before it asks.
    assert f"Active nspaces: {server.nspace}\n" in run(server, "pps").stderr
    run(server, "pattrs", "--client", "all")
    run(server, "pevent", "--event", "-147", "--range", "PMIX_RANGE_LOCAL")
    run(server, "plookup", "key", status=None)
    run(server, "pquery", "PMIX_QUERY_NAMESPACES", status=None)
    python = subprocess.run([peers.system_python(), str(programs / "tool.py"), server.nspace], capture_output=True, text=True,
                            timeout=60, env=os.environ | {"PMIX_SERVER_TMPDIR": str(directory), "PMIX_SYSTEM_TMPDIR": str(directory)})
    assert python.returncode == 0, python.stdout + python.stderr

    counters = server.stop()
    assert counters["admitted"] >= attached + 4, counters
    assert counters["refused"] == 0 and counters["malformed"] == 0, counters
    left = {path.name for path in directory.glob("pmix*")}
    assert not left, f"left behind: {left}"
    print(f"{counters['admitted']} tools were attached")
