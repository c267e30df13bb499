#!/usr/bin/env python3
"""Homes that are odd: read-only, somebody else's, with a clock that jumped and pids that were reused."""
import os
import pathlib
import shutil
import sqlite3
import subprocess

from harness import BIN, Skip, busybox_tar, check, contains, equal, main, test, wait_for

NOBODY = 65534


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root to mount and to be somebody else")


@test
def a_read_only_home_is_an_error_that_says_so(home):
    need_root()
    home.a3s("create", "--name", "bx", "local/busybox", "true")
    before = sorted(str(p) for p in home.path.rglob("*"))
    subprocess.run(["mount", "--bind", home.path, home.path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", home.path], check=True)
        for argv in (["run", "--rm", "local/busybox", "true"], ["create", "local/busybox"], ["rm", "bx"],
                     ["start", "bx"], ["tag", "local/busybox", "x"], ["load", "-i", busybox_tar()], ["rmi", "local/busybox"]):
            r = home.a3s(*argv, status=None)
            check(r.status, f"{argv} worked")
            contains(r.err.lower(), "read-only")
    finally:
        subprocess.run(["umount", home.path], check=True)
    equal(sorted(str(p) for p in home.path.rglob("*") if "state.db-" not in p.name),
          [p for p in before if "state.db-" not in p], "files")
    equal(home.out("ps", "-a", "--format", "{{.Names}} {{.State}}"), "bx created")


@test
def two_users_have_two_homes(home):
    need_root()
    other = home.dir / "other"
    other.mkdir()
    os.chown(other, NOBODY, NOBODY)
    os.chmod(home.dir, 0o755)
    shutil.copytree(BIN, other / "bin")  # ours may be where others may not look
    env = {**home.env, "A3S_HOME": str(other / "home"), "HOME": str(other)}
    tar = other / "busybox.tar"
    shutil.copy(busybox_tar(), tar)
    os.chown(tar, NOBODY, NOBODY)

    def as_nobody(*args, env=env):
        return subprocess.run([str(other / "bin/a3s-box"), *map(str, args)], env=env, user=NOBODY, group=NOBODY, extra_groups=[],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=150)

    home.a3s("run", "-d", "--name", "same", "local/busybox", "--", "sleep", "1000")
    r = as_nobody("load", "-q", "-i", tar)
    equal(r.returncode, 0, r.stderr)
    r = as_nobody("run", "-d", "--name", "same", "local/busybox", "--", "sh", "-c", "id -u; sleep 1000")
    equal(r.returncode, 0, r.stderr)
    try:
        equal(as_nobody("exec", "same", "--", "echo", "theirs").stdout, "theirs\n")
        equal(home.out("exec", "same", "--", "echo", "ours"), "ours")
        r = as_nobody("ps", env={**env, "A3S_HOME": str(home.path)})
        check(r.returncode != 0, "somebody else reads our home")
        contains(r.stderr, "Permission denied")
    finally:
        r = as_nobody("rm", "-f", "same")
    equal(r.returncode, 0, r.stderr)
    equal(home.out("ps", "--format", "{{.Names}}"), "same")


@test
def a_reused_pid_is_nobody_of_ours(home):
    """A record of a machine that was reset: the shim's pid is another process's now."""
    home.a3s("create", "--name", "bx", "local/busybox", "--", "echo", "up")
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        db = sqlite3.connect(home.path / "state.db")
        db.execute("UPDATE boxes SET state = 'running', shim_pid = ?, shim_start = 12345, vm_pid = ?",
                   (bystander.pid, bystander.pid))
        db.commit()
        db.close()
        contains(home.out("ps", "-a", "--format", "{{.Status}}"), "Dead")
        contains(home.a3s("stop", "bx", status=None).err + home.a3s("kill", "bx", status=None).err, "not running")
        equal(bystander.poll(), None, "the process that has the pid now")
        equal(home.a3s("start", "-a", "bx").out, "up\n")
        home.a3s("rm", "bx")
        equal(bystander.poll(), None, "the process that has the pid now")
    finally:
        bystander.kill()
        bystander.wait()


@test
def a_clock_that_jumps_changes_no_deadline(home):
    """libfaketime moves the clock under the CLI; the shim's timers are CLOCK_MONOTONIC's."""
    lib = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if not lib:
        raise Skip("no libfaketime")
    release = os.environ.get("A3S_RELEASE_BIN")
    clock = home.dir / "clock"

    def at(offset, *args, status=0):
        clock.write_text(offset)
        p = subprocess.run([os.path.join(release, "a3s-box"), *args], capture_output=True, text=True, timeout=150,
                           stdin=subprocess.DEVNULL,
                           env={**home.env, "LD_PRELOAD": str(lib), "FAKETIME_TIMESTAMP_FILE": str(clock),
                                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        equal(p.returncode, status, p.stderr)
        return p.stdout

    home.a3s("run", "-d", "--name", "bx", "local/busybox", "--", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 1 & wait $!; done")
    wait_for(lambda: home.out("logs", "bx") == "up", "it is up")
    contains(at("-3650d", "ps", "--format", "{{.Names}} {{.Status}}"), "bx Up")
    contains(at("+3650d", "ps", "--format", "{{.Names}} {{.Status}}"), "bx Up")
    equal(at("+3650d", "exec", "bx", "--", "echo", "here"), "here\n")
    at("-3650d", "stop", "-t", "60", "bx")
    equal(home.out("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "bx"), "exited 5")
    contains(at("+0", "ps", "-a", "--format", "{{.Status}}"), "Exited (5)")


main()
