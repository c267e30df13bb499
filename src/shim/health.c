/*
 * The health check: a process in the box, as `exec` makes one, over a stream of the channel. One
 * at a time; the next begins its interval after the last has ended.
 */
#include "shim/shim.h"
#include "util/log.h"

#include <string.h>

#define REQUEST_MAX ((size_t)16 << 20)    /* as START may be: the environment is in it */
#define IN_MAX      (UINT32_C(256) << 10) /* MSG_STDOUT is smaller; the guest is not trusted */
/* The guest ends a check that takes too long; after this much more it has not. */
#define GUEST_WAIT (10 * NS_PER_S)

static void result_done(struct health_result *r)
{
    free(r->output);
    *r = (struct health_result){ 0 };
}

/* ---- the log ----------------------------------------------------------- */

/* Output may be any bytes. */
static json_t *text_json(const char *text)
{
    json_t *j = json_string(text);
    autostr clean = STR_INIT(0);

    if (j)
        return j;
    for (const char *p = text; *p; p++)
        (void)str_add(&clean, (unsigned char)*p < 0x80 ? p : "?", 1); /* shows as cut */
    return json_string(str_c(&clean));
}

static json_t *result_json(const struct health_result *r)
{
    char start[TIME_RFC3339_LEN], end[TIME_RFC3339_LEN];

    time_rfc3339(r->start_ns, start);
    time_rfc3339(r->end_ns, end);
    return json_pack("{s:s, s:s, s:i, s:o}", "Start", start, "End", end, "ExitCode", r->exit_code,
                     "Output", text_json(r->output ? r->output : ""));
}

char *health_log(const struct shim *sh)
{
    const struct health *h = &sh->health;
    json_t *log, *o;
    char *text;

    if (!h->status)
        return NULL;
    log = json_array();
    for (size_t i = 0; i < h->log_n; i++)
        (void)json_array_append_new(log, result_json(&h->log[i])); /* without memory: missing */
    o = json_pack("{s:s, s:I, s:o}", "Status", h->status, "FailingStreak", (json_int_t)h->streak,
                  "Log", log);
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return text;
}

static void save(struct shim *sh, bool changed)
{
    autofree char *log = health_log(sh);
    autoptr(db) db = NULL;
    struct err e;
    int r;

    if (!log)
        return;
    r = db_open(sh->home, &db, &e);
    if (r == 0)
        r = box_set_health(db, sh->box, sh->health.status, log, changed, &e);
    if (r < 0) /* inspect asks us; the record gets it with the next change */
        log_error("health: %s", e.text);
}

static void keep_result(struct health *h, const struct health_result *own_result)
{
    if (h->log_n == HEALTH_LOG_MAX) {
        result_done(&h->log[0]);
        memmove(&h->log[0], &h->log[1], (HEALTH_LOG_MAX - 1) * sizeof(h->log[0]));
        h->log_n--;
    }
    h->log[h->log_n++] = *own_result;
}

/* ---- what a result means ----------------------------------------------- */

/* Failures do not count, and the interval is the other one, until it was healthy once. */
static bool in_start_period(const struct shim *sh)
{
    return !strcmp(sh->health.status, HEALTH_STARTING) &&
           time_mono_ns() - sh->restart.running_ns < sh->box->spec.health_start_period_ns;
}

static void schedule(struct shim *sh)
{
    const struct box_spec *spec = &sh->box->spec;

    loop_timer(sh->loop, &sh->health.timer,
               in_start_period(sh) ? spec->health_start_interval_ns : spec->health_interval_ns);
}

static void set_status(struct shim *sh, const char *status)
{
    struct health *h = &sh->health;

    if (!strcmp(h->status, status))
        return;
    log_info("health: %s -> %s", h->status, status);
    h->status = status;
    save(sh, true);
}

static void judge(struct shim *sh, int exit_code)
{
    struct health *h = &sh->health;

    if (exit_code == 0) {
        h->streak = 0;
        set_status(sh, HEALTH_HEALTHY);
    } else if (!in_start_period(sh)) {
        h->streak++;
        if (h->streak >= sh->box->spec.health_retries)
            set_status(sh, HEALTH_UNHEALTHY);
    }
    if (strcmp(h->status, HEALTH_UNHEALTHY) != 0 || !restart_if_unhealthy(sh))
        return;
    log_warn("it is unhealthy, and its policy is %s: stopping it", sh->box->spec.restart_policy);
    shim_stop(sh, STOP_HEALTH, 0, UINT64_MAX);
}

