"""Inside tools/kvm-lab: boxes run under the lab's KVM. See test_kvm.py.

A boot takes seconds here, so one box lives through most of what a box can live through.
"""
import json
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import harness  # noqa: E402
from harness import check, contains, equal, main, test, wait_for  # noqa: E402

harness.environment["A3S_BOX_BOOT_TIMEOUT"] = "120"  # a software CPU's KVM, on a busy host


@test
def info_says_kvm_and_why(home):
    info = home.out("info")
    contains(info, "Accelerator: kvm")
    contains(info, "/dev/kvm runs guest code")
    accelerator = json.loads(home.out("info", "--format", "json"))["Accelerator"]
    equal(accelerator["Name"], "kvm", "accelerator")


@test
def streams_stay_apart_and_the_status_comes_through(home):
    r = home.a3s("run", "--rm", "local/busybox", "--", "sh", "-c", "echo out; echo err >&2; exit 7",
                 status=7)
    equal((r.out, r.err), ("out\n", "err\n"), "stdout, stderr")


@test
def stdin_is_binary_safe(home):
    data = b"a\0b" + bytes(range(256)) * 4096
    r = home.a3s("run", "--rm", "-i", "local/busybox", "--", "cat", input=data, text=False)
    check(r.out == data, f"{len(r.out)} of {len(data)} bytes came back, or other ones")


def runs_under_kvm(home):
    qemu = home.box_pids("box")["qemu"]
    fds = [os.readlink(f"/proc/{qemu}/fd/{fd}") for fd in os.listdir(f"/proc/{qemu}/fd")]
    check({"anon_inode:kvm-vcpu:0", "anon_inode:kvm-vcpu:1"} <= set(fds), f"no vCPUs of KVM: {fds}")
    clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    equal(home.out("exec", "box", "--", "cat", clock), "kvm-clock", "the guest's clock")
    equal(home.out("exec", "box", "--", "nproc"), "2", "nproc")


def exec_and_logs(home):
    home.a3s("exec", "box", "--", "sh", "-c", "exit 3", status=3)
    equal(home.out("exec", "-i", "box", "--", "cat", input="text"), "text", "exec -i")
    wait_for(lambda: "started" in home.out("logs", "box"), "the log has the line")


def pause(home):
    home.a3s("pause", "box")
    equal(home.out("inspect", "--format", "{{.State.Status}}", "box"), "paused", "status")
    home.a3s("unpause", "box")
    equal(home.out("exec", "box", "--", "echo", "again"), "again", "exec")


def restart(home):
    home.a3s("exec", "box", "--", "sh", "-c", "echo kept >/kept; sync")
    home.a3s("stop", "-t", "1", "box")
    equal(home.out("inspect", "--format", "{{.State.Status}}", "box"), "exited", "status")
    home.a3s("start", "box")
    equal(home.out("exec", "box", "--", "cat", "/kept"), "kept", "a file from before")


def shim_killed(home):
    os.kill(home.box_pids("box")["shim"], signal.SIGKILL)
    wait_for(lambda: not home.box_pids("box"), "QEMU dies with its shim")
    contains(home.out("ps", "-a", "--format", "{{.Status}}").lower(), "dead")
    home.a3s("start", "box")
    equal(home.out("exec", "box", "--", "echo", "back"), "back", "exec")


@test
def life_of_a_box(home):
    home.a3s("run", "-d", "--name", "box", "--accel", "kvm", "--cpus", "2", "local/busybox", "--",
             "sh", "-c", "echo started; exec sleep 1000")
    for step in runs_under_kvm, exec_and_logs, pause, restart, shim_killed:
        print(f"# {step.__name__}", flush=True)
        step(home)


main()
