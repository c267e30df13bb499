#!/usr/bin/python3
"""The image store: archives of every writer, of hostile ones too, and what is left of them."""
import gzip
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from imagestore import A3S, OCI, Layout, Store, digest, simple, tar_of
from layers import BIN, Skip, Tar, case, fsck, main, names, sha

# ---- good archives ---------------------------------------------------------------------------


@case
def layouts_in_any_order_and_compression():
    tar = simple().tar()
    backwards = simple().tar(order=lambda m: m[::-1] + m)  # and everything twice
    zstd = subprocess.run(["zstd", "-q", "-c"], input=tar, stdout=subprocess.PIPE,
                          check=True).stdout
    for archive in (tar, backwards, gzip.compress(tar), zstd):
        with Store() as s:
            assert s.run("load", data=archive)[0] == "Loaded image: x/a:1\n"
            assert s.tree("x/a:1")["f"]["sha256"] == sha(b"hello")
            assert len(s.files()) == 4, s.files()  # manifest, config, layer, ext4


@case
def layers_of_every_media_type():
    layer = Tar().file("f", b"1" * 5000).bytes()
    zstd = subprocess.run(["zstd", "-q", "-c"], input=layer, stdout=subprocess.PIPE,
                          check=True).stdout
    for packed in (layer, gzip.compress(layer), zstd):
        with Store() as s:
            layout = Layout()
            layout.add(layout.manifest([layer], packed=[packed]), "x")
            s.run("load", data=layout.tar())
            assert s.tree("x")["f"]["size"] == 5000


@case
def docker_archives_old_and_new():
    layers = [Tar().file("a", b"1").bytes(), Tar().file("b", b"2").bytes()]
    config = Layout().config(layers)
    manifest = [{"Config": "c.json", "RepoTags": ["redis:7", "localhost:5000/r:x"],
                 "Layers": ["1/layer.tar", "2/layer.tar"]}]
    members = [("1/layer.tar", layers[0]), ("1/VERSION", b"1.0"), ("2/layer.tar", ("../x.tar",)),
               ("x.tar", gzip.compress(layers[1])), ("c.json", config),
               ("repositories", b"{}"), ("manifest.json", json.dumps(manifest).encode())]
    with Store() as s:
        out, _ = s.run("load", data=tar_of(members))
        assert out == "Loaded image: redis:7\nLoaded image: localhost:5000/r:x\n", out
        assert names(s.tree("redis:7")) == ["a", "b"]
        assert set(s.rows().values()) == {digest(config)}  # the id is docker's
        # and the same once more: nothing new
        before = s.files()
        s.run("load", data=tar_of(members))
        assert s.files() == before


@case
def names_for_images():
    for name, shown in (("busybox", "busybox:latest"), ("docker.io/library/x:1", "x:1"),
                        ("local/busybox", "local/busybox:latest"), ("[::1]:5000/a", "[::1]:5000/a:latest")):
        with Store() as s:
            layout = Layout()
            layout.add(layout.manifest([]), name)
            assert s.run("load", data=layout.tar())[0] == f"Loaded image: {shown}\n"
    with Store() as s:
        layout = Layout()
        layout.add(layout.manifest([]))
        out, _ = s.run("load", data=layout.tar())
        assert out.startswith("Loaded image ID: sha256:"), out
        assert s.run("images", "--format", "{{.Repository}} {{.Tag}}")[0] == "<none> <none>\n"
        assert s.run("load", "-t", "mine:2", data=layout.tar())[0] == "Loaded image: mine:2\n"


@case
def several_images_in_one_archive():
    base, one, two = (Tar().file(n, n.encode()).bytes() for n in ("base", "one", "two"))
    layout = Layout()
    layout.add(layout.manifest([base, one]), "i/one").add(layout.manifest([base, two]), "i/two")
    with Store() as s:
        out, _ = s.run("load", data=layout.tar())
        assert out == "Loaded image: i/one:latest\nLoaded image: i/two:latest\n"
        assert names(s.tree("i/one")) == ["base", "one"]
        s.run("rmi", "i/one")
        assert names(s.tree("i/two")) == ["base", "two"]  # the shared layer is still there
        s.run("rmi", "i/two")
        assert s.files() == []
    with Store() as s:
        s.refused(layout.tar(), "2 images", args=("-t", "x"))


