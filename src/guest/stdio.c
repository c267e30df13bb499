#include "guest/stdio.h"

#include "util/fd.h"
#include "util/own.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

static int make_pipe(int *ret_read, int *ret_write, struct err *e)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    *ret_read = fds[0];
    *ret_write = fds[1];
    return 0;
}

void stdio_close(int fds[3])
{
    for (int i = 0; i < 3; i++)
        close_fd(&fds[i]);
}

static int open_pipes(bool stdin_open, struct stdio *s, struct err *e)
{
    int r;

    if (stdin_open) {
        r = make_pipe(&s->child[0], &s->ours[0], e);
    } else {
        s->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        r = s->child[0] < 0 ? err_os(e, "/dev/null") : 0;
    }
    for (int i = 1; i < 3 && r >= 0; i++)
        r = make_pipe(&s->ours[i], &s->child[i], e);
    for (int i = 0; i < 3 && r >= 0; i++)
        if (s->ours[i] >= 0)
            r = fd_nonblock(s->ours[i], true, e);
    return r;
}

int stdio_pipes(bool stdin_open, struct stdio *ret, struct err *e)
{
    struct stdio s = { { -1, -1, -1 }, { -1, -1, -1 } };
    int r = open_pipes(stdin_open, &s, e);

    if (r < 0) {
        stdio_close(s.child);
        stdio_close(s.ours);
        return r;
    }
    *ret = s;
    return 0;
}

int stdio_resize(int master, uint16_t cols, uint16_t rows)
{
    struct winsize size = { .ws_row = rows, .ws_col = cols };

    return ioctl(master, TIOCSWINSZ, &size);
}

int stdio_terminal(int devpts_fd, uint16_t cols, uint16_t rows, struct stdio *ret, struct err *e)
{
    autofd int master = -1, slave = -1;
    int unlocked = 0, r;

    /* By descriptors only: the container may have replaced what /dev/pts is in its tree. */
    master = openat(devpts_fd, "ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (master < 0)
        return err_os(e, "terminal");
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0 ||
        stdio_resize(master, cols ? cols : 80, rows ? rows : 24) < 0)
        return err_os(e, "terminal");
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_os(e, "terminal");
    *ret = (struct stdio){ { -1, -1, -1 }, { -1, -1, -1 } };
    for (int i = 0; i < 3; i++) {
        ret->child[i] = r = fd_dup(slave, e);
        if (r < 0) {
            stdio_close(ret->child);
            return r;
        }
    }
    ret->ours[1] = fd_dup(master, e);
    if (ret->ours[1] < 0) {
        stdio_close(ret->child);
        return -1;
    }
    ret->ours[0] = take_fd(&master);
    return 0;
}

/* ---- towards the process --------------------------------------------- */

void sink_close(struct sink *k, struct loop *loop)
{
    size_t left = k->queue.len - k->done;

    loop_del(loop, &k->w);
    if (k->closing && k->w.fd >= 0)
        k->closing(k);
    close_fd(&k->w.fd);
    str_done(&k->queue);
    k->done = 0;
    if (left)
        k->taken(k, left);
}

/* Returns how much the process took; closes the sink when it takes no more. */
static size_t write_some(struct sink *k, struct loop *loop, const char *p, size_t len)
{
    size_t all = 0;

    while (all < len) {
        ssize_t n = write(k->w.fd, p + all, len - all);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            sink_close(k, loop);
        if (n <= 0)
            break;
        all += (size_t)n;
    }
    if (all)
        k->taken(k, all);
    return all;
}

static void rewatch(struct sink *k, struct loop *loop)
{
    bool waits = k->queue.len > k->done;
    struct err e;

    if (k->w.fd < 0)
        return;
    if (!waits)
        loop_del(loop, &k->w);
    else if (!k->w.added && loop_add(loop, &k->w, EPOLLOUT, &e) < 0)
        sink_close(k, loop);
    if (!waits && k->eof)
        sink_close(k, loop);
}

void sink_flush(struct sink *k, struct loop *loop)
{
    size_t left = k->queue.len - k->done;

    if (left && k->w.fd >= 0)
        k->done += write_some(k, loop, k->queue.p + k->done, left);
    if (k->done == k->queue.len) {
        str_clear(&k->queue);
        k->done = 0;
    }
    rewatch(k, loop);
}

void sink_write(struct sink *k, struct loop *loop, const void *data, size_t len)
{
    size_t n = 0;

    if (k->w.fd >= 0 && k->queue.len == 0)
        n = write_some(k, loop, data, len);
    if (k->w.fd < 0 || k->eof) {
        if (len > n)
            k->taken(k, len - n); /* nobody will ever read it */
        return;
    }
    if (n < len) {
        if (k->done >= k->queue.len / 2) { /* moving the rest is not free */
            str_drop(&k->queue, k->done);
            k->done = 0;
        }
        if (!str_add(&k->queue, (const char *)data + n, len - n)) {
            sink_close(k, loop); /* more than a window: cannot be */
            return;
        }
    }
    rewatch(k, loop);
}

void sink_finish(struct sink *k, struct loop *loop)
{
    k->eof = true;
    rewatch(k, loop);
}
