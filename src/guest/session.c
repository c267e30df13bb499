#include "guest/session.h"

#include "guest/container.h"
#include "guest/process.h"
#include "guest/stdio.h"
#include "guest/sys.h"
#include "util/cur.h"
#include "util/own.h"
#include "util/time.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define READS_PER_TURN 8                     /* of one source; then it is the others' turn */
#define BIG_OUTPUT     (UINT64_C(128) << 10) /* after so much, a pipe is worth more memory */
#define BIG_PIPE       (1 << 20)
#define TTY_REST       (1 << 20) /* a terminal holds less; its end is a hang-up */

enum session_state { IDLE, STARTING, RUNNING, DRAINING, OVER };

struct session {
    struct guest *guest;
    struct session *next;
    struct container *container; /* NULL before START and when the container is gone */
    struct outlet out;
    struct msg_reader reader;
    enum session_state state;
    bool main, tty, timed_out, closed, reaped;
    pid_t pid; /* 0 when not known (yet) or reaped */
    /* All that was received is given back as credit but what the process has not taken. Bytes of
     * an incomplete message are given back at once, so `credited` may be ahead for a while. */
    uint64_t received, credited, held;
    struct sink in; /* with a tty: another descriptor of the master */
    struct source output[2];
    struct watch status; /* reports whether execve() worked */
    struct timer timeout;
    struct exit_info exit;
};

static void session_pump(struct session *s);

static void send_error(struct session *s, const struct err *why, uint64_t status)
{
    struct error_info info = { .kind = why->kind, .status = status, .text = (char *)why->text };

    outlet_config(&s->out, MSG_ERROR, error_info, &info);
    outlet_finish(&s->out);
    s->state = OVER;
}

/* ---- output ---------------------------------------------------------- */

static void source_close(struct session *s, struct source *src)
{
    loop_del(s->guest->loop, &src->w);
    close_fd(&src->w.fd);
}

/* How much of a message may be made now; 0: wait for the client. */
static size_t output_room(struct session *s)
{
    size_t room;

    if (!s->out.stream)
        return MSG_DATA_MAX;
    if (!outlet_ready(&s->out))
        return 0;
    room = stream_room(s->out.stream);
    if (room == 0)
        return 0;
    /* A few bytes more than there is credit wait in the outlet. */
    room = room > 2 * MSG_HEADER ? room - MSG_HEADER : MSG_HEADER;
    return room < MSG_DATA_MAX ? room : MSG_DATA_MAX;
}

/* `at` holds a message with `len` bytes of payload: in the channel already, or in our buffer. */
static void send_output(struct session *s, enum msg_type type, char *at, size_t len)
{
    size_t n;

    if (!s->out.stream)
        return;
    at[0] = (char)type;
    put_u32be(at + 1, (uint32_t)len);
    if (at != s->guest->buf) {
        stream_commit(s->out.stream, len + MSG_HEADER);
        return;
    }
    n = stream_send(s->out.stream, at, len + MSG_HEADER);
    if (n < len + MSG_HEADER) {
        (void)str_add(&s->out.queue, at + n, len + MSG_HEADER - n);
        outlet_flush(&s->out);
    }
}

static void source_pause(struct session *s, struct source *src)
{
    loop_del(s->guest->loop, &src->w); /* a watch without events would still spin on a hang-up */
    src->paused = true;
}

/* Returns false when there is nothing more to read now. */
static bool source_read(struct session *s, struct source *src)
{
    size_t room = output_room(s);
    char *at = NULL;
    ssize_t n;

    if (room == 0) {
        source_pause(s, src);
        return false;
    }
    if (s->state == DRAINING && src->left < room)
        room = src->left;
    if (s->out.stream)
        at = stream_reserve(s->out.stream, room + MSG_HEADER);
    if (!at)
        at = s->guest->buf;
    n = room == 0 ? 0 : read(src->w.fd, at + MSG_HEADER, room);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN && s->state != DRAINING)
        return false;
    if (n <= 0) { /* end, hang-up of a terminal, or nothing left of an ended process */
        source_close(s, src);
        return false;
    }
    send_output(s, src->type, at, (size_t)n);
    if (src->total < BIG_OUTPUT && src->total + (size_t)n >= BIG_OUTPUT && !s->tty)
        (void)fcntl(src->w.fd, F_SETPIPE_SZ, BIG_PIPE); /* may be refused: slower then */
    src->total += (size_t)n;
    src->left -= s->state == DRAINING ? (size_t)n : 0;
    return true;
}

