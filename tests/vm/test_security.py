#!/usr/bin/python3
"""What a workload may not do: each denial is shown, and that the flag which lifts it does."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, test  # noqa: E402

BB = "local/busybox"


def status(home, *flags, cmd="grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status"):
    out = home.out("run", "--rm", *flags, BB, "sh", "-c", cmd)
    return dict(line.split(":\t") for line in out.splitlines())


@test
def defaults_are_dockers(home):
    s = status(home)
    equal(s["CapBnd"], "00000000a80425fb", "bounding set")
    equal(s["CapEff"], "00000000a80425fb", "effective set")
    equal(s["CapInh"], "0000000000000000", "inheritable set")
    equal(s["Seccomp"], "2", "seccomp")
    equal(s["NoNewPrivs"], "0", "no_new_privs")


@test
def capabilities_are_added_and_dropped(home):
    s = status(home, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--security-opt", "no-new-privileges")
    equal(s["CapBnd"], "0000000000001000", "bounding set")
    equal(s["CapEff"], "0000000000001000", "effective set")
    equal(s["NoNewPrivs"], "1", "no_new_privs")
    s = status(home, "-u", "1000")
    equal(s["CapEff"], "0000000000000000", "effective set of a user")
    equal(s["CapBnd"], "00000000a80425fb", "bounding set of a user")


@test
def privileged_lifts_everything(home):
    s = status(home, "--privileged")
    equal(s["CapEff"], "000001ffffffffff", "effective set")
    equal(s["Seccomp"], "0", "seccomp")
    r = home.out("run", "--rm", "--privileged", BB, "sh", "-c",
                 "mkdir /m; mount -t tmpfs x /m && echo mounted; echo 1 > /proc/sys/kernel/printk_ratelimit && echo written; "
                 "head -c 4 /proc/timer_list | wc -c")
    equal(r, "mounted\nwritten\n4")
    s = status(home, "--security-opt", "seccomp=unconfined")
    equal((s["Seccomp"], s["CapEff"]), ("0", "00000000a80425fb"), "seccomp and capabilities")


@test
def denied_things_are_denied(home):
    script = r"""
