#!/usr/bin/python3
"""A gibibyte through exec: every byte arrives, and nobody's memory grows."""
import hashlib
import pathlib
import random
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, equal, main, test  # noqa: E402

CHUNK = 1 << 20
TOTAL = 1024  # chunks
GROWTH = 2048  # KiB a process may grow after the first 64 MiB: allocator noise, not data


def rss(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def feed(pipe, digest):
    rng = random.Random(1)
    for _ in range(TOTAL):
        block = rng.randbytes(CHUNK)
        digest.update(block)
        pipe.write(block)
    pipe.close()


@test
def a_gibibyte_through_cat_is_exact_with_flat_memory(home):
    home.a3s("run", "-d", "--name", "big", "local/busybox", "sleep", "1000000")
    shim = home.box_pids("big")["shim"]
    p = home.popen("exec", "-i", "big", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sent, got = hashlib.sha256(), hashlib.sha256()
    writer = threading.Thread(target=feed, args=(p.stdin, sent))
    writer.start()
    count, base = 0, None
    while block := p.stdout.read(CHUNK):
        got.update(block)
        count += len(block)
        if base is None and count >= 64 * CHUNK:
            base = (rss(p.pid), rss(shim))
    equal(p.wait(timeout=60), 0, "status")
    writer.join()
    equal(count, TOTAL * CHUNK, "bytes")
    equal(got.hexdigest(), sent.hexdigest(), "digest")
    grown = rss(shim) - base[1]
    check(grown < GROWTH, f"the shim grew by {grown} KiB")
    print(f"# CLI {base[0]} KiB, shim {base[1]} KiB")


main()
