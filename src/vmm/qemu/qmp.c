#include "vmm/qemu/qmp.h"

#include "util/fd.h"
#include "util/own.h"
#include "util/str.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Descriptors wait with the bytes of their command: QEMU takes one per command that wants it. */
#define FDS_MAX 8

struct queued_fd {
    int fd;
    size_t at; /* goes out with the byte at this offset of `out` */
};

struct qmp {
    struct loop *loop;
    struct watch watch;
    struct qmp_handler *handler; /* borrowed */
    struct str in, out;
    struct queued_fd fds[FDS_MAX];
    size_t fds_n;
    struct qmp_call *calls; /* outstanding, in the order sent */
    json_int_t last_id;
    bool closed;
    bool *gone; /* set while handlers run: tells the caller that qmp_free() was called */
};

static void answer(struct qmp_call *call, json_t *data, const struct err *failure)
{
    call->next = NULL;
    call->done(call, data, failure);
}

/* Handlers may free the connection, so every step looks whether it is still there. */
static void close_with(struct qmp *q, const struct err *why)
{
    bool gone = false, *outer = q->gone;

    if (q->closed)
        return;
    q->closed = true;
    loop_del(q->loop, &q->watch);
    q->gone = &gone;
    while (!gone && q->calls) {
        struct qmp_call *call = q->calls;

        q->calls = call->next;
        answer(call, NULL, why);
    }
    if (!gone)
        q->handler->closed(q->handler, why);
    if (gone && outer)
        *outer = true;
    if (!gone)
        q->gone = outer;
}

static void take_answer(struct qmp *q, struct qmp_msg *m)
{
    struct qmp_call **at = &q->calls, *call;
    struct err e = { .kind = ERR_NONE };

    while (*at && (*at)->id != m->id)
        at = &(*at)->next;
    call = *at;
    if (!call)
        return; /* to our own qmp_capabilities, or to nothing */
    *at = call->next;
    if (m->kind == QMP_ERROR)
        (void)err_set(&e, ERR_SYSTEM, "QEMU: %s", m->event);
    answer(call, m->data, m->kind == QMP_ERROR ? &e : NULL);
}

static void take_line(struct qmp *q, const char *line, size_t len)
{
    struct err e = { .kind = ERR_NONE };
    struct qmp_msg m;

    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (len == 0)
        return;
    if (qmp_msg_parse(line, len, &m, &e) < 0) {
        close_with(q, &e);
        return;
    }
    if (m.kind == QMP_EVENT)
        q->handler->event(q->handler, m.event, m.data);
    else if (m.kind != QMP_GREETING)
        take_answer(q, &m);
    qmp_msg_done(&m);
}

void qmp_feed(struct qmp *q, const char *data, size_t len)
{
    bool gone = false, *outer = q->gone;
    struct err e = { .kind = ERR_NONE };
    const char *end;

    q->gone = &gone;
    while (!gone && !q->closed && (end = memchr(data, '\n', len))) {
        size_t part = (size_t)(end - data);
        autostr line = STR_INIT(QMP_LINE_MAX);

        /* The line must outlive the connection: its handler may free that. */
        if (!str_add(&line, str_c(&q->in), q->in.len) || !str_add(&line, data, part)) {
            (void)err_set(&e, ERR_LIMIT, "QMP: line of more than %zu bytes", QMP_LINE_MAX);
            close_with(q, &e);
            break;
        }
        str_clear(&q->in);
        data = end + 1;
        len -= part + 1;
        take_line(q, line.p, line.len);
    }
    if (gone) {
        if (outer)
            *outer = true;
        return;
    }
    if (!q->closed && !str_add(&q->in, data, len)) {
        (void)err_set(&e, ERR_LIMIT, "QMP: line of more than %zu bytes", QMP_LINE_MAX);
        close_with(q, &e);
        if (gone) {
            if (outer)
                *outer = true;
            return;
        }
    }
    q->gone = outer;
}

