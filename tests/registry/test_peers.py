#!/usr/bin/python3
"""Real registries and real clients: what we push they read, what they push we run."""
import json
import os
import pathlib
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Skip, busybox_tar, check, contains, equal, main, test
from hostile import sha256
from layers import Tar
from machine import why_no_buildah
from pulls import fsck, quick, refused
from registry import Peers, Registry, run

quick()
TOP = pathlib.Path(__file__).resolve().parents[2]


def pushed(home, r, name="team/busybox:1"):
    home.a3s("tag", "local/busybox", r.ref(name))
    return home.a3s("push", r.ref(name))


def layers_of(manifest):
    return [l["digest"] for l in json.loads(manifest)["layers"]]


@test
def what_we_push_is_what_they_read(home):
    """crane validates it, skopeo copies it, and every byte is the one we have."""
    peers = Peers(home.dir)
    with Registry() as r:
        result = pushed(home, r)
        digest, media, manifest = r.manifest("team/busybox:1")
        contains(result.out, digest)
        equal(sha256(manifest), digest, "digest of the manifest")
        contains(peers.crane("validate", "--remote", r.ref("team/busybox:1")).decode(), "PASS")
        peers.copy("docker://" + r.ref("team/busybox:1"), f"dir:{home.dir}/copy", "--preserve-digests")
        ours = home.path / "images/blobs/sha256"
        value = json.loads(manifest)
        for blob in [value["config"], *value["layers"]]:
            hexa = blob["digest"].split(":")[1]
            equal((home.dir / "copy" / hexa).read_bytes(), (ours / hexa).read_bytes(), f"blob {hexa}")
            equal(r.blob(blob["digest"]), (ours / hexa).read_bytes(), f"blob {hexa} at the registry")
        equal((home.dir / "copy/manifest.json").read_bytes(), manifest, "manifest")
        equal(home.out("image-inspect", "-f", "{{index .RepoDigests 0}}", r.ref("team/busybox:1")),
              r.ref("team/busybox") + "@" + digest)


@test
def pushing_again_sends_nothing(home):
    with Registry() as r:
        pushed(home, r)
        mark = r.mark()
        home.a3s("push", r.ref("team/busybox:1"))
        methods = {m for m, path, status in r.requests(mark, "/blobs/")}
        check(methods <= {"HEAD"}, f"blobs were sent again: {r.requests(mark)}")


@test
def pushing_to_another_repository_mounts(home):
    with Registry() as r:
        pushed(home, r)
        mark = r.mark()
        pushed(home, r, "other/name:x")
        asked = r.requests(mark)
        layer, = layers_of(r.manifest("team/busybox:1")[2])
        mounts = [p for m, p, s in asked if m == "POST" and "mount=" in p and s == 201]
        check(any(layer in p for p in mounts), f"the layer was not mounted: {asked}")
        sent = [p for m, p, s in asked if m in ("PATCH", "PUT") and "/blobs/" in p and layer.split(":")[1] in p]
        check(not sent, f"the layer was sent: {asked}")
        contains(Peers(home.dir).crane("validate", "--remote", r.ref("other/name:x")).decode(), "PASS")


@test(image=False)
def a_large_layer_goes_up_in_chunks(home):
    """More than one PATCH; the registry ends up with the same bytes."""
    layer = home.dir / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        for i in range(6):
            (home.dir / "noise").write_bytes(os.urandom(8 << 20))
            tar.add(home.dir / "noise", f"noise{i}")
    run(sys.executable, TOP / "tools/mkimage.py", "tar", "--name", "x/large", layer, home.dir / "x.tar")
    home.a3s("load", "-q", "-i", home.dir / "x.tar")
    with Registry() as r:
        home.a3s("tag", "x/large", r.ref("x/large"))
        home.a3s("push", r.ref("x/large"))
        patches = [p for p in r.requests(0, "/blobs/uploads/") if p[0] == "PATCH"]
        check(len(patches) > 1, f"one piece: {r.requests()}")
        _, _, manifest = r.manifest("x/large:latest")
        digest, = layers_of(manifest)
        equal(sha256(r.blob(digest)), digest)
        contains(Peers(home.dir).crane("validate", "--remote", r.ref("x/large:latest")).decode(), "PASS")


@test
def push_quiet_prints_the_reference_only(home):
    with Registry() as r:
        home.a3s("tag", "local/busybox", r.ref("a:b"))
        result = home.a3s("push", "-q", r.ref("a:b"))
        equal(result.out.strip(), r.ref("a:b"))
        equal(result.err, "")


@test
def push_what_is_not_there(home):
    with Registry() as r:
        refused(home, "push", r.ref("not/there"), words=["not/there", "does not exist|not found|no such"])
        equal(r.requests(), [], "requests")


@test
def push_to_nobody(home):
    with Registry() as r:
        home.a3s("tag", "local/busybox", r.ref("a:b"))
        r.stop()
        refused(home, "push", r.ref("a:b"), words=[r.host])


