#!/usr/bin/python3
"""Push to registries that are slow, broken or greedy."""
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import TOP, busybox_tar, check, contains, equal, main, test
from hostile import FakeRegistry, sha256
from layers import Tar
from pulls import quick, refused
from registry import run

quick()
AUTH = {"REGISTRY_USERNAME": "ann", "REGISTRY_PASSWORD": "secret"}


def tagged(home, r, name="a/b:1"):
    home.a3s("load", "-q", "-i", busybox_tar())
    home.a3s("tag", "local/busybox", r.ref(name))
    return r.ref(name)


def large(home, r, name="a/large:1", size=40 << 20):
    """A layer of more than two chunks."""
    (home.dir / "layer.tar").write_bytes(Tar().file("noise", os.urandom(size)).bytes())
    run(sys.executable, TOP / "tools/mkimage.py", "tar", "--name", r.ref(name), "--compress", "none", home.dir / "layer.tar",
        home.dir / "image.tar")
    home.a3s("load", "-q", "-i", home.dir / "image.tar")
    return r.ref(name)


def complete(home, r, repo="a/b", tag="1"):
    """What arrived is an image, and ours."""
    manifest = r.manifests[repo, tag]
    equal(sha256(manifest.data), manifest.digest)
    value = json.loads(manifest.data)
    for blob in [value["config"], *value["layers"]]:
        ours = home.path / "images/blobs/sha256" / blob["digest"][7:]
        equal(r.blobs[blob["digest"]], ours.read_bytes(), f"blob {blob['digest']}")
    return value


def breaks_after(count):
    """An answer to an upload: `count` bytes are taken, then the connection ends."""
    def answer(q):
        place = q.handler.server.outer.uploads[q.path.split("?")[0]]
        place += q.handler.rfile.read(count)
        q.drop()
    return answer


@test(image=False)
def blobs_first_then_the_manifest(home):
    with FakeRegistry() as r:
        home.a3s("push", tagged(home, r))
        complete(home, r)
        order = [q for q in r.find() if q.method == "PUT"]
        contains(order[-1].path, "/manifests/1")


@test(image=False)
def a_chunk_that_breaks_is_gone_on_with(home):
    with FakeRegistry() as r:
        r.server.outer = r
        name = large(home, r)
        r.on("PATCH", "/uploads/", breaks_after(5 << 20), times=1)
        home.a3s("push", name)
        size = complete(home, r, "a/large")["layers"][0]["size"]
        sent = sum(int(q.headers["Content-Length"]) for q in r.find("PATCH") if q.status)
        check(sent <= size - (5 << 20), f"{sent} bytes sent after the break: the upload began again")


@test(image=False)
def a_registry_that_forgets_the_upload_gets_it_again(home):
    with FakeRegistry() as r:
        r.server.outer = r
        name = large(home, r)

        def forget(q):
            q.body()
            r.uploads.clear()
            q.error(500, "UNKNOWN", "restarted")
        r.on("PATCH", "/uploads/", forget, times=1)
        home.a3s("push", name)
        complete(home, r, "a/large")


@test(image=False)
def a_registry_without_chunks_gets_it_in_one_piece(home):
    with FakeRegistry() as r:
        name = large(home, r)
        r.on("PATCH", "/uploads/", lambda q: q.body() is None or q.error(405, "UNSUPPORTED", "no chunks here"))
        home.a3s("push", name)
        complete(home, r, "a/large")
        equal(r.count("PATCH"), 1, "chunks that were tried")


@test(image=False)
def chunks_as_large_as_the_registry_wants_them(home):
    with FakeRegistry() as r:
        name = large(home, r)

        def start(q):
            r.uploads["/v2/a/large/blobs/uploads/chunked"] = bytearray()
            q.reply(202, b"", {"Location": "/v2/a/large/blobs/uploads/chunked", "OCI-Chunk-Min-Length": str(30 << 20)})
        r.on("POST", "/uploads/", start)
        home.a3s("push", name)
        complete(home, r, "a/large")
        chunks = [int(q.headers["Content-Length"]) for q in r.find("PATCH")]
        check(all(c >= 30 << 20 for c in chunks[:-1]), f"chunks: {chunks}")


