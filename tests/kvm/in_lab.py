"""Inside tools/kvm-lab: boxes run under the lab's KVM. See test_kvm.py."""
import json
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, test, wait_for  # noqa: E402


@test
def info_says_kvm_and_why(home):
    info = home.out("info")
    contains(info, "Accelerator: kvm")
    contains(info, "/dev/kvm runs guest code")
    accelerator = json.loads(home.out("info", "--format", "json"))["Accelerator"]
    equal(accelerator["Name"], "kvm", "accelerator")


@test
def a_box_runs_under_kvm(home):
    home.a3s("run", "-d", "--name", "box", "--accel", "kvm", "local/busybox", "--", "sleep", "1000")
    qemu = home.box_pids("box")["qemu"]
    fds = [os.readlink(f"/proc/{qemu}/fd/{fd}") for fd in os.listdir(f"/proc/{qemu}/fd")]
    check("anon_inode:kvm-vcpu:0" in fds, f"QEMU has no vCPU of KVM: {fds}")
    clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    equal(home.out("exec", "box", "--", "cat", clock), "kvm-clock", "the guest's clock")


@test
def streams_and_exit_status(home):
    r = home.a3s("run", "--rm", "local/busybox", "--", "sh", "-c", "echo out; echo err >&2; exit 7",
                 status=7)
    equal((r.out, r.err), ("out\n", "err\n"), "stdout, stderr")


@test
def stdin_is_binary_safe(home):
    data = b"a\0b" + bytes(range(256)) * 4096
    r = home.a3s("run", "--rm", "-i", "local/busybox", "--", "cat", input=data, text=False)
    check(r.out == data, f"{len(r.out)} of {len(data)} bytes came back, or other ones")


@test
def exec_logs_and_stop(home):
    home.a3s("run", "-d", "--name", "box", "local/busybox", "--", "sh", "-c",
             "echo started; exec sleep 1000")
    equal(home.out("exec", "box", "--", "echo", "in the box"), "in the box", "exec")
    home.a3s("exec", "box", "--", "sh", "-c", "exit 3", status=3)
    wait_for(lambda: "started" in home.out("logs", "box"), "the log has the line")
    home.a3s("stop", "-t", "1", "box")
    equal(home.out("inspect", "--format", "{{.State.Status}}", "box"), "exited", "status")


@test
def files_survive_a_restart(home):
    home.a3s("run", "-d", "--name", "box", "local/busybox", "--", "sh", "-c",
             "cat /kept 2>/dev/null; echo kept >/kept; sync; exec sleep 1000")
    wait_for(lambda: home.a3s("exec", "box", "--", "cat", "/kept", status=None).status == 0,
             "the file is written")
    home.a3s("stop", "-t", "1", "box")
    home.a3s("start", "box")
    wait_for(lambda: "kept" in home.out("logs", "box"), "the file is read again")


@test
def two_cpus_are_there(home):
    equal(home.out("run", "--rm", "--cpus", "2", "local/busybox", "--", "nproc"), "2", "nproc")


@test
def pause_stops_the_machine(home):
    home.a3s("run", "-d", "--name", "box", "local/busybox", "--", "sleep", "1000")
    home.a3s("pause", "box")
    equal(home.out("inspect", "--format", "{{.State.Status}}", "box"), "paused", "status")
    home.a3s("unpause", "box")
    equal(home.out("exec", "box", "--", "echo", "again"), "again", "exec")


@test
def a_killed_shim_leaves_nothing_and_the_box_starts_again(home):
    home.a3s("run", "-d", "--name", "box", "local/busybox", "--", "sleep", "1000")
    pids = home.box_pids("box")
    os.kill(pids["shim"], signal.SIGKILL)
    wait_for(lambda: not home.box_pids("box"), "QEMU dies with its shim")
    contains(home.out("ps", "-a", "--format", "{{.Status}}").lower(), "dead")
    home.a3s("start", "box")
    equal(home.out("exec", "box", "--", "echo", "back"), "back", "exec")


main()
