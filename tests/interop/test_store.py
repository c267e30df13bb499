#!/usr/bin/python3
"""What the store keeps and what it lets go: limits, root file systems made again, its own check."""
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from imagestore import Layout, Store, digest, simple
from layers import BIN, Tar, case, main, sha

MIB = 1 << 20


def image(name, *layers):
    layout = Layout()
    return layout.add(layout.manifest(list(layers)), name).tar()


def random_layer(mib=1):
    return Tar().file("f", os.urandom(mib * MIB)).bytes()


def load(s, name, *layers, **env):
    s.run("load", data=image(name, *layers), env=env)


def names(s):
    return sorted(r.removeprefix("docker.io/library/").removesuffix(":latest") for r in s.rows())


def use_order(s, *order):
    """As if they had been used one after the other, from some hours ago on."""
    for at, name in enumerate(order, time.time_ns() - 5 * 3600 * 10**9):
        s.sql("UPDATE image_content SET used_ns = ? WHERE image_id ="
              " (SELECT image_id FROM images WHERE reference = ?)", at, f"docker.io/library/{name}:latest")


def box(s, name, state):
    image_id = s.rows()[f"docker.io/library/{name}:latest"]
    s.sql("INSERT INTO boxes (id, name, state, image, image_id, spec, created_ns) VALUES (?, ?, ?, ?, ?, '{}', 1)",
          sha(name.encode()), name, state, name, image_id)


def blob_bytes(s):
    return sum(p.stat().st_blocks * 512 for p in (s.home / "images/blobs/sha256").iterdir())


def rootfs(s):
    return sorted((s.home / "rootfs").iterdir())


@case
def the_longest_unused_goes():
    with Store() as s:
        for name in "abc":
            load(s, name, random_layer())
        use_order(s, "b", "c", "a")
        load(s, "d", random_layer(), A3S_IMAGE_CACHE_SIZE="3500k")
        assert names(s) == ["a", "c", "d"], names(s)
        assert blob_bytes(s) < 3500 << 10 and len(rootfs(s)) == 3
        s.fsck()


@case
def what_boxes_use_stays_in_any_state():
    with Store() as s:
        for name in ("a", "b", "c", "d"):
            load(s, name, random_layer())
        use_order(s, "a", "b", "c", "d")
        box(s, "a", "stopped"), box(s, "b", "created"), box(s, "c", "running")
        s.run("import", "-", "e", data=random_layer(), env={"A3S_IMAGE_CACHE_SIZE": "1m"})
        assert names(s) == ["a", "b", "c", "e"], names(s)
        s.fsck()


@case
def what_came_in_stays():
    with Store() as s:
        layout = Layout()
        for name in "ab":
            layout.add(layout.manifest([random_layer()]), name)
        s.run("load", data=layout.tar(), env={"A3S_IMAGE_CACHE_SIZE": "0"})
        assert names(s) == ["a", "b"]
        load(s, "c", random_layer(), A3S_IMAGE_CACHE_SIZE="100k")
        assert names(s) == ["c"]


@case
def shared_blobs_count_once():
    with Store() as s:
        base = random_layer(2)
        for name in "abcd":
            load(s, name, base, Tar().file(name, b"x").bytes(), A3S_IMAGE_CACHE_SIZE="3m")
        assert names(s) == ["a", "b", "c", "d"]
        assert blob_bytes(s) < 3 * MIB
        df = [json.loads(line) for line in s.run("df", "--format", "json")[0].splitlines()]
        assert df[0] == {"Type": "Images", "TotalCount": "4", "Active": "0", **size(blob_bytes(s), 100)}, df[0]
        box(s, "a", "created")
        df = json.loads(s.run("df", "--format", "json")[0].splitlines()[0])
        assert df["Active"] == "1" and df["Reclaimable"].endswith(("(2%)", "(1%)")), df
        one = json.loads(s.run("df", "-v", "--format", "json")[0])["Images"]
        assert {row["SharedSize"] for row in one} == {human(2 * MIB + 4096)} or len(one) == 4, one
        assert [row["Containers"] for row in one if row["Repository"] == "a"] == ["1"]


