#include "log/log.h"

#include "util/fd.h"
#include "util/log.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIAL_S    10 /* then it counts as failed */
#define NICE_BUSY 10 /* compressing is less urgent than any box */

static const char usage[] =
    "Usage: a3s-box-log gzip|gunzip\n"
    "       a3s-box-log dial tcp|udp|unix|unixgram [HOST-OR-PATH [PORT]]\n"
    "\n"
    "Works for a3s-box and a3s-box-shim; not started by hand. gzip and gunzip copy stdin to\n"
    "stdout; dial sends a connected socket, or why there is none, to the socket on stdout.\n";

static int answer(int to, int fd, const struct err *why, struct err *e)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    const char *text = fd < 0 ? why->text : "";
    struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) + 1 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *c;

    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    return sendmsg(to, &m, MSG_NOSIGNAL) < 0 ? err_os(e, "answer") : 0;
}

static int run_dial(int argc, char **argv, struct err *e)
{
    autofd int fd = -1;
    struct err why = { 0 };

    (void)alarm(DIAL_S); /* ends us: who waits sees that there is no answer */
    fd = dial(argv[2], argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL, &why);
    return answer(STDOUT_FILENO, fd, &why, e);
}

static int run(int argc, char **argv, struct err *e)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (argc == 2 && !strcmp(what, "gzip")) {
        (void)setpriority(PRIO_PROCESS, 0, NICE_BUSY); /* only a courtesy */
        return gzip_pack(STDIN_FILENO, STDOUT_FILENO, e);
    }
    if (argc == 2 && !strcmp(what, "gunzip"))
        return gzip_unpack(STDIN_FILENO, STDOUT_FILENO, e);
    if (argc >= 3 && argc <= 5 && !strcmp(what, "dial"))
        return run_dial(argc, argv, e);
    return err_set(e, ERR_USAGE, "unknown arguments; see a3s-box-log --help");
}

int main(int argc, char **argv)
{
    struct err e;
    int r;

    log_init("a3s-box-log");
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        (void)puts("a3s-box-log " A3S_VERSION);
        return 0;
    }
    r = run(argc, argv, &e);
    if (r < 0)
        log_error("%s", e.text);
    return r < 0 ? err_exit_status(&e) : 0;
}
