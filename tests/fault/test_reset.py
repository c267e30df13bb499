#!/usr/bin/env python3
"""The host loses power: what had not reached the disk is gone, and A3S_HOME is whole all the same.

The home is an ext4 of its own; EXT4_IOC_SHUTDOWN ends it as a power cut would: nothing is written
any more, the journal included. Then everything is killed, and the file system mounted again."""
import fcntl
import os
import random
import signal
import sqlite3
import struct
import subprocess
import threading

from harness import BIN, Skip, busybox_tar, check, equal, main, test, wait_for

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2
ROUNDS = int(os.environ.get("RESETS", "2"))
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class PowerCut:
    """An ext4 in a file, mounted on the home."""

    def __init__(self, home):
        if os.geteuid() != 0:
            raise Skip("needs root to mount a file system")
        self.home, self.image = home, home.dir / "disk.img"
        with open(self.image, "wb") as f:
            f.truncate(512 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        home.path.mkdir(exist_ok=True)
        self.mount()

    def mount(self):
        r = subprocess.run(["mount", "-o", "loop", self.image, self.home.path], capture_output=True, text=True)
        if r.returncode:
            raise Skip(f"cannot mount: {r.stderr.strip()}")
        os.chmod(self.home.path, 0o700)

    def cut(self, stop):
        """Power off and on again; stop() ends whoever starts commands, before there is no home."""
        fd = os.open(self.home.path, os.O_RDONLY)
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(fd)
        stop()
        wait_for(self.all_killed, "all processes are killed")
        wait_for(self.unmounted, "the file system is unmounted")
        self.mount()

    def all_killed(self):
        left = self.home.processes()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left

    def unmounted(self):
        return subprocess.run(["umount", self.home.path], capture_output=True).returncode == 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if os.path.ismount(self.home.path):
            subprocess.run(["umount", "-l", self.home.path], check=True)


def busy(home, ended, seed, hung):
    """Commands one after the other until told to end; what comes of them does not matter."""
    rnd, n = random.Random(seed), 0
    while not ended.is_set():
        n += 1
        name = f"b{n % 4}"
        argv = rnd.choice([
            ("create", "--name", name, "local/busybox", "true"), ("rm", "-f", name), ("tag", "local/busybox", f"t{n % 5}"),
            ("rmi", f"t{n % 5}"), ("load", "-q", "-i", home.dir / "other.tar"), ("rmi", "-f", "other/image"),
            ("rename", name, f"x{n}"), ("image-prune", "-f")])
        p = home.popen(*argv, **QUIET)
        try:
            p.wait(60)
        except subprocess.TimeoutExpired:
            hung.append(argv)
            p.kill()
            p.wait()


def check_home(home):
    """Records and files agree, and everything still works."""
    names = home.out("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
    check(not any("running" in line for line in names), f"after a reset nothing runs: {names}")
    db = sqlite3.connect(home.path / "state.db")
    equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "state.db")
    db.close()
    home.a3s("image-prune", "-f")  # sweeps what a load left half-made
    fsck = subprocess.run([BIN / "a3s-box-image", "fsck"], env=home.env, capture_output=True, text=True)
    equal(fsck.returncode, 0, f"fsck: {fsck.stdout}{fsck.stderr}")
    for image in home.out("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        if "<none>" not in image:
            home.a3s("image-inspect", image)
    boxes = home.out("ps", "-aq").split()
    if boxes:
        home.a3s("rm", "-f", *boxes)
    home.a3s("container-prune", "-f")  # and the directory whose removal was not on the disk yet
    equal(sorted(home.path.glob("boxes/*")), [], "directories of boxes")


@test(image=False)
def the_home_is_whole_after_a_power_cut(home):
    tar = home.dir / "other.tar"
    subprocess.run(["tar", "--transform", "s,^,bin/,", "-cf", home.dir / "root.tar", "-C", "/bin", "ls"], check=True)
    with PowerCut(home) as disk:
        home.a3s("import", home.dir / "root.tar", "other/image")
        home.a3s("save", "-o", tar, "other/image")
        home.a3s("load", "-q", "-i", busybox_tar())
        rnd = random.Random(3)
        for n in range(ROUNDS):
            ended, hung = threading.Event(), []
            worker = threading.Thread(target=busy, args=(home, ended, n, hung))
            worker.start()
            home.a3s("run", "-d", "--name", "runs", "local/busybox", "--", "sh", "-c", "echo kept > /kept; sync; sleep 1000")
            ended.wait(rnd.uniform(0, 1))

            def stop():
                ended.set()
                wait_for(lambda: disk.all_killed() and not worker.is_alive(), "no more commands")

            disk.cut(stop)
            equal(hung, [], "commands that hang")
            equal(home.a3s("inspect", "-f", "{{.State.Status}}", "runs", status=None).out.strip() in ("dead", "exited", "created", ""),
                  True, "state of a box that ran")
            check_home(home)
            equal(home.out("run", "--rm", "local/busybox", "--", "echo", "fine"), "fine")


main()
