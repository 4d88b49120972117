"""tool_to_libpmix.py TOOL TOOL_SERVER: examples/tool against a libpmix server. It is given an identity or keeps the one it
brings, asks in every encoding, and leaves in good order; and it says why it is not let in."""
import pathlib
import re
import subprocess
import sys
import tempfile

tool, program = sys.argv[1], sys.argv[2]
if not pathlib.Path(program).exists():
    sys.exit(77)


class Server:
    def __init__(self, *arguments):
        self.directory = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([program, self.directory.name, *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.uri = self.process.stdout.readline().strip()
        if not re.fullmatch(r"\S+\.\d+;tcp4://127\.0\.0\.1:\d+", self.uri):
            raise RuntimeError(f"not a URI: {self.uri!r}")

    def stop(self):
        """Its exit status and the lines it wrote."""
        out, _ = self.process.communicate(timeout=60)  # closes its stdin
        return self.process.returncode, out.splitlines()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.directory.cleanup()


def start(uri, *arguments):
    return subprocess.Popen([tool, "--uri", uri, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def check(running, status, out, err=""):
    said = running.communicate(timeout=60)
    assert (running.returncode, *said) == (status, out, err), (running.args, running.returncode, said)


with Server() as server:
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

    status, lines = server.stop()
    connected = [line for line in lines if line.startswith("connected")]
    assert connected[:6] == heard and len(connected) == 14, lines
    assert len([line for line in lines if line.endswith(" pmix.qry.ns")]) == 14, lines
    assert (status, lines[-1]) == (0, "stopped SUCCESS"), (status, lines)
    check(start(server.uri), 1, "", "tool: no session: Connection refused\n")

# The 4.2.2 server crashes when a tool leaves that its host has refused: one question only.
with Server("refuse") as server:
    check(start(server.uri), 1, "", "tool: no session: not_supported\n")

check(start("s.0;tcp4://127.0.0.1:1", "--as", "nobody"), 2, "", "usage: tool --uri NSPACE.RANK;tcp4://ADDRESS:PORT "
      "[--as NSPACE.RANK] [--encodings LIST] [KEY...]\n")
for wrong in ("", "x", "s.0", "s.0;tcp4://", "s.0;tcp4://127.0.0.1", "s.0;tcp4://127.0.0.1:x", "s.0;tcp4://127.0.0.1:70000",
              "s;tcp4://127.0.0.1:1", ".0;tcp4://127.0.0.1:1", "s.0;tcp4://localhost:1"):
    running = start(wrong)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "") and err.startswith("usage: "), (wrong, running.returncode, out, err)
