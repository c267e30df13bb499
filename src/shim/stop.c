#include "box/event.h"
#include "shim/shim.h"
#include "util/log.h"

#include <signal.h>

/* From KILL to the end of the workload; a guest that does not manage is hung, or its output has
 * no reader, and the machine is killed. */
#define FORCE_WAIT (5 * NS_PER_S)

static void end_for_good(struct shim *sh, enum stop_by by)
{
    sh->restart.off |= by != STOP_HEALTH;
    sh->restart.by_user |= by == STOP_USER;
}

/* For `events`, of a signal that changes no record; the signal is on its way already. */
static void tell_signal(struct shim *sh, int signal)
{
    char number[16];
    const struct event_attr attr = { "signal", number };
    struct err e;

    (void)snprintf(number, sizeof(number), "%d", signal);
    if (box_event_now(sh->home, sh->box, "kill", &attr, 1, &e) < 0)
        log_warn("event: %s", e.text);
}

static void mark_stopping(struct shim *sh, int signal)
{
    struct box_change change = { .to = BOX_STOPPING,
                                 .stopped_by_user = sh->restart.by_user ? 1 : -1,
                                 .signal = signal };
    struct err e;

    if (!sh->tracing.at[STAGE_STOP])
        trace_stage(sh, STAGE_STOP);
    if (sh->box->state == BOX_STOPPING) {
        tell_signal(sh, signal);
        return;
    }
    if (shim_record(sh, &change, &e) < 0)
        log_error("record: %s", e.text); /* the workload is stopped all the same */
}

static void abort_boot(struct shim *sh)
{
    struct err e;

    (void)err_set(&e, ERR_CANCELED, "Box %s was stopped before it had started", sh->box->name);
    shim_start_failed(sh, 137, &e);
}

/* The machine must run for the workload to get a signal. */
static void wake(struct shim *sh)
{
    struct err e;

    if (sh->pausing.busy) {
        sh->stopping.resume = true;
    } else if (sh->pausing.paused && shim_pause(sh, false, &e) < 0) {
        log_error("%s", e.text);
        vm_kill(sh->vm);
    }
}

static void kill_all(struct shim *sh)
{
    loop_timer_cancel(sh->loop, &sh->stopping.timer);
    control_signal(sh, SIGKILL, true);
    wake(sh);
    if (!sh->stopping.force.armed)
        loop_timer(sh->loop, &sh->stopping.force, FORCE_WAIT);
}

static void on_stop_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, stopping.timer);

    kill_all(sh);
    tell_signal(sh, SIGKILL);
}

static void on_force_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, stopping.force);
    struct err e;

    (void)err_set(&e, ERR_TIMEOUT, "the guest did not end the workload: virtual machine killed");
    log_warn("%s", e.text);
    if (sh->vm)
        vm_kill(sh->vm);
    shim_ended(sh, 128 + SIGKILL, false, &e);
}

void stop_init(struct shim *sh)
{
    sh->stopping = (struct stopping){
        .timer = { .fired = on_stop_timer },
        .force = { .fired = on_force_timer },
    };
}

void stop_cancel(struct shim *sh)
{
    loop_timer_cancel(sh->loop, &sh->stopping.timer);
    loop_timer_cancel(sh->loop, &sh->stopping.force);
}

/* It waits for its restart: that was that. */
static void cancel_restart(struct shim *sh)
{
    restart_done(sh);
    sh->record_tries = 1; /* finish() has wound up already */
    sh->phase = PHASE_ENDING;
}

