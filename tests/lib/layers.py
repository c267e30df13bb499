"""Layer tars made entry by entry, and what our flattening makes of them.

    from layers import Tar, flatten, refused, case, main

    @case
    def whiteout():
        tree = flatten(Tar().file("a", b"x"), Tar().file(".wh.a"))
        assert "a" not in tree

    main()

Every image that comes out is checked with e2fsck. TAP on stdout.
"""
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("A3S_BUILD", TOP / "build/asan"))
BIN = pathlib.Path(os.environ.get("A3S_BIN", BUILD / "bin"))
WORKER = BIN / "a3s-box-image"
DUMP = BUILD / "tests/interop/ext4_dump"
EPOCH = 1700000000

cases = []


def case(fn):
    cases.append(fn)
    return fn


class Skip(Exception):
    pass


class Tar:
    """A layer; every method returns it, so that calls can be chained."""

    def __init__(self, fmt=tarfile.PAX_FORMAT):
        self.buf = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buf, mode="w", format=fmt, encoding="utf-8",
                                errors="surrogateescape")

    def add(self, name, kind, data=b"", **attrs):
        info = tarfile.TarInfo(name)
        info.type, info.mtime, info.size = kind, EPOCH, len(data)
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        for key, value in attrs.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data) if data else None)
        return self

    def file(self, name, data=b"", **attrs):
        return self.add(name, tarfile.REGTYPE, data, **attrs)

    def dir(self, name, **attrs):
        return self.add(name, tarfile.DIRTYPE, **attrs)

    def symlink(self, name, target, **attrs):
        return self.add(name, tarfile.SYMTYPE, linkname=target, **attrs)

    def hardlink(self, name, target, **attrs):
        return self.add(name, tarfile.LNKTYPE, linkname=target, **attrs)

    def device(self, name, kind, major, minor, **attrs):
        return self.add(name, kind, devmajor=major, devminor=minor, **attrs)

    def bytes(self):
        if self.tar:
            self.tar.close()
            self.tar = None
        return self.buf.getvalue()


def raw(layer):
    return layer.bytes() if isinstance(layer, Tar) else layer


def run_flatten(layers, tmp, out="out.ext4"):
    paths = []
    for i, layer in enumerate(layers):
        if isinstance(layer, (str, pathlib.Path)):
            paths.append(layer)
            continue
        path = pathlib.Path(tmp) / f"{i}.tar"
        path.write_bytes(raw(layer))
        paths.append(path)
    image = pathlib.Path(tmp) / out
    p = subprocess.run([WORKER, "flatten", image, *paths], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=300)
    return image, p


def fsck(image):
    p = subprocess.run(["e2fsck", "-fn", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env={**os.environ, "PATH": "/usr/sbin:/sbin:" + os.environ["PATH"]})
    assert p.returncode == 0, "e2fsck: " + p.stdout.decode(errors="replace")[-2000:]


def dump(image):
    """{path: entry} of an ext4 image; the root's path is ""."""
    p = subprocess.run([DUMP, image], stdout=subprocess.PIPE, check=True)
    return {e["path"]: e for e in map(json.loads, p.stdout.splitlines())}


def flatten(*layers, keep=None):
    with tempfile.TemporaryDirectory() as tmp:
        image, p = run_flatten(layers, tmp)
        assert p.returncode == 0, p.stderr.decode(errors="replace")
        assert b"Sanitizer" not in p.stderr, p.stderr.decode(errors="replace")
        fsck(image)
        tree = dump(image)
        if keep is not None:
            keep["sha256"] = hashlib.sha256(image.read_bytes()).hexdigest()
            keep["disk"] = image.stat().st_blocks * 512
        return tree


def refused(layers, *words):
    """Flattening fails with an error (not a crash) that has all the words, and leaves no file."""
    with tempfile.TemporaryDirectory() as tmp:
        image, p = run_flatten(layers, tmp)
        text = p.stderr.decode(errors="replace")
        assert p.returncode == 1, f"status {p.returncode}: {text}"
        assert text.startswith("Error: ") and "Sanitizer" not in text, text
        for word in words:
            assert word in text, f"'{word}' is not in: {text}"
        assert not image.exists()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def names(tree, under=""):
    """What is below a directory, as a sorted list of names."""
    prefix = under + "/" if under else ""
    return sorted(p[len(prefix):] for p in tree if p.startswith(prefix) and p)


def main():
    wanted = sys.argv[1:]
    run = [c for c in cases if not wanted or c.__name__ in wanted]
    print(f"1..{len(run)}")
    failed = 0
    for i, fn in enumerate(run, 1):
        try:
            fn()
            print(f"ok {i} - {fn.__name__}")
        except Skip as why:
            print(f"ok {i} - {fn.__name__} # SKIP {why}")
        except Exception:
            failed += 1
            print(f"not ok {i} - {fn.__name__}")
            for line in traceback.format_exc().splitlines():
                print("#", line)
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
