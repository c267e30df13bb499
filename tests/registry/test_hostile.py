#!/usr/bin/python3
"""What a registry must not get away with. Every case: exit status 1, an error that names the thing,
nothing stored, no end without it, and little memory (the release build's, all processes together)."""
import functools
import gzip
import hashlib
import json
import pathlib
import random
import subprocess
import sys
import tarfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, main, test
from hostile import (CONFIG, INDEX, LAYER, MANIFEST, Blob, FakeRegistry, Image, Index, cut_after, dumps, sha256)
from layers import Tar
from pulls import RELEASE, Program, nothing_stored, quick, refused
from registry import Memory, TestCA

quick()
MEMORY_MAX_KIB = 64 << 10
SECONDS_MAX = 60  # of one pull; a busy machine needs some of it
MIB = 1 << 20
IMPATIENT = {"A3S_REGISTRY_PULL_NO_PROGRESS_TIMEOUT_SECS": "1", "A3S_REGISTRY_PULL_MAX_ATTEMPTS": "2"}
NOISE = random.Random(3).randbytes(200_000)


def good(**kw):
    return Image(Tar().file("etc/noise", NOISE).bytes(), Tar().file("etc/second", b"2").bytes(), **kw)


def served(r, image=None, name="a/b:1"):
    return r.add(name, image or good())


def hostile(*words, partial=False, pull="a/b:1", tls=False, memory=True, env={}):
    """fn(registry) prepares it; `words` must be in the error."""
    def wrap(fn):
        def one(home):
            ca = TestCA() if tls else None
            try:
                for step in (asan, release) if memory else (asan,):
                    with FakeRegistry(tls=ca) as r:
                        if tls:
                            where = home.path / "certs.d" / r.host
                            where.mkdir(parents=True, exist_ok=True)
                            (where / "ca.crt").write_bytes(ca.ca.read_bytes())
                        after = fn(r)
                        step(home, r, r.ref(pull))
                        r.settle()
                        if callable(after):
                            after()
                    nothing_stored(home, partial)
            finally:
                if ca:
                    ca.close()

        def asan(home, r, ref):
            text = refused(home, "pull", ref, words=words, env=env, timeout=SECONDS_MAX)
            check(r.host in text or "127.0.0.1" in text or "sha256:" in text or "a/b" in text, f"names nothing: {text!r}")

        def release(home, r, ref):
            if not (RELEASE / "a3s-box-registry").exists():
                return
            p = Program(home, "pull", ref, bin=RELEASE, env=env)
            memory = Memory(p.pid)
            p.wait(status=1, timeout=SECONDS_MAX)
            check(memory.stop() < MEMORY_MAX_KIB, f"{memory.peak} KiB of memory: {memory.each}")

        one.__name__ = fn.__name__
        return test(one, image=False)
    return wrap


def layer(image, i=0):
    return "/blobs/" + image.layers[i].digest


def config(image):
    return "/blobs/" + image.config.digest


# ---- what is sent is not what was asked for ---------------------------------------------------


@hostile("digest|does not match")
def layer_of_another_digest(r):
    image = served(r)
    data = image.layers[0].data
    r.on("GET", layer(image), lambda q: q.reply(200, bytes([data[0]]) + data[1:-9] + bytes([data[-9] ^ 1]) + data[-8:]))


@hostile("digest|does not match")
def layer_of_another_content(r):
    image = served(r)
    r.on("GET", layer(image), lambda q: q.reply(200, b"x" * len(image.layers[0].data)))


@hostile("digest|does not match")
def config_of_another_digest(r):
    image = served(r)
    r.on("GET", config(image), lambda q: q.reply(200, image.config.data[:-1] + b" "))


@hostile("digest|does not match")
def manifest_of_another_digest_than_its_header_says(r):
    image = served(r)
    headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": "sha256:" + "0" * 64}
    r.on("GET|HEAD", "/manifests/1", lambda q: q.reply(200, image.manifest.data, headers))


@hostile("digest")
def content_digest_that_is_none(r):
    image = served(r)
    headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": "sha256:../../../../etc/passwd"}
    r.on("GET|HEAD", "/manifests/1", lambda q: q.reply(200, image.manifest.data, headers))


