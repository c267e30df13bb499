#include "shim/syslog.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/spawn.h"
#include "util/time.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Lines that wait; above it the workload is not read. What is on its way then may still come: a
 * window of the channel, as one-byte lines at worst. */
#define QUEUE_HIGH ((size_t)256 << 10)
#define QUEUE_MAX  ((size_t)1 << 30) /* max-buffer-size may ask for so much */
#define OUT_HIGH   ((size_t)64 << 10)
#define OUT_MAX    ((size_t)1 << 20)
#define TURN_BYTES ((size_t)1 << 20) /* sent without looking after anybody else */
#define TURN_N     256               /* likewise, datagrams */
#define RETRY_MIN  (100 * NS_PER_MS)
#define RETRY_MAX  (30 * NS_PER_S)
#define STEADY_NS  (10 * NS_PER_S) /* a connection that lasted so long worked */
#define DRAIN_NS   (10 * NS_PER_S) /* for a receiver that hangs when the workload has ended */
#define KEEP_CAP   ((size_t)64 << 10)

struct record {
    int64_t real_ns;
    uint32_t len;
    int32_t stream;
};

static void want_conn(struct syslog *s);
static void pump(struct syslog *s);

/* ---- the connection ---- */

static void conn_close(struct syslog *s)
{
    loop_del(s->loop, &s->conn);
    close_fd(&s->conn.fd);
    /* The message that was not taken as a whole is sent again from its start. */
    while (s->stream && s->sent > 0 && s->out.p[s->sent - 1] != '\n')
        s->sent--;
}

static bool something_waits(const struct syslog *s)
{
    return s->queued > 0 || s->out.len > s->sent;
}

static void retry_later(struct syslog *s)
{
    uint64_t delay = RETRY_MIN;

    for (unsigned i = 0; i < s->failures && delay < RETRY_MAX; i++)
        delay *= 2;
    s->failures++;
    loop_timer(s->loop, &s->retry, delay < RETRY_MAX ? delay : RETRY_MAX);
}

/* The first of a row, the second, the fourth...: shim.log must not grow with a bad receiver. */
static bool worth_telling(const struct syslog *s)
{
    return (s->failures & (s->failures - 1)) == 0;
}

static void lost_conn(struct syslog *s, int os)
{
    if (time_mono_ns() - s->conn_since_ns > STEADY_NS)
        s->failures = 0;
    if (worth_telling(s))
        log_warn("syslog: %s", os ? strerror(os) : "the receiver has closed the connection");
    conn_close(s);
    if (something_waits(s))
        retry_later(s);
}

/* Nobody has anything to tell us; but this is how a stream's end shows. */
static void read_nothing(struct syslog *s)
{
    char ignored[512];
    ssize_t n = recv(s->conn.fd, ignored, sizeof(ignored), MSG_DONTWAIT);

    if (n == 0 && s->stream)
        lost_conn(s, 0);
    else if (n < 0 && errno != EAGAIN && errno != EINTR && s->stream)
        lost_conn(s, errno);
}

static void on_conn(struct watch *w, uint32_t events)
{
    struct syslog *s = CONTAINER_OF(w, struct syslog, conn);

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_nothing(s); /* takes an error off a datagram socket, too */
    if (s->conn.fd >= 0 && !s->stream && (events & EPOLLHUP))
        lost_conn(s, ECONNRESET); /* would be told again and again */
    if (s->conn.fd >= 0)
        pump(s);
}

static int take_conn(struct syslog *s, int own_fd, struct err *e)
{
    autofd int fd = own_fd;
    socklen_t len = sizeof(int);
    int type = 0, r;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return err_os(e, "syslog: socket");
    s->stream = type == SOCK_STREAM;
    s->conn.fd = fd;
    r = loop_add(s->loop, &s->conn, EPOLLIN, e);
    if (r < 0) {
        s->conn.fd = -1;
        return r;
    }
    (void)take_fd(&fd);
    s->connected_once = true;
    s->conn_since_ns = time_mono_ns();
    return 0;
}

/* ---- dialing: a process that answers once ---- */

