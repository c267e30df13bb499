#!/usr/bin/python3
"""Signatures, with the real cosign: it accepts ours, we accept its; what it refuses we refuse."""
import gzip
import io
import json
import os
import pathlib
import pty
import select
import subprocess
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import harness
import sigstore
from harness import Failure, Skip, check, contains, equal, main, test
from pulls import quick
from registry import Peers, Registry

quick()
ARCH = {"aarch64": "arm64"}.get(os.uname().machine, "amd64")
OCI = "application/vnd.oci.image."
PLAIN = ("--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false", "-y")
BUNDLE = ("--use-signing-config=false", "--tlog-upload=false", "-y")
NO_LOG = "--insecure-ignore-tlog=true"


# ---- putting things into a registry without a client of ours ----


def request(r, method, path, body=None, headers={}):
    import http.client
    c = http.client.HTTPConnection("127.0.0.1", r.port, timeout=30)
    try:
        c.request(method, path, body, headers)
        answer = c.getresponse()
        answer.read()
        if answer.status >= 300:
            raise Failure(f"{method} {path}: {answer.status}")
        return answer.headers
    finally:
        c.close()


def digest_of(data):
    return "sha256:" + sigstore.sha256(data).hex()


def put_blob(r, repo, data):
    where = request(r, "POST", f"/v2/{repo}/blobs/uploads/")["Location"].split(str(r.port), 1)[1]
    request(r, "PUT", where + ("&" if "?" in where else "?") + "digest=" + digest_of(data), data)
    return {"digest": digest_of(data), "size": len(data)}


def put_manifest(r, repo, tag, value):
    data = json.dumps(value).encode()
    request(r, "PUT", f"/v2/{repo}/manifests/{tag or digest_of(data)}", data, {"Content-Type": value["mediaType"]})
    return {"mediaType": value["mediaType"], "digest": digest_of(data), "size": len(data)}


def image(r, repo="team/web", tag="1", content="hello"):
    """An image of one small file: its digest."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content.encode()))
    config = {"architecture": ARCH, "os": "linux", "config": {"Cmd": ["/file"]},
              "rootfs": {"type": "layers", "diff_ids": [digest_of(raw.getvalue())]}}
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                "config": {"mediaType": OCI + "config.v1+json"} | put_blob(r, repo, json.dumps(config).encode()),
                "layers": [{"mediaType": OCI + "layer.v1.tar+gzip"} | put_blob(r, repo, gzip.compress(raw.getvalue()))]}
    return put_manifest(r, repo, tag, manifest)["digest"]


def put_layers(r, repo, digest, layers):
    """Signatures in the layout of the .sig tag."""
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                "config": {"mediaType": OCI + "config.v1+json"} | put_blob(r, repo, b"{}"),
                "layers": [{"mediaType": sigstore.PAYLOAD_TYPE, "annotations": l["annotations"]} |
                           put_blob(r, repo, l["payload"]) for l in layers]}
    put_manifest(r, repo, digest.replace(":", "-") + ".sig", manifest)


def put_bundle(r, repo, digest, bundle):
    """A referrer; docker-registry 2.8 knows them by tag only."""
    media_type = sigstore.BUNDLE_V3
    status, headers, body = r.get(f"/v2/{repo}/manifests/{digest}", headers={"Accept": OCI + "manifest.v1+json"})
    subject = {"mediaType": headers["Content-Type"], "digest": digest, "size": len(body)}
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "artifactType": media_type,
                "config": {"mediaType": "application/vnd.oci.empty.v1+json"} | put_blob(r, repo, b"{}"),
                "layers": [{"mediaType": media_type} | put_blob(r, repo, json.dumps(bundle).encode())],
                "subject": subject}
    entry = put_manifest(r, repo, None, manifest) | {"artifactType": media_type}
    put_manifest(r, repo, digest.replace(":", "-"),
                 {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [entry]})


# ---- both programs ----


def pull(home, ref, *args, ok=True, env={}):
    result = home.a3s("pull", "-q", *args, ref, status=0 if ok else 1, env=env)
    if not ok:
        equal(home.out("images", "-q"), "", "images after a pull that was refused")
    return result.err


def cosign_verify(peers, ref, *args, ok=True):
    program = peers.built / "cosign"
    if not program.exists():
        raise Skip("no cosign: ./dev deps")
    p = subprocess.run([program, "verify", *args, ref], env=peers.env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    if (p.returncode == 0) != ok:
        raise Failure(f"cosign verify {' '.join(map(str, args))}: status {p.returncode}\n{p.stdout}{p.stderr}")
    return p.stderr


def both(home, peers, ref, ours, theirs, ok):
    cosign_verify(peers, ref, *theirs, ok=ok)
    err = pull(home, ref, *ours, ok=ok)
    if ok:
        home.a3s("rmi", "-f", ref)
    return err


def key_pair(home, peers, name="k", password="pw"):
    """cosign's own, encrypted."""
    peers.cosign("generate-key-pair", "--output-key-prefix", home.dir / name, env={"COSIGN_PASSWORD": password})
    return home.dir / f"{name}.key", home.dir / f"{name}.pub"


