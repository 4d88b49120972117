"""namespaces.py PMIXRUN users|networks: peers and servers in user namespaces, and peers that are or are not on this machine.
networks: netns.py runs this, with 127.0.0.1 and ::1; the server listens on one end of a veth pair, whose other end is in
another network namespace: to the server, another machine."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

import peers

pmixrun, what = sys.argv[1:]
CLONE_NEWUSER, CLONE_NEWNET, PR_SET_DUMPABLE = 0x10000000, 0x40000000, 4
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.geteuid(), os.getegid()
admitted, invalid_credential = 0, -12


def unshare(flags):
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def ids(uid, gid):
    return struct.pack("=II", uid, gid)


def as_user(number):
    """In a user namespace where this user, and no other, has that number."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    for name, text in ("uid_map", f"{number} {uid} 1"), ("setgroups", "deny"), ("gid_map", f"{number} {gid} 1"):
        pathlib.Path("/proc/self", name).write_text(text)
    assert os.geteuid() == number


def another_as_root():
    peers.become_user(65534)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # or it may not write into its /proc/self
    as_user(0)


def users():
    """What a number means in another user namespace is nothing to the server; what has none in its own is nobody."""
    if subprocess.run(["unshare", "-Ur", "true"]).returncode != 0:
        sys.exit(77)
    with peers.Server(pmixrun, "--security", "native") as server:
        def asked(become, credential):
            return peers.status_as(become, server.address, peers.handshake(server.nspace, 0, credential=credential))
        # The credential is what that process sees, or what the server does.
        assert asked(lambda: as_user(uid + 7), ids(uid + 7, gid + 7)) == invalid_credential
        assert asked(lambda: as_user(uid + 7), ids(uid, gid)) == admitted
        refused = 1
        if uid == 0:
            assert asked(another_as_root, ids(0, 0)) == invalid_credential
            refused += 1
        counters = server.stop()
        assert counters["refused_by_reason"] == {"wrong_user": refused}, counters

    # A server whose user namespace has a number for one user: us, as its root.
    with tempfile.TemporaryDirectory() as directory:
        inside = pathlib.Path(directory) / "pmixrun-inside"
        inside.write_text(f'#!/bin/sh\nexec unshare -Ur "{pmixrun}" "$@"\n')
        inside.chmod(0o755)
        with peers.Server(str(inside), "--security", "native") as server:
            request = peers.handshake(server.nspace, 0, credential=ids(0, 0))
            assert peers.status_as(lambda: None, server.address, request) == admitted
            if uid == 0:
                for stranger in 1, 65534:
                    as_them = peers.handshake(server.nspace, 0, credential=ids(65534, 65534))
                    for said in request, as_them:
                        assert peers.status_as(lambda: peers.become_user(stranger), server.address, said) == invalid_credential
            counters = server.stop()
            assert counters["refused_by_reason"] == ({"kernel_unknown": 4} if uid == 0 else {}), counters


@contextlib.contextmanager
def other_machine():
    """A process in a network namespace of its own, at 10.9.8.2 and fd09::2 on a link to our 10.9.8.1 and fd09::1."""
    def link(name, last):
        for command in (f"addr add 10.9.8.{last}/24 dev {name}", f"addr add fd09::{last}/64 dev {name} nodad",
                        f"link set {name} up", "link set lo up"):
            subprocess.run(["ip", *command.split()], check=True)

    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            ours.close()
            unshare(CLONE_NEWNET)
            theirs.send(b"x")
            if theirs.recv(1):
                link("pmixio1", "2")
                theirs.send(b"x")
                theirs.recv(1)
        finally:
            os._exit(0)
    theirs.close()
    try:
        assert ours.recv(1)
        made = subprocess.run(["ip", "link", "add", "pmixio0", "type", "veth", "peer", "name", "pmixio1", "netns", str(child)])
        if made.returncode != 0:
            sys.exit(77)
        link("pmixio0", "1")
        ours.send(b"x")
        assert ours.recv(1)
        with open(f"/proc/{child}/ns/net") as namespace:
            yield namespace.fileno()
    finally:
        ours.close()
        os.waitpid(child, 0)


def networks():
    """On whatever address of this machine a peer here comes, it is known; a peer elsewhere is not, and `native` refuses it."""
    if uid != 0 or not shutil.which("ip") or [name for _, name in socket.if_nameindex()] != ["lo"]:
        sys.exit(77)
    with other_machine() as elsewhere:
        def from_elsewhere():
            if libc.setns(elsewhere, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

        for family, host in ([], "10.9.8.1"), (["--disable-ipv4", "--enable-ipv6"], "fd09::1"):
            where = [*family, "--remote-connections", "--if-include", "pmixio0"]
            with peers.Server(pmixrun, *where, "--security", "native,none") as server:
                assert server.address[0] == host, server.uri
                by_native, by_none = (peers.handshake(server.nspace, 0, security=name) for name in (b"native", b"none"))
                either = peers.handshake(server.nspace, 0, security=b"none,native", credential=ids(uid, gid))
                assert peers.status_as(lambda: None, server.address, by_native) == admitted
                assert peers.status_as(lambda: peers.become_user(65534), server.address, by_native) == invalid_credential
                for request, expected in (by_native, invalid_credential), (either, invalid_credential), (by_none, admitted):
                    assert peers.status_as(from_elsewhere, server.address, request) == expected, request
                counters = server.stop()
                assert counters["refused_by_reason"] == {"wrong_user": 1, "kernel_unknown": 2}, counters


{"users": users, "networks": networks}[what]()
