"""storm.py PMIXRUN SECONDS: raw clients, good and bad ones, batches of them from several processes, some of which are killed at
random moments, storm one server. Descriptors and memory are looked at meanwhile: both stay flat, and a good client is served
afterwards. A line for each sample says how long, how many connections a second, KiB resident and descriptors.

--processes N: that storm, besides those that are killed. --rate N: about so many connections of theirs a second. --samples N:
lines in all. --seed N"""
import argparse
import collections
import contextlib
import json
import mmap
import os
import pathlib
import random
import select
import signal
import socket
import struct
import sys
import time
import traceback

import peers

parser = argparse.ArgumentParser()
parser.add_argument("pmixrun")
parser.add_argument("seconds", type=float)
parser.add_argument("--rate", type=float)
parser.add_argument("--processes", type=int, default=2)
parser.add_argument("--samples", type=int, default=20)
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()

BATCH = 32
GROWTH = 1024  # KiB that may come late
NSPACE = "served"
SUCCESS, UNPACK_FAILURE, BAD_PARAM, NOT_FOUND, PARTIAL_SUCCESS = 0, -20, -27, -46, -52

# Requests as v41 has them, in a buffer without descriptions: messages.md sections 3 to 7.

def flex(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def text(s):
    return b"\x02" + flex(2 * (len(s) + 1)) + s.encode() + b"\0"


def process(rank):
    return text(NSPACE)[1:] + flex(rank)


ALL = process(2**32 - 2)
REQ, FINALIZE = b"\x02\x00", b"\x02\x05"


def commit(n):
    data = text("k") + b"\x0e" + flex(n)
    return b"\x02\x02\x02\x01\x02\x01" + flex(len(data)) + data


def get(rank, key):
    return b"\x02\x04" + text(NSPACE) + b"\x02" + flex(rank) + b"\x02\0" + text(key)


def fence(*processes):
    return b"\x02\x03\x02" + flex(len(processes)) + flex(2 * len(processes)) + b"".join(processes) + b"\x02\0"


class Client:
    def __init__(self, address):
        self.socket = socket.socket()
        self.socket.connect(address)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 60, 0))
        self.tag = 100

    def send(self, data):
        self.socket.sendall(data)

    def read(self, n):
        data = b""
        while len(data) < n:
            piece = self.socket.recv(n - len(data))
            if not piece:
                raise EOFError(f"end of stream after {len(data)} of {n} bytes")
            data += piece
        return data

    def hello(self, rank):
        self.send(peers.handshake(NSPACE, rank, version=b"4.2.2", encoding=b"v41"))

    def joined(self):
        reply = self.read(8)
        assert reply[:4] == bytes(4), f"a good client was refused: {reply.hex()}"

    def ask(self, *requests):
        for payload in requests:
            self.tag += 1
            self.send(struct.pack("!iIII", 0, self.tag, len(payload), 0) + payload)

    def answer(self):
        _, tag, size, _ = struct.unpack("!iIII", self.read(16))
        return tag, self.read(size)

    def status(self, expected):
        tag, payload = self.answer()
        assert tag == self.tag, f"an answer to {tag}, not to {self.tag}"
        assert payload == b"\x02" + flex(2 * expected if expected >= 0 else -2 * expected - 1), \
            f"{payload.hex()}, not status {expected}"

    def end(self):
        assert self.socket.recv(1) == b"", "more than the last answer"
        self.socket.close()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# Scripts: a client of rank `self`, another of rank `other`. They give way where the server has to do something, so that a
# batch of them waits for it once.

def close_at_once(connect, self, other):
    connect().close()
    yield


def reset_in_handshake(connect, self, other):
    client = connect()
    whole = peers.handshake(NSPACE, self)
    client.send(whole[:random.randrange(len(whole))])
    if random.random() < 0.5:
        yield
    client.reset()


def close_in_handshake(connect, self, other):
    client = connect()
    whole = peers.handshake(NSPACE, self)
    client.send(whole[:random.randrange(len(whole))])
    client.close()
    yield


def refused(connect, self, other):
    client = connect()
    client.send(peers.handshake("nosuch", 0, version=b"6.1.0", encoding=b"v41"))
    yield
    assert client.read(4) == struct.pack("!i", NOT_FOUND), "a stranger was not told so"
    client.end()


