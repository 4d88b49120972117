"""no_netlink.py PMIXRUN: where the kernel cannot be asked about sockets, pmixrun says so once and `native` admits nobody, while
`none` works; where not even its interfaces can be listed, it says that and ends. The sandbox is a seccomp filter of this
process, which the servers inherit."""
import ctypes
import errno
import os
import struct
import subprocess
import sys

import peers

pmixrun = sys.argv[1]
AF_NETLINK, NETLINK_SOCK_DIAG = 16, 4
socket_call = {"x86_64": 41, "aarch64": 198}.get(os.uname().machine)
libc = ctypes.CDLL(None)


def refuse_socket(argument, value, error):
    """From now on socket() fails where its argument at that position is `value`."""
    load, equal, end = 0x20, 0x15, 0x06
    program = b"".join(struct.pack("=HBBI", *step) for step in (
        (load, 0, 0, 0), (equal, 0, 3, socket_call),
        (load, 0, 0, 16 + 8 * argument), (equal, 0, 1, value),
        (end, 0, 0, 0x00050000 | error), (end, 0, 0, 0x7FFF0000)))
    held = ctypes.create_string_buffer(program, len(program))
    filter = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    set_seccomp, set_no_new_privileges, filtered = 22, 38, 2
    if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) != 0 or libc.prctl(set_seccomp, filtered, filter, 0, 0) != 0:
        sys.exit(77)


if not socket_call:
    sys.exit(77)
warning = "pmixrun: kernel_unavailable: the kernel cannot be asked who connects; native admits nobody\n"
invalid_credential = -12

refuse_socket(2, NETLINK_SOCK_DIAG, errno.EPROTONOSUPPORT)
for offered in "native", "native,none", "none":
    with peers.Server(pmixrun, "--security", offered) as server:
        asked = [peers.status_as(lambda: None, server.address, peers.handshake(server.nspace, 0, security=name.encode()))
                 for name in offered.split(",")]
        assert asked == [invalid_credential if name == "native" else 0 for name in offered.split(",")], asked
        counters = server.stop()
        assert counters["refused_by_reason"] == ({"kernel_unavailable": 1} if "native" in offered else {}), counters
        assert server.said().count(warning) == ("native" in offered), server.said()

refuse_socket(0, AF_NETLINK, errno.EPERM)
ended = subprocess.run([pmixrun, "true"], capture_output=True, text=True, timeout=60)
assert (ended.returncode, ended.stderr) == (1, "pmixrun: pmixio::local_addresses: Operation not permitted\n"), ended
