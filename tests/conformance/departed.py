"""departed.py PMIXRUN: whoever has left, reset, or closed its side before the server gets to ask about it is nobody, not root:
the kernel says uid 0 of sockets that no process holds. The server is stopped meanwhile, so that there is no race."""
import errno
import os
import signal
import socket
import struct
import sys

import peers

pmixrun = sys.argv[1]
mine = os.geteuid()


def dial(server, port=0):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind(("127.0.0.1", port))  # a port that can be bound again, see kernel_peer.cpp
    connection.settimeout(60)
    connection.connect(server.address)
    return connection


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def by_another(request, leave):
    """From a process that is gone when this returns; of another user, if this is root. The port it had."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        if mine == 0:
            peers.become_user(65534)
        connection = dial(server)
        connection.sendall(request)
        os.write(write, str(connection.getsockname()[1]).encode())
        leave(connection)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    os.close(write)
    with os.fdopen(read) as pipe:
        return int(pipe.read())


with peers.Server(pmixrun, "--security", "native") as server:
    os.kill(server.process.pid, signal.SIGSTOP)
    os.waitpid(server.process.pid, os.WUNTRACED)
    request = peers.handshake(server.nspace, 0)

    half_closed = dial(server)
    half_closed.sendall(request)
    half_closed.shutdown(socket.SHUT_WR)
    closed = dial(server)
    closed.sendall(request)
    closed.close()
    by_another(request, lambda connection: None)  # ends with its socket open
    by_another(request, lambda connection: connection.close())
    taken = by_another(request, reset)
    innocent = dial(server, taken)  # the very addresses of the one that was reset

    os.kill(server.process.pid, signal.SIGCONT)
    assert half_closed.recv(8) == b"\xff\xff\xff\xf4"
    innocent.sendall(peers.handshake(server.nspace, 1))
    assert innocent.recv(8, socket.MSG_WAITALL)[:4] == bytes(4)
    innocent.close()
    half_closed.close()
    counters = server.stop()
    assert counters["admitted"] == 1 and counters["refused"] == 5, counters
    # The kernel has an answer about the addresses that were taken: not about who cannot be greeted.
    assert counters["refused_by_reason"] == {"kernel_unknown": 4, os.strerror(errno.ECONNRESET): 1}, counters
