#include "shim/lean.h"
#include "shim/shim.h"
#include "util/fd.h"
#include "util/log.h"

#include <signal.h>
#include <string.h>

/* For a guest to write its disks back and unmount them. Longer than a slow disk needs for the
 * page cache of a small machine. */
#define DOWN_WAIT (10 * NS_PER_S)
/* How often, a second apart, the end is written when the disk is full or state.db busy. Until it
 * is written nobody is told; after that it is lost, and whoever looks next finds us gone. */
#define RECORD_TRIES 15
/* The channel ended but the VMM did not: it is stuck, or the guest crashes slowly. */
#define CHANNEL_WAIT (2 * NS_PER_S)

int shim_record(struct shim *sh, const struct box_change *change, struct err *e)
{
    autoptr(db) db = NULL;
    enum box_state from = sh->box->state;
    int r;

    /* Opened for each change: a box sees about four, and an open database costs memory. */
    r = db_open(sh->home, &db, e);
    if (r == 0)
        r = box_set_state(db, sh->box, change, e);
    if (r == 0)
        log_info("%s -> %s", box_state_name(from), box_state_name(change->to));
    return r;
}

void shim_report(struct shim *sh, int status, const struct err *err)
{
    autofd int fd = take_fd(&sh->report_fd);
    struct error_info info = { .status = (uint64_t)status };
    autostr body = STR_INIT(0);
    struct err e;

    if (fd < 0)
        return;
    if (err) {
        info.kind = (uint64_t)err->kind;
        info.text = (char *)(uintptr_t)err->text;
        if (config_encode(error_info, &info, &body, &e) < 0)
            return;
    }
    /* EPIPE: who started us has gone, and the record says the same. */
    (void)(msg_send(fd, err ? MSG_ERROR : MSG_STARTED, body.p, body.len, &e) < 0);
}

/* ---- the workload runs ------------------------------------------------- */

static void send_pending_signals(struct shim *sh)
{
    uint64_t pending = sh->pending_signals;

    sh->pending_signals = 0;
    for (int signal = 1; pending; signal++, pending >>= 1)
        if (pending & 1)
            control_signal(sh, signal, false);
}

void shim_container_created(struct shim *sh)
{
    struct err e;

    trace_stage(sh, STAGE_CONTAINER);
    loop_timer_cancel(sh->loop, &sh->stall_timer);
    if (relays_start(&sh->relays, sh->ch, &e) < 0)
        shim_start_failed(sh, 125, &e);
    else
        workload_open(sh);
}

void shim_started(struct shim *sh)
{
    struct box_change change = { .to = BOX_RUNNING, .stopped_by_user = -1 };
    struct err e;

    if (sh->phase != PHASE_BOOT)
        return;
    loop_timer_cancel(sh->loop, &sh->boot_timer);
    change.vm_pid = sh->engine->pid(sh->vm);
    if (shim_record(sh, &change, &e) < 0) {
        shim_start_failed(sh, 125, &e);
        return;
    }
    sh->phase = PHASE_RUN;
    shim_report(sh, 0, NULL);
    send_pending_signals(sh);
    if (sh->box->spec.timeout_ns)
        loop_timer(sh->loop, &sh->run_timer, sh->box->spec.timeout_ns);
    sh->restart.running_ns = time_mono_ns();
    health_start(sh);
    trace_started(sh);
    lean_after_start();
}

static void on_run_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, run_timer);

    sh->timed_out = true;
    shim_stop(sh, STOP_USER, SIGKILL, 0);
}

/* ---- its end is known -------------------------------------------------- */

static void go_down(struct shim *sh)
{
    stop_cancel(sh);
    health_stop(sh);
    loop_timer_cancel(sh->loop, &sh->boot_timer);
    loop_timer_cancel(sh->loop, &sh->stall_timer);
    loop_timer_cancel(sh->loop, &sh->run_timer);
    log_sink_end(&sh->main.log);
    if (!sh->vm)
        return;
    /* Nobody will look at the disks again, or there is nobody to write them back. */
    if (sh->box->spec.auto_remove || sh->outcome.start_failed || !sh->control.stream ||
        sh->pausing.paused) {
        vm_kill(sh->vm);
        return;
    }
    control_put(sh, MSG_SHUTDOWN, NULL, 0);
    loop_timer(sh->loop, &sh->down_timer, DOWN_WAIT);
}

static void set_outcome(struct shim *sh, int status, const struct err *err)
{
    sh->outcome.known = true;
    sh->outcome.status = status;
    sh->outcome.finished_ns = time_real_ns();
    trace_stage(sh, STAGE_ENDED);
    if (err)
        sh->outcome.err = *err;
    sh->phase = PHASE_ENDING;
}

