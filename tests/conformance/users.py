"""users.py PMIXRUN: a process of another user that claims to be uid 0 and a registered rank is refused by `native`, whatever
it names, and admitted by nothing but `none`. Needs root, to become somebody else."""
import os
import struct
import sys

import peers

if os.geteuid() != 0:
    sys.exit(77)
pmixrun, nobody = sys.argv[1], 65534
root = struct.pack("=II", 0, 0)


def status(said):
    return struct.unpack("!i", said[:4])[0] if said != b"closed" else None


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
            said = status(peers.try_as(nobody, server, request))
            assert said == expected, f"offered {offered}: {request!r} was answered {said}, not {expected}"
            cases += 1
        if native:
            assert status(peers.try_as(0, server, claim)) == 0, "root itself is root"
        counters = server.stop()
        assert counters["refused_by_reason"].get("wrong_user", 0) == (3 if native else 0), counters
assert cases == 12
