#!/usr/bin/python3
"""Make an OCI image tar (OCI layout, or docker-archive) without any container tool.

  mkimage.py busybox OUT.tar [options]     the host's busybox-static with all its applets
  mkimage.py dir DIRECTORY OUT.tar         a directory tree as one layer (all owned by root)
  mkimage.py tar ROOTFS.tar OUT.tar        an existing layer tar as it is

OUT may be "-". The output depends on the input only: same input, same bytes.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile

EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1700000000"))
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
OCI = "application/vnd.oci.image."

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = """root:x:0:
daemon:x:1:
bin:x:2:
tty:x:5:
www-data:x:33:
users:x:100:
nobody:x:65534:
"""


class Layer:
    """A layer tar written entry by entry, with fixed times."""

    def __init__(self, out):
        self.tar = tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT)

    def _info(self, name, mode, uid=0, gid=0, kind=tarfile.REGTYPE):
        info = tarfile.TarInfo(name)
        info.mode, info.uid, info.gid, info.mtime, info.type = mode, uid, gid, EPOCH, kind
        return info

    def dir(self, name, mode=0o755, uid=0, gid=0):
        self.tar.addfile(self._info(name, mode, uid, gid, tarfile.DIRTYPE))

    def file(self, name, data, mode=0o644, uid=0, gid=0):
        info = self._info(name, mode, uid, gid)
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))

    def link(self, name, target, kind=tarfile.SYMTYPE):
        info = self._info(name, 0o777, kind=kind)
        info.linkname = target
        self.tar.addfile(info)

    def close(self):
        self.tar.close()


def busybox_layer(out, binary):
    applets = subprocess.run([binary, "--list-full"], stdout=subprocess.PIPE, check=True)
    layer = Layer(out)
    for name in ("bin", "dev", "etc", "home", "proc", "sbin", "sys", "usr", "usr/bin", "usr/sbin",
                 "usr/local", "usr/local/bin", "var", "var/log", "var/lib", "run"):
        layer.dir(name)
    layer.dir("root", 0o700)
    layer.dir("tmp", 0o1777)
    layer.dir("var/tmp", 0o1777)
    layer.dir("var/spool", 0o755)
    layer.file("etc/passwd", PASSWD.encode())
    layer.file("etc/group", GROUP.encode())
    layer.file("etc/os-release", b'ID=busybox\nNAME="BusyBox"\nPRETTY_NAME="BusyBox"\n')
    with open(binary, "rb") as f:
        layer.file("bin/busybox", f.read(), 0o755)
    for path in sorted(set(applets.stdout.decode().split())):
        if path != "bin/busybox" and path.startswith(("bin/", "sbin/", "usr/bin/", "usr/sbin/")):
            layer.link(path, "bin/busybox", tarfile.LNKTYPE)
    layer.close()


def tree_layer(out, top):
    """Every entry under `top`, sorted; owners become root, times the epoch."""
    def clean(info):
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = EPOCH
        return info

    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(os.listdir(top)):
            tar.add(os.path.join(top, name), arcname=name, filter=clean)


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for chunk in iter(lambda: f.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def compress(path, how):
    """Returns (path of the compressed file, media type suffix)."""
    if how == "none":
        return path, ""
    packed = path + "." + how
    with open(path, "rb") as src, open(packed, "wb") as dst:
        if how == "gzip":
            with gzip.GzipFile("", "wb", 6, dst, EPOCH) as z:
                shutil.copyfileobj(src, z, 1 << 20)
        else:
            subprocess.run(["zstd", "-q", "-3", "-c"], stdin=src, stdout=dst, check=True)
    return packed, "+" + how


class Image:
    """An image made of layer tars; write() puts it into a tar."""

    def __init__(self, name, config=None, arch=ARCH, compression="gzip"):
        self.name, self.config, self.arch = name, config or {}, arch
        self.compression = compression
        self.layers = []  # (path, diff id, digest, size, media type)
        self.created = None

    def add_layer(self, path):
        diff_id = sha256_file(path)
        packed, suffix = compress(path, self.compression)
        self.layers.append((packed, diff_id, sha256_file(packed), os.path.getsize(packed),
                            OCI + "layer.v1.tar" + suffix))

    def _config_blob(self):
        stamp = "2023-11-14T22:13:20Z"
        return json.dumps({
            "created": stamp, "architecture": self.arch, "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + l[1] for l in self.layers]},
            "history": [{"created": stamp, "created_by": "tools/mkimage.py"}
                        for _ in self.layers],
        }, sort_keys=True).encode()

    def write(self, out, fmt="oci"):
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            (self._write_oci if fmt == "oci" else self._write_docker)(tar)

    @staticmethod
    def _put(tar, name, data):
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(data), EPOCH, 0o644
        tar.addfile(info, io.BytesIO(data))

    @staticmethod
    def _put_file(tar, name, path):
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = os.path.getsize(path), EPOCH, 0o644
        with open(path, "rb") as f:
            tar.addfile(info, f)

    def _write_oci(self, tar):
        config = self._config_blob()
        config_digest = hashlib.sha256(config).hexdigest()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json",
                       "digest": "sha256:" + config_digest, "size": len(config)},
            "layers": [{"mediaType": l[4], "digest": "sha256:" + l[2], "size": l[3]}
                       for l in self.layers],
        }, sort_keys=True).encode()
        digest = hashlib.sha256(manifest).hexdigest()
        index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [{
            "mediaType": OCI + "manifest.v1+json", "digest": "sha256:" + digest,
            "size": len(manifest), "platform": {"architecture": self.arch, "os": "linux"},
            "annotations": {"org.opencontainers.image.ref.name": self.name}}]}
        self._put(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        self._put(tar, "index.json", json.dumps(index, sort_keys=True).encode())
        self._put(tar, "blobs/sha256/" + digest, manifest)
        self._put(tar, "blobs/sha256/" + config_digest, config)
        for digest, path in sorted({l[2]: l[0] for l in self.layers}.items()):
            self._put_file(tar, "blobs/sha256/" + digest, path)

    def _write_docker(self, tar):
        config = self._config_blob()
        name = hashlib.sha256(config).hexdigest() + ".json"
        for digest, path in sorted({l[2]: l[0] for l in self.layers}.items()):
            self._put_file(tar, digest + "/layer.tar", path)
        self._put(tar, name, config)
        self._put(tar, "manifest.json", json.dumps([{
            "Config": name, "RepoTags": [self.name],
            "Layers": [l[2] + "/layer.tar" for l in self.layers]}]).encode())


def parse_args():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["busybox", "dir", "tar"])
    p.add_argument("paths", nargs="+", metavar="PATH")
    p.add_argument("--name", help="reference (default local/busybox:latest for busybox)")
    p.add_argument("--busybox", default="/bin/busybox", help="a static busybox binary")
    p.add_argument("--arch", default=ARCH)
    p.add_argument("--format", choices=["oci", "docker"], default="oci")
    p.add_argument("--compress", choices=["gzip", "zstd", "none"], default="gzip")
    p.add_argument("--cmd", type=json.loads, help="JSON array")
    p.add_argument("--entrypoint", type=json.loads, help="JSON array")
    p.add_argument("--env", action="append", default=[], metavar="K=V")
    p.add_argument("--label", action="append", default=[], metavar="K=V")
    p.add_argument("--workdir")
    p.add_argument("--user")
    p.add_argument("--volume", action="append", default=[])
    p.add_argument("--expose", action="append", default=[], metavar="PORT/PROTO")
    p.add_argument("--stop-signal")
    args = p.parse_args()
    if len(args.paths) != (1 if args.what == "busybox" else 2):
        p.error("busybox takes OUT; dir and tar take INPUT OUT")
    if args.what == "busybox":
        args.name = args.name or "local/busybox:latest"
        args.cmd = ["sh"] if args.cmd is None else args.cmd
    if not args.name:
        p.error("--name is needed")
    return args


def config_of(args):
    config = {"Env": [PATH] + args.env}
    for key, value in (("Cmd", args.cmd), ("Entrypoint", args.entrypoint),
                       ("WorkingDir", args.workdir), ("User", args.user),
                       ("StopSignal", args.stop_signal),
                       ("Labels", dict(l.split("=", 1) for l in args.label)),
                       ("Volumes", {v: {} for v in args.volume}),
                       ("ExposedPorts", {e: {} for e in args.expose})):
        if value:
            config[key] = value
    return config


def main():
    args = parse_args()
    out = args.paths[-1]
    with tempfile.TemporaryDirectory() as tmp:
        layer = os.path.join(tmp, "layer.tar")
        if args.what == "tar":
            shutil.copyfile(args.paths[0], layer)
        else:
            with open(layer, "wb") as f:
                if args.what == "busybox":
                    busybox_layer(f, args.busybox)
                else:
                    tree_layer(f, args.paths[0])
        image = Image(args.name, config_of(args), args.arch, args.compress)
        image.add_layer(layer)
        if out == "-":
            image.write(sys.stdout.buffer, args.format)
            return
        with open(out + ".tmp", "wb") as f:
            image.write(f, args.format)
        os.rename(out + ".tmp", out)


if __name__ == "__main__":
    main()
