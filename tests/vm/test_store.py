#!/usr/bin/python3
"""Boxes and the store's limits: a root file system that went comes again, what runs stays whole."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, test


def rootfs(home):
    return list((home.path / "rootfs").iterdir())


@test
def a_root_file_system_that_went_comes_again(home):
    home.a3s("create", "--name", "bx", "local/busybox", "--", "sh", "-c", "echo hi; echo kept >/kept")
    want = rootfs(home)[0].read_bytes()
    for command in (("start", "-a", "bx"), ("run", "--rm", "local/busybox", "--", "echo", "hi")):
        rootfs(home)[0].unlink()
        result = home.a3s(*command)
        equal((result.out, result.err), ("hi\n", ""), str(command))
        equal(rootfs(home)[0].read_bytes(), want, "the file system")
    rootfs(home)[0].unlink()
    home.a3s("start", "bx")
    home.a3s("wait", "bx")
    rootfs(home)[0].unlink()
    home.a3s("restart", "bx")
    equal(home.out("wait", "bx"), "0")


@test
def without_its_layers_it_cannot_come_again(home):
    home.a3s("create", "--name", "bx", "local/busybox", "--", "true")
    rootfs(home)[0].unlink()
    layer = max((home.path / "images/blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    layer.unlink()
    result = home.a3s("start", "-a", "bx", status=1)
    contains(result.err, layer.name)
    contains(result.err, "root file system is gone and could not be made again")
    equal(home.out("inspect", "-f", "{{.State.Status}}", "bx"), "created")


@test
def what_a_box_needs_stays(home):
    home.a3s("run", "-d", "--name", "bx", "local/busybox", "--", "sleep", "1000")
    before = rootfs(home)
    contains(home.a3s("rmi", "-f", "local/busybox", status=1).err, "running box")
    home.a3s("tag", "local/busybox", "other")
    environment = {"A3S_ROOTFS_CACHE_TTL": "0", "A3S_ROOTFS_CACHE_SIZE": "0", "A3S_IMAGE_CACHE_SIZE": "0"}
    equal(home.out("image-prune", "-af", env=environment), "Total reclaimed space: 0B")
    home.a3s("import", "-", "small", input=b"\0" * 1024, text=False, env=environment)
    equal(sorted(home.out("images", "--format", "{{.Repository}}").split()), ["local/busybox", "other", "small"])
    check(set(before) <= set(rootfs(home)), "the root file system is there")
    row = home.out("df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}").splitlines()
    equal(row[:2], ["Images 2 1", "Boxes 1 1"], "df")
    home.a3s("exec", "bx", "--", "ls", "/bin/busybox")
    home.a3s("kill", "bx")
    home.a3s("wait", "bx")
    contains(home.a3s("rmi", "other", "local/busybox", status=1).err, "must force")


main()
