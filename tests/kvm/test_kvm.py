"""The core scenarios under KVM, on a machine made of software that has a working one.

Runs tests/kvm/in_lab.py in tools/kvm-lab with the release build in bin/, and passes its TAP on.
KVM_LAB_CACHE names another directory for the lab's kernel.
"""
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lib"))
from harness import busybox_tar  # noqa: E402

SECONDS = int(os.environ.get("KVM_LAB_SECONDS", "900"))


def main():
    busybox_tar()  # here: what is made in the lab is gone with it
    command = [TOP / "tools/kvm-lab", "-m", "4096", "-t", str(SECONDS)]
    if "KVM_LAB_CACHE" in os.environ:
        command += ["-C", os.environ["KVM_LAB_CACHE"]]
    command += ["--", "env", f"A3S_BIN={TOP / 'bin'}", "/usr/bin/python3",
                TOP / "tests/kvm/in_lab.py", *sys.argv[1:]]
    status = subprocess.run(list(map(str, command)), cwd=TOP).returncode
    if status in (124, 125):
        print(f"not ok lab: {'too slow' if status == 124 else 'did not come up'}")
    sys.exit(status)


main()