def human(n):
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.4g}{unit}"
        n /= 1000


def size(n, percent):
    return {"Size": human(n), "Reclaimable": f"{human(n)} ({percent}%)"}


@case
def bad_limits_are_told_before_anything_happens():
    with Store() as s:
        for variable, value, words in (("A3S_IMAGE_CACHE_SIZE", "10 apples", "500m, 10g, 1t"),
                                       ("A3S_IMAGE_CACHE_SIZE", "-1", "500m, 10g, 1t"),
                                       ("A3S_ROOTFS_CACHE_SIZE", "x", "500m, 10g, 1t"),
                                       ("A3S_ROOTFS_CACHE_TTL", "soon", "12h, 30d")):
            s.refused(simple().tar(), variable, f"'{value}'", words, env={variable: value})


# ---- root file systems --------------------------------------------------------------------------


@case
def old_root_file_systems_go_and_come_again():
    with Store() as s:
        for name in ("old", "live", "stopped"):
            load(s, name, random_layer())
        before = {p.name: p.read_bytes() for p in rootfs(s)}
        use_order(s, "old", "live", "stopped")
        box(s, "live", "paused"), box(s, "stopped", "stopped")
        load(s, "new", random_layer(), A3S_ROOTFS_CACHE_TTL="1h")
        assert len(rootfs(s)) == 2  # of the live box, and the new one
        s.fsck()
        assert s.run("df", "--format", "{{.Type}} {{.TotalCount}}")[0].splitlines()[2] == "Rootfs Cache 2"
        for name in ("old", "stopped"):
            subprocess.run([BIN / "a3s-box-image", "rebuild", s.rows()[f"docker.io/library/{name}:latest"]],
                           env=s.env, check=True)
        for name, data in before.items():  # the same bytes
            assert (s.home / "rootfs" / name).read_bytes() == data
        s.fsck()


@case
def too_many_root_file_systems():
    with Store() as s:
        for name in "abc":
            load(s, name, random_layer())
        use_order(s, "c", "a", "b")
        sizes = sum(p.stat().st_blocks * 512 for p in rootfs(s))
        load(s, "d", random_layer(), A3S_ROOTFS_CACHE_SIZE=str(sizes), A3S_ROOTFS_CACHE_TTL="1000000h")
        chains = dict(s.sql("SELECT reference, chain_id FROM images JOIN image_content USING (image_id)"))
        left = {p.stem for p in rootfs(s)}
        assert left == {v for k, v in chains.items() if "/c:" not in k}, left
        # What was just used stays whatever the limit is: a box may be about to start.
        load(s, "e", random_layer(), A3S_ROOTFS_CACHE_SIZE="0")
        assert len(rootfs(s)) == 2  # d and e
        s.run("load", data=image("c2", Tar().file("x", b"").bytes()))
        assert names(s) == ["a", "b", "c", "c2", "d", "e"]


@case
def a_pruned_image_is_loaded_again():
    layer = random_layer()
    with Store() as s:
        load(s, "a", layer)
        want = rootfs(s)[0].read_bytes()
        rootfs(s)[0].unlink()
        load(s, "a", layer)
        assert rootfs(s)[0].read_bytes() == want
        s.fsck()


