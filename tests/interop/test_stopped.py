#!/usr/bin/python3
"""The files of a box that does not run, by a3s-box-image archive.

The disk is the template's, filled by debugfs (e2fsprogs) with what overlayfs in a guest leaves;
what we read from it is checked here, what we write by e2fsck and debugfs.
"""
import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from layers import EPOCH, WORKER, Tar, case, fsck, main, run_flatten  # noqa: E402

STAT, GET, PUT, CHANGES, LAYER, EXPORT = range(1, 7)
REQUEST, IN, IN_END = 0x50, 0x51, 0x52
STATED, OUT, CHANGE, DONE, FAILED = range(0xd0, 0xd5)
PATH = "/usr/sbin:/sbin:" + os.environ["PATH"]
INVALID, NOT_FOUND, STATE = 1, 3, 5
SIZE = 64 << 20


class Refused(Exception):
    def __init__(self, fields):
        super().__init__(fields.get(4, b"").decode())
        self.kind = int.from_bytes(fields[2], "big")


def field(tag, value):
    if isinstance(value, bool):
        value = b"\x01" if value else b""
    elif isinstance(value, int):
        value = struct.pack(">Q", value)
    elif isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    return struct.pack(">HI", tag, len(value)) + value


def fields(data):
    found = {}
    while data:
        tag, n = struct.unpack_from(">HI", data)
        found[tag], data = data[6:6 + n], data[6 + n:]
    return found


class Session:
    def __init__(self, home, write=False):
        argv = [WORKER, "archive", "--disk", "disk.ext4", "--rootfs", "lower.ext4"]
        self.p = subprocess.Popen(argv + ["--write"] * write, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env={**os.environ, "A3S_HOME": str(home)})

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(BrokenPipeError):
            self.p.stdin.close()
        errors = self.p.stderr.read()
        self.p.stdout.close()
        self.p.stderr.close()
        status = self.p.wait(timeout=120)
        if exc[0] is None:
            assert status == 0 and not errors, (status, errors)

    def send(self, kind, data=b""):
        self.p.stdin.write(struct.pack(">BI", kind, len(data)) + data)

    def recv(self):
        head = self.p.stdout.read(5)
        assert len(head) == 5, "no answer: " + self.p.stderr.read().decode()
        kind, n = struct.unpack(">BI", head)
        return kind, self.p.stdout.read(n)

    def ask(self, op, path=None, name=None, keep_owner=False, tar=None):
        """The messages of the answer by their type."""
        q = field(1, op)
        q += field(3, path) if path is not None else b""
        q += field(4, name) if name is not None else b""
        q += field(5, True) if keep_owner else b""
        self.send(REQUEST, q)
        for i in range(0, len(tar or b""), 50000):
            self.send(IN, tar[i:i + 50000])
        if tar is not None:
            self.send(IN_END)
        self.p.stdin.flush()
        got = {STATED: [], OUT: [], CHANGE: []}
        while True:
            kind, data = self.recv()
            if kind == FAILED:
                raise Refused(fields(data))
            if kind == DONE:
                return got
            got[kind].append(data)

    def stat(self, path):
        f = fields(self.ask(STAT, path)[STATED][0])
        st = {n: int.from_bytes(f.get(tag, b""), "big") for tag, n in
              [(2, "size"), (3, "mode"), (5, "uid"), (6, "gid")]}
        st["name"], st["target"] = f[1].decode(), f.get(7, b"").decode()
        st["mtime"] = int.from_bytes(f.get(4, b""), "big", signed=True)
        return st

    def tar(self, op, path=None, name=None):
        """{name: (TarInfo, data)} in the archive's order."""
        data = b"".join(self.ask(op, path, name)[OUT])
        assert len(data) % 512 == 0 and data[-1024:] == bytes(1024)
        with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as t:
            return {m.name + "/" * m.isdir(): (m, t.extractfile(m).read() if m.isreg() else None)
                    for m in t}

    def changes(self):
        return sorted((c.decode() for c in self.ask(CHANGES)[CHANGE]), key=lambda c: c[1:])

    def put(self, path, tar, keep_owner=False):
        self.ask(PUT, path, keep_owner=keep_owner, tar=tar if isinstance(tar, bytes)
                 else tar.bytes())