def write(home, files):
    for name, data in files.items():
        (home.dir / name).write_bytes(data)


# ---- keys ----


@test(image=False)
def cosigns_signatures(home):
    """Tag and bundle, with cosign's own key; another key and another image are refused by both."""
    peers = Peers(home.dir)
    key, public = key_pair(home, peers)
    _, other = key_pair(home, peers, "other")
    with Registry() as r:
        for how, options in (("tag", PLAIN), ("bundle", BUNDLE)):
            repo = f"team/{how}"
            ref = r.ref(f"{repo}:1")
            digest = image(r, repo)
            contains(both(home, peers, ref, ["--verify-key", public], ["--key", public, NO_LOG], False), "has no signature")
            peers.cosign("sign", "--key", key, *options, r.ref(f"{repo}@{digest}"), env={"COSIGN_PASSWORD": "pw"})
            both(home, peers, ref, ["--verify-key", public], ["--key", public, NO_LOG], True)
            contains(both(home, peers, ref, ["--verify-key", other], ["--key", other, NO_LOG], False), "no key of the policy")
            image(r, repo, content="another")  # the tag moves, the signature does not
            contains(both(home, peers, ref, ["--verify-key", public], ["--key", public, NO_LOG], False), "has no signature")


@test(image=False)
def signature_moved_to_another_image(home):
    """A signature in the place of another image's: both refuse it."""
    peers = Peers(home.dir)
    key = sigstore.keys()["p256"]
    write(home, {"k.pub": sigstore.public_pem(key)})
    with Registry() as r:
        world, digest = sigstore.World(), image(r)
        put_layers(r, "team/web", digest, [world.key_layer(key, r.ref("team/web"), sigstore.DIGEST)])
        err = both(home, peers, r.ref("team/web:1"), ["--verify-key", home.dir / "k.pub"],
                   ["--key", home.dir / "k.pub", NO_LOG], False)
        contains(err, "for another image")


@test(image=False)
def kinds_of_keys(home):
    """What our generator signs both accept, for every kind of key, in both layouts."""
    peers = Peers(home.dir)
    world = sigstore.World()
    with Registry() as r:
        for name, key in sigstore.keys().items():
            write(home, {name: sigstore.public_pem(key)})
            ours, theirs = ["--verify-key", home.dir / name], ["--key", home.dir / name, NO_LOG]
            digest = image(r, f"tag/{name}")
            put_layers(r, f"tag/{name}", digest, [world.key_layer(key, r.ref(f"tag/{name}"), digest)])
            both(home, peers, r.ref(f"tag/{name}:1"), ours, theirs, True)
            digest = image(r, f"bundle/{name}")
            put_bundle(r, f"bundle/{name}", digest, world.key_bundle(key, digest))
            both(home, peers, r.ref(f"bundle/{name}:1"), ours, theirs, True)


@test(image=False)
def one_bit(home):
    """A bit of the payload, the signature, the statement: refused by both."""
    peers = Peers(home.dir)
    key = sigstore.keys()["p256"]
    write(home, {"k": sigstore.public_pem(key)})
    ours, theirs = ["--verify-key", home.dir / "k"], ["--key", home.dir / "k", NO_LOG]
    world = sigstore.World()
    name = "dev.cosignproject.cosign/signature"
    with Registry() as r:
        def tag(repo, change):
            digest = image(r, repo)
            layer = world.key_layer(key, r.ref(repo), digest)
            change(layer)
            put_layers(r, repo, digest, [layer])
            both(home, peers, r.ref(repo + ":1"), ours, theirs, False)

        def flip(data, at):
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]

        import base64
        tag("a/payload", lambda l: l.update(payload=flip(l["payload"], 40)))
        tag("a/sig", lambda l: l["annotations"].update(
            {name: sigstore.b64(flip(base64.b64decode(l["annotations"][name]), 20))}))

        def bundle(repo, change):
            digest = image(r, repo)
            value = world.key_bundle(key, digest)
            change(value["dsseEnvelope"])
            put_bundle(r, repo, digest, value)
            both(home, peers, r.ref(repo + ":1"), ours, theirs, False)
        bundle("b/payload", lambda e: e.update(payload=sigstore.b64(flip(base64.b64decode(e["payload"]), 3))))
        bundle("b/sig", lambda e: e["signatures"][0].update(
            sig=sigstore.b64(flip(base64.b64decode(e["signatures"][0]["sig"]), 20))))


