"""A server under test, real clients for it, and handshakes written by hand (handshake.md sections 2 and 3)."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tempfile


def handshake(nspace, rank, security=b"native", credential=None, version=b"3.2.5", encoding=b"v3"):
    if credential is None:
        credential = struct.pack("=II", os.geteuid(), os.getegid()) if security == b"native" else b""
    payload = (security + b"\0" + struct.pack("!I", len(credential)) + credential + b"\0" + nspace.encode() + b"\0" +
               struct.pack("!I", rank) + version + b"\0" + encoding + b"\0\x01hash\0")
    return struct.pack("=iIII", -1, 0xFFFFFFFF, len(payload), 0) + payload


def system_python():
    """The distribution's Python has the distribution's bindings."""
    return shutil.which("python3", path=os.defpath)


def host():
    """This machine's name in the names of contact files."""
    return socket.gethostname().split(".")[0]


class Server:
    """pmixrun --serve on a free port of the loopback interface. All its files are in one directory."""

    def __init__(self, pmixrun, *options, ranks=4, nspace="served"):
        self.ranks, self.nspace = ranks, nspace
        self.directory = tempfile.TemporaryDirectory()
        self.stats_file = pathlib.Path(self.directory.name) / "stats.json"
        os.chmod(self.directory.name, 0o755)
        self.log = tempfile.TemporaryFile("w+")  # a pipe that nobody reads would stop it when it is full
        self.process = subprocess.Popen(
            [pmixrun, "--serve", "-n", str(ranks), "--nspace", nspace, "--tmpdir", self.directory.name,
             "--system-tmpdir", self.directory.name, "--stats", str(self.stats_file), "--timeout", "100", *options],
            stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, text=True)
        ready = self.process.stdout.readline()
        found = re.fullmatch(r"READY (\S+;tcp[46]://(\S+):(\d+))\n", ready)
        if not found:
            raise RuntimeError(f"not ready: {ready!r} {self.said()}")
        self.uri, self.address = found[1], (found[2], int(found[3]))
        self.name = self.uri[:self.uri.rindex(".", 0, self.uri.index(";"))]

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def connect(self):
        return socket.create_connection(self.address, timeout=60)

    def client_environment(self, rank, encodings=("21", "41")):
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PMIX_", "OMPI_", "PRTE_"))}
        own |= {"PMIX_NAMESPACE": self.nspace, "PMIX_RANK": str(rank), "PMIX_GDS_MODULE": "hash",
                "PMIX_SECURITY_MODE": "native", "PMIX_VERSION": "4.2.2"}
        return own | {f"PMIX_SERVER_URI{encoding}": self.uri for encoding in encodings}

    @contextlib.contextmanager
    def clients(self, command, environment_of):
        """All ranks of the job."""
        running = [subprocess.Popen(command, env=environment_of(rank), stdout=subprocess.DEVNULL)
                   for rank in range(self.ranks)]
        try:
            yield running
        finally:
            for each in running:
                each.kill()
                each.wait()

    def run_job(self, *command, environment_of=None):
        with self.clients(command, environment_of or self.client_environment) as running:
            statuses = [each.wait(timeout=90) for each in running]
        if any(statuses):
            raise AssertionError(f"clients ended with {statuses}")

    def stop(self):
        """Drains; the counters."""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            raise AssertionError(f"the server ended with {self.process.returncode}: {out}{self.said()}")
        counters = json.loads(self.stats_file.read_text())
        if counters["accepted"] != counters["admitted"] + counters["refused"] or counters["admitted"] != counters["closed"]:
            raise AssertionError(f"the counters do not add up: {counters}")
        return counters

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.log.close()
        self.directory.cleanup()


def answer(connection):
    """All that comes before the peer closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(4096):
            data += piece
    return data