static void finish_if_drained(struct session *s)
{
    if (s->state != DRAINING || s->output[0].w.fd >= 0 || s->output[1].w.fd >= 0)
        return;
    outlet_config(&s->out, MSG_EXIT, exit_info, &s->exit);
    outlet_finish(&s->out);
    s->state = OVER;
}

static void on_output(struct session *s, struct source *src)
{
    int left = READS_PER_TURN;

    while (src->w.fd >= 0 && (left-- > 0 || s->state == DRAINING) && source_read(s, src))
        ;
    finish_if_drained(s);
}

static void on_out(struct watch *w, uint32_t events UNUSED)
{
    struct source *src = CONTAINER_OF(w, struct source, w);

    on_output(CONTAINER_OF(src, struct session, output[0]), src);
}

static void on_err(struct watch *w, uint32_t events UNUSED)
{
    struct source *src = CONTAINER_OF(w, struct source, w);

    on_output(CONTAINER_OF(src, struct session, output[1]), src);
}

/* Start or go on reading. */
static void session_pump(struct session *s)
{
    for (int i = 0; i < 2; i++) {
        struct source *src = &s->output[i];
        struct err e;

        if (src->w.fd < 0 || (src->w.added && s->state != DRAINING))
            continue;
        src->paused = false;
        if (!src->w.added && loop_add(s->guest->loop, &src->w, EPOLLIN, &e) < 0) {
            guest_log(s->guest, "%s", e.text);
            source_close(s, src);
            continue;
        }
        on_output(s, src);
    }
    finish_if_drained(s);
}

/* What the pipes hold when the process ends is its output; what a child that it left behind may
 * write later is not waited for. */
static void measure_rest(struct session *s)
{
    for (int i = 0; i < 2; i++) {
        int n = 0;

        if (s->tty || ioctl(s->output[i].w.fd, FIONREAD, &n) < 0)
            n = TTY_REST;
        s->output[i].left = (size_t)n;
    }
}

/* ---- the process ----------------------------------------------------- */

static void on_timeout(struct timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timeout);

    if (!s->pid)
        return;
    s->timed_out = true;
    if (!s->main)
        (void)kill(-s->pid, SIGKILL); /* its process group: it has called setsid() */
    (void)kill(s->pid, SIGKILL);      /* not reaped yet: the pid is right */
}

static void session_started(struct session *s)
{
    struct msg_started started = { .pid = (uint64_t)s->pid, .uptime_ns = time_mono_ns() };

    s->state = RUNNING;
    outlet_config(&s->out, MSG_STARTED, msg_started, &started);
    if (!s->reaped)
        session_pump(s);
}

static void give_credit(struct session *s);

static void close_all(struct session *s)
{
    for (int i = 0; i < 2; i++)
        if (s->output[i].w.fd >= 0)
            source_close(s, &s->output[i]);
    sink_close(&s->in, s->guest->loop);
}

/* End of file means that execve() has closed the descriptor. */
static void on_status(struct watch *w, uint32_t events UNUSED)
{
    struct session *s = CONTAINER_OF(w, struct session, status);
    struct failure f;
    struct err e;
    ssize_t n = read(w->fd, &f, sizeof(f));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_del(s->guest->loop, w);
    close_fd(&w->fd);
    if (n != sizeof(f)) {
        session_started(s);
        return;
    }
    f.text[sizeof(f.text) - 1] = '\0';
    close_all(s);
    loop_timer_cancel(s->guest->loop, &s->timeout);
    (void)err_set(&e, f.kind < ERR_KIND_N ? (enum err_kind)f.kind : ERR_SYSTEM, "%s", f.text);
    send_error(s, &e, f.status);
}

