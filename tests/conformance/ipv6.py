"""ipv6.py PMIXRUN TOOL PROGRAMS-DIR v6|dual: a server on IPv6 alone, or on both families at once. The peers there are ours:
libpmix, from 2.2 to 6.1, reads port 0 from a URI with an IPv6 address. Its clients come by IPv4."""
import pathlib
import socket
import struct
import subprocess
import sys

import peers

pmixrun, tool, programs, families = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]


def ask(*where):
    return subprocess.run([tool, *where], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def greet(address, server, rank):
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(peers.handshake(server.nspace, rank))
        return struct.unpack("!iI", connection.recv(8, socket.MSG_WAITALL))


if families == "v6":
    with peers.Server(pmixrun, "--disable-ipv4", "--enable-ipv6", "--session-tool") as server:
        assert server.address[0] == "::1", server.uri
        for where in ["--uri", server.uri], ["--uri", server.uri.replace("::1", "[::1]")], \
                     ["--attach", f"{server.directory.name}/pmix.{peers.host()}.tool.{server.process.pid}"]:
            asked = ask(*where)
            assert (asked.returncode, asked.stderr) == (0, "") and asked.stdout.endswith("pmix.qry.ns: served\n"), asked
        admitted = [greet(server.address, server, rank) for rank in range(server.ranks)]
        assert all(status == 0 for status, _ in admitted), admitted
        counters = server.stop()
        assert counters["admitted"] == 3 + server.ranks and counters["refused"] == 0, counters
else:
    client = programs / "scale"
    if not client.exists():
        sys.exit(77)
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
        port = probe.getsockname()[1]
    with peers.Server(pmixrun, "--enable-ipv6", "--ipv6-port", str(port)) as server:
        assert server.address[0] == "127.0.0.1", server.uri
        server.run_job(str(client))
        asked = ask("--uri", f"{server.name}.0;tcp6://::1:{port}")
        assert (asked.returncode, asked.stderr) == (0, ""), asked
        assert greet(("::1", port), server, 1)[0] == 0
        counters = server.stop()
        assert counters["admitted"] == server.ranks + 2 and counters["refused"] == 0, counters
