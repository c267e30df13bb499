#!/usr/bin/python3
"""exec, attach and shell in running boxes."""
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, test, wait_for  # noqa: E402

BB = "local/busybox"


def box(home, *flags, name="bx"):
    home.a3s("run", "-d", "--name", name, *flags, BB, "sleep", "1000000")


@test
def streams_status_and_surroundings(home):
    box(home, "-e", "A=box", "-w", "/tmp", "-u", "1000", "-h", "thehost")
    r = home.a3s("exec", "bx", "sh", "-c", "echo out; echo err >&2; exit 3", status=3)
    equal((r.out, r.err), ("out\n", "err\n"), "streams")
    equal(home.out("exec", "bx", "--", "sh", "-c", "echo $A; pwd; id -u; hostname"), "box\n/tmp\n1000\nthehost")
    equal(home.out("exec", "-e", "A=exec", "-w", "../tmp", "-u", "0:5", "bx", "sh", "-c", "echo $A; id -u; id -g"),
          "exec\n0\n5")
    r = home.a3s("exec", "bx", "no-such", status=127)
    contains(r.err, 'exec: "no-such": executable file not found in $PATH')
    home.a3s("exec", "bx", "/etc/passwd", status=126)
    home.a3s("exec", "bx", "sh", "-c", "kill -9 $$", status=137)
    r = home.a3s("exec", "--timeout", "1s", "bx", "sleep", "1000", status=137)
    contains(r.err, "timeout exceeded")
    equal(home.a3s("exec", "bx", "cat", input="unread").out, "", "stdin without -i")
    home.a3s("exec", "bx", status=1)
    home.a3s("exec", "--no-such-flag", "bx", "true", status=125)


@test
def input_is_binary_safe_and_complete(home):
    box(home)
    blob = os.urandom(1 << 20) * 64
    r = home.a3s("exec", "-i", "bx", "cat", input=blob, text=False, timeout=300)
    check(r.out == blob, f"{len(r.out)} bytes came back, not the {len(blob)} that were sent")


@test
def twenty_at_once(home):
    box(home)
    procs = [home.popen("exec", "bx", "sh", "-c", f"echo {i}; exit {i}", stdout=subprocess.PIPE, text=True)
             for i in range(20)]
    for i, p in enumerate(procs):
        out, _ = p.communicate(timeout=120)
        equal((p.returncode, out), (i, f"{i}\n"), f"exec {i}")


@test
def a_stopped_reader_costs_nothing_and_stops_nobody(home):
    box(home)
    p = home.popen("exec", "bx", "sh", "-c", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done",
                   stdout=subprocess.PIPE)
    equal(p.stdout.readline()[:1], b"y", "first line")
    equal(home.out("exec", "bx", "echo", "other"), "other")
    p.stdout.close()
    equal(p.wait(timeout=60), 141, "status of the one whose reader left")
    # docker would leave it running for ever; here it gets the SIGPIPE of any pipe
    wait_for(lambda: "yyyyyy" not in home.out("exec", "bx", "ps"), "the writer ends")


@test
def signals_are_passed_on(home):
    box(home)
    p = home.popen("exec", "bx", "sh", "-c", "trap 'echo TERM; exit 6' TERM; echo ready; while :; do sleep 1; done",
                   stdout=subprocess.PIPE, text=True)
    equal(p.stdout.readline(), "ready\n", "first line")
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate(timeout=60)
    equal((p.returncode, out), (6, "TERM\n"), "status and output")


@test
def detached_it_goes_on_alone(home):
    box(home)
    equal(home.a3s("exec", "-d", "bx", "sh", "-c", "sleep 1; echo noise; echo done > /tmp/f").out, "", "output")
    wait_for(lambda: home.a3s("exec", "bx", "cat", "/tmp/f", status=None).out == "done\n", "its file")
    home.a3s("exec", "-d", "bx", "no-such", status=127)


@test
def not_in_a_box_that_does_not_run(home):
    r = home.a3s("exec", "nobody", "true", status=1)
    contains(r.err, "No such box: nobody")
    box(home)
    home.a3s("pause", "bx")
    r = home.a3s("exec", "bx", "true", status=1)
    contains(r.err, "is paused, unpause the box before exec")
    home.a3s("unpause", "bx")
    equal(home.out("exec", "bx", "echo", "again"), "again")
    home.a3s("kill", "bx")
    r = home.a3s("exec", "bx", "true", status=1)
    contains(r.err, "is not running")
    r = home.a3s("attach", "bx", status=1)
    contains(r.err, "You cannot attach to a stopped box, start it first")


@test
def a_shell_takes_a_script(home):
    box(home)
    r = home.a3s("shell", "bx", input="echo one\nexit 3\n", status=3)
    equal(r.out, "one\n", "output")


@test
def attach_sees_the_streams_and_the_end(home):
    home.a3s("run", "-d", "-i", "--name", "at", BB, "sh", "-c", "while read x; do echo got $x; done; exit 8")
    p = home.popen("attach", "at", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdin.write("1\n")
    p.stdin.flush()
    equal(p.stdout.readline(), "got 1\n", "answer")
    p.send_signal(signal.SIGKILL)
    p.wait()
    p = home.popen("attach", "at", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdin.write("2\n")
    p.stdin.flush()
    equal(p.stdout.readline(), "got 2\n", "answer to the second client")
    home.a3s("kill", "-s", "KILL", "at")
    p.communicate(timeout=60)
    equal(p.returncode, 137, "status")
    equal(home.out("logs", "at"), "got 1\ngot 2", "the log")


main()