def refused(kind, text, fn, *args, **kw):
    try:
        fn(*args, **kw)
    except Refused as e:
        assert e.kind == kind and text in str(e), (e.kind, str(e))
    else:
        raise AssertionError("not refused: " + text)


def debugfs(home, *lines, disk="disk.ext4"):
    p = subprocess.run(["debugfs", "-w", "-f", "-", home / disk], text=True, capture_output=True,
                       input="\n".join(lines) + "\n", env={**os.environ, "PATH": PATH})
    # debugfs says what it is doing on stdout and mistakes on stderr, after its banner
    wrong = [line for line in p.stderr.splitlines() if line and not line.startswith("debugfs ")]
    assert p.returncode == 0 and not wrong, wrong
    return p.stdout


@contextlib.contextmanager
def box(lower, *upper):
    """A home with the image `lower` and a disk filled by debugfs commands."""
    with tempfile.TemporaryDirectory() as tmp:
        home = pathlib.Path(tmp)
        image, p = run_flatten([lower], home, "lower.ext4")
        assert p.returncode == 0, p.stderr
        subprocess.run([WORKER, "disk-template", str(SIZE), home / "disk.ext4"], check=True)
        for name, data in FILES.items():
            (home / name).write_bytes(data)
        if upper:
            debugfs(home, *[line.replace("%", str(home)) for line in upper])
        yield home


FILES = {"one": b"one\n", "two": b"second\n", "big": os.urandom(3 << 20) + bytes(5000)}
IMAGE = (Tar().dir("etc").file("etc/passwd", b"root\n").file("etc/group", b"g\n", uid=7, gid=8)
         .dir("old").file("old/a", b"a").file("old/b", b"b").dir("old/sub").file("old/sub/x", b"x")
         .dir("usr").dir("usr/lib").file("usr/lib/libc.so", b"elf" * 3000)
         .symlink("lib", "usr/lib").symlink("loop", "loop").symlink("up", "../../../etc")
         .symlink("nowhere", "/not/there").file("gone", b"1")
         .file("h1", b"linked").hardlink("h2", "h1")
         .device("null", tarfile.CHRTYPE, 1, 3, mode=0o666)
         .device("pipe", tarfile.FIFOTYPE, 0, 0)
         .add("attr", tarfile.REGTYPE, b"", pax_headers={"SCHILY.xattr.user.k": "v"}))


def upper_inode(path, mode, *more, uid=0, gid=0):
    """debugfs' files belong to who runs it, from now."""
    return [f"sif {path} mode 0{mode:o}", f"sif {path} uid {uid}", f"sif {path} gid {gid}",
            f"sif {path} mtime @{EPOCH}", *more]


def upper_dir(path, *more):
    return [f"mkdir {path}", *upper_inode(path, 0o40755), *more]


def upper_file(path, source, *more, mode=0o100644):
    return [f"write %/{source} {path}", *upper_inode(path, mode), *more]


def whiteout(path):
    return [f"cd {path.rpartition('/')[0]}", f"mknod {path.rpartition('/')[2]} c 0 0", "cd /"]


OPAQUE = "ea_set {} trusted.overlay.opaque y"
UPPER = [*upper_dir("/upper/etc"), *upper_file("/upper/etc/new", "one"),
         *upper_file("/upper/etc/passwd", "two"),
         *whiteout("/upper/gone"),
         *upper_dir("/upper/old", OPAQUE.format("/upper/old")),
         *upper_file("/upper/old/a", "two"), *upper_file("/upper/old/c", "one"),
         *upper_dir("/upper/var"), *upper_file("/upper/var/big", "big"),
         "symlink /upper/link /etc/new",
         "symlink /upper/slow /" + "long/" * 30]


