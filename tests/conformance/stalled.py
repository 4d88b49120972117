"""stalled.py PMIXRUN CLIENT COUNT: connections that send nothing, 7 bytes, 16 bytes or half of their handshake, and then
stall, delay nobody: a job of real clients comes and goes while all of them are open. Each is closed at its deadline and
counted. Then as many of another user, who may have 256: that takes root."""
import os
import pathlib
import select
import sys

import peers

pmixrun, client, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
if not pathlib.Path(client).exists():
    sys.exit(77)

with peers.Server(pmixrun, "--handshake-timeout", "10", "--max-pending-per-user", "1000") as server:
    request = peers.handshake(server.nspace, 0)
    stalled = []
    for i in range(count):
        stalled.append(server.connect())
        stalled[-1].sendall(request[:(0, 7, 16, len(request) // 2)[i % 4]])

    server.run_job(client)
    closed, _, _ = select.select(stalled, [], [], 0)
    assert not closed, f"{len(closed)} were closed before the clients were done: give them more time"

    for connection in stalled:
        said = peers.answer(connection)
        assert said in (b"", b"\xff\xff\xff\xe8"), said  # TIMEOUT, to a peer whose release is not known
    counters = server.stop()
    assert counters["timed_out"] == count, counters
    assert counters["refused_by_reason"] == {"handshake_timeout": count}, counters
    assert counters["admitted"] == server.ranks, counters

if os.geteuid() == 0:
    with peers.Server(pmixrun, "--handshake-timeout", "10") as server:
        os.seteuid(65534)  # the kernel remembers who made a socket
        stalled = [server.connect() for _ in range(count)]
        os.seteuid(0)
        server.run_job(client)
        for connection in stalled:
            peers.answer(connection)
        counters = server.stop()
        late = min(count, 256)
        expected = {"handshake_timeout": late} | ({"too_many_of_user": count - late} if count > late else {})
        assert counters["refused_by_reason"] == expected, counters
        assert counters["limits_reached"] == count, counters
