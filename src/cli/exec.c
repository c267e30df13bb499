#include "cli/exec.h"

#include "box/ctl.h"
#include "box/event.h"
#include "cli/boxes.h"
#include "cli/flags_box.h"
#include "cli/session.h"
#include "cli/span.h"
#include "cli/terminal.h"
#include "db/counters.h"
#include "proto/msg.h"
#include "util/log.h"

static int check_state(const struct box *box, struct err *e)
{
    if (box->state == BOX_PAUSED)
        return err_set(e, ERR_STATE, "Box %s is paused, unpause the box before exec", box->id);
    if (box->state != BOX_RUNNING)
        return err_set(e, ERR_STATE, "Box %s is not running", box->id);
    return 0;
}

static int make_env(const struct box *box, const struct exec *x, struct strv *ret, struct err *e)
{
    int r;

    r = box_env(box, x->tty, ret, e);
    for (size_t i = 0; r == 0 && x->env && i < x->env->n; i++)
        if (!env_set(ret, x->env->v[i]))
            r = err_set(e, ERR_LIMIT, "environment: out of memory");
    return r;
}

static int encode(const struct box *box, const struct exec *x, struct exec_request *req,
                  struct str *out, struct err *e)
{
    autofree char *cwd = x->cwd ? path_join(box->spec.cwd ? box->spec.cwd : "/", x->cwd) : NULL;
    uint16_t cols = 0, rows = 0;
    int r;

    for (char *const *arg = x->argv; *arg; arg++)
        if (!strv_add(&req->argv, *arg))
            return err_set(e, ERR_LIMIT, "the command is too long");
    r = make_env(box, x, &req->env, e);
    if (r < 0)
        return r;
    if (x->tty && (terminal_size(0, &cols, &rows) || terminal_size(1, &cols, &rows))) {
        req->cols = cols;
        req->rows = rows;
    }
    req->cwd = x->cwd ? cwd : box->spec.cwd;
    return config_encode(exec_request, req, out, e);
}

static int start(const struct box *box, const struct exec *x, int fd, struct err *e)
{
    union { /* the table wants char *; nothing writes to it */
        const char *c;
        char *v;
    } id = { .c = box->id }, user = { .c = x->user };
    struct exec_request req = { .container = id.v,
                                .user = x->user ? user.v : box->spec.user,
                                .groups = box->spec.groups,
                                .tty = x->tty,
                                .stdin_open = x->in,
                                .timeout_ns = x->timeout_ns,
                                .privileged = x->privileged };
    autostr out = STR_INIT(0);
    int r;

    r = encode(box, x, &req, &out, e);
    if (r == 0)
        r = msg_send(fd, MSG_START, out.p, out.len, e);
    strv_done(&req.argv);
    strv_done(&req.env);
    return r;
}

static int conclude(struct cli *cli, const struct box *box, const struct session_result *result,
                    struct err *e)
{
    if (result->end == SESSION_LOST) { /* docker: the container has ended, and everything in it */
        cli->status = 137;
        return err_set(e, ERR_UNAVAILABLE, "Box %s has ended", box->name);
    }
    if (result->end == SESSION_EXITED && result->reason == EXIT_TIMEOUT)
        fputs("Process killed: timeout exceeded\n", cli->err);
    return session_conclude(cli, result, e);
}

/* ---- events ------------------------------------------------------------- */

struct told {
    struct cli *cli;
    const struct box *box;
    const char *command;
    char id[ID_LEN]; /* docker's execID */
};

static int tell_start_run(struct db *db, void *user, struct err *e)
{
    static const char *const actions[] = { "exec_create", "exec_start" };
    const struct told *told = user;
    const struct event_attr id = { "execID", told->id };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(actions); i++) {
        autofree char *action = str_format("%s: %s", actions[i], told->command);

        r = action ? box_event(db, told->box, action, &id, 1, e) : err_os(e, "event");
    }
    return r;
}

/* The guest has been asked already: this costs no time. */
static void tell_start(struct db *db, const struct exec *x, struct told *told)
{
    autostr command = STR_INIT(0);
    struct err e;
    int r;

    for (char *const *arg = x->argv; *arg && command.len < EVENT_ACTION_MAX; arg++)
        str_addf(&command, "%s%s", arg == x->argv ? "" : " ", *arg);
    told->command = str_c(&command);
    r = id_random(told->id, &e);
    if (r == 0)
        r = db_no_sync(db, &e);
    if (r == 0)
        r = db_transaction(db, tell_start_run, told, &e);
    if (r < 0)
        log_warn("event 'exec_start': %s", e.text);
    told->command = NULL;
}

static void tell_end(struct db *db, const struct told *told, int status)
{
    char code[16];
    const struct event_attr attrs[] = { { "execID", told->id }, { "exitCode", code } };
    struct err e;

    (void)snprintf(code, sizeof(code), "%d", status);
    if (box_event(db, told->box, "exec_die", attrs, ARRAY_LEN(attrs), &e) < 0)
        log_warn("event 'exec_die': %s", e.text);
}

/* The process runs. */
static void on_started(void *ctx)
{
    const struct told *told = ctx;

    cli_audit(told->cli, "exec_command", told->box->name, NULL);
}

/* ---- the whole ---------------------------------------------------------- */

/* Told of to those who watch; `r` is what the command ends with. */
static void count(struct cli *cli, const struct box *box, const struct exec *x,
                  struct cli_span *span, int r, const struct err *e)
{
    uint64_t took_ns = cli_span_end(span, "exec_command", r, e);

    counter_add(cli->home, COUNTER_EXEC);
    if (r != 0)
        counter_add(cli->home, COUNTER_EXEC_ERRORS);
    if (!x->detach)
        histogram_add(cli->home, HISTOGRAM_EXEC, took_ns);
    trace_text(&span->trace, span->span, "box_id", box->id);
    trace_text(&span->trace, span->span, "box_name", box->name);
    if (r >= 0 && !x->detach)
        trace_number(&span->trace, span->span, "exit_code", r);
    cli_span_send(cli, span);
}

static int run(struct cli *cli, struct db *own_db, const struct box *box, const struct exec *x,
               struct err *e)
{
    autoptr(db) db = own_db;
    struct told told = { .cli = cli, .box = box };
    struct session s = { .tty = x->tty,
                         .in = x->in,
                         .out = true,
                         .err = true,
                         .sig_proxy = true,
                         .exec = true,
                         .until_started = x->detach,
                         .started = on_started,
                         .ctx = &told,
                         .started_fd = -1 };
    struct session_result result = { 0 };
    autofd int fd = -1;
    int r;

    r = check_state(box, e);
    if (r == 0)
        r = detach_keys_parse(x->detach_keys, &s.keys, e);
    if (r < 0)
        return r;
    fd = ctl_connect(cli->home, box, x->tty ? BOX_PTY_SOCK : BOX_EXEC_SOCK, e);
    if (fd < 0)
        return fd;
    s.fd = fd;
    r = start(box, x, fd, e);
    if (r == 0)
        tell_start(db, x, &told);
    if (r == 0)
        r = session_run(&s, &result, e);
    if (r == 0 && result.end == SESSION_EXITED)
        tell_end(db, &told, result.status);
    return r < 0 ? err_ctx(e, "box %s", box->name) : conclude(cli, box, &result, e);
}

int cli_exec(struct cli *cli, struct db *own_db, const struct box *box, const struct exec *x,
             struct err *e)
{
    struct cli_span span;
    int r;

    cli_span_begin(&span);
    r = run(cli, own_db, box, x, e);
    count(cli, box, x, &span, r, e);
    return r;
}
