#!/usr/bin/python3
"""`save`: what it writes is read by us and by skopeo, holds the store's bytes, or is not there."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from imagestore import Layout, Store, digest, simple
from layers import Skip, Tar, case, main, sha


def members(path):
    with tarfile.open(path) as t:
        return {m.name: t.extractfile(m).read() if m.isfile() else None for m in t.getmembers()}


def skopeo(*args):
    p = subprocess.run(["skopeo", "--insecure-policy", *map(str, args)], capture_output=True)
    assert p.returncode == 0, f"skopeo {args}: {p.stderr.decode()}"
    return p.stdout


def two_images():
    """Sharing a layer; one has two names."""
    layout = Layout()
    base, one, two = (Tar().file(n, n.encode() * 1000).bytes() for n in ("base", "one", "two"))
    layout.add(layout.manifest([base, one]), "reg.example:5000/app/one:1.0")
    layout.add(layout.manifest([base, two]), "two")
    return layout.tar()


@case
def the_archive_holds_the_stores_bytes():
    with Store() as s:
        s.run("load", data=two_images())
        s.run("tag", "two", "[::1]:5000/two:x")
        out = s.home / "out.tar"
        assert s.run("save", "-o", out, "two", "reg.example:5000/app/one:1.0", "[::1]:5000/two:x") == ("", "")
        got = members(out)
        blobs = s.blobs()
        assert {k: v for k, v in got.items() if k.startswith("blobs/sha256/") and v is not None} == blobs
        assert list(got)[-4:] == ["index.json", "manifest.json", "oci-layout", "repositories"], list(got)
        assert json.loads(got["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        index = json.loads(got["index.json"])
        names = [m["annotations"]["io.containerd.image.name"] for m in index["manifests"]]
        assert names == ["docker.io/library/two:latest", "[::1]:5000/two:x", "reg.example:5000/app/one:1.0"], names
        tags = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
        assert tags == ["latest", "x", "1.0"], tags
        for m in index["manifests"]:
            blob = blobs["blobs/sha256/" + m["digest"][7:]]
            assert len(blob) == m["size"] and digest(blob) == m["digest"]
        docker = json.loads(got["manifest.json"])
        assert [d["RepoTags"] for d in docker] == [["two:latest", "[::1]:5000/two:x"],
                                                   ["reg.example:5000/app/one:1.0"]], docker
        for d in docker:
            config = json.loads(blobs[d["Config"]])
            assert [digest(blobs[name]) for name in d["Layers"]] == config["rootfs"]["diff_ids"]
            assert list(d["LayerSources"]) == sorted(config["rootfs"]["diff_ids"])
        assert json.loads(got["repositories"])["reg.example:5000/app/one"]["1.0"] in str(docker)
        assert out.stat().st_mode & 0o777 == 0o600
        before = out.read_bytes()
        with open(out, "wb") as f:  # the same bytes again, on stdout
            assert s.popen("save", "two", "reg.example:5000/app/one:1.0", "[::1]:5000/two:x", "-o", "-", stdout=f).wait(60) == 0
        assert out.read_bytes() == before


@case
def what_is_saved_loads_again():
    with Store() as a, Store() as b:
        a.run("load", data=two_images())
        a.run("save", "-o", a.home / "x.tar", "two", "reg.example:5000/app/one:1.0")
        out, _ = b.run("load", "-i", a.home / "x.tar")
        assert sorted(out.split("\n")[:-1]) == ["Loaded image: reg.example:5000/app/one:1.0",
                                                "Loaded image: two:latest"], out
        assert a.rows() == b.rows() and a.blobs() == b.blobs()
        b.fsck()


@case
def names_are_those_that_were_asked_for():
    with Store() as s:
        s.run("load", data=simple("x/a:1").tar())
        image_id = s.rows()["docker.io/x/a:1"]
        s.run("tag", "x/a:1", "x/a:2")
        s.run("tag", "x/a:1", "other")

        def tags(*what):
            s.run("save", "-o", s.home / "t.tar", *what)
            return json.loads(members(s.home / "t.tar")["manifest.json"])[0]["RepoTags"]

        assert tags("x/a") == ["x/a:1", "x/a:2"]  # a repository without tag: all of it
        assert tags("x/a:2") == ["x/a:2"]
        assert tags(image_id[7:19]) is None
        assert "annotations" not in json.loads(members(s.home / "t.tar")["index.json"])["manifests"][0]
        assert "repositories" not in members(s.home / "t.tar")
        assert tags("other", image_id, "other:latest", "x/a:1") == ["other:latest", "x/a:1"]
        with Store() as b:
            s.run("save", "-o", s.home / "t.tar", image_id)
            assert b.run("load", "-i", s.home / "t.tar")[0] == f"Loaded image ID: {image_id}\n"


@case
def skopeo_reads_both_formats():
    with Store() as s:
        tmp = pathlib.Path(s.tmp)
        layer = Tar().dir("bin", mode=0o755).file("bin/x", os.urandom(200000)).bytes()
        layout = Layout()
        packed = subprocess.run(["gzip", "-nc"], input=layer, stdout=subprocess.PIPE, check=True).stdout
        s.run("load", data=layout.add(layout.manifest([layer], packed=[packed]), "sk/x:3").tar())
        image_id = s.rows()["docker.io/sk/x:3"]
        s.run("save", "-o", tmp / "x.tar", "sk/x:3")
        skopeo("copy", f"oci-archive:{tmp}/x.tar:3", f"oci:{tmp}/oci:3")
        skopeo("copy", f"oci-archive:{tmp}/x.tar", f"dir:{tmp}/dir")
        blobs = s.blobs()
        for name, data in blobs.items():  # byte for byte, the manifest too
            assert (tmp / "oci" / name).read_bytes() == data, name
        inspected = json.loads(skopeo("inspect", f"docker-archive:{tmp}/x.tar:docker.io/sk/x:3"))
        assert inspected["Architecture"] == "amd64" and len(inspected["Layers"]) == 1
        skopeo("copy", f"docker-archive:{tmp}/x.tar:docker.io/sk/x:3", f"dir:{tmp}/dk")
        assert json.loads((tmp / "dk/manifest.json").read_text())["config"]["digest"] == image_id
        skopeo("copy", f"docker-archive:{tmp}/x.tar", f"docker-archive:{tmp}/again.tar:sk/again:1")
        with Store() as b:
            assert b.run("load", "-i", tmp / "again.tar")[0] == "Loaded image: sk/again:1\n"


@case
def layers_of_every_packing_survive():
    with Store() as s:
        layer = Tar().file("f", b"z" * 50000).bytes()
        for kind, tool in (("gzip", ["gzip", "-nc"]), ("zstd", ["zstd", "-qc"])):
            packed = subprocess.run(tool, input=layer, stdout=subprocess.PIPE, check=True).stdout
            layout = Layout()
            s.run("load", data=layout.add(layout.manifest([layer], packed=[packed]), kind).tar())
            s.run("save", "-o", s.home / "x.tar", kind)
            assert members(s.home / "x.tar")["blobs/sha256/" + sha(packed)] == packed
            with Store() as b:
                b.run("load", "-i", s.home / "x.tar")
                assert b.rows()[f"docker.io/library/{kind}:latest"] == s.rows()[f"docker.io/library/{kind}:latest"]


@case
def a_terminal_is_refused():
    with Store() as s:
        s.run("load", data=simple().tar())
        master, slave = os.openpty()
        p = s.popen("save", "x/a:1", stdout=slave)
        err = p.communicate(timeout=60)[1].decode()
        assert p.returncode == 1 and "cowardly refusing to save to a terminal" in err, err
        os.close(slave), os.close(master)


@case
def what_is_wrong_is_told_and_nothing_is_written():
    with Store() as s:
        s.run("load", data=simple().tar())
        out = s.home / "x.tar"
        for args, word in ((("nope",), "No such image: nope"), (("x/a:1", "nope:1"), "No such image: nope:1"),
                           (("BAD",), "No such image: BAD")):
            assert word in s.run("save", "-o", out, *args, status=1)[1]
            assert not out.exists()
        assert "nodir" in s.run("save", "-o", s.home / "nodir/x.tar", "x/a:1", status=1)[1]
        assert "directory" in s.run("save", "-o", s.home, "x/a:1", status=1)[1].lower()
        out.write_text("what was there")
        blob = max((s.home / "images/blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
        good = blob.read_bytes()
        blob.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))  # one bit
        assert "is damaged" in s.run("save", "-o", out, "x/a:1", status=1)[1]
        s.fsck(status=1)
        blob.write_bytes(good[:-1])
        assert "is damaged" in s.run("save", "-o", out, "x/a:1", status=1)[1]
        blob.unlink()
        assert "No such file" in s.run("save", "-o", out, "x/a:1", status=1)[1]
        assert out.read_text() == "what was there"
        assert sorted(p.name for p in s.home.iterdir() if "save" in p.name) == []
        s.run("save", "x/a:1", "-o", "/dev/null", status=1)


def big_image(s, mib):
    layout = Layout()
    s.run("load", data=layout.add(layout.manifest([Tar().file("f", os.urandom(mib << 20)).bytes()]), "big").tar())


@case
def killed_while_saving():
    with Store() as s:
        big_image(s, 30)
        out = s.home / "saved"
        out.mkdir()
        for name, sig in (("new.tar", signal.SIGKILL), ("old.tar", signal.SIGKILL), ("old.tar", signal.SIGINT)):
            if name == "old.tar":
                (out / name).write_text("old")
            for delay in range(8):
                p = s.popen("save", "-o", out / name, "big")
                time.sleep(0.01 * delay)  # any moment will do
                p.send_signal(sig)
                p.communicate(timeout=60)
                left = {f.name: f.stat().st_size for f in out.iterdir()}
                assert set(left) <= {name}, left
                assert left.get(name, 0) in (0, 3) or left[name] > 30 << 20, left
            (out / name).unlink(missing_ok=True)
        s.fsck()


@case
def no_room_for_the_archive():
    if os.geteuid() != 0:
        raise Skip("needs root to mount a small file system")
    with Store() as s:
        big_image(s, 9)
        small = pathlib.Path(s.tmp) / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small]).returncode:
            raise Skip("cannot mount")
        try:
            err = s.run("save", "-o", small / "x.tar", "big", status=1)[1]
            assert "No space left on device" in err, err
            assert list(small.iterdir()) == []
            assert os.statvfs(small).f_bfree == os.statvfs(small).f_blocks
            with open(small / "x.tar", "wb") as f:
                p = s.popen("save", "big", stdout=f)
                assert "No space left" in p.communicate(timeout=60)[1].decode() and p.returncode == 1
        finally:
            subprocess.run(["umount", "-l", small], check=True)


@case
def memory_does_not_grow_with_the_image():
    def peak_kib(mib):
        """Of the worker, when it has written nearly everything."""
        with Store() as s:
            big_image(s, mib)
            p = s.popen("save", "big")
            p.stdout.read((mib << 20) - (512 << 10))  # the rest is more than a pipe holds
            worker = subprocess.run(["pgrep", "-P", str(p.pid)], stdout=subprocess.PIPE, text=True).stdout.strip()
            status = pathlib.Path(f"/proc/{worker}/status").read_text()
            p.communicate(timeout=60)
            assert p.returncode == 0
            return int(status.split("VmHWM:")[1].split()[0])

    small, large = peak_kib(1), peak_kib(64)
    assert large - small < 4 << 10, (small, large)


@case
def a_reader_that_goes_away():
    with Store() as s:
        big_image(s, 9)
        p = s.popen("save", "big")
        assert p.stdout.read(1000)
        p.stdout.close()
        assert p.wait(timeout=60) != 0
        p.stderr.close()


if __name__ == "__main__":
    main()
