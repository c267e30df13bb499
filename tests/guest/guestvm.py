"""Boot the guest in QEMU and speak the channel's protocol with it (docs/protocols.md), without any
of the host's programs: what they get wrong, this does not."""
import os
import re
import selectors
import shutil
import socket
import struct
import subprocess
import tempfile
import time

HELLO, OPEN, DATA, CREDIT, FIN, RESET = range(1, 7)
MAGIC, WINDOW, DATA_MAX = 0x61337331, 512 << 10, 65536
CONTROL, EXEC, PTY = 4088, 4089, 4090
START, STDIN, STDIN_EOF, SIGNAL, RESIZE, PING = range(1, 7)
STARTED, STDOUT, STDERR, EXIT, ERROR, PONG = range(0x81, 0x87)
VM_CONFIG, CREATE, KILL, PROCS, CLOCK, SHUTDOWN = range(0x20, 0x26)
CREATED, FAILED, EXITED, PROC_LIST, SHUTDOWN_DONE, LOG = range(0xA1, 0xA7)

DEFAULT_CAPS = 0xA80425FB
ALL_CAPS = (1 << 64) - 1
MASKED = """/proc/asound /proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats
/proc/timer_list /proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware
/sys/devices/virtual/powercap""".split()
READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# name: (tag, type); a type that is a dict is a struct, in a list a repeated one
TMPFS = {"path": (1, str), "options": (2, str)}
RLIMIT = {"resource": (1, int), "soft": (2, int), "hard": (3, int)}
CGROUP = {"memory_max": (1, int), "memory_low": (2, int), "swap": (3, int), "pids_max": (4, int),
          "cpu_weight": (5, int), "cpu_quota": (6, int), "cpu_period": (7, int),
          "cpuset": (8, str), "oom_score_adj": (9, int)}
SECURITY = {"caps": (1, int), "seccomp": (2, bytes), "nnp": (3, bool), "privileged": (4, bool),
            "masked": (5, [str]), "readonly": (6, [str])}
CONTAINER = {"id": (1, str), "hostname": (2, str), "domainname": (3, str), "lower": (4, int),
             "upper": (5, int), "read_only": (6, bool), "hosts": (7, str), "resolv": (8, str),
             "tmpfs": (9, [TMPFS]), "shm": (10, int), "rlimits": (11, [RLIMIT]),
             "cgroup": (12, CGROUP), "security": (13, SECURITY), "init": (14, bool)}
REQUEST = {"container": (1, str), "main": (2, bool), "argv": (3, [str]), "env": (4, [str]),
           "cwd": (5, str), "user": (6, str), "groups": (7, [str]), "tty": (8, bool),
           "cols": (9, int), "rows": (10, int), "stdin": (11, bool), "timeout": (12, int),
           "privileged": (13, bool)}
SETUP = {"clock": (1, int), "seed": (2, bytes), "debug": (3, bool)}
STARTED_T = {"pid": (1, int), "uptime": (2, int)}
EXIT_T = {"container": (1, str), "status": (2, int), "reason": (3, int), "oom": (4, bool),
          "finished": (5, int)}
ERROR_T = {"container": (1, str), "kind": (2, int), "status": (3, int), "text": (4, str)}
SIGNAL_T = {"container": (1, str), "signal": (2, int), "all": (3, bool)}
REF = {"container": (1, str)}
PROC = {"pid": (1, int), "ppid": (2, int), "uid": (3, int), "gid": (4, int), "user": (5, str),
        "state": (6, str), "tty": (7, str), "comm": (8, str), "args": (9, str), "cpu": (10, int),
        "start": (11, int), "rss": (12, int), "vsz": (13, int), "nice": (14, int),
        "threads": (15, int)}
PROCS_T = {"container": (1, str), "uptime": (2, int), "procs": (3, [PROC])}
DECODE = {STARTED: STARTED_T, EXIT: EXIT_T, ERROR: ERROR_T, CREATED: REF, FAILED: ERROR_T,
          EXITED: EXIT_T, PROC_LIST: PROCS_T}


