"""A Sigstore of our own, without a network: a certificate authority like Fulcio, a transparency log
like Rekor, a certificate log, a clock (RFC 3161), and what cosign would write with them.

    world = World()
    signature = world.keyless_layer(repository, digest)       # a layer of the .sig tag
    bundle = world.keyless_bundle(digest, version=3)

test_cosign.py has the real cosign verify what is made here; the unit tests in C read it as JSON
(`sigstore.py FILE`).
"""
import base64
import ctypes
import ctypes.util
import datetime
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE_V3 = "application/vnd.dev.sigstore.bundle.v0.3+json"
ISSUER = "https://accounts.example.org"
IDENTITY = "release@example.org"
SCT_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
HOUR = 3600


def b64(data):
    return base64.b64encode(data).decode()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def sha256(data):
    return hashlib.sha256(data).digest()


def spki(key):
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(serialization.Encoding.DER,
                               serialization.PublicFormat.SubjectPublicKeyInfo)


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def private_pem(key, form=serialization.PrivateFormat.PKCS8):
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def cert_pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


def cert_der(cert):
    return cert.public_bytes(serialization.Encoding.DER)


def sign(key, data, hash_=None):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hash_ or hashes.SHA256())
    return key.sign(data, ec.ECDSA(hash_ or hashes.SHA256()))


def encrypt_key(key, password, n=1 << 15):
    """cosign's container around PKCS #8: scrypt and NaCl's secretbox."""
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption())
    salt, nonce = os.urandom(32), os.urandom(24)
    derived = hashlib.scrypt(password, salt=salt, n=n, r=8, p=1, dklen=32, maxmem=192 << 20)
    out = ctypes.create_string_buffer(len(der) + 16)
    sodium.crypto_secretbox_easy(out, der, ctypes.c_ulonglong(len(der)), nonce, derived)
    container = {"kdf": {"name": "scrypt", "params": {"N": n, "r": 8, "p": 1}, "salt": b64(salt)},
                 "cipher": {"name": "nacl/secretbox", "nonce": b64(nonce)},
                 "ciphertext": b64(out.raw)}
    text = b64(json.dumps(container, separators=(",", ":")).encode())
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    label = "ENCRYPTED SIGSTORE PRIVATE KEY"
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def payload(repository, digest):
    return json.dumps({"critical": {"identity": {"docker-reference": repository},
                                    "image": {"docker-manifest-digest": digest},
                                    "type": "cosign container image signature"},
                       "optional": None}, separators=(",", ":")).encode()


def statement(digest, predicate="https://sigstore.dev/cosign/sign/v1"):
    return json.dumps({"_type": "https://in-toto.io/Statement/v1",
                       "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
                       "predicateType": predicate, "predicate": {}}).encode()


def pae(data, kind="application/vnd.in-toto+json"):
    return f"DSSEv1 {len(kind)} {kind} {len(data)} ".encode() + data


# ---- the log --------------------------------------------------------------------------------


def leaf_hash(data):
    return sha256(b"\0" + data)


def tree_hash(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + tree_hash(leaves[:k]) + tree_hash(leaves[k:]))


def tree_path(leaves, at):
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if at < k:
        return tree_path(leaves[:k], at) + [tree_hash(leaves[k:])]
    return tree_path(leaves[k:], at - k) + [tree_hash(leaves[:k])]


