"""users.py PMIXRUN: a process of another user that claims to be uid 0 and a registered rank is refused by `native`, whatever
it names, and admitted by nothing but `none`. Needs root, to become somebody else."""
import os
import socket
import struct
import sys

import peers

if os.geteuid() != 0:
    sys.exit(77)
pmixrun, nobody = sys.argv[1], 65534
root = struct.pack("=II", 0, 0)


def as_nobody():
    peers.become_user(nobody)


invalid_credential, not_supported = -12, -47
cases = 0
for offered in ("native", "native,none", "none"):
    with peers.Server(pmixrun, "--security", offered) as server:
        claim = peers.handshake(server.nspace, 0, credential=root)
        anonymous = peers.handshake(server.nspace, 0, security=b"none")
        either = peers.handshake(server.nspace, 0, security=b"none,native", credential=root)
        deaf = peers.handshake(server.nspace, 0, credential=root, version=b"4.2.2", encoding=b"v41")
        native, none = "native" in offered, "none" in offered
        for request, expected in (
            (claim, invalid_credential if native else not_supported),
            (either, invalid_credential if native else 0),   # the server's preference, no second try
            (anonymous, 0 if none else not_supported),
            (deaf, None),                                    # releases that ignore a status are just closed
        ):
            said = peers.status_as(as_nobody, server.address, request)
            assert said == expected, f"offered {offered}: {request!r} was answered {said}, not {expected}"
            cases += 1
        if native:
            assert peers.status_as(lambda: None, server.address, claim) == 0, "root itself is root"
        counters = server.stop()
        assert counters["refused_by_reason"].get("wrong_user", 0) == (3 if native else 0), counters
assert cases == 12

# The same by IPv6, and from an IPv6 socket to an IPv4 address.
with socket.socket(socket.AF_INET6) as probe:
    try:
        probe.bind(("::1", 0))
    except OSError as error:
        sys.exit(print(f"no IPv6 here: {error}", file=sys.stderr))
for options, host in ([], "::ffff:127.0.0.1"), (["--disable-ipv4", "--enable-ipv6"], "::1"):
    with peers.Server(pmixrun, *options) as server:
        address, claim = (host, server.address[1]), peers.handshake(server.nspace, 0, credential=root)
        assert peers.status_as(as_nobody, address, claim) == invalid_credential
        assert peers.status_as(lambda: None, address, claim) == 0
        counters = server.stop()
        assert counters["refused_by_reason"] == {"wrong_user": 1}, counters
