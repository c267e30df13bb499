#!/usr/bin/python3
"""Pulls that are interrupted, repeated, concurrent, out of room; and what must not be asked twice."""
import os
import pathlib
import random
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import busybox_tar, check, contains, equal, main, test, wait_for
from hostile import FakeRegistry, Image, Index, cut_after, slow
from layers import Tar
from pulls import Program, files, fsck, full_disk, nothing_stored, quick, refused
from registry import Peers, Registry
import otlp

quick()
KILLS = int(os.environ.get("KILLS", "50"))
MIB = 1 << 20


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def image_of(layers=4, size=MIB):
    """Bytes that do not compress: a layer is as long on the way as on the disk."""
    return Image(*[Tar().file(f"data{i}", noise(size, i)).bytes() for i in range(layers)])


def busybox(home, r, name="a/b:1"):
    Peers(home.dir).copy(f"oci-archive:{busybox_tar()}", "docker://" + r.ref(name))
    return r.ref(name)


# ---- what it says ----------------------------------------------------------------------------


@test(image=False)
def plain_lines_and_quiet(home):
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(2, 1000))
        lines = home.out("pull", r.ref("a/b:1")).splitlines()
        contains(lines[0], "Pulling from ")
        for layer in image.layers:
            check(any(layer.digest[7:19] in l and "Pull complete" in l for l in lines), f"{layer.digest[7:19]}: {lines}")
        equal(lines[-3], f"Digest: {image.digest}")
        equal(lines[-2], f"Status: Downloaded newer image for {r.ref('a/b:1')}")
        equal(lines[-1], r.ref("a/b:1"))
        again = home.out("pull", r.ref("a/b:1")).splitlines()
        equal(again[-2:], [f"Status: Image is up to date for {r.ref('a/b:1')}", r.ref("a/b:1")])
        home.a3s("tag", r.ref("a/b:1"), "other:1")
        gone = home.out("rmi", "-f", home.out("images", "-q", "--no-trunc").split()[0]).splitlines()
        equal(gone[:3], [f"Untagged: {r.ref('a/b:1')}", f"Untagged: {r.ref('a/b')}@{image.digest}", "Untagged: other:1"])
        check(gone[3].startswith("Deleted: sha256:") and len(gone) == 4, gone)
        result = home.a3s("pull", "-q", r.ref("a/b:1"))
        equal((result.out, result.err), (r.ref("a/b:1") + "\n", ""))


@test(image=False)
def a_pull_is_traced_and_counted(home):
    with FakeRegistry() as r, otlp.Collector() as collector:
        r.add("a/b:1", image_of(2, 1000))
        home.a3s("pull", "-q", r.ref("a/b:1"), env=collector.env())
        good = collector.wait("image_pull")
        home.a3s("pull", "-q", r.ref("a/b:2"), env=collector.env(), status=1)
        bad = wait_for(lambda: next((s for s in collector.named("image_pull") if "status" in s), None), "the second")
    equal(otlp.attributes(good), {"reference": r.ref("a/b:1")})
    equal((otlp.attributes(bad)["reference"], bad["status"]["code"]), (r.ref("a/b:2"), 2))
    check("status" not in good and "parentSpanId" not in good, good)
    counters = memoryview((home.path / "metrics").read_bytes()[:4096 - 4096 % 8]).cast("Q")
    equal(counters[1 + 4], 1, "a3s_box_image_pull_total")
    collector.validate()


@test(image=False)
def a_bad_reference_says_which_part(home):
    for name, word in (("localhost:5000/A/b", "upper|lower|repository|'A"), ("x:", "tag"), ("x@sha256:12", "digest"),
                       ("http://localhost/x", "http"), ("", "reference|empty|name")):
        refused(home, "pull", name, words=[word])


@test(image=False)
def nobody_listens(home):
    with FakeRegistry() as r:
        name = r.ref("a/b:1")
    refused(home, "pull", name, words=[re.escape(name.split("/")[0]), "connect|refused|reach"])


@test(image=False)
def a_tag_that_moved_is_pulled_anew(home):
    with FakeRegistry() as r:
        one, two = image_of(1, 1000), image_of(2, 1000)
        r.add("a/b:1", one)
        home.a3s("pull", r.ref("a/b:1"))
        r.add("a/b:1", two)
        contains(home.out("pull", r.ref("a/b:1")), f"Digest: {two.digest}")
        equal(r.count("GET", "/blobs/" + one.layers[0].digest), 1, "the layer both have")
        home.a3s("rmi", "-f", r.ref("a/b:1"))


