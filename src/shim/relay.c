#include "shim/relay.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/time.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum relay_state {
    RELAY_LINE, /* vsock: the CONNECT line is on its way */
    RELAY_WAIT, /* vsock: the guest connects */
    RELAY_OPEN,
    RELAY_DEAD, /* freed by relays_turn() */
};

struct relay {
    struct relays *rs;
    struct relay *next;
    struct sock sock;
    struct stream *stream; /* NULL: not yet, or both sides have finished */
    enum relay_kind kind;
    enum relay_state state;
    bool client_eof; /* the client sends no more */
    bool guest_eof;  /* the guest sends no more: shut down when the rest is sent */
    bool shut;       /* we have told the client */
    bool hung_up;    /* the client is gone */
    struct timer line_timer;
    char line[VSOCK_LINE_MAX]; /* until the stream takes them: the line, then what followed it */
    size_t line_len;
};

static void relay_die(struct relay *r, enum reset_reason why)
{
    if (r->state == RELAY_DEAD)
        return;
    if (r->stream)
        stream_reset(r->stream, why);
    r->stream = NULL;
    loop_timer_cancel(r->rs->loop, &r->line_timer);
    sock_close(&r->sock);
    r->state = RELAY_DEAD;
    r->rs->sweep = true;
}

static void relay_pump(struct relay *r);

/* The client reads no more. What it said before it went, a signal for one, still counts. */
static void relay_lost(struct relay *r)
{
    r->hung_up = true;
    relay_pump(r);
    relay_die(r, RESET_CANCELED); /* fine when relay_pump() did */
}

/* Both directions done, or the client gone? */
static void relay_settle(struct relay *r)
{
    if (r->state == RELAY_DEAD)
        return;
    if (r->sock.failed) {
        relay_lost(r);
        return;
    }
    if (!r->guest_eof || sock_unsent(&r->sock))
        return;
    if (!r->stream)
        relay_die(r, RESET_CANCELED);
    else if (!r->shut)
        (void)shutdown(r->sock.watch.fd, SHUT_WR); /* ENOTCONN: the client has gone, HUP tells */
    r->shut = true;
}

/* ---- guest -> client --------------------------------------------------- */

static void relay_connected(struct relay *r)
{
    char ok[32];
    int n = snprintf(ok, sizeof(ok), "OK %u\n", ++r->rs->number);

    r->state = RELAY_OPEN;
    sock_send(&r->sock, ok, (size_t)n);
    sock_reading(&r->sock, true);
}

static void on_data(struct stream *s, const void *data, size_t len)
{
    struct relay *r = stream_user(s);
    size_t before = sock_unsent(&r->sock), after;

    if (r->state == RELAY_WAIT) {
        relay_connected(r);
        stream_consumed(s, 1);
        data = (const char *)data + 1;
        if (--len == 0)
            return;
        before = sock_unsent(&r->sock);
    }
    sock_send(&r->sock, data, len);
    after = sock_unsent(&r->sock);
    if (before + len > after)
        stream_consumed(s, before + len - after);
    if (r->sock.failed)
        relay_lost(r);
}

static void on_fin(struct stream *s)
{
    struct relay *r = stream_user(s);

    if (r->state == RELAY_WAIT) {
        relay_die(r, RESET_CANCELED);
        return;
    }
    r->guest_eof = true;
    relay_settle(r);
}

static void on_closed(struct stream *s, enum reset_reason why)
{
    struct relay *r = stream_user(s);

    r->stream = NULL;
    /* After a reset nothing more is wanted; when the channel ends clients get what has come. */
    if (r->state == RELAY_WAIT || (why && why != RESET_GONE)) {
        relay_die(r, RESET_GONE);
        return;
    }
    r->guest_eof = true;
    sock_reading(&r->sock, false);
    relay_settle(r);
}

/* ---- client -> guest --------------------------------------------------- */

/* Sends what followed the CONNECT line. False while some is left. */
static bool relay_send_line(struct relay *r)
{
    size_t n;

    if (!r->line_len)
        return true;
    n = stream_send(r->stream, r->line, r->line_len);
    r->line_len -= n;
    memmove(r->line, r->line + n, r->line_len);
    return r->line_len == 0;
}

/* Returns false when there is nothing more to do now. */
static bool relay_read(struct relay *r)
{
    size_t room = stream_room(r->stream);
    ssize_t n;

    if (room == 0) {
        if (r->hung_up)
            relay_die(r, RESET_CANCELED); /* nobody is left to wait for the answer */
        else if (r->shut)
            sock_park(&r->sock); /* the client may have shut down too, which looks like HUP */
        else
            sock_reading(&r->sock, false);
        return false;
    }
    if (room > sizeof(r->rs->chunk))
        room = sizeof(r->rs->chunk);
    n = recv(r->sock.watch.fd, r->rs->chunk, room, 0);
    if (n > 0) {
        (void)stream_send(r->stream, r->rs->chunk, (size_t)n); /* it has room for all */
        return r->hung_up;                                     /* else take turns */
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0) {
        relay_die(r, RESET_CANCELED);
        return false;
    }
    r->client_eof = true;
    sock_reading(&r->sock, false);
    stream_finish(r->stream); /* may call on_closed() */
    return false;
}