# ---- keyless ----


def keyless(home, world, r=None):
    write(home, world.files() | {"trusted_root.json": json.dumps(world.trusted_root()).encode()})
    files = {"SIGSTORE_ROOT_FILE": home.dir / "roots.pem", "SIGSTORE_REKOR_PUBLIC_KEY": home.dir / "rekor.pub",
             "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": home.dir / "ctfe.pub"}
    ours = ["--verify-issuer", sigstore.ISSUER, "--verify-identity", sigstore.IDENTITY]
    theirs = ["--trusted-root", home.dir / "trusted_root.json", "--certificate-identity", sigstore.IDENTITY,
              "--certificate-oidc-issuer", sigstore.ISSUER]
    return {k: str(v) for k, v in files.items()}, ours, theirs


@test(image=False)
def keyless_accepted_by_both(home):
    """Our generator makes the real formats: cosign accepts them, and so do we."""
    peers, world = Peers(home.dir), sigstore.World()
    env, ours, theirs = keyless(home, world)
    with Registry() as r:
        cases = {"tag": lambda repo, d: put_layers(r, repo, d, [world.keyless_layer(r.ref(repo), d)]),
                 "bundle": lambda repo, d: put_bundle(r, repo, d, world.keyless_bundle(d)),
                 "intoto": lambda repo, d: put_bundle(r, repo, d, world.keyless_bundle(d, kind="intoto"))}
        for name, put in cases.items():
            put(f"k/{name}", image(r, f"k/{name}"))
            ref = r.ref(f"k/{name}:1")
            cosign_verify(peers, ref, *theirs)
            pull(home, ref, *ours, env=env)
            home.a3s("rmi", "-f", ref)


@test(image=False)
def rekor_v2(home):
    """A log without times, and a clock: what cosign 3 writes with the public services of today."""
    peers, world = Peers(home.dir), sigstore.World()
    env, ours, theirs = keyless(home, world)
    env |= {"SIGSTORE_REKOR_PUBLIC_KEY": str(home.dir / "rekor2.pub"), "SIGSTORE_TSA_CERTIFICATE_FILE": str(home.dir / "tsa.pem")}
    other = sigstore.World(world.time)
    with Registry() as r:
        for name, bundle, ok in (("good", lambda d: world.bundle2(d), True),
                                 ("no-time", lambda d: world.bundle2(d, stamped=False), False),
                                 ("other", lambda d: other.bundle2(d), False)):
            digest = image(r, name)
            put_bundle(r, name, digest, bundle(digest))
            cosign_verify(peers, r.ref(name + ":1"), *theirs, "--use-signed-timestamps", ok=ok)
            pull(home, r.ref(name + ":1"), *ours, ok=ok, env=env)
            if ok:
                home.a3s("rmi", "-f", r.ref(name + ":1"))


@test(image=False)
def keyless_refused_by_both(home):
    peers, world = Peers(home.dir), sigstore.World()
    other = sigstore.World(world.time)
    env, ours, theirs = keyless(home, world)
    evil = [sigstore.x509.RFC822Name("mallory@example.org")]
    layers = {"expired": lambda ref, d: world.keyless_layer(ref, d, late=sigstore.HOUR),
              "no-sct": lambda ref, d: world.keyless_layer(ref, d, logs=[]),
              "other-ct": lambda ref, d: world.keyless_layer(ref, d, logs=[other.ct]),
              "usage": lambda ref, d: world.keyless_layer(ref, d, usage=sigstore.ExtendedKeyUsageOID.SERVER_AUTH),
              "identity": lambda ref, d: world.keyless_layer(ref, d, names=evil),
              "issuer": lambda ref, d: world.keyless_layer(ref, d, issuer="https://evil.example.org"),
              "other-world": lambda ref, d: other.keyless_layer(ref, d)}
    bundles = {"b-expired": lambda d: world.keyless_bundle(d, late=sigstore.HOUR),
               "b-no-promise": lambda d: world.keyless_bundle(d, promise=False),
               "b-no-proof": lambda d: world.keyless_bundle(d, proof=False),
               "b-no-log": lambda d: world.keyless_bundle(d, logged=False),
               "b-no-sct": lambda d: world.keyless_bundle(d, logs=[]),
               "b-issuer": lambda d: world.keyless_bundle(d, issuer="https://evil.example.org"),
               "b-other-world": lambda d: other.keyless_bundle(d)}
    with Registry() as r:
        for name, make in layers.items():
            digest = image(r, name)
            put_layers(r, name, digest, [make(r.ref(name), digest)])
            cosign_verify(peers, r.ref(name + ":1"), *theirs, ok=False)
            pull(home, r.ref(name + ":1"), *ours, ok=False, env=env)
        for name, make in bundles.items():
            digest = image(r, name)
            put_bundle(r, name, digest, make(digest))
            cosign_verify(peers, r.ref(name + ":1"), *theirs, ok=False)
            pull(home, r.ref(name + ":1"), *ours, ok=False, env=env)