/* Sends up to the next descriptor's byte, and that descriptor with it. */
static ssize_t send_some(struct qmp *q)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { .bytes = { 0 } };
    bool with_fd = q->fds_n > 0 && q->fds[0].at == 0;
    size_t next = q->fds_n > with_fd ? q->fds[with_fd].at : q->out.len;
    struct iovec iov = { .iov_base = q->out.p, .iov_len = next };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (with_fd) {
        struct cmsghdr *c;

        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &q->fds[0].fd, sizeof(int));
    }
    return sendmsg(q->watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void drop_sent(struct qmp *q, size_t n)
{
    if (q->fds_n > 0 && q->fds[0].at == 0) {
        close_fd(&q->fds[0].fd);
        q->fds_n--;
        memmove(q->fds, q->fds + 1, q->fds_n * sizeof(q->fds[0]));
    }
    for (size_t i = 0; i < q->fds_n; i++)
        q->fds[i].at -= n;
    str_drop(&q->out, n);
}

static int flush(struct qmp *q, struct err *e)
{
    while (q->out.len > 0) {
        ssize_t n = send_some(q);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return loop_mod(q->loop, &q->watch, EPOLLIN | EPOLLOUT, e);
        if (n < 0)
            return err_os(e, "QMP");
        drop_sent(q, (size_t)n);
    }
    return loop_mod(q->loop, &q->watch, EPOLLIN, e);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct qmp *q = CONTAINER_OF(w, struct qmp, watch);
    struct err e = { .kind = ERR_NONE };
    char buf[16384];
    ssize_t n;

    if ((events & EPOLLOUT) && flush(q, &e) < 0) {
        close_with(q, &e);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    n = recv(w->fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (n > 0) {
        qmp_feed(q, buf, (size_t)n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    (void)err_set(&e, ERR_UNAVAILABLE, "QEMU closed its control connection");
    close_with(q, &e);
}

static int queue(struct qmp *q, const char *command, json_t *args, json_int_t id, int fd,
                 struct err *e)
{
    json_t *root = args ? json_pack("{ssso?sI}", "execute", command, "arguments",
                                    json_incref(args), "id", id)
                        : json_pack("{sssI}", "execute", command, "id", id);
    autofree char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    json_decref(root);
    if (!text)
        return err_set(e, ERR_SYSTEM, "QMP: no memory");
    if (fd >= 0 && q->fds_n == FDS_MAX)
        return err_set(e, ERR_LIMIT, "QMP: too many descriptors under way");
    if (fd >= 0) {
        int copy = fd_dup(fd, e);

        if (copy < 0)
            return copy;
        q->fds[q->fds_n++] = (struct queued_fd){ .fd = copy, .at = q->out.len };
    }
    if (!str_adds(&q->out, text) || !str_addc(&q->out, '\n'))
        return err_set(e, ERR_LIMIT, "QMP: QEMU does not read its commands");
    return flush(q, e);
}

void qmp_call(struct qmp *q, const char *command, json_t *own_args, int fd, struct qmp_call *call)
{
    struct err e = { .kind = ERR_NONE };
    struct qmp_call **at = &q->calls;
    bool gone = false, *outer = q->gone;

    call->id = ++q->last_id;
    call->next = NULL;
    if (q->closed) {
        json_decref(own_args);
        (void)err_set(&e, ERR_UNAVAILABLE, "The machine has ended");
        answer(call, NULL, &e);
        return;
    }
    while (*at)
        at = &(*at)->next;
    *at = call;
    q->gone = &gone;
    if (queue(q, command, own_args, call->id, fd, &e) < 0)
        close_with(q, &e);
    json_decref(own_args);
    if (!gone)
        q->gone = outer;
    else if (outer)
        *outer = true;
}

int qmp_new(struct loop *loop, int own_fd, struct qmp_handler *h, struct qmp **ret, struct err *e)
{
    struct qmp *q = calloc(1, sizeof(*q));
    int r;

    if (!q) {
        close_fd(&own_fd);
        return err_os(e, "QMP");
    }
    *q = (struct qmp){
        .loop = loop,
        .watch = { .fd = own_fd, .what = "qmp", .ready = on_ready },
        .handler = h,
        .in = STR_INIT(QMP_LINE_MAX),
        .out = STR_INIT(QMP_QUEUE_MAX),
    };
    r = loop_add(loop, &q->watch, EPOLLIN, e);
    if (r == 0)
        r = queue(q, "qmp_capabilities", NULL, 0, -1, e);
    if (r < 0) {
        qmp_free(q);
        return r;
    }
    *ret = q;
    return 0;
}

void qmp_free(struct qmp *q)
{
    struct err e = { .kind = ERR_NONE };

    if (!q)
        return;
    if (q->gone)
        *q->gone = true;
    q->closed = true;
    loop_del(q->loop, &q->watch);
    (void)err_set(&e, ERR_CANCELED, "The machine has ended");
    while (q->calls) {
        struct qmp_call *call = q->calls;

        q->calls = call->next;
        answer(call, NULL, &e);
    }
    for (size_t i = 0; i < q->fds_n; i++)
        close_fd(&q->fds[i].fd);
    close_fd(&q->watch.fd);
    str_done(&q->in);
    str_done(&q->out);
    free(q);
}
