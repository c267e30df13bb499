#include "cli/session.h"

#include "box/ctl.h"

#include "cli/sink.h"
#include "cli/terminal.h"
#include "proto/config.h"
#include "proto/msg.h"
#include "util/fd.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define RX_SIZE       (256U << 10) /* as much as a unix socket holds by default */
#define CONTROL_MAX   (64U << 10) /* longest message that is not output; an error text is short */
#define TERMINATE_MAX 3           /* INT or TERM this often: docker's CLI gives up waiting */

struct io {
    const struct session *s;
    struct session_result *result;
    bool over;

    struct sink out, err;
    const struct sink *blocked; /* output waits for it; nothing is read meanwhile */

    uint8_t *rx; /* RX_SIZE; owned */
    size_t rx_at, rx_len;
    uint8_t head[MSG_HEADER]; /* of the current message */
    size_t head_n;
    uint32_t body;      /* bytes of it still to come */
    struct str control; /* its payload so far, when it is not output */

    struct str tx; /* waits for the socket */
    bool in_open;
    struct detach_keys keys;
    struct terminal *terminal;
    sigset_t old_mask;
    int signal_fd, terminations;
    bool told; /* s->started was called, or there is none */
};

static void finish(struct io *io, enum session_end end, int status)
{
    io->result->end = end;
    io->result->status = status;
    io->over = true;
}

static void tell_started(struct io *io)
{
    if (!io->told)
        io->s->started(io->s->ctx);
    io->told = true;
}

/* ---- to the box ------------------------------------------------------- */

static int put(struct io *io, enum msg_type type, const void *data, size_t len, struct err *e)
{
    return msg_put(&io->tx, type, data, len) ? 0
                                             : err_set(e, ERR_LIMIT, "session: out of memory");
}

static int flush_tx(struct io *io, struct err *e)
{
    while (io->tx.len) {
        ssize_t n = send(io->s->fd, io->tx.p, io->tx.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            str_clear(&io->tx); /* it has hung up: what it said last is still to be read */
            io->in_open = false;
            return 0;
        }
        if (n < 0)
            return err_os(e, "session");
        str_drop(&io->tx, (size_t)n);
    }
    return 0;
}

static int put_size(struct io *io, uint16_t cols, uint16_t rows, struct err *e)
{
    uint8_t body[4];

    put_u16be(body, cols);
    put_u16be(body + 2, rows);
    return put(io, MSG_RESIZE, body, sizeof(body), e);
}

static int send_size(struct io *io, bool redraw, struct err *e)
{
    uint16_t cols, rows;
    int r = 0;

    if (!terminal_size(0, &cols, &rows) && !terminal_size(1, &cols, &rows))
        return 0;
    if (redraw)
        r = put_size(io, cols, (uint16_t)(rows + 1), e);
    return r < 0 ? r : put_size(io, cols, rows, e);
}

/* False when nobody answers there, as while the shim starts. */
static bool signal_box(const struct session *s, int sig)
{
    struct ctl_request req = { .op = CTL_SIGNAL, .signal = (uint64_t)sig };
    struct ctl_reply reply = { 0 };
    struct err ignored;

    if (!s->box || ctl_call(s->home, s->box, &req, &reply, &ignored) < 0)
        return false;
    config_done(ctl_reply, &reply);
    return true;
}

static int put_signal(struct io *io, int sig, struct err *e)
{
    uint8_t body[4];

    if (signal_box(io->s, sig))
        return 0;
    put_u32be(body, (uint32_t)sig);
    return put(io, MSG_SIGNAL, body, sizeof(body), e);
}

static int read_stdin(struct io *io, struct err *e)
{
    uint8_t raw[MSG_DATA_MAX - DETACH_KEYS_MAX], out[MSG_DATA_MAX];
    ssize_t n = read(0, raw, sizeof(raw));
    bool detach = false;
    size_t len;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0) { /* an error too (terminal gone) ends the workload's input */
        io->in_open = false;
        return put(io, MSG_STDIN_EOF, NULL, 0, e);
    }
    if (!io->s->tty)
        return put(io, MSG_STDIN, raw, (size_t)n, e);
    detach = detach_keys_filter(&io->keys, raw, (size_t)n, out, &len);
    if (detach)
        finish(io, SESSION_DETACHED, 0);
    return len ? put(io, MSG_STDIN, out, len, e) : 0;
}

/* ---- from the box ----------------------------------------------------- */

static int take_exit(struct io *io, struct err *e)
{
    struct exit_info info = { 0 };
    int r;

    r = config_decode(exit_info, cur_of(io->control.p, io->control.len), &info, e);
    if (r < 0)
        return r;
    finish(io, SESSION_EXITED, (int)info.status);
    io->result->reason = info.reason;
    config_done(exit_info, &info);
    return 0;
}

