"""An A3S_HOME with images, and what is in it."""
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

from layers import BIN, dump, fsck

A3S = BIN / "a3s-box"


class Store:
    """An A3S_HOME of its own."""

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
