#!/usr/bin/env python3
"""`monitor`: what was killed comes back, what was stopped does not; /healthz and /metrics."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import TOP, Failure, Skip, check, contains, equal, main, matches, test, wait_for
import otlp


class Monitor:
    """A running `a3s-box monitor`; what it prints is in .lines."""

    def __init__(self, home, *args):
        self.p = home.popen("monitor", "--interval", "1", "--metrics-addr", "127.0.0.1:0", *args,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines, self.url = [], None
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.url = wait_for(self.find_url, "the monitor tells its address")
        wait_for(lambda: any("watching" in line for line in self.lines), "the monitor has looked")

    def read(self):
        for line in self.p.stdout:
            self.lines.append(line.rstrip("\n"))

    def find_url(self):
        if self.p.poll() is not None:
            raise Failure(f"the monitor has ended: {self.lines}")
        return next((line.split()[1].rsplit("/", 1)[0] for line in self.lines if "http://" in line), None)

    def get(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as r:
                return r.status, r.headers["Content-Type"], r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.headers["Content-Type"], e.read().decode()

    def metrics(self):
        """{"name{labels}": value} of what is there now."""
        lines = [line.rsplit(" ", 1) for line in self.get("/metrics")[2].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        self.reader.join()

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        equal(self.p.wait(60), 0, "status of the monitor")
        self.reader.join()
        return self.lines


def state(home, name):
    return home.out("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", name)


def kill_shim(home, name):
    """As the kernel does when memory is short: without a word. Its machine goes with it."""
    pids = home.box_pids(name)
    os.kill(pids["shim"], signal.SIGKILL)
    wait_for(lambda: not home.box_pids(name), "its processes end")


@test
def what_was_killed_comes_back_and_what_was_stopped_does_not(home):
    home.a3s("run", "-d", "--name", "web", "--restart", "always", "local/busybox", "sleep", "1000")
    home.a3s("run", "-d", "--name", "once", "local/busybox", "sleep", "1000")
    with Monitor(home) as m:
        r = home.a3s("monitor", status=1)
        contains(r.err, "Another monitor already watches")
        seen = m.metrics()
        equal((seen["a3s_box_total"], seen['a3s_box_state{status="running"}']), (2, 2), "boxes")
        check(seen["a3s_box_vm_created_total"] >= 2, "machines; one that hangs at boot is made again")
        equal(seen["a3s_box_vm_boot_duration_seconds_count"], 2)

        kill_shim(home, "web")
        kill_shim(home, "once")
        wait_for(lambda: state(home, "web") == "running 1", "web runs again")
        equal(home.out("exec", "web", "echo", "hi"), "hi")
        equal(state(home, "once"), "dead 0")
        home.a3s("exec", "web", "false", status=1)

        seen = wait_for(lambda: (s := m.metrics())['a3s_box_state{status="running"}'] == 1 and s, "it is seen")
        equal(seen['a3s_box_state{status="dead"}'], 1, "dead")
        equal((seen["a3s_box_restarts_total"], seen["a3s_box_monitor_up"]), (1, 1), "restarts, up")
        equal((seen["a3s_box_exec_total"], seen["a3s_box_exec_errors_total"]), (2, 1), "execs")
        equal(seen["a3s_box_exec_duration_seconds_count"], 2)
        web = home.out("inspect", "-f", "{{.Id}}", "web")
        check(seen[f'a3s_box_vm_memory_bytes{{box_id="{web}"}}'] > 1e6, "a machine has memory")
        check(f'a3s_box_vm_cpu_percent{{box_id="{web}"}}' in seen, "CPU of web")
        check(seen["a3s_box_monitor_seconds_since_last_poll"] < 30, "it looks")
        equal(m.get("/healthz")[::2], (200, "ok\n"))
        equal(m.get("/nothing")[0], 404)
        status, kind, text = m.get("/metrics")
        equal((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"))
        if not shutil.which("promtool"):
            raise Failure("promtool is missing (Debian package prometheus)")
        p = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        equal((p.returncode, p.stdout + p.stderr), (0, ""), "promtool")
        os.kill(home.box_pids("web")["shim"], signal.SIGTERM)  # as a host that shuts down does
        wait_for(lambda: state(home, "web") == "running 2", "web runs a third time")
        lines = m.end()
        check(any("box web: started again" in line for line in lines), lines)
        check(not any("box once" in line for line in lines), lines)

    # stopped while nothing kept it: the user's word counts
    kill_shim(home, "web")
    equal(home.out("stop", "web"), "web")
    with Monitor(home) as m:
        equal(state(home, "web"), "dead 2")
        lines = m.end()
    check(not any("box web" in line for line in lines), lines)
    equal(state(home, "web"), "dead 2")
    home.a3s("start", "web")
    equal(state(home, "web"), "running 0")


@test(image=False)
def the_unit_is_ours_alone(home):
    """--install, --uninstall: never over a file of somebody else."""
    if os.geteuid() == 0:
        # root's is the system's directory: the user's is what a test may write to
        run = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chmod(home.dir, 0o755)
        mine = home.dir / "user"
        mine.mkdir()
        os.chown(mine, 65534, 65534)
    else:
        run, mine = [], home.dir
    binary = str(pathlib.Path(os.environ.get("A3S_BIN", TOP / "bin")) / "a3s-box")
    env = home.env | {"HOME": str(mine), "A3S_HOME": str(mine / "a3s"), "XDG_CONFIG_HOME": ""}

    def a3s(*args):
        return subprocess.run([*run, binary, "monitor", *args], env=env, capture_output=True, text=True)

    if run and subprocess.run([*run, binary, "--version"], env=env, capture_output=True).returncode != 0:
        raise Skip("another user cannot execute our programs here")
    unit = mine / ".config/systemd/user/a3s-box-monitor.service"
    equal(a3s("--uninstall").returncode, 1)
    r = a3s("--install", "--interval", "7s", "--metrics-addr", ":9464")
    equal(r.returncode, 0, r.stderr)
    contains(r.stdout, "systemctl --user enable --now a3s-box-monitor.service")
    text = unit.read_text()
    contains(text, f'\nExecStart="{binary}" monitor --interval 7000ms --metrics-addr ":9464"\n')
    contains(text, f'\nEnvironment="A3S_HOME={mine}/a3s"\n')
    if shutil.which("systemd-analyze"):
        p = subprocess.run(["systemd-analyze", "--user", "verify", unit], capture_output=True, text=True)
        check(str(unit) not in p.stderr, p.stderr)
    equal(a3s("--install").returncode, 0, "installed again")
    check("9464" not in unit.read_text(), "the new options count")
    equal(a3s("--uninstall").returncode, 0)
    check(not unit.exists(), "it is gone")
    unit.write_text("[Unit]\n")
    for how in "--install", "--uninstall":
        r = a3s(how)
        equal(r.returncode, 1)
        contains(r.stderr, "was not written by a3s-box")
    equal(unit.read_text(), "[Unit]\n")


@test
def a_start_an_exec_and_a_stop_are_traced(home):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with otlp.Collector() as collector:
        env = collector.env() | {"OTEL_EXPORTER_OTLP_HEADERS": "x-token=a%20b"}
        home.a3s("run", "-d", "--name", "web", "local/busybox", "sleep", "1000", env=env | {"TRACEPARENT": parent})
        boot = collector.wait("vm_boot")
        home.a3s("exec", "web", "sh", "-c", "exit 3", status=3, env=env)
        done = collector.wait("exec_command")
        home.a3s("stop", "-t", "0", "web", env=env)
        stop = collector.wait("destroy_with_options")
        home.a3s("run", "--rm", "local/busybox", "/nosuch", status=127, env=env)
        failed = wait_for(lambda: next((s for s in collector.named("vm_boot") if s["spanId"] != boot["spanId"]), None),
                          "the start that failed")
        equal({r["x-token"] for r in collector.headers}, {"a b"}, "headers")
    box = home.out("inspect", "-f", "{{.Id}}", "web")
    equal((boot["traceId"], boot["parentSpanId"]), tuple(parent.split("-")[1:3]), "parent")
    for span in boot, done, stop:
        equal(otlp.attributes(span)["box_id"], box)
        check("status" not in span or span is not boot, span)
    equal(otlp.attributes(done)["exit_code"], "3")
    equal(otlp.attributes(stop)["exit_code"], "137")
    equal(failed["status"]["code"], 2)
    stages = collector.children(boot)
    equal([s["name"] for s in stages], ["prepare_layout", "vm_start", "wait_for_ready"])
    equal([s["name"] for s in collector.children(stages[2])], ["guest_boot", "container_create", "workload_start"])
    for outer in boot, stages[2]:  # the stages of a start leave nothing out
        inner = collector.children(outer)
        equal(inner[0]["startTimeUnixNano"], outer["startTimeUnixNano"])
        equal(inner[-1]["endTimeUnixNano"], outer["endTimeUnixNano"])
        for a, b in zip(inner, inner[1:]):
            equal(a["endTimeUnixNano"], b["startTimeUnixNano"])
    equal([s["name"] for s in collector.children(stop)], ["workload_stop", "vm_stop", "record"])

    # nobody there: nothing waits, nothing fails, and it can be read why
    env["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1000"
    home.a3s("run", "--rm", "local/busybox", "true", env=env)
    log = home.path / "otlp.log"
    wait_for(lambda: "spans are lost" in log.read_text(), "otlp.log says so")
    collector.validate()


main()
