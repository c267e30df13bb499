#!/usr/bin/python3
"""Layers to ext4: every rule of the image spec, and every trick we refuse."""
import gzip
import os
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from layers import (EPOCH, Skip, Tar, case, dump, flatten, fsck, main, names, raw, refused,
                    run_flatten, sha)

S_IFDIR, S_IFREG, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO = (0o040000, 0o100000, 0o120000, 0o020000,
                                                        0o060000, 0o010000)


@case
def every_type_and_its_metadata():
    tree = flatten(
        Tar().dir("d", mode=0o1777, uid=1, gid=2).file("d/f", b"hello", mode=0o4755, uid=1000,
                                                      gid=100000)
        .symlink("d/l", "../d/f", uid=5).device("c", tarfile.CHRTYPE, 1, 3, mode=0o666)
        .device("b", tarfile.BLKTYPE, 300, 70000).add("p", tarfile.FIFOTYPE, mode=0o600)
        .file("empty"))
    assert tree["d"]["mode"] == S_IFDIR | 0o1777 and (tree["d"]["uid"], tree["d"]["gid"]) == (1, 2)
    f = tree["d/f"]
    assert f["mode"] == S_IFREG | 0o4755 and f["uid"] == 1000 and f["gid"] == 100000
    assert f["sha256"] == sha(b"hello") and f["size"] == 5 and f["mtime"] == EPOCH
    assert tree["d/l"]["mode"] & 0o170000 == S_IFLNK and tree["d/l"]["target"] == "../d/f"
    assert tree["d/l"]["uid"] == 5
    assert tree["c"]["mode"] == S_IFCHR | 0o666 and tree["c"]["rdev"] == [1, 3]
    assert tree["b"]["mode"] == S_IFBLK | 0o644 and tree["b"]["rdev"] == [300, 70000]
    assert tree["p"]["mode"] == S_IFIFO | 0o600
    assert tree["empty"]["size"] == 0 and tree["empty"]["blocks"] == 0
    assert names(tree) == ["b", "c", "d", "d/f", "d/l", "empty", "p"]


@case
def root_entry_sets_the_root():
    tree = flatten(Tar().dir("./", mode=0o700, uid=7).file("./a"))
    assert tree[""]["mode"] == S_IFDIR | 0o700 and tree[""]["uid"] == 7 and "a" in tree


@case
def nothing_at_all():
    assert names(flatten()) == []
    assert names(flatten(b"")) == []
    assert names(flatten(Tar(), Tar())) == []


@case
def leading_slash_is_the_image_root():
    assert names(flatten(Tar().file("/ko-app/x", b"1"))) == ["ko-app", "ko-app/x"]


@case
def missing_parents_are_made():
    tree = flatten(Tar().file("a/b/c"))
    assert tree["a"]["mode"] == S_IFDIR | 0o755 and tree["a/b"]["uid"] == 0


@case
def times():
    far = 2**33
    tree = flatten(
        Tar().file("ns", pax_headers={"mtime": "1234567890.123456789"})
        .file("old", pax_headers={"mtime": "-5"}).file("far", pax_headers={"mtime": str(far)})
        .file("never", pax_headers={"mtime": str(2**62)}))
    assert (tree["ns"]["mtime"], tree["ns"]["mtime_ns"]) == (1234567890, 123456789)
    assert tree["old"]["mtime"] == -5 and tree["far"]["mtime"] == far
    assert tree["never"]["mtime"] == 2**34 - 2**31 - 1


@case
def whiteouts():
    low = Tar().file("a").dir("d").file("d/x").file("d/y").dir("e").file("e/f").file("keep")
    tree = flatten(low, Tar().file(".wh.a").file("d/.wh.x").file(".wh.e").file("z/.wh.nothing")
                   .file(".wh.never-there"))
    assert names(tree) == ["d", "d/y", "keep"]