# ---- the policy ----


def policy(home, value):
    home.path.mkdir(exist_ok=True)
    (home.path / "trust.json").write_text(value if isinstance(value, str) else json.dumps(value))


@test(image=False)
def policy_on_pull_and_create(home):
    key = sigstore.keys()["p256"]
    write(home, {"k.pub": sigstore.public_pem(key)})
    world = sigstore.World()
    with Registry() as r:
        digest = image(r, "team/web")
        image(r, "free/web", content="free")
        rule = {"type": "key", "keys": [str(home.dir / "k.pub")]}
        rules = {"rules": {r.host: {"type": "reject"}, r.host + "/team": rule, r.host + "/free": {"type": "accept"}}}
        web = r.ref("team/web:1")

        # pulled before there was a policy: run must not take it
        home.a3s("pull", "-q", web)
        policy(home, rules)
        contains(home.a3s("create", web, status=None).err, "has not been verified")
        contains(home.a3s("pull", "-q", web, status=1).err, "has no signature")

        put_layers(r, "team/web", digest, [world.key_layer(key, r.ref("team/web"), digest)])
        home.a3s("pull", "-q", web)
        box = home.out("create", web)
        home.a3s("rm", box)

        # another name does not carry the permission to another repository
        home.a3s("tag", web, r.ref("other/web:1"))
        contains(home.a3s("create", r.ref("other/web:1"), status=None).err, "rejects")
        image_id = home.out("images", "-q", web)
        contains(home.a3s("create", image_id, status=None).err, "rejects")
        contains(home.a3s("pull", "-q", r.ref("other/web:1"), status=1).err, "rejects")

        # a new key is a new rule
        write(home, {"k.pub": sigstore.public_pem(sigstore.keys()["p256"])})
        contains(home.a3s("create", web, status=None).err, "has not been verified")
        contains(home.a3s("pull", "-q", web, status=1).err, "no key of the policy")

        home.a3s("pull", "-q", r.ref("free/web:1"))
        policy(home, '{"rules": {"x.example.org": {"type": "acept"}}}')  # broken: nothing goes
        contains(home.a3s("create", r.ref("free/web:1"), status=None).err, "'acept'")
        contains(home.a3s("pull", "-q", r.ref("free/web:1"), status=1).err, "'acept'")


def index(r, repo, content):
    """An index with an image for this platform: both digests."""
    manifest = image(r, repo, "only", content)
    body = r.manifest(f"{repo}:only")[2]
    one = {"mediaType": OCI + "manifest.v1+json", "digest": manifest, "size": len(body),
           "platform": {"os": "linux", "architecture": ARCH}}
    value = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [one]}
    return put_manifest(r, repo, "1", value)["digest"], manifest


@test(image=False)
def index_and_platform(home):
    """A signature of the index, as cosign makes it, or of the platform's manifest: run knows of either."""
    peers = Peers(home.dir)
    key, public = key_pair(home, peers)
    with Registry() as r:
        policy(home, {"default": {"type": "key", "keys": [str(public)]}})
        for at in (0, 1):
            repo = f"multi/{at}"
            digest = index(r, repo, f"multi {at}")[at]
            contains(home.a3s("pull", "-q", r.ref(f"{repo}:1"), status=1).err, "has no signature")
            peers.cosign("sign", "--key", key, *PLAIN, r.ref(f"{repo}@{digest}"), env={"COSIGN_PASSWORD": "pw"})
            home.a3s("pull", "-q", r.ref(f"{repo}:1"))
            home.a3s("rm", home.out("create", r.ref(f"{repo}:1")))
            home.a3s("pull", "-q", r.ref(f"{repo}:1"))  # up to date, and verified again