@case
def platforms_of_an_index():
    import platform
    host = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    layout = Layout()
    entries = []
    for arch in ("s390x", host):
        layer = Tar().file(arch).bytes()
        manifest = layout.manifest([layer], config=layout.config([layer], architecture=arch))
        entries.append({"mediaType": OCI + "manifest.v1+json", "digest": layout.blob(manifest),
                        "size": len(manifest), "platform": {"os": "linux", "architecture": arch}})
    entries.append({"mediaType": OCI + "manifest.v1+json", "digest": "sha256:" + "0" * 64, "size": 1,
                    "platform": {"os": "unknown", "architecture": "unknown"}})
    layout.add(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), "x", kind="index")
    with Store() as s:
        s.run("load", data=layout.tar())
        assert names(s.tree("x")) == [host]
        s.run("load", "--platform", "linux/s390x", data=layout.tar())
        assert names(s.tree("x")) == ["s390x"]
    with Store() as s:
        s.refused(layout.tar(), "platform", args=("--platform", "linux/riscv64"))
        s.refused(layout.tar(), "Invalid platform", args=("--platform", "a/b/c/d"))


# ---- hostile archives ------------------------------------------------------------------------


@case
def wrong_digests():
    layer, other = Tar().file("f").bytes(), Tar().file("g").bytes()
    layout = simple()
    name = next(n for n, d in layout.members if n.startswith("blobs") and d[:1] != b"{")
    layout.members = [(n, other if n == name else d) for n, d in layout.members]
    with Store() as s:
        s.refused(layout.tar(), f"'{name}'", "digest")
        layout = Layout()
        layout.add(layout.manifest([layer], packed=[other]), "x")
        s.refused(layout.tar(), "diff id", sha(layer)[:12], sha(other)[:12])
        for member in ("config", "layer"):
            layout = Layout()
            layout.add(layout.manifest([layer]), "x")
            drop = sha(layer) if member == "layer" else sha(layout.config([layer]))
            layout.members = [(n, d) for n, d in layout.members if drop not in n]
            s.refused(layout.tar(), "missing", drop)


@case
def wrong_json():
    layer = Tar().file("f").bytes()
    good = json.loads(Layout().manifest([layer]))

    def with_manifest(text, **blobs):
        layout = Layout()
        layout.blob(layer)
        layout.blob(layout.config([layer]))
        return layout.add(text if isinstance(text, bytes) else json.dumps(text).encode(), "x").tar()

    with Store() as s:
        s.refused(with_manifest(b"{"), "manifest")
        s.refused(with_manifest(b'{"schemaVersion":2,"schemaVersion":2}'), "duplicate")
        s.refused(with_manifest({**good, "schemaVersion": 1}), "schemaVersion")
        s.refused(with_manifest({**good, "config": "x"}), "'config'")
        s.refused(with_manifest({**good, "layers": {}}), "'layers'")
        s.refused(with_manifest({**good, "layers": [1]}), "layer 0")
        bad = [{**good["layers"][0], "mediaType": "text/plain"}]
        s.refused(with_manifest({**good, "layers": bad}), "text/plain")
        bad = [{**good["layers"][0], "size": 5}]
        s.refused(with_manifest({**good, "layers": bad}), "bytes, not 5")
        for bad_digest in ("sha256:../../../etc/passwd", "sha256:" + "A" * 64, "md5:1", "", 5):
            bad = [{**good["layers"][0], "digest": bad_digest}]
            s.refused(with_manifest({**good, "layers": bad}), "digest")
        s.refused(with_manifest({**good, "layers": good["layers"] * 2}), "2 layers")
        s.refused(with_manifest({**good, "layers": good["layers"] * 600}), "512 layers")
        s.refused(with_manifest(b"[" * 100 + b"]" * 100), "deep")
        s.refused(with_manifest(b" " * (5 << 20)), "larger than")
        for config in (b"[]", b"{}", b'{"config":{"Env":"x"}}', b'{"config":{"Env":[1]}}',
                       b'{"rootfs":{"diff_ids":["sha256:x"]}}', b"\xff"):
            layout = Layout()
            layout.add(layout.manifest([layer], config=config), "x")
            s.refused(layout.tar(), "configuration")
        for index in (b"x", b"[]", b'{"schemaVersion":2,"manifests":[{"digest":"x"}]}',
                      b'{"schemaVersion":2,"manifests":5}'):
            s.refused(simple().tar(index=index), "index")
        s.refused(simple().tar(index=b'{"schemaVersion":2,"manifests":[]}'), "no image")