@case
def the_image_alone():
    with box(IMAGE) as home, Session(home) as s:
        tree = s.tar(EXPORT)
        assert list(tree)[:4] == ["attr", "etc/", "etc/group", "etc/passwd"], list(tree)
        assert tree["etc/group"][0].uid == 7 and tree["etc/group"][0].gid == 8
        assert tree["usr/lib/libc.so"][1] == b"elf" * 3000
        assert tree["h2"][0].linkname == "h1" and tree["h2"][0].islnk()
        assert tree["null"][0].ischr() and tree["null"][0].devminor == 3
        assert tree["pipe"][0].isfifo() and tree["lib"][0].linkname == "usr/lib"
        assert tree["attr"][0].pax_headers == {"SCHILY.xattr.user.k": "v"}, \
            tree["attr"][0].pax_headers
        assert all(m.mtime == EPOCH for m, _ in tree.values() if m.name != "lost+found")
        assert s.changes() == [] and s.tar(LAYER) == {}


@case
def merged():
    with box(IMAGE, *UPPER) as home, Session(home) as s:
        tree = s.tar(EXPORT)
        assert "gone" not in tree and "old/b" not in tree and "old/sub/" not in tree
        assert tree["etc/passwd"][1] == b"second\n" and tree["etc/group"][1] == b"g\n"
        assert tree["old/a"][1] == b"second\n" and tree["old/c"][1] == b"one\n"
        assert tree["var/big"][1] == FILES["big"]
        assert not any("overlay" in k for m, _ in tree.values() for k in m.pax_headers)
        assert sorted(n for n in tree if n.startswith("etc/")) == \
            ["etc/", "etc/group", "etc/new", "etc/passwd"]


@case
def changes_and_layer():
    with box(IMAGE, *UPPER) as home, Session(home) as s:
        assert s.changes() == ["C/etc", "A/etc/new", "C/etc/passwd", "D/gone", "A/link", "C/old",
                               "C/old/a", "D/old/b", "A/old/c", "D/old/sub", "A/slow", "A/var",
                               "A/var/big"], s.changes()
        layer = s.tar(LAYER)
        assert list(layer) == ["etc/", "etc/new", "etc/passwd", ".wh.gone", "link", "old/",
                               "old/.wh..wh..opq", "old/a", "old/c", "slow", "var/", "var/big"], \
            list(layer)
        layer = b"".join(s.ask(LAYER)[OUT])
        whole = s.tar(EXPORT)
        # Applied to the image it gives the box again.
        image, p = run_flatten([IMAGE, layer], home, "both.ext4")
        assert p.returncode == 0, p.stderr
        subprocess.run(["mv", image, home / "lower.ext4"], check=True)
        subprocess.run([WORKER, "disk-template", str(SIZE), home / "disk.ext4"], check=True)
        with Session(home) as again:
            new = again.tar(EXPORT)
        assert {n: (m.get_info(), d) for n, (m, d) in new.items()} == \
            {n: (m.get_info(), d) for n, (m, d) in whole.items()}


@case
def what_counts_as_a_change():
    lower = (Tar().dir("d").file("d/same", b"one\n").file("d/mode", b"one\n")
             .file("d/data", b"ONE\n").dir("e").file("f", b"one\n").dir("t").file("t/x"))
    upper = [*upper_dir("/upper/d"), *upper_file("/upper/d/same", "one"),
             *upper_file("/upper/d/mode", "one", mode=0o100600),
             *upper_file("/upper/d/data", "one"),
             *upper_dir("/upper/e"), "sif /upper/e mtime 20240101000000",
             *upper_dir("/upper/f"), *upper_file("/upper/f/in", "one"),
             *upper_file("/upper/t", "one"), *whiteout("/upper/never")]
    with box(lower, *upper) as home, Session(home) as s:
        assert s.changes() == ["C/d", "C/d/data", "C/d/mode", "C/f", "A/f/in", "C/t"], s.changes()