# ---- what it asks ----------------------------------------------------------------------------


@test(image=False)
def what_is_present_costs_one_head(home):
    with Registry() as r:
        name = busybox(home, r)
        home.a3s("pull", name)
        before = files(home)
        mark = r.mark()
        contains(home.out("pull", name), "Image is up to date")
        equal([(m, p) for m, p, _ in r.requests(mark)], [("HEAD", "/v2/a/b/manifests/1")])
        equal(files(home), before)
        by_digest = r.ref("a/b@") + r.manifest("a/b:1")[0]
        home.a3s("pull", by_digest)
        mark = r.mark()
        home.a3s("pull", by_digest)
        check(len(r.requests(mark)) <= 1, f"{r.requests(mark)}")


@test(image=False)
def what_is_present_behind_an_index_costs_one_head(home):
    with FakeRegistry() as r:
        r.add("a/b:1", Index({"amd64": image_of(1, 1000), "arm64": image_of(2, 1000)}))
        home.a3s("pull", r.ref("a/b:1"))
        count = r.count()
        home.a3s("pull", r.ref("a/b:1"))
        equal([q.method for q in r.requests[count:]], ["HEAD"])


@test(image=False)
def every_blob_is_asked_for_once(home):
    """One layer twice in an image, one that is in the store already."""
    with FakeRegistry() as r:
        same = Tar().file("same", noise(50000)).bytes()
        other = Tar().file("other", noise(50000, 2)).bytes()
        image = r.add("a/b:1", Image(same, other, same))
        home.a3s("pull", r.ref("a/b:1"))
        for blob in image.blobs():
            equal(r.count("GET", "/blobs/" + blob.digest), 1, f"requests of {blob.digest}")
        equal(r.count("GET", "/manifests/"), 1, "requests of manifests")
        third = r.add("a/c:1", Image(same, Tar().file("third", b"3").bytes()))
        home.a3s("pull", r.ref("a/c:1"))
        equal(r.count("GET", "/blobs/" + third.layers[0].digest), 1, "requests of the shared layer")
        fsck(home)


@test(image=False)
def layers_come_four_at_a_time(home):
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(8, 200_000))
        now, most = [0], [0]

        def counted(q):
            with r.lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            r.server.ended.wait(0.3)
            with r.lock:
                now[0] -= 1
            return False
        for blob in image.layers:
            r.on("GET", "/blobs/" + blob.digest, counted)
        home.a3s("pull", r.ref("a/b:1"))
        check(2 <= most[0] <= 4, f"{most[0]} at once")
        home.a3s("rmi", "-f", r.ref("a/b:1"))
        most[0] = 0
        home.a3s("pull", r.ref("a/b:1"), env={"A3S_REGISTRY_PULL_MAX_CONCURRENT": "1"})
        equal(most[0], 1, "at once")


# ---- what breaks -----------------------------------------------------------------------------


@test(image=False)
def a_broken_connection_is_resumed_where_it_was(home):
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(1, MIB))
        data = image.layers[0].data
        r.on("GET", "/blobs/" + image.layers[0].digest, cut_after(data, 600_000), times=1)
        home.a3s("pull", r.ref("a/b:1"))
        first, second = r.find("GET", "/blobs/" + image.layers[0].digest)
        equal(first.headers.get("Range"), None)
        equal(second.headers["Range"], "bytes=600000-")
        equal(second.sent, len(data) - 600_000)
        fsck(home)


@test(image=False)
def progress_earns_further_attempts(home):
    """More breaks than attempts, but every one brought something."""
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(1, 6 * MIB))
        r.on("GET", "/blobs/" + image.layers[0].digest, cut_after(image.layers[0].data, 1_200_000))
        home.a3s("pull", r.ref("a/b:1"))
        equal(r.count("GET", "/blobs/" + image.layers[0].digest), 6)
        fsck(home)


@test(image=False)
def a_registry_without_ranges_starts_again(home):
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(2, MIB))
        data = image.layers[0].data
        r.on("GET", "/blobs/" + image.layers[0].digest, lambda q: q.reply(200, data))
        r.on("GET", "/blobs/" + image.layers[0].digest, cut_after(data, 600_000), times=1)
        home.a3s("pull", r.ref("a/b:1"))
        fsck(home)


