"""examples.py WHAT ROOT EXAMPLES-DIR PROGRAMS-DIR: checks that the examples do what the README says."""
import ctypes
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

what, root, examples, programs = sys.argv[1], *map(pathlib.Path, sys.argv[2:])


def run(*command, status=0, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL,
                          **options)
    assert done.returncode == status, f"{command}: status {done.returncode}, not {status}\n{done.stdout}{done.stderr}"
    return done


def lines_of(name):
    return (root / "examples" / name).read_text().splitlines()


def short(name, budget):
    """That an example is short is what it is an example of."""
    lines = len(lines_of(name))
    print(f"{name}: {lines} lines, of {budget}")
    assert lines <= budget, name


def host_server():
    """The README shows it as it is; it is short; four real clients run under it."""
    text = "\n".join(line for line in lines_of("host_server.cpp"))
    shown = re.search(r"```cpp\n(.*?)```", (root / "README.md").read_text(), re.S)[1]
    assert shown.strip() in text, "the README's example is not the one in examples/"
    short("host_server.cpp", 60)
    client = programs / "scale"
    if not client.exists():
        sys.exit(77)
    server = subprocess.Popen([examples / "host_server"], stdout=subprocess.PIPE, text=True)
    try:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PMIX_", "OMPI_"))}
        while "PMIX_SERVER_URI21" not in environment:
            name, value = re.fullmatch(r"export (\w+)='(.*)'\n", server.stdout.readline()).groups()
            environment[name] = value
        clients = [subprocess.Popen([client], env=environment | {"PMIX_RANK": str(rank)}, stdout=subprocess.DEVNULL)
                   for rank in range(4)]
        assert [c.wait(timeout=60) for c in clients] == [0] * 4
    finally:
        server.terminate()
        said, _ = server.communicate(timeout=30)
    # Its output to a pipe is buffered and lost when it is ended; that the clients ran is the proof.
    assert said.count("is peer") in (0, 4), said


def custom_security():
    short("custom_security.cpp", 60)
    assert run(examples / "custom_security").stdout == "correct horse battery staple: admitted\nincorrect: wrong_user\n"


