"""munge.py PMIXRUN PROGRAMS-DIR, under with_munged.py: real libpmix clients prove themselves by MUNGE; who shows a credential
that was shown before, was made by somebody else or by nobody, is refused; a daemon that hangs or is gone stops nobody else."""
import contextlib
import os
import pathlib
import signal
import struct
import subprocess
import sys

import peers

pmixrun, programs = sys.argv[1], pathlib.Path(sys.argv[2])
daemon = int(pathlib.Path(os.environ["PMIXIO_MUNGED"], "ours.pid").read_text())
invalid_credential, timed_out, not_supported = -12, -24, -47


def credential(uid=None):
    return subprocess.run(["munge", "-n"], check=True, capture_output=True, user=uid, group=uid).stdout.strip() + b"\0"


def status(server, rank, **claims):
    """What a client is told."""
    with server.connect() as connection:
        connection.sendall(peers.handshake(server.nspace, rank, **claims))
        return struct.unpack("!i", connection.recv(4))[0]


def by_munge(server, rank, shown):
    return status(server, rank, security=b"munge", credential=shown)


# Real clients, launched and served.
subprocess.run([pmixrun, "--security", "munge", "-n", "4", programs / "scale"], check=True, timeout=90)
for ranks, encoding in ("2", "v41"), ("4", "v21"), ("4", "v3"), ("4", "v4"), ("8", "v41"):
    subprocess.run([pmixrun, "--security", "munge", "--encodings", encoding, "-n", ranks, programs / "credentials"], check=True,
                   timeout=90)
with peers.Server(pmixrun, "--security", "munge") as server:
    server.run_job(programs / "scale", environment_of=lambda rank: server.client_environment(rank) | {"PMIX_SECURITY_MODE": "munge"})
    counters = server.stop()
    assert counters["admitted"] == server.ranks and counters["refused"] == 0, counters

with peers.Server(pmixrun, "--security", "munge,native", "--handshake-timeout", "2") as server:
    once = credential()
    assert by_munge(server, 0, once) == 0
    assert by_munge(server, 0, once) == invalid_credential, "a replayed credential"
    assert by_munge(server, 0, b"MUNGE:AAAA:\0") == invalid_credential, "a forged credential"
    assert by_munge(server, 0, b"") == invalid_credential
    refused = ["credential_replayed", "bad_credential", "bad_credential"]
    if os.geteuid() == 0:
        assert by_munge(server, 0, credential(uid=65534)) == invalid_credential, "somebody else's credential"
        refused.append("wrong_user")

    os.kill(daemon, signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as stack:
            hanging = [stack.enter_context(server.connect()) for _ in range(20)]
            for connection in hanging:
                connection.sendall(peers.handshake(server.nspace, 0, security=b"munge", credential=once))
            assert status(server, 1) == 0, "another client is served meanwhile"
            for connection in hanging:
                assert struct.unpack("!i", connection.recv(4))[0] == timed_out
    finally:
        os.kill(daemon, signal.SIGCONT)
    refused += ["handshake_timeout"] * len(hanging)
    assert by_munge(server, 0, credential()) == 0, "as before"

    late = credential()
    os.kill(daemon, signal.SIGTERM)
    while pathlib.Path(f"/proc/{daemon}").exists() and "Z" not in pathlib.Path(f"/proc/{daemon}/stat").read_text().split(")")[1][:3]:
        pass
    assert by_munge(server, 0, late) == invalid_credential, "nobody can say whose it is"
    assert status(server, 1) == 0
    refused.append("issuer_unavailable")
    counters = server.stop()
    assert counters["refused_by_reason"] == {reason: refused.count(reason) for reason in set(refused)}, counters