OTHER = "sha256:" + "12" * 32


@hostile("digest|does not match", pull="a/b@" + OTHER)
def manifest_asked_for_by_another_digest(r):
    image = served(r)
    r.manifests["a/b", OTHER] = image.manifest


@hostile("digest|does not match")
def image_in_an_index_of_another_digest(r):
    image, index = good(), Index({"amd64": good(env=["A=1"])})
    served(r, index)
    r.manifests["a/b", index.images["amd64"].digest] = image.manifest


@hostile("sha256:[0-9a-f]+.*(bytes|size|short)|(bytes|size|short).*sha256:|wrote|missing", partial=True)
def layer_that_is_short(r):
    image = served(r)
    r.on("GET", layer(image), lambda q: q.reply(200, image.layers[0].data[:-100]))


@hostile("size|bytes|longer|larger")
def layer_that_is_long(r):
    image = served(r)
    r.on("GET", layer(image), lambda q: q.reply(200, image.layers[0].data + b"x" * 100))


@hostile("size|bytes|longer|larger", partial=True)
def layer_that_never_ends(r):
    image = served(r)
    r.on("GET", layer(image), lambda q: q.endless(chunk=NOISE))
    return lambda: check(sum(q.sent for q in r.find("GET", layer(image))) < 64 * MIB, "it read on and on")


@hostile()
def config_that_never_ends(r):
    image = served(r)
    r.on("GET", config(image), lambda q: q.endless())
    return lambda: check(sum(q.sent for q in r.find("GET", config(image))) < 256 * MIB, "it read on and on")


@hostile("4 ?MiB|larger|more than|too (large|big)|bytes")
def manifest_that_never_ends(r):
    served(r)
    r.on("GET", "/manifests/", lambda q: q.endless(headers={"Content-Type": MANIFEST}, chunk=b" " * 65536))
    return lambda: check(sum(q.sent for q in r.find("GET")) < 64 * MIB, "it read on and on")


@hostile("4 ?MiB|larger|more than|too (large|big)|bytes")
def manifest_of_100_mb(r):
    image = served(r)
    body = image.manifest.data[:-1] + b" " * (100 * MIB) + b"}"
    headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": sha256(body)}
    r.on("GET|HEAD", "/manifests/1", lambda q: q.reply(200, body, headers))


@hostile("4 ?MiB|larger|more than|too (large|big)|limit|bytes")
def config_of_100_mb(r):
    data = good().config.data
    served(r, good(config=data[:-1] + b" " * (100 * MIB) + b"}"))


@hostile("MiB|larger|more than|too (large|big)|bytes")
def answer_to_an_error_that_never_ends(r):
    r.on("GET|HEAD", "/manifests/", lambda q: q.endless(status=500, headers={"Content-Type": "application/json"},
                                                         chunk=b" " * 65536))
    return lambda: check(sum(q.sent for q in r.find()) < 256 * MIB, "it read on and on")


@hostile(partial=True)
def content_length_that_is_too_large(r):
    image = served(r)
    data = image.layers[0].data

    def answer(q):
        q.head(200, {"Content-Length": str(len(data) + 1000)})
        q.write(data)
        q.drop()
    r.on("GET", layer(image), answer)


@hostile(partial=True)
def content_length_that_is_too_small(r):
    image = served(r)
    data = image.layers[0].data

    def answer(q):
        q.head(200, {"Content-Length": str(len(data) - 1000)})
        q.write(data)
        q.drop()
    r.on("GET", layer(image), answer)


@hostile(partial=True)
def connection_that_always_breaks(r):
    image = served(r)
    r.on("GET", layer(image), cut_after(image.layers[0].data, 0))
    return lambda: check(2 <= r.count("GET", layer(image)) <= 4, f"{r.count('GET', layer(image))} attempts")


@hostile("range", partial=True)
def range_of_other_bytes(r):
    """Resumed in the wrong place: never taken for good."""
    image = served(r)
    data = image.layers[0].data

    def answer(q):
        first, last = r.range_of(q, len(data))
        if not first:
            return cut_after(data, 60000)(q)
        return q.reply(206, data[first - 10:last - 10], {"Content-Range": f"bytes {first - 10}-{last - 11}/{len(data)}"})
    r.on("GET", layer(image), answer)


