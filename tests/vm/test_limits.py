#!/usr/bin/python3
"""Limits: a workload that tries to exceed them is stopped. container-update: other ones while it runs."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, test, wait_for  # noqa: E402

BB = "local/busybox"
CG = "/sys/fs/cgroup"


def sh(home, name, script, status=0):
    return home.a3s("exec", name, "sh", "-c", script + "; exit $?" if status == 0 else script, status=status)


def cgroup(home, name, *files):
    return home.out("exec", name, "cat", *[f"{CG}/{f}" for f in files]).splitlines()


def qemu_rss(home, name):
    status = pathlib.Path(f"/proc/{home.box_pids(name)['qemu']}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


@test
def a_workload_cannot_exceed_its_limits(home):
    home.a3s("run", "-d", "--name", "lim", "-m", "160m", "--memory-reservation", "32m", "--pids-limit", "40",
             "--cpuset-cpus", "1", "--cpu-shares", "512", "--ulimit", "nofile=64:128", "--ulimit", "fsize=1048576",
             "--oom-score-adj", "200", "--shm-size", "4m", "--storage-size", "48m", "--init", BB, "sleep", "100000")
    forks(home)
    equal(home.out("exec", "lim", "nproc"), "1", "CPUs of --cpuset-cpus 1")
    contains(sh(home, "lim", "taskset 1 true", status=1).err, "Invalid argument")
    low = sh(home, "lim", "ulimit -n; ulimit -n 128 && ulimit -n 129; ulimit -n", status=None)
    equal(low.out.split()[:2], ["64", "128"], "nofile")
    sh(home, "lim", "dd if=/dev/zero of=/tmp/f bs=4k count=1000; s=$?; [ $(stat -c %s /tmp/f) = 1048576 ] || exit 3; "
                    "rm /tmp/f; [ $s != 0 ]")
    r = sh(home, "lim", "cat /proc/self/oom_score_adj; echo -900 >/proc/self/oom_score_adj", status=None)
    equal(r.out, "200\n", "oom_score_adj")
    check(r.status != 0, "it could make itself unkillable")
    space(home)
    equal(cgroup(home, "lim", "cpu.weight", "memory.low"), ["20", str(32 << 20)], "weight, reservation")
    home.a3s("exec", "lim", "tail", "/dev/zero", status=137)
    equal(home.out("inspect", "-f", "{{.State.Running}}", "lim"), "true", "its main process")
    home.a3s("stop", "-t", "0", "lim")
    equal(home.out("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "lim"), "true 137", "its end")


def forks(home):
    """As many as fit, and no more; built-ins only, as no fork works then."""
    r = sh(home, "lim", "(while :; do sleep 1000 & echo $! >>/tmp/pids; done) 2>/dev/null; "
                        "read n <" + CG + "/pids.current; read x m <" + CG + "/pids.events; echo $n $m; "
                        "while read p; do kill -9 $p; done </tmp/pids", status=None)
    n, refused = map(int, r.out.split())
    check(0 < n <= 40 and refused > 0, f"{n} processes of 40, {refused} refused")
    wait_for(lambda: int(cgroup(home, "lim", "pids.current")[0]) < 10, "they are gone")


def space(home):
    """Of /dev/shm and of the writable layer. The limit of a file's size is 1 MiB: many files."""
    fill = "i=0; while dd if=/dev/zero of=%s/$i bs=64k count=16 2>/tmp/why; do i=$((i+1)); done; echo $i; " \
           "tail -n 3 /tmp/why; rm -rf %s/[0-9]*"
    r = sh(home, "lim", fill % ("/dev/shm", "/dev/shm")).out
    equal(r.split()[0], "4", "MiB in /dev/shm")
    contains(r, "No space left on device")
    r = sh(home, "lim", "mkdir /big; " + (fill % ("/big", "/big")).replace("/tmp/why", "/dev/shm/why")).out
    check(16 <= int(r.split()[0]) < 48, f"{r.split()[0]} MiB in a layer of 48 MiB")
    contains(r, "No space left on device")