@case
def paths():
    with box(IMAGE, *UPPER) as home, Session(home) as s:
        assert s.stat("/")["name"] == "/" and s.stat("")["mode"] == 0o40755
        assert s.stat("etc/../etc/./passwd")["size"] == 7
        assert s.stat("/lib")["target"] == "/usr/lib" and s.stat("/lib/")["mode"] == 0o40755
        assert s.stat("/lib/libc.so")["size"] == 9000 and s.stat("/up/new")["name"] == "new"
        assert s.stat("/up")["target"] == "/etc" and s.stat("/link")["target"] == "/etc/new"
        assert s.stat("/nowhere")["target"] == "/not/there"
        assert s.stat("/slow")["target"].startswith("/long/long")
        assert s.stat("/etc/group")["uid"] == 7
        assert s.stat("/etc/group")["mtime"] == EPOCH * 10**9
        refused(NOT_FOUND, "/gone: no such file or directory", s.stat, "/gone")
        refused(NOT_FOUND, "no such file", s.stat, "/old/sub/x")
        refused(NOT_FOUND, "no such file", s.stat, "/no/such")
        refused(INVALID, "lstat /etc/new/: not a directory", s.stat, "/etc/new/")
        refused(INVALID, "lstat /etc/new/x: not a directory", s.stat, "/etc/new/x")
        refused(INVALID, "", s.stat, "/loop/x")
        refused(INVALID, "", s.stat, "/" + "a" * 5000)
        assert list(s.tar(GET, "/etc")) == ["etc/", "etc/group", "etc/new", "etc/passwd"]
        assert list(s.tar(GET, "/lib")) == ["lib"]
        assert list(s.tar(GET, "/lib/")) == ["lib/", "lib/libc.so"] or \
            list(s.tar(GET, "/lib/")) == ["usr/lib/", "usr/lib/libc.so"] or \
            list(s.tar(GET, "/lib/"))[0].endswith("lib/")
        assert list(s.tar(GET, "/etc/new", "other")) == ["other"]
        refused(STATE, "reading only", s.put, "/", Tar().file("x"))


def worker(home, *argv, stdin=b"", ok=True):
    p = subprocess.run([WORKER, *argv], input=stdin, capture_output=True, timeout=120,
                       env={**os.environ, "A3S_HOME": str(home)})
    assert b"Sanitizer" not in p.stderr, p.stderr.decode()
    assert (p.returncode == 0) == ok, (p.returncode, p.stderr)
    return p.stdout if ok else p.stderr.decode()


def messages(*pairs):
    return b"".join(struct.pack(">BI", kind, len(data)) + data for kind, data in pairs)


def saved(home, name):
    """(manifest, configuration, layer tars) of an image."""
    with tarfile.open(fileobj=io.BytesIO(worker(home, "save", name))) as t:
        blobs = {m.name.rpartition("/")[2]: t.extractfile(m).read() for m in t if m.isreg()}
    top = json.loads(blobs["index.json"])["manifests"][0]["digest"][7:]
    manifest = json.loads(blobs[top])
    config = json.loads(blobs[manifest["config"]["digest"][7:]])
    layers = [blobs[layer["digest"][7:]] for layer in manifest["layers"]]
    return manifest, config, [gzip.decompress(b) if b[:2] == b"\x1f\x8b" else b for b in layers]


