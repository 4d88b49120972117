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
import traceback


def handshake(nspace, rank, security=b"native", credential=None, version=b"3.2.5", encoding=b"v3", kind=1, flag=0,
              store=b"hash", infos=b""):
    """All but clients, flag 0, name their user, which is ours; without a namespace they name no process."""
    if credential is None:
        credential = struct.pack("=II", os.geteuid(), os.getegid()) if security == b"native" else b""
    user = struct.pack("!II", os.geteuid(), os.getegid()) if flag else b""
    process = nspace.encode() + b"\0" + struct.pack("!I", rank) if nspace is not None else b""
    payload = (security + b"\0" + struct.pack("!I", len(credential)) + credential + bytes([flag]) + user + process + version +
               b"\0" + encoding + b"\0" + bytes([kind]) + store + b"\0" + infos)
    return struct.pack("=iIII", -1, 0xFFFFFFFF, len(payload), 0) + payload


def receive(connection, n):
    data = b""
    while len(data) < n and (piece := connection.recv(n - len(data))):
        data += piece
    return data


def frame(connection):
    """Tag and payload of the next frame; nothing at the end."""
    header = receive(connection, 16)
    if len(header) < 16:
        return None
    _, tag, size, _ = struct.unpack("!iIII", header)
    return tag, receive(connection, size)


def join(connection, nspace, rank, kind=1):
    """Makes a client of it, that speaks v41."""
    connection.sendall(handshake(nspace, rank, version=b"6.1.0", encoding=b"v41", kind=kind))
    if receive(connection, 4) != bytes(4):
        raise ConnectionRefusedError("a good client was refused")
    receive(connection, 4)


def admitted(server, rank, kind=1):
    connection = server.connect()
    join(connection, server.nspace, rank, kind)
    return connection


def message(payload, tag=101, size=None):
    """A frame that says it has `size` bytes, by default as many as it has."""
    return struct.pack("!iIII", 0, tag, len(payload) if size is None else size, 0) + payload


def ask_for_job_data(connection, tag=101, described=False):
    connection.sendall(message(b"\x09\x02\x22\x00" if described else b"\x02\x00", tag))


def flex(n):
    """An unsigned integer (messages.md section 4)."""
    out = bytearray()
    while len(out) < 8 and n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def nested_commit(depth):
    """The payload of a commit in flex: one value, an array of an array of ... of nothing."""
    values = b"\x02\x04a\0\x27" + b"\x27\x01" * depth + b"\x0c\x00"
    return b"\x02\x02\x02\x01\x02\x01" + flex(len(values)) + values


def system_python():
    """The distribution's Python has the distribution's bindings."""
    return shutil.which("python3", path=os.defpath)


def host():
    """This machine's name in the names of contact files."""
    return socket.gethostname().split(".")[0]


def become_user(uid):
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def status_as(become, address, request):
    """The status that a process gets which first calls become(): the kernel remembers who made a socket. None: closed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            become()
            with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as connection:
                connection.settimeout(60)
                connection.connect(address)
                connection.sendall(request)
                os.write(write, connection.recv(4, socket.MSG_WAITALL))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    if os.waitpid(child, 0)[1] != 0:
        raise AssertionError("that process could not ask")
    return struct.unpack("!i", said)[0] if said else None


class Listening:
    """What is common to servers: `process`, its stderr in the file `log`, and where it is."""

    def located(self, line, before=""):
        found = re.fullmatch(before + r"((\S+)\.\d+;tcp[46]://(\S+):(\d+))\n", line)
        if not found:
            raise RuntimeError(f"not ready: {line!r} {self.said()}")
        self.uri, self.name, self.address = found[1], found[2], (found[3], int(found[4]))

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def connect(self, timeout=60):
        return socket.create_connection(self.address, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.log.close()
        if self.directory:
            self.directory.cleanup()


class LibpmixServer(Listening):
    """The program libpmix_server; with a namespace it serves the ranks of it."""

    def __init__(self, program, *arguments, directory=None, ranks=4, nspace=None):
        self.nspace = nspace
        self.directory = None if directory else tempfile.TemporaryDirectory()
        self.log = tempfile.TemporaryFile("w+")
        served = [nspace, str(ranks)] if nspace else []
        self.process = subprocess.Popen([program, directory or self.directory.name, *arguments, *served],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.located(self.process.stdout.readline())
        if served and self.process.stdout.readline() != f"registered {nspace}\n":
            raise RuntimeError(f"not registered: {self.said()}")


class Server(Listening):
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
        self.located(self.process.stdout.readline(), "READY ")

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


def answer(connection):
    """All that comes before the peer closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(4096):
            data += piece
    return data
