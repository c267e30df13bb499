#include "shim/shim.h"

/* A guest that does not answer in this time is taken for hung. */
#define STATS_WAIT (10 * NS_PER_S)

static void on_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, stats.timer);
    struct err e;

    (void)err_set(&e, ERR_TIMEOUT, "Box %s: the guest does not answer", sh->box->name);
    clients_answer(sh, CTL_STATS, NULL, &e);
}

int stats_ask(struct shim *sh, struct err *e)
{
    struct container_ref ref = { .container = sh->box->id };
    struct ctl_reply nothing = { .ok = true };
    autostr body = STR_INIT(0);
    int r;

    if (sh->pausing.paused || sh->pausing.busy) {
        clients_answer(sh, CTL_STATS, &nothing, NULL);
        return 0;
    }
    if (sh->stats.timer.armed)
        return 0; /* an answer is on its way, and fresh enough */
    r = config_encode(container_ref, &ref, &body, e);
    if (r < 0)
        return r;
    sh->stats.timer.fired = on_timer;
    loop_timer(sh->loop, &sh->stats.timer, STATS_WAIT);
    control_put(sh, MSG_CONTAINER_STATS, body.p, body.len);
    return 0;
}

int stats_answer(struct shim *sh, struct cur c, struct err *e)
{
    struct ctl_reply reply = { .ok = true };
    int r;

    r = config_decode(container_stats, c, &reply.stats, e);
    if (r < 0)
        return r;
    loop_timer_cancel(sh->loop, &sh->stats.timer);
    clients_answer(sh, CTL_STATS, &reply, NULL);
    config_done(container_stats, &reply.stats);
    return 0;
}

void stats_done(struct shim *sh)
{
    loop_timer_cancel(sh->loop, &sh->stats.timer);
}