@test(image=False)
def uploads_go_where_they_are_told_without_credentials(home):
    """An absolute Location on another host: the bytes go there, the password does not."""
    with FakeRegistry() as r, FakeRegistry() as storage:
        name = tagged(home, r)
        r.on("GET|HEAD|POST|PUT|PATCH", "^/v2/", lambda q: False if q.headers.get("Authorization") else q.body() is None or q.error(
            401, "UNAUTHORIZED", "who?", {"WWW-Authenticate": 'Basic realm="x"'}))

        def elsewhere(q):
            if not q.headers.get("Authorization"):
                return False
            place = f"/elsewhere/{len(storage.uploads)}"
            storage.uploads[place] = bytearray()
            return q.reply(202, b"", {"Location": storage.url + place})
        r.on("POST", "/uploads/", elsewhere)
        home.a3s("push", name, env=AUTH)
        storage.no_credentials()
        value = json.loads(r.manifests["a/b", "1"].data)
        equal(sorted(storage.blobs), sorted(b["digest"] for b in [value["config"], *value["layers"]]))


@test(image=False)
def a_mount_that_is_refused_is_an_upload(home):
    with FakeRegistry() as r:
        home.a3s("push", tagged(home, r))
        name = tagged(home, r, "other/x:1")
        r.blobs.clear()
        home.a3s("push", name)
        complete(home, r, "other/x")


def fails(name, words, rules):
    def one(home):
        with FakeRegistry() as r:
            r.server.outer = r
            ref = tagged(home, r)
            rules(r)
            refused(home, "push", ref, words=[words])
            check(("a/b", "1") not in r.manifests or name == "manifest_called_something_else", "the manifest was pushed")
            check(r.count() < 60, f"{r.count()} requests")
    one.__name__ = name
    test(one, image=False)


def error(status, code, **headers):
    def answer(q):
        q.body()
        q.error(status, code, "\x1b[2Jno\r\n", headers)
    return answer


fails("upload_denied", "denied", lambda r: r.on("POST", "/uploads/", error(403, "DENIED")))
fails("upload_unavailable_for_ever", "503|unavailable", lambda r: r.on("POST", "/uploads/", error(503, "UNAVAILABLE")))
fails("upload_too_large", "413|large|SIZE_INVALID", lambda r: r.on("PUT", "/uploads/", error(413, "SIZE_INVALID")))
fails("upload_without_a_place", "where", lambda r: r.on("POST", "/uploads/", lambda q: q.reply(202)))
fails("upload_to_a_file", "http|scheme|file", lambda r: r.on("POST", "/uploads/", lambda q: q.reply(
    202, b"", {"Location": "file:///etc/passwd"})))
fails("upload_that_always_breaks", "blob|upload", lambda r: r.on("PUT", "/uploads/", breaks_after(1000)))
fails("digest_not_accepted", "DIGEST|400|digest", lambda r: r.on("PUT", "/uploads/", error(400, "DIGEST_INVALID")))
fails("manifest_refused", "MANIFEST_INVALID|no", lambda r: r.on("PUT", "/manifests/", error(400, "MANIFEST_INVALID")))
fails("manifest_called_something_else", "digest", lambda r: r.on("PUT", "/manifests/", lambda q: q.reply(
    201, b"", {"Docker-Content-Digest": "sha256:" + "0" * 64}) if q.body() else False))
fails("push_to_what_is_no_registry", "40[45]|not found|unsupported|registry|unexpected", lambda r: r.on(
    "GET|HEAD|POST|PUT|PATCH", "", lambda q: q.reply(404, q.body() and b"<html>")))


main()