@case
def whiteouts_spare_their_own_layer():
    low = Tar().file("a", b"old").dir("d").file("d/old")
    for upper in (Tar().file(".wh.a").file("a", b"new").file(".wh.d").dir("d").file("d/new"),
                  Tar().file("a", b"new").file(".wh.a").dir("d").file("d/new").file(".wh.d")):
        tree = flatten(low, upper)
        assert tree["a"]["sha256"] == sha(b"new")
        assert names(tree, "d") == ["new"]


@case
def opaque_directories():
    low = Tar().dir("d").dir("d/sub").file("d/sub/x").file("d/y").dir("o").file("o/z")
    opq = ".wh..wh..opq"
    for upper in (Tar().dir("d").file("d/" + opq).dir("d/sub").file("d/sub/new"),
                  Tar().dir("d").dir("d/sub").file("d/sub/new").file("d/" + opq)):
        tree = flatten(low, upper)
        assert names(tree) == ["d", "d/sub", "d/sub/new", "o", "o/z"], names(tree)
    assert names(flatten(low, Tar().file(opq).file("n"))) == ["n"]


@case
def aufs_files_are_left_out():
    assert names(flatten(Tar().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2").file(".wh..wh.aufs")
                         .file("a"))) == ["a"]


@case
def replacing():
    low = (Tar().dir("dir").file("dir/x").symlink("link", "dir").file("file", b"1" * 9000)
           .dir("merge", mode=0o700).file("merge/low"))
    tree = flatten(low, Tar().symlink("dir", "elsewhere").dir("link").file("link/in")
                   .dir("file").file("file/in").dir("merge", mode=0o755, uid=3).file("merge/up"))
    assert tree["dir"]["target"] == "elsewhere" and "dir/x" not in tree
    assert tree["link"]["mode"] & 0o170000 == S_IFDIR and "link/in" in tree
    assert tree["file"]["mode"] & 0o170000 == S_IFDIR and "file/in" in tree
    assert names(tree, "merge") == ["low", "up"] and tree["merge"]["mode"] == S_IFDIR | 0o755
    assert tree["merge"]["uid"] == 3


@case
def directory_attributes_are_the_upper_layers():
    def low(xattr):
        return Tar().dir("d", pax_headers={"SCHILY.xattr.user." + xattr: "1"})

    assert list(flatten(low("one"), low("two"))["d"]["xattrs"]) == ["user.two"]


@case
def hard_links():
    low = Tar().file("a", b"data").hardlink("b", "a").hardlink("./c", "./b").symlink("s", "a") \
        .hardlink("s2", "s").hardlink("b", "a")
    tree = flatten(low)
    assert tree["a"]["ino"] == tree["b"]["ino"] == tree["c"]["ino"] and tree["a"]["nlink"] == 3
    assert tree["s2"]["target"] == "a" and tree["s"]["nlink"] == 2
    tree = flatten(low, Tar().hardlink("d", "/a").file("b", b"own").file(".wh.c"))
    assert tree["d"]["ino"] == tree["a"]["ino"] and tree["a"]["nlink"] == 2
    assert tree["b"]["sha256"] == sha(b"own") and tree["b"]["nlink"] == 1 and "c" not in tree


@case
def symlinked_parents_stay_inside():
    low = Tar().dir("real").symlink("rel", "real").symlink("abs", "/real") \
        .symlink("up", "../../../real").symlink("deep", "rel/../abs")
    tree = flatten(low, Tar().file("rel/1").file("abs/2").file("up/3").file("deep/4")
                   .hardlink("hard", "up/3"), Tar().file("rel/.wh.1"))
    assert names(tree, "real") == ["2", "3", "4"], names(tree)
    assert tree["hard"]["ino"] == tree["real/3"]["ino"]
    made = flatten(Tar().symlink("out", "/etc/host").file("out/x", b"1"))
    assert "etc/host/x" in made