static void dial_failed(struct syslog *s, const struct err *why)
{
    struct err e = *why;

    (void)err_ctx(&e, "failed to initialize logging driver");
    if (worth_telling(s))
        log_warn("%s", why->text);
    if (!s->connected_once && s->failures == 0 && s->failed)
        s->failed(s, &e);
    if (something_waits(s))
        retry_later(s);
    else
        s->failures++; /* the next line tries again */
}

static void dial_done(struct syslog *s)
{
    struct err ignored;
    int status;

    loop_del(s->loop, &s->dial.answer);
    close_fd(&s->dial.answer.fd);
    (void)kill(s->dial.pid, SIGKILL); /* our own child, not yet waited for: it has said all */
    if (spawn_wait(s->dial.pid, &status, &ignored) < 0)
        err_clear(&ignored);
    s->dial.pid = 0;
}

/* Returns the socket that came, or -1 with *ret_why. */
static int dial_answer(struct syslog *s, struct err *ret_why)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char text[ERR_TEXT_MAX] = "";
    struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    const struct cmsghdr *c;
    ssize_t n;
    int fd;

    n = recvmsg(s->dial.answer.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(fd))) {
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
    }
    (void)err_set(ret_why, ERR_UNAVAILABLE, "%s", n > 0 ? text : "syslog: no answer in time");
    return -1;
}

static void on_answer(struct watch *w, uint32_t events UNUSED)
{
    struct syslog *s = CONTAINER_OF(w, struct syslog, dial.answer);
    struct err e;
    int fd;

    fd = dial_answer(s, &e);
    dial_done(s);
    if (fd < 0 || take_conn(s, fd, &e) < 0)
        dial_failed(s, &e);
    else
        pump(s);
}

static int dial_start(struct syslog *s, struct err *e)
{
    static const char *const how[] = { [SYSLOG_UNIX] = "unix",
                                       [SYSLOG_UNIXGRAM] = "unixgram",
                                       [SYSLOG_UDP] = "udp",
                                       [SYSLOG_TCP] = "tcp" };
    const struct log_config *c = s->config;
    const char *const argv[] = { s->helper, "dial", how[c->transport], c->host, c->port, NULL };
    struct spawn_fd fds[] = { { -1, 1 }, { STDERR_FILENO, 2 } };
    const struct spawn spawn = {
        .argv = argv,
        .fds = fds,
        .fds_n = ARRAY_LEN(fds),
        .parent_death_signal = SIGKILL,
        .no_new_privs = true,
    };
    autofd int theirs = -1;
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_os(e, "syslog: socketpair");
    s->dial.answer.fd = pair[0];
    fds[0].fd = theirs = pair[1];
    r = spawn_start(&spawn, &s->dial.pid, NULL, e);
    if (r == 0)
        r = loop_add(s->loop, &s->dial.answer, EPOLLIN, e);
    if (r == 0)
        return 0;
    if (s->dial.pid)
        dial_done(s);
    close_fd(&s->dial.answer.fd);
    return r;
}

static void want_conn(struct syslog *s)
{
    struct err e;

    if (s->conn.fd >= 0 || s->dial.pid || s->retry.armed)
        return;
    if (dial_start(s, &e) < 0)
        dial_failed(s, &e);
}

static void on_retry(struct timer *t)
{
    struct syslog *s = CONTAINER_OF(t, struct syslog, retry);

    if (s->conn.fd < 0)
        want_conn(s);
    else
        pump(s);
}

/* ---- sending ---- */

static void next_record(struct syslog *s)
{
    struct syslog_text t;
    struct record r;

    memcpy(&r, s->queue.p + s->head, sizeof(r));
    t = (struct syslog_text){
        .stream = r.stream,
        .real_ns = r.real_ns,
        .text = s->queue.p + s->head + sizeof(r),
        .len = r.len,
    };
    if (!syslog_format(s->config, s->host, getpid(), &t, &s->out) ||
        (s->stream && !str_addc(&s->out, '\n'))) {
        s->lost++; /* no memory */
        s->lost_os = ENOMEM;
        str_done(&s->out);
        s->out.failed = false;
        s->sent = 0;
    }
    s->head += sizeof(r) + r.len;
    s->queued--;
    if (s->head == s->queue.len) {
        if (s->queue.cap > KEEP_CAP)
            str_done(&s->queue);
        else
            str_clear(&s->queue);
        s->head = 0;
    } else if (s->head > s->queue.len / 2 && s->head > KEEP_CAP) {
        str_drop(&s->queue, s->head);
        s->head = 0;
    }
}