@test(image=False)
def registry_that_fails_is_not_an_unsigned_image(home):
    """Who cannot ask for signatures must not go on without them."""
    key = sigstore.keys()["p256"]
    write(home, {"k.pub": sigstore.public_pem(key)})
    with Registry() as r:
        image(r)
        r.stop()
        err = home.a3s("pull", "-q", "--verify-key", home.dir / "k.pub", r.ref("team/web:1"), status=1).err
        check("Error" in err, err)


# ---- push --sign-key ----


def sign_and_check(home, peers, r, key, public, env={}):
    ref = r.ref("team/busybox:1")
    home.a3s("tag", "local/busybox", ref)
    home.a3s("push", "-q", "--sign-key", key, ref, env=env)
    cosign_verify(peers, ref, "--key", public, NO_LOG)
    home.a3s("rmi", ref)
    pull(home, ref, "--verify-key", public)


@test
def cosign_accepts_ours(home):
    """With cosign's encrypted key and with plain ones; what the tag has is kept."""
    peers = Peers(home.dir)
    key, public = key_pair(home, peers)
    with Registry() as r:
        sign_and_check(home, peers, r, key, public, {"COSIGN_PASSWORD": "pw"})
        made = sigstore.keys()
        sec1 = sigstore.serialization.PrivateFormat.TraditionalOpenSSL
        plain = {"p256": sigstore.private_pem(made["p256"], sec1), "ed25519": sigstore.private_pem(made["ed25519"]),
                 "rsa": sigstore.private_pem(made["rsa"])}
        for name, pem in plain.items():
            write(home, {name + ".key": pem, name + ".pub": sigstore.public_pem(made[name])})
            sign_and_check(home, peers, r, home.dir / (name + ".key"), home.dir / (name + ".pub"))
        for kept in (public, home.dir / "p256.pub"):
            cosign_verify(peers, r.ref("team/busybox:1"), "--key", kept, NO_LOG)
        tag = r.manifest("team/busybox:1")[0].replace(":", "-") + ".sig"
        equal(len(json.loads(r.manifest("team/busybox:" + tag)[2])["layers"]), 4, "signatures")
        # again with the same key: nothing new
        home.a3s("push", "-q", "--sign-key", home.dir / "p256.key", r.ref("team/busybox:1"))
        equal(len(json.loads(r.manifest("team/busybox:" + tag)[2])["layers"]), 4, "signatures")
        # cosign adds its own to ours
        peers.cosign("sign", "--key", key, *PLAIN, r.ref("team/busybox@" + r.manifest("team/busybox:1")[0]),
                     env={"COSIGN_PASSWORD": "pw"})
        cosign_verify(peers, r.ref("team/busybox:1"), "--key", home.dir / "ed25519.pub", NO_LOG)


@test
def wrong_password_pushes_nothing(home):
    peers = Peers(home.dir)
    key, _ = key_pair(home, peers)
    with Registry() as r:
        ref = r.ref("team/busybox:1")
        home.a3s("tag", "local/busybox", ref)
        mark = r.mark()
        contains(home.a3s("push", "--sign-key", key, ref, status=1, env={"COSIGN_PASSWORD": "no"}).err, "Wrong password")
        contains(home.a3s("push", "--sign-key", home.dir / "k.pub", ref, status=1).err, "not a private key")
        equal(r.requests(mark), [], "requests")


def at_terminal(home, keys, *args):
    """A command at a terminal of its own: (status, output). The keys follow its question."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(harness.BIN / "a3s-box", ["a3s-box", *map(str, args)],
                  {k: v for k, v in home.env.items() if k != "COSIGN_PASSWORD"})
    out = b""
    try:
        while select.select([fd], [], [], harness.TIMEOUT)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:  # the terminal is gone with its last user
                break
            out += data
            if keys and b"private key: " in out:
                os.write(fd, keys)
                keys = None
    finally:
        os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out.decode()


@test
def password_from_the_terminal(home):
    """It is not shown, can be corrected, and ^C ends with the terminal as it was."""
    peers = Peers(home.dir)
    key, public = key_pair(home, peers, password="open")
    with Registry() as r:
        ref = r.ref("team/busybox:1")
        home.a3s("tag", "local/busybox", ref)
        status, out = at_terminal(home, b"ope\x03", "push", "--sign-key", key, ref)
        equal(status, 1)
        contains(out, "No password")
        status, out = at_terminal(home, b"x\x15opem\x7fn\r", "push", "--sign-key", key, ref)
        equal(status, 0)
        check("ope" not in out, out)
        cosign_verify(peers, ref, "--key", public, NO_LOG)


main()
