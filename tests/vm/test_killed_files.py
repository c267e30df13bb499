#!/usr/bin/python3
"""Files of a box whose machine was killed: its disk has a journal that nobody has replayed."""
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, test, wait_for  # noqa: E402

BB = "local/busybox"


@test
def files_of_a_killed_box(home):
    home.a3s("run", "-d", "--name", "bx", BB, "--", "sleep", "1000000")
    home.a3s("exec", "bx", "sh", "-c",
             "mkdir /d; i=0; while [ $i -lt 50 ]; do echo $i > /d/$i; i=$((i+1)); done;"
             " rm /d/7 /etc/group; exec 3>/open; echo lost >&3; rm /open; sync")
    shim = int(home.out("inspect", "-f", "{{.A3S.ShimPid}}", "bx"))
    check(shim > 1, "the shim's pid")
    os.kill(shim, signal.SIGKILL)
    wait_for(lambda: home.out("inspect", "-f", "{{.State.Status}}", "bx") in ("dead", "exited"), "its end")
    diff = home.out("diff", "bx").splitlines()
    check("A /d/49" in diff and "A /d/7" not in diff and "D /etc/group" in diff, diff)
    out = home.dir / "out"
    home.a3s("cp", "bx:/d", out)
    equal(sorted(int(p.name) for p in out.iterdir()), [i for i in range(50) if i != 7], "files")
    equal((out / "31").read_text(), "31\n", "content")
    # Written by us, then by the kernel, which finds nothing to repair.
    (home.dir / "in").write_text("from outside\n")
    home.a3s("cp", home.dir / "in", "bx:/d/31")
    home.a3s("start", "bx")
    equal(home.out("exec", "bx", "cat", "/d/31"), "from outside", "in the box again")
    equal(home.out("exec", "bx", "sh", "-c", "ls /d | wc -l"), "49", "all of them")
    home.a3s("exec", "bx", "sh", "-c", "rm -r /d; sync")
    home.a3s("stop", "-t", "0", "bx")
    contains(home.a3s("cp", "bx:/d", "-", status=1).err, "/d")


main()