@test(image=False)
def busy_for_a_moment(home):
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(1, 1000))
        r.on("GET|HEAD", "/manifests/", lambda q: q.error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"}), times=1)
        r.on("GET", "/blobs/", lambda q: q.error(503, "UNAVAILABLE", "not now"), times=2)
        home.a3s("pull", r.ref("a/b:1"), env={"A3S_REGISTRY_PULL_RETRY_MAX_MS": "5000"})
        asked = [q for q in r.find("", "/manifests/")]
        check(asked[1].start - asked[0].start >= 0.9, f"asked again after {asked[1].start - asked[0].start:.2f} s, not 1 s")
        equal(len(image.layers), 1)
        fsck(home)


@test(image=False)
def a_layer_that_was_bad_on_the_disk_is_fetched_again(home):
    """What an earlier pull left is not trusted."""
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(1, MIB))
        blob = image.layers[0]
        r.on("GET", "/blobs/" + blob.digest, cut_after(blob.data, 300_000), times=100)
        r.on("GET", "/blobs/" + blob.digest, lambda q: q.stall() if "Range" in q.headers else False)
        p = Program(home, "pull", r.ref("a/b:1"), env={"A3S_REGISTRY_PULL_NO_PROGRESS_TIMEOUT_SECS": "100"})
        wait_for(lambda: any("Range" in q.headers for q in r.find("GET", blob.digest)), "the resumption", 60)
        p.p.kill()
        p.wait(status=-signal.SIGKILL)
        wait_for(lambda: not home.processes(), "its helpers end", 30)
        partial = [home.path / f for f in files(home, "images/partial")]
        check(partial, "nothing was kept for later")
        del r.rules[:]
        for path in partial:
            with open(path, "r+b") as f:
                f.write(b"\0" * 1000)
        home.a3s("pull", r.ref("a/b:1"))
        fsck(home)


def random_kills(home, count, victims):
    """kill -9 at a random moment, then a pull: it succeeds, and the store is what it should be."""
    rnd = random.Random(count)
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(5, 400_000))
        name = r.ref("a/b:1")
        whole = Program(home, "pull", name).wait().seconds
        present = files(home)
        home.a3s("rmi", "-f", name)
        equal(files(home), [], "files of no image")
        finished = 0
        for i in range(count):
            p = Program(home, "pull", name)
            try:
                p.p.wait(rnd.uniform(0, whole * 1.1))
            except subprocess.TimeoutExpired:
                pass
            victim = rnd.choice(victims)
            for pid, line in home.processes().items():
                if victim in line.split(" ")[0].rsplit("/", 1)[-1]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            p.wait(status=None, timeout=60)
            wait_for(lambda: not home.processes(), f"round {i}: processes end after {victim} was killed", 30)
            again = Program(home, "pull", name).wait()
            # The machine may be busier or less busy than at the beginning.
            whole = p.seconds if p.p.returncode == 0 else max(whole, again.seconds)
            finished += p.p.returncode == 0
            equal(files(home), present, f"files after round {i}")
            if i % 5 == 4:
                fsck(home)
            home.a3s("rmi", "-f", name)
            equal(files(home), [], f"files of no image after round {i}")
        check(finished < count / 2, f"{finished} of {count} pulls were not interrupted")
        equal(len(image.layers), 5)


@test(image=False)
def kill_9_at_random_moments(home):
    random_kills(home, KILLS, ["a3s-box", "a3s-box", "a3s-box-registry", "a3s-box-image"])


def interrupted(home, sig):
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(2, MIB))
        for blob in image.layers:
            r.on("GET", "/blobs/" + blob.digest, slow(blob.data, 200_000))
        p = Program(home, "pull", r.ref("a/b:1"))
        wait_for(lambda: any(q.sent > 100_000 for q in r.find("GET", "/blobs/")), "bytes come", 60)
        p.p.send_signal(sig)
        p.wait(status=None, timeout=10)
        check(p.p.returncode in (128 + sig, -sig, 1), f"status {p.p.returncode}: {p.err}")
        check("Sanitizer" not in p.err, p.err)
        wait_for(lambda: not home.processes(), "all processes end", 10)
        nothing_stored(home, partial=True)
        r.server.ended.set()
    with FakeRegistry() as r:
        r.add("a/b:1", image)
        home.a3s("pull", r.ref("a/b:1"))
        fsck(home)


@test(image=False)
def ctrl_c_ends_at_once(home):
    interrupted(home, signal.SIGINT)


@test(image=False)
def sigterm_ends_at_once(home):
    interrupted(home, signal.SIGTERM)


