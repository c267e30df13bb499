#!/usr/bin/env python3
"""What `events` and `audit` tell of real boxes: docker's actions, in order, each once, to everybody."""
import json
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import BIN, check, contains, equal, main, test, wait_for


class Listener:
    """`events --format json` from now on, into a file."""

    def __init__(self, home, name, *options):
        self.path = home.dir / name
        self.file = open(self.path, "w")
        self.process = home.popen("events", "--format", "json", *options, stdout=self.file,
                                  stdin=subprocess.DEVNULL)

    def all(self):
        lines = self.path.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def told(self, box=None):
        """"action" of containers, of one box when it is given."""
        return [e["Action"] for e in self.all() if e["Type"] == "container" and (not box or e["id"] == box)]

    def wait(self, box, action):
        wait_for(lambda: action in self.told(box), f"event {action}: {self.told(box)}")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.file.close()


def audited(home, *options):
    """(action, outcome, target) of the records, oldest first."""
    lines = home.out("audit", "-n", "1000", "--json", *options).split("\n")
    return [(r["action"], r["outcome"], r["metadata"].get("target")) for r in map(json.loads, filter(None, lines))]


def listening(home, listener):
    """It reads: what happens now is told."""
    n = 0
    def probe():
        nonlocal n
        n += 1
        home.a3s("tag", "local/busybox", f"probe:{n}")
        return listener.all()
    wait_for(probe, "the listener runs")


@test
def every_action_is_told_once_and_in_order(home):
    first = Listener(home, "first")
    second = Listener(home, "second", "--filter", "type=container")
    listening(home, first)
    web = home.out("run", "-d", "--name", "web", "-l", "tier=db", "--init", "local/busybox", "--", "sleep", "1000")
    equal(audited(home)[-2:], [("box_create", "success", "web"), ("box_start", "success", "web")])
    home.a3s("exec", "web", "sh", "-c", "exit 7", status=7)
    home.a3s("pause", "web")
    home.a3s("unpause", "web")
    home.a3s("rename", "web", "db")
    home.a3s("kill", "-s", "WINCH", "db")
    home.a3s("restart", "-t", "30", "db")
    home.a3s("rm", "-f", "db")
    equal(audited(home, "--box", web[:20])[2:],
          [(a, "success", n) for a, n in (("exec_command", "web"), ("box_pause", "web"), ("box_unpause", "web"),
           ("box_rename", "web"), ("box_kill", "db"), ("box_restart", "db"), ("box_destroy", "db"))])
    first.wait(web, "destroy")
    want = ["create", "start", "exec_create: sh -c exit 7", "exec_start: sh -c exit 7", "exec_die", "pause", "unpause",
            "rename", "kill", "kill", "die", "stop", "start", "restart", "kill", "die", "destroy"]
    equal(first.told(web), want)

    once = {e["Action"]: e for e in first.all() if e["id"] == web}
    equal(once["start"]["from"], "local/busybox")
    equal(once["start"]["Actor"]["Attributes"], {"image": "local/busybox", "name": "db", "tier": "db"})
    equal(once["rename"]["Actor"]["Attributes"]["oldName"], "/web")
    equal(once["exec_die"]["Actor"]["Attributes"]["exitCode"], "7")
    equal(once["exec_die"]["Actor"]["Attributes"]["execID"],
          once["exec_start: sh -c exit 7"]["Actor"]["Attributes"]["execID"])
    equal([e["Actor"]["Attributes"]["signal"] for e in first.all() if e["Action"] == "kill"], ["28", "15", "9"])
    equal([e["Actor"]["Attributes"]["exitCode"] for e in first.all() if e["Action"] == "die"], ["143", "137"])

    history = [json.loads(l) for l in home.out("events", "--until", "0s", "--json").split("\n")]
    equal([e for e in history if e["Type"] == "container"], [e for e in first.all() if e["Type"] == "container"])
    second.wait(web, "destroy")
    equal(second.told(), want)
    equal(home.out("events", "--since", "1h", "--until", "0s", "-f", "event=die", "-f", "box=db", "-f", "label=tier=db",
                   "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}"), "die 143\ndie 137")
    equal(home.out("events", "--until", "0s", "-f", "label=tier=web"), "")
    first.end()
    second.end()