try() { name=$1; shift; command -v "$1" >/dev/null || echo "$name: missing"; if out=$("$@" 2>&1); then echo "$name: allowed"; else echo "$name: denied"; fi; }
mkdir /m
try mount mount -t tmpfs x /m
try umount umount /dev/shm
try hostname hostname other
try clock sh -c 'date -s 2001-01-01; date +%Y | grep -q 2001'
try reboot reboot -f
try swapon swapon /dev/null
try chroot chroot / true
try mknod mknod /tmp/null c 1 3
try chown chown 1:1 /tmp/null
try device sh -c 'cat /tmp/null'
try vda sh -c 'mknod /tmp/sda b 8 0 && head -c 1 /tmp/sda'
try sysctl sh -c 'echo 1 > /proc/sys/kernel/printk_ratelimit'
try sysrq sh -c 'echo s > /proc/sysrq-trigger'
try timer_list sh -c 'test -s /proc/timer_list'
try kcore sh -c 'head -c 1 /proc/kcore | grep -q .'
try keys sh -c 'test -s /proc/keys'
try sys sh -c 'echo x > /sys/kernel/uevent_helper'
try firmware sh -c 'ls /sys/firmware | grep -q .'
try cgroup mkdir /sys/fs/cgroup/x
try dmesg dmesg
try init kill -9 1
try nice renice -n -5 1
"""
    out = home.out("run", "--rm", BB, "sh", "-c", script)
    got = dict(line.split(": ") for line in out.splitlines())
    # docker lets root make nodes and change owners, roots and whatever a node in its list says
    allowed = {"chroot", "mknod", "chown", "device"}
    for name, verdict in got.items():
        if name == "init":  # a signal to PID 1 of the namespace is accepted and without effect
            continue
        equal(verdict, "allowed" if name in allowed else "denied", name)
    check(len(got) == 22, f"{len(got)} of 22 were tried: {out}")


@test
def capabilities_open_their_doors(home):
    equal(home.out("run", "--rm", "--cap-add", "SYS_ADMIN", BB, "sh", "-c",
                   "mkdir /m; mount -t tmpfs x /m && hostname other && hostname"), "other")
    equal(home.out("run", "--rm", "--cap-add", "SYS_NICE", BB, "sh", "-c",
                   "renice -n -5 1 && cut -d ' ' -f 19 /proc/1/stat"), "-5")
    equal(home.out("run", "--rm", "--cap-add", "SYSLOG", BB, "sh", "-c", "dmesg >/dev/null && echo read"), "read")


@test
def namespaces_of_their_own_need_no_privilege(home):
    out = home.out("run", "--rm", BB, "nsexec", "--user", "--map-root", "--mount", "--uts", "--", "sh", "-c",
                   "hostname inner; hostname; mount -t tmpfs x /tmp && echo mounted; id -u")
    equal(out, "inner\nmounted\n0")
    # with --mount it would need a /proc of its own, which the kernel refuses where ours is masked
    equal(home.out("run", "--rm", BB, "nsexec", "-U", "-r", "--pid", "sh", "-c", "echo pid $$"), "pid 1")


@test
def exec_is_as_confined_as_the_box(home):
    home.a3s("run", "-d", "--name", "bx", "--cap-drop", "CHOWN", BB, "sleep", "1000000")
    show = "grep -E '^(CapEff|Seccomp:)' /proc/self/status"
    s = dict(line.split(":\t") for line in home.out("exec", "bx", "sh", "-c", show).splitlines())
    equal((s["CapEff"], s["Seccomp"]), ("00000000a80425fa", "2"), "exec")
    s = dict(line.split(":\t") for line in home.out("exec", "--privileged", "bx", "sh", "-c", show).splitlines())
    equal((s["CapEff"], s["Seccomp"]), ("000001ffffffffff", "0"), "exec --privileged")


@test
def a_seccomp_profile_from_a_file_holds(home):
    profile = home.dir / "p.json"
    rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
             {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}, indent=2))
    option = f"seccomp={profile}"
    home.a3s("run", "-d", "--name", "bx", "--security-opt", option, BB, "sleep", "1000000")
    for args in ("exec", "bx"), ("run", "--rm", "--security-opt", option, BB):
        p = home.a3s(*args, "mkdir", "/x", status=1)
        equal(p.err, "mkdir: can't create directory '/x': Function not implemented\n", "mkdir")
    equal(home.out("exec", "bx", "sh", "-c", "touch /y && ls /y"), "/y", "what the profile allows")
    shown = json.loads(home.out("inspect", "-f", "{{json .HostConfig.SecurityOpt}}", "bx"))
    equal([json.loads(s.split("=", 1)[1])["syscalls"] for s in shown], [rules], "inspect")
    profile.write_text('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"DENY"}]}')
    p = home.a3s("run", "--rm", "--security-opt", option, BB, "true", status=125)
    contains(p.err, 'syscalls[0] (mkdir): action: unknown action "DENY"')


@test
def what_is_not_known_is_refused_before_anything_is_made(home):
    for flags, text in (
            (["--cap-add", "NO_SUCH"], 'unknown capability "NO_SUCH"'),
            (["--security-opt", "seccomp=/no/such.json"],
             "opening seccomp profile (/no/such.json) failed: open /no/such.json: No such file"),
            (["--security-opt", "nonsense"], "invalid --security-opt"),
            (["-v", "/a:/b"], "--volume is not supported yet"),
            (["-p", "80:80"], "--publish is not supported yet"),
            (["--restart", "sometimes"], "unknown policy 'sometimes'"),
            (["--restart", "always", "--rm"], "Conflicting options: --restart and --rm"),
            (["--network", "host"], "--network host is not supported yet"),
            (["--device", "/dev/kvm"], "--device is not supported yet"),
            (["--gpus", "all"], "--gpus is not supported yet"),
            (["--tmpfs", "relative"], "must be absolute"),
            (["--tmpfs", "/x:exploit=1"], "invalid tmpfs option"),
            (["--ulimit", "files=1"], "invalid ulimit type: files"),
            (["--ulimit", "nofile=10:5"], "ulimit soft limit must be less than or equal to hard limit: 10 > 5"),
            (["--cpuset-cpus", "7"], "Requested CPUs are not available"),
            (["-m", "1m"], "minimum memory"),
            (["--cpus", "0"], "range of CPUs"),
            (["--log-driver", "journald"], "no log driver named 'journald' is registered"),
            (["--add-host", "nonsense"], "bad format for add-host"),
            (["--dns", "nonsense"], "not an ip address"),
            (["--stop-signal", "NOPE"], "NOPE"),
            (["--platform", "linux/s390x"], "does not provide the specified platform"),
            (["-h", "-bad-"], "invalid hostname format"),
            (["--env-file", "/no/such/file"], "No such file"),
            (["--pull", "sometimes"], "invalid pull option"),
    ):
        for verb in ("run", "create"):
            r = home.a3s(verb, *flags, BB, "true", status=None)
            check(r.status == (125 if verb == "run" else 1), f"status {r.status}: {r}")
            contains(r.err, text)
    equal(home.out("ps", "-aq"), "", "boxes")
    r = home.a3s("run", "--pull", "never", "no/such/image", status=125)
    contains(r.err, "No such image: no/such/image")


main()
