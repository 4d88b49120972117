"""stalled.py PMIXRUN CLIENT COUNT: connections that send nothing, 7 bytes, 16 bytes or half of their handshake, and then
stall, delay nobody: a job of real clients comes and goes while all of them are open. Each is closed at its deadline and
counted."""
import pathlib
import select
import sys

import peers

pmixrun, client, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
if not pathlib.Path(client).exists():
    sys.exit(77)

with peers.Server(pmixrun, "--handshake-timeout", "10") as server:
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