def close_before_reply(connect, self, other):
    client = connect()
    client.hello(self)
    client.close()
    yield


def admitted(connect, *ranks):
    clients = [connect() for _ in ranks]
    for client, rank in zip(clients, ranks):
        client.hello(rank)
    yield
    for client in clients:
        client.joined()
    return clients


def reset_after_reply(connect, self, other):
    client, = yield from admitted(connect, self)
    client.reset()


def reset_with_requests(connect, self, other):
    client, = yield from admitted(connect, self)
    client.ask(REQ, commit(1), get(other, "never"), fence(ALL))
    if random.random() < 0.5:
        yield
    client.reset()


def whole_life(connect, self, other):
    client, = yield from admitted(connect, self)
    n = random.getrandbits(32)
    client.ask(REQ, commit(n), get(self, "k"))
    yield
    tag, data = client.answer()
    assert tag == 101 and NSPACE.encode() in data, "no job data"
    tag, data = client.answer()
    assert (tag, data) == (102, b"\x02\0"), "no commit"
    tag, data = client.answer()
    assert tag == 103 and data.startswith(b"\x02\0") and text("k") + b"\x0e" + flex(n) in data, "not what was committed"
    client.ask(FINALIZE)
    yield
    client.status(SUCCESS)
    client.close()


def get_from_the_lost(connect, self, other):
    client, target = yield from admitted(connect, self, other)
    client.ask(get(other, "never"))
    if random.random() < 0.5:
        yield
    random.choice((target.reset, target.close))()
    yield
    client.status(NOT_FOUND)
    client.close()


def fence_of_two(connect, self, other):
    both = yield from admitted(connect, self, other)
    for client in both:
        client.ask(fence(process(self), process(other)))
    yield
    for client in both:
        client.status(SUCCESS)
        client.close()


def fence_with_the_lost(connect, self, other):
    client, lost = yield from admitted(connect, self, other)
    client.ask(fence(process(self), process(other)))
    random.choice((lost.reset, lost.close))()
    yield
    client.status(PARTIAL_SUCCESS)
    client.close()


def message_too_large(connect, self, other):
    client, = yield from admitted(connect, self)
    client.tag += 1
    client.send(struct.pack("!iIII", 0, client.tag, random.choice((2**32 - 1, (32 << 20) + 1)), 0))
    yield
    client.status(BAD_PARAM)
    client.end()


def heartbeats(connect, self, other):
    client, = yield from admitted(connect, self)
    client.send(struct.pack("!iIII", 0, 1, 0, 0) * random.randrange(20))
    client.ask(commit(2))
    yield
    client.status(SUCCESS)
    client.close()


def malformed(connect, self, other):
    client, = yield from admitted(connect, self)
    client.ask(fence(process(self))[:-random.randrange(1, 4)])
    yield
    client.status(UNPACK_FAILURE)
    client.close()


SCRIPTS = [close_at_once, reset_in_handshake, close_in_handshake, refused, close_before_reply, reset_after_reply,
           reset_with_requests, whole_life, get_from_the_lost, fence_of_two, fence_with_the_lost, message_too_large, heartbeats,
           malformed]


def batches(address, first_rank, counts):
    """Each with ranks of its own for every script in it. Yields the number of connections so far."""
    connections = 0

    def connect():
        nonlocal connections
        connections += 1
        return Client(address)

    while True:
        playing = []
        for i in range(BATCH):
            script = random.choice(SCRIPTS)
            counts[script.__name__] += 1
            playing.append((script, script(connect, first_rank + 2 * i, first_rank + 2 * i + 1)))
        while playing:
            for each in playing[:]:
                try:
                    next(each[1])
                except StopIteration:
                    playing.remove(each)
                except Exception as e:
                    raise AssertionError(f"{each[0].__name__}: {e!r}") from e
        yield connections


# Processes: each ends when its end of a pair of sockets does, and says on it what it has done.

class Process:
    def __init__(self, work, *arguments):
        self.link, its = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.link.close()
            try:
                work(its, *arguments)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        its.close()

    def done(self):
        """What it has said."""
        self.link.shutdown(socket.SHUT_WR)
        said = peers.answer(self.link)
        self.link.close()
        _, status = os.waitpid(self.pid, 0)
        assert status == 0, f"a process of the storm ended with {status}"
        return json.loads(said)