@case
def commit():
    with box(IMAGE, *UPPER) as home, Session(home) as s:
        base = json.loads(worker(home, "import", "--reference", "local/base:1", "--change",
                                 "CMD [\"old\"]", "--change", "ENV A=1 B=2",
                                 stdin=IMAGE.bytes()))["id"]
        layer = b"".join(s.ask(LAYER)[OUT])
        config = json.dumps({"Cmd": ["sh", "-c", "x"], "User": "7"}).encode()
        stdin = messages((0x53, config), (IN, layer[:5000]), (IN, layer[5000:]), (IN_END, b""))
        new = json.loads(worker(home, "commit", "--image", base, "--reference", "local/new",
                                "--message", "why", "--author", "me", "--change", "ENV B=3",
                                "--change", "EXPOSE 80", "--change", "LABEL a=b c=d", "--change",
                                "WORKDIR /w", stdin=stdin))
        assert new["references"] == ["docker.io/local/new:latest"], new
        manifest, doc, layers = saved(home, "local/new")
        assert layers == [IMAGE.bytes(), layer]
        assert manifest["layers"][1]["mediaType"].endswith("tar+gzip")
        assert doc["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(x).hexdigest()
                                             for x in layers]
        c = doc["config"]
        assert c["Cmd"] == ["sh", "-c", "x"] and c["User"] == "7" and c["Env"] == ["A=1", "B=3"]
        assert list(c["ExposedPorts"]) == ["80/tcp"] and c["Labels"] == {"a": "b", "c": "d"}
        assert c["WorkingDir"] == "/w" and doc["author"] == "me"
        assert len(doc["history"]) == 2 and doc["history"][1]["comment"] == "why"
        assert doc["history"][1]["created_by"] == "sh -c x"
        # The new image's root file system is what the box showed.
        whole = s.tar(EXPORT)
        chain = [p for p in (home / "rootfs").iterdir()
                 if p.read_bytes() != (home / "lower.ext4").read_bytes()]
        for path in chain:
            fsck(path)
            shutil.copy(path, home / "lower.ext4")
            worker(home, "disk-template", str(SIZE), str(home / "disk.ext4"))
            with Session(home) as again:
                tree = again.tar(EXPORT)
            if "var/big" in tree:
                break
        assert {n: (m.get_info(), d) for n, (m, d) in tree.items()} == \
            {n: (m.get_info(), d) for n, (m, d) in whole.items()}


@case
def commits_that_change_nothing_or_fail():
    with box(IMAGE) as home, Session(home) as s:
        base = json.loads(worker(home, "import", stdin=IMAGE.bytes()))["id"]
        layer = b"".join(s.ask(LAYER)[OUT])
        begin = [(0x53, b"{}"), (IN, layer)]
        stdin = messages(*begin, (IN_END, b""))
        worker(home, "commit", "--image", base, "--reference", "local/same", "--change",
               "ENTRYPOINT [\"e\"]", stdin=stdin)
        manifest, doc, layers = saved(home, "local/same")
        assert layers == [IMAGE.bytes()] and doc["history"][1]["empty_layer"] is True
        assert doc["config"]["Entrypoint"] == ["e"] and len(list((home / "rootfs").iterdir())) == 1
        blobs = sorted((home / "images/blobs/sha256").iterdir())
        for text, argv, stdin in [
                ("the client is gone", [], messages(*begin)),
                ("the client is gone", [], messages((0x53, b"{}"))),
                ("no configuration", [], messages((IN, layer))),
                ("not a valid change command", ["--change", "RUN x"], stdin),
                ("No such image", ["--image", "sha256:" + "0" * 64], stdin),
                ("reference", ["--reference", "Not/Valid"], stdin),
                ("layer", [], messages((0x53, b"{}"), (IN, b"no tar" * 1000), (IN_END, b"")))]:
            assert text in worker(home, "commit", "--image", base, *argv, stdin=stdin, ok=False)
            assert sorted((home / "images/blobs/sha256").iterdir()) == blobs
            assert list((home / "images/tmp").iterdir()) == []


def check(home):
    """The disk is as a kernel would want it, needs no recovery, and is read as before."""
    fsck(home / "disk.ext4")
    features = subprocess.run(["dumpe2fs", "-h", home / "disk.ext4"], text=True,
                              capture_output=True, env={**os.environ, "PATH": PATH}).stdout
    assert "needs_recovery" not in features
    with Session(home) as s:
        return s.tar(EXPORT)


