"""lost.py PMIXRUN PROGRAMS-DIR: a rank that is killed is an event for the others of its job that wait for it, or do later. The
server outlives it: the ranks are not its children."""
import pathlib
import signal
import sys

import peers

pmixrun, program = sys.argv[1], pathlib.Path(sys.argv[2], "events")
if not program.exists():
    sys.exit(77)
for ranks in 2, 4, 8:
    for encoding in "21", "3", "4", "41":
        if ranks != 4 and encoding != "41":
            continue
        with peers.Server(pmixrun, ranks=ranks) as server:
            with server.clients([program, "lost"], lambda rank: server.client_environment(rank, [encoding])) as running:
                statuses = [each.wait(timeout=90) for each in running]
            assert statuses == [0] * (ranks - 1) + [-signal.SIGKILL], (ranks, encoding, statuses)
            server.stop()