static void relay_pump(struct relay *r)
{
    if (r->stream && !relay_send_line(r)) {
        sock_reading(&r->sock, false);
        return;
    }
    while (r->state == RELAY_OPEN && r->stream && !r->client_eof && relay_read(r))
        ;
}

static void on_writable(struct stream *s)
{
    struct relay *r = stream_user(s);

    if (r->state != RELAY_OPEN || r->client_eof)
        return;
    if (!relay_send_line(r))
        return;
    sock_reading(&r->sock, true);
}

static const struct stream_ops relay_ops = {
    .data = on_data,
    .fin = on_fin,
    .writable = on_writable,
    .closed = on_closed,
};

/* ---- CONNECT ----------------------------------------------------------- */

int vsock_parse(const char *line, size_t len, uint32_t *ret_port, struct err *e)
{
    static const char word[] = "CONNECT ";
    const size_t word_len = sizeof(word) - 1;
    const char *newline = memchr(line, '\n', len);
    char digits[VSOCK_LINE_MAX + 1] = "";
    uint64_t port = 0;
    size_t n;
    int r;

    if (memcmp(line, word, len < word_len ? len : word_len) != 0)
        return err_set(e, ERR_INVALID, "no CONNECT line");
    if (!newline)
        return len < VSOCK_LINE_MAX ? 0 : err_set(e, ERR_INVALID, "CONNECT line is too long");
    n = (size_t)(newline - line);
    if (n < word_len || n >= VSOCK_LINE_MAX)
        return err_set(e, ERR_INVALID, "no CONNECT line");
    memcpy(digits, line + word_len, n - word_len);
    if (strlen(digits) != n - word_len)
        return err_set(e, ERR_INVALID, "CONNECT line with a NUL");
    /* VMADDR_PORT_ANY (2^32 - 1) and 0 are nobody's port. */
    r = parse_u64(digits, 1, UINT32_MAX - 1, &port, e);
    if (r < 0)
        return r;
    *ret_port = (uint32_t)port;
    return (int)n + 1;
}

static int relay_connect(struct relay *r, uint32_t port, struct err *e)
{
    int rc;

    if (!r->rs->ch)
        return err_set(e, ERR_UNAVAILABLE, "the box ends");
    if (port >= PORT_CONTROL && port <= PORT_FILES && port != PORT_EXEC && port != PORT_PTY)
        return err_set(e, ERR_DENIED, "port %u is not for clients", port);
    r->state = RELAY_WAIT;
    rc = stream_open(r->rs->ch, port, &relay_ops, r, &r->stream, e);
    if (rc == 0 && (port == PORT_EXEC || port == PORT_PTY))
        relay_connected(r);
    return rc;
}

/* Takes what has come of the line; what follows it in the same read() stays in r->line. */
static void relay_line(struct relay *r)
{
    uint32_t port = 0;
    struct err e;
    ssize_t n;
    int used;

    n = recv(r->sock.watch.fd, r->line + r->line_len, sizeof(r->line) - r->line_len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        relay_die(r, RESET_CANCELED);
        return;
    }
    r->line_len += (size_t)n;
    used = vsock_parse(r->line, r->line_len, &port, &e);
    if (used == 0)
        return;
    if (used > 0) {
        loop_timer_cancel(r->rs->loop, &r->line_timer);
        r->line_len -= (size_t)used;
        memmove(r->line, r->line + used, r->line_len);
        sock_reading(&r->sock, false); /* until the guest has connected */
        used = relay_connect(r, port, &e);
    }
    if (used < 0) {
        log_info("vsock.sock: %s", e.text);
        relay_die(r, RESET_CANCELED);
        return;
    }
    relay_pump(r);
}

static void on_line_timer(struct timer *t)
{
    relay_die(CONTAINER_OF(t, struct relay, line_timer), RESET_CANCELED);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct relay *r = CONTAINER_OF(w, struct relay, sock.watch);

    if (events & EPOLLOUT) {
        size_t before = sock_unsent(&r->sock), sent;

        sock_flush(&r->sock);
        sent = before - sock_unsent(&r->sock);
        if (r->stream && sent && !r->sock.failed)
            stream_consumed(r->stream, sent);
        relay_settle(r);
    }
    if (r->state == RELAY_DEAD)
        return;
    if ((events & (EPOLLHUP | EPOLLERR)) && !r->shut)
        r->hung_up = true;
    if (r->state == RELAY_LINE)
        relay_line(r);
    else
        relay_pump(r);
    /* The client has closed, not just shut down: it will not see an answer. */
    if (r->hung_up && r->state != RELAY_DEAD)
        relay_die(r, RESET_CANCELED);
}

