#!/usr/bin/python3
"""kill -9 of the CLI, the shim and QEMU at every step of run, stop and rm; hung and crashing guests.

After each: no process, socket or mount stays (Home.close() looks), the record says what is true,
and the box can be started or removed.
"""
import fcntl
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import busybox_tar, check, contains, equal, main, test, wait_for

QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def state(home, name="bx"):
    return home.a3s("inspect", "--format", "{{.State.Status}}", name, status=None).out.strip()


def error(home, name="bx"):
    return home.out("inspect", "--format", "{{.State.Error}}", name)


def exit_code(home, name="bx"):
    return int(home.out("inspect", "--format", "{{.State.ExitCode}}", name))


def start(home, *command, flags=()):
    home.a3s("run", "-d", "--name", "bx", *flags, "local/busybox", "--", *(command or ("sleep", "1000")))
    return home.box_pids("bx")


def children(pid):
    """The direct children of a process: {pid: command line}."""
    found = {}
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int((proc / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found[int(proc.name)] = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def kill(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def sleeps(pid):
    """Is it in poll(), nanosleep() or clock_nanosleep()?"""
    try:
        return pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[0] in ("7", "35", "230")
    except (OSError, IndexError):
        return False


def sockets(home):
    return [str(p) for p in home.path.glob("boxes/*/sockets/*")]


def find(home, word):
    """Pid of a process of this home whose command line has `word`."""
    for pid, line in home.processes().items():
        if word in line:
            return pid
    return None


def shim_of(home):
    return find(home, "a3s-box-shim")


def qemu_of(home):
    shim = shim_of(home)
    return next((p for p, line in children(shim).items() if "qemu-system" in line), None) if shim else None


@test
def a_killed_shim_takes_its_machine_along(home):
    pids = start(home)
    kill(pids["shim"])
    wait_for(lambda: gone(pids["qemu"]), "QEMU ends with its shim", 10)
    contains(home.out("ps", "-a", "--format", "{{.Names}} {{.Status}}"), "bx Dead (shim ended unexpectedly)")
    contains(error(home), "shim ended unexpectedly")
    equal(exit_code(home), 255, "exit code")
    equal(sockets(home), [], "sockets")
    contains(home.a3s("exec", "bx", "--", "true", status=None).err, "not running")
    home.a3s("start", "bx")
    equal(state(home), "running", "state")
    equal(home.out("exec", "bx", "--", "echo", "again"), "again")


@test
def a_killed_shim_of_an_auto_removed_box(home):
    pids = start(home, flags=["--rm"])
    kill(pids["shim"])
    wait_for(lambda: gone(pids["qemu"]), "QEMU ends with its shim", 10)
    equal(home.out("ps", "-aq"), "", "boxes")
    equal(list((home.path / "boxes").glob("*")), [], "files")


@test
def a_killed_shim_ends_the_foreground_cli(home):
    cli = home.popen("run", "--name", "bx", "local/busybox", "--", "sleep", "1000", **QUIET)
    wait_for(lambda: state(home) == "running", "it runs")
    kill(shim_of(home))
    out, err = cli.communicate(timeout=20)
    check(cli.returncode not in (0, None), f"status {cli.returncode}")
    check(err.strip(), "the CLI says why")


@test
def killed_qemu(home):
    cli = home.popen("run", "--name", "bx", "local/busybox", "--", "sleep", "1000", **QUIET)
    wait_for(lambda: state(home) == "running", "it runs")
    kill(qemu_of(home))
    cli.communicate(timeout=20)
    equal(cli.returncode, 137, "status of run")
    equal((state(home), exit_code(home)), ("exited", 137), "record")
    contains(error(home), "virtual machine ended")
    wait_for(lambda: not home.processes(), "no process stays", 10)
    equal(sockets(home), [], "sockets")
    home.a3s("start", "bx")
    equal(state(home), "running", "state")


@test
def killed_qemu_during_the_boot(home):
    cli = home.popen("run", "--name", "bx", "local/busybox", "--", "true", **QUIET)
    kill(wait_for(lambda: qemu_of(home), "QEMU is there"))
    out, err = cli.communicate(timeout=30)
    equal(cli.returncode, 125, "status of run")
    contains(err.decode(), "VM boot failed")
    wait_for(lambda: not home.processes(), "no process stays", 10)
    home.a3s("start", "-a", "bx")


@test
def killed_qemu_while_it_stops(home):
    start(home, "sh", "-c", "trap : TERM; while :; do sleep 1; done")
    stop = home.popen("stop", "-t", "60", "bx", **QUIET)
    wait_for(lambda: record_state(home) == "stopping", "it is being stopped")
    kill(qemu_of(home))
    stop.communicate(timeout=20)
    equal(stop.returncode, 0, "status of stop")
    equal((state(home), exit_code(home)), ("exited", 137), "record")


def record_state(home):
    """The state as state.db has it: docker's words do not tell all apart."""
    db = sqlite3.connect(f"file:{home.path}/state.db?mode=ro", uri=True, timeout=10)
    try:
        row = db.execute("SELECT state FROM boxes").fetchone()
        return row[0] if row else None
    finally:
        db.close()


@test
def a_box_outlives_its_cli(home):
    cli = home.popen("run", "-i", "--name", "bx", "local/busybox", "--", "cat", stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    cli.stdin.write(b"one\n")
    cli.stdin.flush()
    equal(cli.stdout.readline(), b"one\n", "echo")
    cli.kill()
    cli.communicate()
    equal(home.out("exec", "bx", "--", "echo", "alive"), "alive")
    equal(state(home), "running", "state")
    home.a3s("stop", "-t", "1", "bx")
    equal(home.out("logs", "bx"), "one", "log")


@test
def the_cli_killed_at_each_step_of_run(home):
    steps = {
        "record": lambda: home.path.joinpath("state.db").exists() and record_state(home),
        "shim": lambda: shim_of(home),
        "qemu": lambda: qemu_of(home),
        "starting": lambda: record_state(home) == "starting",
        "running": lambda: record_state(home) == "running",
    }
    for step, reached in steps.items():
        cli = home.popen("run", "--name", "bx", "local/busybox", "--", "sleep", "1000", **QUIET)
        wait_for(reached, step)
        cli.kill()
        cli.communicate()
        if step in ("qemu", "starting", "running"):
            wait_for(lambda: state(home) == "running", f"after {step}: the box goes on")
        home.a3s("rm", "-f", "bx", status=None)
        equal(home.out("ps", "-aq"), "", f"boxes after {step}")
        wait_for(lambda: not home.processes(), f"no process stays after {step}", 10)
        equal(list((home.path / "boxes").glob("*")), [], f"files after {step}")


@test
def the_shim_killed_at_each_step_of_run(home):
    steps = {
        "shim": lambda: shim_of(home),
        "qemu": lambda: qemu_of(home),
        "starting": lambda: record_state(home) == "starting" and shim_of(home),
    }
    for step, reached in steps.items():
        cli = home.popen("run", "--name", "bx", "local/busybox", "--", "sleep", "1000", **QUIET)
        wait_for(reached, step)
        qemu = qemu_of(home)
        kill(shim_of(home))
        out, err = cli.communicate(timeout=30)
        equal(cli.returncode, 125, f"status of run after {step}")
        check(err.strip(), "the CLI says why")
        if qemu:
            wait_for(lambda: gone(qemu), "QEMU ends with its shim", 10)
        check(state(home) in ("dead", "created"), f"state after {step}: {state(home)}")
        home.a3s("start", "bx")
        equal(state(home), "running", f"state of a new start after {step}")
        home.a3s("rm", "-f", "bx")


@test
def the_shim_killed_while_it_stops(home):
    pids = start(home, "sh", "-c", "trap : TERM; while :; do sleep 1; done")
    stop = home.popen("stop", "-t", "60", "bx", **QUIET)
    wait_for(lambda: record_state(home) == "stopping", "it is being stopped")
    kill(pids["shim"])
    stop.communicate(timeout=20)
    wait_for(lambda: gone(pids["qemu"]), "QEMU ends with its shim", 10)
    equal(state(home), "dead", "state")
    home.a3s("rm", "bx")


@test
def rm_killed_halfway_is_finished_by_whoever_looks_next(home):
    """The record says `removing`, by a process that is gone: what a kill -9 of rm leaves."""
    home.a3s("create", "--name", "bx", "local/busybox", "--", "true")
    db = sqlite3.connect(home.path / "state.db", timeout=10)
    db.execute("UPDATE boxes SET state = 'removing', shim_pid = 4194303, shim_start = 1")
    db.commit()
    db.close()
    equal(home.out("ps", "-aq"), "", "boxes")
    equal(list((home.path / "boxes").glob("*")), [], "files")
    home.a3s("create", "--name", "bx", "local/busybox", "--", "true")


@test
def rm_killed_at_any_moment(home):
    for _ in range(5):
        home.a3s("create", "--name", "bx", "local/busybox", "--", "true")
        rm = home.popen("rm", "bx", **QUIET)
        wait_for(lambda: rm.poll() is not None or record_state(home) != "created", "rm has begun")
        rm.kill()
        rm.communicate()
        home.a3s("rm", "-f", "bx", status=None)
        equal(home.out("ps", "-aq"), "", "boxes")
        equal(list((home.path / "boxes").glob("*")), [], "files")


@test
def a_box_that_is_only_just_taken_is_removed(home):
    """The record says `starting`, and the shim has no socket yet: rm -f, stop and kill wait for it."""
    for words in (("rm", "-f"), ("stop", "-t", "0"), ("kill",)):
        home.a3s("create", "--name", "bx", "local/busybox", "--", "sleep", "1000")
        box_dir = os.open(next((home.path / "boxes").glob("*")), os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(box_dir, fcntl.LOCK_EX)  # as the shim of the last run, which cleans up
        starter = home.popen("start", "bx", **QUIET)
        wait_for(lambda: record_state(home) == "starting", "the shim has taken the box")
        ender = home.popen(*words, "bx", **QUIET)
        wait_for(lambda: sleeps(ender.pid) or ender.poll() is not None, "it waits, or it has ended")
        os.close(box_dir)
        out, err = ender.communicate(timeout=60)
        equal((ender.returncode, err), (0, b""), words[0])
        starter.communicate(timeout=60)
        home.a3s("rm", "-f", "bx", status=None)
        equal(home.out("ps", "-aq"), "", f"boxes after {words[0]}")


@test
def rm_forced_ends_a_run_that_began_meanwhile(home):
    """rm -f saw a box that did not run; when it comes to remove it, it does."""
    home.a3s("create", "--name", "bx", "local/busybox", "--", "sleep", "1000")
    db = sqlite3.connect(home.path / "state.db", timeout=10, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    rm = home.popen("rm", "-f", "bx", **QUIET)
    wait_for(lambda: sleeps(rm.pid), "rm waits for the database")
    kill(rm.pid, signal.SIGSTOP)
    db.execute("ROLLBACK")
    db.close()
    home.a3s("start", "bx")
    kill(rm.pid, signal.SIGCONT)
    out, err = rm.communicate(timeout=60)
    equal((rm.returncode, err), (0, b""), "rm -f")
    equal(home.out("ps", "-aq"), "", "boxes")


@test
def sigterm_stops_the_box(home):
    pids = start(home, "sh", "-c", 'trap "exit 3" TERM; echo ready; while :; do sleep 1; done')
    wait_for(lambda: "ready" in home.out("logs", "bx"), "the trap is set")
    kill(pids["shim"], signal.SIGTERM)
    wait_for(lambda: gone(pids["shim"]), "the shim ends", 60)
    equal((state(home), exit_code(home)), ("exited", 3), "record")


@test
def a_guest_that_hangs_can_be_killed(home):
    pids = start(home)
    kill(pids["qemu"], signal.SIGSTOP)
    home.a3s("kill", "bx")
    equal((state(home), exit_code(home)), ("exited", 137), "record")
    contains(error(home), "did not end the workload")


@test
def a_guest_that_hangs_can_be_stopped(home):
    pids = start(home)
    kill(pids["qemu"], signal.SIGSTOP)
    home.a3s("stop", "-t", "1", "bx")
    equal((state(home), exit_code(home)), ("exited", 137), "record")


@test
def a_guest_that_hangs_at_boot_meets_a_deadline(home):
    cli = home.popen("run", "--name", "bx", "local/busybox", "--", "true",
                     env={"A3S_BOX_BOOT_TIMEOUT": "4s"}, **QUIET)
    kill(wait_for(lambda: qemu_of(home), "QEMU is there"), signal.SIGSTOP)
    out, err = cli.communicate(timeout=30)
    equal(cli.returncode, 125, "status of run")
    contains(err.decode(), "did not answer in time")
    wait_for(lambda: not home.processes(), "no process stays", 10)


@test
def a_guest_panic_is_reported(home):
    result = home.a3s("run", "--name", "bx", "--privileged", "local/busybox", "--", "sh", "-c",
                      "echo c >/proc/sysrq-trigger; sleep 60", status=137)
    contains(error(home), "Kernel panic")
    contains(error(home), "sysrq")


@test
def paused_boxes_can_be_stopped_killed_and_removed(home):
    for i, verb in enumerate((["stop", "-t", "1"], ["kill"], ["rm", "-f"])):
        start(home)
        home.a3s("pause", "bx")
        equal(state(home), "paused", "state")
        home.a3s(*verb, "bx")
        if verb[0] != "rm":
            equal((state(home), exit_code(home)), ("exited", 137), f"after {verb[0]}")
            home.a3s("rm", "bx")


@test
def a_killed_shim_of_a_paused_box(home):
    pids = start(home)
    home.a3s("pause", "bx")
    kill(pids["shim"])
    wait_for(lambda: gone(pids["qemu"]), "QEMU ends with its shim", 10)
    equal(state(home), "dead", "state")


@test
def killed_exec_clients_leave_nothing(home):
    pids = start(home)
    before = len(os.listdir(f"/proc/{pids['shim']}/fd"))
    clients = [home.popen("exec", "-i", "bx", "--", "sh", "-c", "yes", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(5)]
    for c in clients:
        equal(c.stdout.read(2), b"y\n", "output")
    for c in clients:
        c.kill()
        c.stdout.close()
        c.wait()
    wait_for(lambda: len(os.listdir(f"/proc/{pids['shim']}/fd")) == before, "connections are closed", 10)
    equal(home.out("exec", "bx", "--", "echo", "ok"), "ok")


@test
def a_load_that_is_ended_leaves_nothing(home):
    tar = busybox_tar().read_bytes()
    staged = home.path / "images" / "tmp"
    # Whom, with what, and what the caller then sees.
    for whom, sig, want in (("cli", signal.SIGINT, -signal.SIGINT), ("cli", signal.SIGTERM, -signal.SIGTERM),
                            ("worker", signal.SIGKILL, 1), ("worker", signal.SIGINT, 1)):
        p = home.popen("load", **{**QUIET, "stdin": subprocess.PIPE})
        p.stdin.write(tar[:len(tar) // 2])
        p.stdin.flush()
        wait_for(lambda: list(staged.glob("*/*")), "the worker reads")
        worker = next(iter(children(p.pid)))
        kill(p.pid if whom == "cli" else worker, sig)
        p.stdin.close()
        equal(p.wait(60), want, f"load after {sig.name} of its {whom}")
        check(gone(worker), "the worker is left")
        equal(list(staged.iterdir()), [], "staging directories")
        p.stdout.close(), p.stderr.close()


@test
def a_hundred_creates_at_once(home):
    some = [home.popen("create", "--name", f"c{i}", "local/busybox", "--", "true", **QUIET) for i in range(100)]
    for p in some:
        out, err = p.communicate(timeout=120)
        equal(p.returncode, 0, f"create: {err}")
    equal(len(home.out("ps", "-aq").split()), 100, "boxes")
    home.a3s("rm", *[f"c{i}" for i in range(100)])


@test
def starts_at_once_leave_as_many_boxes(home):
    n = 10  # each is a machine under a software CPU; ./dev soak does 100
    some = [home.popen("run", "-d", "--memory", "128m", "--cpus", "1", "local/busybox", "--", "sleep", "1000",
                       **QUIET) for _ in range(n)]
    for p in some:
        out, err = p.communicate(timeout=300)
        equal(p.returncode, 0, f"run: {err}")
    equal(len(home.out("ps", "-q").split()), n, "running boxes")


@test
def a_box_is_started_again_at_once(home):
    home.a3s("create", "--name", "bx", "local/busybox", "--", "sh", "-c", "exit 3")
    for _ in range(4):
        home.a3s("start", "bx")
        waiting = [home.popen("wait", "bx", **QUIET) for _ in range(3)]
        for w in waiting:
            out, err = w.communicate(timeout=60)
            equal((w.returncode, out.strip()), (0, b"3"), f"wait: {err}")
    equal(sockets(home), [], "sockets")


@test
def one_box_is_started_once(home):
    home.a3s("create", "--name", "bx", "local/busybox", "--", "sleep", "1000")
    some = [home.popen("start", "bx", env={"A3S_LOG": "info"}, **QUIET) for _ in range(5)]
    results = [(p.communicate(timeout=120), p.returncode) for p in some]
    check(any(r == 0 for _, r in results), f"one start works: {results}\n{home.logs()}")
    equal(len([1 for line in home.processes().values() if "a3s-box-shim" in line]), 1, "shims")
    equal(state(home), "running", "state")


main()
