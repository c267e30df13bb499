#!/usr/bin/python3
"""run, create and start: streams, exit codes, signals, what is left behind."""
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, matches, test, wait_for  # noqa: E402

BB = "local/busybox"


@test
def streams_and_exit_code_pass_through(home):
    r = home.a3s("run", "--rm", BB, "--", "sh", "-c", "echo out; echo err >&2; exit 7", status=7)
    equal(r.out, "out\n", "stdout")
    equal(r.err, "err\n", "stderr")
    equal(home.out("ps", "-aq"), "", "boxes left")


@test
def input_is_binary_safe_and_complete(home):
    r = home.a3s("run", "--rm", "-i", BB, "cat", input=b"a\0b", text=False)
    equal(r.out, b"a\0b", "stdout")
    blob = os.urandom(1 << 20) * 24
    r = home.a3s("run", "--rm", "-i", BB, "cat", input=blob, text=False)
    check(r.out == blob, f"{len(r.out)} bytes came back, not the {len(blob)} that were sent")


@test
def without_i_standard_input_is_empty(home):
    r = home.a3s("run", "--rm", BB, "cat", input="unread\n")
    equal(r.out, "", "stdout")


@test
def what_cannot_be_executed_is_126_what_is_missing_127(home):
    r = home.a3s("run", "--rm", BB, "no-such-command", status=127)
    contains(r.err, 'exec: "no-such-command": executable file not found in $PATH')
    r = home.a3s("run", "--rm", BB, "/etc", status=126)
    contains(r.err, "/etc")
    home.a3s("run", "--rm", BB, "/no/such/file", status=127)
    equal(home.out("ps", "-aq"), "", "boxes left")


