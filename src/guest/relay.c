#include "guest/relay.h"

#include "guest/stdio.h"
#include "guest/sys.h"
#include "util/fd.h"
#include "util/own.h"

#include <linux/vm_sockets.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READS_PER_TURN 4

struct relay {
    struct guest *guest;
    struct relay *next;
    struct stream *stream; /* NULL: closed */
    struct watch in;       /* from the socket */
    struct sink out;       /* to the socket, another descriptor of it */
    bool connected, greeted, over;
    int pidfd; /* of a child of ours that is the peer; -1: none */
    pid_t pid;
};

static void relay_close(struct relay *r, enum reset_reason why)
{
    struct stream *s = r->stream;

    loop_del(r->guest->loop, &r->in);
    close_fd(&r->in.fd);
    r->stream = NULL; /* before the sink, which would give credit */
    sink_close(&r->out, r->guest->loop);
    if (r->pidfd >= 0)
        (void)sys_pidfd_signal(r->pidfd, SIGKILL); /* nobody waits for it; it may have ended */
    close_fd(&r->pidfd);
    r->over = true;
    if (s && why)
        stream_reset(s, why);
}

/* Read what the program sends; returns false when there is no more for now. */
static bool relay_read(struct relay *r)
{
    size_t room = stream_room(r->stream);
    char *at;
    ssize_t n;

    if (room == 0) {
        loop_del(r->guest->loop, &r->in);
        return false;
    }
    room = room < CHANNEL_DATA_MAX ? room : CHANNEL_DATA_MAX;
    at = stream_reserve(r->stream, room);
    if (!at && room > BUF_BYTES)
        room = BUF_BYTES;
    n = read(r->in.fd, at ? at : r->guest->buf, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n > 0) {
        if (at)
            stream_commit(r->stream, (size_t)n);
        else
            (void)stream_send(r->stream, r->guest->buf, (size_t)n); /* there is room */
        return r->stream;
    }
    loop_del(r->guest->loop, &r->in);
    close_fd(&r->in.fd);
    if (n < 0)
        relay_close(r, RESET_ERROR);
    else
        stream_finish(r->stream);
    return false;
}

/* The host waits for this byte before it tells its client that the connection stands. */
static bool relay_greet(struct relay *r)
{
    uint8_t connected = CHANNEL_CONNECTED;

    if (!r->greeted)
        r->greeted = stream_send(r->stream, &connected, 1) == 1;
    return r->greeted;
}

static void relay_pump(struct relay *r)
{
    struct err e;

    if (r->in.fd < 0 || !r->connected || !relay_greet(r))
        return;
    if (!r->in.added && loop_add(r->guest->loop, &r->in, EPOLLIN, &e) < 0) {
        relay_close(r, RESET_ERROR);
        return;
    }
    for (int i = 0; i < READS_PER_TURN && relay_read(r); i++)
        ;
}

static void on_connected(struct relay *r)
{
    int os = 0;
    socklen_t len = sizeof(os);

    loop_del(r->guest->loop, &r->in);
    if (getsockopt(r->in.fd, SOL_SOCKET, SO_ERROR, &os, &len) < 0 || os) {
        relay_close(r, RESET_REFUSED);
        return;
    }
    r->connected = true;
    sink_flush(&r->out, r->guest->loop);
    relay_pump(r);
}

static void on_socket(struct watch *w, uint32_t events UNUSED)
{
    struct relay *r = CONTAINER_OF(w, struct relay, in);

    if (r->connected)
        relay_pump(r);
    else
        on_connected(r);
}

static void on_sink(struct watch *w, uint32_t events UNUSED)
{
    struct sink *k = CONTAINER_OF(w, struct sink, w);
    struct relay *r = CONTAINER_OF(k, struct relay, out);

    if (r->connected)
        sink_flush(k, r->guest->loop);
}

static void on_taken(struct sink *k, size_t len)
{
    struct relay *r = CONTAINER_OF(k, struct relay, out);

    if (r->stream)
        stream_consumed(r->stream, len);
}