class Rekor:
    """`size` entries by others, and one that is asked for at position `at`."""

    ORIGIN = "rekor.example.org - 1193050959916656506"

    def __init__(self, size=21, at=13):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = sha256(spki(self.key))
        self.size, self.at, self.offset = size, at, 5000  # shards before this one
        self.others = [leaf_hash(b"entry %d" % i) for i in range(size)]

    def promise(self, body, time):
        """cosign's annotation dev.sigstore.cosign/bundle."""
        entry = {"body": b64(body), "integratedTime": time, "logID": self.id.hex(),
                 "logIndex": self.offset + self.at}
        return {"SignedEntryTimestamp": b64(sign(self.key, canonical(entry))), "Payload": entry}

    def checkpoint(self, root):
        text = f"{self.ORIGIN}\n{self.size}\n{b64(root)}\n"
        signature = self.id[:4] + sign(self.key, text.encode())
        return f"{text}\n\u2014 rekor.example.org {b64(signature)}\n"

    def entry(self, body, time, promise=True, proof=True):
        """An element of tlogEntries."""
        leaves = list(self.others)
        leaves[self.at] = leaf_hash(body)
        kind = json.loads(body)
        entry = {"logIndex": str(self.offset + self.at), "logId": {"keyId": b64(self.id)},
                 "kindVersion": {"kind": kind["kind"], "version": kind["apiVersion"]},
                 "integratedTime": str(time), "canonicalizedBody": b64(body)}
        if promise:
            set_ = self.promise(body, time)["SignedEntryTimestamp"]
            entry["inclusionPromise"] = {"signedEntryTimestamp": set_}
        if proof:
            root = tree_hash(leaves)
            entry["inclusionProof"] = {
                "logIndex": str(self.at), "rootHash": b64(root), "treeSize": str(self.size),
                "hashes": [b64(h) for h in tree_path(leaves, self.at)],
                "checkpoint": {"envelope": self.checkpoint(root)}}
        return entry


class Rekor2:
    """Rekor v2: tiles, an Ed25519 key (or another), and neither promises nor times."""

    ORIGIN = "log2.rekor.example.org"

    def __init__(self, key=None, size=21, at=13):
        self.key = key or ed25519.Ed25519PrivateKey.generate()
        self.size, self.at = size, at
        self.id = sha256(spki(self.key))
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            self.id = sha256(self.ORIGIN.encode() + b"\n\1" + spki(self.key)[-32:])

    def entry(self, body):
        leaves = [leaf_hash(b"entry %d" % i) for i in range(self.size)]
        leaves[self.at] = leaf_hash(body)
        root = tree_hash(leaves)
        text = f"{self.ORIGIN}\n{self.size}\n{b64(root)}\n"
        signature = self.id[:4] + sign(self.key, text.encode())
        kind = json.loads(body)
        return {"logIndex": str(self.at), "logId": {"keyId": b64(self.id)},
                "kindVersion": {"kind": kind["kind"], "version": kind["apiVersion"]},
                "canonicalizedBody": b64(body),
                "inclusionProof": {
                    "logIndex": str(self.at), "rootHash": b64(root), "treeSize": str(self.size),
                    "hashes": [b64(h) for h in tree_path(leaves, self.at)],
                    "checkpoint": {"envelope": f"{text}\n\u2014 {self.ORIGIN} {b64(signature)}\n"}}}


def hashedrekord2(message, signature, cert):
    return canonical({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": {
        "data": {"algorithm": "SHA2_256", "digest": b64(sha256(message))},
        "signature": {"content": b64(signature), "verifier": {
            "keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": b64(cert_der(cert))}}}}}})


def dsse2(data, signature, cert):
    return canonical({"apiVersion": "0.0.2", "kind": "dsse", "spec": {"dsseV002": {
        "payloadHash": {"algorithm": "SHA2_256", "digest": b64(sha256(data))},
        "signatures": [{"content": b64(signature), "verifier": {
            "keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": b64(cert_der(cert))}}}]}}})


def hashedrekord(message, signature, verifier_pem):
    return canonical({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": sha256(message).hex()}},
        "signature": {"content": b64(signature), "publicKey": {"content": b64(verifier_pem)}}}})


def dsse_entry(envelope, data, signature, verifier_pem):
    return canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "envelopeHash": {"algorithm": "sha256", "value": sha256(envelope).hex()},
        "payloadHash": {"algorithm": "sha256", "value": sha256(data).hex()},
        "signatures": [{"signature": b64(signature), "verifier": b64(verifier_pem)}]}})


def intoto_entry(envelope, data, signature, verifier_pem):
    return canonical({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": {
        "envelope": {"payloadType": "application/vnd.in-toto+json", "signatures": [
            {"publicKey": b64(verifier_pem), "sig": b64(b64(signature).encode())}]},
        "hash": {"algorithm": "sha256", "value": sha256(envelope).hex()},
        "payloadHash": {"algorithm": "sha256", "value": sha256(data).hex()}}}})


# ---- certificates ---------------------------------------------------------------------------


