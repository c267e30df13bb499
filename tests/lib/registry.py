"""Registries for tests: Debian's docker-registry, its users, certificates and a token server.

    with Registry() as r:                       # plain http on a loopback port
        peers.crane("push", "x.tar", r.ref("a/b:1"))
        before = r.mark()
        ...
        assert r.requests(before) == [("HEAD", "/v2/a/b/manifests/1", 200)]

    Registry(users={"ann": "secret"})           # basic auth (htpasswd)
    Registry(token=TokenServer({"ann": "secret"}))
    Registry(tls=TestCA())                      # https; TestCA(client=True) wants client certificates

Also: Peer programs (crane, oras, cosign, skopeo, ...) run with a configuration of their own, and
Memory, the peak memory of a process and all it starts.
"""
import base64
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

from harness import Failure, Skip, wait_for

DAEMON = "docker-registry"


def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def run(*args, status=0, input=None, timeout=120, **kw):
    """Run a program; its stdout. Fails with all it said unless it exits with `status` (None: any)."""
    args = [str(a) for a in args]
    if not shutil.which(args[0]):
        raise Skip(f"no {args[0]}")
    p = subprocess.run(args, input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **kw)
    if status is not None and p.returncode != status:
        raise Failure(f"{' '.join(args)}: status {p.returncode}\n  out: {p.stdout[-3000:]!r}\n  err: {p.stderr[-3000:]!r}")
    return p.stdout