@hostile("digest|does not match|range", partial=True)
def range_that_lies(r):
    image = served(r)
    data = image.layers[0].data

    def answer(q):
        first, last = r.range_of(q, len(data))
        if not first:
            return cut_after(data, 60000)(q)
        return q.reply(206, b"\0" * (last - first), {"Content-Range": f"bytes {first}-{last - 1}/{len(data)}"})
    r.on("GET", layer(image), answer)


# ---- time ------------------------------------------------------------------------------------


@hostile("429|too many|busy")
def too_many_requests_for_ever(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"}))
    return lambda: check(r.count() <= 8, f"{r.count()} requests")


@hostile("429|too many|busy")
def retry_after_a_year(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "31536000"}))


@hostile("429|503|too many|busy|unavailable")
def retry_after_nonsense(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.error(503, "UNAVAILABLE", "no", {"Retry-After": "-99999999999999999999"}))


@hostile("503|unavailable", partial=True)
def layers_unavailable_for_ever(r):
    image = served(r)
    r.on("GET", layer(image), lambda q: q.error(503, "UNAVAILABLE", "no", {"Retry-After": "1"}))
    return lambda: check(r.count("GET", layer(image)) <= 4, f"{r.count('GET', layer(image))} attempts")


@hostile("500")
def server_error_for_ever(r):
    r.on("GET|HEAD", "/v2/a", lambda q: q.error(500, "UNKNOWN", "oops"))


@hostile("progress|time|stalled|moved|received", env=IMPATIENT)
def manifest_that_does_not_come(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.stall())


@hostile("progress|time|stalled|moved|received", partial=True, env=IMPATIENT)
def layer_that_stops(r):
    image = served(r)
    data = image.layers[0].data

    def answer(q):
        first, last = r.range_of(q, len(data))
        q.head(206 if first else 200, {"Content-Length": str(last - first),
                                       **({"Content-Range": f"bytes {first}-{last - 1}/{len(data)}"} if first else {})})
        q.write(data[first:first + 10])
        q.stall()
    r.on("GET", layer(image), answer)


@hostile("progress|time|stalled|moved|slow", partial=True, env=IMPATIENT)
def layer_that_drips(r):
    image = served(r)
    data = image.layers[0].data

    def answer(q):
        first, last = r.range_of(q, len(data))
        q.head(206 if first else 200, {"Content-Length": str(last - first),
                                       **({"Content-Range": f"bytes {first}-{last - 1}/{len(data)}"} if first else {})})
        q.drip(data[first:])
    r.on("GET", layer(image), answer)


@hostile("progress|time|stalled|moved|slow", env=IMPATIENT)
def headers_that_drip(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 10**6))


@hostile("progress|time|stalled|moved|slow|100")
def provisional_answers_for_ever(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 200_000))


# ---- where to --------------------------------------------------------------------------------


@hostile("redirect")
def redirects_in_a_circle(r):
    image = served(r)
    r.on("GET", layer(image), lambda q: q.redirect(q.path))
    return lambda: check(r.count("GET", layer(image)) < 100, f"{r.count('GET')} requests")


@hostile("redirect")
def manifest_redirects_in_a_circle(r):
    r.on("GET|HEAD", "/manifests/", lambda q: q.redirect(q.path + "0" if len(q.path) < 2000 else "/v2/a/b/manifests/1"))
    return lambda: check(r.count() < 200, f"{r.count()} requests")


def redirected(r, to):
    image = served(r)
    r.on("GET", layer(image), lambda q: q.redirect(to))


@hostile("redirect|protocol|scheme|https")
def redirect_to_a_file(r):
    redirected(r, "file:///etc/passwd")


@hostile("redirect|protocol|scheme|https")
def redirect_to_another_protocol(r):
    redirected(r, f"gopher://{r.host}/x")


@hostile("redirect|location")
def redirect_to_nowhere(r):
    image = served(r)
    r.on("GET", layer(image), lambda q: q.reply(307, b""))


