#!/usr/bin/python3
"""Images written by skopeo, umoci and buildah, and umoci's own unpacking compared with ours.

Needs root: owners, devices and trusted attributes cannot be made without.
"""
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from imagestore import Store
from layers import TOP, Skip, case, main
from machine import why_no_buildah

sys.path.insert(0, str(TOP / "tools"))


def run(*args, **kw):
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=300, **kw)
    assert p.returncode == 0, f"{args}: {p.stdout.decode(errors='replace')[-2000:]}"
    return p.stdout.decode(errors="replace")


def need(*programs):
    if os.geteuid() != 0:
        raise Skip("needs root")
    for name in programs:
        if not shutil.which(name):
            raise Skip(f"no {name}")


def host_tree(top):
    """The same form as dump() of an ext4 image, of a directory of this machine."""
    found = {}
    for where, dirs, files in os.walk(top):
        for name in ["."] * (where == top) + dirs + files:
            path = os.path.join(where, name)
            found["" if name == "." else os.path.relpath(path, top)] = entry_of(path)
    return found


def entry_of(path):
    st = os.lstat(path)
    entry = {"mode": st.st_mode, "uid": st.st_uid, "gid": st.st_gid,
             "mtime": st.st_mtime_ns // 10**9, "mtime_ns": st.st_mtime_ns % 10**9, "ino": st.st_ino}
    entry["xattrs"] = {n: os.getxattr(path, n, follow_symlinks=False).hex()
                       for n in os.listxattr(path, follow_symlinks=False)}
    if not stat.S_ISDIR(st.st_mode):
        entry["nlink"] = st.st_nlink
    if stat.S_ISREG(st.st_mode):
        entry["size"] = st.st_size
        entry["sha256"] = run("sha256sum", path).lstrip("\\").split()[0]
    if stat.S_ISLNK(st.st_mode):
        entry["target"] = os.readlink(path)
    if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        entry["rdev"] = [os.major(st.st_rdev), os.minor(st.st_rdev)]
    return entry


def groups(tree):
    """Which names are one file."""
    by_ino = {}
    for path, entry in tree.items():
        by_ino.setdefault(entry["ino"], []).append(path)
    return sorted(sorted(g) for g in by_ino.values() if len(g) > 1)


def same(ours, theirs):
    assert sorted(ours) == sorted(theirs), sorted(set(ours) ^ set(theirs))
    for path, want in theirs.items():
        for key, value in want.items():
            if key == "ino" or (path == "" and key.startswith("mtime")):
                continue  # the root's time: umoci's own directory
            assert ours[path].get(key) == value, f"'{path}': {key} {ours[path].get(key)} != {value}"
    assert groups(ours) == groups(theirs)
    return len(theirs)


def fill(root):
    """One of everything."""
    root = pathlib.Path(root)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    os.chown(root / "etc/passwd", 12, 34)
    (root / "suid").write_bytes(b"s" * 5000)
    os.chown(root / "suid", 1000, 100000)
    os.chmod(root / "suid", 0o6755)
    (root / "tmp").mkdir()
    os.chmod(root / "tmp", 0o1777)
    os.link(root / "suid", root / "etc/hard")
    os.symlink("../suid", root / "etc/link")
    os.symlink("t" * 200, root / "etc/long-link")
    os.lchown(root / "etc/link", 5, 6)
    os.mknod(root / "char", stat.S_IFCHR | 0o640, os.makedev(5, 300))
    os.mknod(root / "block", stat.S_IFBLK | 0o600, os.makedev(300, 70000))
    os.mkfifo(root / "fifo", 0o622)
    os.setxattr(root / "suid", "security.capability",
                bytes.fromhex("0100000200040000000000000000000000000000"))
    os.setxattr(root / "etc", "user.on.directory", b"value\0with\xffbytes")
    os.setxattr(root / "etc/passwd", "trusted.thing", b"t" * 1000)
    (root / ("ümlaut-日本-" + "n" * 150)).write_bytes(os.urandom(100000))
    (root / "deep/er/and/deeper").mkdir(parents=True)
    (root / "empty").touch()
    for i in range(300):
        (root / f"deep/file{i}").write_text(str(i))
    for path in root.rglob("*"):
        os.utime(path, ns=(1, 1234567890123456789), follow_symlinks=False)


def change(root):
    """What a second layer has: changes, removals, replacements."""
    root = pathlib.Path(root)
    (root / "empty").write_bytes(b"no more")
    shutil.rmtree(root / "deep/er")
    (root / "deep/file7").unlink()
    (root / "etc/hard").unlink()
    (root / "tmp").rmdir()
    os.symlink("etc", root / "tmp")
    (root / "fifo").unlink()
    (root / "fifo").mkdir()
    (root / "fifo/inside").write_text("x")
    os.chmod(root / "deep", 0o700)


def umoci_layout(tmp):
    """An image of two layers in an OCI layout, and what umoci makes of it."""
    layout = f"{tmp}/layout"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:first")
    run("umoci", "config", "--image", f"{layout}:first", "--config.cmd", "/bin/sh",
        "--config.env", "A=b", "--config.label", "k=v")
    run("umoci", "unpack", "--image", f"{layout}:first", f"{tmp}/one")
    fill(f"{tmp}/one/rootfs")
    run("umoci", "repack", "--image", f"{layout}:second", f"{tmp}/one")
    run("umoci", "unpack", "--image", f"{layout}:second", f"{tmp}/two")
    change(f"{tmp}/two/rootfs")
    run("umoci", "repack", "--image", f"{layout}:third", f"{tmp}/two")
    for tag in ("second", "third"):
        run("umoci", "unpack", "--image", f"{layout}:{tag}", f"{tmp}/{tag}")
    return layout


@case
def umoci_images_equal_what_umoci_unpacks():
    need("umoci")
    with tempfile.TemporaryDirectory() as tmp, Store() as s:
        layout = umoci_layout(tmp)
        tar = subprocess.run(["tar", "-C", layout, "-c", "."], stdout=subprocess.PIPE, check=True)
        out, _ = s.run("load", data=tar.stdout)
        assert out == "".join(f"Loaded image: {t}:latest\n" for t in ("first", "second", "third"))
        assert len(s.tree("first")) == 1
        for tag in ("second", "third"):
            n = same(s.tree(tag), host_tree(f"{tmp}/{tag}/rootfs"))
            assert n > 300, n
        config = json.loads(s.run("image-inspect", "third")[0])[0]["Config"]
        assert config["Cmd"] == ["/bin/sh"] and config["Labels"] == {"k": "v"}


@case
def skopeo_writes_every_format():
    need("umoci", "skopeo")
    with tempfile.TemporaryDirectory() as tmp, Store() as s:
        layout = umoci_layout(tmp)
        want = host_tree(f"{tmp}/third/rootfs")
        policy = ("skopeo", "--insecure-policy", "copy", "-q")
        run(*policy, f"oci:{layout}:third", f"docker-archive:{tmp}/d.tar:sk/docker:1")
        run(*policy, f"oci:{layout}:third", f"oci-archive:{tmp}/o.tar:sk/oci:1")
        run(*policy, "--dest-compress-format", "zstd", f"oci:{layout}:third", f"dir:{tmp}/dir")
        run(*policy, "--dest-compress-format", "zstd", f"oci:{layout}:third",
            f"oci:{tmp}/zstd:sk/zstd:1")
        run("tar", "-C", f"{tmp}/zstd", "-cf", f"{tmp}/z.tar", "index.json", "oci-layout", "blobs")
        for name, archive in (("sk/docker:1", "d.tar"), ("sk/oci:1", "o.tar"), ("sk/zstd:1", "z.tar")):
            assert s.run("load", "-i", f"{tmp}/{archive}")[0] == f"Loaded image: {name}\n"
            same(s.tree(name), want)
        assert len(list((s.home / "rootfs").iterdir())) == 1  # one chain of layers, one file


@case
def buildah_images():
    need("buildah")
    if why_no_buildah():
        raise Skip(why_no_buildah())
    with tempfile.TemporaryDirectory() as tmp, Store() as s:
        import mkimage
        with open(f"{tmp}/busybox.tar", "wb") as f:
            mkimage.busybox_layer(f, "/bin/busybox")
        pathlib.Path(f"{tmp}/Dockerfile").write_text(
            "FROM scratch\n"
            "ADD busybox.tar /\n"
            "RUN echo one > /one && mkdir -m 700 /d && touch /d/x /d/y && ln /one /two\n"
            "RUN rm /d/x && chown 7:8 /one && ln -s one /three\n"
            "ENV A=b\nWORKDIR /d\nUSER 7\nEXPOSE 80\nCMD [\"sh\"]\n")
        store = ("buildah", "--storage-driver", "vfs", "--root", f"{tmp}/root", "--runroot",
                 f"{tmp}/run")
        run(*store, "build", "--isolation", "chroot", "--network", "host", "--layers", "-t",
            "built", tmp, env={**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"})
        name = run(*store, "from", "--pull-never", "built").strip().splitlines()[-1]
        mounted = run(*store, "mount", name).strip()
        for form, archive in (("oci-archive", "o.tar"), ("docker-archive", "d.tar")):
            run(*store, "push", "-q", "built", f"{form}:{tmp}/{archive}:bu/{form}:1")
            out, _ = s.run("load", "-i", f"{tmp}/{archive}")
            assert f"Loaded image: bu/{form}:1\n" in out, out
            ours = s.tree(f"bu/{form}:1")
            theirs = host_tree(mounted)
            ours.pop(""), theirs.pop("")  # in no layer: buildah's own directory
            for path in ("etc", "run", "proc", "sys", "dev"):  # buildah mounts on these
                theirs.get(path, {}).pop("mtime", 0), theirs.get(path, {}).pop("mtime_ns", 0)
            same(ours, theirs)
            assert ours["one"]["uid"] == 7 and "d/x" not in ours and ours["three"]["target"] == "one"
            config = json.loads(s.run("image-inspect", f"bu/{form}:1")[0])[0]["Config"]
            assert config["User"] == "7" and config["WorkingDir"] == "/d" and "A=b" in config["Env"]


if __name__ == "__main__":
    main()