void relay_new(struct relays *rs, enum relay_kind kind, int own_fd)
{
    static const uint32_t ports[RELAY_KINDS] = {
        [RELAY_EXEC] = PORT_EXEC,
        [RELAY_PTY] = PORT_PTY,
        [RELAY_FILES] = PORT_FILES,
    };
    struct relay *r = calloc(1, sizeof(*r));
    struct err e;

    if (!r) {
        (void)close(own_fd);
        return;
    }
    r->rs = rs;
    r->kind = kind;
    r->line_timer.fired = on_line_timer;
    r->state = kind == RELAY_VSOCK ? RELAY_LINE : RELAY_OPEN;
    if (sock_open(&r->sock, rs->loop, own_fd, "relay", on_ready, &e) < 0) {
        log_warn("relay: %s", e.text);
        free(r);
        return;
    }
    r->next = rs->list;
    rs->list = r;
    rs->doors[kind].n++;
    if (kind == RELAY_VSOCK) {
        loop_timer(rs->loop, &r->line_timer, VSOCK_LINE_WAIT);
        return;
    }
    if (!rs->ch || stream_open(rs->ch, ports[kind], &relay_ops, r, &r->stream, &e) < 0)
        relay_die(r, RESET_CANCELED);
}

/* ---- doors ------------------------------------------------------------- */

static void door_watch(struct door *door)
{
    struct err e;

    if (door->watch.added &&
        loop_mod(door->relays->loop, &door->watch, door->n < RELAYS_MAX ? EPOLLIN : 0, &e) < 0)
        log_error("%s", e.text);
}

static void on_knock(struct watch *w, uint32_t events UNUSED)
{
    struct door *door = CONTAINER_OF(w, struct door, watch);
    struct err e;
    int fd;

    fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return; /* the client has gone, or we are out of descriptors: the next one may do */
    if (sock_check_peer(fd, &e) < 0) {
        log_warn("%s: %s", w->what, e.text);
        (void)close(fd);
        return;
    }
    relay_new(door->relays, door->kind, fd);
    door_watch(door);
}

void relays_init(struct relays *rs, struct loop *loop)
{
    static const char *const names[RELAY_KINDS] = { "exec.sock", "pty.sock", "vsock.sock",
                                                    "files.sock" };

    rs->loop = loop;
    rs->ch = NULL;
    rs->list = NULL;
    rs->number = 0;
    rs->sweep = false;
    for (int i = 0; i < RELAY_KINDS; i++)
        rs->doors[i] = (struct door){ .watch = { .fd = -1, .what = names[i], .ready = on_knock },
                                      .relays = rs,
                                      .kind = (enum relay_kind)i };
}

void relays_listen(struct relays *rs, enum relay_kind kind, int own_fd)
{
    rs->doors[kind].watch.fd = own_fd;
}

int relays_start(struct relays *rs, struct channel *ch, struct err *e)
{
    int r = 0;

    rs->ch = ch;
    for (int i = 0; i < RELAY_KINDS && r == 0; i++)
        if (rs->doors[i].watch.fd >= 0)
            r = loop_add(rs->loop, &rs->doors[i].watch, EPOLLIN, e);
    return r;
}

void relays_stop(struct relays *rs)
{
    rs->ch = NULL;
    for (int i = 0; i < RELAY_KINDS; i++) {
        loop_del(rs->loop, &rs->doors[i].watch);
        close_fd(&rs->doors[i].watch.fd);
    }
    for (struct relay *r = rs->list; r; r = r->next)
        if (r->state == RELAY_LINE)
            relay_die(r, RESET_CANCELED);
}

void relays_turn(struct relays *rs)
{
    if (!rs->sweep)
        return;
    rs->sweep = false;
    for (struct relay **at = &rs->list; *at;) {
        struct relay *r = *at;

        if (r->state != RELAY_DEAD) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        rs->doors[r->kind].n--;
        free(r);
    }
    for (int i = 0; i < RELAY_KINDS; i++)
        door_watch(&rs->doors[i]);
}

bool relays_idle(const struct relays *rs)
{
    return rs->list == NULL;
}

void relays_done(struct relays *rs)
{
    relays_stop(rs);
    for (struct relay *r = rs->list; r; r = r->next)
        relay_die(r, RESET_CANCELED);
    relays_turn(rs);
}
