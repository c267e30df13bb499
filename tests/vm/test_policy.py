#!/usr/bin/env python3
"""Restart policies and health checks, with real boxes."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, matches, test, wait_for

SMALL = ["-m", "96m", "--cpus", "1"]


def start(home, name, script, *options):
    return home.out("run", "-d", "--name", name, *SMALL, *options, "local/busybox", "--", "sh", "-c", script)


def get(home, name, template):
    return home.out("inspect", "-f", template, name)


@test
def a_failing_box_comes_back_until_its_count_is_reached(home):
    start(home, "web", "echo run >>/log; wc -l </log; read x; exit 3", "--restart", "on-failure:1")
    shim = home.box_pids("web").get("shim")
    wait_for(lambda: get(home, "web", "{{.State.Status}} {{.RestartCount}}") == "exited 1", "its last end", 120)
    equal(get(home, "web", "{{.State.ExitCode}} {{.State.Restarting}} {{.HostConfig.RestartPolicy}}"),
          "3 false {on-failure 1}")
    equal(home.out("logs", "web"), "1\n2")  # the same disk, the same log
    actions = home.out("events", "--since", "10m", "--until", "0.001s", "-f", "container=web", "--format", "{{.Action}}")
    equal([a for a in actions.splitlines() if a in ("start", "die", "stop")], ["start", "die"] * 2)
    check(shim is None or shim not in home.processes(), "its shim lives on")


@test
def a_user_ends_what_always_comes_back(home):
    start(home, "web", "read x; exit 0", "--restart", "always")
    wait_for(lambda: get(home, "web", "{{.State.Status}}") == "restarting", "its restart")
    matches(home.out("ps", "--format", "{{.Status}}"), r"^Restarting \(0\) ")
    equal(home.out("ps", "-q", "-f", "status=restarting"), home.out("ps", "-q"))
    contains(home.a3s("exec", "web", "true", status=1).err, "not running")
    r = home.a3s("rm", "web", status=1)
    contains(r.err, "--force")
    home.a3s("container-update", "--restart", "unless-stopped", "web")
    home.a3s("stop", "web")
    equal(get(home, "web", "{{.State.Status}} {{.State.ExitCode}} {{.HostConfig.RestartPolicy.Name}}"),
          "exited 0 unless-stopped")

    # killed: as long as the policy lives, only the user's kill counts
    home.a3s("container-update", "--restart", "always", "web")
    home.a3s("start", "web")
    equal(get(home, "web", "{{.RestartCount}}"), "0")
    home.a3s("rm", "-f", "web")
    equal(home.out("ps", "-aq"), "")


@test
def health_is_checked_and_told(home):
    start(home, "web", "trap 'exit 0' TERM; touch /ok; while :; do usleep 100000; done", "--health-cmd", "cat /ok", "--health-interval",
          "300ms", "--health-retries", "2", "--health-timeout", "20s", "--restart", "on-failure:5")
    wait_for(lambda: "(healthy)" in home.out("ps", "--format", "{{.Status}}"), "it is healthy")
    equal(home.out("ps", "-q", "-f", "health=healthy"), home.out("ps", "-q"))
    equal(get(home, "web", "{{.Config.Healthcheck.Test}} {{.State.Health.Status}}"), "[CMD-SHELL cat /ok] healthy")
    home.a3s("exec", "web", "rm", "/ok")
    # a user's kill while it is stopped for its health would count; the policy brings it back
    wait_for(lambda: get(home, "web", "{{.RestartCount}}") == "1", "the restart", 120)
    actions = home.out("events", "--since", "10m", "--until", "0.001s", "-f", "container=web", "--format",
                       "{{.Action}}").splitlines()
    told = [a for a in actions if a.startswith("health_status") or a == "die"]
    equal(told[:3], ["health_status: healthy", "health_status: unhealthy", "die"])
    wait_for(lambda: get(home, "web", "{{.State.Health.Status}}") == "healthy", "it is healthy again", 120)
    health = json.loads(get(home, "web", "{{json .State.Health}}"))
    equal((health["FailingStreak"], health["Log"][-1]["ExitCode"]), (0, 0))
    home.a3s("stop", "-t", "0", "web")
    equal(get(home, "web", "{{.State.Status}}"), "exited")


main()
