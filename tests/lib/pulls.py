"""What the tests of pull and push share: a quick temper, and what a store may look like."""
import hashlib
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import time

import harness
from harness import Failure, check

RELEASE = pathlib.Path(os.environ.get("A3S_RELEASE_BIN", harness.TOP / "bin"))

# A busy machine must not make a test fail, a broken program must not make it long.
QUICK = {"A3S_REGISTRY_PULL_MAX_ATTEMPTS": "3", "A3S_REGISTRY_PULL_RETRY_INITIAL_MS": "20",
         "A3S_REGISTRY_PULL_RETRY_MAX_MS": "100", "A3S_REGISTRY_PULL_NO_PROGRESS_TIMEOUT_SECS": "3"}


def quick():
    """For every command of this program."""
    harness.environment.update(QUICK)


def files(home, *where):
    """Files of the store, relative to the home; locks are not contents."""
    found = []
    for top in where or ("images", "rootfs"):
        found += [str(p.relative_to(home.path)) for p in (home.path / top).rglob("*")
                  if p.is_file() and p.suffix != ".lock" and p.name != "lock"]
    return sorted(found)


def rows(home, table="images"):
    db = home.path / "state.db"
    if not db.exists():
        return []
    with sqlite3.connect(db) as c:
        if not c.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchall():
            return []  # the disk was full before there was a table
        return c.execute(f"SELECT * FROM {table}").fetchall()


def nothing_stored(home, partial=False):
    """partial: a broken transfer may leave what a later pull goes on with."""
    left = [f for f in files(home) if not (partial and f.startswith("images/partial/"))]
    if left or rows(home):
        raise Failure(f"the store has {left} {rows(home)}")


def fsck(home, empty_partial=True):
    """The store's own check, and what it must agree with."""
    p = subprocess.run([harness.BIN / "a3s-box-image", "fsck"], env=home.env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    if p.returncode != 0:
        raise Failure(f"fsck: {p.returncode}\n{p.stdout}{p.stderr}")
    for name in files(home, "images/blobs/sha256"):
        with open(home.path / name, "rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else \
                hashlib.sha256(f.read()).hexdigest()
        check(name.endswith("/" + digest), f"blob {name} has digest {digest}")
    for name in files(home, "rootfs"):
        p = subprocess.run(["e2fsck", "-fn", home.path / name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env={**os.environ, "PATH": "/usr/sbin:/sbin:" + os.environ["PATH"]})
        check(p.returncode == 0, f"{name}: {p.stdout.decode(errors='replace')[-1000:]}")
    staged = [f for f in files(home) if not re.match(r"images/(blobs|partial)/|rootfs/[0-9a-f]{64}\.ext4$", f)]
    check(not staged, f"leftovers: {staged}")
    if empty_partial:
        check(not files(home, "images/partial"), f"leftovers: {files(home, 'images/partial')}")


def rootfs(home, name):
    return pathlib.Path(home.out("image-inspect", "-f", "{{.GraphDriver.Data.Rootfs}}", name))


def refused(home, *args, words=(), status=1, env={}, timeout=harness.TIMEOUT):
    """A command that fails as it should: an error with these words (regular expressions), printable."""
    r = home.a3s(*args, status=status, env=env, timeout=timeout, text=False)
    text = r.err.decode(errors="replace")
    if "Sanitizer" in text or "runtime error" in text:
        raise Failure(text)
    check(re.search(r"^Error: ", text, re.M), f"no error: {text!r}")
    check(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", r.err + r.out), f"control characters: {r.err!r} {r.out!r}")
    check(len(r.err) < 8192, f"{len(r.err)} bytes of error")
    for word in words:
        check(re.search(word, text, re.I), f"{word!r} is not in {text!r}")
    return text


class Program:
    """A command in the background, with all it says."""

    def __init__(self, home, *args, bin=None, env={}):
        self.args, self.started = args, time.monotonic()
        self.p = subprocess.Popen([str((bin or harness.BIN) / "a3s-box"), *map(str, args)], env=home.env | env,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.p.pid

    def wait(self, status=0, timeout=harness.TIMEOUT):
        try:
            out, err = self.p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.p.kill()
            out, err = self.p.communicate()
            raise Failure(f"{self.args}: not done after {timeout} s\n{err.decode(errors='replace')}")
        self.seconds = time.monotonic() - self.started
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")
        if status is not None and self.p.returncode != status:
            raise Failure(f"{self.args}: status {self.p.returncode}, not {status}\n{self.out}\n{self.err}")
        return self


def full_disk(megabytes, where):
    """Mounts a small tmpfs; returns what unmounts it. Needs root."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        raise harness.Skip("needs root to mount a tmpfs")
    where.mkdir(parents=True, exist_ok=True)
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "a3s-test", where], capture_output=True)
    if p.returncode != 0:
        raise harness.Skip(f"cannot mount a tmpfs: {p.stderr.decode(errors='replace').strip()}")
    return lambda: subprocess.run(["umount", "-l", where], check=True)