@case
def escapes_are_refused():
    for name in ("../x", "a/../../x", "a/..", ".."):
        refused([Tar().file(name)], f"'{name}'", "..")
    refused([Tar().file("a").hardlink("b", "../../etc/passwd")], "'b'", "../../etc/passwd")
    refused([Tar().hardlink("b", "/etc/passwd")], "'b'", "no such file")
    refused([Tar().dir("d").hardlink("b", "d")], "'b'", "directory")
    refused([Tar().hardlink("b", "b")], "'b'", "no such file")
    refused([Tar().symlink("a", "b").symlink("b", "a").file("a/x")], "'a/x'", "symbolic links")
    refused([Tar().file("f").file("f/x")], "'f/x'", "not a directory")
    refused([Tar().file(".wh...")], "'.wh...'")
    refused([Tar().file("d/.wh..")], "'d/.wh..'")
    refused([Tar().file(".wh.")], "'.wh.'")
    refused([Tar().file(".", b"x")], "root is not a directory")
    refused([Tar().symlink("./", "/x")], "root is not a directory")


@case
def a_link_cannot_replace_its_own_target():
    refused([Tar().dir("d").file("d/f").hardlink("d", "d/f")], "'d'", "replace")


@case
def names_and_paths():
    long_name, uni = "n" * 255, "ä" * 95 + "日本"
    tree = flatten(Tar().file(long_name).file(uni, b"u").file("sp ace\n'\"\\").symlink("l59", "x" * 59)
                   .symlink("l60", "x" * 60).symlink("l4095", "x" * 4095))
    assert long_name in tree and tree[uni]["sha256"] == sha(b"u") and "sp ace\n'\"\\" in tree
    for n in (59, 60, 4095):
        assert tree[f"l{n}"]["target"] == "x" * n and tree[f"l{n}"]["size"] == n
    refused([Tar().file("n" * 256)], "longer than 255")
    refused([Tar().file("/".join(["d" * 100] * 50))], "longer than 4095")
    refused([Tar().symlink("l", "x" * 4096)], "'l'", "too long")
    refused([Tar().file("/".join(["d"] * 1500))], "deep")


@case
def extended_attributes():
    cap = struct.pack("<IIIII", 0x02000001, 0x2000, 0, 0, 0)
    tree = flatten(Tar().file("f", b"x", pax_headers={
        "SCHILY.xattr.user.a": "value", "SCHILY.xattr.security.capability": cap.decode("latin1"),
        "SCHILY.xattr.trusted.t": "t", "SCHILY.xattr.user.big": "v" * 2000,
        "SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.system.nfs4_acl": "no"}).dir("d", pax_headers={"SCHILY.xattr.user.d": ""})
        .symlink("l", "f", pax_headers={"SCHILY.xattr.trusted.l": "1"}))
    x = tree["f"]["xattrs"]
    assert sorted(x) == ["security.capability", "trusted.t", "user.a", "user.big"], sorted(x)
    assert bytes.fromhex(x["user.a"]) == b"value" and len(x["user.big"]) == 4000
    assert bytes.fromhex(x["security.capability"]) == cap
    assert tree["d"]["xattrs"] == {"user.d": ""} and tree["l"]["xattrs"] == {"trusted.l": "31"}
    refused([Tar().file("f", pax_headers={"SCHILY.xattr.user.a": "v" * 5000})], "'f'",
            "extended attributes")


@case
def access_control_lists():
    none = 0xffffffff
    acl = ("user::rwx,user:root:r-x:1000,group::r-x,group:x:rw-:2000,mask::rwx,other::---")
    tree = flatten(
        Tar().file("f", pax_headers={"SCHILY.acl.access": acl})
        .dir("d", pax_headers={"SCHILY.acl.default": "user::rwx,group::r-x,other::r--"})
        .file("plain", pax_headers={"SCHILY.acl.access": "user::rw-,group::r--,other::r--"}))

    def rows(text):
        data = bytes.fromhex(text)
        assert struct.unpack("<I", data[:4])[0] == 2
        found = [struct.unpack("<HHI", data[i:i + 8]) for i in range(4, len(data), 8)]
        # Ids of rows without one are not on the disk: libext2fs reads 0, the kernel -1.
        return [(tag, perm, id if tag in (2, 8) else none) for tag, perm, id in found]

    assert tree["f"]["mode"] & 0o777 == 0o770  # the group's bits are the mask's
    assert rows(tree["f"]["xattrs"]["system.posix_acl_access"]) == [
        (1, 7, none), (2, 5, 1000), (4, 5, none), (8, 6, 2000), (16, 7, none), (32, 0, none)]
    assert rows(tree["d"]["xattrs"]["system.posix_acl_default"]) == [
        (1, 7, none), (4, 5, none), (32, 4, none)]
    assert tree["plain"]["xattrs"] == {}


