#include "cli/terminal.h"

#include "util/own.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

struct terminal {
    int fd; /* borrowed */
    struct termios saved;
    pid_t guard;
    int guard_fd; /* the guard restores the terminal when this closes without a byte */
};

/*
 * The child. It holds nothing but the terminal and the pipe, so that our sockets close when we
 * die; it is in a process group of its own, so that what is sent to ours does not reach it, and
 * ignores SIGTTOU, or the kernel would stop it for touching the terminal from the background.
 */
static _Noreturn void guard_main(int tty, int pipe_fd, const struct termios *saved)
{
    char byte;

    (void)setpgid(0, 0);
    for (int sig = 1; sig < 65; sig++)
        (void)signal(sig, SIG_IGN); /* fails for KILL and STOP */
    if (dup2(tty, 0) < 0 || dup2(pipe_fd, 1) < 0)
        _exit(1);
    (void)syscall(SYS_close_range, 2U, ~0U, 0U);
    if (read(1, &byte, 1) == 0)
        (void)tcsetattr(0, TCSANOW, saved);
    _exit(0);
}

static int start_guard(struct terminal *t, struct err *e)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    t->guard = fork(); /* not spawn_start(): nothing is executed */
    if (t->guard == 0) {
        (void)close(fds[1]);
        guard_main(t->fd, fds[0], &t->saved);
    }
    (void)close(fds[0]);
    t->guard_fd = fds[1];
    if (t->guard > 0)
        return 0;
    close_fd(&t->guard_fd);
    return err_os(e, "fork");
}

/* Take the terminal's settings and set others, with a guard. */
static int set(int fd, void (*change)(struct termios *), struct terminal **ret, struct err *e)
{
    autofree struct terminal *t = calloc(1, sizeof(*t));
    struct termios now;
    int r;

    if (!t || tcgetattr(fd, &t->saved) < 0)
        return err_os(e, "terminal");
    t->fd = fd;
    r = start_guard(t, e);
    if (r < 0)
        return r;
    now = t->saved;
    change(&now);
    if (tcsetattr(fd, TCSANOW, &now) < 0) {
        r = err_os(e, "terminal");
        terminal_restore(take_ptr(t));
        return r;
    }
    *ret = take_ptr(t);
    return 0;
}

int terminal_raw(int fd, struct terminal **ret, struct err *e)
{
    return set(fd, cfmakeraw, ret, e);
}

static void no_echo(struct termios *t)
{
    t->c_lflag &= ~(tcflag_t)ECHO;
}

int terminal_no_echo(int fd, struct terminal **ret, struct err *e)
{
    return set(fd, no_echo, ret, e);
}

void terminal_restore(struct terminal *t)
{
    if (!t)
        return;
    (void)tcsetattr(t->fd, TCSANOW, &t->saved); /* it may have gone away */
    (void)!write(t->guard_fd, "", 1);           /* else the guard does the same again */
    (void)close(t->guard_fd);
    (void)waitpid(t->guard, NULL, 0);
    free(t);
}

bool terminal_size(int fd, uint16_t *ret_cols, uint16_t *ret_rows)
{
    struct winsize ws = { 0 };

    if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || !ws.ws_col || !ws.ws_row)
        return false;
    *ret_cols = ws.ws_col;
    *ret_rows = ws.ws_row;
    return true;
}