def octets(data):
    n = len(data)
    head = bytes([n]) if n < 128 else (b"\x81" + bytes([n]) if n < 256 else b"\x82" + struct.pack(">H", n))
    return b"\x04" + head + data


def utf8(text):
    return b"\x0c" + bytes([len(text)]) + text.encode()


def moment(unix):
    return datetime.datetime.fromtimestamp(unix, datetime.timezone.utc).replace(tzinfo=None)


class CtLog:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = sha256(spki(self.key))

    def sct(self, tbs, issuer_key, time):
        signed = (b"\0\0" + struct.pack(">QH", time * 1000, 1) + sha256(spki(issuer_key)) +
                  struct.pack(">I", len(tbs))[1:] + tbs + b"\0\0")
        signature = sign(self.key, signed)
        one = (b"\0" + self.id + struct.pack(">Q", time * 1000) + b"\0\0" + b"\4\3" +
               struct.pack(">H", len(signature)) + signature)
        return struct.pack(">H", len(one)) + one


class Fulcio:
    """A root, and the intermediate that issues."""

    def __init__(self, start):
        self.root_key = ec.generate_private_key(ec.SECP384R1())
        self.key = ec.generate_private_key(ec.SECP384R1())
        self.root = self._authority("root", self.root_key.public_key(), self.root_key, "root", start)
        self.cert = self._authority("intermediate", self.key.public_key(), self.root_key, "root", start)

    @staticmethod
    def _name(text):
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "example.org"),
                          x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def _authority(self, name, public, signer, issuer, start):
        builder = (x509.CertificateBuilder().subject_name(self._name(name)).issuer_name(self._name(issuer))
                   .public_key(public).serial_number(x509.random_serial_number())
                   .not_valid_before(moment(start)).not_valid_after(moment(start + 10 * 365 * 24 * HOUR))
                   .add_extension(x509.BasicConstraints(True, 1 if name == "root" else 0), True)
                   .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False))
        if name != "root":
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
        return builder.sign(signer, hashes.SHA384())

    def issue(self, key, logs, time, names=None, issuer=ISSUER, usage=ExtendedKeyUsageOID.CODE_SIGNING,
              raw_issuer=True, minutes=10):
        builder = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(self.cert.subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(moment(time)).not_valid_after(moment(time + 60 * minutes))
                   .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), True)
                   .add_extension(x509.ExtendedKeyUsage([usage]), False)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
                   .add_extension(x509.SubjectAlternativeName(names or [x509.RFC822Name(IDENTITY)]), True))
        oid = "1.3.6.1.4.1.57264.1."
        if raw_issuer:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier(oid + "1"), issuer.encode()), False)
        builder = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier(oid + "8"), utf8(issuer)), False)
        tbs = builder.sign(self.key, hashes.SHA384()).tbs_certificate_bytes
        if not logs:
            return builder.sign(self.key, hashes.SHA384())
        scts = b"".join(log.sct(tbs, self.key, time) for log in logs)
        entry = octets(struct.pack(">H", len(scts)) + scts)
        return builder.add_extension(x509.UnrecognizedExtension(SCT_OID, entry), False).sign(
            self.key, hashes.SHA384())


class Clock:
    """A timestamp authority: openssl's."""

    def __init__(self, start):
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = Fulcio._name("clock")
        root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = (x509.CertificateBuilder().subject_name(Fulcio._name("clock root"))
                     .issuer_name(Fulcio._name("clock root")).public_key(root_key.public_key())
                     .serial_number(x509.random_serial_number()).not_valid_before(moment(start))
                     .not_valid_after(moment(start + 10 * 365 * 24 * HOUR))
                     .add_extension(x509.BasicConstraints(True, 0), True)
                     .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
                     .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), False)
                     .sign(root_key, hashes.SHA256()))
        self.cert = (x509.CertificateBuilder().subject_name(name).issuer_name(self.root.subject)
                     .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                     .not_valid_before(moment(start)).not_valid_after(moment(start + 5 * 365 * 24 * HOUR))
                     .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), True)
                     .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
                     .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
                     .sign(root_key, hashes.SHA256()))

    def stamp(self, data):
        with tempfile.TemporaryDirectory() as d:
            at = lambda name: os.path.join(d, name)
            files = {"key": private_pem(self.key), "cert": cert_pem(self.cert), "data": data, "serial": b"01\n",
                     "conf": (f"[tsa]\ndefault_tsa=t\n[t]\nserial={at('serial')}\nsigner_digest=sha256\n"
                              "default_policy=1.2.3.4\ndigests=sha256\ness_cert_id_alg=sha256\n").encode()}
            for name, content in files.items():
                with open(at(name), "wb") as f:
                    f.write(content)
            run = lambda *args: subprocess.run(["openssl", "ts", *args], check=True, capture_output=True)
            run("-query", "-data", at("data"), "-sha256", "-cert", "-out", at("query"))
            run("-reply", "-config", at("conf"), "-section", "t", "-queryfile", at("query"), "-signer", at("cert"),
                "-inkey", at("key"), "-out", at("reply"))
            with open(at("reply"), "rb") as f:
                return f.read()


