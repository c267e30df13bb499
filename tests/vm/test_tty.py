#!/usr/bin/python3
"""Sessions with a terminal, driven through tmux: what a person at a keyboard sees."""
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import BIN, Failure, Skip, check, contains, equal, main, test, wait_for  # noqa: E402

BB = "local/busybox"


class Screen:
    """A tmux server of its own with one shell."""

    def __init__(self, home, cols=80, rows=24):
        if not shutil.which("tmux"):
            raise Skip("tmux is not installed")
        self.sock = str(home.dir / "tmux")
        env = {k: v for k, v in home.env.items() if k not in ("TMUX", "TERM")} | {"ENV": ""}
        self.env = env
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(cols), "-y", str(rows), "sh")

    def __enter__(self):
        self.tmux("set-option", "-g", "window-size", "manual")
        self.type(f"PS1='host$ '; a() {{ {shlex.quote(str(BIN / 'a3s-box'))} \"$@\"; }}; clear")
        self.expect("host$")
        return self

    def tmux(self, *args):
        p = subprocess.run(["tmux", "-S", self.sock, *args], env=self.env, capture_output=True, text=True)
        if p.returncode:
            raise Failure(f"tmux {args}: {p.stderr}")
        return p.stdout

    def text(self, *flags):
        return self.tmux("capture-pane", "-p", "-J", *flags)

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def key(self, *names):
        self.tmux("send-keys", *names)

    def expect(self, what, seconds=90):
        try:
            wait_for(lambda: what in self.text(), repr(what), seconds)
        except Failure as e:
            raise Failure(f"{e}; the screen shows:\n{self.text()}") from None

    def prompt(self):
        """Until the host's shell reads again: what is typed before that goes to the box."""
        try:
            wait_for(lambda: self.text().rstrip().splitlines()[-1:] == ["host$"], "the prompt", 90)
        except Failure as e:
            raise Failure(f"{e}; the screen shows:\n{self.text().rstrip()}") from None

    def settle(self):
        """Until the box's shell has read what the terminal answered to its question where the cursor is: after
        a detach the answer would go to the host's shell."""
        self.key("y")
        self.expect("/ # y")
        self.key("C-u")

    def shell_pid(self):
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def close(self):
        subprocess.run(["tmux", "-S", self.sock, "kill-server"], env=self.env, capture_output=True)

    def __exit__(self, *_):
        self.close()


def sane(screen):
    """The terminal echoes and makes lines again."""
    screen.type("stty -a | grep -o -- '-*icanon\\|-*echo\\b\\|-*isig' | tr '\\n' ,; echo end")
    screen.expect("isig,icanon,echo,end")


@test
def a_shell_with_colours_and_keys(home):
    with Screen(home) as s:
        s.type(f"a run --rm -it --name tty {BB} sh")
        s.expect("/ #")
        s.type("tty; stty size; echo $TERM")
        s.expect("/dev/pts/0")
        s.expect("24 80")
        s.expect("xterm")
        s.type("clear; printf '\\033[31mred\\033[0m\\n'")
        wait_for(lambda: "\033[31mred" in s.text("-e"), "colour arrives")
        s.tmux("resize-window", "-x", "100", "-y", "30")
        s.type("clear")
        wait_for(lambda: size(s, "30 100"), "the new size arrives")
        s.type("clear; sleep 1000")
        wait_for(lambda: home.a3s("exec", "tty", "pidof", "sleep", status=None).out, "sleep runs")
        s.key("C-c")
        s.type("echo status $?")
        s.expect("status 130")
        s.type("exit 5")
        s.prompt()
        s.type("echo rc=$?")
        s.expect("rc=5")
        sane(s)


def size(s, want):
    s.type("stty size")
    return want in s.text()


@test
def end_of_input_ends_the_shell(home):
    with Screen(home) as s:
        s.type(f"a run --rm -it {BB} cat")
        wait_for(lambda: home.out("ps", "-q"), "the box runs")
        s.type("echo me")
        wait_for(lambda: s.text().count("echo me") == 2, "cat answers")
        s.key("C-d")
        s.prompt()
        s.type("echo rc=$?")
        s.expect("rc=0")
        sane(s)


@test
def detach_and_attach_again(home):
    with Screen(home) as s:
        s.type(f"a run -it --name dt {BB} sh")
        s.expect("/ #")
        s.type("X=remembered")
        s.settle()
        s.key("C-p", "C-q")
        s.expect("read escape sequence")
        s.prompt()
        s.type("echo rc=$?")
        s.expect("rc=0")
        sane(s)
        equal(home.out("inspect", "-f", "{{.State.Running}}", "dt"), "true", "still running")
        s.type("clear; a attach --detach-keys ctrl-a,b dt")
        s.key("Enter")
        s.expect("/ #")
        s.type("echo $X")
        s.expect("remembered")
        s.settle()
        s.key("C-p")
        s.key("C-a", "b")
        s.expect("read escape sequence")
        s.prompt()
        s.type("clear; a attach dt")
        s.key("Enter")
        s.expect("/ #")
        s.type("exit 3")
        s.prompt()
        s.type("echo rc=$?")
        s.expect("rc=3")
        sane(s)


@test
def exec_and_shell_have_terminals_too(home):
    home.a3s("run", "-d", "--name", "ex", BB, "sleep", "1000000")
    with Screen(home) as s:
        s.type("a exec -it ex sh -c 'tty; stty size; echo done'")
        s.expect("24 80")
        contains(s.text(), "/dev/pts/")
        s.prompt()
        s.type("clear; a shell ex")
        s.expect("/ #")
        s.type("exit 4")
        s.prompt()
        s.type("echo rc=$?")
        s.expect("rc=4")
        sane(s)


@test
def a_killed_cli_leaves_the_terminal_as_it_was(home):
    with Screen(home) as s:
        s.type(f"a run -it --name kt {BB} sh")
        s.expect("/ #")
        cli = wait_for(lambda: [p for p, line in home_clis(s)], "the CLI is there")[0]
        os.kill(cli, signal.SIGKILL)
        s.expect("Killed")
        sane(s)
        equal(home.out("inspect", "-f", "{{.State.Running}}", "kt"), "true", "the box goes on")
        s.type(f"clear; a attach kt")
        s.key("Enter")
        s.expect("/ #")
        cli = wait_for(lambda: [p for p, line in home_clis(s)], "the CLI is there")[0]
        home.a3s("rm", "-f", "kt")
        s.expect("/ # host$")
        sane(s)


def home_clis(screen):
    shell = screen.shell_pid()
    out = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(shell)], capture_output=True, text=True).stdout
    return [(int(line.split()[0]), line) for line in out.splitlines() if "a3s-box" in line]


@test
def without_a_terminal_it_says_so(home):
    r = home.a3s("run", "--rm", "-it", BB, "true", status=1, input="")
    contains(r.err, "the input device is not a TTY")
    equal(home.out("ps", "-aq"), "", "nothing was made")
    # -t alone needs none: Jenkins runs its boxes with -t -d
    home.a3s("run", "-t", "-d", "--name", "jenkins", BB, "cat")
    equal(home.out("inspect", "-f", "{{.State.Running}} {{.Config.Tty}}", "jenkins"), "true true")
    r = home.a3s("run", "--rm", "-t", BB, "sh", "-c", "tty; echo x", input=b"", text=False)
    equal(r.out, b"/dev/pts/0\r\nx\r\n", "output of a terminal")


main()