@test
def a_detached_run_that_cannot_start_says_so(home):
    r = home.a3s("run", "-d", "--name", "bad", BB, "no-such-command", status=127)
    matches(r.out, r"^[0-9a-f]{64}\n$")
    contains(r.err, "no-such-command")
    equal(home.out("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "bad"), "created 127")
    home.a3s("start", "bad", status=1)


@test
def a_signal_of_the_workload_is_128_more(home):
    home.a3s("run", "--rm", BB, "sh", "-c", "sh -c 'kill -SEGV $$'; exit $?", status=139)
    # PID 1 of its namespace cannot kill itself
    home.a3s("run", "--rm", BB, "sh", "-c", "kill -9 $$; exit 3", status=3)


@test
def interrupts_reach_the_workload(home):
    p = home.popen("run", "--rm", "--name", "sig", BB, "sh", "-c",
                   "trap 'echo got INT; exit 5' INT; echo ready; while :; do sleep 1; done",
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    equal(p.stdout.readline(), "ready\n", "first line")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    equal((p.returncode, out, err), (5, "got INT\n", ""), "status, stdout, stderr")
    equal(home.out("ps", "-aq"), "", "boxes left")


@test
def three_interrupts_leave_a_box_that_will_not_listen(home):
    p = home.popen("run", "--name", "deaf", BB, "sh", "-c", "trap '' INT; echo ready; sleep 1000",
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    equal(p.stdout.readline(), "ready\n", "first line")
    for _ in range(2):
        p.send_signal(signal.SIGINT)
        wait_for(lambda: not pending(p.pid), "the signal is taken")
    check(p.poll() is None, "two interrupts were enough")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    equal(p.returncode, 1, "status")
    contains(err, "got 3 SIGTERM/SIGINTs, forcefully exiting")
    equal(home.out("inspect", "-f", "{{.State.Running}}", "deaf"), "true", "still running")


def pending(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    return int(lines["SigPnd"], 16) | int(lines["ShdPnd"], 16)


@test
def without_sig_proxy_only_the_cli_ends(home):
    p = home.popen("run", "--sig-proxy=false", "--name", "on", BB, "sh", "-c",
                   "echo ready; exec sleep 1000", stdout=subprocess.PIPE, text=True)
    equal(p.stdout.readline(), "ready\n", "first line")
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=60)
    equal(p.returncode, 143, "status")
    equal(home.out("inspect", "-f", "{{.State.Running}}", "on"), "true", "still running")


@test
def a_reader_that_leaves_ends_the_cli(home):
    p = home.popen("run", "--name", "yes", BB, "sh", "-c", "while :; do echo y; done",
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(p.stdout.readline(), b"y\n", "first line")
    p.stdout.close()
    equal(p.wait(timeout=60), 141, "status")
    equal(p.stderr.read(), b"", "stderr")


@test
def a_stuck_reader_does_not_keep_signals_away(home):
    p = home.popen("run", "--rm", BB, "sh", "-c",
                   "trap 'exit 9' TERM; echo ready >&2; while :; do echo yyyyyyyyyyyyyyyyyyyyyyy; done",
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(p.stderr.readline(), b"ready\n", "first line")
    try:
        wait_for(lambda: blocked(p.pid), "the pipe is full")
    except Exception:
        p.kill()
        raise
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate(timeout=60)
    equal(p.returncode, 9, "status")
    check(out.count(b"y") > 0 and set(out) <= {ord("y"), 10}, "the output is not whole")


def blocked(pid):
    """Its standard output pipe holds something, and no more comes."""
    import fcntl
    import struct
    import termios

    def waiting():
        with open(f"/proc/{pid}/fd/1", "rb", opener=lambda p, f: os.open(p, os.O_RDONLY | os.O_NONBLOCK)) as f:
            return struct.unpack("i", fcntl.ioctl(f, termios.FIONREAD, b"\0" * 4))[0]

    before, since = waiting(), time.monotonic()
    while before and time.monotonic() - since < 1:  # a busy machine pauses for less
        if waiting() != before:
            return False
        time.sleep(0.05)
    return before > 16384


def stalled(pid):
    """A condition: it has read something, and nothing more during the last 20 looks."""
    seen = []

    def look():
        text = pathlib.Path(f"/proc/{pid}/io").read_text()
        seen.append(int(text.split()[1]))
        return len(seen) > 20 and seen[-1] > 1 << 20 and len(set(seen[-20:])) == 1

    return look


@test
def input_that_nobody_reads_does_not_keep_signals_away(home):
    with open("/dev/zero", "rb") as zero:
        p = home.popen("run", "-i", "--name", "full", "local/busybox", "--", "sh", "-c",
                       'trap "exit 9" TERM; echo ready; while :; do sleep 1; done', stdin=zero,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal(p.stdout.readline(), b"ready\n", "first line")
        wait_for(stalled(p.pid), "the input is full")
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=60)
    equal(p.returncode, 9, "status")


@test
def rm_d_create_start_and_cidfile(home):
    cid = home.dir / "cid"
    r = home.a3s("create", "--cidfile", cid, "--name", "made", BB, "sh", "-c", "echo hi; exit 4")
    matches(r.out, r"^[0-9a-f]{64}\n$")
    equal(cid.read_text(), r.out.strip(), "cidfile")
    equal(home.out("inspect", "-f", "{{.State.Status}} {{.State.StartedAt}}", "made"),
          "created 0001-01-01T00:00:00Z")
    r2 = home.a3s("create", "--cidfile", cid, BB, "true", status=None)
    check(r2.status != 0, "a cidfile that exists was written over")
    contains(r2.err, "container ID file found, make sure the other container isn't running or delete")
    r = home.a3s("start", "-a", "made", status=4)
    equal(r.out, "hi\n", "stdout")
    r = home.a3s("start", "-a", "made", status=4)
    equal(r.out, "hi\n", "stdout of the second start")
    equal(home.out("start", "made"), "made")
    equal(home.out("wait", "made"), "4")
    r = home.a3s("run", "-d", "--rm", BB, "sleep", "1000")
    equal(home.out("start", r.out.strip()), r.out.strip(), "starting it again")
    home.a3s("stop", "-t", "0", r.out.strip())
    wait_for(lambda: home.out("ps", "-aq", "--no-trunc") == home.out("inspect", "-f", "{{.Id}}", "made"),
             "--rm removes it")


@test
def files_survive_a_restart(home):
    home.a3s("run", "--name", "keep", BB, "sh", "-c", "cat /kept; echo x >> /kept")
    r = home.a3s("start", "-a", "keep")
    equal(r.out, "x\n", "what the first run wrote")


@test
def the_environment_is_dockers(home):
    envfile = home.dir / "env"
    envfile.write_text("# comment\n\nA=from file\nB=b=c \"quoted\"\nPASSED\n")
    r = home.a3s("run", "--rm", "--env-file", envfile, "-e", "A=1", "-e", "TAKEN", "-e", "UNSET",
                 "-h", "host.example", "-w", "/some/new/dir", "-u", "1000:2000", "--group-add", "3000",
                 "--add-host", "db:10.1.2.3", "--dns", "9.9.9.9", "--dns-search", "example.org",
                 BB, "sh", "-c", "env; echo; pwd; id; hostname; cat /etc/hostname /etc/resolv.conf; "
                 "grep 10.1.2.3 /etc/hosts; cat /proc/1/comm; uname -n",
                 env={"TAKEN": "taken\nwith newline", "PASSED": "p"})
    env, rest = r.out.split("\n\n", 1)
    for line in ("A=1", 'B=b=c "quoted"', "PASSED=p", "TAKEN=taken\nwith newline", "HOSTNAME=host.example",
                 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"):
        contains("\n" + env + "\n", "\n" + line + "\n")
    check("UNSET" not in env, "an unset variable was passed on")
    equal(rest, "/some/new/dir\nuid=1000 gid=2000 groups=2000,3000\nhost.example\nhost.example\n"
          "nameserver 9.9.9.9\nsearch example.org\n10.1.2.3\tdb\nsh\nhost.example\n", "the rest")


@test
def entrypoint_and_command_merge(home):
    home.a3s("run", "--rm", "--entrypoint", "/bin/echo", BB, "a", "b", status=0)
    equal(home.out("run", "--rm", "--entrypoint", "/bin/echo", BB, "a", "b"), "a b")
    r = home.a3s("run", "--entrypoint", "", BB, status=None)
    if r.status != 125:
        check(False, f"an empty entrypoint does not drop the command: {r}")
    contains(r.err, "no command specified")


@test
def machine_and_limits(home):
    r = home.out("run", "--rm", "--cpus", "1", "-m", "256m", "--shm-size", "8m", "--ulimit", "nofile=100:200",
                 "--pids-limit", "50", "--tmpfs", "/scratch:size=1m,mode=1777", "--read-only", BB, "sh", "-c",
                 "nproc; grep MemTotal /proc/meminfo; df -k /dev/shm | tail -1; ulimit -n; ulimit -Hn; "
                 "cat /sys/fs/cgroup/pids.max; touch /scratch/ok && echo tmpfs; touch /no 2>&1; "
                 "stat -c %a /scratch").splitlines()
    equal(r[0], "1", "nproc")
    check(150_000 < int(r[1].split()[1]) < 262_144, r[1])
    equal(r[2].split()[1], "8192", "/dev/shm in KiB")
    equal(r[3:6], ["100", "200", "50"], "ulimits and pids.max")
    equal(r[6], "tmpfs")
    contains(r[7], "Read-only file system")
    equal(r[8], "1777", "mode of the tmpfs")


@test
def a_time_limit_stops_it(home):
    r = home.a3s("run", "--rm", "--timeout", "1s", BB, "sleep", "1000", status=None)
    check(r.status in (137, 143), f"status {r.status}")


@test
def init_reaps(home):
    r = home.out("run", "--rm", "--init", BB, "sh", "-c",
                 "(sleep 0 & exec true) ; sleep 1; ps -o stat,comm | grep -c Z; cat /proc/1/cmdline | tr '\\0' ' '")
    equal(r.splitlines()[0], "0", "zombies")
    check(not r.splitlines()[1].startswith("sh "), f"PID 1 is the workload: {r}")


@test
def log_driver_none_keeps_nothing(home):
    equal(home.out("run", "--name", "quiet", "--log-driver", "none", BB, "echo", "hi"), "hi")
    r = home.a3s("logs", "quiet", status=None)
    check(r.status != 0 and "hi" not in r.out, f"a log was kept: {r}")


main()
