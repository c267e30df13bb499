#!/usr/bin/env python3
"""What a running box uses: stats and top, in numbers that the box itself can know."""
import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, matches, test, wait_for

UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size(text):
    number, unit = re.fullmatch(r"([0-9.e+]+)([A-Za-z]+)", text).groups()
    return float(number) * UNITS[unit]


def stats(home, *args):
    return [json.loads(line) for line in home.out("stats", "--no-stream", "--format", "json", *args).splitlines()]


def processes(home):
    table = json.loads(home.out("top", "--format", "json", "web", "-eo", "pid,rss,%mem,comm"))
    equal(table["Titles"], ["PID", "RSS", "%MEM", "COMMAND"])
    return table["Processes"]


def percent(text):
    return float(text.removesuffix("%"))


@test
def a_box_is_measured(home):
    """One box: what it does shows; then it is paused, has ended, is removed."""
    home.a3s("run", "-d", "--name", "web", "-m", "256m", "--cpus", "2", "local/busybox", "--", "sleep", "1000")
    box = home.out("inspect", "-f", "{{.Id}}", "web")
    row, = stats(home)
    equal((row["ID"], row["Container"], row["Name"]), (box[:12], box[:12], "web"))
    equal((row["PIDs"], row["NetIO"]), ("1", "0B / 0B"))
    used, limit = map(size, row["MemUsage"].split(" / "))
    check(0 < used < 20 << 20 and 150 << 20 < limit <= 256 << 20, f"memory: {row}")
    check(abs(percent(row["MemPerc"]) - 100 * used / limit) < 0.1, f"percent of memory: {row}")
    check(20 << 20 < size(row["HostMem"]) < 1 << 30, f"memory on the host: {row}")
    pss = next(int(line.split()[1]) << 10 for line in
               open(f"/proc/{home.out('inspect', '-f', '{{.A3S.VmPid}}', 'web')}/smaps_rollup") if line.startswith("Pss:"))
    check(abs(size(row["HostMem"]) - pss) < 0.25 * pss, f"PSS is {pss}: {row}")

    wait_for(lambda: percent(stats(home)[0]["CPUPerc"]) < 20, "an idle box to use no CPU")

    # it works: two loops, a tail that holds 30 MiB, 20 MB on the disk
    home.a3s("exec", "web", "sh", "-c", "dd if=/dev/zero of=/f bs=1000000 count=20 2>/dev/null; sync")
    loops = home.popen("exec", "web", "sh", "-c", "while :; do :; done & while :; do :; done & "
                       "head -c 30m /dev/zero | tail -c 30m | sleep 1000")
    wait_for(lambda: {r[3]: int(r[1]) > 30000 for r in processes(home) if r[3] in ("head", "tail")} == {"tail": True},
             "a tail of 30 MiB")
    row, = stats(home, "web")
    equal(row["Container"], "web")
    check(percent(row["CPUPerc"]) > 30, f"two loops: {row}")
    check(percent(row["HostCPU"]) > 1, f"two loops, whatever else this machine does: {row}")
    check(size(row["MemUsage"].split(" / ")[0]) > 30 << 20, f"30 MiB of memory: {row}")
    check(size(row["BlockIO"].split(" / ")[1]) >= 19e6, f"20 MB were written: {row}")
    equal(row["PIDs"], "6")

    # top: %MEM is of what the box may use
    rows = processes(home)
    for _, rss, mem, _ in rows:
        check(abs(float(mem) - int(rss) * 1024 * 100 / limit) <= 0.11, f"%MEM of {limit}: {rows}")
    equal(len(rows), 6)

    # a stream: one picture after the other, until nobody reads
    stream = home.popen("stats", "web", "--format", "{{.Name}} {{.PIDs}}", stdout=subprocess.PIPE, text=True)
    equal([stream.stdout.readline() for _ in range(3)], ["web 6\n"] * 3)
    stream.stdout.close()
    stream.wait(30)

    # paused: the guest cannot be asked, its machine is still there
    home.a3s("pause", "web")
    row, = stats(home)
    equal((row["CPUPerc"], row["MemUsage"], row["PIDs"]), ("--", "-- / --", "--"))
    check(size(row["HostMem"]) > 20 << 20, f"memory of a paused box: {row}")
    home.a3s("unpause", "web")
    check(stats(home)[0]["PIDs"] != "--", "a box that goes on")

    # a stream ends with the last box that was named
    stream = home.popen("stats", "web", "--format", "{{.MemUsage}}", stdout=subprocess.PIPE, text=True)
    check(stream.stdout.readline() != "-- / --\n", "the first picture")
    home.a3s("stop", "-t", "0", "web")
    loops.wait(60)
    wait_for(lambda: stream.stdout.readline() == "-- / --\n", "a picture of a box that has ended")
    equal(stats(home), [])
    equal(stats(home, "web")[0]["HostMem"], "--")
    home.a3s("rm", "web")
    stream.stdout.read()
    equal(stream.wait(60), 0, "status of stats")
    contains(home.a3s("stats", "--no-stream", "web", status=1).err, "No such box: web")


@test
def prune_spares_what_runs(home):
    home.a3s("run", "-d", "--name", "web", "local/busybox", "--", "sleep", "1000")
    home.a3s("create", "--name", "old", "local/busybox", "true")
    r = home.a3s("system-prune", "-af")
    matches(r.out, r"^Deleted Containers:\n[0-9a-f]{64}\n\nTotal reclaimed space: [0-9.]+kB\n$")
    equal(home.out("ps", "-a", "--format", "{{.Names}} {{.State}}"), "web running")
    equal(home.out("images", "-q").count("\n"), 0)
    matches(home.out("df", "-v"), rf"(?m)^{home.out('ps', '-q')} +local/busybox .* Up .* web$")
    row = json.loads(home.out("df", "-v", "--format", "json"))
    equal([b["Names"] for b in row["Boxes"]], ["web"])
    events = home.out("events", "--since", "0", "--until", "0s", "--filter", "event=prune", "--format",
                      "{{.Type}} {{.Action}}").splitlines()
    equal(events, ["container prune", "image prune"])


main()
