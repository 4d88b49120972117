"""hostile.py PMIXRUN VECTORS-DIR: recorded handshakes and messages, changed in every way that has a name here, and one server
for all of them. Each must have an outcome, and the same server serves a good client of the same rank right after it."""
import collections
import os
import pathlib
import re
import socket
import struct
import sys

import peers
from peers import admitted, ask_for_job_data, frame, receive

pmixrun, vectors = sys.argv[1], pathlib.Path(sys.argv[2])
NSPACE = "labns"  # of the recorded clients


class Recorded:
    """The bytes of a vector and its fields: (name, start, end)."""

    def __init__(self, name):
        text = (vectors / f"{name}.hex").read_text()
        self.name = name
        self.raw = bytes.fromhex("".join(line for line in text.splitlines() if line and line[0] != "#"))
        self.fields = [(f[0], int(f[1]), int(f[2])) for f in
                       re.findall(r"^# (\S+) +\[(\d+),(\d+)\)$", text, re.M)] or \
                      [(f[2], int(f[0]), int(f[1])) for f in re.findall(r"^# +(\d+)\.\.(\d+) +(\S+)", text, re.M)]
        assert self.fields, name


outcomes = collections.Counter()


def good_client(server, rank):
    with admitted(server, rank) as connection:
        ask_for_job_data(connection)
        tag, data = frame(connection)
        assert tag == 101 and NSPACE.encode() in data, "a good client was not served"
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 1) == b""  # now the server has counted it out


def send(connection, data):
    """Bytes at once, or a list of them one after the other."""
    if isinstance(data, bytes):
        return connection.sendall(data)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in data:
        connection.sendall(piece)


