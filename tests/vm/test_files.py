#!/usr/bin/python3
"""cp, diff, export and commit: docker's rules, on boxes that run and on those that do not."""
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import check, contains, equal, main, test, wait_for  # noqa: E402

BB = "local/busybox"
SETUP = """
mkdir -p /data/dir/sub /data/empty /tmp/work
echo one > /data/dir/one; echo two > /data/dir/sub/two; ln /data/dir/one /data/dir/hard
ln -s /data/dir /data/link; ln -s dir/one /data/onelink; ln -s /no/where /data/broken
chown 12:34 /data/dir/one; chmod 4751 /data/dir/one; mkfifo /data/fifo; mknod /data/null c 1 3
touch -t 202001020304.05 /data/dir/sub/two; chmod 500 /data/dir/sub
"""


def tree(path):
    """What is below a directory: {name: (type and mode, content or target)}."""
    found = {}
    for p in sorted(path.rglob("*")):
        s = p.lstat()
        text = os.readlink(p) if p.is_symlink() else p.read_text() if p.is_file() else ""
        found[str(p.relative_to(path))] = (oct(s.st_mode & 0o170777), text)
    return found


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        return {m.name: m for m in t.getmembers()}


def tar_of(*entries):
    """An archive: (name, type, content or target)..."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, kind, text in entries:
            m = tarfile.TarInfo(name)
            m.type, m.mode, m.uid, m.gid, m.mtime = kind, 0o644 if kind == tarfile.REGTYPE else 0o755, 77, 88, 1e9
            if kind == tarfile.REGTYPE:
                m.size = len(text)
                t.addfile(m, io.BytesIO(text.encode()))
            else:
                m.linkname = text
                t.addfile(m)
    return out.getvalue()


# Every check gets (home, directory of this machine, run in the box or None). They leave the box as it was.

def out_of_the_box(home, host):
    cp = lambda *a, **kw: home.a3s("cp", *a, **kw)
    cp("bx:/data/dir", host / "new")
    want = {"hard": ("0o100751", "one\n"), "one": ("0o100751", "one\n"), "sub": ("0o40500", ""),
            "sub/two": ("0o100644", "two\n")}
    equal(tree(host / "new"), want, "a directory under a new name, without set-user-id")
    equal((host / "new/one").stat().st_ino, (host / "new/hard").stat().st_ino, "a hard link")
    equal(int((host / "new/sub/two").stat().st_mtime), 1577934245, "its time")
    equal((host / "new/one").stat().st_uid, os.geteuid(), "the owner is who copies")
    (host / "there").mkdir()
    cp("bx:/data/dir", host / "there")
    cp("bx:/data/dir/.", host / "there/")
    equal(sorted(p.name for p in (host / "there").iterdir()), ["dir", "hard", "one", "sub"], "a directory, and its content")
    cp("bx:data/dir/one", host / "file")
    cp("bx:/data/dir/../dir/sub/two", host / "file")
    equal((host / "file").read_text(), "two\n", "a file over a file")
    cp("bx:/data/onelink", host / "link")
    equal(os.readlink(host / "link"), "dir/one", "a link is copied as a link")
    cp("-L", "bx:/data/onelink", host / "there")
    equal((host / "there/onelink").read_text(), "one\n", "-L: what it leads to, under its own name")
    cp("-L", "bx:/data/link/sub", host / "there/sub2")
    equal(tree(host / "there/sub2"), {"two": ("0o100644", "two\n")}, "through a link")
    if os.geteuid() == 0:
        cp("-a", "bx:/data/dir/one", host / "kept")
        s = (host / "kept").stat()
        equal((s.st_uid, s.st_gid, oct(s.st_mode)), (12, 34, "0o104751"), "-a keeps owner and mode")
    got = members(home.a3s("cp", "bx:/data/dir", "-", text=False).out)
    equal(sorted(got), ["dir", "dir/hard", "dir/one", "dir/sub", "dir/sub/two"], "a tar on stdout")
    equal((got["dir/one"].uid, got["dir/one"].gid), (12, 34), "owners in it")
    equal(sorted(members(home.a3s("cp", "bx:/data/empty/.", "-", text=False).out)), ["."], "an empty one")
    # what cannot be
    equal(cp("bx:/nosuch", host, status=1).err, "Error: Could not find the file /nosuch in container bx\n", "missing")
    equal(cp("bx:/data/dir", host / "file", status=1).err, "Error: cannot copy directory\n", "directory onto a file")
    equal(cp("bx:/data/onelink", f"{host}/no/", status=1).err, "Error: no such directory\n", "file into what is not there")
    equal(cp("bx:/data/dir", host / "no/where", status=1).err,
          f'Error: invalid output path: directory "{host}/no" does not exist\n', "no parent")
    contains(cp("bx:/data/dir/one/", host, status=1).err, "not a directory")
    (host / "there2" / "one").mkdir(parents=True)
    contains(cp("bx:/data/dir/.", host / "there2", status=1).err, "cannot overwrite directory")
    os.mkfifo(host / "fifo")
    contains(cp("bx:/data/dir/one", host / "fifo", status=1).err, "must be a directory or a regular file: got an irregular file")


def into_the_box(home, host, state):
    cp = lambda *a, **kw: home.a3s("cp", *a, **kw)
    src = host / "src"
    (src / "d").mkdir(parents=True)
    (src / "d/f").write_text("f")
    (src / "exe").write_text("exe")
    os.symlink("exe", src / "sym")
    os.link(src / "exe", src / "d/same")
    (src / "ä€").write_text("name")
    long = src / ("x" * 200)
    long.write_text("long")
    if os.geteuid() == 0:
        os.chown(src / "exe", 1234, 70000)
    (src / "exe").chmod(0o4755)
    os.utime(src / "exe", ns=(5, 1_234_567_890_123_456_789))
    cp(src, "bx:/tmp/work")
    cp(f"{src}/.", "bx:/tmp/work/all")
    cp(src / "exe", "bx:/tmp/work/renamed")
    cp(src / "exe", "bx:/tmp/work/link")          # a link to the directory /data/empty
    cp("-L", src / "sym", "bx:/tmp/work")
    cp(src / "sym", "bx:/tmp/work/sym2")
    cp("-a", src / "exe", "bx:/tmp/work/kept")
    got = members(home.a3s("cp", "bx:/tmp/work", "-", text=False).out)
    names = {n.removeprefix("work/") for n in got} - {"work"}
    for want in ["src", "src/d", "src/d/f", "src/exe", "src/sym", "src/ä€", "src/" + "x" * 200, "all", "all/d/f", "renamed",
                 "sym", "sym2", "kept"]:
        check(want in names, f"{want} is not in {names}")
    exe, kept = got["work/renamed"], got["work/kept"]
    equal((exe.uid, exe.gid, oct(exe.mode), exe.size), (0, 0, "0o4755", 3), "owner root, mode as it was")
    equal(float(exe.pax_headers.get("mtime", 0)), 1234567890.123456789, "time to the nanosecond")
    s = (src / "exe").stat()
    equal((kept.uid, kept.gid), (s.st_uid, s.st_gid), "-a: the owner")
    equal((got["work/sym2"].linkname, got["work/sym"].isreg()), ("exe", True), "a link, and -L")
    linked = {n: m for n, m in got.items() if m.islnk()}
    check(len(linked) >= 2, f"hard links in {sorted(linked)}")
    equal(sorted(members(home.a3s("cp", "bx:/data/empty", "-", text=False).out)), ["empty", "empty/exe"], "through a link")
    big = os.urandom(1 << 20) * 2 + b"x" * 777  # past the page cache, but for its end
    (src / "big").write_bytes(big)
    cp(src / "big", "bx:/tmp/work/big")
    cp("bx:/tmp/work/big", host / "big")
    equal((host / "big").read_bytes() == big, True, "a big file, there and back")
    # a tar from stdin: merged, links inside of the box, owners by -a only
    tar = tar_of(("in", tarfile.DIRTYPE, ""), ("in/new", tarfile.REGTYPE, "content"), ("in/abs", tarfile.SYMTYPE, "/etc"),
                 ("deep/er/x", tarfile.REGTYPE, "x"), ("../up", tarfile.REGTYPE, "no"))
    r = cp("-", "bx:/tmp/work", input=tar, text=False, status=1)
    contains(r.err.decode(), "../up")
    cp("-a", "-", "bx:/tmp/work", input=tar_of(("kept", tarfile.REGTYPE, "1")), text=False)
    got = members(home.a3s("cp", "bx:/tmp/work/.", "-", text=False).out)
    equal((got["./in/new"].uid, got["./kept"].uid, got["./deep"].mode), (0, 77, 0o755), "owners, implied directories")
    # what cannot be
    contains(cp("-", "bx:/data/dir/one", input=b"", text=False, status=1).err.decode(),
             'destination "bx:/data/dir/one" must be a directory')
    contains(cp("-", "bx:/tmp/work", input=b"\x1f\x8b" + b"\0" * 600, text=False, status=1).err.decode(), "decompress it with gzip")
    cp("-", "bx:/tmp/work", input=tar[:700], text=False, status=1)
    equal(cp(host / "nosuch", "bx:/tmp", status=1).err, f"Error: lstat {host}/nosuch: no such file or directory\n", "no source")
    equal(cp(src, "bx:/no/where/x", status=1).err, "Error: Could not find the file /no/where in container bx\n", "no target")
    equal(cp(src, "bx:/data/dir/one", status=1).err, "Error: cannot copy directory\n", "directory onto a file")
    contains(cp(src / "exe", "bx:/data/null", status=1).err, "must be a directory or a regular file: got a device")
    r = cp("-", "bx:/data", input=tar_of(("dir", tarfile.REGTYPE, "x")), text=False, status=1)
    contains(r.err.decode(), 'cannot overwrite directory "/data/dir" with non-directory "/data"')
    r = cp("-", "bx:/data/dir", input=tar_of(("one", tarfile.DIRTYPE, "")), text=False, status=1)
    contains(r.err.decode(), 'cannot overwrite non-directory "/data/dir/one" with directory "/data/dir"')
    contains(cp(src, "bx:/data/fifo/x", status=1).err, "not")


def changes(home):
    lines = home.out("diff", "bx").splitlines()
    equal(lines, sorted(lines, key=lambda l: l[2:]), "sorted by path")
    return lines


def diff_and_export(home, host):
    lines = changes(home)
    for want in ["A /data", "A /data/dir", "A /data/dir/one", "A /data/link", "C /etc", "C /etc/passwd", "D /etc/group",
                 "C /bin", "D /bin/cat"]:
        check(want in lines, f"{want} is not in {lines}")
    for never in ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/dev", "/proc", "/sys", "/bin/sh"]:
        check(not any(line[2:] == never for line in lines), f"{never} is in {lines}")
    home.a3s("export", "-o", host / "e.tar", "bx")
    got = members((host / "e.tar").read_bytes())
    equal(got, got | members(home.a3s("export", "bx", text=False).out) and got, "the same on stdout")
    for want in ["etc", "etc/passwd", "data/dir/one", "data/dir/sub/two", "bin/sh", "data/null", "data/fifo"]:
        check(want in got, f"{want} is not in the export")
    for never in ["etc/group", "bin/cat", "usr/bin/nsexec", "dev/null", "proc/self"]:
        check(never not in got, f"{never} is in the export")
    one = [m for n, m in got.items() if n in ("data/dir/one", "data/dir/hard") and m.isreg()]
    equal([(m.uid, m.gid, m.mode, m.size) for m in one], [(12, 34, 0o4751, 4)], "a file's owner and mode, and a hard link")
    return sorted(got), lines


@test
def files_of_a_box(home):
    """The same on a running box and on a stopped one."""
    host = home.dir / "host"
    host.mkdir()
    home.a3s("run", "-d", "--name", "bx", BB, "--", "sh", "-c",
             "rm /etc/group /bin/cat; echo x:x:0:0::/:/bin/sh >> /etc/passwd; " + SETUP.replace("\n", ";\n", 1).lstrip(";\n") +
             "\nln -s /data/empty /tmp/work/link; touch /tmp/ready; exec sleep 1000000")
    wait_for(lambda: home.a3s("exec", "bx", "test", "-e", "/tmp/ready", status=None, timeout=60), "set-up")
    wait_for(lambda: "A /tmp/ready" in home.out("diff", "bx"), "set-up")
    results = []
    for state in ["running", "stopped"]:
        here = host / state
        here.mkdir()
        out_of_the_box(home, here)
        results.append(diff_and_export(home, here))
        into_the_box(home, here, state)
        if state == "running":
            equal(home.out("exec", "bx", "sh", "-c", "stat -c '%u %a' /tmp/work/renamed; ls -l /tmp/work/in/abs | tail -c 5"),
                  "0 4755\n/etc", "seen in the box")
            # as in docker, what the box mounts over a file can be changed where it is
            (here / "hosts").write_text("127.0.0.1 new\n")
            home.a3s("cp", here / "hosts", "bx:/etc/hosts")
            equal(home.out("exec", "bx", "head", "-n1", "/etc/hosts"), "127.0.0.1 new", "a mounted file")
            home.a3s("exec", "bx", "sh", "-c", "rm -rf /tmp/work/* /data/empty/exe; ln -s /data/empty /tmp/work/link")
            home.a3s("stop", "-t", "0", "bx")
    equal(results[1], results[0], "diff and export of a stopped box are those of the running one")
    home.a3s("start", "bx", status=None)  # the command fails the second time, but the disk is whole
    home.a3s("stop", "-t", "0", "bx")


@test
def commit_makes_an_image_of_the_changes(home):
    """One layer more, with nothing but the changes; running (and standing still meanwhile), then stopped."""
    seen = set(home.path.glob("images/blobs/sha256/*"))

    def commit(*args):
        """The new image's id, and the names in its new layer."""
        image = home.out("commit", *args)
        new = [b for b in home.path.glob("images/blobs/sha256/*") if b not in seen and b.read_bytes()[:1] != b"{"]
        seen.update(home.path.glob("images/blobs/sha256/*"))
        equal(len(new), 1, "new layers")
        with tarfile.open(new[0]) as t:
            return image, [m.name for m in t.getmembers()]

    def seconds(name):
        return home.out("exec", name, "sh", "-c", "wc -l < /tmp/log")

    home.a3s("run", "-d", "--name", "bx", "-e", "A=1", "-w", "/tmp", "-l", "who=me", BB, "--", "sh", "-c",
             "rm /bin/cat; mkdir -p /data/old; touch /data/a /data/old/x /tmp/ready; while :; do echo x >> /tmp/log; done")
    wait_for(lambda: "A /tmp/ready" in home.out("diff", "bx"), "set-up")
    image, layer = commit("-m", "why", "-a", "Me <me@example.org>", "-c", 'CMD ["cat"]', "-c", "ENV B=2", "bx", "local/new:1")
    before = seconds("bx")
    wait_for(lambda: seconds("bx") != before, "the box goes on")
    f = lambda template, ref="local/new:1": home.out("image-inspect", "-f", template, ref)
    equal(f("{{.Comment}} {{.Author}} {{json .Config.Cmd}} {{.Config.WorkingDir}} {{.Config.Labels.who}}"),
          'why Me <me@example.org> ["cat"] /tmp me', "its configuration")
    for env in ["A=1", "B=2"]:
        check(env in f("{{json .Config.Env}}"), f("{{json .Config.Env}}"))
    equal(f("{{.Id}}"), image, "its id")
    equal(int(f("{{len .RootFS.Layers}}")), int(f("{{len .RootFS.Layers}}", BB)) + 1, "one layer more")
    want = ["bin", "bin/.wh.cat", "data", "data/a", "data/old", "data/old/x", "tmp", "tmp/log", "tmp/ready"]
    equal([n.rstrip("/") for n in layer if n.rstrip("/") != "tmp"], [n for n in want if n != "tmp"], "the layer")
    home.a3s("stop", "-t", "0", "bx")
    equal(commit("bx", "local/new:2")[1], layer, "the layer of the stopped box")
    # what was removed and made again hides what was there
    home.a3s("run", "-d", "--name", "by", "local/new:2", "sh", "-c",
             "rm -rf /data; mkdir /data; touch /data/b /tmp/again; exec sleep 1000000")
    wait_for(lambda: "A /tmp/again" in home.out("diff", "by"), "set-up")
    changes = home.out("diff", "by")
    equal([c for c in changes.splitlines() if "/data" in c], ["C /data", "D /data/a", "A /data/b", "D /data/old"], "changes")
    layer = commit("by", "local/new:3")[1]
    check("data/.wh..wh..opq" in layer and "data/b" in layer, f"layer: {layer}")
    home.a3s("stop", "-t", "0", "by")
    equal(home.out("diff", "by"), changes, "changes of the stopped box")
    equal(commit("by", "local/new:4")[1], layer, "the layer of the stopped box")
    r = home.out("run", "--rm", "local/new:4", "sh", "-c", "ls /data; ls /bin/cat 2>&1; pwd; echo $A$B")
    equal(r, "b\nls: /bin/cat: No such file or directory\n/tmp\n1", "a box of it")
    contains(home.a3s("commit", "-c", "RUN x", "bx", status=1).err, "RUN")
    contains(home.a3s("commit", "bx", "Bad:ref", status=None).err, "Error")
    events = home.out("events", "--since", "1", "--until", f"{time.time():.9f}", "--filter", "type=container", "--format", "{{.Action}}")
    check("commit" in events.split("\n"), events)