static void on_data(struct stream *s, const void *data, size_t len)
{
    struct relay *r = stream_user(s);

    if (r->connected)
        sink_write(&r->out, r->guest->loop, data, len);
    else
        (void)str_add(&r->out.queue, data, len); /* at most a window */
}

static void on_fin(struct stream *s)
{
    struct relay *r = stream_user(s);

    r->out.eof = true;
    if (r->connected)
        sink_flush(&r->out, r->guest->loop);
}

static void on_writable(struct stream *s)
{
    relay_pump(stream_user(s));
}

static void on_closed(struct stream *s, enum reset_reason why UNUSED)
{
    struct relay *r = stream_user(s);

    r->stream = NULL;
    relay_close(r, 0);
}

/* Connecting a socket of this machine is asked for, not waited for. */
static int relay_connect(struct relay *r, uint32_t port, struct err *e)
{
    struct sockaddr_vm addr = { .svm_family = AF_VSOCK,
                                .svm_cid = VMADDR_CID_LOCAL,
                                .svm_port = port };

    r->in.fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->in.fd < 0)
        return err_os(e, "vsock");
    r->out.w.fd = fd_dup(r->in.fd, e);
    if (r->out.w.fd < 0)
        return -1;
    if (connect(r->in.fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && errno != EINPROGRESS)
        return err_os(e, "connect");
    return loop_add(r->guest->loop, &r->in, EPOLLOUT, e);
}

/* The end of our output must reach the program though the descriptor is there twice. */
static void on_sink_done(struct sink *k)
{
    (void)shutdown(k->w.fd, SHUT_WR);
}

static const struct stream_ops relay_ops = { on_data, on_fin, on_writable, on_closed };

static struct relay *relay_new(struct guest *g, struct stream *s)
{
    struct relay *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    *r = (struct relay){ .guest = g,
                         .next = g->relays,
                         .stream = s,
                         .in = { -1, "relay", on_socket, 0, false },
                         .out = { .w = { -1, "relay", on_sink, 0, false },
                                  .taken = on_taken,
                                  .closing = on_sink_done },
                         .pidfd = -1 };
    g->relays = r;
    return r;
}

static int relay_refuse(struct relay *r)
{
    r->stream = NULL;
    relay_close(r, 0);
    return RESET_REFUSED;
}

int relay_open(struct guest *g, struct stream *s, uint32_t port)
{
    struct relay *r = relay_new(g, s);
    struct err e;

    if (!r)
        return RESET_LIMIT;
    if (relay_connect(r, port, &e) < 0)
        return relay_refuse(r);
    stream_accept(s, &relay_ops, r);
    return 0;
}

int relay_adopt(struct guest *g, struct stream *s, int own_fd, pid_t pid)
{
    struct relay *r = relay_new(g, s);
    struct err e;

    if (!r) {
        (void)close(own_fd);
        return RESET_LIMIT;
    }
    r->connected = r->greeted = true;
    r->in.fd = own_fd;
    r->pid = pid;
    r->pidfd = sys_pidfd_open(pid);
    r->out.w.fd = fd_dup(own_fd, &e);
    if (r->pidfd < 0 || r->out.w.fd < 0 || fd_nonblock(own_fd, true, &e) < 0 ||
        loop_add(g->loop, &r->in, EPOLLIN, &e) < 0)
        return relay_refuse(r);
    stream_accept(s, &relay_ops, r);
    return 0;
}

void relays_end_if(struct guest *g, bool (*judge)(pid_t pid, const void *arg), const void *arg)
{
    for (struct relay *r = g->relays; r; r = r->next)
        if (!r->over && r->pidfd >= 0 && judge(r->pid, arg))
            (void)sys_pidfd_signal(r->pidfd, SIGKILL); /* its end is the end of the stream */
}

void relays_sweep(struct guest *g)
{
    struct relay **at = &g->relays;

    while (*at) {
        struct relay *r = *at;

        if (r->over) {
            *at = r->next;
            free(r);
        } else {
            at = &r->next;
        }
    }
}