@hostile("http|downgrade|redirect|https", tls=True)
def redirect_from_https_to_http(r):
    other = FakeRegistry()
    image = served(r)
    r.on("GET", layer(image), lambda q: q.redirect(f"{other.url}/x"))
    other.on("GET", "", lambda q: q.reply(200, image.layers[0].data))

    def after():
        other.close()
        check(not other.requests, "the other host was asked without encryption")
    return after


@hostile("redirect|not permitted|denied|40[13]|unauthorized", partial=True)
def redirect_to_somebody_who_wants_credentials(r):
    other = FakeRegistry()
    image = served(r)
    r.on("GET", layer(image), lambda q: q.redirect(f"{other.url}/x"))
    other.on("GET", "", lambda q: q.error(401, "UNAUTHORIZED", "who?", {"WWW-Authenticate": 'Basic realm="x"'}))

    def after():
        other.close()
        other.no_credentials()
    return after


REDIRECT_ENV = {"REGISTRY_USERNAME": "ann", "REGISTRY_PASSWORD": "secret"}


@hostile(env=REDIRECT_ENV, partial=True)
def redirect_to_somebody_who_wants_our_credentials(r):
    other = FakeRegistry()
    image = served(r)

    def guarded(q):
        if q.headers.get("Authorization"):
            return False
        return q.error(401, "UNAUTHORIZED", "who?", {"WWW-Authenticate": 'Basic realm="x"'})
    r.on("GET|HEAD", "", guarded)
    r.on("GET", layer(image), lambda q: q.redirect(f"{other.url}/x"))
    other.on("GET", "", lambda q: q.error(401, "UNAUTHORIZED", "who?", {"WWW-Authenticate": 'Basic realm="x"'}))

    def after():
        other.close()
        check(other.requests, "the redirect was not followed")
        other.no_credentials()
    return after


# ---- authentication --------------------------------------------------------------------------


def challenge(r, text):
    served(r)
    r.on("GET|HEAD", "^/v2/", lambda q: q.error(401, "UNAUTHORIZED", "who?", {"WWW-Authenticate": text}))


def tokens(r, answer):
    challenge(r, f'Bearer realm="{r.url}/token",service="s"')
    r.on("GET|POST", "^/token", answer)
    return lambda: check(r.count() < 50, f"{r.count()} requests")


@hostile("token|json")
def token_server_that_says_nothing_useful(r):
    return tokens(r, lambda q: q.reply(200, b"<html>Welcome to the captive portal</html>", {"Content-Type": "text/html"}))


@hostile("token")
def token_server_without_token(r):
    return tokens(r, lambda q: q.json(200, {"tok": "x"}))


@hostile("token")
def token_that_is_no_string(r):
    return tokens(r, lambda q: q.json(200, {"token": {"a": [1, 2, 3]}, "expires_in": "soon"}))


@hostile("token")
def token_with_a_header_in_it(r):
    return tokens(r, lambda q: q.json(200, {"token": "x\r\nX-Injected: yes"})) and (
        lambda: check(not any(q.headers.get("X-Injected") for q in r.requests), "the header got in"))


@hostile("token")
def token_of_a_megabyte(r):
    return tokens(r, lambda q: q.json(200, {"token": "x" * MIB}))


@hostile()
def token_server_that_never_ends(r):
    tokens(r, lambda q: q.endless(headers={"Content-Type": "application/json"}, chunk=b" " * 65536))
    return lambda: check(sum(q.sent for q in r.find()) < 64 * MIB, "it read on and on")


@hostile("redirect|token")
def token_server_that_redirects_in_a_circle(r):
    return tokens(r, lambda q: q.redirect("/token"))


@hostile("40[13]|denied|unauthorized|authentication|login")
def tokens_that_are_never_good_enough(r):
    return tokens(r, lambda q: q.json(200, {"token": "x" * 20}))


@hostile("realm")
def realm_that_is_a_file(r):
    challenge(r, 'Bearer realm="file:///etc/passwd",service="s"')


@hostile("realm")
def realm_that_is_nothing(r):
    challenge(r, 'Bearer realm="",service="s"')


@hostile("realm|challenge|WWW-Authenticate|authenticat")
def challenge_that_is_not_closed(r):
    challenge(r, 'Bearer realm="http://127.0.0.1/,service=,,,="";;\\')