@case
def put_new_files():
    tar = (Tar().dir("d", mode=0o2750, uid=3, gid=4).file("d/f", b"hello", mode=0o4711, uid=5)
           .file("d/empty").file("d/big", FILES["big"]).symlink("d/l", "f")
           .symlink("d/slow", "x/" * 100).hardlink("d/h", "d/f").hardlink("d/pw", "passwd")
           .device("d/c", tarfile.CHRTYPE, 5, 1, mode=0o620).device("d/b", tarfile.BLKTYPE, 300, 7)
           .device("d/p", tarfile.FIFOTYPE, 0, 0).file("only/parents/named", b"x")
           .add("d/x", tarfile.REGTYPE, b"", pax_headers={
               "SCHILY.xattr.user.k": "v", "SCHILY.xattr.trusted.overlay.opaque": "y",
               "SCHILY.xattr.security.capability": "\x01\x00\x00\x02" + "\x00" * 16})
           .dir(".").file("./dot/../plain", b"p"))
    for keep in [False, True]:
        with box(IMAGE, *UPPER) as home:
            with Session(home, write=True) as s:
                s.put("/etc", tar, keep_owner=keep)
                assert s.stat("/etc/d/f")["size"] == 5
            tree = check(home)
            d, f = tree["etc/d/"][0], tree["etc/d/f"][0]
            assert (d.mode, d.uid, d.gid) == ((0o2750, 3, 4) if keep else (0o2750, 0, 0))
            assert (f.mode, f.uid, f.mtime, d.mtime) == (0o4711, 5 if keep else 0, EPOCH, EPOCH)
            assert tree["etc/d/f"][1] == b"hello" and tree["etc/d/big"][1] == FILES["big"]
            assert tree["etc/d/l"][0].linkname == "f"
            assert tree["etc/d/slow"][0].linkname == "x/" * 100
            assert tree["etc/d/h"][0].linkname == "etc/d/f"
            assert tree["etc/passwd"][0].linkname == "etc/d/pw"
            assert tree["etc/d/pw"][1] == b"second\n"
            assert (tree["etc/d/b"][0].devmajor, tree["etc/d/b"][0].devminor) == (300, 7)
            assert tree["etc/d/c"][0].mode == 0o620 and tree["etc/d/p"][0].isfifo()
            assert tree["etc/only/parents/named"][1] == b"x"
            assert tree["etc/only/"][0].mode == 0o755 and tree["etc/plain"][1] == b"p"
            assert sorted(tree["etc/d/x"][0].pax_headers) == \
                ["SCHILY.xattr.security.capability", "SCHILY.xattr.user.k"]
            assert tree["etc/group"][0].uid == 7 and tree["var/big"][1] == FILES["big"]


@case
def put_over_what_is_there():
    with box(IMAGE, *UPPER) as home:
        with Session(home, write=True) as s:
            s.put("/", Tar().file("etc/group", b"new").file("etc/passwd", b"again")
                  .file("gone", b"back").symlink("null", "nothing").file("h1", b"apart")
                  .dir("usr", mode=0o700).file("lib/more", b"through the link")
                  .file("lib", b"no link any more"), keep_owner=True)
            s.put("/old", Tar().dir("sub").file("sub/y", b"y"))
            s.put("/usr", Tar().hardlink("lib/two", "lib/libc.so"))
            s.put("/up", Tar().file("via", b"via"))
            assert s.changes() == \
                ["C/etc", "C/etc/group", "A/etc/new", "C/etc/passwd", "A/etc/via", "C/gone",
                 "C/h1", "C/lib", "A/link", "C/null", "C/old", "C/old/a", "D/old/b", "A/old/c",
                 "C/old/sub", "D/old/sub/x", "A/old/sub/y", "A/slow", "C/usr", "C/usr/lib",
                 "A/usr/lib/more", "A/usr/lib/two", "A/var", "A/var/big"], s.changes()
        tree = check(home)
        assert tree["etc/group"][1] == b"new" and tree["etc/passwd"][1] == b"again"
        assert tree["gone"][1] == b"back" and tree["null"][0].linkname == "nothing"
        assert tree["h1"][1] == b"apart" and tree["h2"][1] == b"linked"
        assert tree["usr/"][0].mode == 0o700 and tree["usr/lib/more"][1] == b"through the link"
        assert tree["lib"][1] == b"no link any more" and tree["etc/via"][1] == b"via"
        assert tree["usr/lib/two"][0].linkname == "usr/lib/libc.so"
        # A directory made where one was removed does not show what the image had in it.
        assert [n for n in tree if n.startswith("old/")] == ["old/", "old/a", "old/c", "old/sub/",
                                                             "old/sub/y"]