void shim_stop(struct shim *sh, enum stop_by by, int signal, uint64_t timeout_ns)
{
    const struct box_spec *spec = &sh->box->spec;

    end_for_good(sh, by);
    /* `rm -f` asks for both: docker tells of no "stop" there. */
    if ((sh->phase == PHASE_RUN || sh->phase == PHASE_RESTART) && by != STOP_HEALTH &&
        (timeout_ns || signal != SIGKILL))
        sh->stopping.asked = true;
    if (sh->phase == PHASE_RESTART)
        cancel_restart(sh);
    if (sh->phase == PHASE_BOOT)
        abort_boot(sh);
    if (sh->phase != PHASE_RUN)
        return;
    if (signal == 0)
        signal = spec->stop_signal ? spec->stop_signal : SIGTERM;
    if (timeout_ns == UINT64_MAX)
        timeout_ns = spec->stop_timeout_s < UINT64_MAX / NS_PER_S
                         ? spec->stop_timeout_s * NS_PER_S
                         : UINT64_MAX;
    mark_stopping(sh, timeout_ns ? signal : SIGKILL);
    if (timeout_ns == 0 || signal == SIGKILL) {
        kill_all(sh);
        return;
    }
    control_signal(sh, signal, false);
    wake(sh);
    loop_timer(sh->loop, &sh->stopping.timer, timeout_ns);
}

void shim_signal(struct shim *sh, int signal)
{
    if (signal == SIGKILL) {
        end_for_good(sh, STOP_USER);
        if (sh->phase == PHASE_BOOT)
            abort_boot(sh);
        if (sh->phase == PHASE_RESTART)
            cancel_restart(sh);
        if (sh->phase != PHASE_RUN)
            return;
        mark_stopping(sh, SIGKILL);
        kill_all(sh);
        return;
    }
    if (signal == sh->box->spec.stop_signal) /* as docker: who sends it means it */
        end_for_good(sh, STOP_USER);
    if (sh->phase == PHASE_RESTART && sh->restart.off)
        cancel_restart(sh);
    if (sh->phase == PHASE_BOOT)
        sh->pending_signals |= UINT64_C(1) << (signal - 1);
    if (sh->phase != PHASE_RUN)
        return;
    control_signal(sh, signal, false);
    /* As docker: the signal that is meant to end the workload wakes a paused one. */
    if (signal == sh->box->spec.stop_signal)
        wake(sh);
    tell_signal(sh, signal);
}

/* ---- pause ------------------------------------------------------------- */

static void on_paused(struct vm_reply *reply, const struct err *failure)
{
    struct shim *sh = CONTAINER_OF(reply, struct shim, pausing.reply);
    bool pause = sh->pausing.to;
    struct box_change change = { .to = pause ? BOX_PAUSED : BOX_RUNNING, .stopped_by_user = -1 };
    struct err e;
    bool resume;

    sh->pausing.busy = false;
    if (!failure) {
        sh->pausing.paused = pause;
        if (!pause)
            control_clock(sh);
    }
    if (!failure && sh->phase == PHASE_RUN && sh->box->state != BOX_STOPPING &&
        shim_record(sh, &change, &e) < 0)
        failure = &e;
    clients_answer(sh, pause ? CTL_PAUSE : CTL_RESUME, NULL, failure);
    resume = sh->stopping.resume;
    sh->stopping.resume = false;
    if (resume)
        wake(sh);
}

int shim_pause(struct shim *sh, bool pause, struct err *e)
{
    struct pausing *p = &sh->pausing;

    if (p->busy && p->to == pause)
        return 0; /* that one's answer is also ours */
    if (p->busy)
        return err_set(e, ERR_STATE, "Box %s is being %s", sh->box->name,
                       p->to ? "paused" : "unpaused");
    if (p->paused == pause)
        return err_set(e, ERR_STATE, pause ? "Box %s is already paused" : "Box %s is not paused",
                       sh->box->name);
    if (!sh->vm)
        return err_set(e, ERR_STATE, "Box %s is not running", sh->box->name);
    p->busy = true;
    p->to = pause;
    p->reply.done = on_paused;
    if (pause)
        vm_pause(sh->vm, &p->reply);
    else
        vm_resume(sh->vm, &p->reply);
    return 0;
}