/* Fill `out`: a datagram is one message, a stream takes many. */
static bool fill(struct syslog *s)
{
    if (s->sent == s->out.len) {
        str_clear(&s->out);
        s->sent = 0;
    }
    if (!s->stream && s->out.len)
        return true;
    while (s->queued && (s->stream ? s->out.len < OUT_HIGH : s->out.len == 0))
        next_record(s);
    return s->out.len > s->sent;
}

/* One send(). 0 or the errno. */
static int send_out(struct syslog *s)
{
    ssize_t n =
        send(s->conn.fd, s->out.p + s->sent, s->out.len - s->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0)
        return errno;
    s->sent += (size_t)n;
    return 0;
}

static int send_some(struct syslog *s)
{
    bool udp = s->config->transport == SYSLOG_UDP;
    int os = send_out(s);

    if (udp && os == ECONNREFUSED)
        os = send_out(s); /* the first failure told of a datagram before this one */
    if (os && (os == EMSGSIZE || (udp && os == ECONNREFUSED)) && !s->stream) {
        s->lost++; /* it would never be taken */
        s->lost_os = os;
        s->sent = s->out.len;
        return 0;
    }
    return os;
}

/* Wait for room only while there is something to send: an idle box wakes nobody. */
static void watch_room(struct syslog *s, bool on)
{
    struct err e;

    if (on == ((s->conn.events & EPOLLOUT) != 0))
        return;
    if (loop_mod(s->loop, &s->conn, on ? EPOLLIN | EPOLLOUT : EPOLLIN, &e) < 0)
        log_error("syslog: %s", e.text);
}

static void pump(struct syslog *s)
{
    size_t start = s->sent, bytes = 0;
    int os = 0;

    for (unsigned n = 0; os == 0 && n < TURN_N && bytes < TURN_BYTES && fill(s); n++) {
        start = s->sent;
        os = send_some(s);
        bytes += s->sent - start;
    }
    if (os == EINTR || os == EAGAIN)
        os = 0;
    if (os == ENOBUFS) { /* a device's queue: nothing tells when there is room */
        loop_timer(s->loop, &s->retry, RETRY_MIN);
        watch_room(s, false);
        return;
    }
    if (os)
        lost_conn(s, os);
    else
        watch_room(s, fill(s));
    if (s->out.len == s->sent && s->out.cap > KEEP_CAP)
        str_done(&s->out);
}

/* ---- lines ---- */

static void add_line(struct syslog *s, int stream, const char *p, size_t len)
{
    struct record r = { .real_ns = time_real_ns(), .len = (uint32_t)len, .stream = stream };
    size_t most = s->config->non_blocking ? s->config->buffer_bytes : QUEUE_MAX;

    /* one message fits always, as docker's */
    if (s->queued && s->queue.len - s->head + sizeof(r) + len > most) {
        s->lost++;
        s->lost_os = ENOBUFS;
        return;
    }
    if (!str_reserve(&s->queue, sizeof(r) + len)) {
        s->queue.failed = false;
        s->lost++;
        s->lost_os = ENOMEM;
        return;
    }
    (void)str_add(&s->queue, &r, sizeof(r)); /* reserved */
    (void)str_add(&s->queue, p, len);
    s->queued++;
}

static void add_piece(struct syslog *s, int stream, const char *p, size_t len)
{
    struct str *line = &s->line[stream];

    while (len) {
        size_t n = SYSLOG_LINE - line->len;

        n = n < len ? n : len;
        if (!str_add(line, p, n)) {
            str_done(line);
            line->failed = false;
            s->lost++;
            s->lost_os = ENOMEM;
        }
        p += n;
        len -= n;
        if (line->len == SYSLOG_LINE) {
            add_line(s, stream, line->p, line->len);
            str_clear(line);
        }
    }
}

/* Whole lines become messages without their newline, and without a carriage return before it
 * (a terminal's). Empty ones become none. */
