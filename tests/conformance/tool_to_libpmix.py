"""tool_to_libpmix.py TOOL LIBPMIX_SERVER: examples/tool against a libpmix server. It is given an identity or keeps the one it
brings, asks in every encoding, and leaves in good order; and it says why it is not let in."""
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

from peers import LibpmixServer

tool, program = sys.argv[1], sys.argv[2]
if not pathlib.Path(program).exists():
    sys.exit(77)


def stop(server):
    """Its exit status and the lines it wrote."""
    out, _ = server.process.communicate(timeout=60)  # closes its stdin
    return server.process.returncode, out.splitlines()


def look(directory, *arguments):
    """The tool, told by its environment where contact files are."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("PMIX_")}
    own |= {"PMIX_SERVER_TMPDIR": directory, "PMIX_SYSTEM_TMPDIR": directory}
    return subprocess.Popen([tool, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=own)


def start(uri, *arguments):
    return look("/nonexistent", "--uri", uri, *arguments)


def check(running, status, out, err=""):
    said = running.communicate(timeout=60)
    assert (running.returncode, *said) == (status, out, err), (running.args, running.returncode, said)


with LibpmixServer(program) as server:
    name = server.uri.split(";")[0]
    heard = []
    for n, encoding in enumerate(("v41", "v3", "v21")):
        check(start(server.uri, "--encodings", encoding), 0,
              f"toolns{2 * n}.0 is connected to {name}\npmix.qry.ns: alpha,beta\n")
        check(start(server.uri, "--encodings", encoding, "--as", f"mine{n}.{n}", "pmix.qry.ns", "no.such.key"), 1,
              f"mine{n}.{n} is connected to {name}\npmix.qry.ns: alpha,beta\n", "tool: no.such.key: not_found\n")
        heard += [f"connected toolns{2 * n}.0 assigned", f"connected mine{n}.{n} brought"]

    together = [start(server.uri, "--as", f"crowd{n}.0") for n in range(8)]
    for n, running in enumerate(together):
        check(running, 0, f"crowd{n}.0 is connected to {name}\npmix.qry.ns: alpha,beta\n")

    status, lines = stop(server)
    connected = [line for line in lines if line.startswith("connected")]
    assert connected[:6] == heard and len(connected) == 14, lines
    assert len([line for line in lines if line.endswith(" pmix.qry.ns")]) == 14, lines
    assert (status, lines[-1]) == (0, "stopped SUCCESS"), (status, lines)
    check(start(server.uri), 1, "", "tool: no session: Connection refused\n")

# The 4.2.2 server crashes when a tool leaves that its host has refused: one question only.
with LibpmixServer(program, "refuse") as server:
    check(start(server.uri), 1, "", "tool: no session: not_supported\n")

with tempfile.TemporaryDirectory() as directory:
    early = [look(directory, "--wait", "60", *how) for how in ([], ["--system"])]
    time.sleep(0.3)  # most likely both wait by now; if not, this shows less, not something else
    with LibpmixServer(program, directory=directory) as server:
        name = server.uri.split(";")[0]
        host = socket.gethostname().split(".")[0]
        for running in early:
            out, err = running.communicate(timeout=60)
            assert (running.returncode, err) == (0, "") and f" is connected to {name}\n" in out, (out, err)
        files = (f"{directory}/pmix.sys.{host}", f"{directory}/pmix.{host}.tool.{server.process.pid}")
        for how in (["--pid", str(server.process.pid)], ["--nspace", name[:name.rindex(".")]], ["--system"],
                    ["--system-first"], ["--attach", files[0]], ["--uri", f"file:{files[1]}"], ["--uri", server.uri], []):
            running = look(directory, *how, "--as", "mine.0")
            check(running, 0, f"mine.0 is connected to {name}\npmix.qry.ns: alpha,beta\n")
        check(look(directory, "--pid", "1"), 1, "", "tool: no server: no_server\n")
        check(look(directory, "--nspace", "other"), 1, "", "tool: no server: no_server\n")

        os.mkdir(f"{directory}/second")
        with LibpmixServer(program, directory=f"{directory}/second") as second:
            check(look(directory), 1, "", "tool: no server: ambiguous_server\n")
            check(look(directory, "--system-first", "--as", "mine.0"), 0,
                  f"mine.0 is connected to {name}\npmix.qry.ns: alpha,beta\n")
        # Its files are still there, and it is dead: that leaves one.
        check(look(directory, "--as", "mine.0"), 0, f"mine.0 is connected to {name}\npmix.qry.ns: alpha,beta\n")
    check(look(directory), 1, "", "tool: no server: no_server\n")

for wrong in (["--as", "nobody"], ["--as"], ["--pid", "x"], ["--wait", ""], ["--nonsense", "1"]):
    running = look("/nonexistent", *wrong)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "") and re.match("tool: .*\nusage: tool ", err), (wrong, running.returncode, out, err)
for wrong in ("", "x", "s.0", "s.0;tcp4://", "s.0;tcp4://127.0.0.1", "s.0;tcp4://127.0.0.1:x", "s.0;tcp4://127.0.0.1:70000",
              "s;tcp4://127.0.0.1:1", ".0;tcp4://127.0.0.1:1", "s.0;tcp4://localhost:1"):
    check(start(wrong), 1, "", "tool: no server: bad_uri\n")
