#!/usr/bin/env python3
"""The verbs on boxes that exist: ps, logs, inspect, pause, stop, kill, restart, wait, rename, rm."""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Failure, check, contains, equal, main, matches, test, wait_for

TICKER = "i=0; while :; do echo out $i; echo err $i >&2; i=$((i+1)); usleep 200000; done"
TRAPS = "trap 'echo got USR1' USR1; trap 'echo bye; exit 9' TERM; echo ready; while :; do usleep 50000; done"


def start(home, name, script, *options):
    box = home.out("run", "-d", "--name", name, *options, "local/busybox", "--", "sh", "-c", script)
    matches(box, "^[0-9a-f]{64}$")
    return box


def wait_log(home, name, text):
    wait_for(lambda: text in home.out("logs", name), f"{text!r} in the log of {name}")


@test
def ps_and_inspect_show_a_running_box(home):
    box = start(home, "web", "cat", "-l", "tier=db", "-l", "com.docker.x=a,b", "-i", "-e", "A=b c")
    row = json.loads(home.out("ps", "--format", "json"))
    equal((row["ID"], row["Names"], row["State"]), (box[:12], "web", "running"))
    equal(row["Labels"], "com.docker.x=a,b,tier=db")
    matches(row["Status"], "^Up ")
    equal(home.out("ps", "--format", '{{.Label "tier"}} {{.Image}}'), "db local/busybox")
    equal(home.out("ps", "-q", "--no-trunc"), box)
    equal(home.out("ps", "-aqf", "name=^web$"), box[:12])
    equal(home.out("ps", "-q", "--filter", "label=tier=web"), "")
    equal(home.out("ps", "-q", "--filter", "ancestor=local/busybox"), box[:12])
    equal(home.out("inspect", "-f", "{{.State.Running}} {{.Name}} {{.Config.Cmd}}", "web"), "true /web [sh -c cat]")
    equal(home.out("inspect", "-f", '{{range .Config.Env}}{{println .}}{{end}}', box[:5]).count("A=b c"), 1)
    equal(json.loads(home.out("inspect", "web"))[0]["Id"], box)
    equal(home.out("inspect", "--type", "image", "-f", "{{.Os}}", "local/busybox"), "linux")
    r = home.a3s("inspect", "-f", "{{.Name}}", "web", "nosuch", status=1)
    equal((r.out, r.err), ("/web\n", "Error: No such object: nosuch\n"))

    r = home.a3s("rm", "web", status=1)
    contains(r.err, "Box web is running. Use --force to remove a running box.")
    home.a3s("rename", "web", "db")
    equal(home.out("ps", "--format", "{{.Names}}"), "db")
    r = home.a3s("run", "-d", "--name", "db", "local/busybox", "true", status=125)
    matches(r.err, f'Conflict. The .* name "/?db" is already in use by .* "{box}"')
    equal(home.out("rm", "-f", "db"), "db")
    equal(home.out("ps", "-aq"), "")
    r = home.a3s("rm", "-f", "db")
    equal(r.err, "Error: No such box: db\n")


@test
def logs_keep_streams_times_and_order(home):
    start(home, "web", TICKER)
    wait_log(home, "web", "out 5")
    r = home.a3s("logs", "web")
    check(r.out.startswith("out 0\nout 1\nout 2\n"), r.out)
    check(r.err.startswith("err 0\nerr 1\nerr 2\n"), r.err)
    times = [line.split(" ")[0] for line in home.out("logs", "-t", "web").splitlines()]
    matches(times[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
    check(times == sorted(times), times)
    first = home.out("logs", "--since", times[2], "web").splitlines()[0]
    check(first in ("out 2", "out 3"), first)
    last = home.out("logs", "--until", times[2], "web").splitlines()[-1]
    equal(last, "out 2")
    r = home.a3s("logs", "--tail", "3", "web")
    equal(len(r.out.splitlines()) + len(r.err.splitlines()), 3)
    r = home.a3s("logs", "--until", "10m", "web")
    equal(r.out + r.err, "")

    follower = home.popen("logs", "-f", "--tail", "0", "web", stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    numbers = [int(follower.stdout.readline().split()[1]) for _ in range(3)]
    equal(numbers, list(range(numbers[0], numbers[0] + 3)))
    equal(home.out("stop", "-t", "0", "web"), "web")
    rest = [int(line.split()[1]) for line in follower.stdout]
    equal(follower.wait(10), 0, "status of logs -f")
    equal(numbers[-1:] + rest, list(range(numbers[-1], numbers[-1] + len(rest) + 1)))
    equal(home.out("logs", "web").splitlines()[-1], f"out {(numbers + rest)[-1]}")


@test
def signals_reach_the_workload(home):
    start(home, "web", TRAPS)
    wait_log(home, "web", "ready")
    waiter = home.popen("wait", "web", stdout=subprocess.PIPE, text=True)
    equal(home.out("kill", "-s", "USR1", "web"), "web")
    wait_log(home, "web", "got USR1")
    equal(home.out("pause", "web"), "web")
    matches(home.out("ps", "--format", "{{.State}} {{.Status}}"), r"^paused Up .*\(Paused\)$")
    contains(home.a3s("pause", "web", status=1).err, "already paused")
    equal(home.out("unpause", "web"), "web")
    contains(home.a3s("unpause", "web", status=1).err, "not paused")
    equal(home.out("stop", "web"), "web")
    equal(waiter.communicate(timeout=60)[0], "9\n")
    equal(home.out("wait", "web"), "9")
    matches(home.out("ps", "-a", "--format", "{{.State}} {{.Status}}"), r"^exited Exited \(9\) .* ago$")
    equal(home.out("ps", "-aq", "--filter", "exited=9", "--filter", "status=exited").count("\n"), 0)
    equal(home.out("logs", "web").splitlines()[-1], "bye")
    equal(home.out("stop", "web"), "web")  # docker: nothing to do is no failure
    contains(home.a3s("kill", "web", status=1).err, "is not running")
    contains(home.a3s("pause", "web", status=1).err, "is not running")
    contains(home.a3s("top", "web", status=1).err, "is not running")

    equal(home.out("restart", "web"), "web")
    equal(home.out("inspect", "-f", "{{.State.Status}}", "web"), "running")
    wait_for(lambda: home.out("logs", "web").count("ready") == 2, "the second start in the log")
    equal(home.out("kill", "web"), "web")
    equal(home.out("wait", "web"), "137")
    equal(home.out("rm", "web"), "web")


@test
def top_lists_what_runs_in_the_box(home):
    start(home, "web", "sleep 1000 & cat; wait", "-i")
    lines = wait_for(lambda: (lambda t: t if "sleep 1000" in t else None)(home.out("top", "web")),
                     "sleep in top").splitlines()
    equal(lines[0].split(), "UID PID PPID C STIME TTY TIME CMD".split())
    equal(lines[1].split()[:3], ["root", "1", "0"])
    rows = home.out("top", "web", "-eo", "pid,comm").splitlines()
    equal(rows[0].split(), ["PID", "COMMAND"])
    equal(rows[1].split()[0], "1")
    table = json.loads(home.out("top", "--format", "json", "web", "-eo", "pid,comm"))
    equal((table["Titles"], table["Processes"][0][0]), (["PID", "COMMAND"], "1"))
    r = home.a3s("wait", "--timeout", "1500ms", "--heartbeat-interval", "1", "web", status=1)
    equal((r.out, r.err), ("", "a3s-box wait: still waiting for web (1s)\n"
                               "Error: Box web has not ended in time\n"))
    contains(home.a3s("top", "web", "--forest", status=1).err, "ps option '--forest' is not known")


main()
