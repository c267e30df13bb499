#!/usr/bin/python3
"""Images of other writers in a box: it sees, entry by entry, what umoci unpacks as root."""
import os
import pathlib
import shutil
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(here / "lib"), str(here / "interop")]
from harness import Skip, check, equal, main, test
from machine import why_no_buildah  # noqa: E402

# Type, mode, owner, size, links, device numbers, time of each; then contents and targets.
LIST = r"""
cd / && find . -xdev ! -type d -exec stat -c '%n|%f|%u|%g|%s|%h|%t|%T|%Y' {} +
find . -xdev -type d -exec stat -c '%n|%f|%u|%g|||||%Y' {} +
find . -xdev -type f -exec sha256sum {} + ; find . -xdev -type l -exec readlink {} \;
"""
# What every box has of its own: files, mount points and nsexec. The image has no usr.
OWN = ("dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "usr")


def sh(*args, **kw):
    p = subprocess.run([str(a) for a in args], capture_output=True, **kw)
    check(p.returncode == 0, f"{args}: {p.stderr.decode(errors='replace')[-1000:]}")
    return p.stdout


def lines(text):
    """Sorted, without the box's own."""
    kept = []
    for line in text.splitlines():
        path = line.split("|")[0] if "|" in line else line[66:]
        path = path[2:] if path.startswith("./") else path
        if path not in (".", "etc") and not any(path == o or path.startswith(o + "/") for o in OWN):
            kept.append(line)
    return sorted(kept)


def image_with_everything(tmp):
    """Two layers over busybox, written by umoci; the directory umoci unpacks it to."""
    from test_writers import change, fill
    layout = tmp / "layout"
    sh("umoci", "init", "--layout", layout)
    sh("umoci", "new", "--image", f"{layout}:a")
    sh("umoci", "unpack", "--image", f"{layout}:a", tmp / "one")
    root = tmp / "one/rootfs"
    for name in ("dev", "proc", "sys", "bin"):
        (root / name).mkdir()
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in ("sh", "find", "stat", "sha256sum", "readlink"):
        os.symlink("busybox", root / "bin" / applet)
    fill(root)
    sh("umoci", "repack", "--image", f"{layout}:b", tmp / "one")
    sh("umoci", "unpack", "--image", f"{layout}:b", tmp / "two")
    change(tmp / "two/rootfs")
    sh("umoci", "repack", "--image", f"{layout}:box", tmp / "two")
    sh("umoci", "unpack", "--image", f"{layout}:box", tmp / "want")
    return layout, tmp / "want/rootfs"


@test
def a_box_sees_what_umoci_unpacks(home):
    if os.geteuid() != 0 or not shutil.which("umoci"):
        raise Skip("needs root and umoci")
    layout, root = image_with_everything(home.dir)
    sh("tar", "-C", layout, "-cf", home.dir / "layout.tar", ".")
    home.a3s("load", "-i", home.dir / "layout.tar")
    want = sh("chroot", root, "/bin/sh", "-c", LIST).decode()
    got = home.a3s("run", "--rm", "--hostname", "box", "box:latest", "--", "/bin/sh", "-c", LIST).out
    ours, theirs = lines(got), lines(want)
    check(len(theirs) > 600, f"only {len(theirs)} lines")
    equal(sorted(set(ours) ^ set(theirs))[:6], [], "lines that differ")
    equal(len(ours), len(theirs), "lines")


@test
def skopeo_and_buildah_images_run(home):
    if os.geteuid() != 0 or why_no_buildah() or not shutil.which("skopeo"):
        raise Skip(why_no_buildah() or "needs root and skopeo")
    sys.path.insert(0, str(here.parent / "tools"))
    import mkimage
    with open(home.dir / "busybox.tar", "wb") as f:
        mkimage.busybox_layer(f, "/bin/busybox")
    (home.dir / "Dockerfile").write_text(
        "FROM scratch\nADD busybox.tar /\nRUN echo made > /made && chown 7:8 /made\n"
        "ENV WHO=buildah\nWORKDIR /tmp\nUSER 7\nENTRYPOINT [\"sh\", \"-c\"]\n"
        "CMD [\"cat /made; echo $WHO; pwd; id -u\"]\n")
    store = ("buildah", "--storage-driver", "vfs", "--root", home.dir / "root", "--runroot",
             home.dir / "run")
    sh(*store, "build", "--isolation", "chroot", "--network", "host", "--layers", "-t", "built",
       home.dir, env={**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"})
    sh(*store, "push", "-q", "built", f"oci-archive:{home.dir}/o.tar:from/buildah:1")
    sh("skopeo", "--insecure-policy", "copy", "-q", f"oci-archive:{home.dir}/o.tar",
       f"docker-archive:{home.dir}/d.tar:from/skopeo:1")
    for archive, name in (("o.tar", "from/buildah:1"), ("d.tar", "from/skopeo:1")):
        home.a3s("load", "-i", home.dir / archive)
        equal(home.a3s("run", "--rm", name).out, "made\nbuildah\n/tmp\n7\n", name)


main()
