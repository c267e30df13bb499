#!/usr/bin/env python3
"""Long runs: what a short test cannot see. `./dev soak`; SOAK=N scales the repetitions."""
import os
import random
import signal
import subprocess

from harness import Failure, check, contains, equal, main, test, wait_for

N = int(os.environ.get("SOAK", "200"))


def file_count(home):
    return sum(len(files) for _, _, files in os.walk(home.path))


@test
def repeated_runs_leave_nothing(home):
    """Start, output, exit status: N times, and the home is as large as before."""
    home.a3s("run", "--rm", "local/busybox", "true")
    before = file_count(home)
    for i in range(N):
        r = home.a3s("run", "--rm", "local/busybox", "--", "sh", "-c", f"echo out{i}; echo err{i} >&2; exit {i % 200}",
                     status=i % 200)
        equal((r.out, r.err), (f"out{i}\n", f"err{i}\n"))
    equal(file_count(home), before, "files in the home")
    equal(home.out("ps", "-aq"), "", "boxes")


@test
def repeated_execs_leave_the_shim_flat(home):
    home.a3s("run", "-d", "--name", "bx", "local/busybox", "--", "sleep", "100000")
    shim = home.box_pids("bx")["shim"]

    def state():
        rss = next(int(l.split()[1]) for l in open(f"/proc/{shim}/status") if l.startswith("VmRSS"))
        return len(os.listdir(f"/proc/{shim}/fd")), rss

    for _ in range(500):  # until the sanitizer's quarantine is full, too
        home.a3s("exec", "bx", "true")
    fds, rss = state()
    for i in range(N * 10):
        equal(home.out("exec", "bx", "echo", str(i)), str(i))
    fds_after, rss_after = wait_for(lambda: state() if state()[0] <= fds else None, "the shim's descriptors go back")
    equal(fds_after, fds, "descriptors of the shim")
    check(rss_after < rss + 512, f"the shim grew from {rss} to {rss_after} KiB")


@test
def a_gibibyte_goes_through_unchanged(home):
    home.a3s("run", "-d", "--name", "bx", "local/busybox", "--", "sleep", "100000")
    p = home.popen("exec", "-i", "bx", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    block = random.Random(7).randbytes(1 << 20)
    pid = os.fork()
    if pid == 0:
        for i in range(1024):
            p.stdin.write(i.to_bytes(8, "big") + block[8:])
        p.stdin.close()
        os._exit(0)
    p.stdin.close()
    for i in range(1024):
        got = p.stdout.read(1 << 20)
        check(got == i.to_bytes(8, "big") + block[8:], f"MiB {i} differs")
    equal(p.stdout.read(1), b"", "bytes behind the end")
    os.waitpid(pid, 0)
    equal(p.wait(), 0)


@test
def a_hundred_boxes_started_at_once_are_all_recorded(home):
    started = [home.popen("run", "-d", "--memory", "128m", "--name", f"b{i}", "local/busybox", "--", "sleep", "100000",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={"A3S_BOX_BOOT_TIMEOUT": "1500"}) for i in range(100)]
    for i, p in enumerate(started):
        out, err = p.communicate(timeout=1800)
        check(p.returncode == 0, f"b{i}: {err}")
        check(len(out.strip()) == 64, f"b{i}: no id: {out!r}")
    equal(len(home.out("ps", "-q").split()), 100, "running boxes")
    for i in range(0, 100, 7):
        contains(home.a3s("exec", f"b{i}", "echo", "here", timeout=600).out, "here")
    home.a3s("rm", "-f", *[f"b{i}" for i in range(100)], timeout=1800)
    equal(home.out("ps", "-aq"), "")


@test
def random_kills_leave_no_strays(home):
    """kill -9 of CLI, shim or QEMU at a random moment of run: then all can be removed."""
    rnd = random.Random(11)
    for i in range(N // 2):
        name = f"k{i}"
        p = home.popen("run", "--name", name, "local/busybox", "--", "sh", "-c", "echo up; sleep 2",
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        victim = rnd.choice(["cli", "a3s-box-shim", "qemu-system"])
        try:
            p.wait(rnd.uniform(0.05, 4))
        except subprocess.TimeoutExpired:
            pass
        for pid, line in home.processes().items():
            if pid == p.pid if victim == "cli" else victim in line.split(" ")[0]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        try:
            p.wait(60)
        except subprocess.TimeoutExpired:
            raise Failure(f"round {i}: the CLI hangs after the {victim} was killed\n{home.logs()}")
        home.a3s("rm", "-f", name, status=None)
        equal(home.out("ps", "-aq"), "", f"boxes after round {i} ({victim})")
        wait_for(lambda: not home.processes(), f"processes end after round {i} ({victim})", 30)


main()