@case
def indexes_in_indexes():
    layout = Layout()
    inner = layout.manifest([])
    for depth in range(8):
        kind = "manifest" if depth == 0 else "index"
        inner = json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": f"{OCI}{kind}.v1+json", "digest": layout.blob(inner),
             "size": len(inner)}]}).encode()
    with Store() as s:
        s.refused(layout.add(inner, "x", kind="index").tar(), "nested")


@case
def hostile_layers_name_the_entry():
    for layer, words in ((Tar().file("../../evil"), ("'../../evil'",)),
                         (Tar().file("a").hardlink("evil", "../../etc/passwd"), ("'evil'",)),
                         (Tar().file("big", b"x" * 100000), ("'big'", "bytes"))):
        data = layer.bytes()
        layout = Layout()
        layout.add(layout.manifest([data], packed=[gzip.compress(data)]), "x")
        with Store() as s:
            s.refused(layout.tar(), "layer sha256:", *words,
                      env={"A3S_BOX_MAX_LAYER_BYTES": "50k"} if "'big'" in words else {})


@case
def not_an_image_archive():
    with Store() as s:
        s.refused(b"", "index.json")
        s.refused(b"plain text", "archive")
        s.refused(Tar().file("etc/passwd").bytes(), "index.json", "import")
        s.refused(os.urandom(5000), "archive")
        s.refused(simple().tar()[:2000], "archive")
        s.refused(gzip.compress(simple().tar())[:300], "truncated")
        out, err = s.run("load", "-i", "/does/not/exist", status=1)
        assert "/does/not/exist" in err


@case
def member_names_do_not_leave_the_archive():
    layout = simple()
    layout.members += [("../../evil", b"x"), ("/abs", b"x"), ("blobs/sha256/../../up", b"x")]
    layout.members += [("loop1", ("loop2",)), ("loop2", ("loop1",))]
    with Store() as s:
        s.run("load", data=layout.tar())
        assert not list(pathlib.Path(s.tmp).rglob("*evil*"))
    with Store() as s:
        manifest = [{"Config": "loop1", "RepoTags": ["x"], "Layers": []}]
        members = [("loop1", ("loop2",)), ("loop2", ("loop1",)),
                   ("manifest.json", json.dumps(manifest).encode())]
        s.refused(tar_of(members), "'loop1' is missing")
        manifest[0]["Config"] = "/etc/passwd"
        s.refused(tar_of([("manifest.json", json.dumps(manifest).encode())]), "missing")


# ---- the store -------------------------------------------------------------------------------


@case
def twelve_loads_at_once():
    archives = [simple().tar(), simple("x/b:1").tar(), simple("x/c:1", b"other").tar()]
    with Store() as s:
        running = [s.popen("load", stdin=subprocess.PIPE) for _ in range(12)]
        for i, p in enumerate(running):
            out, err = p.communicate(archives[i % 3], timeout=120)
            assert p.returncode == 0, err
        assert sorted(s.rows()) == [f"docker.io/x/{n}:1" for n in "abc"]
        assert len(s.files()) == 8, s.files()  # two images: manifest, config, layer, ext4
        for name in "abc":
            s.tree(f"x/{name}:1")