@case
def numbers_out_of_range_are_refused():
    refused([Tar().file("f", pax_headers={"uid": str(2**32 - 1)})], "'f'", "owner")
    refused([Tar().file("f", pax_headers={"gid": str(2**40)})], "'f'", "owner")
    assert flatten(Tar().file("f", uid=2**32 - 2))["f"]["uid"] == 2**32 - 2
    refused([Tar(tarfile.GNU_FORMAT).device("c", tarfile.CHRTYPE, 5000, 1)], "'c'", "device")
    refused([Tar(tarfile.GNU_FORMAT).device("c", tarfile.CHRTYPE, 1, 1 << 20)], "'c'", "device")


@case
def attributes_do_not_take_blocks_of_what_comes_later():
    tar = Tar()
    for i in range(300):
        tar.file(f"f{i}", b"x" * 5000, pax_headers={"SCHILY.xattr.user.v": f"{i}" * 100})
        tar.dir(f"d{i}", pax_headers={"SCHILY.xattr.user.v": f"{i}" * 50}).symlink(f"l{i}", "t" * 99)
    tree = flatten(tar)
    for i in range(300):
        assert bytes.fromhex(tree[f"f{i}"]["xattrs"]["user.v"]) == f"{i}".encode() * 100
        assert tree[f"f{i}"]["sha256"] == sha(b"x" * 5000)


@case
def sparse_files():
    size = 300 << 20
    for fmt in ("gnu", "pax"):
        for version in ("0.0", "0.1", "1.0") if fmt == "pax" else ("",):
            with tempfile.TemporaryDirectory() as tmp:
                path = pathlib.Path(tmp) / "sparse"
                with open(path, "wb") as f:
                    f.write(b"begin")
                    f.seek(1 << 20)
                    f.write(b"m" * 10000)
                    f.truncate(size)
                tar = pathlib.Path(tmp) / "s.tar"
                subprocess.run(["tar", "-C", tmp, "--sparse", "--format", fmt, "-cf", tar,
                                *(["--sparse-version=" + version] if version else []), "sparse"],
                               check=True)
                assert tar.stat().st_size < 100000
                image, p = run_flatten([tar], tmp)
                assert p.returncode == 0, p.stderr
                fsck(image)
                entry = dump(image)["sparse"]
                assert entry["size"] == size and entry["blocks"] <= 8 * 8, (fmt, version, entry)
                digest = subprocess.run(["sha256sum", path], stdout=subprocess.PIPE, check=True)
                assert entry["sha256"] == digest.stdout.split()[0].decode(), (fmt, version)


@case
def a_file_in_thousands_of_pieces():
    pieces, step = 3000, 16384
    with tempfile.TemporaryDirectory() as tmp:
        path = pathlib.Path(tmp) / "holes"
        with open(path, "wb") as f:
            for i in range(pieces):
                f.seek(i * step)
                f.write(struct.pack("<I", i) * 1024)
            f.truncate(pieces * step)
        tar = pathlib.Path(tmp) / "h.tar"
        subprocess.run(["tar", "-C", tmp, "--sparse", "--format=posix", "-cf", tar, "holes"],
                       check=True)
        image, p = run_flatten([tar], tmp)
        assert p.returncode == 0, p.stderr
        fsck(image)
        entry = dump(image)["holes"]
        assert entry["sha256"] == sha(path.read_bytes())
        assert entry["blocks"] < pieces * 8 + 1000, entry["blocks"]


@case
def sixty_thousand_files_in_one_directory():
    tar = Tar()
    for i in range(60000):
        tar.file(f"many/file-{i:05}", b"x" if i % 1000 == 0 else b"")
    tree = flatten(tar)
    assert len(tree) == 60002 and tree["many/file-59000"]["sha256"] == sha(b"x")