@hostile()
def challenge_of_100_kb(r):
    challenge(r, 'Bearer realm="http://127.0.0.1:1/' + "a" * 60000 + '"')


@hostile("Negotiate|challenge|authentication|scheme")
def challenge_of_an_unknown_kind(r):
    challenge(r, "Negotiate")


@hostile("realm|http|https", tls=True, env=REDIRECT_ENV)
def realm_without_encryption_behind_https(r):
    other = FakeRegistry()
    served(r)
    r.on("GET|HEAD", "^/v2/", lambda q: q.error(401, "UNAUTHORIZED", "who?", {
        "WWW-Authenticate": f'Bearer realm="{other.url}/token",service="s"'}))
    other.on("GET|POST", "", lambda q: q.json(200, {"token": "x"}))

    def after():
        other.close()
        other.no_credentials()
    return after


@hostile("40[13]|denied|unauthorized|authenticat|login")
def refusal_without_challenge(r):
    served(r)
    r.on("GET|HEAD", "^/v2/", lambda q: q.error(401, "UNAUTHORIZED", "who?"))


@hostile("403|denied")
def refusal_for_good(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.error(403, "DENIED", "go away"))


# ---- HTTP ------------------------------------------------------------------------------------


@hostile()
def header_of_a_megabyte(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * MIB + b"\r\n\r\n"))


@hostile()
def headers_without_end(r):
    served(r)

    def answer(q):
        try:
            q.write(b"HTTP/1.1 200 OK\r\n")
            while q.sent < 200 * MIB:
                q.write(b"X-Header: value\r\n" * 4096)
        except OSError:
            pass
        q.drop()
    r.on("GET|HEAD", "/manifests/", answer)
    return lambda: check(sum(q.sent for q in r.find()) < 64 * MIB, "it read on and on")


@hostile()
def not_http_at_all(r):
    r.on("GET|HEAD", "", lambda q: q.raw(b"SSH-2.0-OpenSSH_9.2\r\n"))


@hostile()
def connection_closed_at_once(r):
    r.on("GET|HEAD", "", lambda q: q.drop())


@hostile("html|not a registry|registry|content type|media type|json|manifest")
def captive_portal(r):
    r.on("GET|HEAD", "", lambda q: q.reply(200, b"<html>Log in here</html>", {"Content-Type": "text/html"}))


@hostile("204|empty|json|manifest|content")
def answer_without_content(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.reply(204))


@hostile("not found|unknown|no such|404")
def manifest_that_is_not_there(r):
    served(r, name="a/b:2")


@hostile("not found|unknown|no such|404", partial=True)
def layer_that_is_not_there(r):
    image = served(r)
    del r.blobs[image.layers[1].digest]


@hostile("not found|unknown|no such|404")
def config_that_is_not_there(r):
    image = served(r)
    del r.blobs[image.config.digest]


ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31m\r\nError: all is well\x00\x9b2J‮"


@hostile("denied|403")
def terminal_escapes_in_an_error(r):
    r.on("GET|HEAD", "/manifests/", lambda q: q.error(403, "DENIED" + ESCAPES, ESCAPES * 50))


@hostile("403|denied")
def terminal_escapes_in_a_body_that_is_no_json(r):
    r.on("GET|HEAD", "/manifests/", lambda q: q.reply(403, ESCAPES.encode(), {"Content-Type": "text/plain"}))


@hostile()
def terminal_escapes_in_headers(r):
    served(r)
    r.on("GET|HEAD", "/manifests/", lambda q: q.raw(b"HTTP/1.1 403 \x1b[2Jno\r\nContent-Type: \x1b[31m\r\nContent-Length: 0\r\n"
                                                    b"Docker-Content-Digest: \x1b[31m\r\n\r\n"))


@hostile()
def terminal_escapes_in_media_types(r):
    image = good()
    image.layers[0].media = ESCAPES
    served(r, good_with(layers=[l.descriptor() for l in image.layers]))


# ---- documents -------------------------------------------------------------------------------


def good_with(image=None, **changes):
    """A good image's manifest with other members."""
    image = image or good()
    value = json.loads(image.manifest.data) | changes
    image.manifest = Blob(dumps({k: v for k, v in value.items() if v is not None}), image.manifest.media)
    image.digest = image.manifest.digest
    return image