class TestCA:
    """A certificate authority with one server and one client certificate, made by openssl."""
    __test__ = False

    def __init__(self, client=False, names="DNS:localhost,IP:127.0.0.1,IP:::1", days=2):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="a3s-ca-"))
        self.client = client  # must clients have a certificate?
        self.ca, self.cert, self.key = (self.dir / n for n in ("ca.crt", "server.crt", "server.key"))
        self.client_cert, self.client_key = self.dir / "client.cert", self.dir / "client.key"
        self._key("ca.key")
        run("openssl", "req", "-x509", "-new", "-key", self.dir / "ca.key", "-subj", "/CN=Test CA", "-days", days,
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign", "-out", self.ca)
        self._issue("server", f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n", self.cert)
        self._issue("client", "extendedKeyUsage=clientAuth\n", self.client_cert)

    def _key(self, name):
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.dir / name)

    def _issue(self, name, extensions, out):
        self._key(f"{name}.key")
        run("openssl", "req", "-new", "-key", self.dir / f"{name}.key", "-subj", f"/CN={name}", "-out", self.dir / "csr")
        (self.dir / "ext").write_text(extensions)
        run("openssl", "x509", "-req", "-in", self.dir / "csr", "-CA", self.ca, "-CAkey", self.dir / "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", self.dir / "ext", "-out", out)

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if self.client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Registry:
    """One docker-registry process with a directory of its own."""

    def __init__(self, users=None, token=None, tls=None, mirror_of=None, delete=True):
        self.users, self.token, self.tls = users, token, tls
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="a3s-registry-"))
        self.log = self.dir / "log"
        self.process = None
        self.marks = 0
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.dir / "data")}, "delete": {"enabled": delete},
                        "maintenance": {"uploadpurging": {"enabled": False}}},
            "http": {"secret": "test", "headers": {"X-Content-Type-Options": ["nosniff"]}},
        }
        if users:
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(self._htpasswd())}}
        if token:
            config["auth"] = {"token": {"realm": token.url, "service": token.service, "issuer": token.issuer,
                                        "rootcertbundle": str(token.cert)}}
        if tls:
            config["http"]["tls"] = {"certificate": str(tls.cert), "key": str(tls.key)}
            if tls.client:
                config["http"]["tls"]["clientcas"] = [str(tls.ca)]
        if mirror_of:
            config["proxy"] = {"remoteurl": mirror_of}
        self.config = config
        self.start()

    def _htpasswd(self):
        path = self.dir / "htpasswd"
        path.touch()
        for name, password in self.users.items():
            run("htpasswd", "-i", "-B", "-C", "4", path, name, input=password.encode())
        return path

    def start(self, port=None):
        if not shutil.which(DAEMON):
            raise Skip(f"no {DAEMON}")
        for _ in range(5):  # somebody else may take the port in between
            self.port = port or free_port()
            self.host = f"127.0.0.1:{self.port}"
            self.config["http"]["addr"] = self.host
            (self.dir / "config.json").write_text(json.dumps(self.config))
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen([DAEMON, "serve", self.dir / "config.json"], stdin=subprocess.DEVNULL,
                                                stdout=log, stderr=log, env=self._env())
            try:
                wait_for(lambda: self.process.poll() is not None or self._answers(), "docker-registry answers", 60)
            except BaseException:
                self.stop()
                raise
            if self.process.poll() is None:
                return self
        raise Failure(f"docker-registry does not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    @staticmethod
    def _env():
        return {k: v for k, v in os.environ.items() if not k.startswith(("REGISTRY_", "OTEL_"))}

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5):
                return True
        except OSError:
            return False

    def stop(self):
        """Ends the process; what it stored stays, start() serves it again."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ref(self, name):
        return f"{self.host}/{name}"

    # ---- what was asked of it ----

    def get(self, path, method="GET", headers={}):
        """(status, headers, body) of a request of the test itself; without credentials."""
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        extra = {}
        if self.tls:
            extra["context"] = ssl.create_default_context(cafile=self.tls.ca)
            if self.tls.client:
                extra["context"].load_cert_chain(self.tls.client_cert, self.tls.client_key)
        c = kind("127.0.0.1", self.port, timeout=30, **extra)
        try:
            c.request(method, path, headers=headers)
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def _access(self):
        """[(method, path, status, bytes)] of the access log."""
        text = self.log.read_text(errors="replace")
        return [(m[1], m[2], int(m[3]), int(m[4])) for m in
                re.finditer(r'^\S+ - \S+ \[[^]]*\] "(\S+) (\S+) [^"]*" (\d+) (\d+)', text, re.M)]

    def mark(self):
        """A place in the log: everything asked until now is in front of it."""
        self.marks += 1
        word = f"mark={self.marks}"
        self.get(f"/v2/?{word}")

        def found():
            for i, entry in enumerate(self._access()):
                if word in entry[1].split("?")[-1].split("&"):
                    return i + 1
            return None
        return wait_for(found, "the registry's log has our request", 20)

    def requests(self, since=0, pattern=""):
        """[(method, path, status)] since mark(), without the test's own and the ping of /v2/."""
        end = self.mark()
        return [e[:3] for e in self._access()[since:end] if not e[1].startswith("/v2/?mark=")
                and e[1] != "/v2/" and re.search(pattern, e[1])]

    # ---- what it has ----

    def blob(self, digest):
        """The bytes of a blob or manifest on the registry's disk."""
        algorithm, hexa = digest.split(":")
        path = self.dir / "data/docker/registry/v2/blobs" / algorithm / hexa[:2] / hexa / "data"
        return path.read_bytes()

    def blobs(self):
        top = self.dir / "data/docker/registry/v2/blobs/sha256"
        return sorted("sha256:" + p.parent.name for p in top.glob("*/*/data"))

    def manifest(self, name, accept=None):
        """(digest, media type, bytes) of NAME:TAG or NAME@DIGEST; plain registries only."""
        repo, _, tag = name.replace("@", ":", 1).partition(":")
        types = accept or ("application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
                           "application/vnd.docker.distribution.manifest.list.v2+json, "
                           "application/vnd.docker.distribution.manifest.v2+json")
        status, headers, body = self.get(f"/v2/{repo}/manifests/{tag}", headers={"Accept": types})
        if status != 200:
            raise Failure(f"manifest {name}: status {status} {body[:300]!r}")
        return headers["Docker-Content-Digest"], headers["Content-Type"], body


