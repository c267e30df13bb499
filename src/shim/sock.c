#include "shim/sock.h"

#include "util/fd.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* Sent bytes are dropped from the front in pieces of this size: moving the rest is not free. */
#define DROP_AT ((size_t)64 << 10)
/* One window of a stream and the high-water mark of the callers fit well below. */
#define OUT_MAX ((size_t)4 << 20)

static uint32_t wanted(const struct sock *s)
{
    return (s->reading ? EPOLLIN : 0) | (sock_unsent(s) ? EPOLLOUT : 0);
}

static void rewatch(struct sock *s)
{
    struct err e;

    if (s->watch.added && loop_mod(s->loop, &s->watch, wanted(s), &e) < 0)
        s->failed = true;
}

int sock_open(struct sock *s, struct loop *loop, int own_fd, const char *what,
              void (*ready)(struct watch *w, uint32_t events), struct err *e)
{
    int r;

    *s = (struct sock){ .watch = { .fd = own_fd, .what = what, .ready = ready },
                        .loop = loop,
                        .out = STR_INIT(OUT_MAX),
                        .reading = true };
    r = fd_nonblock(own_fd, true, e);
    if (r == 0)
        r = loop_add(loop, &s->watch, EPOLLIN, e);
    if (r < 0)
        sock_close(s);
    return r;
}

void sock_close(struct sock *s)
{
    loop_del(s->loop, &s->watch);
    close_fd(&s->watch.fd);
    str_done(&s->out);
}

size_t sock_unsent(const struct sock *s)
{
    return s->out.len - s->sent;
}

static void sock_fail(struct sock *s)
{
    s->failed = true;
    s->sent = 0;
    str_done(&s->out);
}

/* Returns how many bytes the kernel took. */
static size_t write_some(struct sock *s, const void *data, size_t len)
{
    ssize_t n;

    do
        n = send(s->watch.fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN)
        sock_fail(s);
    return n > 0 ? (size_t)n : 0;
}

static void forget_sent(struct sock *s)
{
    if (s->sent == s->out.len) {
        s->sent = 0;
        if (s->out.cap > DROP_AT)
            str_done(&s->out); /* a box is idle most of its life: give the memory back */
        else
            str_clear(&s->out);
    } else if (s->sent >= DROP_AT) {
        str_drop(&s->out, s->sent);
        s->sent = 0;
    }
}

void sock_put(struct sock *s, const void *data, size_t len)
{
    if (!s->failed && !str_add(&s->out, data, len))
        sock_fail(s);
}

void sock_flush(struct sock *s)
{
    if (s->failed || !sock_unsent(s))
        return;
    s->sent += write_some(s, s->out.p + s->sent, sock_unsent(s));
    if (!s->failed)
        forget_sent(s);
    rewatch(s);
}

void sock_send(struct sock *s, const void *data, size_t len)
{
    size_t n = 0;

    if (s->failed)
        return;
    if (!sock_unsent(s))
        n = write_some(s, data, len);
    if (!s->failed && n < len) {
        sock_put(s, (const char *)data + n, len - n);
        rewatch(s);
    }
}

void sock_reading(struct sock *s, bool on)
{
    struct err e;

    s->reading = on;
    if (on && !s->watch.added && !s->failed) {
        if (loop_add(s->loop, &s->watch, wanted(s), &e) < 0)
            s->failed = true;
        return;
    }
    rewatch(s);
}

void sock_park(struct sock *s)
{
    s->reading = false;
    loop_del(s->loop, &s->watch);
}

int sock_check_peer(int fd, struct err *e)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return err_os(e, "peer of a socket");
    if (peer.uid != 0 && peer.uid != geteuid())
        return err_set(e, ERR_DENIED, "uid %u may not talk to this box", (unsigned)peer.uid);
    return 0;
}
