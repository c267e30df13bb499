#!/usr/bin/env python3
"""kill -9 of anything, 500 times under load, and thousands of operations that must not leak."""
import os
import random

from chaos import kill_anything
from harness import check, equal, main, test, wait_for

KILLS = int(os.environ.get("SOAK_KILLS", "500"))
OPERATIONS = int(os.environ.get("SOAK_OPERATIONS", "10000"))


@test
def hundreds_of_random_kills_under_load(home):
    for part in range(max(1, KILLS // 50)):
        print(f"# {part}:", kill_anything(home, min(50, KILLS), seed=1000 + part), flush=True)


def shim_state(pid):
    status = dict(l.split(":", 1) for l in open(f"/proc/{pid}/status") if ":" in l)
    return {"descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": int(status["Threads"]),
            "resident KiB": int(status["VmRSS"].split()[0])}


@test
def thousands_of_operations_leak_nothing(home):
    """Mixed operations; what lives through all of them is as large as before."""
    home.a3s("run", "-d", "--name", "stays", "--memory", "128m", "local/busybox", "--", "sleep", "1000000")
    shim = home.box_pids("stays")["shim"]
    rnd = random.Random(5)

    def files():
        return sum(len(f) for _, _, f in os.walk(home.path))

    def round_of_operations(n):
        for _ in range(n):
            home.a3s(*rnd.choice([("exec", "stays", "true")] * 6 + [
                ("exec", "-d", "stays", "true"), ("pause", "stays"), ("unpause", "stays"), ("logs", "stays"),
                ("top", "stays"), ("inspect", "stays"), ("ps", "-a"), ("kill", "-s", "CONT", "stays"),
                ("rename", "stays", "renamed"), ("rename", "renamed", "stays"), ("images",),
                ("create", "--name", "made", "local/busybox"), ("rm", "made"),
                ("run", "--rm", "--memory", "128m", "local/busybox", "true")]), status=None)
        home.a3s("unpause", "stays", status=None)
        home.a3s("rename", "renamed", "stays", status=None)
        home.a3s("rm", "made", status=None)

    round_of_operations(OPERATIONS // 10)
    before, files_before = shim_state(shim), files()
    round_of_operations(OPERATIONS - OPERATIONS // 10)
    after = wait_for(lambda: s if (s := shim_state(shim))["descriptors"] <= before["descriptors"] else None,
                     "descriptors go back")
    equal(after["threads"], before["threads"], "threads of the shim")
    check(after["resident KiB"] < before["resident KiB"] + 512, f"the shim grew from {before} to {after}")
    check(files() <= files_before + 2, f"files: {files_before} before, {files()} after")
    print("#", before, after)


main()
