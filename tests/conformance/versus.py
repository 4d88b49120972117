"""versus.py PMIXRUN LIBPMIX_SERVER: hostile peers, each against a fresh pmixrun --serve and a fresh libpmix server, and what
becomes of the server and its good clients: one that was there before, newcomers of another rank, newcomers of the rank that the
hostile peer names. Prints a Markdown table. Fails unless pmixrun serves on every time; what libpmix does is only told."""
import contextlib
import multiprocessing
import os
import pathlib
import random
import resource
import socket
import struct
import subprocess
import sys
import time

import peers

SERVED = "served on"
NSPACE = "versus"
ATTACKED, OTHER, WITNESS = 0, 1, 2  # ranks
nobody = 65534


class Attack:
    """What a hostile peer has open, and how it does things to a server that may do anything."""

    def __init__(self, server, patience):
        self.server, self.patience, self.open = server, patience, contextlib.ExitStack()
        self.trouble = None  # that only the hostile peer can see

    def request(self, **choices):
        choices = {"nspace": self.server.nspace, "rank": ATTACKED, "version": b"6.1.0", "encoding": b"v41"} | choices
        return peers.handshake(**choices)

    def send(self, data, connection=None):
        if connection is None:
            connection = self.open.enter_context(self.server.connect(self.patience))
        with contextlib.suppress(OSError):  # it may be closed already, or not be read
            connection.sendall(data)
        return connection

    def sent(self, data, size=4):
        """send, for what leads to an answer of that size, or an end: that is waited for, within reason."""
        connection = self.send(data)
        connection.settimeout(1)
        with contextlib.suppress(OSError):
            peers.receive(connection, size)
        return connection

    def admitted(self, data):
        """The same from who was a good client until now."""
        connection = self.open.enter_context(self.server.connect(self.patience))
        peers.join(connection, self.server.nspace, ATTACKED)
        return self.send(data, connection)

    def message(self, payload, **choices):
        return self.admitted(peers.message(payload, **choices))


# Attacks. What they leave open is held while the others are looked at.

def request_of_length(attack, n):
    attack.send(attack.request()[:8] + struct.pack("=II", n, 0) + b"n")


def credential_of_length(attack, n):
    whole = attack.request()
    attack.sent(whole[:23] + struct.pack("!I", n) + whole[27:])


def refused_twice(attack):
    with contextlib.suppress(ConnectionRefusedError):  # the second time
        for _ in range(2):
            attack.sent(attack.request(credential=struct.pack("=II", 12345, 54321)))


def as_nobody(attack, **choices):
    if peers.status_as(lambda: peers.become_user(nobody), attack.server.address, attack.request(**choices)) == 0:
        attack.trouble = "believed"


def leaves_after(start):
    """Closing and resetting in turn: an answer to who is gone is a SIGPIPE."""
    with contextlib.suppress(OSError):  # of a server that is gone
        for n in range(20):
            connection = start()
            if n % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


def split_header(attack):
    whole = peers.message(b"\x02\x00")
    connection = attack.admitted(whole[:7])
    time.sleep(0.3)
    attack.send(whole[7:], connection)
    with contextlib.suppress(OSError):
        if peers.frame(connection):
            return
    attack.trouble = "never answers that peer"


def gives_up_behind(attack, data):
    attack.send(data)
    attack.send(attack.request(rank=OTHER)).close()


garbage = random.Random(4).randbytes(4096)
many = b"\x02" + peers.flex(2**62)  # a count (messages.md section 3)
everybody = b"\x02\x01\x02" + peers.flex(2 * len(NSPACE) + 2) + NSPACE.encode() + b"\0" + peers.flex(2**32 - 2)
attacks = {
    "nothing hostile, for control": lambda a: None,
    "connects, says nothing": lambda a: a.send(b""),
    "sends half a header": lambda a: a.send(a.request()[:8]),
    "sends a header": lambda a: a.send(a.request()[:16]),
    "sends a header and half of the payload": lambda a: a.send(a.request()[:50]),
    "sends a header that claims 131,072 bytes, and one": lambda a: request_of_length(a, 131072),
    "sends a header that claims 2^32-1 bytes, and one": lambda a: request_of_length(a, 2**32 - 1),
    "sends a header, and a good client behind it gives up": lambda a: gives_up_behind(a, a.request()[:16]),
    "credential length 2^32-1": lambda a: credential_of_length(a, 2**32 - 1),
    "credential length 2^31-1": lambda a: credential_of_length(a, 2**31 - 1),
    "credential length 131,072": lambda a: credential_of_length(a, 131072),
    "refused credential, twice for a rank": refused_twice,
    "unknown flag": lambda a: a.sent(a.request(flag=11)),
    "empty name of a data store": lambda a: a.sent(a.request(store=b"")),
    "a tool with 2^63 attributes": lambda a: a.sent(a.request(flag=3, nspace=None, infos=b"\x02" + peers.flex(2**63))),
    "a tool without a name, that leaves": lambda a: a.sent(a.request(flag=3, nspace=None), 528).close(),
    "a tool named like a client, that leaves": lambda a: a.sent(a.request(flag=4), 268).close(),
    "leaves right after its handshake request, 20 times": lambda a: leaves_after(lambda: a.send(a.request())),
    "leaves right after its first message, 20 times": lambda a: leaves_after(lambda: a.message(b"\x02\x00")),
    "garbage instead of a handshake": lambda a: a.send(garbage),
    "garbage after the handshake": lambda a: a.admitted(garbage),
    "a message header that claims 2^32-1 bytes": lambda a: a.message(b"", size=2**32 - 1),
    "a message header in two segments": split_header,
    "a commit of a million nested arrays": lambda a: a.message(peers.nested_commit(1000000)),
    "an unknown command": lambda a: a.message(b"\x02\x63"),
    "a fence of 2^62 processes without their names": lambda a: a.message(b"\x02\x03" + many),
    "a fence with 2^62 attributes without their bodies": lambda a: a.message(b"\x02\x03" + everybody + many),
    "an event with 2^62 attributes without their bodies": lambda a: a.message(b"\x02\x0c\x02\x5b\x02\x02" + many),
}
if os.geteuid() == 0:  # to become somebody else
    attacks |= {
        "a client of another user that claims to be ours": as_nobody,
        "a tool of another user that claims to be ours": lambda a: as_nobody(a, flag=3, nspace=None),
    }


