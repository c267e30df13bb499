#!/usr/bin/env python3
"""Measure what RESULTS.md says: `./dev bench [NAME...]`.

Every number that has a baseline is measured side by side with it, in turns, in one run: the
machine is shared, so ratios are compared and minimum, median and maximum are shown. RESULTS.md is
written only when everything was measured."""
import datetime
import io
import os
import pathlib
import platform
import random
import re
import select
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import time

from living import BENCHES as LIVING
from measure import BIN, ROUNDS, TOP, Home, children, find, memory_kib, summary, text

sys.path.insert(0, str(TOP / "tests/lib"))
from registry import Memory, Peers, Registry  # noqa: E402

RESULTS = TOP / "bench" / "RESULTS.md"


def plain_qemu_argv(home):
    """The command line of a real box's QEMU without what ties it to the shim, and with a serial
    port for the first line of user space."""
    home.run("run", "-d", "--name", "probe", "local/busybox", "--", "sleep", "1000")
    pid = children(find("a3s-box-shim", home))[0]
    argv = [a.decode() for a in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    home.run("rm", "-f", "probe")
    keep, i = [argv[0]], 1
    while i < len(argv):
        option, value = argv[i], argv[i + 1] if i + 1 < len(argv) else ""
        takes = bool(value) and not value.startswith("-")
        if option in ("-M", "-machine"):
            value = re.sub(r"isa-serial=\w+", "isa-serial=on", value)
        if option == "-append":
            value = re.sub(r"\bconsole=\S+", "", value) + " console=ttyS0"
        if option in ("-M", "-machine", "-accel", "-cpu", "-smp", "-m", "-kernel", "-initrd", "-append",
                      "-global", "-sandbox", "-overcommit", "-rtc", "-bios"):
            keep += [option, value]
        elif option in ("-nodefaults", "-no-user-config", "-no-reboot"):
            keep.append(option)
        i += 2 if takes else 1
    return keep + ["-display", "none", "-serial", "stdio"]


def boot_plain(argv):
    start = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = b""
    while b"a3s-box-guest-init" not in line:
        ready, _, _ = select.select([p.stdout], [], [], 60)
        line = p.stdout.readline() if ready else b""
        if not line:
            p.kill()
            raise SystemExit("bench: plain QEMU printed no line of user space:\n" + p.stderr.read().decode())
    took = (time.monotonic() - start) * 1000
    p.kill()
    p.wait()
    return took


def bench_start(home):
    argv = plain_qemu_argv(home)
    base, ours = [], []
    for _ in range(ROUNDS):
        base.append(boot_plain(argv))
        ours.append(home.timed("run", "--rm", "local/busybox", "--", "true"))
    extra = statistics.median(b - a for a, b in zip(base, ours))
    return [("plain QEMU to the first line of user space (B)", text(summary(base)), "", ""),
            ("`run --rm local/busybox -- true`, end to end", text(summary(ours)),
             f"B + {extra:.0f} ms; x{statistics.median(ours) / statistics.median(base):.2f}", "B + 350 ms")]


def bench_exec(home):
    home.run("run", "-d", "--name", "bx", "local/busybox", "--", "sleep", "1000")
    home.run("exec", "bx", "--", "true")
    times = sorted(home.timed("exec", "bx", "--", "true") for _ in range(ROUNDS * 20))
    start = time.monotonic()
    many = [home.popen("exec", "bx", "--", "true") for _ in range(20)]
    good = sum(p.wait() == 0 for p in many)
    burst = (time.monotonic() - start) * 1000
    home.run("rm", "-f", "bx")

    def p(q):
        return times[min(len(times) - 1, int(len(times) * q))]
    return [("`exec BOX -- true`, p50 / p95 / p99", f"{p(.5):.1f} / {p(.95):.1f} / {p(.99):.1f} ms", "", "p50 12 ms"),
            ("20 of them at once", f"{good} of 20 succeed, {burst:.0f} ms", "", "all succeed")]


def bench_throughput(home):
    home.run("run", "-d", "--name", "bx", "local/busybox", "--", "sleep", "1000")
    rates = []
    for _ in range(max(3, ROUNDS // 3)):
        start = time.monotonic()
        p = home.popen("exec", "bx", "--", "sh", "-c", "dd if=/dev/zero bs=1M count=256 2>/dev/null",
                       stdout=subprocess.PIPE)
        n = 0
        while chunk := p.stdout.read(1 << 20):
            n += len(chunk)
        assert p.wait() == 0 and n == 256 << 20
        rates.append(n / 1e6 / (time.monotonic() - start))
    row = exec_cat(home)
    home.run("rm", "-f", "bx")
    return [("exec stdout through the CLI", text(summary(rates), "MB/s"), "", "80 MB/s"), row]


def exec_cat(home):
    shim = find("a3s-box-shim", home)
    before, peak = memory_kib(shim, "VmRSS"), 0
    source = home.dir / "gib"
    with open(source, "wb") as f:
        block = os.urandom(1 << 20)
        for i in range(1024):
            f.write(i.to_bytes(8, "big") + block[8:])
    start = time.monotonic()
    p = home.popen("exec", "-i", "bx", "--", "cat", stdin=open(source, "rb"), stdout=subprocess.PIPE)
    same, n = True, 0
    with open(source, "rb") as f:
        while chunk := p.stdout.read(1 << 20):
            same &= chunk == f.read(len(chunk))
            n += len(chunk)
            if (n >> 20) % 64 == 32:
                peak = max(peak, memory_kib(shim, "VmRSS") + memory_kib(p.pid, "VmRSS"))
    ok = p.wait() == 0 and same and n == 1 << 30
    rate = n / 1e6 / (time.monotonic() - start)
    source.unlink()
    return ("`exec -i BOX -- cat` of 1 GiB", ("byte-exact" if ok else "NOT EQUAL") +
            f", {rate:.0f} MB/s each way; shim {before / 1024:.1f} MiB before, shim + CLI {peak / 1024:.1f} MiB at most",
            "", "byte-exact, flat memory")


def bench_memory(home):
    p = home.popen("run", "--rm", "--name", "bx", "local/busybox", "--", "sh", "-c", "echo up; sleep 1000",
                   stdout=subprocess.PIPE)
    p.stdout.readline()
    shim = find("a3s-box-shim", home)
    rss = [memory_kib(i, "VmRSS") / 1024 for i in (shim, p.pid)]
    pss = [memory_kib(i, "Pss", "smaps_rollup") / 1024 for i in (shim, p.pid)]
    home.run("rm", "-f", "bx")
    p.wait()
    return [("shim + CLI of a foreground run", f"{sum(rss):.1f} MiB resident ({rss[0]:.1f} + {rss[1]:.1f}); "
             f"{sum(pss):.1f} MiB proportional", "", "8 MiB")]


def bench_ps(home):
    """`ps` with the records of many boxes, copies of one."""
    home.run("create", "--name", "proto", "local/busybox")
    db = sqlite3.connect(home.dir / "home/state.db")
    cols = [c[1] for c in db.execute("PRAGMA table_info(boxes)")]
    row = dict(zip(cols, db.execute("SELECT * FROM boxes WHERE name = 'proto'").fetchone()))
    rows, n = [], 1
    for records, limit in (500, "15 ms"), (1000, "25 ms"):
        for n in range(n, records):
            new = {**row, "id": f"{n:064x}", "name": f"copy{n}"}
            db.execute(f"INSERT INTO boxes ({','.join(cols)}) VALUES ({','.join('?' * len(cols))})",
                       [new[c] for c in cols])
        db.commit()
        n += 1
        assert len(home.run("ps", "-aq").stdout.split()) == records
        times = [home.timed("ps", "-a") for _ in range(ROUNDS * 3)]
        rows.append((f"`ps -a` with {records} records", text(summary(times, 1)), "", limit))
    db.execute("DELETE FROM boxes WHERE name LIKE 'copy%'")
    db.commit()
    db.close()
    return rows


def make_layer(path):
    """300 MB in 11,000 entries, with the sizes and the depth of a distribution's root."""
    rnd = random.Random(1)
    data = rnd.randbytes(4 << 20)
    with tarfile.open(path, "w") as tar:
        for d in range(600):
            info = tarfile.TarInfo(f"usr/share/d{d % 40}/e{d}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for i in range(10400):
            d = rnd.randrange(600)
            info = tarfile.TarInfo(f"usr/share/d{d % 40}/e{d}/file{i}")
            info.size = min(4 << 20, int(rnd.paretovariate(1.1) * 5000))
            info.mode, info.uid, info.mtime = 0o644, rnd.randrange(3), 1600000000 + i
            tar.addfile(info, io.BytesIO(data[:info.size]))
    return path.stat().st_size


def bench_layers(home):
    layer, image = home.dir / "layer.tar", home.dir / "image.tar"
    size = make_layer(layer)
    subprocess.run([sys.executable, TOP / "tools/mkimage.py", "tar", "--name", "bench/layer", layer, image], check=True, capture_output=True)
    base, flat, load = [], [], []
    for _ in range(max(3, ROUNDS // 2)):
        target = home.dir / "x"
        target.mkdir()
        start = time.monotonic()
        subprocess.run(["tar", "-xpf", layer, "-C", target, "--same-owner"], check=True)
        base.append((time.monotonic() - start) * 1000)
        shutil.rmtree(target)
        start = time.monotonic()
        subprocess.run([BIN / "a3s-box-image", "flatten", home.dir / "x.ext4", layer], check=True, capture_output=True)
        flat.append((time.monotonic() - start) * 1000)
        (home.dir / "x.ext4").unlink()
        start = time.monotonic()
        name = home.run("load", "-i", image).stdout.split()[-1]
        load.append((time.monotonic() - start) * 1000)
        home.run("rmi", "-f", name)

    def ratio(v):
        return f"x{statistics.median(v) / statistics.median(base):.2f}"
    return [(f"`tar -x` as root, {size / 1e6:.0f} MB, 11,000 entries", text(summary(base)), "", ""),
            ("the same layer to ext4, without root", text(summary(flat)), ratio(flat), "x1.5"),
            ("the whole `load` of it (digests, store)", text(summary(load)), ratio(load), "")]


PULL_MB, PULL_LAYERS = int(os.environ.get("BENCH_PULL_MB", "300")), 8


def pull_image(home):
    """An OCI image of 8 layers of files, text and less regular bytes mixed as in programs; gzip halves it."""
    sys.path.insert(0, str(TOP / "tools"))
    from mkimage import Image
    rnd = random.Random(2)
    pool = (rnd.randbytes(1 << 20).hex().encode() + rnd.randbytes(1 << 20)) * 2
    image = Image("bench/pull", {"Cmd": ["sh"]})
    for number in range(PULL_LAYERS):
        path, left, i = home.dir / f"layer{number}.tar", PULL_MB * 1_000_000 // PULL_LAYERS, 0
        with tarfile.open(path, "w") as tar:
            while left > 0:
                info = tarfile.TarInfo(f"usr/l{number}/d{i % 40}/file{i}")
                info.size = min(left, 4 << 20, int(rnd.paretovariate(1.1) * 5000))
                info.mode, info.mtime = 0o644, 1600000000 + i
                at = rnd.randrange(len(pool) - info.size + 1)
                tar.addfile(info, io.BytesIO(pool[at:at + info.size]))
                left, i = left - info.size - 512, i + 1
        image.add_layer(str(path))
    with open(home.dir / "pull.tar", "wb") as f:
        image.write(f)
    packed = sum(l[3] for l in image.layers)
    for path in home.dir.glob("layer*"):
        path.unlink()
    return packed


def once(*args, **kw):
    start = time.monotonic()
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    if p.returncode:
        raise SystemExit(f"bench: {args[0]}: {p.stderr}")
    return (time.monotonic() - start) * 1000


def pull_of_others(home, peers, ref):
    """(podman pull, skopeo copy + umoci unpack) in ms; each starts with nothing."""
    store = ["--root", home.dir / "podman", "--runroot", home.dir / "podman-run", "--cgroup-manager", "cgroupfs",
             "--events-backend", "none"]
    podman = once("podman", *store, "pull", "-q", "--tls-verify=false", "--signature-policy", peers.dir / "policy.json",
                  ref, env=peers.env)
    subprocess.run(["podman", *map(str, store), "rmi", "-af"], check=True, capture_output=True, env=peers.env)
    subprocess.run(["umount", home.dir / "podman/overlay"], capture_output=True)  # podman leaves it
    shutil.rmtree(home.dir / "podman")
    copy = once("skopeo", "--policy", peers.dir / "policy.json", "copy", "-q", "--src-tls-verify=false",
                f"docker://{ref}", f"oci:{home.dir}/layout:x", env=peers.env)
    unpack = once("umoci", "unpack", "--image", f"{home.dir}/layout:x", home.dir / "bundle", env=peers.env)
    shutil.rmtree(home.dir / "layout")
    shutil.rmtree(home.dir / "bundle")
    return podman, copy + unpack


def forget(home, ref):
    """As if it had never been pulled."""
    home.run("rmi", "-f", ref)
    home.run("image-prune", "-a", "-f", check=False)


def bench_pull(home):
    packed = pull_image(home)
    peers, ours, podman, umoci = Peers(home.dir), [], [], []
    with Registry() as r:
        ref = r.ref("bench/pull:1")
        peers.copy(f"oci-archive:{home.dir}/pull.tar", f"docker://{ref}")
        (home.dir / "pull.tar").unlink()
        for _ in range(max(3, ROUNDS // 2)):
            a, b = pull_of_others(home, peers, ref)
            podman.append(a)
            umoci.append(b)
            ours.append(home.timed("pull", "-q", ref))
            forget(home, ref)
        p = home.popen("pull", "-q", ref, stdout=subprocess.DEVNULL)
        memory = Memory(p.pid)
        assert p.wait() == 0
        memory.stop()
        present = [home.timed("pull", "-q", ref) for _ in range(ROUNDS * 3)]
        forget(home, ref)

    def ratio(base):
        return f"x{statistics.median(ours) / statistics.median(base):.2f}"
    each = ", ".join(f"{n} {kib / 1024:.1f}" for n, kib in sorted(memory.each.items()))
    what = f"{PULL_MB} MB, {PULL_LAYERS} layers, {packed / 1e6:.0f} MB to fetch"
    return [(f"`podman pull`, {what}", text(summary(podman)), "", ""),
            ("`skopeo copy` + `umoci unpack` of it", text(summary(umoci)), "", ""),
            ("`pull` of it, to runnable", text(summary(ours)), f"{ratio(podman)} podman; {ratio(umoci)} skopeo + umoci",
             "x0.8 podman; x0.6 skopeo + umoci"),
            ("memory of that pull, all processes", f"{memory.peak / 1024:.1f} MiB at most ({each})", "", "48 MiB"),
            ("`pull` of what is present", text(summary(present, 1)), "", "40 ms")]


BENCHES = {"start": bench_start, "exec": bench_exec, "throughput": bench_throughput,
           "memory": bench_memory, "ps": bench_ps, "layers": bench_layers, "pull": bench_pull, **LIVING}


def environment():
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=TOP, capture_output=True, text=True).stdout
    info = subprocess.run([BIN / "a3s-box", "info"], capture_output=True, text=True).stdout
    accel = next((l.strip() for l in info.splitlines() if "ccelerator" in l), "")
    return (f"{datetime.date.today()}, commit {commit.strip()}; {os.cpu_count()} x {cpu}; Linux {platform.release()}; "
            f"{qemu}; {accel}; load before the run {os.getloadavg()[0]:.1f}")


def main():
    names = sys.argv[1:] or list(BENCHES)
    env, rows = environment(), []
    for name in names:
        with Home() as home:
            for row in BENCHES[name](home):
                rows.append(row)
                print(" | ".join(row), flush=True)
    if len(names) == len(BENCHES):
        write(env, rows)


def write(env, rows):
    table = ["| what | measured (min / median / max) | against the baseline | limit |", "|---|---|---|---|"]
    table += [f"| {' | '.join(r)} |" for r in rows]
    block = "\n".join(["<!-- measured -->", "", f"Command: `./dev bench` ({ROUNDS} rounds)", "",
                       f"Environment: {env}", "", *table, "", "<!-- end -->"])
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n\n<!-- measured --><!-- end -->\n"
    RESULTS.write_text(re.sub(r"(?s)<!-- measured -->.*<!-- end -->", lambda _: block, old))


main()