@test
def memory_and_swap_together(home):
    r = home.a3s("run", "--name", "swap", "-m", "96m", "--memory-swap", "144m", "--shm-size", "500m", BB, "sh", "-c",
                 f"cat {CG}/memory.max {CG}/memory.swap.max; dd if=/dev/zero of=/dev/shm/a bs=1M count=60 2>&1; "
                 "echo first $?; exec dd if=/dev/zero of=/dev/shm/b bs=1M count=300", status=137)
    limit, swap = map(int, r.out.split()[:2])
    check(16 << 20 < limit < 60 << 20, f"memory.max is {limit}")
    equal(swap, 48 << 20, "memory.swap.max")
    contains(r.out, "first 0")
    equal(home.out("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "swap"), "true 137", "its end")
    home.a3s("rm", "swap")
    r = home.a3s("run", "--rm", "-m", "128m", "--memory-swap", "1g", "--storage-size", "32m", BB, "true", status=125)
    contains(r.err, "no room for 896 MiB of swap in the writable layer")


@test
def limits_change_while_it_runs(home):
    home.a3s("run", "-d", "--name", "upd", "-m", "256m", "--shm-size", "300m", BB, "sleep", "100000")
    started = home.out("inspect", "-f", "{{.State.StartedAt}}", "upd")
    cpus(home)
    memory(home)
    equal(home.out("container", "update", "--pids-limit", "17", "--cpuset-cpus", "1", "--cpu-shares", "2048", "upd"), "upd")
    equal(cgroup(home, "upd", "pids.max", "cpuset.cpus", "cpu.weight"), ["17", "1", "79"], "after the update")
    home.a3s("container-update", "--pids-limit", "-1", "--cpuset-cpus", "", "--restart", "on-failure:3", "upd")
    equal(cgroup(home, "upd", "pids.max"), ["max"], "after the next")
    equal(home.out("exec", "upd", "nproc"), "2", "all CPUs")
    policy = home.out("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}",
                      "upd")
    equal(policy, "on-failure 3", "the restart policy")
    home.a3s("container-update", "--restart", "no", "upd")
    equal(home.out("inspect", "-f", "{{.State.StartedAt}} {{.State.Running}}", "upd"), f"{started} true", "no restart")
    home.a3s("pause", "upd")
    contains(home.a3s("container-update", "--cpus", "1", "upd", status=1).err, "Box upd is paused, unpause it first")
    home.a3s("kill", "upd")
    equal(home.out("container-update", "--cpus", "3", "-m", "200m", "upd"), "upd", "of a box that does not run")
    home.a3s("start", "upd")
    r = sh(home, "upd", "nproc; grep MemTotal /proc/meminfo").out.split()
    equal(r[0], "3", "CPUs of the next start")
    check(int(r[2]) < 200 << 10, f"memory of the next start: {r}")


def cpus(home):
    equal(home.out("exec", "upd", "nproc"), "2", "CPUs at first")
    equal(home.out("container-update", "--cpus", "4", "upd"), "upd", "name")
    equal(home.out("exec", "upd", "nproc"), "4", "CPUs")
    sh(home, "upd", "taskset 8 true")
    home.a3s("container-update", "--cpus", "1", "upd")
    equal(home.out("exec", "upd", "nproc"), "1", "CPUs")
    sh(home, "upd", "taskset 2 true", status=1)
    equal(home.out("inspect", "-f", "{{.HostConfig.NanoCpus}}", "upd"), "1000000000", "the record")
    r = home.a3s("container-update", "--cpus", "64", "upd", status=1)
    contains(r.err, "Box upd cannot have 64 CPUs while it runs: its machine has ")
    quota(home)
    home.a3s("container-update", "--cpus", "2", "upd")
    equal(cgroup(home, "upd", "cpu.max"), ["max 100000"], "a whole number is no quota")


def quota(home):
    """The workload takes what it gets until it was throttled six times."""
    home.a3s("container-update", "--cpus", "0.3", "upd")
    equal(cgroup(home, "upd", "cpu.max"), ["30000 100000"], "quota")
    r = sh(home, "upd", "t() { while read k v; do case $k in usage_usec) u=$v;; nr_periods) p=$v;; nr_throttled) n=$v;; "
                        "esac; done <" + CG + "/cpu.stat; }; t; a=\"$u $p\"; m=$((n + 6)); "
                        "while [ $n -lt $m ]; do t; done; echo $a $u $p")
    u0, p0, u1, p1 = map(int, r.out.split())
    check(u1 - u0 <= (p1 - p0 + 2) * 30000 * 1.5, f"{u1 - u0} us used in {p1 - p0} periods")


def memory(home):
    limit = int(cgroup(home, "upd", "memory.max")[0])
    sh(home, "upd", "dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>/dev/null")
    r = home.a3s("container-update", "-m", "120m", "upd", status=1)
    contains(r.err, "Box upd: its processes use ")
    equal(int(cgroup(home, "upd", "memory.max")[0]), limit, "memory.max after a refusal")
    sh(home, "upd", "rm /dev/shm/x")
    before = qemu_rss(home, "upd")
    home.a3s("container-update", "-m", "128m", "upd")
    equal(limit - int(cgroup(home, "upd", "memory.max")[0]), 128 << 20, "what the limit went down by")
    wait_for(lambda: qemu_rss(home, "upd") < before - (16 << 20), "the host gets memory back")
    home.a3s("exec", "upd", "tail", "/dev/zero", status=137)
    home.a3s("container-update", "-m", "256m", "upd")
    equal(int(cgroup(home, "upd", "memory.max")[0]), limit, "as at first")
    sh(home, "upd", "dd if=/dev/zero of=/dev/shm/x bs=1M count=120 2>/dev/null && rm /dev/shm/x")
    r = home.a3s("container-update", "-m", "4g", "upd", status=1)
    contains(r.err, "Box upd cannot have 4096 MiB of memory while it runs: its machine has 256 MiB")


if __name__ == "__main__":
    main()
