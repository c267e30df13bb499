"""What the tests that run real boxes share.

    from harness import Home, test, main

    @test
    def exit_codes_pass_through(home):
        home.a3s("run", "--rm", "local/busybox", "--", "sh", "-c", "exit 7", status=7)

    main()

Every test gets a Home of its own (an A3S_HOME under a temporary directory with
local/busybox loaded), prints one TAP line, and fails when it leaves a process,
a mount or, after everything was removed, a file behind. Nothing sleeps: wait_for()
blocks on a condition with a deadline.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("A3S_BIN", TOP / "bin"))
TIMEOUT = 150  # longer than a boot may take: then the reason is told

tests = []
environment = {}  # for every command of every test: what a kind of test needs


class Failure(Exception):
    pass


class Skip(Exception):
    """A test that cannot run here; the reason is printed."""


def test(fn=None, *, image=True):
    """A test; image=False: its home has no image in it."""
    if fn is None:
        return lambda f: test(f, image=image)
    fn.image = image
    tests.append(fn)
    return fn


def wait_for(condition, what, seconds=60):
    """Until condition() is true; the value is returned. Fails naming `what`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.02)  # a deadline's granularity, not a wait for a guess


def busybox_tar():
    """An image tar of local/busybox, made once per build tree."""
    tar = TOP / "build" / "busybox.tar"
    if not tar.exists():
        tar.parent.mkdir(exist_ok=True)
        tmp = tar.with_suffix(f".{os.getpid()}")
        subprocess.run([sys.executable, TOP / "tools/mkimage.py", "busybox", tmp], check=True)
        tmp.rename(tar)
    return tar


class Result:
    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def __str__(self):
        return f"{' '.join(map(str, self.argv))}: status {self.status}\n  out: {self.out!r}\n  err: {self.err!r}"


class Home:
    def __init__(self, image=True):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="a3s-test-"))
        self.path = self.dir / "home"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("A3S_")}
        self.env |= {"A3S_HOME": str(self.path), "HOME": str(self.dir)} | environment
        if image:
            self.a3s("load", "-q", "-i", busybox_tar())

    def popen(self, *args, **kw):
        return subprocess.Popen([str(BIN / "a3s-box"), *map(str, args)], env=self.env | kw.pop("env", {}), **kw)

    def a3s(self, *args, status=0, input=None, text=True, timeout=TIMEOUT, env={}):
        """Run the CLI. Fails unless it exits with `status` (None: any)."""
        p = self.popen(*args, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=text, env=env)
        try:
            out, err = p.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise Failure(f"{' '.join(map(str, args))}: not done after {timeout} s\n{err}\n{self.logs()}")
        result = Result(args, p.returncode, out, err)
        if status is not None and p.returncode != status:
            raise Failure(f"expected status {status}: {result}\n{self.logs()}")
        return result

    def out(self, *args, **kw):
        return self.a3s(*args, **kw).out.rstrip("\n")

    def logs(self, lines=15):
        """The ends of the logs of all boxes: for failure messages."""
        text = []
        for log in sorted(self.path.glob("boxes/*/logs/*.log")):
            tail = log.read_text(errors="replace").splitlines()[-lines:]
            text += [f"--- {log.relative_to(self.path)}", *tail]
        return "\n".join(text)

    def processes(self):
        """Every process that has something of this home in its command line, or was given this A3S_HOME."""
        found, ours = {}, f"A3S_HOME={self.path}".encode()
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                line = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (proc / "stat").read_text().rsplit(")", 1)[1].split()[0]
                mine = str(self.dir) in line or ours in (proc / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mine and int(proc.name) != os.getpid() and state != "Z":
                found[int(proc.name)] = line
        return found

    def box_pids(self, name):
        """{"shim": pid, "qemu": pid} of a live box, as far as they are there."""
        box_id = self.out("inspect", "--format", "{{.Id}}", name)
        pids = {}
        for pid, line in self.processes().items():
            if box_id in line and "a3s-box-shim" in line:
                pids["shim"] = pid
        for pid, line in self.processes().items():
            if "qemu-system" in line.split(" ")[0] and box_id in line:
                pids["qemu"] = pid
        return pids

    def close(self):
        """Remove everything; what stays behind is a failure."""
        problems = []
        left = self.a3s("ps", "-aq", "--no-trunc", status=None).out.split()
        if left:
            self.a3s("rm", "-f", *left, status=None)
        try:
            wait_for(lambda: not self.processes(), "processes end", 20)
        except Failure:
            problems.append(f"processes left: {self.processes()}")
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
        mounts = [m for m in open("/proc/mounts") if str(self.dir) in m]
        if mounts:
            problems.append(f"mounts left: {mounts}")
        boxes = list((self.path / "boxes").glob("*")) if (self.path / "boxes").exists() else []
        if boxes and not problems:
            problems.append(f"files left: {[str(b) for b in boxes]}")
        shutil.rmtree(self.dir, ignore_errors=True)
        if problems:
            raise Failure("; ".join(problems))


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, want, what="value"):
    if got != want:
        raise Failure(f"{what}: got {got!r}, expected {want!r}")


def contains(text, part):
    if part not in text:
        raise Failure(f"{part!r} is not in {text!r}")


def matches(text, pattern):
    if not re.search(pattern, text):
        raise Failure(f"{pattern!r} does not match {text!r}")


def close_after(home, first):
    """Clean up without hiding the failure that came first."""
    try:
        if home:
            home.close()
    except Failure as second:
        first.args = (f"{first}\nand then: {second}",)


def run_one(number, fn):
    name = fn.__name__.replace("_", " ")
    started = time.monotonic()
    home = None
    try:
        try:
            home = Home(image=fn.image)
            fn(home)
        except BaseException as first:
            close_after(home, first)
            raise
        home.close()
        print(f"ok {number} {name} ({time.monotonic() - started:.1f} s)", flush=True)
        return True
    except Skip as why:
        print(f"ok {number} {name} # SKIP {why}", flush=True)
        return True
    except Exception as e:
        print(f"not ok {number} {name}", flush=True)
        text = str(e) if isinstance(e, Failure) else traceback.format_exc()
        for line in text.splitlines():
            print(f"#   {line}", flush=True)
        return False


def main():
    """Run all tests, or those whose name contains an argument."""
    chosen = [t for t in tests if not sys.argv[1:] or any(a in t.__name__ for a in sys.argv[1:])]
    print(f"1..{len(chosen)}", flush=True)
    good = [run_one(i, t) for i, t in enumerate(chosen, 1)]
    sys.exit(0 if all(good) and good else 1)