# ---- everything together --------------------------------------------------------------------


class World:
    def __init__(self, time=None):
        now = int(datetime.datetime.now().timestamp())
        self.time = time or now - 48 * HOUR  # when things are signed: certificates have long expired
        self.start = self.time - 24 * HOUR
        self.now = now
        self.fulcio, self.ct, self.rekor = Fulcio(self.start), CtLog(), Rekor()
        self.clock = Clock(self.start)
        self.rekor2 = Rekor2()

    def files(self):
        return {"roots.pem": cert_pem(self.fulcio.root) + cert_pem(self.fulcio.cert),
                "root-only.pem": cert_pem(self.fulcio.root), "intermediate.pem": cert_pem(self.fulcio.cert),
                "rekor.pub": public_pem(self.rekor.key),
                "rekor2.pub": public_pem(self.rekor2.key), "ctfe.pub": public_pem(self.ct.key),
                "tsa.pem": cert_pem(self.clock.root)}

    def trusted_root(self):
        """sigstore's trusted_root.json for `cosign --trusted-root`."""
        begin = moment(self.start).isoformat() + "Z"
        def log(url, key, id_=None, details="PKIX_ECDSA_P256_SHA_256"):
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256",
                    "publicKey": {"rawBytes": b64(spki(key)), "keyDetails": details,
                                  "validFor": {"start": begin}},
                    "logId": {"keyId": b64(id_ or sha256(spki(key)))}}
        return {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [log("https://rekor.example.org", self.rekor.key),
                          log("https://" + Rekor2.ORIGIN, self.rekor2.key, self.rekor2.id, "PKIX_ED25519")],
                "certificateAuthorities": [
                    {"subject": {"organization": "example.org", "commonName": "root"},
                     "uri": "https://fulcio.example.org",
                     "certChain": {"certificates": [{"rawBytes": b64(cert_der(self.fulcio.cert))},
                                                    {"rawBytes": b64(cert_der(self.fulcio.root))}]},
                     "validFor": {"start": begin}}],
                "ctlogs": [log("https://ctfe.example.org", self.ct.key)],
                "timestampAuthorities": [
                    {"subject": {"organization": "example.org", "commonName": "clock root"},
                     "certChain": {"certificates": [{"rawBytes": b64(cert_der(self.clock.cert))},
                                                    {"rawBytes": b64(cert_der(self.clock.root))}]},
                     "validFor": {"start": begin}}]}

    def key_layer(self, key, repository, digest, logged=False, hash_=None):
        data = payload(repository, digest)
        signature = sign(key, data, hash_)
        annotations = {"dev.cosignproject.cosign/signature": b64(signature)}
        if logged:
            body = hashedrekord(data, signature, public_pem(key))
            annotations["dev.sigstore.cosign/bundle"] = json.dumps(self.rekor.promise(body, self.time + 60))
        return {"payload": data, "annotations": annotations}

    def certificate(self, key, at=None, **how):
        return self.fulcio.issue(key, how.pop("logs", [self.ct]), at or self.time, **how)

    def keyless_layer(self, repository, digest, late=0, logged=True, stamped=False, cert=None, key=None, **how):
        key = key or ec.generate_private_key(ec.SECP256R1())
        cert = cert or self.certificate(key, **how)
        data = payload(repository, digest)
        signature = sign(key, data)
        annotations = {"dev.cosignproject.cosign/signature": b64(signature),
                       "dev.sigstore.cosign/certificate": cert_pem(cert).decode(),
                       "dev.sigstore.cosign/chain": (cert_pem(self.fulcio.cert) + cert_pem(self.fulcio.root)).decode()}
        if logged:
            body = hashedrekord(data, signature, cert_pem(cert))
            annotations["dev.sigstore.cosign/bundle"] = json.dumps(self.rekor.promise(body, self.time + 60 + late))
        if stamped:
            annotations["dev.sigstore.cosign/rfc3161timestamp"] = json.dumps(
                {"SignedRFC3161Timestamp": b64(self.clock.stamp(signature))})
        return {"payload": data, "annotations": annotations}

    def _bundle(self, data, key, material, verifier_pem, version, logged, promise, proof, kind, late=0, hash_=None):
        signature = sign(key, pae(data), hash_)
        envelope = {"payload": b64(data), "payloadType": "application/vnd.in-toto+json",
                    "signatures": [{"sig": b64(signature)}]}
        if logged:
            make = dsse_entry if kind == "dsse" else intoto_entry
            body = make(canonical(envelope), data, signature, verifier_pem)
            material["tlogEntries"] = [self.rekor.entry(body, self.time + 60 + late, promise, proof)]
        media_type = BUNDLE_V3 if version == 3 else f"application/vnd.dev.sigstore.bundle+json;version=0.{version}"
        return {"mediaType": media_type, "verificationMaterial": material, "dsseEnvelope": envelope}

    def key_bundle(self, key, digest, version=3, logged=False, predicate=None, hash_=None):
        data = statement(digest, predicate) if predicate else statement(digest)
        material = {"publicKey": {"hint": b64(sha256(spki(key)))}}
        return self._bundle(data, key, material, public_pem(key), version, logged, True, True, "dsse", hash_=hash_)

    def keyless_bundle(self, digest, version=3, promise=True, proof=True, kind="dsse", stamped=False, late=0,
                       cert=None, key=None, logged=True, **how):
        key = key or ec.generate_private_key(ec.SECP256R1())
        cert = cert or self.certificate(key, **how)
        raw = {"rawBytes": b64(cert_der(cert))}
        material = {"certificate": raw} if version == 3 else {"x509CertificateChain": {"certificates": [raw]}}
        bundle = self._bundle(statement(digest), key, material, cert_pem(cert), version, logged, promise, proof, kind, late)
        if stamped:
            signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
            material["timestampVerificationData"] = {
                "rfc3161Timestamps": [{"signedTimestamp": b64(self.clock.stamp(signature))}]}
        return bundle


    def bundle2(self, digest, kind="hashedrekord", stamped=True, **how):
        """Keyless, with Rekor v2 and the clock."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self.certificate(key, at=self.now - 60, **how)
        data = statement(digest)
        signature = sign(key, pae(data))
        body = hashedrekord2(pae(data), signature, cert) if kind == "hashedrekord" else dsse2(data, signature, cert)
        material = {"certificate": {"rawBytes": b64(cert_der(cert))}, "tlogEntries": [self.rekor2.entry(body)]}
        if stamped:
            material["timestampVerificationData"] = {
                "rfc3161Timestamps": [{"signedTimestamp": b64(self.clock.stamp(signature))}]}
        return {"mediaType": BUNDLE_V3, "verificationMaterial": material, "dsseEnvelope": {
            "payload": b64(data), "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": b64(signature)}]}}


# ---- for the unit tests in C ----------------------------------------------------------------


REPOSITORY = "registry.example.org/team/web"
DIGEST = "sha256:" + sha256(b"the image").hex()


def keys():
    return {"p256": ec.generate_private_key(ec.SECP256R1()), "p384": ec.generate_private_key(ec.SECP384R1()),
            "p521": ec.generate_private_key(ec.SECP521R1()), "ed25519": ed25519.Ed25519PrivateKey.generate(),
            "rsa": rsa.generate_private_key(65537, 2048)}


def key_files(made):
    sec1 = serialization.PrivateFormat.TraditionalOpenSSL
    files = {name + ".pub": public_pem(key) for name, key in made.items()}
    files |= {name + ".p8": private_pem(key) for name, key in made.items()}
    files |= {"p256.sec1": private_pem(made["p256"], sec1), "rsa.pkcs1": private_pem(made["rsa"], sec1),
              "p256.enc": encrypt_key(made["p256"], b"correct horse"),
              "ed25519.enc": encrypt_key(made["ed25519"], b"", 1 << 16),
              "k256.pub": public_pem(ec.generate_private_key(ec.SECP256K1())),
              "rsa1024.pub": public_pem(rsa.generate_private_key(65537, 1024)),
              "other.pub": public_pem(ec.generate_private_key(ec.SECP256R1()))}
    return files


def good_cases(w, made):
    """name: (rule, case); rules are the unit test's."""
    uri = x509.UniformResourceIdentifier("https://ci.example.org/workflow@main")
    other = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), utf8("machine!ci"))
    now = {"at": w.now - 60}  # openssl's clock says now
    ed = ed25519.Ed25519PrivateKey.generate()
    layers = {f"key {name}": (name, w.key_layer(key, REPOSITORY, DIGEST)) for name, key in made.items()}
    layers |= {
        "key p384 sha384": ("p384", w.key_layer(made["p384"], REPOSITORY, DIGEST, hash_=hashes.SHA384())),
        "key logged": ("p256 logged", w.key_layer(made["p256"], REPOSITORY, DIGEST, logged=True)),
        "keyless": ("keyless", w.keyless_layer(REPOSITORY, DIGEST)),
        "keyless new issuer only": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, raw_issuer=False)),
        "keyless uri": ("keyless uri", w.keyless_layer(REPOSITORY, DIGEST, names=[uri])),
        "keyless other": ("keyless other", w.keyless_layer(REPOSITORY, DIGEST, names=[other])),
        "keyless no sct": ("keyless ignore sct", w.keyless_layer(REPOSITORY, DIGEST, logs=[])),
        "keyless second sct": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, logs=[CtLog(), w.ct])),
        "keyless ed25519": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, key=ed)),
        "keyless stamped": ("keyless tsa", w.keyless_layer(REPOSITORY, DIGEST, logged=False, stamped=True, **now)),
    }
    bundles = {f"bundle {name}": (name, w.key_bundle(key, DIGEST)) for name, key in made.items()}
    bundles |= {
        "bundle logged": ("p256 logged", w.key_bundle(made["p256"], DIGEST, logged=True)),
        "bundle keyless 0.3": ("keyless", w.keyless_bundle(DIGEST)),
        "bundle keyless 0.2": ("keyless", w.keyless_bundle(DIGEST, version=2)),
        "bundle keyless 0.1": ("keyless", w.keyless_bundle(DIGEST, version=1, proof=False)),
        "bundle keyless intoto": ("keyless", w.keyless_bundle(DIGEST, kind="intoto")),
        "bundle keyless proof and clock": ("keyless both", w.keyless_bundle(DIGEST, promise=False, stamped=True, **now)),
    }
    bundles |= {f"bundle rekor v2 {kind}": ("keyless both v2", w.bundle2(DIGEST, kind)) for kind in ("hashedrekord", "dsse")}
    return layers, bundles