def cgroup_security():
    """Only who is in the job's cgroup is a process of the job. Needs root, to mount cgroup2 where nobody else sees it."""
    sys.path.append(str(root / "tests" / "conformance"))
    import peers
    short("cgroup_security.cpp", 70)
    assert "usage" in run(examples / "cgroup_security", "/", status=2).stderr, "/ is no cgroup"
    libc, new_mounts, recursive, private = ctypes.CDLL(None), 0x20000, 0x4000, 0x40000
    mounted = tempfile.mkdtemp()
    if (os.geteuid() != 0 or libc.unshare(new_mounts) != 0 or libc.mount(b"none", b"/", None, recursive | private, None) != 0 or
            libc.mount(b"none", mounted.encode(), b"cgroup2", 0, None) != 0):
        os.rmdir(mounted)
        sys.exit(77)
    job = pathlib.Path(mounted) / f"pmixio-{os.getpid()}"
    below, other = job / "below", job.with_name(f"{job.name}-other")
    ours = pathlib.Path(mounted + pathlib.Path("/proc/self/cgroup").read_text().split("0::")[1].strip())

    def enter(group):
        (group / "cgroup.procs").write_text("0")

    server = None
    try:
        for group in job, below, other:
            group.mkdir()
        server = subprocess.Popen([examples / "cgroup_security", job], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PMIX_", "OMPI_"))}
        while "PMIX_SERVER_URI21" not in environment:
            name, value = re.fullmatch(r"export (\w+)='(.*)'\n", server.stdout.readline()).groups()
            environment[name] = value
        host, port = environment["PMIX_SERVER_URI21"].rsplit("/", 1)[1].split(":")
        client, real = programs / "scale", 0
        if client.exists():
            real = 4  # first: a fence does not wait for who has come and gone, as rank 0 does below
            clients = [subprocess.Popen([client], env=environment | {"PMIX_RANK": str(rank)}, stdout=subprocess.DEVNULL,
                                        preexec_fn=lambda: enter(job)) for rank in range(real)]
            assert [c.wait(timeout=60) for c in clients] == [0] * real
        request = peers.handshake("job1", 0)
        for group, expected in (job, 0), (below, -12), (other, -12), (ours, -12):
            said = peers.status_as(lambda: enter(group), (host, int(port)), request)
            assert said == expected, f"in {group}: {said}"
        with socket.socket() as made_outside:  # whose process went in before it connected
            enter(job)
            made_outside.connect((host, int(port)))
            enter(ours)
            made_outside.sendall(request)
            assert made_outside.recv(4) == b"\xff\xff\xff\xf4"
        server.terminate()
        _, said = server.communicate(timeout=30)
        assert said.count("refused a connection of user 0 as job1.0: wrong_cgroup\n") == 4, said
        assert said.count("admitted job1.") == 1 + real, said
    finally:
        if server:
            server.kill()
            server.wait()
        for group in below, job, other:
            if group.exists():
                group.rmdir()
        libc.umount(mounted.encode())
        os.rmdir(mounted)


def minimal_host():
    """It launches and serves."""
    short("minimal_host.cpp", 99)
    launch = examples / "minimal_host"
    assert "usage" in run(launch, status=2).stderr
    run(launch, 2, "/no/such/program", status=127)
    run(launch, 2, "sh", "-c", "exit $PMIX_RANK", status=1)
    for client in ("scale", "mpi_ring"):
        if not (programs / client).exists():
            sys.exit(77)
        run(launch, 4, programs / client)


def contexts_host():
    """Clients of each job come to one port, and get to the server that has their job."""
    short("contexts_host.cpp", 120)
    launch = examples / "contexts_host"
    assert "usage" in run(launch, status=2).stderr
    run(launch, 2, 2, "/no/such/program", status=127)
    run(launch, 2, 2, "sh", "-c", "exit $PMIX_RANK", status=1)
    handed_over = 0
    for client in ("scale", "fences", "waiting_get"):
        if not (programs / client).exists():
            sys.exit(77)
        said = re.findall(r"job\d: (\d+) admitted, (\d+) handed over", run(launch, 2, 8, programs / client).stderr)
        assert [int(admitted) for admitted, _ in said] == [8, 8], said
        handed_over += sum(int(n) for _, n in said)
    assert handed_over, "the kernel gave each server all of its own, and nobody else"


def custom_host():
    """Its three upcalls have the last word."""
    short("custom_host.cpp", 99)
    launch = examples / "custom_host"
    assert "usage" in run(launch, status=2).stderr
    run(launch, "/no/such/program", status=127)
    client = programs / "site"
    if not client.exists():
        sys.exit(77)
    assert "job.0 logs: all is well\n" in run(launch, client).stdout


def pmixrun():
    """The command line: usage, exit statuses, output, the environment of ranks."""
    short("pmixrun.cpp", 599)
    launch = examples / "pmixrun"
    assert run(launch, "--version").stdout.startswith("pmixrun (pmixio) ")
    assert "usage: pmixrun" in run(launch, "--help").stdout
    for bad in ([], ["-n"], ["-n", "0", "true"], ["-n", "x", "true"], ["--nonsense", "true"], ["--security", "bogus", "true"],
                ["--encodings", "v21,v99", "true"], ["--encodings", "", "true"], ["--serve", "true"], ["--timeout", "0", "true"],
                ["--nspace", "a.b", "true"], ["--nspace", "", "true"], ["--tag-output=yes", "true"],
                ["--if-include", "10.0.0.0/40", "true"], ["--if-exclude", "lo,", "true"], ["--ipv4-port", "5-4", "true"],
                ["--if-include", "lo", "--if-exclude", "lo", "true"], ["--disable-ipv4", "true"],
                ["true", ":"], [":", "true"], ["true", ":", "-n", "2"], ["true", ":", "-n", "x", "true"],
                ["true", ":", "--serve", "true"]):
        said = run(launch, *bad, status=2).stderr
        assert said.startswith("pmixrun: ") and said.count("\n") == 1, said

    explained = run(launch, "--explain-interfaces", "--if-include", "127.0.0.0/8,nosuch0").stdout
    assert re.search(r"^lo +127\.0\.0\.1/8 +taken$", explained, re.M) and '"nosuch0" fits no address' in explained, explained
    assert "nosuch0" in run(launch, "--if-include", "nosuch0", "true", status=1).stderr
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.create_server(("127.0.0.1", 0)) as soon_free:
        taken, free = busy.getsockname()[1], soon_free.getsockname()[1]
        soon_free.close()
        assert f";tcp4://127.0.0.1:{free}\n" in run(launch, f"--ipv4-port={taken},{free}", "env").stdout
        assert str(taken) in run(launch, f"--ipv4-port={taken}", "env", status=1).stderr
    said = run(launch, "true", env=os.environ | {"PMIX_MCA_ptl_base_if_include": "nosuch0"}, status=1).stderr
    assert "nosuch0" in said, said
    said = run(launch, "true", env=os.environ | {"PMIX_MCA_ptl_tcp_remote_connections": "perhaps"}, status=2).stderr
    assert "PMIX_MCA_ptl_tcp_remote_connections" in said and "perhaps" in said, said

    run(launch, "true")
    run(launch, "-n", "3", "--", "sh", "-c", "exit 0")
    run(launch, "-n", "3", "--", "sh", "-c", "exit $((PMIX_RANK == 1 ? 7 : 0))", status=7)
    run(launch, "sh", "-c", "kill -TERM $$", status=143)
    run(launch, "-n", "2", "--", "sh", "-c", "test $PMIX_RANK = 0 && exit 3; sleep 80", status=3)
    run(launch, "-n", "2", "--timeout", "0.5", "sleep", "80", status=124)
    run(launch, "-n", "2", "--", "sh", "-c", "trap '' TERM; test $PMIX_RANK = 0 && exit 3; sleep 80", status=3)
    run(launch, "./no-such-program", status=127)
    run(launch, "/dev/null", status=126)

    out = run(launch, "-n", "3", "--tag-output", "--nspace", "job", "--", "sh", "-c", "echo one; printf two; echo err >&2")
    assert sorted(out.stdout.splitlines()) == sorted(
        f"[job,{rank}]<stdout>: {word}" for rank in range(3) for word in ("one", "two")), out.stdout
    assert sorted(out.stderr.splitlines()) == [f"[job,{rank}]<stderr>: err" for rank in range(3)], out.stderr
    of_two = run(launch, "-n", "2", "sh", "-c", "echo a$PMIX_RANK", ":", "--np=1", "--", "sh", "-c", "echo b$PMIX_RANK", ":", "echo",
                 "c").stdout
    assert sorted(of_two.split()) == ["a0", "a1", "b2", "c"], of_two
    long = "x" * 5000
    lines = run(launch, "-n", "8", "--", "sh", "-c", f"for i in 1 2 3 4 5; do echo {long}; done").stdout.splitlines()
    assert lines == [long] * 40, "lines were torn apart"

    foreign = {"PMIX_RANK": "99", "PMIX_SERVER_URI2": "x", "OMPI_COMM_WORLD_SIZE": "5", "KEPT": "yes"}
    seen = run(launch, "--encodings", "v21", "env", env=os.environ | foreign).stdout
    assert "PMIX_RANK=0\n" in seen and "KEPT=yes\n" in seen
    assert re.search(r"^PMIX_SERVER_URI21=pmixrun-\d+-server\.0;tcp4://127\.0\.0\.1:\d+$", seen, re.M), seen
    for absent in ("PMIX_SERVER_URI2=", "PMIX_SERVER_URI41=", "OMPI_COMM_WORLD_SIZE"):
        assert absent not in seen, absent
    fed = subprocess.run([launch, "-n", "2", "cat"], input="for rank 0\n", capture_output=True, text=True, timeout=60)
    assert (fed.returncode, fed.stdout) == (0, "for rank 0\n"), fed
    with tempfile.TemporaryDirectory() as directory:
        run(launch, "--tmpdir", directory, "--", "sh", "-c", 'test -d "$PMIX_SERVER_TMPDIR"')
        assert not os.listdir(directory), "files were left behind"


{"host_server": host_server, "custom_security": custom_security, "cgroup_security": cgroup_security,
 "minimal_host": minimal_host, "contexts_host": contexts_host, "custom_host": custom_host, "pmixrun": pmixrun}[what]()
