"""What the benches share: a throw-away home, times, processes."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
BIN = TOP / "bin"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "10"))


class Home:
    """A throw-away A3S_HOME with local/busybox."""

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="a3s-bench-"))
        self.env = {**os.environ, "A3S_HOME": str(self.dir / "home")}
        tar = TOP / "build/busybox.tar"
        if not tar.exists():
            tar.parent.mkdir(exist_ok=True)
            subprocess.run([sys.executable, TOP / "tools/mkimage.py", "busybox", tar], check=True)
        self.run("load", "-q", "-i", tar)
        return self

    def __exit__(self, *_):
        boxes = self.run("ps", "-aq").stdout.split()
        if boxes:
            self.run("rm", "-f", *boxes)
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, *args, **kw):
        kw = {"check": True, "capture_output": True, "text": True, **kw}
        return subprocess.run([BIN / "a3s-box", *map(str, args)], env=self.env, **kw)

    def popen(self, *args, **kw):
        return subprocess.Popen([BIN / "a3s-box", *map(str, args)], env=self.env, **kw)

    def timed(self, *args):
        """Milliseconds from posix_spawn() to the return of waitpid(). Python's subprocess would add
        some of its own (fork, a pipe, reading); nothing of the command is left out."""
        argv = [str(BIN / "a3s-box"), *map(str, args)]
        start = time.monotonic()
        pid = os.posix_spawn(argv[0], argv, self.env, file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        status = os.waitpid(pid, 0)[1]
        took = (time.monotonic() - start) * 1000
        if status:
            raise SystemExit(f"bench: {argv} ended with {os.waitstatus_to_exitcode(status)}")
        return took


def summary(values, digits=0):
    return {"min": round(min(values), digits), "median": round(statistics.median(values), digits),
            "max": round(max(values), digits)}


def text(s, unit="ms"):
    return f"{s['min']:g} / {s['median']:g} / {s['max']:g} {unit}"


def children(pid):
    out = []
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int((proc / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                out.append(int(proc.name))
        except OSError:
            pass
    return out


def find(word, home):
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            argv = (proc / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word in argv[0].decode(errors="replace") and any(str(home.dir).encode() in a for a in argv):
            return int(proc.name)
    raise SystemExit(f"bench: no {word} process found")


def memory_kib(pid, field, file="status"):
    for line in open(f"/proc/{pid}/{file}"):
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0