@test
def ends_without_stop_are_told(home):
    home.a3s("run", "--name", "one", "local/busybox", "--", "sh", "-c", "exit 3", status=3)
    home.a3s("run", "--name", "two", "local/busybox", "--", "nosuch", status=127)
    lost = home.out("run", "-d", "--name", "three", "--rm", "local/busybox", "--", "sleep", "1000")
    equal(audited(home)[-6:], [("box_create", "success", "one"), ("box_start", "success", "one"),
                               ("box_create", "success", "two"), ("box_start", "failure", "two"),
                               ("box_create", "success", "three"), ("box_start", "success", "three")])
    p = home.popen("exec", "three", "sleep", "1000", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: audited(home)[-1] == ("exec_command", "success", "three"), "the record of a process that runs")
    os.kill(home.box_pids("three")["shim"], signal.SIGKILL)
    equal(p.wait(60), 137)
    wait_for(lambda: home.out("ps", "-aq", "-f", "name=three") == "", "the dead box is found")
    told = home.out("events", "--until", "0s", "-f", "type=box", "--format",
                    '{{.Actor.Attributes.name}} {{.Action}} {{.Actor.Attributes.exitCode}}').split("\n")
    equal([t.replace("<no value>", "").strip() for t in told if "exec_" not in t],
          ["one create", "one attach", "one start", "one die 3", "two create", "two attach", "two die 127",
           "three create", "three start", "three die 255", "three destroy"])


@test(image=False)
def nothing_is_lost_under_load(home):
    """Four listeners, eight writers: everybody sees the same, all of it, in the same order."""
    root = home.dir / "root/bin"
    root.mkdir(parents=True)
    (root / "x").write_text("x")
    subprocess.run(["tar", "-C", root.parent, "-cf", home.dir / "root.tar", "bin"], check=True)
    home.a3s("import", home.dir / "root.tar", "one:1")
    listeners = [Listener(home, f"l{i}") for i in range(4)]
    for l in listeners:
        n = 0
        while not l.all():
            n += 1
            check(n < 3000, "a listener does not begin")
            home.a3s("tag", "one:1", f"probe:{n}")
    script = 'for i in 1 2 3 4 5 6 7 8 9 10; do "$0" tag one:1 "w$1:$i" || exit 1; done'
    writers = [subprocess.Popen(["sh", "-c", script, BIN / "a3s-box", str(w)], env=home.env) for w in range(8)]
    equal([w.wait(150) for w in writers], [0] * 8)
    home.a3s("tag", "one:1", "last:1")
    def names(l):
        return [e["Actor"]["Attributes"]["name"] for e in l.all()]
    for l in listeners:
        wait_for(lambda: "last:1" in names(l), "the last event")
        l.end()
    want = [n for n in names(listeners[0]) if not n.startswith("probe")]
    equal(sorted(want), sorted([f"w{w}:{i}" for w in range(8) for i in range(1, 11)] + ["last:1"]))
    for w in range(8):
        equal([n for n in want if n.startswith(f"w{w}:")], [f"w{w}:{i}" for i in range(1, 11)])
    for l in listeners[1:]:
        equal([n for n in names(l) if not n.startswith("probe")], want)


@test(image=False)
def a_reader_that_goes_away_ends_it(home):
    p = home.popen("events", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    p.stdout.close()  # nothing happens, and still it notices
    p.wait(60)
    home.a3s("events", "--until", "2s")  # "ago": it is over at once
    r = home.a3s("events", "--filter", "colour=red", status=1)
    contains(r.err, "invalid filter 'colour'")


main()