@case
def put_is_refused():
    with box(IMAGE, *UPPER) as home:
        with Session(home, write=True) as s:
            for text, path, tar in [
                    ('cannot overwrite directory "/etc" with non-directory "/"', "/",
                     Tar().file("etc")),
                    ('cannot overwrite non-directory "/etc/group" with directory "/etc"', "/etc",
                     Tar().dir("group")),
                    ("extraction point is not a directory", "/etc/group", Tar().file("x")),
                    ("leaves the destination", "/etc", Tar().file("../x")),
                    ("no such file", "/etc", Tar().hardlink("x", "nothing")),
                    ("not a directory", "/etc", Tar().file("group/x")),
                    ("0:0", "/etc", Tar().device("w", tarfile.CHRTYPE, 0, 0))]:
                refused(INVALID, text, s.put, path, tar)
            refused(NOT_FOUND, "no such file", s.put, "/etc/none", Tar().file("x"))
            # What came before the mistake stays.
            refused(INVALID, "leaves", s.put, "/", Tar().dir("a").file("a/b", b"1").file("../x"))
            full = Tar().file("small", b"1").file("large", bytes(SIZE)).file("never")
            refused(7, "No space left", s.put, "/", full)
            refused(12, "", s.put, "/", b"nonsense" * 1000)
            s.put("/", Tar())
            s.put("/", Tar().file("after", b"2"))
        tree = check(home)
        assert tree["a/b"][1] == b"1" and tree["small"][1] == b"1" and tree["after"][1] == b"2"
        assert "large" not in tree and "never" not in tree and "x" not in tree


@case
def put_many():
    tar, names = Tar(), []
    for i in range(3000):
        names.append(f"m/{i % 7}/{i:06}-{'n' * (i % 150)}")
        tar.file(names[-1], str(i).encode())
    with box(IMAGE) as home:
        with Session(home, write=True) as s:
            s.put("/", tar)
            s.put("/", tar)
        tree = check(home)
        assert all(tree[n][1] == str(i).encode() for i, n in enumerate(names))


@case
def journal_of_a_killed_machine():
    """Transactions made by debugfs: one committed, one revoked in part, one without its end."""
    for version in ["-c -v 3", "-c -v 2", ""]:
        with box(IMAGE, *UPPER) as home:
            where = debugfs(home, "blocks /upper/etc/new", "blocks /upper/old/c",
                            "blocks /upper/old/a").splitlines()
            new, c, a = [line.split()[0] for line in where if line.strip()[:1].isdigit()]
            # A block that begins like the journal's own has to be escaped in it.
            (home / "new").write_bytes(b"NEW!" * 2048)
            (home / "magic").write_bytes(b"\xc0\x3b\x39\x98" * 1024)
            debugfs(home, f"jo {version}", f"jw -b {new},{c} {home}/new", f"jw -b {a} {home}/magic",
                    f"jw -r {c}", f"jw -b {new} -c {home}/magic", "jc")
            before = (home / "disk.ext4").read_bytes()
            with Session(home) as s:
                tree = s.tar(EXPORT)
            assert tree["etc/new"][1] == b"NEW!", (version, tree["etc/new"][1])
            assert tree["old/a"][1] == b"\xc0\x3b\x39\x98\xc0\x3b\x39", version
            assert tree["old/c"][1] == b"one\n", version
            assert (home / "disk.ext4").read_bytes() == before, "changed by who only reads"
            with Session(home, write=True) as s:
                s.put("/", Tar().file("after", b"1"))
            tree = check(home)
            assert tree["etc/new"][1] == b"NEW!" and tree["after"][1] == b"1"
            assert tree["old/c"][1] == b"one\n"


main()