@case
def lists_while_images_come_and_go():
    archive = simple().tar()
    with Store() as s:
        path = pathlib.Path(s.tmp) / "a.tar"
        path.write_bytes(archive)
        churn = subprocess.Popen(
            ["sh", "-ec", 'for i in $(seq 30); do "$0" load -q -i "$1"; "$0" rmi x/a:1; done',
             A3S, path], env=s.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        lists = 0
        while churn.poll() is None:
            out, err = s.run("images", "-q")
            assert err == "" and len(out.split()) <= 1, (out, err)
            lists += 1
        assert churn.wait() == 0, churn.stderr.read()
        churn.stderr.close()
        assert lists > 20 and s.files() == []


@case
def killed_while_loading():
    big = Layout()
    big.add(big.manifest([Tar().file("f", os.urandom(30 << 20)).bytes()]), "big")
    archive = big.tar()
    with Store() as s:
        for part in (100, len(archive) // 2, archive.rindex(b'"manifests"')):
            p = s.popen("load")
            p.stdin.write(archive[:part])
            p.stdin.flush()
            tmp = s.home / "images/tmp"
            end = time.monotonic() + 30
            while not (tmp.exists() and list(tmp.iterdir())):
                assert time.monotonic() < end
                time.sleep(0.01)
            worker = subprocess.run(["pgrep", "-P", str(p.pid)], stdout=subprocess.PIPE)
            os.kill(p.pid, signal.SIGKILL)
            for pid in worker.stdout.split():  # dies with its parent
                while pathlib.Path(f"/proc/{pid.decode()}").exists():
                    assert time.monotonic() < end
                    time.sleep(0.01)
            p.stdin.close()  # not before: it would see the end of the archive
            p.wait()
            p.stdout.close()
            p.stderr.close()
            assert s.rows() == {}
        s.run("load", data=simple().tar())
        assert len(s.files()) == 4, s.files()  # nothing of the killed ones is left


@case
def files_without_a_record():
    """What a crash between rename and commit leaves is removed, or replaced when it comes again."""
    with Store() as s:
        s.run("load", data=simple().tar())
        files, rows = s.files(), s.rows()
        good = {f: (s.home / f).read_bytes() for f in files}
        stray = [f"images/blobs/sha256/{'0' * 64}", f"images/blobs/sha256/{'1' * 64}.tmp.77",
                 f"rootfs/{'2' * 64}.ext4"]
        s.sql("DELETE FROM images"), s.sql("DELETE FROM image_content"), s.sql("DELETE FROM image_blobs")
        for f in files + stray:
            (s.home / f).write_bytes(b"torn")
        s.run("load", data=simple().tar())
        assert s.files() == files and s.rows() == rows
        assert good == {f: (s.home / f).read_bytes() for f in files}


@case
def a_full_disk():
    if os.geteuid() != 0:
        raise Skip("needs root to mount a small file system")
    big = Layout()
    big.add(big.manifest([Tar().file("f", os.urandom(9 << 20)).bytes()]), "big")
    with Store() as s:
        s.home.mkdir()
        p = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", s.home])
        if p.returncode:
            raise Skip("cannot mount")
        try:
            s.refused(big.tar(), "No space left on device")
            s.run("load", data=simple().tar())
            assert len(s.files()) == 4
        finally:
            subprocess.run(["umount", "-l", s.home], check=True)


@case
def tags_and_removal():
    with Store() as s:
        s.run("load", data=simple().tar())
        image_id = s.rows()["docker.io/x/a:1"]
        s.run("tag", "x/a:1", "y")
        s.run("tag", image_id[7:19], "z:2")
        assert s.run("images", "-q", "--no-trunc")[0] == (image_id + "\n") * 3
        assert s.run("tag", "x/a:1", "UPPER", status=1)[1].startswith("Error: Invalid reference")
        assert "No such image: nope" in s.run("tag", "nope", "q", status=1)[1]
        assert s.run("rmi", "z:2")[0] == "Untagged: z:2\n"
        assert "referenced in multiple repositories" in s.run("rmi", image_id, status=1)[1]
        out, _ = s.run("rmi", "-f", image_id)
        assert out == f"Untagged: y:latest\nUntagged: x/a:1\nDeleted: {image_id}\n", out
        assert s.files() == [] and s.rows() == {}
        assert "No such image" in s.run("rmi", "y", status=1)[1]


@case
def a_tag_that_moves():
    with Store() as s:
        s.run("load", data=simple("x:1", b"old").tar())
        old = s.rows()["docker.io/library/x:1"]
        s.run("load", data=simple("x:1", b"new").tar())
        assert s.tree("x:1")["f"]["sha256"] == sha(b"new")
        listed = s.run("images", "--format", "{{.Repository}}:{{.Tag}}")[0].split()
        assert sorted(listed) == ["<none>:<none>", "x:1"], listed
        assert s.run("images", "-q", "--no-trunc", "-f", "dangling=true")[0].strip() == old
        s.run("rmi", old[7:15])
        assert len(s.files()) == 4


@case
def images_that_boxes_use():
    with Store() as s:
        s.run("load", data=simple().tar())
        image_id = s.rows()["docker.io/x/a:1"]
        s.sql("INSERT INTO boxes (id, name, state, image, image_id, spec, created_ns)"
              " VALUES (?, 'b', 'running', 'x/a:1', ?, '{}', 1)", "ab" * 32, image_id)
        for args in (("rmi", "x/a:1"), ("rmi", "-f", "x/a:1"), ("rmi", "-f", image_id)):
            assert "running box abababababab" in s.run(*args, status=1)[1]
        s.sql("UPDATE boxes SET state = 'stopped'")
        assert "must force" in s.run("rmi", "x/a:1", status=1)[1]
        assert s.run("rmi", "-f", "x/a:1")[0] == "Untagged: x/a:1\n"
        assert len(s.files()) == 4  # the box can still be started
        s.sql("DELETE FROM boxes")
        assert s.run("rmi", image_id)[0] == f"Deleted: {image_id}\n"
        assert s.files() == []


@case
def lookups():
    with Store() as s:
        s.run("load", data=simple("reg.example:5000/app/x:1").tar())
        image_id = s.rows()["reg.example:5000/app/x:1"]
        manifest = s.sql("SELECT manifest_digest FROM images")[0][0]
        for query in ("reg.example:5000/app/x:1", image_id, image_id[7:], image_id[7:19],
                      image_id[:12], f"reg.example:5000/app/x@{manifest}",
                      f"reg.example:5000/app/x:1@{manifest}"):
            assert s.run("image-inspect", "-f", "{{.Id}}", query)[0].strip() == image_id, query
        for query in ("app/x:1", "reg.example:5000/app/x", image_id[7:19] + "0", "sha256:",
                      f"reg.example:5000/app/y@{manifest}", "%", "A"):
            assert "No such image" in s.run("image-inspect", query, status=1)[1], query


@case
def importing():
    rootfs = Tar().dir("bin", mode=0o755).file("bin/sh", b"#!", mode=0o755).bytes()
    with Store() as s:
        out, _ = s.run("import", "-c", 'CMD ["sh", "-x"]', "-c", "env A=1 B='two words'",
                       "-c", "ENV A=3", "-c", "WORKDIR /w", "-c", "EXPOSE 80 53/udp", "-c",
                       "LABEL k=v", "-c", "ENTRYPOINT echo hi", "-m", "note", "-", "my/os:1",
                       data=gzip.compress(rootfs))
        assert out == s.rows()["docker.io/my/os:1"] + "\n"
        image = json.loads(s.run("image-inspect", "my/os:1")[0])[0]
        c = image["Config"]
        assert c["Cmd"] == ["sh", "-x"] and c["Env"] == ["A=3", "B=two words"], c
        assert c["Entrypoint"] == ["/bin/sh", "-c", "echo hi"] and c["WorkingDir"] == "/w"
        assert c["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}} and c["Labels"] == {"k": "v"}
        assert image["RootFS"]["Layers"] == [digest(rootfs)]
        assert s.tree("my/os:1")["bin/sh"]["mode"] == 0o100755
        for change in ("FROM x", "ENV", "ENV =x", "CMD"):
            assert "Invalid change" in s.run("import", "-c", change, "-", data=rootfs, status=1)[1]
        assert "Invalid reference" in s.run("import", "-", "BAD", data=rootfs, status=1)[1]
        before = s.files()
        s.run("import", "-", data=b"no tar" * 1000, status=1)
        assert s.files() == before


@case
def disk_template_and_its_copies():
    with Store() as s:
        path = pathlib.Path(s.tmp) / "t.ext4"
        for size in (32 << 20, 1 << 30, 10 << 30):
            subprocess.run([BIN / "a3s-box-image", "disk-template", str(size), path], check=True)
            fsck(path)
            assert path.stat().st_size == size and path.stat().st_blocks * 512 < 1 << 20
        for size in ("0", "1", "-5", "x", str(1 << 60)):
            p = subprocess.run([BIN / "a3s-box-image", "disk-template", size, path],
                               stderr=subprocess.PIPE)
            assert p.returncode == 1 and b"Error: " in p.stderr, (size, p.stderr)


if __name__ == "__main__":
    main()
