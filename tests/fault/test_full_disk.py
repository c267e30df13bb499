#!/usr/bin/python3
"""A full disk: an error that says so, nothing half-made, a workload that goes on."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Skip, check, contains, equal, main, test, wait_for


class Small:
    """A small file system on the home's directory for boxes."""

    def __init__(self, home, size):
        if os.geteuid() != 0:
            raise Skip("needs root to mount a small file system")
        self.path = home.path / "boxes"
        self.path.mkdir(exist_ok=True)
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", self.path],
                           capture_output=True, text=True)
        if r.returncode:
            raise Skip(f"cannot mount: {r.stderr.strip()}")

    def __enter__(self):
        return self.path

    def __exit__(self, *exc):
        subprocess.run(["umount", "-l", self.path], check=True)


def fill(directory):
    """Use up what is left."""
    with open(directory / "filler", "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while f.write(b"x" * size):
                    pass
            except OSError:
                pass
    return directory / "filler"


@test
def a_full_log_does_not_stop_the_workload(home):
    with Small(home, "16m"):
        result = home.a3s("run", "--name", "bx", "local/busybox", "--", "sh", "-c",
                          "yes 0123456789012345678901234567890123456789 | head -c 20000000; echo end >&2",
                          timeout=60)
        equal(len(result.out), 20000000, "bytes at the client")
        equal(result.err, "end\n", "stderr")
        contains(home.out("inspect", "--format", "{{.State.Error}}", "bx"), "No space left on device")
        log = next(home.path.glob("boxes/*/logs/container.json")).read_bytes()
        check(log.endswith(b"}\n"), "the log ends with a whole entry")
        home.a3s("rm", "bx")


@test
def lost_entries_are_counted_when_there_is_room_again(home):
    with Small(home, "8m") as boxes:
        home.a3s("run", "-d", "--name", "bx", "local/busybox", "--", "sh", "-c",
                 "while [ ! -e /go ]; do usleep 100000; done; echo lost; touch /lost; "
                 "while [ ! -e /on ]; do usleep 100000; done; echo found")
        home.a3s("exec", "bx", "--", "true")
        filler = fill(boxes)
        home.a3s("exec", "bx", "--", "touch", "/go")
        # shim.log is on the full disk too: the workload's next step is what shows.
        wait_for(lambda: home.a3s("exec", "bx", "--", "ls", "/lost", status=None).status == 0, "it goes on", 20)
        filler.unlink()
        home.a3s("exec", "bx", "--", "touch", "/on")
        home.a3s("wait", "bx")
        text = home.a3s("logs", "bx")
        equal(text.out, "found\n", "log")
        equal(text.err, "[a3s-box: 1 log entries were lost here: No space left on device]\n", "marker")
        home.a3s("rm", "bx")


@test
def no_room_for_a_box(home):
    with Small(home, "1m") as boxes:
        filler = fill(boxes)
        result = home.a3s("run", "--name", "bx", "local/busybox", "--", "true", status=125)
        contains(result.err, "No space left on device")
        filler.unlink()
        equal(home.out("ps", "-aq"), "", "boxes")
        equal(os.listdir(boxes), [], "files")


main()