/* ---- one check --------------------------------------------------------- */

static void forget(struct health *h)
{
    if (h->stream)
        stream_reset(h->stream, RESET_CANCELED);
    h->stream = NULL;
    h->busy = h->ended = h->late = false;
    h->sent = 0;
    str_done(&h->out);
    str_done(&h->output);
    msg_reader_done(&h->in);
}

/* `why`: of a check that did not come to its own end; NULL: its output tells. */
static void conclude(struct shim *sh, int exit_code, const char *why)
{
    struct health *h = &sh->health;
    struct health_result result = { .start_ns = h->start_ns,
                                    .end_ns = time_real_ns(),
                                    .exit_code = exit_code };

    if (why && h->output.len)
        result.output = str_format("%s: %s", why, str_c(&h->output));
    else
        result.output = why ? strdup(why) : str_take(&h->output);
    forget(h);
    keep_result(h, &result);
    if (sh->box->state != BOX_STOPPING)
        judge(sh, exit_code);
    schedule(sh);
}

static void conclude_late(struct shim *sh)
{
    uint64_t ms = sh->box->spec.health_timeout_ns / NS_PER_MS;
    char why[80];

    if (ms % 1000)
        (void)snprintf(why, sizeof(why), "Health check exceeded timeout (%llums)",
                       (unsigned long long)ms);
    else
        (void)snprintf(why, sizeof(why), "Health check exceeded timeout (%llus)",
                       (unsigned long long)ms / 1000);
    conclude(sh, -1, why);
}

static void add_output(struct health *h, const char *data, size_t len)
{
    size_t room = HEALTH_OUTPUT_MAX - h->output.len;

    for (size_t i = 0; i < len && i < room; i++) /* a text has no NUL; short output: no memory */
        (void)str_addc(&h->output, data[i] ? data[i] : '?');
}

static int on_check_exit(struct health *h, struct cur c, struct err *e)
{
    struct exit_info info = { 0 };
    int r = config_decode(exit_info, c, &info, e);

    if (r < 0)
        return r;
    h->ended = true;
    h->late = info.reason == EXIT_TIMEOUT;
    h->exit_code = (int)(info.status & 255);
    config_done(exit_info, &info);
    return 0;
}

static int on_check_error(struct health *h, struct cur c, struct err *e)
{
    struct error_info info = { 0 };
    int r = config_decode(error_info, c, &info, e);

    if (r < 0)
        return r;
    h->ended = true;
    h->exit_code = -1;
    if (info.text)
        add_output(h, info.text, strlen(info.text));
    config_done(error_info, &info);
    return 0;
}

static int on_message(void *user, const struct msg *m, struct err *e)
{
    struct health *h = user;
    struct cur c = cur_of(m->data, m->len);

    if (h->ended)
        return 0;
    switch (m->type) {
    case MSG_STDOUT:
    case MSG_STDERR:
        add_output(h, m->data, m->len);
        return 0;
    case MSG_EXIT:
        return on_check_exit(h, c, e);
    case MSG_ERROR:
        return on_check_error(h, c, e);
    default:
        return 0; /* STARTED, or of a newer guest */
    }
}

static void on_data(struct stream *s, const void *data, size_t len)
{
    struct shim *sh = stream_user(s);
    struct health *h = &sh->health;
    struct err e;

    if (msg_read(&h->in, data, len, on_message, h, &e) < 0)
        conclude(sh, -1, e.text);
    else if (h->ended && h->late)
        conclude_late(sh);
    else if (h->ended)
        conclude(sh, h->exit_code, NULL);
    else
        stream_consumed(s, len);
}

static void on_fin(struct stream *s UNUSED)
{
    /* after the last message; without one our patience ends */
}

static void pump(struct health *h)
{
    h->sent += stream_send(h->stream, str_c(&h->out) + h->sent, h->out.len - h->sent);
    if (h->sent == h->out.len) {
        str_done(&h->out);
        h->sent = 0;
    } else {
        (void)stream_room(h->stream); /* ask for writable() */
    }
}

