#!/usr/bin/python3
"""vsock.sock: the hybrid convention, to a program that listens on AF_VSOCK in the box."""
import os
import pathlib
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Skip, check, equal, main, test, wait_for

PORT = 5000


def start(home):
    """A box with the echo server in it; the path of its vsock.sock."""
    program = home.dir / "vsock_echo"
    source = pathlib.Path(__file__).with_name("vsock_echo.c")
    try:
        subprocess.run(["musl-gcc", "-static", "-O2", "-o", program, source], check=True)
    except FileNotFoundError:
        raise Skip("no musl-gcc")
    home.a3s("run", "-d", "--name", "vs", "--security-opt", "seccomp=unconfined", "local/busybox", "--",
             "sleep", "1000")
    home.a3s("exec", "-i", "vs", "--", "sh", "-c", "cat >/echo && chmod 755 /echo", input=program.read_bytes(),
             text=False)
    home.a3s("exec", "-d", "vs", "--", "sh", "-c", f"exec /echo {PORT} >/ready 2>&1")
    wait_for(lambda: "ready" in home.a3s("exec", "vs", "--", "cat", "/ready", status=None).out, "the server is ready")
    return next(home.path.glob("boxes/*/sockets/vsock.sock"))


def try_connect(s, path):
    try:
        s.connect(path)
    except BlockingIOError:  # the backlog is full for a moment
        return False
    return True


def connect(path, line):
    """Paths of sockets are short: go through a descriptor of the directory."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    directory = os.open(path.parent, os.O_PATH)
    try:
        wait_for(lambda: try_connect(s, f"/proc/self/fd/{directory}/{path.name}"), "there is room for a connection")
    finally:
        os.close(directory)
    s.sendall(line)
    return s


def read_all(s):
    data = bytearray()
    while chunk := s.recv(65536):
        data += chunk
    return bytes(data)


def read_line(s):
    line = b""
    while not line.endswith(b"\n"):
        c = s.recv(1)
        if not c:
            return line
        line += c
    return line


@test
def bytes_go_to_a_listener_and_back(home):
    path = start(home)
    s = connect(path, b"CONNECT %d\nearly" % PORT)
    check(read_line(s).startswith(b"OK "), "it is answered")
    equal(s.recv(5, socket.MSG_WAITALL), b"early", "bytes behind the line")
    block = os.urandom(1 << 20) * 8
    writer = threading.Thread(target=lambda: (s.sendall(block), s.shutdown(socket.SHUT_WR)))
    writer.start()
    got = read_all(s)
    writer.join()
    check(got == block, f"8 MiB came back as {len(got)} bytes, or changed")


@test
def nobody_listens(home):
    path = start(home)
    equal(read_all(connect(path, b"CONNECT %d\n" % (PORT + 1))), b"", "answer")
    equal(read_all(connect(path, b"CONNECT 4088\n")), b"", "answer of the control port")
    s = connect(path, b"CONNECT %d\n" % PORT)
    check(read_line(s).startswith(b"OK "), "the next one is served")


@test
def many_idle_connections_do_not_block_the_box(home):
    path = start(home)
    idle = [connect(path, b"CONN") for _ in range(300)]
    equal(home.out("exec", "vs", "--", "echo", "ok", timeout=60), "ok", "exec meanwhile")
    s = idle.pop()
    equal(read_all(s), b"", "an idle connection is closed in the end")


main()
