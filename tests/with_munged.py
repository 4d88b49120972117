"""with_munged.py COMMAND...: runs COMMAND where MUNGE daemons listen, in a mount namespace of its own: the one that every
program finds, and sockets in the directory PMIXIO_MUNGED: `ours`, the same; `foreign`, with another key; `early` and `late`,
whose clocks are an hour off. Their process ids are beside them. Exits with 77 where that cannot be had."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_PRIVATE = 0x20000, 0x10000000, 0x4000, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)
munged, faketime = (shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") for name in ("munged", "faketime"))
if not munged or not faketime:
    print("no munged or no faketime", file=sys.stderr)
    sys.exit(77)

uid, gid = os.geteuid(), os.getegid()
if libc.unshare(CLONE_NEWNS) != 0:
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        print("no mount namespace", file=sys.stderr)
        sys.exit(77)
    for name, text in ("uid_map", f"{uid} {uid} 1"), ("setgroups", "deny"), ("gid_map", f"{gid} {gid} 1"):
        pathlib.Path("/proc/self", name).write_text(text)
if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) or libc.mount(b"none", b"/run", b"tmpfs", 0, b"mode=755"):
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")

directory = pathlib.Path("/run/munge")  # where libmunge looks
directory.mkdir(mode=0o755)
keys = {}
daemons = []
try:
    for name, key, shift in ("ours", 1, ""), ("foreign", 2, ""), ("early", 1, "+1h"), ("late", 1, "-1h"):
        if key not in keys:
            keys[key] = directory / f"key{key}"
            keys[key].write_bytes(os.urandom(128))
            keys[key].chmod(0o400)
        command = [munged, "--foreground", "--key-file", keys[key], "--socket", directory / name, "--pid-file",
                   directory / f"{name}.pid", "--seed-file", directory / f"{name}.seed"]
        if shift:
            command = [faketime, "-f", shift, *command]
        with (directory / f"{name}.log").open("w") as log:
            daemons.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, umask=0o022))
    limit = time.monotonic() + 30
    for name, daemon in zip(("ours", "foreign", "early", "late"), daemons):
        while not (directory / name).exists():
            if daemon.poll() is not None or time.monotonic() > limit:
                sys.exit(f"munged does not start: {(directory / f'{name}.log').read_text()}")
            time.sleep(0.01)
    (directory / "munge.socket.2").symlink_to("ours")
    status = subprocess.run(sys.argv[1:], env=os.environ | {"PMIXIO_MUNGED": str(directory)}).returncode
finally:
    for name, daemon in zip(("ours", "foreign", "early", "late"), daemons):
        with contextlib.suppress(OSError, ValueError):  # not daemon.pid: that may be faketime's
            os.kill(int((directory / f"{name}.pid").read_text()), signal.SIGTERM)
        daemon.wait()
sys.exit(status)