void shim_ended(struct shim *sh, int status, bool oom_killed, const struct err *err)
{
    struct err timed_out;

    if (sh->phase == PHASE_BOOT) {
        if (err) {
            shim_start_failed(sh, 125, err);
            return;
        }
        shim_started(sh); /* its STARTED got lost */
    }
    if (sh->outcome.known)
        return;
    if (!err && sh->timed_out) {
        (void)err_set(&timed_out, ERR_TIMEOUT, "It ran longer than its --timeout");
        err = &timed_out;
    }
    sh->outcome.oom_killed = oom_killed;
    set_outcome(sh, status, err);
    go_down(sh);
}

void shim_start_failed(struct shim *sh, int status, const struct err *err)
{
    if (sh->outcome.known)
        return;
    if (sh->phase != PHASE_BOOT) {
        shim_ended(sh, status, false, err);
        return;
    }
    sh->outcome.start_failed = true;
    set_outcome(sh, status, err);
    go_down(sh);
}

/* ---- the machine ------------------------------------------------------- */

static void on_down_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, down_timer);

    if (!sh->vm)
        return;
    log_warn("the guest does not go down: virtual machine killed");
    vm_kill(sh->vm);
}

static void on_boot_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, boot_timer);
    struct vm_stats stats = { 0 };
    char tail[360] = "";
    struct err e;

    if (sh->vm) {
        sh->engine->console_tail(sh->vm, tail, sizeof(tail));
        if (sh->engine->stats(sh->vm, &stats, &e) == 0)
            log_warn("%s HELLO; the machine has used %llu ms of CPU time",
                     sh->control.stream ? "after" : "before",
                     (unsigned long long)(stats.cpu_ns / NS_PER_MS));
    }
    (void)err_set(&e, ERR_TIMEOUT, "VM boot failed: the guest did not answer in time%s; %s%s",
                  sh->main.stream      ? " (its container is there)"
                  : sh->control.stream ? " (it is up, but has no container)"
                                       : "",
                  *tail ? "the end of its console: " : "its console is empty", tail);
    shim_start_failed(sh, 125, &e);
}

static void on_record_timer(struct timer *t UNUSED)
{
    /* shim_turn() goes on with finish() */
}

void shim_timers_init(struct shim *sh)
{
    sh->boot_timer.fired = on_boot_timer;
    sh->down_timer.fired = on_down_timer;
    sh->run_timer.fired = on_run_timer;
    sh->record_timer.fired = on_record_timer;
}

void shim_disks_clean(struct shim *sh)
{
    if (sh->phase == PHASE_ENDING && sh->vm)
        vm_kill(sh->vm); /* faster than to wait for the guest's reset */
}

void shim_vm_exited(struct vm_listener *l, const struct vm_exit *exit)
{
    struct shim *sh = CONTAINER_OF(l, struct shim, listener);
    struct vm *vm = take_ptr(sh->vm);

    sh->vm_exit = *exit;
    trace_stage(sh, STAGE_VM_GONE);
    loop_timer_cancel(sh->loop, &sh->down_timer);
    log_info("virtual machine: %s: %s", vm_end_name(exit->end), exit->text);
    vm_free(vm);
    update_abandon(sh);
    /* What the guest sent last may still be in the channel: shim_turn() goes on at its end. */
}

void shim_channel_failed(struct channel *ch, const struct err *why)
{
    struct shim *sh = channel_user(ch);

    sh->ch_failed = true;
    if (why->kind == ERR_CORRUPT)
        shim_ended(sh, 255, false, why);
    else if (sh->vm && sh->phase != PHASE_ENDING)
        loop_timer(sh->loop, &sh->down_timer, CHANNEL_WAIT);
}

/* The machine has ended, and nobody had asked it to. */
static void vm_lost(struct shim *sh)
{
    const struct vm_exit *x = &sh->vm_exit;
    bool boot = sh->phase == PHASE_BOOT;
    struct err e;

    (void)err_set(&e, ERR_UNAVAILABLE, "%s: %s%s%s",
                  boot ? "VM boot failed" : "The virtual machine ended", vm_end_name(x->end),
                  *x->text ? ": " : "", x->text);
    log_error("%s", e.text);
    /* As if everything in it had got SIGKILL. */
    shim_ended(sh, boot ? 125 : 128 + SIGKILL, false, &e);
}

/* ---- the record is final ----------------------------------------------- */

static void remove_sockets(const struct shim *sh, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)unlinkat(sh->dir_fd, names[i], 0); /* not there when the start failed early */
}