def encode(table, values):
    out = b""
    for name, value in values.items():
        tag, kind = table[name]
        for item in value if isinstance(kind, list) else [value]:
            k = kind[0] if isinstance(kind, list) else kind
            if item is None:
                continue
            if isinstance(k, dict):
                raw = encode(k, item)
            elif k is int:
                raw = struct.pack(">Q", item & (1 << 64) - 1)
            elif k is bool:
                raw = b"\1" if item else b"\0"
            else:
                raw = item if isinstance(item, bytes) else item.encode()
            out += struct.pack(">HI", tag, len(raw)) + raw
    return out


def decode(table, raw):
    names = {tag: (name, kind) for name, (tag, kind) in table.items()}
    out = {n: [] if isinstance(k, list) else {int: 0, bool: False}.get(k)
           for n, k in names.values() if not isinstance(k, dict)}
    while raw:
        tag, size = struct.unpack_from(">HI", raw)
        value, raw = raw[6:6 + size], raw[6 + size:]
        name, kind = names.get(tag, (None, None))
        k = kind[0] if isinstance(kind, list) else kind
        if isinstance(k, dict):
            value = decode(k, value)
        elif k is int:
            value = struct.unpack(">Q", value)[0]
        elif k is bool:
            value = value == b"\1"
        elif k is str:
            value = value.decode(errors="surrogateescape")
        if isinstance(kind, list):
            out[name].append(value)
        elif name:
            out[name] = value
    return out


class Timeout(Exception):
    pass


class Stream:
    """One stream; messages arrive in `messages` unless `raw`."""

    def __init__(self, vm, number, raw=False):
        self.vm, self.id, self.raw = vm, number, raw
        self.credit, self.owed = WINDOW, 0
        self.buf, self.out = bytearray(), bytearray()
        self.messages, self.data = [], bytearray()
        self.fin = self.reset = None
        self.give_credit = True
        self.sizes = {STDOUT: 0, STDERR: 0}
        self.keep = True  # keep output's bytes

    def send(self, kind, payload=b""):
        self.out += struct.pack(">BI", kind, len(payload)) + payload
        self.flush()

    def send_raw(self, data):
        self.out += data
        self.flush()

    def flush(self):
        while self.out and self.credit:
            n = min(len(self.out), self.credit, DATA_MAX)
            self.vm.frame(DATA, self.id, bytes(self.out[:n]))
            del self.out[:n]
            self.credit -= n

    def finish(self):
        self.vm.frame(FIN, self.id)

    def arrived(self, data):
        self.owed += len(data)
        if self.give_credit and self.owed >= WINDOW // 2:
            self.vm.frame(CREDIT, self.id, struct.pack(">I", self.owed))
            self.owed = 0
        if self.raw:
            self.data += data
            return
        self.buf += data
        at = 0
        while len(self.buf) - at >= 5:
            kind, size = struct.unpack_from(">BI", self.buf, at)
            if len(self.buf) - at - 5 < size:
                break
            if kind in self.sizes:
                self.sizes[kind] += size
            if self.keep or kind not in self.sizes:
                payload = bytes(self.buf[at + 5:at + 5 + size])
                self.messages.append(
                    (kind, decode(DECODE[kind], payload) if kind in DECODE else payload))
            at += 5 + size
        del self.buf[:at]

    def output(self, kind=STDOUT):
        return b"".join(p for k, p in self.messages if k == kind)

    def find(self, *kinds):
        for k, p in self.messages:
            if k in kinds:
                return k, p
        return None

    def wait(self, *kinds, timeout=20):
        self.vm.pump(lambda: self.find(*kinds) or self.reset is not None, timeout,
                     "message %s on stream %d, got %r" % (kinds, self.id, self.messages[-5:]))
        found = self.find(*kinds)
        if not found:
            raise Timeout("stream was reset: %s" % self.reset)
        return found


class Result:
    def __init__(self, stream):
        kind, end = stream.wait(EXIT, ERROR)
        self.out, self.err = stream.output(STDOUT), stream.output(STDERR)
        self.error = end["text"] if kind == ERROR else None
        self.status = end["status"]
        self.reason = end.get("reason")
        self.end = end

    def text(self):
        return self.out.decode(errors="replace").replace("\r\n", "\n")

    def __repr__(self):
        return "status %s out %r err %r error %r" % (self.status, self.out, self.err, self.error)