@case
def a_rebuild_that_cannot_be():
    with Store() as s:
        load(s, "a", random_layer())
        image_id = s.rows()["docker.io/library/a:latest"]
        rootfs(s)[0].unlink()
        blob = max((s.home / "images/blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
        good = blob.read_bytes()
        blob.write_bytes(good[:MIB // 2] + b"\0" + good[MIB // 2 + 1:])

        def rebuild():
            p = subprocess.run([BIN / "a3s-box-image", "rebuild", image_id], env=s.env, capture_output=True, text=True)
            return p.returncode, p.stderr

        status, err = rebuild()
        assert status == 1 and "diff id" in err, err
        blob.unlink()
        status, err = rebuild()
        assert status == 1 and "No such file" in err, err
        assert rootfs(s) == [] and list((s.home / "images/tmp").iterdir()) == []
        blob.write_bytes(good)
        assert rebuild() == (0, "")
        s.fsck()


# ---- history --------------------------------------------------------------------------------------


def with_history(s, entries):
    layout = Layout()
    layers = [Tar().file("a", b"1" * 3000).bytes(), Tar().file("b", b"2" * 50).dir("d").bytes()]
    config = layout.config(layers, history=entries)
    layout.add(layout.manifest(layers, config=config), "h")
    s.run("load", data=layout.tar())
    return digest(config)


@case
def history_has_a_size_for_every_layer():
    entries = [{"created": "2024-01-02T03:04:05Z", "created_by": "/bin/sh -c #(nop) ADD file:0123456789abcdef in /\t"},
               {"created": "2024-01-02T03:04:06.5+01:00", "created_by": "CMD", "empty_layer": True, "comment": "c"},
               {"created_by": "RUN x" * 30}]
    fmt = "{{.ID}}|{{.CreatedAt}}|{{.CreatedBy}}|{{.Size}}|{{.Comment}}"
    with Store() as s:
        image_id = with_history(s, entries)
        lines = s.run("history", "--format", fmt, "h")[0].splitlines()
        assert lines == [f"{image_id[7:19]}|N/A|{('RUN x' * 30)[:44]}…|50B|",
                         "<missing>|2024-01-02T02:04:06Z|CMD|0B|c",
                         "<missing>|2024-01-02T03:04:05Z|/bin/sh -c #(nop) ADD file:0123456789abcdef …|3kB|"], lines
        lines = s.run("history", "--no-trunc", "-H=false", "--format", fmt, image_id[7:15])[0].splitlines()
        assert lines[0] == f"{image_id}|N/A|{'RUN x' * 30}|50|" and lines[2].endswith("in / |3000|"), lines
        # A store of an older version does not know them.
        s.sql("DELETE FROM image_layers")
        rootfs(s)[0].unlink()
        assert s.run("history", "--format", "{{.Size}}", "h")[0].split() == ["50B", "0B", "3kB"]
        assert s.run("history", "-q", "h")[0].split() == [image_id[7:19], "<missing>", "<missing>"]
        s.fsck()


@case
def histories_that_do_not_fit():
    for entries, want in (([], ["50B", "3kB"]), ([{"created_by": "x"}], ["50B", "3kB"]),
                          ([{}] * 4, ["50B", "3kB", "0B", "0B"]), ([{"empty_layer": True}], ["50B", "3kB", "0B"])):
        with Store() as s:
            image_id = with_history(s, entries)
            rows = [line.split() for line in s.run("history", "--format", "{{.ID}} {{.Size}}", "h")[0].splitlines()]
            assert [r[1] for r in rows] == want, (entries, rows)
            assert [r[0] for r in rows] == [image_id[7:19]] + ["<missing>"] * (len(want) - 1), rows


# ---- the check ------------------------------------------------------------------------------------


@case
def the_check_finds_everything():
    def with_store(change, *words, repaired=False):
        with Store() as s:
            s.run("load", data=simple().tar())
            s.fsck()
            change(s)
            said = s.fsck(status=1)
            for word in words:
                assert word in said, (word, said)
            assert s.fsck(status=1) == said  # looking changes nothing
            s.fsck("--repair", status=0 if repaired else 1)
            s.fsck(status=0 if repaired else 1)
            if repaired:
                assert s.run("images", "-q")[0], "the image is still there"

    def blob(s, which):
        ids = s.sql("SELECT image_id, manifest_digest FROM image_content")[0]
        layer = s.sql("SELECT digest FROM image_blobs WHERE digest NOT IN (?, ?)", *ids)[0][0]
        return s.home / "images/blobs/sha256" / {"config": ids[0], "manifest": ids[1], "layer": layer}[which][7:]

    def flip(path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    for which in ("config", "manifest", "layer"):
        with_store(lambda s: blob(s, which).unlink(), "missing images/blobs/sha256/")
        with_store(lambda s: flip(blob(s, which)), "corrupt images/blobs/sha256/")
        with_store(lambda s: blob(s, which).write_bytes(b""), "corrupt images/blobs/sha256/")
    with_store(lambda s: rootfs(s)[0].write_bytes(b"short"), "corrupt rootfs/")
    with_store(lambda s: rootfs(s)[0].write_bytes(b"\0" * 70000), "no ext4")
    with_store(lambda s: os.truncate(rootfs(s)[0], 40000), "bytes, not")
    with_store(lambda s: s.sql("UPDATE image_content SET chain_id = ?", "0" * 64), "its chain is", "unreferenced rootfs")
    with_store(lambda s: s.sql("DELETE FROM image_blobs WHERE digest = image_id"), "does not know its blob")
    with_store(lambda s: s.sql("INSERT INTO boxes (id, name, state, image, image_id, spec, created_ns)"
                               " VALUES ('ab', 'b', 'stopped', 'x', 'sha256:gone', '{}', 1)"), "box ab")
    with_store(lambda s: s.sql("INSERT INTO images (reference, image_id, manifest_digest, added_ns, used_ns)"
                               " VALUES ('r', 'sha256:gone', 'm', 1, 1)"), "unreferenced record r", repaired=True)
    with_store(lambda s: s.sql("INSERT INTO image_blobs VALUES ('sha256:gone', 'sha256:x')"), "record sha256:x",
               repaired=True)
    for stray in (f"images/blobs/sha256/{'0' * 64}", "images/blobs/sha256/x.tmp", f"rootfs/{'1' * 64}.ext4",
                  "rootfs/.hidden", "images/what"):
        with_store(lambda s: (s.home / stray).write_text("x"), f"unreferenced {stray}", repaired=True)
    with_store(lambda s: (s.home / "images/tmp/dead").mkdir(), "leftover images/tmp/dead", repaired=True)

    def partial(s):
        (s.home / "images/partial").mkdir(exist_ok=True)
        (s.home / "images/partial" / ("2" * 64)).write_text("half")

    with_store(partial, "leftover images/partial/2222", repaired=True)


@case
def pruning_sweeps_what_broken_work_left():
    with Store() as s:
        s.run("load", data=simple().tar())
        for name in ("images/tmp/dead", "images/partial"):
            (s.home / name).mkdir(exist_ok=True)
        for name in ("images/tmp/dead/m0", "images/partial/" + "3" * 64, "rootfs/" + "4" * 64 + ".ext4"):
            (s.home / name).write_bytes(b"x" * 100000)
        s.fsck(status=1)
        out, _ = s.run("image-prune", "-f")
        assert out == f"Total reclaimed space: {human(3 * 102400)}\n", out
        s.fsck()
        assert len(s.files()) == 4


@case
def pruning_keeps_what_boxes_use():
    with Store() as s:
        for name in "abc":
            load(s, name, random_layer())
        box(s, "a", "stopped"), box(s, "b", "running")
        load(s, "c", random_layer())  # the old c has no name now
        assert s.run("image-prune", "-f")[0].splitlines()[0] == "Deleted Images:"
        assert names(s) == ["a", "b", "c"]
        out = s.run("image-prune", "-af")[0]
        assert "untagged: c:latest\ndeleted: sha256:" in out and names(s) == ["a", "b"], out
        assert s.run("image-prune", "-af")[0] == "Total reclaimed space: 0B\n"
        s.fsck()


if __name__ == "__main__":
    main()