@test(image=False)
def a_full_disk_is_said_and_cleaned_up(home):
    """A disk with room for some of it: for a layer or two, for all of them but not for the root file system."""
    with FakeRegistry() as r:
        r.add("a/b:1", image_of(4, 2 * MIB))
        for size in (2, 6, 12, 16):
            undo = full_disk(size, home.path)
            try:
                refused(home, "pull", r.ref("a/b:1"), words=["No space left on device|disk is full"])
                wait_for(lambda: not home.processes(), "all processes end", 10)
                nothing_stored(home, partial=True)
            finally:
                undo()
        home.a3s("pull", r.ref("a/b:1"))
        fsck(home)


# ---- two at once -----------------------------------------------------------------------------


@test(image=False)
def two_pulls_of_one_image_share_the_work(home):
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(4, 300_000))
        for blob in image.layers:
            r.on("GET", "/blobs/" + blob.digest, slow(blob.data, 600_000))
        both = [Program(home, "pull", r.ref("a/b:1")) for _ in range(2)]
        for p in both:
            p.wait()
        for blob in image.blobs():
            equal(r.count("GET", "/blobs/" + blob.digest), 1, f"requests of {blob.digest}")
        said = "".join(p.out for p in both)
        contains(said, "Downloaded newer image")
        contains(said, "Image is up to date")
        fsck(home)


@test(image=False)
def the_second_goes_on_when_the_first_is_killed(home):
    with FakeRegistry() as r:
        image = r.add("a/b:1", image_of(1, MIB))
        blob = image.layers[0]
        r.on("GET", "/blobs/" + blob.digest, slow(blob.data, 300_000))
        first = Program(home, "pull", r.ref("a/b:1"))
        wait_for(lambda: any(q.sent > 200_000 for q in r.find("GET", blob.digest)), "bytes come", 60)
        second = Program(home, "pull", r.ref("a/b:1"))
        wait_for(lambda: len([l for l in home.processes().values() if "a3s-box" in l]) > 3, "the second one waits", 30)
        first.p.kill()
        second.wait()
        first.wait(status=None)
        check(r.count("GET", blob.digest) == 2, f"{r.find('GET', blob.digest)}")
        wait_for(lambda: not home.processes(), "the first one's processes are gone", 30)
        home.a3s("image-prune", "-f")  # they may have ended after the second one looked for what they leave
        fsck(home)


@test(image=False)
def two_images_with_a_layer_in_common(home):
    with FakeRegistry() as r:
        same = Tar().file("same", noise(MIB)).bytes()
        a = r.add("a/a:1", Image(same, Tar().file("a", b"a").bytes()))
        r.add("a/b:1", Image(same, Tar().file("b", b"b").bytes()))
        r.on("GET", "/blobs/" + a.layers[0].digest, slow(a.layers[0].data, MIB))
        both = [Program(home, "pull", r.ref(f"a/{n}:1")) for n in "ab"]
        for p in both:
            p.wait()
        fsck(home)


# ---- run -------------------------------------------------------------------------------------


@test(image=False)
def run_pulls_what_is_missing(home):
    with Registry() as r:
        name = busybox(home, r)
        result = home.a3s("run", "--rm", name, "--", "echo", "here")
        equal(result.out, "here\n")
        contains(result.err, "Pull complete")
        mark = r.mark()
        result = home.a3s("run", "--rm", name, "--", "echo", "here")
        equal((result.out, result.err, r.requests(mark)), ("here\n", "", []))
        home.a3s("create", "--name", "cc", "--pull", "missing", name)
        equal(r.requests(mark), [])


@test(image=False)
def run_pull_always_and_never(home):
    with Registry() as r:
        name = busybox(home, r)
        refused(home, "run", "--rm", "--pull", "never", name, "--", "true", status=None, words=["not found|no such"])
        equal([q for q in r.requests() if q[0] == "GET" and "manifests" in q[1]], [])
        home.a3s("run", "--rm", "--pull", "always", name, "--", "true")
        mark = r.mark()
        home.a3s("run", "--rm", "--pull", "always", name, "--", "true")
        equal([(m, p) for m, p, _ in r.requests(mark)], [("HEAD", "/v2/a/b/manifests/1")])
        r.stop()
        refused(home, "run", "--rm", "--pull", "always", name, "--", "true", status=None, words=[r.host])
        home.a3s("run", "--rm", "--pull", "never", name, "--", "true")
        refused(home, "run", "--pull", "sometimes", name, "--", "true", status=None, words=["sometimes"])


@test(image=False)
def create_of_what_nobody_has(home):
    with Registry() as r:
        refused(home, "create", r.ref("no/such:1"), status=None, words=["no/such"])
        equal(home.out("ps", "-aq"), "")
        nothing_stored(home)


main()