def pieces(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


# handshakes: (what, bytes, expected, whether the bytes end early). Expected: in, out, or None for either.

def request(parts):
    payload = b"".join(content for _, content in parts)
    return struct.pack("=iIII", -1, 0xFFFFFFFF, len(payload), 0) + payload


def changed(parts, name, content):
    return [(n, content if n == name else c) for n, c in parts]


def handshakes(recorded):
    base = [(name, recorded.raw[start:end]) for name, start, end in recorded.fields if name != "header"]
    own = struct.pack("=II", os.geteuid(), os.getegid())
    base = changed(base, "cred", own)
    base = changed(base, "uid", struct.pack("!I", os.geteuid()))
    base = changed(base, "gid", struct.pack("!I", os.getegid()))
    names = dict(base)
    whole = request(base)
    payload = whole[16:]
    client = names["flag"] == b"\0"
    yield "as recorded", whole, "in", False
    for size in 1, 7, 16, len(whole) - 1:
        yield f"in pieces of {size}", pieces(whole, size), "in", False

    at = 16
    for name, content in base:
        last = name in ("infos+tail", "tail")
        for cut in sorted({at, at + len(content) // 2}):
            optional = last and (cut == at or client)
            short = whole[16:cut]
            sized = struct.pack("=iIII", -1, 0xFFFFFFFF, len(short), 0) + short
            yield f"{name} cut, said so", sized, None if optional else "out", False
            yield f"{name} cut, not said so", whole[:cut], "out", True
        at += len(content)
        if name in ("psec", "nspace", "version", "bfrops", "gds"):
            yield f"{name} not terminated", request(changed(base, name, content[:-1] + b"x")), \
                None if name == "gds" or (name == "nspace" and not client) else "out", False
        if not last:
            yield f"without {name}", request([part for part in base if part[0] != name]), None, False
            yield f"{name} twice", request([part for part in base for _ in range(1 + (part[0] == name))]), None, False

    for n in 0, 1, 7, 9, 255, 65536, 131072, 2**31 - 1, 2**31, 2**32 - 1:
        yield f"credential length {n}", request(changed(base, "cred_len", struct.pack("!I", n))), "out", False
    for n in 0, 1, len(payload) - 1:
        yield f"payload length {n}", whole[:8] + struct.pack("=I", n) + whole[12:], "out", False
    for n in len(payload) + 1, 131072, 131073, 2**31 - 1, 2**31, 2**32 - 1, int.from_bytes(whole[8:12], "big"):
        yield f"payload length {n}", whole[:8] + struct.pack("=I", n) + whole[12:], "out", True
    for n in (*range(13), 127, 128, 255):
        known = n <= 10
        yield f"flag {n}", request(changed(base, "flag", bytes([n]))), None if known else "out", False
    for n in 0, 3, 255:
        yield f"buffer type {n}", request(changed(base, "buftype", bytes([n]))), "out", False
    for text, expected in ((b"", "in"), (b"bogus", "out"), (b"none", "out"), (b"munge", "out"), (b",", "out"), (b"NATIVE", "out"),
                           (b"native,native", "in"), (b"bogus,native", "in"), (b"n" * 60000, "out"), (b"dummy_handshake", "out")):
        yield f"security module {text[:20]}", request(changed(base, "psec", text + b"\0")), expected, False
    for text, expected in ((b"v12", "out"), (b"v20", "out"), (b"v99", "out"), (b"V41", "out"), (b"v" * 60000, "out")):
        yield f"encoding {text[:20]}", request(changed(base, "bfrops", text + b"\0")), expected, False
    for text in b"", b"4", b"255.255.255", b"99999999999.1", b"-1.-1", b"4.2.2\xff", b"9" * 60000:
        yield f"version {text[:20]}", request(changed(base, "version", text + b"\0")), None, False
    for text in b"", b"no such store", b"g" * 60000:
        yield f"data store {text[:20]}", request(changed(base, "gds", text + b"\0")), "in", False
    if "nspace" in names:
        for text in b"", b"x" * 256, b"x" * 70000:
            yield f"namespace of {len(text)}", request(changed(base, "nspace", text + b"\0")), "out", False
        for text in b"other", b"labns.0", b"../../../etc/passwd", b"%s%n", b"\xff\xfe", b"x" * 255:
            yield f"namespace {text[:20]}", request(changed(base, "nspace", text + b"\0")), "out" if client else None, False
        for n in 4, 2**31 - 1, 2**31, 2**32 - 51, 2**32 - 5, 2**32 - 2, 2**32 - 1:
            reserved = n >= 2**32 - 51
            yield f"rank {n}", request(changed(base, "rank", struct.pack("!I", n))), \
                "out" if client or reserved else None, False
    if not client:
        for n in os.geteuid() + 1, 2**31, 2**32 - 1:
            yield f"user {n}", request(changed(base, "uid", struct.pack("!I", n))), "out", False
        tail = names.get("infos+tail", b"")
        for what, infos in (("count of 2^64-1", b"\x02" + b"\xff" * 9), ("negative count", b"\x01" + tail[1:]),
                            ("count without bodies", b"\x02\x7f"), ("unknown type", tail[:-1] + b"\x7f"),
                            ("noise", bytes(range(255, 0, -1)))):
            yield f"attributes: {what}", request(changed(base, "infos+tail", infos)), "out", False
    yield "a credential of somebody else", request(changed(base, "cred", struct.pack("=II", 12345, 54321))), "out", False
    yield "twice", whole + whole, "out", False
    yield "with a byte behind it", whole + b"\0", "out", False
    yield "payload first", payload + whole[:16], None, True
    yield "nothing but header", whole[:16], "out", True
    yield "part of a header", whole[:9], "out", True
    yield "nothing", b"", "out", True
    yield "zeros", bytes(4096), "out", False
    yield "ones", b"\xff" * 4096, "out", True


def try_handshake(server, data, ends_early):
    with server.connect() as connection:
        try:
            send(connection, data)
            if ends_early:
                connection.shutdown(socket.SHUT_WR)
            status = receive(connection, 4)
        except TimeoutError:
            raise
        except OSError:
            return "closed"
        if len(status) < 4:
            return "closed"
        return "admitted" if status == bytes(4) else f"refused with {struct.unpack('!i', status)[0]}"


# messages: (what, frame, whether its size is a lie)

def messages(recorded):
    raw, header = recorded.raw, recorded.raw[:16]
    inner = [(name, start, end) for name, start, end in recorded.fields if start >= 16 and end <= len(raw)]

    def sized(payload, tag=None):
        return header[:4] + (struct.pack("!I", tag) if tag is not None else header[4:8]) + \
            struct.pack("!I", len(payload)) + header[12:] + payload

    yield "as recorded", raw, False
    for size in 1, 7, 16, len(raw) - 1:
        yield f"in pieces of {size}", pieces(raw, size), False
    yield "twice at once", raw + raw, False
    for i, (name, start, end) in enumerate(inner):
        before, field, after = raw[16:start], raw[start:end], raw[end:]
        for what, content in (("cut", None), ("zeros", bytes(len(field))), ("ones", b"\xff" * len(field)),
                              ("0x7f", b"\x7f" * len(field)), ("left out", b""), ("twice", field + field),
                              ("2^64-1", b"\xff" * 9), ("2^63", b"\x80" * 8 + b"\x80"), ("2^31", b"\x80\x80\x80\x80\x08")):
            payload = before + field[:len(field) // 2] if content is None else before + content + after
            yield f"{name} ({i}): {what}", sized(payload), False
    for tag in 0, 1, 2, 50, 99:
        yield f"tag {tag}", sized(raw[16:], tag), False
    for command in (33, 39, 99, 255):
        yield f"command {command}", sized(b"\x02" + bytes([command]) + raw[18:]), False
    yield "extra bytes", sized(raw[16:] + b"\x02\x7f\xff"), False
    yield "deep nesting", sized(peers.nested_commit(100000)), False
    yield "empty", sized(b""), False
    yield "all types", sized(b"".join(bytes([2, 8, 120, 121, 122, 0, 0, n]) for n in range(128))), False
    for n in len(raw) - 15, 32 << 20, (32 << 20) + 1, 2**31, 2**32 - 1:
        yield f"size {n}", header[:8] + struct.pack("!I", n) + raw[12:], True


def try_message(server, rank, described, data, lies):
    with admitted(server, rank, kind=2 if described else 1) as connection:
        try:
            send(connection, data)
            ask_for_job_data(connection, 4242, described)
            if lies:
                connection.shutdown(socket.SHUT_WR)
            answers = 0
            while got := frame(connection):
                if got[0] == 4242:
                    return "answered" if answers else "silent"
                answers += 1
        except TimeoutError:
            raise
        except OSError:  # it was closed before all was said
            pass
        return "closed"


handshake_bases = ["v2.2.5-client", "v3.2.5-client", "debian-client", "v6.1.0-client", "debian-singleton", "debian-tool-given-id",
                   "debian-tool", "v5.0.10-launcher-given-id"]
with peers.Server(pmixrun, "--handshake-timeout", "30", "--timeout", "500", ranks=4, nspace=NSPACE) as server:
    for base in handshake_bases:
        for what, data, expected, ends_early in handshakes(Recorded(f"{base}.request")):
            try:
                outcome = try_handshake(server, data, ends_early)
            except TimeoutError:
                sys.exit(f"{base}: {what}: no outcome")
            got_in = "in" if outcome == "admitted" else "out"
            assert expected in (None, got_in), f"{base}: {what}: {outcome}"
            outcomes["handshake " + outcome] += 1
            good_client(server, 0)
    handshake_cases = sum(outcomes.values())

    # An abort would be obeyed: this server's exit status would be that of the job it has not got.
    for path in sorted(vectors.glob("msg-debian-*-c2s.hex")):
        if "abort" in path.name:
            continue
        described = "fulldesc" in path.name
        for what, data, lies in messages(Recorded(path.stem)):
            outcome = try_message(server, 1, described, data, lies)
            assert outcome != "closed" or lies, f"{path.stem}: {what}: {outcome}"
            outcomes["message " + outcome] += 1
            good_client(server, 1)
    message_cases = sum(outcomes.values()) - handshake_cases

    counters = server.stop()
    assert counters["malformed"] > 100 and counters["refused"] > 100, counters
assert handshake_cases >= 200 and message_cases >= 200
print(f"{handshake_cases} handshakes, {message_cases} messages:")
for outcome, count in sorted(outcomes.items()):
    print(f"{count:6} {outcome}")
