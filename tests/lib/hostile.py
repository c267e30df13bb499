"""A registry that does what it is told, right or wrong.

    with FakeRegistry() as r:
        image = Image(Tar().file("f", b"x").bytes())
        r.add("a/b:1", image)
        r.on("GET", "/blobs/" + image.layers[0].digest, lambda q: q.reply(200, b"something else"))
        home.a3s("pull", r.ref("a/b:1"), status=1)
        assert r.count("GET", "/blobs/") == 2

Answers are made by functions of one Request; without one that matches, the truth is served: ranges,
HEAD, lengths, digests. Every request is kept with its headers.
"""
import gzip
import hashlib
import http.server
import json
import re
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.parse

from harness import Failure, wait_for

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution.manifest."
MANIFEST, INDEX = OCI + "manifest.v1+json", OCI + "index.v1+json"
CONFIG, LAYER = OCI + "config.v1+json", OCI + "layer.v1.tar"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def dumps(value):
    return json.dumps(value).encode()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


class Blob:
    """Bytes with a media type; digest and size may lie."""

    def __init__(self, data, media=LAYER + "+gzip", digest=None, size=None, **extra):
        self.data, self.media, self.extra = data, media, extra
        self.digest = digest or sha256(data)
        self.size = len(data) if size is None else size

    def descriptor(self):
        return {"mediaType": self.media, "digest": self.digest, "size": self.size, **self.extra}


class Image:
    """layers: uncompressed tars (packed with gzip), or Blobs together with their diff ids."""

    def __init__(self, *layers, diff_ids=None, config=None, arch="amd64", media=MANIFEST, env=(), **manifest):
        self.layers = [l if isinstance(l, Blob) else Blob(gzip.compress(l, 1, mtime=0)) for l in layers]
        ids = diff_ids or [sha256(l) for l in layers]
        if config is None:
            config = dumps({"architecture": arch, "os": "linux", "config": {"Cmd": ["sh"], "Env": list(env)},
                            "rootfs": {"type": "layers", "diff_ids": ids},
                            "history": [{"created_by": f"layer {i}"} for i in range(len(ids))]})
        self.config = config if isinstance(config, Blob) else Blob(config, CONFIG)
        value = {"schemaVersion": 2, "mediaType": media, "config": self.config.descriptor(),
                 "layers": [l.descriptor() for l in self.layers], **manifest}
        self.manifest = Blob(dumps(value), media)
        self.digest = self.manifest.digest

    def blobs(self):
        return [self.config, *self.layers]


class Index:
    """Images (or indexes) for platforms: {"amd64": Image, "arm/v7": Image}."""

    def __init__(self, images, media=INDEX):
        self.images = images
        entries = []
        for platform, image in images.items():
            arch, _, variant = platform.partition("/")
            entries.append({**image.manifest.descriptor(),
                            "platform": {"os": "linux", "architecture": arch, **({"variant": variant} if variant else {})}})
        self.manifest = Blob(dumps({"schemaVersion": 2, "mediaType": media, "manifests": entries}), media)
        self.digest = self.manifest.digest


class Request:
    """One request, and the ways to answer it."""

    def __init__(self, handler):
        self.handler = handler
        self.method, self.path, self.headers = handler.command, handler.path, handler.headers
        self.status = None
        self.sent = 0  # bytes of the answer's body
        self._body = None
        self.start, self.end = time.monotonic(), None

    def __repr__(self):
        return f"{self.method} {self.path} {self.status}"

    def body(self):
        """What came with the request."""
        if self._body is None:
            self._body = self.handler.rfile.read(int(self.headers.get("Content-Length", 0)))
        return self._body

    def head(self, status, headers=(), reason=None):
        self.status = status
        self.handler.send_response(status, reason)
        for name, value in dict(headers).items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def write(self, data):
        self.handler.wfile.write(data)
        self.sent += len(data)

    def reply(self, status, body=b"", headers={}):
        """A whole answer; a Content-Length in headers replaces the true one."""
        self.head(status, {"Content-Length": str(len(body))} | dict(headers))
        if self.method != "HEAD":
            self.write(body)

    def json(self, status, value, headers={}):
        self.reply(status, dumps(value), {"Content-Type": "application/json"} | headers)

    def error(self, status, code, message, headers={}):
        self.json(status, {"errors": [{"code": code, "message": message}]}, headers)

    def redirect(self, to, status=307, headers={}):
        self.reply(status, b"", {"Location": to} | headers)

    def drop(self):
        """Close the connection without another word."""
        self.handler.close_connection = True
        try:
            self.handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def raw(self, data):
        """Bytes that need not be HTTP; then the end."""
        self.status = 0
        self.write(data)
        self.drop()

    def endless(self, status=200, headers={}, chunk=b"\0" * 65536, limit=1 << 32):
        """A body that goes on until the client has enough."""
        self.head(status, headers)
        try:
            while self.sent < limit:
                self.write(chunk)
        except OSError:
            pass
        self.drop()

    def drip(self, data, every=0.2, count=10**6):
        """One byte now and then; ends with the client, or with the server."""
        try:
            for i in range(count):
                self.write(data[i:i + 1] or b" ")
                self.handler.wfile.flush()
                if self.handler.server.ended.wait(every):
                    break
        except OSError:
            pass
        self.drop()

    def stall(self):
        """Nothing more, until the client goes away or the server ends."""
        self.handler.connection.settimeout(0.2)
        while not self.handler.server.ended.is_set():
            try:
                if not self.handler.connection.recv(1):
                    break
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except OSError:
                break
        self.drop()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 128

    def handle_error(self, request, client_address):
        pass  # clients that went away