void exit_info_fill(struct exit_info *info, int wait_status, bool oom_killed)
{
    bool signaled = WIFSIGNALED(wait_status);

    info->status = (uint64_t)(signaled ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
    info->reason = signaled ? EXIT_SIGNALED : EXIT_NORMAL;
    info->oom_killed = oom_killed;
    if (oom_killed && signaled && WTERMSIG(wait_status) == SIGKILL)
        info->reason = EXIT_OOM;
    info->finished_ns = time_real_ns();
}

void session_exited(struct session *s, const struct exit_info *info)
{
    s->pid = 0;
    s->reaped = true;
    loop_timer_cancel(s->guest->loop, &s->timeout);
    if (s->state == STARTING)
        on_status(&s->status, 0); /* all there will ever be is there now */
    if (s->state == OVER)
        return;
    s->exit = *info;
    s->exit.container = NULL;
    if (s->timed_out) {
        s->exit.status = 128 + SIGKILL;
        s->exit.reason = EXIT_TIMEOUT;
    }
    s->state = DRAINING;
    sink_close(&s->in, s->guest->loop);
    give_credit(s);
    measure_rest(s);
    session_pump(s);
}

/* In the child of an exec. */
static void exec_child(const struct session *s, const struct exec_request *q,
                       const struct stdio *io, int status_fd)
{
    struct err e;

    if (container_join(s->container, &e) < 0)
        process_fail(status_fd, 125, &e);
    process_exec(&(struct process){ .config = &s->container->config,
                                    .request = q,
                                    .stdio = { io->child[0], io->child[1], io->child[2] },
                                    .status_fd = status_fd,
                                    .init_fd = -1 });
}

static int start_exec(struct session *s, const struct exec_request *q, const struct stdio *io,
                      struct err *e)
{
    autofd int report = -1, status = -1;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    report = fds[0];
    status = fds[1];
    s->pid = container_fork(s->container, e);
    if (s->pid == 0)
        exec_child(s, q, io, status);
    if (s->pid < 0) {
        s->pid = 0;
        return -1;
    }
    return take_fd(&report);
}

static int start_process(struct session *s, const struct exec_request *q, const struct bytes *raw,
                         const struct stdio *io, struct err *e)
{
    int r;

    if (!s->main)
        return start_exec(s, q, io, e);
    r = container_start(s->container, raw, io->child, e);
    if (r >= 0) {
        s->pid = s->container->pid;
        s->container->main = s;
    }
    return r;
}

static int check_request(struct session *s, const struct exec_request *q, struct err *e)
{
    struct container *c = q->container ? container_find(s->guest, q->container) : NULL;

    if (!c)
        return err_set(e, ERR_NOT_FOUND, "No such container: %s", q->container);
    if (q->main && c->state != CONTAINER_CREATED)
        return err_set(e, ERR_STATE, "Container %s cannot be started now", q->container);
    if (!q->main && c->state != CONTAINER_RUNNING)
        return err_set(e, ERR_STATE, "Container %s is not running", q->container);
    if (q->argv.n == 0)
        return err_set(e, ERR_INVALID, "No command specified");
    if (q->cols > UINT16_MAX || q->rows > UINT16_MAX)
        return err_set(e, ERR_INVALID, "Bad terminal size");
    s->container = c;
    s->main = q->main;
    s->tty = q->tty;
    return 0;
}

static void adopt_stdio(struct session *s, struct stdio *io)
{
    s->in.w.fd = take_fd(&io->ours[0]);
    s->output[0].w.fd = take_fd(&io->ours[1]);
    s->output[1].w.fd = take_fd(&io->ours[2]);
}

static int session_start(struct session *s, const struct bytes *raw, struct exec_request *q,
                         struct err *e)
{
    struct stdio io = { { -1, -1, -1 }, { -1, -1, -1 } };
    int r = check_request(s, q, e);

    if (r >= 0)
        r = q->tty ? stdio_terminal(s->container->devpts_fd, (uint16_t)q->cols, (uint16_t)q->rows,
                                    &io, e)
                   : stdio_pipes(q->stdin_open, &io, e);
    if (r >= 0)
        r = start_process(s, q, raw, &io, e);
    if (r >= 0) {
        s->status.fd = r;
        s->state = STARTING;
        adopt_stdio(s, &io);
        r = loop_add(s->guest->loop, &s->status, EPOLLIN, e);
        if (q->timeout_ns)
            loop_timer(s->guest->loop, &s->timeout, q->timeout_ns);
    }
    stdio_close(io.child);
    stdio_close(io.ours);
    return r;
}

/* ---- messages -------------------------------------------------------- */

static int on_start(struct session *s, const struct msg *m)
{
    struct exec_request q = { 0 };
    struct bytes raw = { .p = (void *)m->data, .len = m->len };
    struct err e;

    if (s->state != IDLE)
        return 0; /* a second START means nothing */
    if (config_decode(exec_request, cur_of(m->data, m->len), &q, &e) < 0 ||
        session_start(s, &raw, &q, &e) < 0)
        send_error(s, &e, 125);
    config_done(exec_request, &q);
    return 0;
}

static void on_signal(struct session *s, const struct msg *m)
{
    struct cur c = cur_of(m->data, m->len);
    uint32_t sig;

    if (s->pid && cur_u32be(&c, &sig) && sig <= 64)
        (void)kill(s->pid, (int)sig); /* not reaped yet: the pid is right */
}

static void on_resize(struct session *s, const struct msg *m)
{
    struct cur c = cur_of(m->data, m->len);
    uint16_t cols, rows;

    if (s->tty && s->output[0].w.fd >= 0 && cur_u16be(&c, &cols) && cur_u16be(&c, &rows))
        (void)stdio_resize(s->output[0].w.fd, cols, rows);
}

static int on_message(void *user, const struct msg *m, struct err *e UNUSED)
{
    struct session *s = user;

    switch (m->type) {
    case MSG_START:
        return on_start(s, m);
    case MSG_STDIN:
        s->held += m->len;
        sink_write(&s->in, s->guest->loop, m->data, m->len);
        return 0;
    case MSG_STDIN_EOF:
        sink_finish(&s->in, s->guest->loop);
        return 0;
    case MSG_SIGNAL:
        on_signal(s, m);
        return 0;
    case MSG_RESIZE:
        on_resize(s, m);
        return 0;
    case MSG_PING:
        outlet_put(&s->out, MSG_PONG, NULL, 0);
        return 0;
    default:
        return 0; /* a newer peer */
    }
}

/* ---- the stream ------------------------------------------------------ */

static void give_credit(struct session *s)
{
    uint64_t due = s->received - s->held;

    if (!s->out.stream || due <= s->credited)
        return;
    stream_consumed(s->out.stream, (size_t)(due - s->credited));
    s->credited = due;
}

static void on_data(struct stream *stream, const void *data, size_t len)
{
    struct session *s = stream_user(stream);
    struct err e;

    s->received += len;
    if (msg_read(&s->reader, data, len, on_message, s, &e) < 0) {
        s->out.stream = NULL;
        s->closed = true;
        guest_log(s->guest, "exec session: %s", e.text);
        stream_reset(stream, RESET_ERROR);
        return;
    }
    give_credit(s);
}

static void on_taken(struct sink *k, size_t len)
{
    struct session *s = CONTAINER_OF(k, struct session, in);

    s->held -= len;
}

static void on_sink(struct watch *w, uint32_t events UNUSED)
{
    struct sink *k = CONTAINER_OF(w, struct sink, w);
    struct session *s = CONTAINER_OF(k, struct session, in);

    sink_flush(k, s->guest->loop);
    give_credit(s);
}

static void on_fin(struct stream *stream)
{
    struct session *s = stream_user(stream);

    sink_finish(&s->in, s->guest->loop);
    if (s->state == IDLE)
        outlet_finish(&s->out);
}

static void on_writable(struct stream *stream)
{
    struct session *s = stream_user(stream);

    outlet_flush(&s->out);
    if (outlet_ready(&s->out) && (s->state == RUNNING || s->state == DRAINING))
        session_pump(s);
}

static void on_closed(struct stream *stream, enum reset_reason why UNUSED)
{
    struct session *s = stream_user(stream);

    s->out.stream = NULL;
    s->closed = true;
    outlet_flush(&s->out);
    sink_finish(&s->in, s->guest->loop);
    if (s->state == RUNNING || s->state == DRAINING)
        session_pump(s);
}

int session_open(struct guest *g, struct stream *stream)
{
    static const struct stream_ops ops = { on_data, on_fin, on_writable, on_closed };
    struct session *s = calloc(1, sizeof(*s));

    if (!s)
        return RESET_LIMIT;
    *s = (struct session){
        .guest = g,
        .next = g->sessions,
        .out = { .stream = stream },
        .in = { .w = { -1, "stdin", on_sink, 0, false }, .taken = on_taken },
        .output = { { .w = { -1, "stdout", on_out, 0, false }, .type = MSG_STDOUT },
                    { .w = { -1, "stderr", on_err, 0, false }, .type = MSG_STDERR } },
        .status = { -1, "exec status", on_status, 0, false },
        .timeout = { .fired = on_timeout },
    };
    g->sessions = s;
    stream_accept(stream, &ops, s);
    return 0;
}

/* ---- the list -------------------------------------------------------- */

struct session *session_by_pid(struct guest *g, pid_t pid)
{
    struct session *s = g->sessions;

    while (s && s->pid != pid)
        s = s->next;
    return s;
}

void sessions_forget(struct guest *g, const struct container *c)
{
    for (struct session *s = g->sessions; s; s = s->next)
        if (s->container == c)
            s->container = NULL;
}

static void session_free(struct session *s)
{
    close_all(s);
    loop_del(s->guest->loop, &s->status);
    loop_timer_cancel(s->guest->loop, &s->timeout);
    close_fd(&s->status.fd);
    msg_reader_done(&s->reader);
    outlet_done(&s->out);
    free(s);
}

void sessions_sweep(struct guest *g)
{
    struct session **at = &g->sessions;

    while (*at) {
        struct session *s = *at;

        if (s->closed && (s->state == OVER || s->state == IDLE) && !s->pid) {
            *at = s->next;
            session_free(s);
        } else {
            at = &s->next;
        }
    }
}
