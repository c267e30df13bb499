#include "vmm/qemu/sink.h"

#include "util/fd.h"
#include "util/own.h"

#include <string.h>
#include <sys/epoll.h>

static void keep(struct sink *s, const char *data, size_t len)
{
    if (len >= SINK_TAIL) {
        memcpy(s->tail, data + len - SINK_TAIL, SINK_TAIL);
        s->len = SINK_TAIL;
        return;
    }
    if (s->len + len > SINK_TAIL) {
        size_t drop = s->len + len - SINK_TAIL;

        memmove(s->tail, s->tail + drop, s->len - drop);
        s->len -= drop;
    }
    memcpy(s->tail + s->len, data, len);
    s->len += len;
}

static void store(struct sink *s, const char *data, size_t len)
{
    struct err ignored;
    size_t n = len < s->out_max ? len : s->out_max;

    if (s->out_fd < 0 || n == 0)
        return;
    s->out_max -= n;
    if (fd_write_all(s->out_fd, data, n, &ignored) < 0)
        s->out_max = 0; /* disk full: the tail is still there */
}

/* False when there is nothing more to come. */
static bool read_some(struct sink *s)
{
    char buf[16384];
    ssize_t n = read(s->watch.fd, buf, sizeof(buf));

    if (n < 0)
        return errno == EINTR;
    if (n == 0)
        return false;
    keep(s, buf, (size_t)n);
    store(s, buf, (size_t)n);
    return true;
}

static void on_ready(struct watch *w, uint32_t events UNUSED)
{
    struct sink *s = CONTAINER_OF(w, struct sink, watch);

    if (!read_some(s) && errno != EAGAIN)
        loop_del(s->loop, w);
}

int sink_open(struct sink *s, struct loop *loop, const char *what, int own_fd, int out_fd,
              size_t out_max, struct err *e)
{
    int r;

    *s = (struct sink){
        .loop = loop,
        .watch = { .fd = own_fd, .what = what, .ready = on_ready },
        .out_fd = out_fd,
        .out_max = out_max,
    };
    r = fd_nonblock(own_fd, true, e);
    if (r == 0)
        r = loop_add(loop, &s->watch, EPOLLIN, e);
    if (r < 0)
        sink_close(s);
    return r;
}

void sink_drain(struct sink *s)
{
    for (int i = 0; i < 64 && s->watch.fd >= 0; i++) /* a megabyte is enough for the last words */
        if (!read_some(s))
            return;
}

void sink_close(struct sink *s)
{
    if (s->loop)
        loop_del(s->loop, &s->watch);
    close_fd(&s->watch.fd);
    s->loop = NULL;
}

void sink_text(const struct sink *s, char *ret, size_t size)
{
    size_t n = s->len < size ? s->len : size - 1;

    memcpy(ret, s->tail + s->len - n, n);
    ret[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (ret[i] == '\0')
            ret[i] = ' ';
}