class FakeRegistry:
    def __init__(self, tls=None, host="127.0.0.1"):
        self.tls = tls
        self.blobs, self.manifests = {}, {}  # digest: bytes; (repository, tag or digest): Blob
        self.uploads = {}  # path of an upload: bytearray
        self.rules, self.requests = [], []
        self.lock = threading.Lock()
        self.busy = 0
        self.server = Server((host, 0), self._handler())
        self.server.ended = threading.Event()
        if tls:
            self.server.socket = tls.server_context().wrap_socket(self.server.socket, server_side=True,
                                                                  do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.host = f"{host}:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ref(self, name):
        return f"{self.host}/{name}"

    # ---- contents ----

    def add(self, name, image):
        """name: REPOSITORY[:TAG]. Index entries come with what they name."""
        repo, _, tag = name.partition(":")
        for key in filter(None, (tag, image.digest)):
            self.manifests[repo, key] = image.manifest
        for child in getattr(image, "images", {}).values():
            self.add(repo, child)
        for blob in image.blobs() if isinstance(image, Image) else ():
            self.blobs[blob.digest] = blob.data
        return image

    # ---- rules ----

    def on(self, method, pattern, answer, times=None):
        """Requests whose method and path match are answered by answer(Request), `times` times.
        Later rules go first; an answer that returns False leaves it to the others."""
        self.rules.insert(0, [method, re.compile(pattern), answer, times])
        return self

    def _rule(self, request):
        for rule in list(self.rules):
            if re.fullmatch(rule[0], request.method) and rule[1].search(request.path):
                with self.lock:
                    if rule not in self.rules:
                        continue  # used up meanwhile
                    if rule[3] is not None:
                        rule[3] -= 1
                        if rule[3] == 0:
                            self.rules.remove(rule)
                yield rule[2]

    # ---- what was asked ----

    def settle(self):
        """All answers are over (a client that is gone may not have read them)."""
        wait_for(lambda: self.busy == 0, "the server's answers end", 30)
        return self

    def find(self, method="", pattern=""):
        with self.lock:
            return [r for r in self.requests if (not method or r.method == method) and re.search(pattern, r.path)]

    def count(self, method="", pattern=""):
        return len(self.find(method, pattern))

    def no_credentials(self):
        """Fails if any request came with credentials."""
        for r in self.find():
            for name in ("Authorization", "Cookie", "Proxy-Authorization"):
                if r.headers.get(name):
                    raise Failure(f"{r} came with {name}: {r.headers[name]}")

    # ---- serving ----

    def _handler(outer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, timeout = "HTTP/1.1", 60
            wbufsize = 0

            def log_message(self, *args):
                pass

            def _any(self):
                outer._serve(self)
            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _any
        return Handler

    def _serve(self, handler):
        request = Request(handler)
        with self.lock:
            self.requests.append(request)
            self.busy += 1
        try:
            for answer in self._rule(request):
                if answer(request) is not False:
                    return
            self.truth(request)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            handler.close_connection = True
        finally:
            with self.lock:
                self.busy -= 1
            request.end = time.monotonic()

    def truth(self, request):
        path = re.sub("^http://[^/]*", "", request.path.split("?")[0])  # we may be asked as a proxy
        if path == "/v2/":
            return request.json(200, {})
        if request.method in ("POST", "PATCH", "PUT") or path in self.uploads:
            return self.upload(request, path)
        m = re.fullmatch(r"/v2/(.+)/(manifests|blobs|referrers)/([^/]+)", path)
        if not m or request.method not in ("GET", "HEAD"):
            return request.error(405 if m else 404, "UNSUPPORTED", "not here")
        repo, kind, name = m.groups()
        if kind == "manifests" and (repo, name) in self.manifests:
            blob = self.manifests[repo, name]
            return request.reply(200, blob.data, {"Content-Type": blob.media, "Docker-Content-Digest": blob.digest})
        if kind == "blobs" and name in self.blobs:
            return self.send_blob(request, self.blobs[name])
        code = {"manifests": "MANIFEST_UNKNOWN", "blobs": "BLOB_UNKNOWN", "referrers": "NOT_FOUND"}[kind]
        return request.error(404, code, "unknown")

    def upload(self, request, path):
        """POST, PATCH, GET and PUT of uploads, PUT of manifests, by the distribution spec."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        if request.method == "POST":
            if query.get("mount", [""])[0] in self.blobs:
                return request.reply(201, b"", {"Location": "/v2/x/blobs/" + query["mount"][0]})
            with self.lock:
                place = f"{path}{len(self.uploads)}"
                self.uploads[place] = bytearray()
            return request.reply(202, b"", {"Location": place + "?state=x"})
        if "/manifests/" in path:
            repo, _, tag = path[len("/v2/"):].rpartition("/manifests/")
            blob = Blob(request.body(), request.headers["Content-Type"])
            self.manifests[repo, tag] = self.manifests[repo, blob.digest] = blob
            return request.reply(201, b"", {"Location": path, "Docker-Content-Digest": blob.digest})
        got = self.uploads.get(path)
        if got is None:
            return request.error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        if request.method != "GET":
            got += request.body()
        if request.method == "PUT":
            wanted = query.get("digest", [""])[0]
            if sha256(bytes(got)) != wanted:
                return request.error(400, "DIGEST_INVALID", "that is not what came")
            self.blobs[wanted] = bytes(self.uploads.pop(path))
            return request.reply(201, b"", {"Location": "/v2/x/blobs/" + wanted})
        return request.reply(204 if request.method == "GET" else 202, b"", {
            "Location": path + "?state=x", "Range": f"0-{max(0, len(got) - 1)}"})

    @staticmethod
    def range_of(request, size):
        """(first, end) of the bytes that are wanted."""
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        return (int(m[1]), min(int(m[2] or size), size - 1) + 1) if m else (0, size)

    def send_blob(self, request, data):
        first, last = self.range_of(request, len(data))
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        if "Range" not in request.headers:
            return request.reply(200, data, headers)
        if first >= len(data):
            return request.reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{len(data)}"
        return request.reply(206, data[first:last], headers)


def tunnel(port):
    """An answer to CONNECT: whatever was asked for, it is this port of ours."""
    def answer(request):
        request.head(200)
        with socket.create_connection(("127.0.0.1", port)) as there:
            here = request.handler.connection

            def pump(source, target):
                try:
                    while data := source.recv(65536):
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            back = threading.Thread(target=pump, args=(there, here))
            back.start()
            pump(here, there)
            back.join()
        request.drop()
    return answer


def cut_after(data, count):
    """An answer: `count` bytes of what is wanted of data, with the true length, then the connection ends."""
    def answer(request):
        first, last = FakeRegistry.range_of(request, len(data))
        part = data[first:last]
        status = 206 if "Range" in request.headers else 200
        headers = {"Content-Length": str(len(part)), "Accept-Ranges": "bytes"}
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{len(data)}"
        request.head(status, headers)
        request.write(part[:count])
        request.drop()
    return answer


def slow(data, rate, piece=16384):
    """An answer: the blob at `rate` bytes per second, ranges respected."""
    def answer(request):
        first, last = FakeRegistry.range_of(request, len(data))
        status = 206 if "Range" in request.headers else 200
        headers = {"Content-Length": str(last - first), "Accept-Ranges": "bytes"}
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{len(data)}"
        request.head(status, headers)
        for at in range(first, last, piece):
            request.write(data[at:min(at + piece, last)])
            if request.handler.server.ended.wait(piece / rate):
                return
    return answer