static int take_error(struct io *io, struct err *e)
{
    struct error_info info = { 0 };
    int r;

    r = config_decode(error_info, cur_of(io->control.p, io->control.len), &info, e);
    if (r < 0)
        return r;
    finish(io, SESSION_REFUSED, info.status ? (int)info.status : 125);
    (void)error_info_err(&info, ERR_SYSTEM, "refused by the box",
                         &io->result->error); /* kept, not returned */
    config_done(error_info, &info);
    return 0;
}

static int take_control(struct io *io, struct err *e)
{
    switch (io->head[0]) {
    case MSG_EXIT:
        return take_exit(io, e);
    case MSG_ERROR:
        return take_error(io, e);
    case MSG_STARTED:
        tell_started(io);
        if (io->s->until_started)
            finish(io, SESSION_STARTED, 0);
        return 0;
    default: /* of a newer version */
        return 0;
    }
}

/* Pass on what has arrived of an output message. */
static int take_output(struct io *io, struct err *e)
{
    const struct sink *sink = io->head[0] == MSG_STDOUT ? &io->out : &io->err;
    size_t len = io->rx_len - io->rx_at;
    ssize_t n;

    if (len > io->body)
        len = io->body;
    n = sink_write(sink, io->rx + io->rx_at, len, e);
    if (n < 0 && e->os == EPIPE) {
        finish(io, SESSION_NO_READER, 128 + SIGPIPE);
        return io->s->exec ? put_signal(io, SIGPIPE, e) : 0;
    }
    if (n < 0)
        return (int)n;
    if ((size_t)n < len)
        io->blocked = sink;
    io->rx_at += (size_t)n;
    io->body -= (uint32_t)n;
    return 0;
}

static bool is_output(const struct io *io)
{
    return io->head[0] == MSG_STDOUT || io->head[0] == MSG_STDERR;
}

static int take_head(struct io *io, struct err *e)
{
    struct cur c = cur_of(io->head + 1, 4);

    while (io->head_n < MSG_HEADER && io->rx_at < io->rx_len)
        io->head[io->head_n++] = io->rx[io->rx_at++];
    if (io->head_n < MSG_HEADER)
        return 0;
    (void)cur_u32be(&c, &io->body); /* four bytes are there */
    str_clear(&io->control);
    if (io->body > (is_output(io) ? MSG_MAX : CONTROL_MAX))
        return err_set(e, ERR_CORRUPT, "session: message of %u bytes", io->body);
    return 0;
}

/* Work off what is in rx, as far as the sinks take it. */
static int take_rx(struct io *io, struct err *e)
{
    int r = 0;

    io->blocked = NULL;
    while (r == 0 && !io->over && !io->blocked && io->rx_at < io->rx_len) {
        if (io->head_n < MSG_HEADER) {
            r = take_head(io, e);
        } else if (io->body && is_output(io)) {
            r = take_output(io, e);
        } else if (io->body) {
            size_t len = io->rx_len - io->rx_at;

            len = len < io->body ? len : io->body;
            if (!str_add(&io->control, io->rx + io->rx_at, len))
                r = err_set(e, ERR_LIMIT, "session: out of memory");
            io->rx_at += len;
            io->body -= (uint32_t)len;
        }
        if (r == 0 && io->head_n == MSG_HEADER && !io->body) {
            io->head_n = 0;
            r = is_output(io) ? 0 : take_control(io, e);
        }
    }
    return r;
}

static int read_socket(struct io *io, struct err *e)
{
    ssize_t n = recv(io->s->fd, io->rx, RX_SIZE, MSG_DONTWAIT);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0 && errno != ECONNRESET)
        return err_os(e, "session");
    if (n <= 0) {
        finish(io, SESSION_LOST, 0);
        return 0;
    }
    io->rx_at = 0;
    io->rx_len = (size_t)n;
    return take_rx(io, e);
}

/* ---- signals ---------------------------------------------------------- */

/* The first of them for exec, all for a box of ours: what docker forwards. */
#define PROXIED_EXEC 7
static const int proxied[] = { SIGHUP,  SIGINT,   SIGQUIT, SIGTERM, SIGUSR1,
                               SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT, SIGALRM };
static const int fatal[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH };

/* From here on they wait in a descriptor; a signal during a start is not lost. */
static int catch_signals(struct io *io, struct err *e)
{
    const int *list = io->s->sig_proxy ? proxied : fatal;
    size_t n = !io->s->sig_proxy ? ARRAY_LEN(fatal)
               : io->s->exec     ? PROXIED_EXEC
                                 : ARRAY_LEN(proxied);
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < n; i++)
        (void)sigaddset(&set, list[i]);
    if (sigprocmask(SIG_BLOCK, &set, &io->old_mask) < 0)
        return err_os(e, "signals");
    io->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (io->signal_fd < 0) {
        (void)sigprocmask(SIG_SETMASK, &io->old_mask, NULL);
        return err_os(e, "signals");
    }
    return 0;
}

