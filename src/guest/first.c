#include "guest/first.h"

#include "guest/rootfs.h"
#include "guest/swap.h"
#include "guest/sys.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/own.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define FDS_MAX 5

static int send_fds(int sock, const void *data, size_t len, const int *fds, size_t n)
{
    union {
        struct cmsghdr align;
        char raw[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *c = &control.align;

    if (n) {
        m.msg_control = &control;
        m.msg_controllen = (unsigned)CMSG_SPACE(sizeof(int) * n);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = (unsigned)CMSG_LEN(sizeof(int) * n);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
    }
    return sendmsg(sock, &m, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* Returns the number of bytes; fds that did not come are -1. */
static ssize_t recv_fds(int sock, void *data, size_t len, int *fds, size_t n)
{
    union {
        struct cmsghdr align;
        char raw[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    } control = { 0 };
    struct iovec iov = { .iov_base = data, .iov_len = len };
    struct msghdr m = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof(control) };
    ssize_t got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = got >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    size_t count =
        c && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

    for (size_t i = 0; i < n; i++)
        fds[i] = -1;
    if (count)
        memcpy(fds, CMSG_DATA(c), sizeof(int) * (count < n ? count : n));
    return got;
}

static int report_root(int sock, const struct rootfs *r, int swap_fd)
{
    struct failure ok = { .kind = ERR_NONE };
    int fds[3] = { r->devpts_fd, r->upper_fd, swap_fd };
    size_t n = r->upper_fd < 0 ? 1 : swap_fd < 0 ? 2 : 3;

    return send_fds(sock, &ok, sizeof(ok), fds, n);
}

/* -1 when none is wanted. */
static int make_swap(const struct container *c, const struct rootfs *r)
{
    uint64_t bytes = swap_bytes(c->config.cgroup.memory_swap_max);
    struct err e;
    int fd;

    /* Without a disk, "as much as may be" is none. */
    if (!bytes || (r->upper_fd < 0 && c->config.cgroup.memory_swap_max < 0))
        return -1;
    fd = r->upper_fd >= 0 ? swap_on(r->upper_fd, bytes, &e)
                          : err_set(&e, ERR_UNSUPPORTED, "no disk for swap");
    if (fd < 0)
        process_fail(3, 125, &e);
    return fd;
}

/* Waits as long as it takes; PID 1 closes its end when the container is not wanted any more. */
static void become(const struct container *c, int sock, int init_fd)
{
    autostr raw = STR_INIT(MSG_MAX);
    struct exec_request request = { 0 };
    int fds[FDS_MAX];
    char order;
    struct err e;

    if (recv_fds(sock, &order, 1, fds, FDS_MAX) != 1 || fds[FDS_MAX - 1] < 0)
        _exit(125);
    if (lseek(fds[0], 0, SEEK_SET) < 0 || fd_read_all(fds[0], &raw, &e) < 0 ||
        config_decode(exec_request, cur_of(str_c(&raw), raw.len), &request, &e) < 0)
        process_fail(fds[4], 125, &e);
    process_exec(&(struct process){ .config = &c->config,
                                    .request = &request,
                                    .stdio = { fds[1], fds[2], fds[3] },
                                    .status_fd = fds[4],
                                    .init_fd = init_fd });
}

void first_main(const struct container *c, int sock)
{
    struct rootfs r = { .config = &c->config,
                        .lower = c->lower,
                        .upper = c->config.upper_lun ? c->upper : NULL };
    struct err e;
    int swap_fd;

    /* What others of PID 1's children have open is not for this one, which lives on. */
    if (dup3(sock, 100, O_CLOEXEC) < 0 || dup3(100, 3, O_CLOEXEC) < 0 || sys_close_from(4) < 0)
        _exit(125);
    sock = 3;
    if (rootfs_setup(&r, &e) < 0)
        process_fail(sock, 125, &e);
    swap_fd = make_swap(c, &r);
    if (report_root(sock, &r, swap_fd) < 0)
        _exit(125);
    close_fd(&swap_fd);
    close_fd(&r.devpts_fd);
    close_fd(&r.upper_fd);
    become(c, sock, r.init_fd);
    _exit(125);
}

int first_report(int sock, int *ret_devpts, int *ret_upper, int *ret_swap, struct err *e)
{
    struct failure f;
    int fds[3];
    ssize_t n = recv_fds(sock, &f, sizeof(f), fds, 3);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return err_os(e, "container setup");
    if (n == 0)
        return err_set(e, ERR_SYSTEM, "container setup ended without a word");
    if (n != sizeof(f) || f.kind >= ERR_KIND_N)
        return err_set(e, ERR_CORRUPT, "container setup said something else");
    f.text[sizeof(f.text) - 1] = '\0';
    if (f.kind != ERR_NONE)
        return err_set(e, (enum err_kind)f.kind, "%s", f.text);
    *ret_devpts = fds[0];
    *ret_upper = fds[1];
    *ret_swap = fds[2];
    return 1;
}

int first_order(int sock, const int fds[5], struct err *e)
{
    return send_fds(sock, "s", 1, fds, FDS_MAX) < 0 ? err_os(e, "start the container") : 0;
}