static void end_line(struct syslog *s, int stream, const char *p, size_t len)
{
    len -= len && p[len - 1] == '\r';
    if (len)
        add_line(s, stream, p, len);
}

void syslog_add(struct syslog *s, int stream, const void *data, size_t len)
{
    const char *p = data, *newline;

    if (s->ended) { /* it has been started again */
        s->ended = false;
        loop_timer_cancel(s->loop, &s->drain);
    }
    while (len && (newline = memchr(p, '\n', len))) {
        size_t n = (size_t)(newline - p);

        if (s->line[stream].len || n >= SYSLOG_LINE) {
            add_piece(s, stream, p, n);
            end_line(s, stream, str_c(&s->line[stream]), s->line[stream].len);
            str_clear(&s->line[stream]);
        } else {
            end_line(s, stream, p, n);
        }
        p = newline + 1;
        len -= n + 1;
    }
    add_piece(s, stream, p, len);
    if (!s->queued)
        return;
    if (s->conn.fd < 0)
        want_conn(s);
    else
        watch_room(s, true); /* sends in the next turn, together with what comes until then */
}

/* ---- its life ---- */

static uint64_t messages_left(const struct syslog *s)
{
    uint64_t n = s->queued + (!s->stream && s->out.len > s->sent);

    for (size_t i = s->sent; s->stream && i < s->out.len; i++)
        n += s->out.p[i] == '\n';
    return n;
}

static void on_drain(struct timer *t)
{
    struct syslog *s = CONTAINER_OF(t, struct syslog, drain);
    uint64_t left = messages_left(s);

    if (!left)
        return;
    log_error("syslog: %llu messages are lost: the receiver does not take them",
              (unsigned long long)left);
    s->lost += left;
    s->lost_os = ETIMEDOUT;
    s->queued = 0;
    s->head = s->sent = 0;
    str_done(&s->queue);
    str_done(&s->out);
}

void syslog_init(struct syslog *s)
{
    *s = (struct syslog){
        .conn = { .fd = -1, .what = "syslog", .ready = on_conn },
        .dial.answer = { .fd = -1, .what = "syslog dial", .ready = on_answer },
        .retry.fired = on_retry,
        .drain.fired = on_drain,
        .queue = STR_INIT(QUEUE_MAX),
        .out = STR_INIT(OUT_MAX),
        .line = { STR_INIT(SYSLOG_LINE), STR_INIT(SYSLOG_LINE) },
    };
}

int syslog_open(struct syslog *s, struct loop *loop, const char *helper,
                const struct log_config *c, struct err *e)
{
    s->loop = loop;
    s->helper = helper;
    s->config = c;
    if (gethostname(s->host, sizeof(s->host) - 1) < 0)
        return err_os(e, "gethostname");
    return dial_start(s, e) < 0 ? err_ctx(e, "failed to initialize logging driver") : 0;
}

void syslog_end(struct syslog *s)
{
    if (!s->loop || s->ended)
        return;
    for (int i = 0; i < SYSLOG_STREAMS; i++) {
        end_line(s, i, str_c(&s->line[i]), s->line[i].len);
        str_done(&s->line[i]);
    }
    s->ended = true;
    if (!something_waits(s))
        return;
    loop_timer(s->loop, &s->drain, DRAIN_NS);
    if (s->conn.fd < 0)
        want_conn(s);
    else
        pump(s);
}

bool syslog_keeps_up(const struct syslog *s)
{
    return !s->loop || s->config->non_blocking || s->queue.len - s->head < QUEUE_HIGH;
}

bool syslog_idle(const struct syslog *s)
{
    return !s->loop || !something_waits(s);
}

void syslog_close(struct syslog *s)
{
    if (s->loop) {
        loop_timer_cancel(s->loop, &s->retry);
        loop_timer_cancel(s->loop, &s->drain);
        if (s->dial.pid)
            dial_done(s);
        if (s->conn.fd >= 0)
            conn_close(s);
    }
    str_done(&s->queue);
    str_done(&s->out);
    for (int i = 0; i < SYSLOG_STREAMS; i++)
        str_done(&s->line[i]);
    s->loop = NULL;
}
