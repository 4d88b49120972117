"""mixed.py PMIXRUN PROGRAMS: the ranks of one job speak different encodings, in buffers of both kinds, and understand each
other; connections that are reset at any point of their handshake change nothing."""
import itertools
import pathlib
import socket
import struct
import sys

import peers

pmixrun, programs = sys.argv[1], pathlib.Path(sys.argv[2])
if not (programs / "modex").exists():
    sys.exit(77)
encodings = ("21", "3", "4", "41")
kinds = ("PMIX_BFROP_BUFFER_NON_DESC", "PMIX_BFROP_BUFFER_FULLY_DESC")
every = list(itertools.product(encodings, kinds))

# modex with what the oldest of them can express.
for program, *arguments in ("scale",), ("modex", "--newest", "44"):
    with peers.Server(pmixrun, ranks=len(every)) as server:
        request = peers.handshake(server.nspace, 0)
        resets = 0
        for size in (0, 7, 16, len(request) // 2, len(request) - 1):
            for _ in range(5):
                connection = server.connect()
                connection.sendall(request[:size])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
                resets += 1

        def environment_of(rank):
            encoding, kind = every[rank]
            return server.client_environment(rank, [encoding]) | {"PMIX_BFROP_BUFFER_TYPE": kind}

        server.run_job(programs / program, *arguments, environment_of=environment_of)
        counters = server.stop()
        assert counters["admitted"] == len(every) and counters["malformed"] == 0, counters
        # A reset may also end a connection before it is accepted.
        assert counters["refused"] <= resets and counters["timed_out"] == 0, counters