def asked_to_end(link, timeout=0.0):
    return bool(select.select([link], [], [], max(timeout, 0))[0])


def ahead(connections, rate, begin):
    """Seconds that the rate asks to wait."""
    return connections / rate - (time.monotonic() - begin) if rate else 0


def storm(link, address, number, seed, rate):
    random.seed(seed)
    counts = collections.Counter()
    begin = time.monotonic()
    for connections in batches(address, number * width, counts):
        struct.pack_into("=Q", progress, 8 * number, connections)
        if asked_to_end(link, ahead(connections, rate, begin)):
            break
    link.sendall(json.dumps({"connections": connections, "scripts": counts}).encode())


def kill_at_random(link, address, first_rank, seed, rate):
    """One process after the other that storms until it is killed: in most lives for one batch."""
    killed, begin = 0, time.monotonic()
    random.seed(seed)
    while not asked_to_end(link, ahead(killed * BATCH, rate, begin)):
        seed += 1
        victim = os.fork()
        if victim == 0:
            random.seed(seed)
            with contextlib.suppress(BaseException):  # what its predecessor left may answer it
                for _ in batches(address, first_rank, collections.Counter()):
                    pass
            os._exit(0)
        asked_to_end(link, random.uniform(0.01, 0.2))
        os.kill(victim, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(victim, 0)[1])
    link.sendall(json.dumps(killed).encode())


# The server seen from outside.

def resident(pid):
    return int(next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                    if line.startswith("VmRSS:")).split()[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def good_client(server):
    client = Client(server.address)
    client.hello(0)
    client.joined()
    client.ask(REQ)
    assert NSPACE.encode() in client.answer()[1], "a good client was not served"
    client.socket.shutdown(socket.SHUT_WR)
    client.end()  # now the server has counted it out


sanitized = any(name in pathlib.Path(args.pmixrun).read_bytes() for name in (b"__asan_init", b"__tsan_init"))
width = 2 * BATCH  # ranks of one process
progress = mmap.mmap(-1, 8 * args.processes)  # connections that each has made
with peers.Server(args.pmixrun, "--timeout", str(args.seconds + 600), ranks=(args.processes + 1) * width,
                  nspace=NSPACE) as server:
    pid = server.process.pid
    good_client(server)
    idle = descriptors(pid)
    rate = args.rate / args.processes if args.rate else None
    storming = [Process(storm, server.address, i, args.seed * 1000 + i, rate) for i in range(args.processes)]
    killing = Process(kill_at_random, server.address, args.processes * width, args.seed, rate)

    begin = time.monotonic()
    samples, last = [], 0
    every = args.seconds / args.samples
    for n in range(1, args.samples + 1):
        while (left := begin + n * every - time.monotonic()) > 0:
            time.sleep(left)
            assert server.process.poll() is None, server.said()
        seen = sum(struct.unpack(f"={args.processes}Q", progress))
        samples.append(resident(pid))
        print(f"{time.monotonic() - begin:8.1f} s {(seen - last) / every:8.0f}/s {samples[-1]:8} KiB {descriptors(pid):5}",
              flush=True)
        last = seen

    said = [each.done() for each in storming]
    took = time.monotonic() - begin
    killed = killing.done()
    connections = sum(each["connections"] for each in said)
    scripts = sum((collections.Counter(each["scripts"]) for each in said), collections.Counter())
    print(f"{connections} connections, {connections / took:.0f}/s; {killed} processes killed")
    for name, count in sorted(scripts.items()):
        print(f"{count:8} {name}")
    assert killed and set(scripts) == {each.__name__ for each in SCRIPTS}, scripts

    limit = time.monotonic() + 30
    while descriptors(pid) != idle and time.monotonic() < limit:
        time.sleep(0.1)
    assert descriptors(pid) == idle, f"{descriptors(pid)} descriptors, {idle} when idle"
    good_client(server)
    counters = server.stop()
    assert counters["accepted"] >= connections / 2 and counters["malformed"], counters

    third = samples[len(samples) // 3 - 1]
    if sanitized:
        print("memory: not judged, a sanitizer keeps what is freed")
    else:
        print(f"memory: {third} KiB after a third, {samples[-1]} KiB at the end")
        assert samples[-1] <= third + GROWTH, "memory grows"