def documents(body, media=MANIFEST):
    def prepare(r):
        blob = Blob(body, media)
        r.manifests["a/b", "1"] = r.manifests["a/b", blob.digest] = blob
    return prepare


for name, body, words in (
        ("manifest_nested_deeply", b"[" * 200_000, "json|deep|nest|manifest"),
        ("manifest_that_is_no_json", b"\x7fELF\x02\x01\x01", "json|manifest"),
        ("manifest_that_is_a_number", b"17", "object|manifest"),
        ("manifest_that_is_empty", b"", "json|empty|manifest"),
        ("manifest_without_anything", b"{}", "manifest|schemaVersion|config|layers|media"),
        ("manifest_with_nul", b'{"schemaVersion":2,"config":{"digest":"a\\u0000b"}}', "."),
        ("manifest_of_utf16", '{"schemaVersion":2}'.encode("utf-16"), "json|manifest")):
    fn = documents(body)
    fn.__name__ = name
    hostile(words)(fn)


@hostile("schema ?(version)? ?1|schemaVersion|v1")
def manifest_of_schema_1(r):
    media = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    documents(dumps({"schemaVersion": 1, "name": "a/b", "tag": "1", "architecture": "amd64", "signatures": [],
                     "fsLayers": [{"blobSum": "sha256:" + "0" * 64}], "history": [{"v1Compatibility": "{}"}]}), media)(r)


@hostile("media ?type|helm|not an image|config")
def artifact_that_is_no_image(r):
    image = good()
    image.config.media = "application/vnd.cncf.helm.config.v1+json"
    served(r, good_with(image, config=image.config.descriptor()))


def other_layer(r, **changes):
    image = good()
    served(r, good_with(image, layers=[image.layers[0].descriptor() | changes, image.layers[1].descriptor()]))


@hostile("foreign|non-?distributable|url")
def foreign_layer_of_docker(r):
    other_layer(r, mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=["http://127.0.0.1:1/x"])


@hostile("foreign|non-?distributable|url")
def nondistributable_layer(r):
    other_layer(r, mediaType="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                urls=["http://127.0.0.1:1/x"])


@hostile("encrypted|media ?type")
def encrypted_layer(r):
    other_layer(r, mediaType=LAYER + "+gzip+encrypted")


@hostile("media ?type|application/pdf")
def layer_that_is_no_layer(r):
    other_layer(r, mediaType="application/pdf")


@hostile("index|manifest|media ?type|layers|config")
def manifest_called_an_index(r):
    image = served(r)
    for key in list(r.manifests):
        r.manifests[key] = Blob(image.manifest.data, INDEX)


@hostile("index|manifest|media ?type|layers|config")
def index_called_a_manifest(r):
    index = served(r, Index({"amd64": good()}))
    r.manifests["a/b", "1"] = Blob(index.manifest.data, MANIFEST)


@hostile("size|bytes")
def layer_size_that_is_too_small(r):
    other_layer(r, size=10)


@hostile("size|bytes", partial=True)
def layer_size_that_is_too_large(r):
    other_layer(r, size=10 * MIB)


@hostile("size|bytes|space|large", partial=True)
def layer_of_petabytes(r):
    other_layer(r, size=1 << 52)


for name, size in (("negative", -1), ("a_string", "10"), ("a_fraction", 10.5), ("beyond_64_bits", 1 << 70), ("null", None)):
    def sized(r, size=size):
        other_layer(r, size=size)
    sized.__name__ = f"layer_size_that_is_{name}"
    hostile("size|json|integer|number|big|digest")(sized)

for name, digest in (("a_path", "sha256:../../../../etc/passwd"), ("upper_case", "sha256:" + "AB" * 32),
                     ("short", "sha256:1234"), ("md5", "md5:d41d8cd98f00b204e9800998ecf8427e"), ("a_number", 17),
                     ("of_sha512", "sha512:" + "ab" * 64)):
    def digested(r, digest=digest):
        other_layer(r, digest=digest)
    digested.__name__ = f"layer_digest_that_is_{name}"
    hostile("digest")(digested)


@hostile("size|bytes|config")
def config_size_that_lies(r):
    image = good()
    served(r, good_with(image, config=image.config.descriptor() | {"size": 10}))


@hostile("layers")
def more_layers_than_anybody_needs(r):
    blobs = [Tar().file(f"f{i}", b"x").bytes() for i in range(600)]
    served(r, Image(*blobs))


@hostile("nest|index|deep")
def index_that_nests(r):
    image = good()
    for _ in range(8):
        image = Index({"amd64": image})
    served(r, image)


@hostile("entries|index|many|more than|MiB")
def index_with_very_many_entries(r):
    image = served(r, good(), name="a/b")
    entry = image.manifest.descriptor() | {"platform": {"os": "linux", "architecture": "s390x"}}
    documents(dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] * 12000}), INDEX)(r)