@test
def push_and_pull_of_a_pulled_image_keeps_its_bytes(home):
    """A manifest with odd white space goes around with the digest it came with."""
    peers = Peers(home.dir)
    with Registry() as r:
        pushed(home, r)
        _, media, manifest = r.manifest("team/busybox:1")
        odd = json.dumps(json.loads(manifest), indent=7).encode() + b"\n\n"
        (home.dir / "odd.json").write_bytes(odd)
        peers.oras("manifest", "push", "--plain-http", "--media-type", media, r.ref("team/busybox:odd"), home.dir / "odd.json")
        home.a3s("pull", r.ref("team/busybox:odd"))
        home.a3s("tag", r.ref("team/busybox:odd"), r.ref("third/one:1"))
        home.a3s("push", r.ref("third/one:1"))
        equal(r.manifest("third/one:1")[2], odd)


# ---- images of others ------------------------------------------------------------------------


def says(home, name, *command):
    return home.out("run", "--rm", name, "--", *command)


def pulled(home, r, name, command=("busybox", "echo", "it runs")):
    out = home.out("pull", r.ref(name))
    digest = r.manifest(name)[0]
    contains(out, f"Digest: {digest}")
    equal(out.splitlines()[-1], r.ref(name), "last line")
    fsck(home)
    equal(says(home, r.ref(name), *command), command[-1])


@test(image=False)
def an_image_of_skopeo(home):
    """docker's schema 2, converted from OCI."""
    peers = Peers(home.dir)
    with Registry() as r:
        peers.copy(f"oci-archive:{busybox_tar()}", "docker://" + r.ref("s/k:1"), "--format", "v2s2")
        equal(r.manifest("s/k:1")[1], "application/vnd.docker.distribution.manifest.v2+json")
        pulled(home, r, "s/k:1")


@test(image=False)
def an_image_of_skopeo_with_zstd(home):
    peers = Peers(home.dir)
    with Registry() as r:
        peers.copy(f"oci-archive:{busybox_tar()}", "docker://" + r.ref("s/z:1"), "--dest-compress-format", "zstd",
                   "--dest-compress")
        contains(r.manifest("s/z:1")[2].decode(), "zstd")
        pulled(home, r, "s/z:1")