def bad_cases(w, made):
    """name: (rule, case, what the reason says)"""
    other, stranger = World(w.time), ec.generate_private_key(ec.SECP256R1())
    wrong = "sha256:" + sha256(b"another image").hex()
    server = ExtendedKeyUsageOID.SERVER_AUTH
    mixed = w.keyless_layer(REPOSITORY, DIGEST)
    mixed["annotations"]["dev.sigstore.cosign/bundle"] = \
        w.keyless_layer(REPOSITORY, DIGEST)["annotations"]["dev.sigstore.cosign/bundle"]
    layers = {
        "other key": ("p256", w.key_layer(stranger, REPOSITORY, DIGEST), "no key of the policy"),
        "other image": ("p256", w.key_layer(made["p256"], REPOSITORY, wrong), "another image"),
        "not logged": ("p256 logged", w.key_layer(made["p256"], REPOSITORY, DIGEST), "no transparency log"),
        "logged elsewhere": ("p256 logged", other.key_layer(made["p256"], REPOSITORY, DIGEST, logged=True), "no transparency log"),
        "other repository": ("p256 here", w.key_layer(made["p256"], "registry.example.org/x", DIGEST), "made for the image in"),
        "no certificate": ("keyless", w.key_layer(made["p256"], REPOSITORY, DIGEST, logged=True), "no certificate"),
        "certificate expired": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, late=HOUR), "expired"),
        "certificate too new": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, late=-2 * HOUR), "not yet valid"),
        "other root": ("keyless", other.keyless_layer(REPOSITORY, DIGEST), "log"),
        "other ca": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, key=stranger, cert=other.certificate(stranger, logs=[w.ct])), "not trusted"),
        "no sct": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, logs=[]), "no timestamp of a log"),
        "unknown ct log": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, logs=[CtLog()]), "no certificate log"),
        "other usage": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, usage=server), "code signing"),
        "other identity": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, names=[x509.RFC822Name("mallory@example.org")]), "does not name"),
        "identity as uri's part": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, names=[x509.RFC822Name(IDENTITY + ".evil")]), "does not name"),
        "other issuer": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, issuer="https://evil.example.org"), "does not name"),
        "not logged keyless": ("keyless", w.keyless_layer(REPOSITORY, DIGEST, logged=False), "no transparency log"),
        "log entry of another": ("keyless", mixed, "another"),
        "unknown clock": ("keyless tsa", other.keyless_layer(REPOSITORY, DIGEST, logged=False, stamped=True), "timestamp"),
    }
    message = w.key_bundle(made["p256"], DIGEST)
    message["messageSignature"] = {"messageDigest": {"algorithm": "SHA2_256", "digest": b64(b"0" * 32)}, "signature": b64(b"x")}
    del message["dsseEnvelope"]
    twice = w.key_bundle(made["p256"], DIGEST)
    twice["dsseEnvelope"]["signatures"] *= 2
    chain = w.keyless_bundle(DIGEST, version=2)
    chain["mediaType"] = BUNDLE_V3
    bundles = {
        "bundle other key": ("p256", w.key_bundle(stranger, DIGEST), "no key of the policy"),
        "bundle other image": ("p256", w.key_bundle(made["p256"], wrong), "another image"),
        "bundle provenance": ("p256", w.key_bundle(made["p256"], DIGEST, predicate="https://slsa.dev/provenance/v1"), "no signature"),
        "bundle message": ("p256", message, "bare message signature"),
        "bundle two signatures": ("p256", twice, "exactly one signature"),
        "bundle 0.3 with a chain": ("keyless", chain, "chain"),
        "bundle 0.1 without promise": ("keyless", w.keyless_bundle(DIGEST, version=1, promise=False), "promise"),
        "bundle 0.2 without proof": ("keyless", w.keyless_bundle(DIGEST, version=2, proof=False), "proof"),
        "bundle without time": ("keyless", w.keyless_bundle(DIGEST, promise=False), "when the signature was made"),
        "bundle rekor v2 without time": ("keyless both v2", w.bundle2(DIGEST, stamped=False), "when the signature was made"),
        "bundle rekor v2 elsewhere": ("keyless both v2", other.bundle2(DIGEST), "timestamp"),
        "bundle expired": ("keyless", w.keyless_bundle(DIGEST, late=HOUR), "expired"),
        "bundle elsewhere": ("p256 here", w.key_bundle(made["p256"], DIGEST), "which repository"),
    }
    return layers, bundles


def fixture():
    w, made = World(), keys()
    text = lambda files: {name: data.decode() for name, data in files.items()}
    plain = lambda case: {"payload": case["payload"].decode(), "annotations": case["annotations"]}
    layers, bundles = good_cases(w, made)
    bad_layers, bad_bundles = bad_cases(w, made)
    return {"repository": REPOSITORY, "digest": DIGEST, "issuer": ISSUER, "identity": IDENTITY,
            "files": text(key_files(made) | w.files()),
            "layers": {n: [rule, plain(case)] for n, (rule, case) in layers.items()},
            "bundles": {n: [rule, json.dumps(case)] for n, (rule, case) in bundles.items()},
            "bad_layers": {n: [rule, plain(case), why] for n, (rule, case, why) in bad_layers.items()},
            "bad_bundles": {n: [rule, json.dumps(case), why] for n, (rule, case, why) in bad_bundles.items()},
            "checkpoint": w.rekor.checkpoint(sha256(b"root"))}


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(fixture(), out)
