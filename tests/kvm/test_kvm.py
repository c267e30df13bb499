"""The core scenarios under KVM, on a machine made of software that has a working one.

Runs tests/kvm/in_lab.py in tools/kvm-lab with the release build in bin/, and passes its TAP on.
KVM_LAB_CACHE names another directory for the lab's kernel.
"""
import ctypes
import os
import pathlib
import signal
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lib"))
from harness import busybox_tar  # noqa: E402

# Less than what ./dev gives a test: the lab should say itself that it was too slow.
SECONDS = int(os.environ.get("TEST_TIMEOUT", "600")) - 30


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def main():
    busybox_tar()  # here: what is made in the lab is gone with it
    command = [TOP / "tools/kvm-lab", "-m", "4096", "-t", str(SECONDS)]
    if "KVM_LAB_CACHE" in os.environ:
        command += ["-C", os.environ["KVM_LAB_CACHE"]]
    command += ["--", "env", f"A3S_BIN={TOP / 'bin'}", "/usr/bin/python3",
                TOP / "tests/kvm/in_lab.py", *sys.argv[1:]]
    status = subprocess.run(list(map(str, command)), cwd=TOP, preexec_fn=die_with_us).returncode
    if status in (124, 125):
        print(f"not ok lab: {'too slow' if status == 124 else 'did not come up'}")
    sys.exit(status)


main()