# Good clients: "served", "silent" if that takes longer than they can wait, or "turned away".

def how(serve, deadline):
    try:
        serve(max(deadline - time.monotonic(), 0.1))
        return "served"
    except TimeoutError:
        return "silent"
    except OSError:
        return "turned away"


def ask(connection, tag):
    peers.ask_for_job_data(connection, tag)
    while got := peers.frame(connection):
        if got[0] == tag:
            assert NSPACE.encode() in got[1], f"not job data: {got[1]}"
            return
    raise ConnectionResetError


class Witness:
    """A client that is there before, and stays."""

    def __init__(self, server, patience):
        self.tag = 100
        self.connection = server.connect(patience)
        peers.join(self.connection, server.nspace, WITNESS)

    def serve(self, timeout):
        self.connection.settimeout(timeout)
        self.tag += 1
        ask(self.connection, self.tag)


def newcomer(server, rank, waiting):
    """Closes its connection when it was served, and otherwise leaves it open in `waiting`."""
    def serve(timeout):
        connection = waiting.enter_context(server.connect(timeout))
        peers.join(connection, server.nspace, rank)
        ask(connection, 101)
        connection.sendall(peers.message(b"\x02\x05", 102))  # finalize
        peers.frame(connection)
        connection.close()
    return serve


def look(server, witness, waiting, patience):
    """How each fares, who was there before first."""
    deadline = time.monotonic() + patience
    return [how(serve, deadline) for serve in (witness.serve, newcomer(server, OTHER, waiting),
                                               newcomer(server, ATTACKED, waiting))]


def whom(fared, what):
    return {(True, False, False): "the client that was there", (False, True, True): "newcomers",
            (False, False, True): "newcomers of that rank"}.get(tuple(each == what for each in fared), "others")


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def dead(process, patience=0):
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    return process.returncode is not None


def troubles(server, attack, patience):
    """What is wrong with it, short of its end, in the order of events."""
    witness = Witness(server, patience)
    with witness.connection:
        before = descriptors(server)
        with contextlib.ExitStack() as waiting:
            first = look(server, witness, waiting, patience)
            assert first == ["served"] * 3, f"before anything was done: {first}\n{server.said()}"
            hostile = Attack(server, patience)
            with hostile.open:
                attack(hostile)
                time.sleep(0.3)  # most likely it is noticed by now; if not, the server looks better than it is
                if hostile.trouble:
                    yield hostile.trouble
                held = look(server, witness, waiting, patience)
            after = look(server, witness, waiting, patience)
        if dead(server.process, patience if "turned away" in held + after else 0):
            if "silent" in held:
                yield f"stalled {whom(held, 'silent')} as long as held ({patience} s)"
            return
        for fared, when in (held, "meanwhile"), (after, "afterwards"):
            if "turned away" in fared:
                yield f"turns {whom(fared, 'turned away')} away {when}"
        if "silent" in after:
            yield "hangs afterwards" + ("" if after[0] == "silent" else f" for {whom(after, 'silent')}")
            return
        if "silent" in held:
            yield f"stalled {whom(held, 'silent')} as long as held ({patience} s)"

        deadline = time.monotonic() + patience
        while (leaked := descriptors(server) - before) > 0 and time.monotonic() < deadline and not dead(server.process):
            time.sleep(0.05)
        if leaked > 0:
            yield f"leaked {leaked} descriptors" if leaked > 1 else "leaked a descriptor"


# Silence of libpmix is waited for in every run, that of pmixrun only when it fails. What is held stays held: no deadline of
# the server comes before.
def libpmix():
    return peers.LibpmixServer(program, nspace=NSPACE), 5


def pmixio():
    return peers.Server(pmixrun, "--handshake-timeout", "60", nspace=NSPACE), 30


def outcome(tried):
    start, name = tried
    server, patience = start()
    with server:
        found = list(troubles(server, attacks[name], patience))
        status = server.process.poll()
        if status is not None:
            found.append(f"crashed (signal {-status})" if status < 0 else f"ended (status {status})")
        if start is pmixio and not found:
            server.stop()
        elif start is pmixio:
            print(server.said(), file=sys.stderr)
    return ", ".join(found) or SERVED


if __name__ == "__main__":
    pmixrun, program = sys.argv[1:]
    if not pathlib.Path(program).exists():
        sys.exit(77)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with libpmix()[0] as server:
        contact = pathlib.Path(server.directory.name) / f"pmix.{peers.host()}.tool.{server.process.pid}"
        release = contact.read_text().splitlines()[1]
    wrong = 0
    print(f"| case | libpmix {release} | pmixrun |\n|---|---|---|")
    with multiprocessing.Pool(4) as pool:
        outcomes = pool.imap(outcome, [(start, name) for name in attacks for start in (libpmix, pmixio)])
        for name in attacks:
            theirs, ours = next(outcomes), next(outcomes)
            print(f"| {name} | {theirs} | {ours} |", flush=True)
            wrong += ours != SERVED
    sys.exit(f"pmixrun did not serve on {wrong} times" if wrong else 0)
