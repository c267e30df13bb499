#!/usr/bin/python3
"""kill -9 at any moment of what changes the store: it stays what its records say, and what is left
over goes with the next command."""
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from imagestore import Layout, Store
from layers import Tar, case, main

ROUNDS = 12
MIB = 1 << 20


def image(name, mib=4):
    layout = Layout()
    layers = [Tar().file(f"f{i}", os.urandom(mib * MIB // 2)).bytes() for i in range(2)]
    return layout.add(layout.manifest(layers), name).tar()


def children(pid):
    out = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE, text=True).stdout
    return [int(p) for p in out.split()]


def kill_after(s, seconds, *args, data=b"", env={}):
    """Run a command and kill it and its worker then, unless it has ended."""
    p = s.popen(*args, env=env)
    killer = time.monotonic() + seconds
    try:
        p.stdin.write(data)
        p.stdin.close()
    except BrokenPipeError:
        pass
    try:
        p.wait(max(0, killer - time.monotonic()))  # the moment does not matter
    except subprocess.TimeoutExpired:
        pass
    workers = children(p.pid)
    p.send_signal(signal.SIGKILL)
    p.wait()
    for pid in workers:  # they die with it
        end = time.monotonic() + 30
        while pathlib.Path(f"/proc/{pid}").exists():
            assert time.monotonic() < end, "the worker lives on"
            time.sleep(0.005)
    p.stdout.close()
    p.stderr.close()
    return p.returncode


def no_damage(s):
    """Nothing but what nobody needs any more."""
    said = subprocess.run([str(s.worker), "fsck"], env=s.env, capture_output=True, text=True)
    assert not said.stderr, said.stderr
    for line in said.stdout.splitlines():
        assert line.startswith(("leftover ", "unreferenced images/blobs", "unreferenced rootfs")), said.stdout


def duration(s, *args, data=b"", env={}):
    started = time.monotonic()
    s.run(*args, data=data, env=env)
    return time.monotonic() - started


@case
def killed_loads():
    archive = image("x")
    with Store() as s:
        whole = duration(s, "load", data=archive)
        s.run("rmi", "x")
        for i in range(ROUNDS):
            kill_after(s, whole * (i + random.random()) / ROUNDS, "load", data=archive)
            no_damage(s)
        s.run("load", data=archive)
        s.fsck()
        s.run("rmi", "x")
        assert s.files() == []


@case
def killed_prunes():
    base = Tar().file("base", os.urandom(MIB)).bytes()
    with Store() as s:
        def fill():
            layout = Layout()
            for i in range(20):
                layout.add(layout.manifest([base, Tar().file("n", str(i).encode() * 5000).bytes()]), f"i{i}")
            s.run("load", data=layout.tar())

        fill()
        whole = duration(s, "image-prune", "-af")
        for i in range(ROUNDS):
            fill()
            kill_after(s, whole * (i + random.random()) / ROUNDS, "image-prune", "-af")
            no_damage(s)
            ids = s.run("images", "-q", "--no-trunc")[0].split()
            for name in ids[:2]:  # what is left is whole
                s.run("save", "-o", "/dev/null", name)
        s.run("image-prune", "-af")
        s.fsck()
        assert s.files() == []


@case
def killed_evictions():
    with Store() as s:
        for i in range(ROUNDS):
            archive = image(f"e{i}", 2)
            env = {"A3S_IMAGE_CACHE_SIZE": "5m", "A3S_ROOTFS_CACHE_SIZE": "4m"}
            kill_after(s, 0.05 + 0.4 * random.random(), "load", data=archive, env=env)
            no_damage(s)
        s.run("load", data=image("last", 2), env={"A3S_IMAGE_CACHE_SIZE": "5m"})
        s.fsck()
        assert len(s.rows()) <= 2


@case
def killed_rebuilds():
    archive = image("x")
    with Store() as s:
        s.run("load", data=archive)
        image_id = s.rows()["docker.io/library/x:latest"]
        rootfs = next((s.home / "rootfs").iterdir())
        want = rootfs.read_bytes()
        for i in range(ROUNDS):
            rootfs.unlink(missing_ok=True)
            p = subprocess.Popen([s.worker, "rebuild", image_id], env=s.env)
            try:
                p.wait(0.25 * random.random())
            except subprocess.TimeoutExpired:
                p.kill()
            p.wait()
            no_damage(s)
            assert not rootfs.exists() or rootfs.read_bytes() == want
        subprocess.run([s.worker, "rebuild", image_id], env=s.env, check=True)
        assert rootfs.read_bytes() == want
        s.run("image-prune", "-f")
        s.fsck()


@case
def killed_saves():
    with Store() as s:
        s.run("load", data=image("x", 16))
        out = s.home / "saved"
        out.mkdir()
        whole = duration(s, "save", "-o", out / "x.tar", "x")
        size = (out / "x.tar").stat().st_size
        (out / "x.tar").unlink()
        for i in range(ROUNDS):
            kill_after(s, whole * (i + random.random()) / ROUNDS, "save", "-o", out / "x.tar", "x")
            left = {f.name: f.stat().st_size for f in out.iterdir()}
            assert left in ({}, {"x.tar": size}), left
        s.fsck()


@case
def everything_at_once():
    """Loads, saves, prunes and evictions of the same images by several processes."""
    archives = [image(f"i{i}", 1) for i in range(4)]
    with Store() as s:
        running = []
        for i in range(24):
            if i % 3 == 2:
                p = s.popen("image-prune", "-af")
            elif i % 4 == 3:
                p = s.popen("save", f"i{i % 4}")
            else:
                p = s.popen("load", env={"A3S_IMAGE_CACHE_SIZE": "2m"}, stdout=subprocess.DEVNULL,
                            stdin=open_bytes(s, archives[i % 4]))
            running.append(p)
        for p in running:
            _, err = p.communicate(timeout=300)
            assert b"Sanitizer" not in err, err.decode()
            assert p.returncode == 0 or b"No such image" in err or b"No such file" in err, err.decode()
        s.run("image-prune", "-f")
        s.fsck()


def open_bytes(s, data):
    path = pathlib.Path(s.tmp) / f"in{len(list(pathlib.Path(s.tmp).iterdir()))}"
    path.write_bytes(data)
    return open(path, "rb")


if __name__ == "__main__":
    main()