static int take_signal(struct io *io, struct err *e)
{
    struct signalfd_siginfo info;
    ssize_t n = read(io->signal_fd, &info, sizeof(info));
    int sig;

    if (n != (ssize_t)sizeof(info))
        return 0;
    sig = (int)info.ssi_signo;
    if (sig == SIGWINCH && io->s->tty)
        return send_size(io, false, e);
    if (!io->s->sig_proxy) {
        if (sig != SIGWINCH)
            finish(io, SESSION_INTERRUPTED, 128 + sig);
        return 0;
    }
    if ((sig == SIGINT || sig == SIGTERM) && ++io->terminations >= TERMINATE_MAX) {
        fputs("\ngot 3 SIGTERM/SIGINTs, forcefully exiting\n", stderr);
        finish(io, SESSION_INTERRUPTED, 1);
        return 0;
    }
    return put_signal(io, sig, e);
}

/* ---- the loop --------------------------------------------------------- */

enum { P_SOCKET, P_STDIN, P_SIGNAL, P_SINK, P_STARTED, P_N };

static int turn(struct io *io, struct err *e)
{
    struct pollfd p[P_N] = {
        [P_SOCKET] = { .fd = io->s->fd },
        [P_STDIN] = { .fd = io->in_open && !io->tx.len ? 0 : -1, .events = POLLIN },
        [P_SIGNAL] = { .fd = io->signal_fd, .events = POLLIN },
        [P_SINK] = { .fd = io->blocked ? io->blocked->fd : -1, .events = POLLOUT },
        [P_STARTED] = { .fd = io->told ? -1 : io->s->started_fd, .events = POLLIN },
    };
    int r = 0;

    p[P_SOCKET].events = (short)((io->blocked ? 0 : POLLIN) | (io->tx.len ? POLLOUT : 0));
    if (!p[P_SOCKET].events)
        p[P_SOCKET].fd = -1; /* it may have hung up: not news before the output is out */
    if (poll(p, P_N, -1) < 0)
        return errno == EINTR ? 0 : err_os(e, "poll");
    if (p[P_STARTED].revents)
        tell_started(io);
    if (p[P_SIGNAL].revents)
        r = take_signal(io, e);
    if (r == 0 && p[P_SINK].revents)
        r = take_rx(io, e);
    if (r == 0 && !io->over && !io->blocked && p[P_SOCKET].revents & (POLLIN | POLLHUP | POLLERR))
        r = read_socket(io, e);
    if (r == 0 && !io->over && p[P_STDIN].revents)
        r = read_stdin(io, e);
    if (r == 0 && io->tx.len)
        r = flush_tx(io, e);
    return r;
}

static int setup(struct io *io, struct err *e)
{
    const struct session *s = io->s;
    int r;

    io->rx = malloc(RX_SIZE);
    if (!io->rx)
        return err_os(e, "session");
    sink_open(&io->out, 1);
    sink_open(&io->err, 2);
    io->out.off = !s->out;
    io->err.off = !s->err;
    io->in_open = s->in;
    io->keys = s->keys;
    io->told = !s->started;
    r = catch_signals(io, e);
    if (r == 0 && s->tty && s->in && isatty(0))
        r = terminal_raw(0, &io->terminal, e);
    if (r == 0 && s->tty)
        r = send_size(io, s->redraw, e);
    return r == 0 && io->tx.len ? flush_tx(io, e) : r;
}

static void teardown(struct io *io)
{
    terminal_restore(io->terminal);
    if (io->signal_fd >= 0) {
        close_fd(&io->signal_fd);
        (void)sigprocmask(SIG_SETMASK, &io->old_mask, NULL);
    }
    sink_close(&io->out);
    sink_close(&io->err);
    str_done(&io->tx);
    str_done(&io->control);
    free(io->rx);
}

int session_run(const struct session *s, struct session_result *ret, struct err *e)
{
    struct session_result result = { 0 };
    struct io io = { .s = s, .result = &result, .signal_fd = -1 };
    int r;

    r = setup(&io, e);
    while (r == 0 && !io.over)
        r = turn(&io, e);
    teardown(&io);
    if (r == 0)
        *ret = result;
    return r;
}

int session_check_tty(bool in, bool tty, struct err *e)
{
    if (in && tty && !isatty(0))
        return err_set(e, ERR_INVALID, "the input device is not a TTY");
    return 0;
}

int session_conclude(struct cli *cli, const struct session_result *result, struct err *e)
{
    switch (result->end) {
    case SESSION_EXITED:
    case SESSION_INTERRUPTED:
    case SESSION_NO_READER:
    case SESSION_STARTED:
        return result->status;
    case SESSION_REFUSED:
        cli->status = result->status;
        *e = result->error;
        return -(int)e->kind;
    case SESSION_DETACHED:
        fputs("read escape sequence\n", cli->err);
        return 0;
    case SESSION_LOST:
        return err_set(e, ERR_UNAVAILABLE, "connection lost");
    }
    return err_set(e, ERR_INTERNAL, "session ended for no reason");
}
