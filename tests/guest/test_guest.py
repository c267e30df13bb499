#!/usr/bin/python3
"""guest-init in a booted machine: what is promised works, what is forbidden is denied.

  test_guest.py GUEST PROBE [unittest arguments]

GUEST is the directory with vmlinux and initramfs, PROBE the static tests/guest/probe.c. One
machine serves most tests, each with containers of its own on a tmpfs.
"""
import contextlib
import itertools
import os
import shutil
import struct
import sys
import tempfile
import time
import unittest

from guestvm import *  # noqa: F403

os.environ["PATH"] += ":/usr/sbin:/sbin"
GUEST, PROBE = sys.argv[1:3]
if not os.path.exists(GUEST + "/initramfs") or not shutil.which("qemu-system-x86_64"):
    print("1..0 # SKIP no %s/initramfs (./dev build makes it) or no QEMU" % GUEST)
    sys.exit(0)
EPERM = b"Operation not permitted\n"
numbers = itertools.count(1)


class TapResult(unittest.TestResult):
    """One TAP line per test, so that each counts (tools/tally.py)."""

    def line(self, verdict, test, more=""):
        # A failure outside of any test (setUpModule) is a line of its own.
        self.said = getattr(self, "said", 0) + 1
        print(f"{verdict} {self.said} {test.id().split('.')[-1]}{more}", file=sys.__stdout__, flush=True)

    def trouble(self, test, err):
        self.line("not ok", test)
        for text in self._exc_info_to_string(err, test).splitlines():
            print("#", text, file=sys.__stdout__, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("ok", test, f" # SKIP {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.trouble(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.trouble(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.trouble(subtest, err)

    def stopTestRun(self):
        print(f"1..{getattr(self, 'said', 0)}", file=sys.__stdout__, flush=True)


class TapRunner:
    def __init__(self, buffer=False, failfast=False, **unused):
        self.buffer, self.failfast = buffer, failfast

    def run(self, tests):
        result = TapResult()
        result.buffer, result.failfast = self.buffer, self.failfast
        result.startTestRun()
        tests(result)
        result.stopTestRun()
        return result


def machine(disks, **options):
    return Vm(GUEST + "/vmlinux", GUEST + "/initramfs", disks, **options)


def setUpModule():
    global work, vm, lower
    work = tempfile.mkdtemp(prefix="guest-test.")
    root = work + "/root"
    make_root(root)
    shutil.copy(PROBE, root + "/bin/probe")
    lower = work + "/lower"
    make_lower(lower, root)
    images = []
    for name, change in HOSTILE:
        hostile = "%s/%s" % (work, name)
        make_root(hostile)
        shutil.copy(PROBE, hostile + "/bin/probe")
        change(hostile)
        make_lower(hostile + ".img", hostile)
        images.append((hostile + ".img", True))
    with open(work + "/garbage", "wb") as f:
        f.write(os.urandom(1 << 20))
    images.append((work + "/garbage", True))
    vm = machine([(lower, True)] + images).boot()


def tearDownModule():
    vm.close()
    shutil.rmtree(work)


# ---- images of strangers: name, what is done to a good root

def replace(root, name, link=None, text=None):
    path = os.path.join(root, name)
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
    if link is not None:
        os.symlink(link, path)
    elif text is not None:
        with open(path, "w") as f:
            f.write(text)


def huge_passwd(root):
    with open(root + "/etc/passwd", "a") as f:
        f.write("x" * (1 << 20) + "\n")
        for i in range(200000):
            f.write("u%d:x:%d:%d:::\n" % (i, i + 5000, i + 5000))


def fifo_passwd(root):
    replace(root, "etc/passwd")
    os.mkfifo(root + "/etc/passwd")


def only_probe(root):
    for name in os.listdir(root):
        shutil.rmtree(os.path.join(root, name))
    shutil.copy(PROBE, root + "/probe")


def hosts_is_dir(root):
    os.mkdir(root + "/etc/hosts")


HOSTILE = [
    ("no-etc", lambda r: replace(r, "etc")),
    ("etc-out", lambda r: replace(r, "etc", link="../../../../proc")),
    ("proc-link", lambda r: replace(r, "proc", link="/etc")),
    ("proc-file", lambda r: replace(r, "proc", text="x")),
    ("dev-file", lambda r: replace(r, "dev", text="x")),
    ("etc-file", lambda r: replace(r, "etc", text="x")),
    ("resolv-link", lambda r: replace(r, "etc/resolv.conf", link="../run/systemd/stub.conf")),
    ("resolv-loop", lambda r: replace(r, "etc/resolv.conf", link="resolv.conf")),
    ("huge-passwd", huge_passwd),
    ("fifo-passwd", fifo_passwd),
    ("only-probe", only_probe),
    ("hosts-is-dir", hosts_is_dir),
]
LUN = {name: i + 1 for i, (name, _) in enumerate(HOSTILE)}
LUN["garbage"] = len(HOSTILE) + 1


@contextlib.contextmanager
def box(main=("sleep", "1000"), **config):
    """A running container, by id."""
    name = "t%d" % next(numbers)
    failure = vm.create(name, **config)
    if failure:
        raise AssertionError("create: " + failure)
    stream = vm.start(list(main), name, main=True)
    stream.wait(STARTED, ERROR)
    try:
        yield name
    finally:
        end(name)


def end(name):
    def gone():
        return [m for m in vm.control.messages if m[0] == EXITED and m[1]["container"] == name]
    if not gone():
        vm.control.send(KILL, encode(SIGNAL_T, {"container": name, "signal": 9}))
    vm.pump(gone, what="end of " + name)


def once(argv, config=None, **request):
    """The main process of a container of its own."""
    name = "t%d" % next(numbers)
    failure = vm.create(name, **(config or {}))
    if failure:
        raise AssertionError("create: " + failure)
    result = vm.run(argv, box=name, main=True, **request)
    end(name)
    return result


class Streams(unittest.TestCase):
    def test_three_streams_and_status(self):
        r = once(["sh", "-c", "echo out; echo err >&2; exit 7"])
        self.assertEqual((r.out, r.err, r.status, r.reason), (b"out\n", b"err\n", 7, 0))

    def test_stdin_is_binary_and_ends(self):
        data = bytes(range(256)) * 8192
        r = once(["cat"], stdin=data)
        self.assertEqual((r.status, r.out == data), (0, True))

    def test_without_stdin_it_is_empty(self):
        self.assertEqual(once(["wc", "-c"]).text(), "0\n")

    def test_program_that_does_not_read(self):
        r = once(["sh", "-c", "exec <&-; sleep 0.2; echo done"], stdin=b"x" * (4 << 20))
        self.assertEqual(r.text(), "done\n")

    def test_signal_status(self):
        with box() as b:
            r = vm.sh("kill -9 $$", box=b)
            self.assertEqual((r.status, r.reason), (137, 1))

    def test_pid_1_cannot_kill_itself(self):
        self.assertEqual(once(["sh", "-c", "kill -9 $$; echo alive"]).text(), "alive\n")

    def test_end_of_main_ends_all(self):
        name = "t%d" % next(numbers)
        self.assertIsNone(vm.create(name))
        main = vm.start(["sleep", "1000"], name, main=True)
        main.wait(STARTED)
        other = vm.start(["sleep", "1000"], name)
        other.wait(STARTED)
        end(name)
        self.assertEqual(other.wait(EXIT)[1]["status"], 137)
        self.assertEqual(main.wait(EXIT)[1]["status"], 137)

    def test_background_child_is_not_waited_for(self):
        with box() as b:
            r = vm.sh("sleep 1000 & echo hi", box=b)
            self.assertEqual((r.text(), r.status), ("hi\n", 0))
            r = vm.sh("probe flood & sleep 0.1", box=b)
            self.assertEqual(r.status, 0)

    def test_only_three_descriptors(self):
        with box() as b:
            self.assertEqual(vm.run(["probe", "fds"], box=b).text(), "0 1 2 \n")
        self.assertEqual(once(["probe", "fds"]).text(), "0 1 2 \n")

    def test_user_may_open_stdout_again(self):
        self.assertEqual(once(["sh", "-c", "echo x >/dev/stdout"], user="alice").text(), "x\n")

    def test_slow_reader_stops_the_program_and_nobody_else(self):
        with box() as b:
            slow = vm.start(["probe", "flood"], b)
            slow.give_credit = False
            vm.pump(lambda: slow.sizes[STDOUT] > (400 << 10), what="a window of output")
            for _ in range(20):
                self.assertEqual(vm.run(["true"], box=b).status, 0)
            got = slow.sizes[STDOUT]
            self.assertLessEqual(got, WINDOW)
            cpu = [p["cpu"] for p in processes(b) if p["comm"] == "probe"][0]
            vm.run(["sleep", "0.5"], box=b)
            self.assertLess([p["cpu"] for p in processes(b) if p["comm"] == "probe"][0], cpu + 5)
            self.assertEqual(slow.sizes[STDOUT], got)
            slow.give_credit = True
            slow.arrived(b"")
            vm.pump(lambda: slow.sizes[STDOUT] > (4 << 20), what="more output")
            vm.frame(RESET, slow.id, struct.pack(">I", 1))

    def test_lost_client_leaves_the_process(self):
        with box() as b:
            s = vm.start(["sh", "-c", "probe flood | head -c 9000000 | wc -c >/tmp/n"], b)
            s.wait(STARTED)
            vm.frame(RESET, s.id, struct.pack(">I", 1))
            r = vm.sh("while ! [ -s /tmp/n ]; do sleep 0.05; done; cat /tmp/n", box=b)
            self.assertEqual(r.text(), "9000000\n")

    def test_many_at_once(self):
        with box() as b:
            all_ = [vm.start(["sh", "-c", "echo %d" % i], b) for i in range(40)]
            for i, s in enumerate(all_):
                r = Result(s)
                self.assertEqual((r.text(), r.status), ("%d\n" % i, 0))

    def test_nothing_stays_open(self):
        with box() as b:
            def files():
                return int(vm.run(["cat", "/proc/sys/fs/file-nr"], box=b).text().split()[0])

            def work(n):
                for _ in range(n):
                    all_ = [vm.start(["true"], b, stdin=True), vm.start(["nosuch"], b),
                            vm.start(["tty"], b, PTY, tty=True), vm.start(["probe", "fds"], b)]
                    for s in all_:
                        s.wait(EXIT, ERROR)
                        s.finish()
                    s = vm.start(["sh", "-c", "probe flood | head -c 300000"], b)
                    s.wait(STARTED)
                    vm.frame(RESET, s.id, struct.pack(">I", 1))
                once(["true"])
                once(["nosuch"])
                processes(b)
                vm.sh("while pidof probe >/dev/null; do sleep 0.05; done", box=b)
            work(2)
            before = files()  # the kernel counts with an error of some 64 per CPU
            work(150)
            self.assertLess(files(), before + 130)

    def test_more_sessions_than_small_limits_allow(self):
        with box() as b:
            all_ = [vm.start(["sleep", "1000"], b) for _ in range(300)]
            for s in all_:
                s.wait(STARTED, timeout=60)
            self.assertEqual(vm.run(["true"], box=b).status, 0)
            vm.control.send(KILL, encode(SIGNAL_T, {"container": b, "signal": 15, "all": True}))
            for s in all_:
                self.assertEqual(Result(s).status, 143)
                s.finish()

    def test_ping(self):
        s = vm.open(EXEC)
        s.send(PING)
        s.wait(PONG)
        vm.control.send(PING)
        vm.control.wait(PONG)

    def test_timeout(self):
        with box() as b:
            r = vm.sh("sleep 100; true", box=b, timeout=200_000_000)
            self.assertEqual((r.status, r.reason), (137, 2))
        r = once(["sleep", "100"], timeout=200_000_000)
        self.assertEqual((r.status, r.reason), (137, 2))


class Failures(unittest.TestCase):
    def expect(self, argv, status, text, **request):
        for r in (once(argv, **request), self.in_box(argv, **request)):
            self.assertEqual((r.status, r.error), (status, text))

    def in_box(self, argv, **request):
        with box() as b:
            return vm.run(argv, box=b, **request)

    def test_not_found(self):
        self.expect(["nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH')
        self.expect(["/x/y"], 127, 'exec: "/x/y": stat /x/y: no such file or directory')
        self.expect([""], 127, 'exec: "": executable file not found in $PATH')

    def test_not_executable(self):
        self.expect(["/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied')
        self.expect(["/bin"], 126, 'exec: "/bin": is a directory')

    def test_users(self):
        self.expect(["id"], 125, "unable to find user nosuch: no matching entries in passwd file",
                    user="nosuch")
        self.expect(["id"], 125, "unable to find group nog: no matching entries in group file",
                    user="alice:nog")

    def test_cwd_is_made_for_main_only(self):
        self.assertEqual(once(["pwd"], cwd="/a/b").text(), "/a/b\n")
        with box() as b:
            r = vm.run(["pwd"], box=b, cwd="/a/b")
            self.assertEqual((r.status, "chdir to cwd" in r.error), (127, True))

    def test_wrong_container(self):
        r = vm.run(["true"], box="nosuch")
        self.assertEqual((r.status, r.error), (125, "No such container: nosuch"))

    def test_container_twice(self):
        with box() as b:
            self.assertIn("is there already", vm.create(b))

    def test_disk_that_is_not_there(self):
        # It may come later: the failure is for the deadline, the machine goes on meanwhile.
        vm.control.send(CREATE, encode(CONTAINER, {"id": "later", "lower": 200}))
        self.assertEqual(once(["true"]).status, 0)

    def test_nonsense(self):
        for payload in (b"", b"\0" * 5, os.urandom(300)):
            s = vm.open(EXEC)
            s.send(START, payload)
            s.wait(ERROR)
        s = vm.open(EXEC)
        s.send_raw(b"\1\xff\xff\xff\xff")
        vm.pump(lambda: s.reset is not None, what="reset")
        self.assertEqual(once(["true"]).status, 0)


class Users(unittest.TestCase):
    def test_users_and_groups(self):
        for user, uid, gid, groups, home in [
                (None, 0, 0, "0 29", "/root"), ("alice", 1000, 1000, "29 1000", "/home/alice"),
                ("1000:2000", 1000, 2000, "2000", "/home/alice"), ("5", 5, 0, "0", "/"),
                ("www:audio", 33, 29, "29", "/var/www"), ("0:0", 0, 0, "0", "/root")]:
            with self.subTest(user=user):
                r = once(["sh", "-c", "id -u; id -g; id -G; echo $HOME"], user=user)
                got = r.text().split("\n")
                got[2] = sorted(got[2].split())
                self.assertEqual(got, [str(uid), str(gid), sorted(groups.split()), home, ""])

    def test_extra_groups(self):
        r = once(["id", "-G"], user="5", groups=["extra", "123"])
        self.assertEqual(sorted(r.text().split()), ["0", "123", "77"])

    def test_environment(self):
        r = once(["env"], env=["A=1", "HOME=/x", "B=a=b c"])
        self.assertEqual(r.text().split("\n")[:-1], [PATH, "HOSTNAME=box", "A=1", "HOME=/x",
                                                    "B=a=b c"])


class Terminal(unittest.TestCase):
    def test_size_and_control_c(self):
        with box() as b:
            s = vm.start(["sh", "-c", "tty; stty size; read x; stty size; sleep 99"],
                         b, PTY, tty=True, cols=100, rows=30, stdin=True)
            vm.pump(lambda: b"30 100" in s.output(), what="size")
            s.send(RESIZE, struct.pack(">HH", 90, 20))
            s.send(STDIN, b"foo\n")
            vm.pump(lambda: b"20 90" in s.output(), what="new size")
            s.send(STDIN, b"\x03")
            r = Result(s)
            self.assertEqual(r.status, 130)
            self.assertTrue(r.text().startswith("/dev/pts/"))

    def test_main_has_a_console(self):
        r = once(["sh", "-c", "echo x >/dev/console; echo $TERM; ps -o tty | tail -1"], tty=True,
                 port=PTY)
        self.assertEqual(r.text(), "x\nxterm\n136,0\n")

    def test_all_output_before_the_exit(self):
        r = once(["sh", "-c", "seq 1 3000"], tty=True, port=PTY)
        self.assertEqual(r.text(), "".join("%d\n" % i for i in range(1, 3001)))


def processes(name):
    vm.control.messages = [m for m in vm.control.messages if m[0] != PROC_LIST]
    vm.control.send(PROCS, encode(REF, {"container": name}))
    return vm.control.wait(PROC_LIST)[1]["procs"]


class Containers(unittest.TestCase):
    def test_processes(self):
        with box() as b:
            s = vm.start(["sh", "-c", "sleep 77; true"], b, user="alice")
            s.wait(STARTED)
            vm.run(["true"], box=b)
            rows = {p["args"]: p for p in processes(b)}
            self.assertEqual(rows["sleep 1000"]["pid"], 1)
            shell = rows["sh -c sleep 77; true"]
            self.assertEqual((shell["user"], shell["uid"], shell["ppid"]), ("alice", 1000, 0))
            if "sleep 77" in rows:
                self.assertEqual(rows["sleep 77"]["ppid"], shell["pid"])

    def test_signals(self):
        with box() as b:
            s = vm.start(["sleep", "1000"], b)
            s.wait(STARTED)
            s.send(SIGNAL, struct.pack(">I", 15))
            self.assertEqual(Result(s).status, 143)
            s = vm.start(["sleep", "1000"], b)
            s.wait(STARTED)
            vm.control.send(KILL, encode(SIGNAL_T, {"container": b, "signal": 15, "all": True}))
            self.assertEqual(Result(s).status, 143)
            self.assertEqual(vm.run(["true"], box=b).status, 0)  # PID 1 has no handler: ignored

    def test_separate_containers(self):
        with box(hostname="one") as a, box(hostname="two") as b:
            vm.sh("echo a >/tmp/x", box=a)
            self.assertEqual(vm.run(["hostname"], box=b).text(), "two\n")
            self.assertNotEqual(vm.run(["cat", "/tmp/x"], box=b).status, 0)
            self.assertEqual(len(vm.sh("ps | grep -c sleep", box=a).text()), 2)

    def test_files_in_etc(self):
        r = once(["cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"])
        self.assertEqual(r.text(), "127.0.0.1 localhost\nnameserver 10.0.2.3\nbox\n")

    def test_init(self):
        with box(init=True) as b:
            ps = vm.run(["ps", "-o", "pid,args"], box=b).text()
            self.assertIn("1 /sbin/docker-init -- sleep 1000", ps)
            vm.run(["probe", "zombies", "20"], box=b)
            self.assertNotIn("Z", vm.run(["ps", "-o", "stat"], box=b).text().replace("SZ", ""))
            write = vm.sh("echo >/proc/1/exe; chmod 0 /proc/1/exe; true", box=b)
            self.assertEqual(write.err.count(b"Read-only") + write.err.count(b"busy"), 2, write)
        r = once(["sh", "-c", "exit 9"], {"init": True})
        self.assertEqual(r.status, 9)
        r = once(["nosuch"], {"init": True})
        self.assertEqual(r.status, 127)
        name = "t%d" % next(numbers)
        vm.create(name, init=True)
        s = vm.start(["sleep", "1000"], name, main=True)
        s.wait(STARTED)
        vm.run(["true"], box=name)
        vm.control.send(KILL, encode(SIGNAL_T, {"container": name, "signal": 15}))
        self.assertEqual(Result(s).status, 143)

    def test_zombies_without_init_are_the_image_s(self):
        with box() as b:
            vm.run(["probe", "zombies", "5"], box=b)
            self.assertIn("Z", vm.run(["ps", "-o", "stat"], box=b).text())

    def test_tmpfs(self):
        r = once(["sh", "-c", "grep ' /t[12] ' /proc/mounts; ls -ld /t2 /work"],
                 {"tmpfs": [{"path": "/t1"}, {"path": "/t2", "options": "size=1m,exec,mode=700"},
                            {"path": "/work"}]})
        one, two, ls, kept = r.text().split("\n")[:4]
        self.assertTrue({"nosuid", "nodev", "noexec"} <= set(one.split()[3].split(",")))
        self.assertNotIn("noexec", two.split()[3].split(","))
        self.assertIn("size=1024k", two)
        self.assertTrue(ls.startswith("drwx------"))
        self.assertTrue(kept.startswith("drwxr-xr-x"))
        for options in ("bogus", "size=x", "mode=99", "size=1m,mpol=local"):
            failure = vm.create("t%d" % next(numbers), tmpfs=[{"path": "/t", "options": options}])
            self.assertIn("tmpfs option", failure)
        self.assertIn("is inside /proc",
                      vm.create("t%d" % next(numbers), tmpfs=[{"path": "/proc/sys"}]))

    def test_shm(self):
        r = once(["df", "-k", "/dev/shm"], {"shm": 1 << 20})
        self.assertEqual(r.text().split("\n")[1].split()[1], "1024")

    def test_nsexec(self):
        def nsexec(*args, caps=ALL_CAPS):
            return once(["nsexec", *args], {"security": {"caps": caps, "privileged": True}})
        r = nsexec("--pid", "--mount", "--uts", "--hostname", "inner", "--", "sh", "-c",
                   "echo $$; hostname; ps | wc -l; exit 5")
        self.assertEqual((r.text(), r.status), ("1\ninner\n4\n", 5), r)
        self.assertEqual(nsexec("--", "nosuch").status, 127)
        self.assertEqual(nsexec("--net", "sh", "-c", "grep -c : /proc/net/dev").text(), "1\n")
        self.assertEqual(nsexec("--bogus").status, 125)
        r = nsexec("--pid", "sh", "-c", "id -u; echo $$", caps=DEFAULT_CAPS)
        self.assertEqual(r.text(), "0\n1\n", r)
        with box() as b:
            r = vm.run(["nsexec", "-Ur", "id", "-u"], box=b, user="alice")
            self.assertEqual(r.text(), "0\n", r)
            r = vm.sh("echo x >/usr/bin/nsexec; nsexec -h", box=b)
            self.assertEqual(r.status != 0, True)
        self.assertEqual(nsexec("--", "true").status, 0)  # that was the box's own copy

    def test_vsock(self):
        with box() as b:
            s = vm.start(["probe", "vsock-echo", "7777"], b)
            vm.pump(lambda: b"listening" in s.output() or s.find(EXIT), what="listener")
            c = vm.open(7777, raw=True)
            data = os.urandom(1 << 20)
            c.send_raw(data)
            vm.pump(lambda: len(c.data) > len(data) or c.reset, 20, "echo")
            self.assertEqual((bytes(c.data) == b"+" + data, c.reset), (True, None))
            c.finish()
            vm.pump(lambda: c.fin, what="end of the echo")
            c = vm.open(7778, raw=True)
            vm.pump(lambda: c.reset, what="refusal")
            self.assertEqual(c.reset, 2)


class Security(unittest.TestCase):
    """Each control with the denied thing, and where cheap with the same thing permitted."""

    def status(self, field, config=None, **request):
        text = once(["cat", "/proc/self/status"], config, **request).text()
        return [line.split()[1] for line in text.split("\n") if line.startswith(field + ":")][0]

    def test_capabilities(self):
        default = "%016x" % DEFAULT_CAPS
        for field, root, user in [("CapBnd", default, default), ("CapPrm", default, "0" * 16),
                                  ("CapEff", default, "0" * 16), ("CapInh", "0" * 16, "0" * 16),
                                  ("CapAmb", "0" * 16, "0" * 16)]:
            self.assertEqual(self.status(field), root, field)
            self.assertEqual(self.status(field, user="alice"), user, field)
        self.assertEqual(once(["probe", "mount"]).out, EPERM)
        self.assertEqual(once(["probe", "mount"], {"security": {"caps": ALL_CAPS}}).text(), "ok\n")
        none = {"security": {"caps": 0}}
        self.assertIn(b"not permitted", once(["chown", "5", "/tmp"], none).err)

    def test_exec_privileged(self):
        with box() as b:
            self.assertEqual(vm.run(["probe", "mount"], box=b).out, EPERM)
            self.assertEqual(vm.run(["probe", "mount"], box=b, privileged=True).text(), "ok\n")

    def test_devices(self):
        with box() as b:
            for args in (["c", "1", "3"], ["c", "1", "9"]):
                self.assertEqual(vm.run(["probe", "node", *args], box=b).text(), "ok\n", args)
            for args in (["b", "8", "0"], ["c", "1", "1"], ["c", "1", "11"], ["c", "1", "4"],
                         ["c", "10", "200"], ["c", "4", "64"]):
                self.assertEqual(vm.run(["probe", "node", *args], box=b).out, EPERM, args)
            # The channel: whatever its number is.
            ports = vm.sh("cat /sys/class/virtio-ports/*/dev", box=b).text().split()
            self.assertEqual(len(ports), 1)
            r = vm.run(["probe", "node", "c", *ports[0].split(":")], box=b)
            self.assertEqual(r.out, EPERM)

    def test_masked_and_read_only_paths(self):
        with box() as b:
            self.assertEqual(vm.sh("cat /proc/keys /proc/timer_list /proc/kcore; "
                                   "ls -A /sys/firmware /proc/acpi", box=b).text(),
                             "/proc/acpi:\n\n/sys/firmware:\n")
            for path in ("/proc/sys/kernel/domainname", "/proc/sysrq-trigger",
                         "/sys/kernel/uevent_helper", "/sys/fs/cgroup/cgroup.procs"):
                r = vm.sh("echo x >" + path, box=b)
                self.assertIn(b"Read-only", r.err, path)
        with box(security={"privileged": True, "caps": ALL_CAPS, "masked": [],
                           "readonly": []}) as b:
            self.assertEqual(vm.sh("echo x >/proc/sys/kernel/domainname; ls -d /sys/firmware/*; "
                                   "ls /dev/sda", box=b).err, b"")
            self.assertEqual(vm.sh("ls /dev/vport*", box=b).text(), "")

    def test_read_only_root(self):
        r = once(["sh", "-c", "echo >/x; echo ok >/t/x; cat /t/x; echo ok >/dev/shm/x; pwd"],
                 {"read_only": True, "tmpfs": [{"path": "/t"}]}, cwd="/made")
        self.assertEqual(r.text(), "ok\n/made\n")
        self.assertIn(b"Read-only", r.err)

    def test_no_new_privs(self):
        self.assertEqual(self.status("NoNewPrivs"), "0")
        self.assertEqual(self.status("NoNewPrivs", {"security": {"nnp": True}}), "1")
        for nnp, euid in ((False, "0\n"), (True, "1000\n")):
            with box(security={"nnp": nnp}) as b:
                vm.sh("cp /bin/probe /tmp/su; chmod 4755 /tmp/su", box=b)
                self.assertEqual(vm.run(["/tmp/su", "euid"], box=b, user="alice").text(), euid)

    def test_seccomp(self):
        mkdir = {"x86_64": 83}[os.uname().machine]
        filter_ = b"".join(struct.pack("<HBBI", *i) for i in [
            (0x20, 0, 0, 4), (0x15, 0, 3, 0xC000003E),       # architecture
            (0x20, 0, 0, 0), (0x15, 0, 1, mkdir), (0x06, 0, 0, 0x00050001),
            (0x06, 0, 0, 0x7FFF0000)])
        for nnp in (False, True):
            for user in (None, "alice"):
                config = {"security": {"seccomp": filter_, "nnp": nnp}}
                r = once(["probe", "mkdir", "/tmp/d"], config, user=user)
                self.assertEqual(r.out, EPERM, (nnp, user))
                self.assertEqual(self.status("Seccomp", config, user=user), "2")
        self.assertEqual(once(["probe", "mkdir", "/tmp/d"]).text(), "ok\n")
        r = once(["true"], {"security": {"seccomp": b"123"}})
        self.assertEqual((r.status, r.error), (125, "seccomp filter of 3 bytes"))

    def test_limits(self):
        r = once(["probe", "limit", "7"], {"rlimits": [{"resource": 7, "soft": 100,
                                                        "hard": 200}]})
        self.assertEqual(r.text(), "100 200\n")
        r = once(["probe", "limit", "4"], {"rlimits": [{"resource": 4, "soft": ALL_CAPS,
                                                        "hard": ALL_CAPS}]})
        self.assertEqual(r.text(), "%d %d\n" % (ALL_CAPS, ALL_CAPS))

    def test_limits_of_docker(self):
        self.assertEqual(once(["probe", "limit", "7"]).text(), "1048576 1048576\n")
        self.assertEqual(once(["probe", "limit", "6"]).text(), "%d %d\n" % (ALL_CAPS, ALL_CAPS))

    def test_process_limit(self):
        r = once(["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo no"],
                 {"cgroup": {"pids_max": 5}})
        self.assertIn(b"fork", r.err)

    def test_memory_limit(self):
        r = once(["probe", "memory", "64"], {"cgroup": {"memory_max": 16 << 20}})
        self.assertEqual((r.status, r.reason, r.end["oom"]), (137, 3, True))
        r = once(["probe", "memory", "8"], {"cgroup": {"memory_max": 16 << 20}})
        self.assertEqual((r.text(), r.end["oom"]), ("ok\n", False))
        self.assertEqual(vm.qemu.poll(), None)

    def test_cgroup_files(self):
        r = once(["sh", "-c", "cd /sys/fs/cgroup; cat memory.max memory.low pids.max cpu.max "
                  "cpu.weight cpuset.cpus"],
                 {"cgroup": {"memory_max": 64 << 20, "memory_low": 32 << 20, "pids_max": 50,
                             "cpu_quota": 20000, "cpu_period": 50000, "cpu_weight": 77,
                             "cpuset": "1", "swap": -1}})
        self.assertEqual(r.text(), "67108864\n33554432\n50\n20000 50000\n77\n1\n")
        failure = vm.create("t%d" % next(numbers), cgroup={"cpuset": "nonsense"})
        self.assertIn("cpuset.cpus", failure)

    def test_cpu_quota(self):
        r = once(["sh", "-c", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; "
                  "grep nr_throttled /sys/fs/cgroup/cpu.stat"],
                 {"cgroup": {"cpu_quota": 5000, "cpu_period": 50000}})
        self.assertGreater(int(r.text().split()[1]), 0)

    def test_oom_score(self):
        r = once(["cat", "/proc/self/oom_score_adj"], {"cgroup": {"oom_score_adj": 500}})
        self.assertEqual(r.text(), "500\n")
        self.assertEqual(once(["cat", "/proc/self/oom_score_adj"]).text(), "0\n")

    def test_pid_1_of_the_machine_is_out_of_reach(self):
        with box() as b:
            text = vm.run(["ps"], box=b).text()
            self.assertNotIn("/init", text)
            self.assertEqual(vm.sh("cat /proc/1/cmdline | tr '\\0' ' '", box=b).text(),
                             "sleep 1000 ")
            for fd in range(3, 12):
                r = vm.run(["ls"], box=b, cwd="/proc/self/fd/%d" % fd)
                self.assertIsNotNone(r.error, r)
            self.assertEqual(vm.sh("ls -d /modules /base /mnt/lower /init", box=b).text(), "")

    def test_cgroup_is_its_own_root(self):
        self.assertEqual(once(["cat", "/proc/self/cgroup"]).text(), "0::/\n")
        with box() as b:
            self.assertEqual(vm.run(["cat", "/proc/self/cgroup"], box=b).text(), "0::/\n")


class Hostile(unittest.TestCase):
    def boot(self, image, argv=("probe", "fds"), **request):
        return once(list(argv), {"lower": LUN[image] + 1}, **request)

    def test_no_etc(self):
        r = self.boot("no-etc", ["sh", "-c", "cat /etc/hosts; echo $HOME"])
        self.assertEqual(r.text(), "127.0.0.1 localhost\n/\n")

    def refused(self, image, text):
        failure = vm.create("t%d" % next(numbers), lower=LUN[image] + 1)
        self.assertIsNotNone(failure, image)
        self.assertIn(text, failure)

    def test_refused(self):
        self.refused("proc-link", "/proc is not a directory in the image")
        self.refused("proc-file", "/proc is not a directory in the image")
        self.refused("dev-file", "/dev is not a directory in the image")
        self.refused("etc-file", "/etc")
        self.refused("resolv-loop", "/etc/resolv.conf")
        self.refused("hosts-is-dir", "/etc/hosts")
        self.refused("garbage", "/dev/sd")

    def test_etc_that_points_out(self):
        # /etc is the container's own /proc then, where no file can be made.
        self.refused("etc-out", "/etc/hosts")

    def test_dangling_resolv_conf(self):
        r = self.boot("resolv-link", ["cat", "/run/systemd/stub.conf", "/etc/resolv.conf"])
        self.assertEqual(r.text(), "nameserver 10.0.2.3\n" * 2)

    def test_huge_passwd(self):
        r = self.boot("huge-passwd", ["sh", "-c", "id -u; echo $HOME"], user="alice")
        self.assertEqual(r.text(), "1000\n/home/alice\n")
        r = self.boot("huge-passwd", ["true"], user="u199999")
        self.assertIn("unable to find user", r.error)

    def test_passwd_that_blocks(self):
        self.assertEqual(self.boot("fifo-passwd", ["probe", "euid"], user="7").text(), "7\n")

    def test_almost_empty_image(self):
        r = self.boot("only-probe", ["/probe", "fds"])
        self.assertEqual(r.text(), "0 1 2 \n")


class Machine(unittest.TestCase):
    """With a machine of their own."""

    def test_writable_layer_survives_and_is_clean(self):
        upper = work + "/upper"
        make_upper(upper)
        for expected in ("", "kept\n"):
            with machine([(lower, True), (upper, False)]) as one:
                one.boot(clock=1_500_000_000 * 10 ** 9)
                self.assertIsNone(one.create(upper=2))
                r = one.sh("cat /kept 2>/dev/null; echo kept >/kept; date +%Y", main=True)
                self.assertEqual(r.text(), expected + "2017\n")
                one.control.wait(EXITED)
                one.shutdown()
                self.assertEqual(one.qemu.wait(20), 0)
            check = subprocess.run(["e2fsck", "-fn", upper], capture_output=True, text=True)
            self.assertEqual(check.returncode, 0, check.stdout)

    def test_shutdown_kills(self):
        upper = work + "/upper2"
        make_upper(upper)
        with machine([(lower, True), (upper, False)]) as one:
            one.boot()
            one.create(upper=2)
            s = one.start(["sh", "-c", "while :; do echo x >>/kept; done"], main=True)
            s.wait(STARTED)
            one.create("second")
            one.shutdown()
            self.assertEqual(one.qemu.wait(20), 0)
        check = subprocess.run(["e2fsck", "-fn", upper], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stdout)

    def test_machine_ends_with_the_channel(self):
        with machine([(lower, True)]) as one:
            one.boot()
            one.create()
            one.start(["sleep", "1000"], main=True).wait(STARTED)
            one.sock.shutdown(2)
            self.assertEqual(one.qemu.wait(20), 0)

    def test_garbage_on_the_channel(self):
        with machine([(lower, True)]) as one:
            one.boot()
            one.pending += os.urandom(4096)
            one.write()
            self.assertEqual(one.qemu.wait(20), 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[3:], testRunner=TapRunner)
