"""A load of commands from several users at once, and kill -9 of anything of theirs meanwhile.

What may fail, fails; what must not happen is a command that hangs or crashes, a record that
cannot be removed, a store that fsck complains about, a process that stays.
"""
import os
import random
import signal
import subprocess
import threading
import time

from harness import BIN, Failure, check, equal, wait_for

WORKERS = 3
COMMAND_SECONDS = 240  # a boot's deadline, and a start that waits for it


class Load:
    """WORKERS threads, each with boxes of its own and an eye on the others'."""

    def __init__(self, home, seed):
        self.home, self.seed, self.ended = home, seed, threading.Event()
        self.problems, self.done, self.killed = [], 0, set()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(WORKERS)]

    def command(self, *args):
        p = self.home.popen(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = p.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            self.problems.append(f"{args}: hangs\n{err}")
        if p.returncode == 99 or (p.returncode < 0 and p.pid not in self.killed):
            self.problems.append(f"{args}: ended with {p.returncode}\n{err}")
        with self.lock:
            self.done += 1
        return p.returncode

    def work(self, number):
        rnd = random.Random(self.seed * 100 + number)
        while not self.ended.is_set() and not self.problems:
            name = f"w{rnd.randrange(WORKERS) if rnd.random() < .2 else number}-{rnd.randrange(2)}"
            self.command(*rnd.choice([
                ("run", "-d", "--name", name, "--memory", "128m", "local/busybox", "--", "sleep", "1000"),
                ("run", "--rm", "--memory", "128m", "local/busybox", "--", "sh", "-c", "echo x; exit 3"),
                ("create", "--name", name, "local/busybox", "--", "sleep", "1000"),
                ("start", name), ("exec", name, "--", "sh", "-c", "echo y >> /y; sync"), ("logs", name),
                ("stop", "-t", "1", name), ("kill", name), ("restart", "-t", "1", name), ("pause", name),
                ("unpause", name), ("rename", name, f"{name}-new"), ("rm", "-f", name), ("rm", "-f", f"{name}-new"),
                ("tag", "local/busybox", f"local/{name}"), ("rmi", f"local/{name}"), ("ps", "-a"), ("inspect", name)]))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for t in self.threads:
            t.join()


def parent(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def kill_one(home, load, rnd):
    """kill -9 of one process of this home, whatever it is; its kind, or None. Not one with its
    parent's command line: that is the helper of LeakSanitizer, without which its parent spins for ever
    (or a child just before execve(), as good as its parent)."""
    found = home.processes()
    victims = sorted((pid, line) for pid, line in found.items() if found.get(parent(pid)) != line)
    if not victims:
        return None
    pid, line = rnd.choice(victims)
    load.killed.add(pid)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return os.path.basename(line.split(" ")[0])


def kill_anything(home, kills, seed):
    """`kills` random kills under load; then everything is consistent and can be removed."""
    rnd, kinds = random.Random(seed), {}
    with Load(home, seed) as load:
        until = time.monotonic() + 60 + 20 * kills
        while sum(kinds.values()) < kills and not load.problems:
            check(time.monotonic() < until, f"only {kinds} killed in time")
            load.ended.wait(rnd.uniform(0.05, 1.5))
            kind = kill_one(home, load, rnd)
            if kind:
                kinds[kind] = kinds.get(kind, 0) + 1
    check(not load.problems, "\n".join(load.problems[:3]) + f"\n{home.logs()}")
    check(load.done > kills // 4, f"only {load.done} commands ended")
    states = home.out("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
    for line in states:
        check(line.split()[1] in ("created", "running", "paused", "exited", "dead", "restarting"), f"state of {line}")
    boxes = home.out("ps", "-aq", "--no-trunc").split()
    equal(sorted(p.name for p in (home.path / "boxes").glob("*")), sorted(boxes), "directories of boxes")
    if boxes:
        home.a3s("rm", "-f", *boxes)
    wait_for(lambda: not home.processes(), "processes end", 60)
    equal(list((home.path / "boxes").glob("*")), [], "directories of boxes")
    fsck = subprocess.run([BIN / "a3s-box-image", "fsck"], env=home.env, capture_output=True, text=True)
    if fsck.returncode:
        raise Failure(f"fsck: {fsck.stdout}{fsck.stderr}")
    equal(home.out("run", "--rm", "local/busybox", "--", "echo", "fine"), "fine")
    return kinds
