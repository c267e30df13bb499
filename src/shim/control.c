#include "shim/shim.h"
#include "util/log.h"

#include <string.h>

/* A guest that does not answer in this time is taken for hung. */
#define PROCS_WAIT (10 * NS_PER_S)
/* The largest answer is a list of processes: 60,000 of them with long command lines. */
#define IN_MAX (UINT32_C(16) << 20)
/* What the guest may write into shim.log: it is not trusted with our disk. */
#define LOG_LINES_MAX 1000

/* What was sent is kept until the workload's stream is open: the machine may be started again. */
static void pump(struct shim *sh)
{
    struct control *c = &sh->control;

    if (!c->stream)
        return;
    c->sent += stream_send(c->stream, str_c(&c->out) + c->sent, c->out.len - c->sent);
    if (c->sent < c->out.len) {
        (void)stream_room(c->stream); /* ask for writable() */
    } else if (sh->main.stream) {
        str_done(&c->out);
        c->sent = 0;
    }
}

void control_rewind(struct shim *sh)
{
    sh->control.sent = 0;
    msg_reader_done(&sh->control.in);
}

void control_put(struct shim *sh, enum msg_type type, const void *payload, size_t len)
{
    if (!msg_put(&sh->control.out, type, payload, len))
        log_error("guest does not take control messages");
    pump(sh);
}

void control_signal(struct shim *sh, int signal, bool all)
{
    struct container_signal s = { .container = sh->box->id,
                                  .signal = (uint64_t)signal,
                                  .all = all };
    autostr body = STR_INIT(0);
    struct err e;

    if (config_encode(container_signal, &s, &body, &e) < 0)
        log_error("signal: %s", e.text);
    else
        control_put(sh, MSG_CONTAINER_SIGNAL, body.p, body.len);
}

void control_clock(struct shim *sh)
{
    uint8_t now[8];

    put_u64be(now, (uint64_t)time_real_ns());
    control_put(sh, MSG_CLOCK, now, sizeof(now));
}

static void on_procs_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, control.procs_timer);
    struct err e;

    (void)err_set(&e, ERR_TIMEOUT, "Box %s: the guest does not answer", sh->box->name);
    clients_answer(sh, CTL_PROCS, NULL, &e);
}

void control_procs(struct shim *sh)
{
    struct container_ref ref = { .container = sh->box->id };
    autostr body = STR_INIT(0);
    struct err e;

    if (config_encode(container_ref, &ref, &body, &e) < 0) {
        clients_answer(sh, CTL_PROCS, NULL, &e);
        return;
    }
    sh->control.procs_timer.fired = on_procs_timer;
    loop_timer(sh->loop, &sh->control.procs_timer, PROCS_WAIT);
    control_put(sh, MSG_CONTAINER_PROCS, body.p, body.len);
}

/* ---- what the guest says ----------------------------------------------- */

static int on_proc_list(struct shim *sh, struct cur c, struct err *e)
{
    struct ctl_reply reply = { .ok = true };
    int r;

    r = config_decode(proc_list, c, &reply.procs, e);
    if (r < 0)
        return r;
    loop_timer_cancel(sh->loop, &sh->control.procs_timer);
    clients_answer(sh, CTL_PROCS, &reply, NULL);
    config_done(proc_list, &reply.procs);
    return 0;
}

static int on_failed(struct shim *sh, struct cur c, struct err *e)
{
    struct error_info info = { 0 };
    struct err why;
    int r;

    r = config_decode(error_info, c, &info, e);
    if (r < 0)
        return r;
    (void)error_info_err(&info, ERR_INTERNAL, "the guest did not say why", &why);
    if (sh->phase == PHASE_BOOT)
        shim_start_failed(sh, info.status ? (int)(info.status & 255) : 125, &why);
    else
        clients_answer(sh, CTL_PROCS, NULL, &why);
    config_done(error_info, &info);
    return 0;
}

/* The workload's own stream says the same when all of its output has come. Only when that stream
 * is gone does this count. */
static int on_exited(struct shim *sh, struct cur c, struct err *e)
{
    struct exit_info info = { 0 };
    int r;

    r = config_decode(exit_info, c, &info, e);
    if (r < 0)
        return r;
    if (!sh->main.stream)
        shim_ended(sh, (int)(info.status & 255), info.oom_killed, NULL);
    config_done(exit_info, &info);
    return 0;
}

static void on_log(struct shim *sh, const struct msg *m)
{
    char line[512];
    size_t len = m->len < sizeof(line) ? m->len : sizeof(line) - 1;

    if (sh->control.log_lines++ >= LOG_LINES_MAX)
        return;
    memcpy(line, m->data, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20)
            line[i] = '?';
    line[len] = '\0';
    log_line(LOG_LEVEL_WARN, "guest: %s", line);
}

static int on_message(void *user, const struct msg *m, struct err *e)
{
    struct shim *sh = user;
    struct cur c = cur_of(m->data, m->len);

    switch (m->type) {
    case MSG_CONTAINER_CREATED:
        if (sh->phase == PHASE_BOOT && !sh->main.stream)
            shim_container_created(sh);
        pump(sh); /* lets go of what was kept */
        return 0;
    case MSG_CONTAINER_FAILED:
        return on_failed(sh, c, e);
    case MSG_CONTAINER_EXITED:
        return on_exited(sh, c, e);
    case MSG_CONTAINER_PROC_LIST:
        return on_proc_list(sh, c, e);
    case MSG_CONTAINER_STATS_DATA:
        return stats_answer(sh, c, e);
    case MSG_CONTAINER_UPDATED:
        return update_answer(sh, c, e);
    case MSG_SHUTDOWN_DONE:
        shim_disks_clean(sh);
        return 0;
    case MSG_LOG:
        on_log(sh, m);
        return 0;
    default:
        return 0; /* of a newer guest */
    }
}

static void on_data(struct stream *s, const void *data, size_t len)
{
    struct shim *sh = stream_user(s);
    struct err e;

    if (msg_read(&sh->control.in, data, len, on_message, sh, &e) < 0) {
        (void)err_ctx(&e, "guest");
        shim_ended(sh, 255, false, &e);
    }
    if (sh->control.stream)
        stream_consumed(s, len);
}

static void on_fin(struct stream *s UNUSED)
{
}

static void on_writable(struct stream *s)
{
    pump(stream_user(s));
}

static void on_closed(struct stream *s, enum reset_reason why UNUSED)
{
    struct shim *sh = stream_user(s);

    sh->control.stream = NULL;
}

void control_open(struct shim *sh)
{
    static const struct stream_ops ops = {
        .data = on_data,
        .fin = on_fin,
        .writable = on_writable,
        .closed = on_closed,
    };
    autostr config = STR_INIT(0);
    struct err e;
    int r;

    sh->control.in.max = IN_MAX;
    r = stream_open(sh->ch, PORT_CONTROL, &ops, sh, &sh->control.stream, &e);
    if (r == 0)
        r = config_put_vm(&config, &e);
    if (r < 0) {
        shim_start_failed(sh, 125, &e);
        return;
    }
    /* Before what has been queued since the start; there is room for it in a new stream. */
    (void)stream_send(sh->control.stream, config.p, config.len);
    pump(sh);
}

void control_done(struct shim *sh)
{
    loop_timer_cancel(sh->loop, &sh->control.procs_timer);
    stats_done(sh);
    update_done(sh);
    str_done(&sh->control.out);
    msg_reader_done(&sh->control.in);
}