static const char *reason(struct shim *sh, char *text, size_t size)
{
    int os;

    if (sh->outcome.err.kind)
        return sh->outcome.err.text;
    if (!log_sink_lost(&sh->main.log, &os))
        return NULL;
    (void)snprintf(text, size, "Log entries were lost: %s", strerror(os));
    return text;
}

static enum box_state state_after(const struct shim *sh)
{
    if (restart_due(sh))
        return BOX_RESTARTING;
    return sh->box->state == BOX_STARTING && sh->outcome.start_failed && !sh->box->started_ns
               ? BOX_CREATED
               : BOX_STOPPED;
}

static int record_state(struct shim *sh, struct db *db, struct err *e)
{
    const struct outcome *o = &sh->outcome;
    char text[128];
    struct box_change change = {
        .to = state_after(sh),
        /* a restart that was waited for and will not be: the record knows how the run ended */
        .set_exit = sh->box->state != BOX_RESTARTING || !sh->restart.off,
        .exit_code = o->status,
        .oom_killed = o->oom_killed,
        .error = reason(sh, text, sizeof(text)),
        .stopped_by_user = sh->restart.by_user ? 1 : -1,
        .stop_done = sh->stopping.asked,
    };

    change.restart = change.to == BOX_RESTARTING;
    return box_set_state(db, sh->box, &change, e);
}

static int record_end(struct shim *sh, struct err *e)
{
    autoptr(db) db = NULL;
    int r;

    r = db_open(sh->home, &db, e);
    if (r == 0)
        r = box_reload(db, sh->box, e);              /* its policy may have been changed */
    if (r == 0 && box_state_is_live(sh->box->state)) /* else an earlier try came this far */
        r = record_state(sh, db, e);
    if (r == 0 && sh->box->spec.auto_remove)
        r = box_remove(db, sh->home, sh->box, e);
    return r;
}

/* The first part, once. ctl.sock stays: who waits for the end finds us there. */
static void wind_up(struct shim *sh)
{
    static const char *const names[] = { BOX_EXEC_SOCK, BOX_PTY_SOCK, BOX_VSOCK_SOCK,
                                         BOX_FILES_SOCK };
    struct err e;

    if (log_sink_flush(&sh->main.log, &e) < 0)
        log_error("%s", e.text);
    log_sink_rest(&sh->main.log);
    relays_stop(&sh->relays);
    remove_sockets(sh, names, ARRAY_LEN(names));
}

/* The last part: the record is final. The box may be started again at once; whoever does so waits
 * for our lock before it makes a socket. */
static void let_go(struct shim *sh)
{
    static const char *const names[] = { BOX_CTL_SOCK };

    shim_report(sh, sh->outcome.status, &sh->outcome.err);
    remove_sockets(sh, names, ARRAY_LEN(names));
    clients_end(sh);
    close_fd(&sh->dir_fd);
    sh->phase = PHASE_DONE;
}

/* A full disk or a busy database; not a record that somebody else has changed. */
static bool may_pass(const struct err *e)
{
    return e->kind == ERR_LIMIT || e->kind == ERR_TIMEOUT || e->kind == ERR_SYSTEM;
}

static void finish(struct shim *sh)
{
    struct err e;

    if (sh->record_tries == 0)
        wind_up(sh);
    if (record_end(sh, &e) < 0) {
        log_error("record: %s", e.text);
        if (may_pass(&e) && ++sh->record_tries < RECORD_TRIES) {
            loop_timer(sh->loop, &sh->record_timer, NS_PER_S);
            return;
        }
    }
    trace_stage(sh, STAGE_RECORDED);
    if (sh->box->state == BOX_RESTARTING) {
        shim_report(sh, sh->outcome.status, &sh->outcome.err);
        restart_wait(sh);
    } else {
        let_go(sh);
    }
}

void shim_turn(struct shim *sh)
{
    workload_turn(sh);
    if (sh->ch_failed) {
        relays_stop(&sh->relays);
        channel_free(take_ptr(sh->ch));
        sh->ch_failed = false;
    }
    if (!sh->vm && !sh->ch && (sh->phase == PHASE_BOOT || sh->phase == PHASE_RUN))
        vm_lost(sh);
    if (!sh->vm && !sh->ch && sh->phase == PHASE_ENDING && !sh->record_timer.armed &&
        log_sink_idle(&sh->main.log))
        finish(sh);
    relays_turn(&sh->relays);
    clients_turn(sh);
    restart_turn(sh);
    sh->quit = sh->restart.exec ||
               (sh->phase == PHASE_DONE && clients_idle(sh) && relays_idle(&sh->relays));
    if (sh->quit)
        trace_ended(sh);
}
