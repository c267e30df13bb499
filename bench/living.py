"""Boxes that people leave running: stop, idle, cp."""
import os
import pathlib
import subprocess
import time

from measure import BIN, ROUNDS, find, summary, text

IDLE_SECONDS = 30
GIB = 1 << 30


def bench_stop(home):
    """From the signal on, the workload's own end included: it ends at once."""
    times = []
    for _ in range(ROUNDS):
        home.run("run", "-d", "--name", "bx", "local/busybox", "--", "sh", "-c",
                 "trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait $!; done")
        while "ready" not in home.run("logs", "bx").stdout:
            pass
        times.append(home.timed("stop", "bx"))
        home.run("rm", "bx")
    return [("`stop` of a box that ends at SIGTERM", text(summary(times)), "", "150 ms")]


def switches(pid):
    return sum(int(line.split()[1]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
               for line in open(task / "status") if "ctxt_switches" in line)


def bench_idle(home):
    home.run("run", "-d", "--name", "bx", "local/busybox", "--", "sleep", "1000")
    shim = find("a3s-box-shim", home)
    start, before = time.monotonic(), switches(shim)
    time.sleep(IDLE_SECONDS)
    rate = (switches(shim) - before) / (time.monotonic() - start)
    home.run("rm", "-f", "bx")
    return [("context switches of an idle box's shim", f"{rate:.2f} per second over {IDLE_SECONDS} s", "", "2 per second")]


def cp_rate(home, *args):
    """MB/s of 1 GiB, read to its end by us."""
    start = time.monotonic()
    with open(os.devnull, "w") as null:
        subprocess.run([BIN / "a3s-box", "cp", *args], env=home.env, stdout=null, check=True)
    return GIB / 1e6 / (time.monotonic() - start)


def bench_cp(home):
    home.run("run", "-d", "--name", "bx", "--memory", "1g", "--storage-size", "4g", "local/busybox", "--", "sleep", "1000")
    source, target = home.dir / "gib", home.dir / "copy"
    with open(source, "wb") as f:
        block = os.urandom(1 << 20)
        for i in range(1024):
            f.write(i.to_bytes(8, "big") + block[8:])
    to_running = cp_rate(home, str(source), "bx:/gib")
    from_running = cp_rate(home, "bx:/gib", str(target))
    same = subprocess.run(["cmp", source, target]).returncode == 0
    home.run("stop", "-t", "0", "bx")
    from_stopped = [cp_rate(home, "bx:/gib", str(target)) for _ in range(3)]
    same = same and subprocess.run(["cmp", source, target]).returncode == 0
    home.run("rm", "bx")
    exact = "byte-exact" if same else "NOT EQUAL"
    return [("`cp` of 1 GiB into a running box, and out of it", f"{to_running:.0f} MB/s, {from_running:.0f} MB/s, {exact}",
             "", "60 MB/s"),
            ("`cp` of 1 GiB out of a stopped box", text(summary(from_stopped), "MB/s") + f", {exact}", "", "150 MB/s")]


def high_water(pid):
    """MiB of memory at most so far."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0


LOG_BYTES = 512 << 20
LOG_PIECE = 32 << 20  # written again and again: to make lines takes the guest longer than to print them


def bench_logs(home):
    """As fast as the box can, with rotation, and nothing is missing."""
    line = "x" * 99
    home.run("run", "-d", "--name", "bx", "--log-opt", "max-size=64m", "--log-opt", "max-file=100", "--log-opt",
             "compress=false", "local/busybox", "--", "sh", "-c",
             f"yes {line} | head -c {LOG_PIECE} >/dev/shm/lines; touch /ready; while [ ! -e /go ]; do usleep 10000; done;"
             f" for i in $(seq {LOG_BYTES // LOG_PIECE}); do cat /dev/shm/lines; done; touch /done; sleep 1000")
    home.run("exec", "bx", "--", "sh", "-c", "while [ ! -e /ready ]; do usleep 10000; done")
    shim = find("a3s-box-shim", home)
    before = high_water(shim)
    start = time.monotonic()
    home.run("exec", "bx", "--", "touch", "/go")
    home.run("exec", "bx", "--", "sh", "-c", "while [ ! -e /done ]; do usleep 10000; done")
    seconds = time.monotonic() - start
    grown = high_water(shim) - before
    home.run("stop", "-t", "0", "bx")
    logs = subprocess.Popen([BIN / "a3s-box", "logs", "bx"], env=home.env, stdout=subprocess.PIPE)
    got = sum(len(piece) for piece in iter(lambda: logs.stdout.read(1 << 20), b""))
    logs.wait()
    home.run("rm", "bx")
    complete = "complete" if got == LOG_BYTES else f"{LOG_BYTES - got} BYTES MISSING"
    return [("output of a box into a rotated log", f"{LOG_BYTES / 1e6 / seconds:.0f} MB/s, {complete}", "", ""),
            ("memory its shim took for that", f"{grown:.1f} MiB", "", "")]


BENCHES = {"stop": bench_stop, "idle": bench_idle, "cp": bench_cp, "logs": bench_logs}