class TokenServer:
    """Tokens for docker-registry, after "Token Authentication" of its documentation.

    users: {name: password}. `allow(user, repository)` returns the permitted actions; user is None
    for anonymous. By default users may do everything and everybody may pull from public/...
    """

    def __init__(self, users, expires_in=300, allow=None):
        self.users, self.expires_in = users, expires_in
        self.service, self.issuer = "test registry", "test issuer"
        self.allow = allow or (lambda user, repo: {"pull", "push", "delete"} if user else
                               {"pull"} if repo.startswith("public/") else set())
        self.asked = []  # (user or None, scopes, method)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="a3s-token-"))
        self.key, self.cert = self.dir / "key.pem", self.dir / "cert.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-subj", "/CN=token",
            "-days", "2", "-out", self.cert)
        self.x5c = base64.b64encode(ssl.PEM_cert_to_DER_cert(self.cert.read_text())).decode()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        # a name: crane refuses realms that are loopback addresses
        self.url = f"http://localhost:{self.server.server_address[1]}/token"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _handler(outer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                outer._answer(self, query)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer._answer(self, urllib.parse.parse_qs(body.decode()))
        return Handler

    def _answer(self, handler, query):
        scopes = [s for v in query.get("scope", []) for s in v.split(" ")]
        try:
            user = self._user(handler, query)
        except PermissionError:
            self.asked.append(("refused", scopes, handler.command))
            return self._reply(handler, 401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
        self.asked.append((user, scopes, handler.command))
        token = self.token(user, scopes)
        self._reply(handler, 200, {"token": token, "access_token": token, "expires_in": self.expires_in,
                                   "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})

    def _user(self, handler, query):
        basic = handler.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            name, _, password = base64.b64decode(basic[6:]).decode().partition(":")
        elif query.get("grant_type") == ["password"]:
            name, password = query.get("username", [""])[0], query.get("password", [""])[0]
        elif query.get("grant_type") == ["refresh_token"]:
            name, _, password = query.get("refresh_token", [""])[0].partition(":")
        else:
            return None
        if self.users.get(name) != password:
            raise PermissionError
        return name

    @staticmethod
    def _reply(handler, status, value):
        body = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def token(self, user, scopes):
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            granted = set(actions.split(",")) & self.allow(user, name) if kind == "repository" else set()
            access.append({"type": kind, "name": name, "actions": sorted(granted)})
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self.x5c]}
        claims = {"iss": self.issuer, "sub": user or "", "aud": self.service, "iat": now, "nbf": now - 10,
                  "exp": now + self.expires_in, "jti": os.urandom(8).hex(), "access": access}

        def b64(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        signed = b64(json.dumps(head).encode()) + b"." + b64(json.dumps(claims).encode())
        return (signed + b"." + b64(run("openssl", "dgst", "-sha256", "-sign", self.key, input=signed))).decode()


class Peers:
    """Programs of others, with a HOME and a docker configuration of their own."""

    def __init__(self, where):
        self.dir = pathlib.Path(where) / "peers"
        self.docker = self.dir / "docker"
        self.docker.mkdir(parents=True, exist_ok=True)
        (self.docker / "config.json").write_text("{}")  # some want it to be there
        (self.dir / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.built = pathlib.Path(os.environ.get("A3S_PEERS") or "/nonexistent")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("A3S_", "COSIGN_", "SIGSTORE_"))}
        self.env |= {"HOME": str(self.dir), "DOCKER_CONFIG": str(self.docker), "COSIGN_PASSWORD": "",
                     "REGISTRY_AUTH_FILE": str(self.docker / "config.json"), "TMPDIR": str(self.dir)}
        self.env.pop("XDG_RUNTIME_DIR", None)

    def _built(self, name, *args, env={}, **kw):
        if not (self.built / name).exists():
            raise Skip(f"no {name}: ./dev deps")
        return run(self.built / name, *args, env=self.env | env, **kw)

    def crane(self, *args, **kw):
        return self._built("crane", *args, **kw)

    def oras(self, *args, **kw):
        return self._built("oras", *args, **kw)

    def cosign(self, *args, **kw):
        return self._built("cosign", *args, **kw)

    def skopeo(self, *args, env={}, **kw):
        return run("skopeo", "--policy", self.dir / "policy.json", "--tmpdir", self.dir, *args,
                   env=self.env | env, **kw)

    def copy(self, source, target, *args, **kw):
        """skopeo copy between any two of its transports, plain http permitted."""
        return self.skopeo("copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", *args, source, target, **kw)


class Memory:
    """The peak of the resident memory of a process and its descendants, in KiB, and of each alone."""

    def __init__(self, pid, every=0.01):
        self.pid, self.every = pid, every
        self.peak, self.each = 0, {}
        self.known = {pid}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _children(self, pid):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as f:
                    yield from map(int, f.read().split())
        except OSError:
            return

    def _tree(self):
        todo, seen = list(self.known), set()
        while todo:
            pid = todo.pop()
            if pid not in seen:
                seen.add(pid)
                todo += self._children(pid)
        self.known |= seen
        return seen

    def _sample(self):
        total = 0
        for pid in self._tree():
            try:
                with open(f"/proc/{pid}/status") as f:
                    fields = dict(l.split(":", 1) for l in f)
            except OSError:
                self.known.discard(pid)
                continue
            rss = int(fields.get("VmRSS", "0").split()[0])
            name = fields["Name"].strip()
            self.each[name] = max(self.each.get(name, 0), rss)
            total += rss
        self.peak = max(self.peak, total)

    def _watch(self):
        while not self._end.wait(self.every):
            self._sample()

    def stop(self):
        self._end.set()
        self._thread.join()
        return self.peak