@case
def large_directories_have_an_index():
    tar = Tar().dir("small")
    for i in range(50):
        tar.file(f"small/{i}")
    for i in range(30000):  # more leaves than the root can point to
        tar.file(f"large/{i:06}-ä" + "n" * 180)
    with tempfile.TemporaryDirectory() as tmp:
        image, p = run_flatten([tar], tmp)
        assert p.returncode == 0, p.stderr
        fsck(image)  # checks every hash and its place
        def debugfs(request):
            return subprocess.run(["/usr/sbin/debugfs", "-R", request, image],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  check=True).stdout.decode()

        assert "Indirect levels: 1" in debugfs("htree_dump /large")
        assert "Not a hash-indexed directory" in debugfs("htree_dump /small")
        for i in (0, 17, 29999):
            assert "Type: regular" in debugfs(f"stat \"/large/{i:06}-ä{'n' * 180}\"")


@case
def more_subdirectories_than_a_link_count_holds():
    tar = Tar()
    for i in range(65010):
        tar.dir(f"d/{i}")
    tree = flatten(tar)
    assert tree["d"]["nlink"] == 1 and len(tree) == 65012


@case
def sizes_around_block_borders():
    tar = Tar()
    sizes = (1, 4095, 4096, 4097, 8192, 1 << 20, (1 << 20) + 1, 5000001)
    for n in sizes:
        tar.file(f"f{n}", (b"0123456789abcdef" * (n // 16 + 1))[:n])
    tree = flatten(tar)
    for n in sizes:
        assert tree[f"f{n}"]["sha256"] == sha((b"0123456789abcdef" * (n // 16 + 1))[:n]), n


@case
def what_is_removed_costs_no_disk():
    kept = {}
    flatten(Tar().file("big", os.urandom(20 << 20)), Tar().file(".wh.big").file("small", b"1"),
            keep=kept)
    assert kept["disk"] < 1 << 20, kept


@case
def the_same_layers_give_the_same_image():
    layers = [Tar().dir("d", mode=0o700).file("d/f", b"x" * 100000).hardlink("d/g", "d/f")
              .symlink("l", "y" * 100).file("x", pax_headers={"SCHILY.xattr.user.a": "1"}),
              Tar().file("d/h", b"2").file(".wh.l")]
    one, two, other = {}, {}, {}
    flatten(*layers, keep=one)
    flatten(*layers, keep=two)
    flatten(*layers, Tar().file("z"), keep=other)
    assert one["sha256"] == two["sha256"] != other["sha256"]


@case
def compressed_layers():
    tar = Tar().file("f", b"data" * 10000).bytes()
    half = len(tar) // 2
    for packed in (gzip.compress(tar), gzip.compress(tar[:half]) + gzip.compress(tar[half:]),
                   zstd(tar), zstd(tar[:half]) + zstd(tar[half:])):
        assert flatten(packed)["f"]["size"] == 40000
    refused([gzip.compress(tar)[:-20]], "decompress")
    refused([zstd(tar)[:-10]], "decompress")
    refused([tar[:1500]], "'f'")


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


@case
def bombs_are_refused():
    with tempfile.TemporaryDirectory() as tmp:
        path = pathlib.Path(tmp) / "bomb.zst"
        zeros = tarfile.TarInfo("zeros")
        zeros.size = 4 << 30
        with open(path, "wb") as f:
            z = subprocess.Popen(["zstd", "-q", "-1", "-c"], stdin=subprocess.PIPE, stdout=f)
            z.stdin.write(zeros.tobuf())
            for _ in range(600):
                z.stdin.write(bytes(1 << 20))
            z.stdin.close()
            assert z.wait() == 0
        assert path.stat().st_size < 1 << 20
        refused([path], "times its size")


@case
def broken_tars_are_refused():
    refused([b"this is no tar at all" * 100], "layer")
    refused([os.urandom(100000)], "layer")


if __name__ == "__main__":
    main()
