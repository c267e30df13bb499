#include "box/lifecycle.h"

#include "box/record.h"
#include "proto/msg.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/spawn.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#define STATUS_START 125 /* docker: the runtime failed, not the command */
#define FOREVER_NS   (UINT64_C(100) * 365 * 86400 * NS_PER_S) /* far from overflowing a clock */
#define REPORT_FD    3
#define ATTACH_FD    4

static int spawn_shim(const char *home, const struct box *box, const struct box_start *how,
                      int report, pid_t *ret_pid, struct err *e)
{
    const char *argv[12] = {
        how->shim_path, "--home", home, "--box", box->id, "--report-fd", "3"
    };
    size_t n = 7;
    autofd int dir = box_open_dir(home, box, e), log = -1;
    struct spawn_fd fds[3] = { { report, REPORT_FD }, { how->attach_fd, ATTACH_FD } };
    struct spawn s = { .argv = argv, .fds = fds, .cwd = "/", .new_session = true };

    if (dir < 0)
        return dir;
    log = openat(dir, BOX_SHIM_LOG, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (log < 0)
        return err_os(e, "open %s", BOX_SHIM_LOG);
    if (how->attach_fd >= 0) {
        argv[n++] = "--attach-fd";
        argv[n++] = "4";
    }
    if (how->attach_fd >= 0 && how->attach_stdin)
        argv[n++] = "--attach-stdin";
    if (how->restart)
        argv[n++] = "--count-restart";
    s.fds_n = how->attach_fd < 0 ? 1 : 2;
    fds[s.fds_n++] = (struct spawn_fd){ log, 2 };
    return spawn_start(&s, ret_pid, NULL, e);
}

int box_start_begin(struct db *db, const char *home, const struct box *box,
                    const struct box_start *how, struct box_starting *ret, struct err *e)
{
    autofd int report = -1, theirs = -1;
    pid_t pid = -1;
    int fds[2], r;

    if (!box_state_may(box->state, BOX_STARTING))
        return err_set(e, ERR_STATE, "Box %s is %s", box->name,
                       box_state_is_live(box->state) ? "already running" : "being removed");
    r = box_need_rootfs(db, home, box, e);
    if (r < 0)
        return err_ctx(e, "start box %s", box->name);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    report = fds[0];
    theirs = fds[1];
    r = spawn_shim(home, box, how, theirs, &pid, e);
    if (r < 0)
        return err_ctx(e, "start box %s", box->name);
    *ret = (struct box_starting){ .pid = pid, .report_fd = take_fd(&report) };
    return 0;
}

/* The shim's last words, for want of a report. */
static int shim_died(const char *home, const struct box *box, pid_t pid, struct err *e)
{
    autofd int dir = box_open_dir(home, box, e);
    autostr log = STR_INIT(64 << 10);
    char *line = NULL;
    int status = 0;
    struct err ignored;

    if (spawn_wait(pid, &status, &ignored) < 0)
        status = -1; /* SIGCHLD is ignored by our caller: not known */
    if (dir >= 0 && fs_read_file(dir, BOX_SHIM_LOG, &log, &ignored) == 0 && log.len) {
        if (log.p[log.len - 1] == '\n')
            log.p[log.len - 1] = '\0';
        line = strrchr(log.p, '\n');
        line = line ? line + 1 : log.p;
    }
    return err_set(e, ERR_UNAVAILABLE, "its shim ended with status %d%s%.200s", status,
                   line ? ": " : "", line ? line : "");
}

static int take_error(const struct msg *m, int *ret_status, struct err *e)
{
    struct error_info info = { 0 };
    int r;

    r = config_decode(error_info, cur_of(m->data, m->len), &info, e);
    if (r < 0)
        return r;
    *ret_status = info.status ? (int)info.status : STATUS_START;
    r = error_info_err(&info, ERR_SYSTEM, "the box did not start", e);
    config_done(error_info, &info);
    return r;
}

static int read_report(const char *home, const struct box *box, struct box_starting *starting,
                       int *ret_status, struct err *e)
{
    autofd int fd = take_fd(&starting->report_fd);
    autostr buf = STR_INIT(0);
    struct msg m;
    int r;

    *ret_status = STATUS_START;
    r = msg_recv(fd, &buf, &m, e);
    if (r < 0)
        return r;
    if (r == 0)
        return shim_died(home, box, starting->pid, e);
    if (m.type == MSG_STARTED)
        return 0;
    if (m.type == MSG_ERROR)
        return take_error(&m, ret_status, e);
    return err_set(e, ERR_CORRUPT, "unexpected report of type %u", m.type);
}

int box_start_end(struct db *db, const char *home, struct box *box, struct box_starting *starting,
                  int *ret_status, struct err *e)
{
    struct err ignored;
    int status, r;

    r = read_report(home, box, starting, &status, e);
    if (r < 0)
        *ret_status = status;
    /* Gone already (--rm), or a shim that died: the record is corrected now, not found later. */
    if (box_reload(db, box, &ignored) == 0 && box_reconcile(db, home, box, &ignored) < 0)
        err_clear(&ignored);
    return r;
}

int box_start(struct db *db, const char *home, struct box *box, const struct box_start *how,
              int *ret_status, struct err *e)
{
    struct box_starting starting = { .report_fd = -1 };
    int r;

    *ret_status = STATUS_START;
    r = box_start_begin(db, home, box, how, &starting, e);
    return r < 0 ? r : box_start_end(db, home, box, &starting, ret_status, e);
}

/* A shim that ends resets the connections it has not taken yet. */
static bool hung_up(const struct err *e)
{
    return e->os == ECONNRESET || e->os == EPIPE;
}

/* One request. Returns 1, or 0 when the box turned out not to run: *box then says how it ended,
 * or is as it was when it has been removed. */
static int ask(struct db *db, const char *home, struct box *box, const struct ctl_request *req,
               struct tick *tick, struct ctl_reply *ret, struct err *e)
{
    struct err ignored;
    int r;

    r = ctl_call_tick(home, box, req, tick, ret, e);
    if (r == 0)
        return 1;
    if (r != -ERR_STATE && r != -ERR_UNAVAILABLE && r != -ERR_NOT_FOUND && !hung_up(e))
        return r;
    if (box_reload(db, box, &ignored) < 0)
        return ignored.kind == ERR_NOT_FOUND ? 0 : r;
    if (box_reconcile(db, home, box, &ignored) == 0)
        return 0;
    return box_state_is_live(box->state) ? r : 0;
}

/* After the shim has answered; a box that was --rm is gone, and stays as it was. */
static int look_again(struct db *db, struct box *box, struct err *e)
{
    int r = box_reload(db, box, e);

    return r == -ERR_NOT_FOUND ? 0 : r;
}

/* It does not run, and `monitor` shall not change that. Returns 1 when it has been started just
 * now, and *box says so. */
static int stay_stopped(struct db *db, struct box *box, struct err *e)
{
    int r;

    if (!box->spec.restart_policy || box->stopped_by_user)
        return 0;
    r = db_exec(db, e,
                "UPDATE boxes SET stopped_by_user = 1 WHERE id = ?1"
                " AND state IN ('dead', 'stopped')",
                "s", box->id);
    if (r >= 0)
        r = look_again(db, box, e);
    return r < 0 ? r : box_state_is_live(box->state);
}

int box_stop(struct db *db, const char *home, struct box *box, int signal, uint64_t timeout_ns,
             struct err *e)
{
    struct ctl_request req = { .op = CTL_STOP, .signal = (uint64_t)signal };
    struct ctl_reply reply = { 0 };
    int r = 0;

    if (!box_state_is_live(box->state))
        r = stay_stopped(db, box, e);
    if (r < 0 || !box_state_is_live(box->state))
        return r;
    req.timeout_ns = timeout_ns == UINT64_MAX ? box->spec.stop_timeout_s * NS_PER_S : timeout_ns;
    if (req.timeout_ns > FOREVER_NS)
        req.timeout_ns = FOREVER_NS;
    r = ask(db, home, box, &req, NULL, &reply, e);
    if (r == 0) /* its shim is gone, or has just ended by itself */
        r = stay_stopped(db, box, e);
    else if (r > 0)
        r = look_again(db, box, e);
    config_done(ctl_reply, &reply);
    if (r > 0) /* somebody has started it: that run is stopped, too */
        return box_stop(db, home, box, signal, timeout_ns, e);
    return r;
}

static int simple(struct db *db, const char *home, struct box *box, const struct ctl_request *req,
                  struct err *e)
{
    struct ctl_reply reply = { 0 };
    int r;

    r = ask(db, home, box, req, NULL, &reply, e);
    if (r == 0)
        return err_set(e, ERR_STATE, "Box %s is not running", box->name);
    if (r < 0)
        return r;
    config_done(ctl_reply, &reply);
    return look_again(db, box, e);
}

int box_kill(struct db *db, const char *home, struct box *box, int signal, struct err *e)
{
    struct ctl_request req = { .op = CTL_SIGNAL, .signal = (uint64_t)signal };
    int r;

    r = box_state_is_live(box->state) ? simple(db, home, box, &req, e)
                                      : err_set(e, ERR_STATE, "Box %s is not running", box->id);
    return r < 0 ? err_ctx(e, "Cannot kill box: %s", box->name) : 0;
}

int box_pause(struct db *db, const char *home, struct box *box, struct err *e)
{
    if (box->state == BOX_PAUSED)
        return err_set(e, ERR_STATE, "Box %s is already paused", box->name);
    if (box->state != BOX_RUNNING)
        return err_set(e, ERR_STATE, "Box %s is not running", box->name);
    return simple(db, home, box, &(struct ctl_request){ .op = CTL_PAUSE }, e);
}

int box_unpause(struct db *db, const char *home, struct box *box, struct err *e)
{
    if (box->state != BOX_PAUSED)
        return err_set(e, ERR_STATE, "Box %s is not paused", box->name);
    return simple(db, home, box, &(struct ctl_request){ .op = CTL_RESUME }, e);
}

int box_wait(struct db *db, const char *home, struct box *box, struct tick *tick,
             int *ret_exit_code, struct err *e)
{
    struct ctl_reply reply = { 0 };
    int r = 0;

    if (box_state_is_live(box->state))
        r = ask(db, home, box, &(struct ctl_request){ .op = CTL_WAIT }, tick, &reply, e);
    if (r < 0)
        return r;
    if (r == 0) {
        *ret_exit_code = box->exit_code;
        return 0;
    }
    *ret_exit_code = (int)reply.exit.status;
    config_done(ctl_reply, &reply);
    return look_again(db, box, e);
}

int box_restart_now(const char *home, const struct box *box, struct err *e)
{
    struct ctl_reply reply = { 0 };
    int r;

    r = ctl_call(home, box, &(struct ctl_request){ .op = CTL_RESTART }, &reply, e);
    if (r == 0)
        config_done(ctl_reply, &reply);
    return r == -(int)ERR_STATE ? 0 : r;
}

int box_procs(const char *home, struct box *box, struct proc_list *ret, struct err *e)
{
    struct ctl_reply reply = { 0 };
    int r;

    if (!box_state_is_live(box->state))
        return err_set(e, ERR_STATE, "Box %s is not running", box->id);
    r = ctl_call(home, box, &(struct ctl_request){ .op = CTL_PROCS }, &reply, e);
    if (r < 0)
        return r;
    *ret = reply.procs;
    reply.procs = (struct proc_list){ 0 };
    config_done(ctl_reply, &reply);
    return 0;
}
