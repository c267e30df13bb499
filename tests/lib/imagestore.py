"""An A3S_HOME with images, and what is in it."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

from layers import BIN, Tar, dump, fsck, sha

A3S = BIN / "a3s-box"


class Store:
    """An A3S_HOME of its own."""

    worker = BIN / "a3s-box-image"

    def __enter__(self):
        self.tmp = tempfile.mkdtemp(prefix="a3s-images-")
        self.home = pathlib.Path(self.tmp) / "home"
        self.env = {**os.environ, "A3S_HOME": str(self.home)}
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.tmp, ignore_errors=True)

    def popen(self, *args, **kw):
        kw = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE} | kw
        return subprocess.Popen([A3S, *map(str, args)], env=self.env | kw.pop("env", {}), **kw)

    def run(self, *args, data=b"", status=0, **kw):
        p = self.popen(*args, **kw)
        out, err = p.communicate(data, timeout=120)
        assert b"Sanitizer" not in err, err.decode(errors="replace")
        assert status is None or p.returncode == status, \
            f"{args}: status {p.returncode}: {out.decode()} {err.decode(errors='replace')}"
        return out.decode(), err.decode(errors="replace")

    def refused(self, archive, *words, args=(), **kw):
        """Loading fails with these words, and nothing stays."""
        out, err = self.run("load", *args, data=archive, status=1, **kw)
        assert out == "" and err.startswith("Error: "), (out, err)
        for word in words:
            assert word in err, f"'{word}' is not in: {err}"
        assert self.files() == [] and self.rows() == {}, (self.files(), self.rows())

    def files(self):
        found = []
        for where in ("images/blobs", "images/tmp", "rootfs"):
            top = self.home / where
            found += [str(p.relative_to(self.home)) for p in top.rglob("*") if p.is_file()]
        return sorted(found)

    def blobs(self):
        """The store's blobs, named as in an archive."""
        where = self.home / "images/blobs/sha256"
        return {"blobs/sha256/" + p.name: p.read_bytes() for p in where.iterdir()}

    def fsck(self, *args, status=0):
        """Check the store; what it says."""
        p = subprocess.run([self.worker, "fsck", *args], env=self.env, capture_output=True, text=True)
        assert p.returncode == status and not p.stderr, p.stdout + p.stderr
        return p.stdout

    def sql(self, text, *args):
        with sqlite3.connect(self.home / "state.db") as db:
            return db.execute(text, args).fetchall()

    def rows(self):
        if not (self.home / "state.db").exists():
            return {}
        return dict(self.sql("SELECT reference, image_id FROM images"))

    def tree(self, name):
        out, _ = self.run("image-inspect", "-f", "{{.GraphDriver.Data.Rootfs}}", name)
        fsck(out.strip())
        return dump(out.strip())


OCI = "application/vnd.oci.image."


def digest(data):
    return "sha256:" + sha(data)


class Layout:
    """The members of an OCI layout tar, to be put together right or wrong."""

    def __init__(self):
        self.members = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')]
        self.manifests = []

    def blob(self, data):
        self.members.append(("blobs/sha256/" + sha(data), data))
        return digest(data)

    def json(self, value):
        return self.blob(json.dumps(value).encode())

    def config(self, layers, **extra):
        return json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                           "rootfs": {"type": "layers", "diff_ids": [digest(l) for l in layers]},
                           **extra}).encode()

    def manifest(self, layers, config=None, packed=None, **extra):
        """layers: uncompressed; packed: what is stored (default the same)."""
        packed = packed or layers
        config = self.config(layers) if config is None else config
        return json.dumps({
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", "digest": self.blob(config),
                       "size": len(config)},
            "layers": [{"mediaType": OCI + "layer.v1.tar", "digest": self.blob(l), "size": len(l)}
                       for l in packed], **extra}).encode()

    def add(self, manifest, name=None, kind="manifest", **extra):
        entry = {"mediaType": OCI + kind + ".v1+json", "digest": self.blob(manifest),
                 "size": len(manifest), **extra}
        if name:
            entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.manifests.append(entry)
        return self

    def tar(self, index=None, order=lambda members: members):
        index = index if index is not None else json.dumps(
            {"schemaVersion": 2, "manifests": self.manifests}).encode()
        return tar_of(order(self.members + [("index.json", index)]))


def tar_of(members):
    out = Tar()
    for name, data in members:
        if isinstance(data, bytes):
            out.file(name, data)
        else:
            out.symlink(name, data[0])
    return out.bytes()


def simple(name="x/a:1", text=b"hello"):
    layout = Layout()
    return layout.add(layout.manifest([Tar().file("f", text).bytes()]), name)