@test(image=False)
def an_image_of_umoci(home):
    """Two layers: umoci repacks what was changed in the bundle."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    peers = Peers(home.dir)
    layout, bundle = home.dir / "layout", home.dir / "bundle"
    peers.copy(f"oci-archive:{busybox_tar()}", f"oci:{layout}:base")
    run("umoci", "unpack", "--image", f"{layout}:base", bundle)
    (bundle / "rootfs/etc/added").write_text("by umoci\n")
    (bundle / "rootfs/etc/os-release").unlink()
    run("umoci", "repack", "--image", f"{layout}:new", bundle)
    run("umoci", "config", "--image", f"{layout}:new", "--config.env", "MADE_BY=umoci")
    with Registry() as r:
        peers.copy(f"oci:{layout}:new", "docker://" + r.ref("u/m:1"))
        equal(len(layers_of(r.manifest("u/m:1")[2])), 2)
        pulled(home, r, "u/m:1")
        equal(says(home, r.ref("u/m:1"), "sh", "-c", "cat /etc/added; ls /etc/os-release 2>/dev/null; echo $MADE_BY"),
              "by umoci\numoci")


@test(image=False)
def an_image_of_crane(home):
    """crane append: a layer on top; and what crane mutates."""
    peers = Peers(home.dir)
    (home.dir / "layer.tar").write_bytes(Tar().file("etc/crane", b"was here\n").bytes())
    with Registry() as r:
        peers.copy(f"oci-archive:{busybox_tar()}", "docker://" + r.ref("c/base:1"))
        peers.crane("append", "-b", r.ref("c/base:1"), "-f", home.dir / "layer.tar", "-t", r.ref("c/new:1"))
        peers.crane("mutate", r.ref("c/new:1"), "-t", r.ref("c/new:2"), "--entrypoint", "/bin/cat", "--cmd", "/etc/crane")
        pulled(home, r, "c/new:1")
        home.a3s("pull", r.ref("c/new:2"))
        equal(home.out("run", "--rm", r.ref("c/new:2")), "was here")


@test(image=False)
def an_image_of_oras(home):
    """Put together by hand from files."""
    peers = Peers(home.dir)
    where = home.dir / "oras"
    where.mkdir()
    with tarfile.open(busybox_tar()) as tar:
        index = json.load(tar.extractfile("index.json"))
        manifest = json.load(tar.extractfile("blobs/sha256/" + index["manifests"][0]["digest"][7:]))
        for blob, name in ((manifest["config"], "config.json"), (manifest["layers"][0], "layer.tar.gz")):
            (where / name).write_bytes(tar.extractfile("blobs/sha256/" + blob["digest"][7:]).read())
    with Registry() as r:
        peers.oras("push", "--plain-http", "--config", "config.json:" + manifest["config"]["mediaType"],
                   r.ref("o/r:1"), "layer.tar.gz:" + manifest["layers"][0]["mediaType"], cwd=where)
        pulled(home, r, "o/r:1")


@test(image=False)
def an_image_of_buildah(home):
    if os.geteuid() != 0 or why_no_buildah():
        raise Skip(why_no_buildah() or "needs root")
    peers = Peers(home.dir)
    env = peers.env | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
    store = ["--root", home.dir / "storage", "--runroot", home.dir / "runroot"]

    def buildah(*args):
        return run("buildah", *store, *args, env=env).decode().strip()
    box = buildah("from", "scratch")
    with tarfile.open(busybox_tar()) as tar:
        (home.dir / "base").mkdir()
        index = json.load(tar.extractfile("index.json"))
        manifest = json.load(tar.extractfile("blobs/sha256/" + index["manifests"][0]["digest"][7:]))
        (home.dir / "layer.tar.gz").write_bytes(tar.extractfile("blobs/sha256/" + manifest["layers"][0]["digest"][7:]).read())
    buildah("add", box, home.dir / "layer.tar.gz", "/")
    buildah("config", "--env", "PATH=/bin:/usr/bin:/sbin", "--cmd", "echo from buildah", box)
    buildah("commit", "-q", box, "made:1")
    with Registry() as r:
        buildah("push", "-q", "--tls-verify=false", "--signature-policy", peers.dir / "policy.json", "made:1",
                "docker://" + r.ref("b/h:1"))
        pulled(home, r, "b/h:1")
        equal(home.out("run", "--rm", r.ref("b/h:1")), "from buildah")


@test(image=False)
def an_index_of_crane_by_platform(home):
    """The machine's own platform by default, another on request, by index digest and by manifest digest."""
    peers = Peers(home.dir)
    with Registry() as r:
        for arch in ("amd64", "arm64", "s390x"):
            run(sys.executable, TOP / "tools/mkimage.py", "busybox", "--arch", arch, "--env", f"FOR={arch}", home.dir / f"{arch}.tar")
            peers.copy(f"oci-archive:{home.dir}/{arch}.tar", "docker://" + r.ref(f"i/x:{arch}"))
        peers.crane("index", "append", "-t", r.ref("i/x:all"), *[a for arch in ("amd64", "arm64", "s390x")
                                                                 for a in ("-m", r.ref(f"i/x:{arch}"))])
        digest, media, _ = r.manifest("i/x:all")
        contains(media, "index")
        own = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        contains(home.out("pull", r.ref("i/x:all")), f"Digest: {digest}")

        def env_of(name):
            return json.loads(home.out("image-inspect", "-f", "{{json .Config.Env}}", name))
        contains(env_of(r.ref("i/x:all")), f"FOR={own}")
        home.a3s("pull", "--platform", "linux/s390x", r.ref("i/x@") + digest)
        equal(home.out("image-inspect", "-f", "{{.Architecture}}", r.ref("i/x@") + digest), "s390x")
        refused(home, "pull", "--platform", "linux/riscv64", r.ref("i/x:all"), words=["riscv64"])
        one = r.manifest("i/x:arm64")[0]
        home.a3s("pull", "--platform", "linux/arm64", r.ref("i/x:arm64@") + one)
        fsck(home)


@test(image=False)
def all_references_that_name_a_pull(home):
    peers = Peers(home.dir)
    with Registry() as r:
        peers.copy(f"oci-archive:{busybox_tar()}", "docker://" + r.ref("x/y/z:7"))
        digest = r.manifest("x/y/z:7")[0]
        local = f"localhost:{r.port}/x/y/z"
        for name in (local + ":7", f"{local}@{digest}", f"{local}:7@{digest}"):
            said = home.out("pull", "-q", name)
            check(said in (name, f"{local}@{digest}"), f"{name}: {said}")
            home.a3s("image-inspect", name)
        refused(home, "pull", f"{local}:7@sha256:{'0' * 64}", words=["not found|unknown|no such|404"])
        refused(home, "pull", local, words=["latest|not found|unknown"])


@test
def save_and_copy_by_others(home):
    """What `save` writes, skopeo pushes, and we pull."""
    peers = Peers(home.dir)
    home.a3s("save", "-o", home.dir / "saved.tar", "local/busybox")
    with Registry() as r:
        peers.copy(f"oci-archive:{home.dir}/saved.tar", "docker://" + r.ref("sv/oci:1"))
        peers.copy(f"docker-archive:{home.dir}/saved.tar", "docker://" + r.ref("sv/docker:1"))
        pulled(home, r, "sv/oci:1")
        pulled(home, r, "sv/docker:1")


main()