static void on_writable(struct stream *s)
{
    struct shim *sh = stream_user(s);

    pump(&sh->health);
}

static void on_closed(struct stream *s, enum reset_reason why)
{
    struct shim *sh = stream_user(s);

    sh->health.stream = NULL;
    if (why == RESET_GONE) /* the box has ended, or will */
        forget(&sh->health);
    else
        conclude(sh, -1, "the guest ended the check");
}

/* CMD: the words behind it. CMD-SHELL: a shell and the line. */
static int put_words(const struct box_spec *spec, struct strv *argv, struct err *e)
{
    bool shell = !strcmp(spec->health_test.v[0], "CMD-SHELL"), ok = true;

    if (shell && !spec->health_shell.n)
        ok = strv_add(argv, "/bin/sh") && strv_add(argv, "-c");
    for (size_t i = 0; shell && ok && i < spec->health_shell.n; i++)
        ok = strv_add(argv, spec->health_shell.v[i]);
    for (size_t i = 1; ok && i < spec->health_test.n; i++)
        ok = strv_add(argv, spec->health_test.v[i]);
    return ok ? 0 : err_os_at(e, ENOMEM, "health check");
}

static int put_request(struct shim *sh, struct err *e)
{
    const struct box_spec *spec = &sh->box->spec;
    struct exec_request req = {
        .container = sh->box->id,
        .cwd = spec->cwd,
        .user = spec->user,
        .groups = spec->groups,
        .timeout_ns = spec->health_timeout_ns,
    };
    autostr body = STR_INIT(REQUEST_MAX);
    int r;

    r = put_words(spec, &req.argv, e);
    if (r == 0)
        r = box_env(sh->box, false, &req.env, e);
    if (r == 0)
        r = config_encode(exec_request, &req, &body, e);
    if (r == 0 && !msg_put(&sh->health.out, MSG_START, body.p, body.len))
        r = err_set(e, ERR_LIMIT, "the health check's environment is too long");
    strv_done(&req.argv);
    strv_done(&req.env);
    return r;
}

static void be_patient(struct shim *sh)
{
    loop_timer(sh->loop, &sh->health.timer, sh->box->spec.health_timeout_ns + GUEST_WAIT);
}

static void begin(struct shim *sh)
{
    static const struct stream_ops ops = {
        .data = on_data,
        .fin = on_fin,
        .writable = on_writable,
        .closed = on_closed,
    };
    struct health *h = &sh->health;
    struct err e;
    int r;

    h->busy = true;
    h->start_ns = time_real_ns();
    h->in.max = IN_MAX;
    r = put_request(sh, &e);
    if (r == 0)
        r = stream_open(sh->ch, PORT_EXEC, &ops, sh, &h->stream, &e);
    if (r < 0) {
        conclude(sh, -1, e.text);
        return;
    }
    be_patient(sh);
    pump(h);
}

/* Time for a check; or the one that runs has taken too long. While the machine is paused neither
 * counts: everything in it, the check and its timer too, stands still. */
static void on_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, health.timer);

    if (sh->phase != PHASE_RUN || !sh->ch || sh->ch_failed || sh->box->state == BOX_STOPPING)
        return;
    if ((sh->pausing.paused || sh->pausing.busy) && sh->health.busy)
        be_patient(sh);
    else if (sh->pausing.paused || sh->pausing.busy)
        schedule(sh);
    else if (sh->health.busy)
        conclude_late(sh);
    else
        begin(sh);
}

void health_start(struct shim *sh)
{
    struct health *h = &sh->health;

    if (!health_enabled(&sh->box->spec))
        return;
    *h = (struct health){ .status = HEALTH_STARTING, .timer.fired = on_timer };
    h->out = (struct str)STR_INIT(REQUEST_MAX + MSG_HEADER);
    schedule(sh);
}

void health_stop(struct shim *sh)
{
    if (!sh->health.status)
        return;
    loop_timer_cancel(sh->loop, &sh->health.timer);
    forget(&sh->health);
    if (!sh->box->spec.auto_remove)
        save(sh, false);
}

void health_done(struct shim *sh)
{
    struct health *h = &sh->health;

    if (!h->status)
        return;
    loop_timer_cancel(sh->loop, &h->timer);
    forget(h);
    while (h->log_n)
        result_done(&h->log[--h->log_n]);
}
