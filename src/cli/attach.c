#include "cli/attach.h"

#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "proto/msg.h"

#include <sys/socket.h>

static int session_for(const struct cli *cli, const struct box *box, const struct attach *how,
                       int fd, struct session *ret, struct err *e)
{
    struct session s = { .fd = fd,
                         .box = box,
                         .home = cli->home,
                         .tty = box->spec.tty,
                         .in = how->in,
                         .out = how->out,
                         .err = how->err,
                         .sig_proxy = how->sig_proxy };
    int r = detach_keys_parse(how->detach_keys, &s.keys, e);

    if (r == 0)
        *ret = s;
    return r;
}

/* The other side hung up: what does the record say? */
static int lost(struct cli *cli, struct db *db, const struct box *box, struct err *e)
{
    autoptr(box) now = NULL;
    int r;

    r = box_find(db, cli->home, box->id, &now, e);
    if (r == -ERR_NOT_FOUND)
        return err_set(e, ERR_UNAVAILABLE, "box %s: its shim ended unexpectedly", box->name);
    if (r < 0)
        return r;
    if (now->state == BOX_STOPPED)
        return now->exit_code;
    return err_set(e, ERR_UNAVAILABLE, "box %s: %s", box->name,
                   *now->error ? now->error : "connection lost");
}

static int conclude(struct cli *cli, struct db *db, const struct box *box,
                    const struct session_result *result, struct err *e)
{
    return result->end == SESSION_LOST ? lost(cli, db, box, e) : session_conclude(cli, result, e);
}

/* The start's outcome, taken when it is known: the session may go on for weeks. */
struct outcome {
    struct cli *cli;
    struct db *db;
    struct box *box;
    struct box_starting starting;
    bool known;
    int r, status;
    struct err err;
};

static void take_outcome(void *ctx)
{
    struct outcome *o = ctx;

    if (o->known)
        return;
    o->known = true;
    o->r = box_start_end(o->db, o->cli->home, o->box, &o->starting, &o->status, &o->err);
    cli_audit(o->cli, "box_start", o->box->name, o->r < 0 ? &o->err : NULL);
}

int cli_start_attached(struct cli *cli, struct db *db, struct box *box, const struct attach *how,
                       struct err *e)
{
    autofree char *shim = cli_helper_path(cli, "a3s-box-shim");
    struct box_start start = { .shim_path = shim, .attach_stdin = how->in };
    struct outcome o = { .cli = cli, .db = db, .box = box, .starting = { .report_fd = -1 } };
    struct session_result result = { 0 };
    autofd int ours = -1, theirs = -1;
    struct session s = { 0 };
    int fds[2], r;

    cli->status = 125;
    if (!shim || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return err_os(e, "start box %s", box->name);
    ours = fds[0];
    start.attach_fd = theirs = fds[1];
    r = session_for(cli, box, how, ours, &s, e);
    if (r == 0)
        r = box_start_begin(db, cli->home, box, &start, &o.starting, e);
    if (r < 0) {
        cli_audit(cli, "box_start", box->name, e);
        return r;
    }
    close_fd(&theirs); /* only the shim holds it: its end is the session's */
    s.started = take_outcome;
    s.ctx = &o;
    s.started_fd = o.starting.report_fd;
    r = session_run(&s, &result, e);
    if (r < 0) {
        close_fd(&o.starting.report_fd);
        return r;
    }
    take_outcome(&o);
    if (o.r < 0) {
        cli->status = o.status;
        *e = o.err;
        return o.r;
    }
    return conclude(cli, db, box, &result, e);
}

static int request_attach(int fd, const struct attach *how, struct err *e)
{
    struct ctl_request req = { .op = CTL_ATTACH,
                               .attach_stdin = how->in,
                               .attach_output = how->out || how->err };
    struct ctl_reply reply = { 0 };
    autostr buf = STR_INIT(0);
    struct msg m;
    int r;

    r = config_encode(ctl_request, &req, &buf, e);
    if (r == 0)
        r = msg_send(fd, MSG_CTL_REQUEST, buf.p, buf.len, e);
    if (r == 0)
        r = msg_recv(fd, &buf, &m, e);
    if (r < 0)
        return r;
    if (r == 0 || m.type != MSG_CTL_REPLY)
        return err_set(e, ERR_UNAVAILABLE, "its shim gave no answer");
    r = config_decode(ctl_reply, cur_of(m.data, m.len), &reply, e);
    if (r == 0 && !reply.ok)
        r = err_set(e, ERR_STATE, "%s", reply.error.text ? reply.error.text : "refused");
    config_done(ctl_reply, &reply);
    return r;
}

int cli_attach(struct cli *cli, struct db *db, struct box *box, const struct attach *how,
               struct err *e)
{
    struct session_result result = { 0 };
    struct session s = { 0 };
    autofd int fd = -1;
    int r;

    fd = ctl_connect(cli->home, box, BOX_CTL_SOCK, e);
    if (fd < 0)
        return fd;
    r = session_for(cli, box, how, fd, &s, e);
    if (r == 0)
        r = request_attach(fd, how, e);
    cli_audit(cli, "exec_attach", box->name, r < 0 ? e : NULL);
    if (r == 0)
        r = session_run(&s, &result, e);
    return r < 0 ? err_ctx(e, "attach to box %s", box->name) : conclude(cli, db, box, &result, e);
}