@hostile("amd64|platform")
def index_without_our_platform(r):
    served(r, Index({"s390x": good(arch="s390x"), "arm/v7": good(arch="arm")}))


@hostile("windows|os|platform")
def image_for_another_system(r):
    image = good()
    image.config = Blob(image.config.data.replace(b'"linux"', b'"windows"'), CONFIG)
    served(r, good_with(image, config=image.config.descriptor()))
    r.blobs[image.config.digest] = image.config.data


@hostile("diff")
def config_with_too_few_diff_ids(r):
    served(r, good(diff_ids=[sha256(b"")]))


@hostile("diff|digest")
def config_with_other_diff_ids(r):
    served(r, good(diff_ids=[sha256(b"1"), sha256(b"2")]))


@hostile("diff|rootfs|config")
def config_without_rootfs(r):
    served(r, good(config=dumps({"architecture": "amd64", "os": "linux"})))


@hostile("json|config")
def config_that_is_no_json(r):
    served(r, good(config=b"hello"))


# ---- layers ----------------------------------------------------------------------------------


def zeros(size):
    """A layer of one file of zeros: the tar as pieces."""
    info = tarfile.TarInfo("zeros")
    info.size = size
    yield info.tobuf()
    for _ in range(size // MIB):
        yield b"\0" * MIB
    yield b"\0" * 1024


def packed(command, size):
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def feed():
        for piece in zeros(size):
            p.stdin.write(piece)
        p.stdin.close()
    t = threading.Thread(target=feed)
    t.start()
    data = p.stdout.read()
    t.join()
    p.wait()
    return data


@functools.lru_cache(None)
def bomb(command, media, size):
    digest = hashlib.sha256()
    for piece in zeros(size):
        digest.update(piece)
    data = packed(command, size)
    check(size / len(data) > 1000, f"only {size / len(data):.0f} times")
    return lambda r: served(r, Image(Blob(data, media), diff_ids=["sha256:" + digest.hexdigest()])) and None


def gzip_that_inflates_1000_times(r):
    return bomb(("gzip", "-9n"), LAYER + "+gzip", 400 * MIB)(r)


def zstd_that_inflates_10000_times(r):
    return bomb(("zstd", "-q", "-c"), LAYER + "+zstd", 400 * MIB)(r)


hostile("times|decompress|inflat")(gzip_that_inflates_1000_times)
hostile("times|decompress|inflat")(zstd_that_inflates_10000_times)


@hostile("window|memory|zstd|decompress|layer")
def zstd_with_a_window_of_2_gib(r):
    """The frame header asks for a window that nobody may allocate."""
    data = bytes.fromhex("28b52ffd") + bytes([0x00, 0xA8]) + b"\x01\x00\x00"
    served(r, Image(Blob(data + b"\0" * 100, LAYER + "+zstd"), diff_ids=[sha256(b"")]))


@hostile("tar|layer|archive|decompress|gzip|diff")
def layer_that_is_no_archive(r):
    served(r, Image(Blob(NOISE), diff_ids=[sha256(NOISE)]))


@hostile("gzip|truncated|decompress|end|layer|diff")
def layer_whose_gzip_breaks_off(r):
    tar = Tar().file("f", NOISE).bytes()
    served(r, Image(Blob(gzip.compress(tar)[:-5000]), diff_ids=[sha256(tar)]))


main()