@test
def a_hostile_archive_stays_in_its_directory(home):
    """What a box sends is unpacked below the destination only."""
    host = home.dir / "host"
    (host / "dst").mkdir(parents=True)
    (host / "victim").write_text("whole")
    home.a3s("create", "--name", "bx", BB)
    evil = tar_of(("e", tarfile.DIRTYPE, ""), ("e/l", tarfile.SYMTYPE, str(host)), ("e/l2", tarfile.SYMTYPE, ".."))
    home.a3s("cp", "-", "bx:/", input=evil, text=False)
    home.a3s("cp", "bx:/e", host / "dst")
    equal(os.readlink(host / "dst/e/l"), str(host), "a link is only a link")
    # ... and what is a directory in the box does not go through a link that is there already
    home.a3s("create", "--name", "cx", BB)
    home.a3s("cp", "-", "cx:/", input=tar_of(("e/l/victim", tarfile.REGTYPE, "broken"), ("e/l2/victim", tarfile.REGTYPE, "broken")),
             text=False)
    contains(home.a3s("cp", "cx:/e", host / "dst", status=1).err, "cannot overwrite non-directory")
    equal((host / "victim").read_text(), "whole", "the file outside")
    check(not (host / "dst/victim").exists(), "written through a link")


@test
def clients_that_go_leave_nothing(home):
    """Killed in the middle, both ways, running: no child stays in the guest, and the box still stops."""
    home.a3s("run", "-d", "--name", "bx", BB, "--", "sleep", "1000000")
    home.a3s("exec", "bx", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=24")
    p = home.popen("cp", "bx:/big", "-", stdout=subprocess.PIPE)
    check(p.stdout.read(100000), "it sends")
    p.kill()
    p.stdout.close()
    p.wait()
    p = home.popen("cp", "-", "bx:/", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdin.write(tar_of(("half", tarfile.REGTYPE, "x" * 3000000))[:1000000])
    p.stdin.flush()
    p.kill()
    p.stdin.close()
    p.wait()
    home.a3s("pause", "bx")
    contains(home.a3s("cp", "bx:/big", "-", status=1).err, "Box bx is paused, unpause the box first")
    home.a3s("unpause", "bx")
    equal(home.out("exec", "bx", "echo", "alive"), "alive")
    equal(len(home.a3s("cp", "bx:/big", "-", text=False).out) > 24 << 20, True, "whole afterwards")
    home.a3s("stop", "-t", "0", "bx")
    equal(home.out("inspect", "-f", "{{.State.Status}} {{.State.Error}}", "bx"), "exited ", "a clean end")


@test
def usage_in_dockers_words(home):
    home.a3s("create", "--name", "bx", BB)
    for args, why in [(("/a", "/b"), "must specify at least one container source"),
                      (("bx:/a", "bx:/b"), "copying between containers is not supported"),
                      (("", "bx:/b"), "source can not be empty"), (("bx:/a", ""), "destination can not be empty"),
                      (("nosuch:/a", "/tmp"), "No such box: nosuch"), (("./b:x", "bx:/tmp"), "lstat")]:
        contains(home.a3s("cp", *args, status=1).err, why)
    for command in ["diff", "export", "commit"]:
        contains(home.a3s(command, "nosuch", status=1).err, "No such box: nosuch")
    equal(home.out("diff", "bx"), "", "nothing has changed yet")
    home.a3s("create", "--name", "ro", "--read-only", BB)
    contains(home.a3s("cp", __file__, "ro:/tmp", status=1).err, "container rootfs is marked read-only")


if __name__ == "__main__":
    main()
