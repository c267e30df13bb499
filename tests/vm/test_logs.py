#!/usr/bin/python3
"""Log drivers: rotation, compression and following; syslog, and a receiver that does not read."""
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import TIMEOUT, check, contains, equal, main, matches, test, wait_for  # noqa: E402

BB = "local/busybox"
FIRST, LAST = 100000, 110000
NUMBERS = "".join(f"{n}\n" for n in range(FIRST, LAST + 1))


@test
def a_log_is_rotated_compressed_and_read_as_one(home):
    box = home.out("run", "-d", "--name", "web", "-l", "tier=d b", "--log-opt", "max-size=64k", "--log-opt",
                   "max-file=40", "--log-opt", "labels=tier", "--log-opt", "tag={{.Name}}", BB, "--", "sh", "-c",
                   f"while [ ! -e /go ]; do usleep 50000; done; seq {FIRST} {LAST}; "
                   "while [ ! -e /on ]; do usleep 50000; done; echo err >&2; printf end; "
                   "while [ ! -e /off ]; do usleep 50000; done")
    logs = home.path / "boxes" / box / "logs"
    follower = home.popen("logs", "-f", "web", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    home.a3s("exec", "web", "--", "touch", "/go")
    wait_for(lambda: home.out("logs", "--tail", "1", "web") == str(LAST), "the last line in the log")
    home.a3s("exec", "web", "--", "touch", "/on")
    wait_for(lambda: home.a3s("logs", "--tail", "1", "web").err == "err\n", "stderr in the log")
    wait_for(lambda: list(logs.glob("container.json.*.gz")), "a compressed file")

    r = home.a3s("logs", "web")
    check(r.out == NUMBERS, f"{len(r.out)} bytes in the log, not {len(NUMBERS)}")
    r = home.a3s("logs", "--tail", "7001", "web")
    check(r.out == NUMBERS[-7 * 7000:], f"{len(r.out)} bytes in the tail")
    equal(home.a3s("logs", "--details", "--tail", "2", "web").out, f"tag=web,tier=d+b {LAST}\n", "--details")
    times = home.out("logs", "-t", "--tail", "5000", "web").splitlines()
    since = home.out("logs", "--since", times[0].split()[0], "web").splitlines()
    equal(since[-4999:], [line.split()[1] for line in times], "--since of an older file")

    home.a3s("exec", "web", "--", "touch", "/off")
    out, err = follower.communicate(timeout=TIMEOUT)
    check(out == NUMBERS + "end", f"{len(out)} bytes followed, not {len(NUMBERS) + 3}")
    equal((err, follower.returncode), ("err\n", 0))
    home.a3s("wait", "web")

    files = sorted(p.name for p in logs.glob("container.json*"))
    check(10 < len(files) <= 40, f"files: {files}")
    for path in logs.glob("container.json*"):
        check(path.stat().st_size <= 65536, f"{path.name} has {path.stat().st_size} bytes")
    check(not [name for name in files if re.search("tmp|new", name)], f"left behind: {files}")
    entry = json.loads((logs / "container.json").read_text().splitlines()[-1])
    equal((entry["log"], entry["stream"], entry["attrs"]), ("end", "stdout", {"tag": "web", "tier": "d b"}))
    config = json.loads(home.out("inspect", "-f", "{{json .HostConfig.LogConfig}}", "web"))
    equal((config["Type"], config["Config"]["max-size"]), ("json-file", "64k"))


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


@test
def a_receiver_that_does_not_read_holds_the_workload_and_nobody_else(home):
    last = 400000
    with socket.create_server(("127.0.0.1", 0)) as server:
        home.a3s("run", "-d", "--name", "web", "--log-driver", "syslog", "--log-opt",
                 f"syslog-address=tcp://127.0.0.1:{server.getsockname()[1]}", "--log-opt", "tag={{.Name}}", BB, "--",
                 "sh", "-c", f"seq {FIRST} {last} && touch /done && echo end >&2")
        server.settimeout(TIMEOUT)
        conn, _ = server.accept()
    with conn:
        conn.settimeout(TIMEOUT)
        wait_for(lambda: conn.recv(1, socket.MSG_PEEK), "a message")
        shim = int(home.out("inspect", "-f", "{{.State.Pid}}", "web"))
        for _ in range(3):  # the shim answers, while the workload waits
            equal(home.a3s("exec", "web", "--", "ls", "/done", status=1).out, "")
        shim = [pid for pid, line in home.processes().items() if "a3s-box-shim" in line]
        equal(len(shim), 1, "shims")
        check(rss_kib(shim[0]) < 200 << 10, f"the shim has {rss_kib(shim[0])} KiB")
        contains(home.a3s("logs", "web", status=1).err, "configured logging driver does not support reading")
        stream = conn.makefile("rb")
        lines = stream.read().decode().splitlines()
    matches(lines[0], r"^<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ web \d+ web - 100000$")
    matches(lines[-1], r"^<27>1 .* web - end$")
    got = [line.rsplit(" ", 1)[1] for line in lines[:-1]]
    check(got == [str(n) for n in range(FIRST, last + 1)], f"{len(got)} lines, not {last - FIRST + 1}")
    equal(home.out("wait", "web"), "0")
    equal(home.out("inspect", "-f", "{{.State.Error}}{{.LogPath}}", "web"), "")


@test
def syslog_by_datagrams(home):
    path = str(home.dir / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(TIMEOUT)
        r = home.a3s("run", "--rm", "--log-driver", "syslog", "--log-opt", f"syslog-address=unix://{path}",
                     "--log-opt", "syslog-facility=local0", "--log-opt", "syslog-format=rfc3164", BB, "--", "sh", "-c",
                     "echo out; echo err >&2; printf rest")
        equal((r.out, r.err), ("out\nrest", "err\n"))
        got = sorted(receiver.recv(1000).decode() for _ in range(3))
        matches(got[0], r"^<131>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [0-9a-f]{12}\[\d+\]: err$")
        matches(got[1], "^<134>.*: out$")
        matches(got[2], "^<134>.*: rest$")
    r = home.a3s("run", "--rm", "--log-driver", "syslog", "--log-opt", f"syslog-address=unix://{path}.no", BB, "--",
                 "true", status=125)
    contains(r.err, f"failed to initialize logging driver: dial unix {path}.no: No such file or directory")
    equal(home.out("ps", "-aq"), "", "boxes")


main()
