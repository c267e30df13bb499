#include "shim/shim.h"
#include "util/log.h"

/* Bytes for stdin that wait for the guest; above it clients are not read. */
#define STDIN_HIGH ((size_t)256 << 10)
#define OUT_MAX    ((size_t)32 << 20) /* the START message alone may have 16 MiB */
#define IN_MAX     (UINT32_C(1) << 20)

static size_t unsent(const struct shim *sh)
{
    return sh->main.out.len - sh->main.sent;
}

static void pump(struct shim *sh)
{
    struct workload *w = &sh->main;

    if (!w->stream)
        return;
    w->sent += stream_send(w->stream, str_c(&w->out) + w->sent, unsent(sh));
    if (unsent(sh) == 0) {
        str_done(&w->out);
        w->sent = 0;
    } else {
        (void)stream_room(w->stream); /* ask for writable() */
        if (w->sent > STDIN_HIGH) {
            str_drop(&w->out, w->sent);
            w->sent = 0;
        }
    }
}

static void balance_stdin(struct shim *sh)
{
    bool full = unsent(sh) >= STDIN_HIGH;

    if (full == sh->main.stdin_full)
        return;
    sh->main.stdin_full = full;
    clients_read_stdin(sh, !full);
}

void workload_put(struct shim *sh, enum msg_type type, const void *payload, size_t len)
{
    if (sh->main.ended)
        return;
    if (!msg_put(&sh->main.out, type, payload, len))
        log_error("workload does not take messages");
    pump(sh);
    balance_stdin(sh);
}

static int on_started(struct shim *sh)
{
    shim_started(sh);
    return 0;
}

static int on_main_exit(struct shim *sh, const struct msg *m, struct err *e)
{
    struct exit_info info = { 0 };
    struct err why;
    int r;

    r = config_decode(exit_info, cur_of(m->data, m->len), &info, e);
    if (r < 0)
        return r;
    sh->main.ended = true;
    if (info.reason == EXIT_TIMEOUT)
        (void)err_set(&why, ERR_TIMEOUT, "it ran longer than its --timeout");
    shim_ended(sh, (int)(info.status & 255), info.oom_killed,
               info.reason == EXIT_TIMEOUT ? &why : NULL);
    config_done(exit_info, &info);
    return 0;
}

static int on_error(struct shim *sh, const struct msg *m, struct err *e)
{
    struct error_info info = { 0 };
    struct err why;
    int r;

    r = config_decode(error_info, cur_of(m->data, m->len), &info, e);
    if (r < 0)
        return r;
    sh->main.ended = true;
    (void)error_info_err(&info, ERR_INTERNAL, "the guest did not say why", &why);
    shim_start_failed(sh, info.status ? (int)(info.status & 255) : 125, &why);
    config_done(error_info, &info);
    return 0;
}

static int on_output(struct shim *sh, const struct msg *m)
{
    enum json_log_stream stream = m->type == MSG_STDERR ? JSON_LOG_STDERR : JSON_LOG_STDOUT;

    log_sink_add(&sh->main.log, stream, m->data, m->len);
    clients_output(sh, (enum msg_type)m->type, m->data, m->len);
    return 0;
}

static int on_message(void *user, const struct msg *m, struct err *e)
{
    struct shim *sh = user;

    switch (m->type) {
    case MSG_STARTED:
        return on_started(sh);
    case MSG_STDOUT:
    case MSG_STDERR:
        return on_output(sh, m);
    case MSG_EXIT:
        return on_main_exit(sh, m, e);
    case MSG_ERROR:
        return on_error(sh, m, e);
    default:
        return 0;
    }
}

static void on_data(struct stream *s, const void *data, size_t len)
{
    struct shim *sh = stream_user(s);
    struct err e;

    sh->main.owed += len;
    if (msg_read(&sh->main.in, data, len, on_message, sh, &e) < 0) {
        (void)err_ctx(&e, "guest");
        shim_ended(sh, 255, false, &e);
    }
}

static void on_fin(struct stream *s)
{
    stream_finish(s);
}

static void on_writable(struct stream *s)
{
    struct shim *sh = stream_user(s);

    pump(sh);
    balance_stdin(sh);
}

/* Not while the channel ends: then the machine has more to say about the reason. */
static void on_closed(struct stream *s, enum reset_reason why)
{
    struct shim *sh = stream_user(s);
    struct err e;

    sh->main.stream = NULL;
    if (sh->main.ended || why == RESET_GONE)
        return;
    (void)err_set(&e, ERR_INTERNAL, "guest closed the workload's streams (reason %d)", why);
    shim_ended(sh, 255, false, &e);
}

void workload_init(struct shim *sh)
{
    sh->main = (struct workload){ .out = STR_INIT(OUT_MAX), .in.max = IN_MAX };
    log_sink_init(&sh->main.log);
}

/* There is nobody who takes the log: docker does not start such a container. */
static void on_log_failed(struct syslog *s, const struct err *why)
{
    struct shim *sh = CONTAINER_OF(s, struct shim, main.log.syslog);

    if (sh->phase == PHASE_BOOT)
        shim_start_failed(sh, 125, why);
}

int workload_open_log(struct shim *sh, struct err *e)
{
    return log_sink_open(&sh->main.log, sh->loop, sh->box, sh->dir_fd, on_log_failed, e);
}

void workload_open(struct shim *sh)
{
    static const struct stream_ops ops = {
        .data = on_data,
        .fin = on_fin,
        .writable = on_writable,
        .closed = on_closed,
    };
    struct err e;

    if (stream_open(sh->ch, sh->box->spec.tty ? PORT_PTY : PORT_EXEC, &ops, sh, &sh->main.stream,
                    &e) < 0) {
        shim_start_failed(sh, 125, &e);
        return;
    }
    pump(sh);
    balance_stdin(sh);
}

void workload_turn(struct shim *sh)
{
    struct workload *w = &sh->main;
    struct err e;

    if (log_sink_flush(&w->log, &e) < 0)
        log_error("%s", e.text); /* the record gets it at the end: state.db is on the same disk */
    if (!w->owed || !clients_keep_up(sh) || !log_sink_keeps_up(&w->log))
        return;
    if (w->stream)
        stream_consumed(w->stream, w->owed);
    w->owed = 0;
}

void workload_done(struct shim *sh)
{
    str_done(&sh->main.out);
    msg_reader_done(&sh->main.in);
    log_sink_close(&sh->main.log);
}