def tsc_khz():
    with open("/proc/cpuinfo") as f:
        mhz = re.search(r"cpu MHz\s*: ([0-9.]+)", f.read())
    return int(float(mhz.group(1)) * 1000) if mhz else 0


class Vm:
    def __init__(self, kernel, initramfs, disks=(), memory="256M", accel="tcg", append="", cpus=2, extra=(),
                 khz=None):
        ours, theirs = socket.socketpair()
        self.sock = ours
        self.console = tempfile.NamedTemporaryFile(prefix="console.")
        self.streams, self.next_id, self.hello = {}, 1, None
        self.rest, self.pending = bytearray(), bytearray()
        line = "console=ttyS0 quiet reboot=t panic=-1 pci=off cryptomgr.notests mitigations=off "
        if khz is None:
            khz = tsc_khz() if accel == "tcg" else 0
        line += ("tsc_early_khz=%d " % khz if khz else "") + append
        fd = theirs.fileno()
        args = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
                "-display", "none", "-accel", accel, "-cpu", "max,la57=off,erms=off" if accel == "tcg"
                else "host", "-M", "microvm,x-option-roms=off,rtc=on", "-bios", "qboot.rom", "-m", memory,
                "-smp", str(cpus),
                "-global", "virtio-mmio.force-legacy=false", "-kernel", kernel,
                "-initrd", initramfs, "-append", line,
                "-chardev", "socket,id=channel,fd=%d" % fd,
                "-chardev", "file,id=console,path=" + self.console.name,
                "-serial", "chardev:console", "-device", "virtio-serial-device,max_ports=2",
                "-device", "virtserialport,nr=1,chardev=channel,name=a3s.channel",
                "-device", "virtio-scsi-device,id=scsi"]
        for lun, (path, read_only) in enumerate(disks):
            args += ["-drive", "if=none,id=d%d,format=raw,file=%s%s" %
                     (lun, path, ",readonly=on,file.locking=off" if read_only else ""),
                     "-device", ("virtio-blk-device,drive=d%d,serial=disk-%d" if lun < 2 else
                                 "scsi-hd,drive=d%d,channel=0,scsi-id=0,lun=%d") % (lun, lun)]
        args += ["-netdev", "hubport,id=net,hubid=0", "-device", "virtio-net-device,netdev=net",
                 "-device", "virtio-balloon-device", "-object", "rng-builtin,id=entropy",
                 "-device", "virtio-rng-device,rng=entropy"]
        args += extra
        self.began = time.monotonic()
        self.qemu = subprocess.Popen(args, pass_fds=[fd], stdin=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        theirs.close()
        self.sock.setblocking(False)
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.sock, selectors.EVENT_READ)
        self.eof = False

    # ---- frames
    def frame(self, kind, stream, payload=b""):
        self.pending += struct.pack(">BBHII", kind, 0, 0, stream, len(payload)) + payload
        self.write()

    def write(self):
        while self.pending:
            try:
                n = self.sock.send(self.pending[:262144])
            except BlockingIOError:
                break
            except OSError:
                self.eof = True
                return
            del self.pending[:n]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.pending else 0)
        self.sel.modify(self.sock, events)

    def parse(self):
        at, buf = 0, self.rest
        while len(buf) - at >= 12:
            kind, _, _, number, size = struct.unpack_from(">BBHII", buf, at)
            if len(buf) - at - 12 < size:
                break
            payload = bytes(buf[at + 12:at + 12 + size])
            at += 12 + size
            self.on_frame(kind, number, payload)
        del buf[:at]

    def on_frame(self, kind, number, payload):
        s = self.streams.get(number)
        if kind == HELLO:
            magic, version, features, generation, uptime = struct.unpack(">IHIQQ", payload)
            assert magic == MAGIC and version == 1, payload
            self.hello = {"uptime": uptime, "wall": time.monotonic() - self.began}
            self.frame(HELLO, 0, struct.pack(">IHIQQ", MAGIC, 1, 0, 0, 0))
        elif not s:
            pass
        elif kind == DATA:
            s.arrived(payload)
        elif kind == CREDIT:
            s.credit += struct.unpack(">I", payload)[0]
            assert s.credit <= WINDOW, "too much credit"
            s.flush()
        elif kind == FIN:
            s.fin = True
        elif kind == RESET:
            s.reset = struct.unpack(">I", payload)[0]

    def pump(self, done, timeout=20, what="something"):
        end = time.monotonic() + timeout
        while not done():
            left = end - time.monotonic()
            if left <= 0 or self.eof:
                raise Timeout("%s: no %s\n%s" % ("machine ended" if self.eof else "timeout", what,
                                                 self.console_text()))
            for _, events in self.sel.select(left):
                if events & selectors.EVENT_WRITE:
                    self.write()
                if events & selectors.EVENT_READ:
                    self.read()

    def read(self):
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.eof = True
            return
        self.rest += data
        self.parse()

    def console_text(self):
        with open(self.console.name, errors="replace") as f:
            return f.read()[-4000:]

    # ---- services
    def open(self, port, raw=False):
        s = Stream(self, self.next_id, raw)
        self.streams[self.next_id] = s
        self.frame(OPEN, self.next_id, struct.pack(">I", port))
        self.next_id += 2
        return s

    def boot(self, clock=None):
        self.pump(lambda: self.hello, 60, "HELLO")
        self.control = self.open(CONTROL)
        self.control.send(VM_CONFIG, encode(SETUP, {"clock": clock or time.time_ns(),
                                                    "seed": os.urandom(64)}))
        return self

    def create(self, box="c1", **config):
        security = {"caps": DEFAULT_CAPS, "masked": MASKED, "readonly": READONLY}
        security.update(config.pop("security", {}))
        values = {"id": box, "hostname": "box", "lower": 1, "hosts": "127.0.0.1 localhost\n",
                  "resolv": "nameserver 10.0.2.3\n", "security": security}
        values.update(config)
        self.control.messages = [m for m in self.control.messages if m[0] not in (CREATED, FAILED)]
        self.control.send(CREATE, encode(CONTAINER, values))

        def answers():
            return [m for m in self.control.messages
                    if m[0] in (CREATED, FAILED) and m[1]["container"] == box]
        self.pump(answers, what="answer about " + box)
        kind, answer = answers()[-1]
        return None if kind == CREATED else answer["text"]

    def start(self, argv, box="c1", port=EXEC, **request):
        s = self.open(port)
        values = {"container": box, "argv": argv, "env": [PATH]}
        values.update(request)
        s.send(START, encode(REQUEST, values))
        return s

    def run(self, argv, stdin=None, **request):
        s = self.start(argv, stdin=stdin is not None, **request)
        if stdin is not None:
            for at in range(0, len(stdin), 32768):
                s.send(STDIN, stdin[at:at + 32768])
            s.send(STDIN_EOF)
        r = Result(s)
        s.finish()
        return r

    def sh(self, script, **request):
        return self.run(["sh", "-c", script], **request)

    def shutdown(self):
        self.control.send(SHUTDOWN)
        self.control.wait(SHUTDOWN_DONE)

    def close(self):
        self.sel.close()
        self.sock.close()
        if self.qemu.poll() is None:
            self.qemu.kill()
        self.qemu.wait()
        self.console.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- disks

BUSYBOX = "/usr/bin/busybox"


def make_root(where):
    """A busybox root file system in the directory `where`."""
    for d in "bin etc home root tmp usr/bin var/tmp work".split():
        os.makedirs(os.path.join(where, d))
    os.chmod(os.path.join(where, "tmp"), 0o1777)
    shutil.copy(BUSYBOX, os.path.join(where, "bin/busybox"))
    for name in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
        if name != "busybox":
            os.symlink("busybox", os.path.join(where, "bin", name))
    with open(os.path.join(where, "etc/passwd"), "w") as f:
        f.write("root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:w:/var/www:/bin/sh\n"
                "alice:x:1000:1000::/home/alice:/bin/sh\n")
    with open(os.path.join(where, "etc/group"), "w") as f:
        f.write("root:x:0:\nwww:x:33:\nalice:x:1000:\naudio:x:29:alice,root\nextra:x:77:\n")


def make_lower(image, root, size="64M"):
    subprocess.check_call(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E",
                           "root_owner=0:0", "-d", root, image, size], stdout=subprocess.DEVNULL)


def make_upper(image, size="256M"):
    subprocess.check_call(["mke2fs", "-q", "-t", "ext4", image, size],
                          stdout=subprocess.DEVNULL)
