/* container-update of a box that runs: the guest first, then the balloon, then the record. */
#include "box/update.h"
#include "shim/shim.h"
#include "util/log.h"

/* To bring CPUs up and to free memory; a guest that does not answer in this time is taken for
 * hung. */
#define UPDATE_WAIT (60 * NS_PER_S)

static void update_end(struct shim *sh, const struct err *failure)
{
    loop_timer_cancel(sh->loop, &sh->update.timer);
    sh->update.busy = false;
    box_update_done(&sh->update.what);
    clients_answer(sh, CTL_UPDATE, NULL, failure);
}

static void on_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, update.timer);
    struct err e;

    (void)err_set(&e, ERR_TIMEOUT, "Box %s: the guest does not answer", sh->box->name);
    update_end(sh, &e);
}

/* What the machine was started with bounds what it can become. */
static int check_machine(const struct shim *sh, const struct box_spec *to, struct err *e)
{
    const struct updating *u = &sh->update;

    if (to->cpus > u->vcpus_max)
        return err_set(e, ERR_LIMIT,
                       "Box %s cannot have %llu CPUs while it runs: its machine has %u (stop it, "
                       "update it, start it)",
                       sh->box->name, (unsigned long long)to->cpus, u->vcpus_max);
    if (to->memory_bytes > u->memory_bytes)
        return err_set(
            e, ERR_LIMIT,
            "Box %s cannot have %llu MiB of memory while it runs: its machine has %llu "
            "MiB (stop it, update it, start it)",
            sh->box->name, (unsigned long long)(to->memory_bytes >> 20),
            (unsigned long long)(u->memory_bytes >> 20));
    return 0;
}

static int send(struct shim *sh, const struct box_spec *to, struct err *e)
{
    struct container_update c = {
        .container = sh->box->id, .vcpus = to->cpus, .cgroup = to->limits, /* borrowed */
    };
    autostr body = STR_INIT(0);
    int r;

    c.cgroup.memory_taken = sh->update.memory_bytes - to->memory_bytes;
    r = config_encode(container_update, &c, &body, e);
    if (r == 0)
        control_put(sh, MSG_CONTAINER_UPDATE, body.p, body.len);
    return r;
}

int update_begin(struct shim *sh, struct box_update *update, struct err *e)
{
    struct box_spec to = { 0 };
    int r;

    if (sh->pausing.paused || sh->pausing.busy)
        return err_set(e, ERR_STATE, "Box %s is paused, unpause it first", sh->box->name);
    if (sh->update.busy)
        return err_set(e, ERR_STATE, "Box %s is being updated", sh->box->name);
    r = box_update_apply(update, &sh->box->spec, &to, e);
    if (r == 0)
        r = check_machine(sh, &to, e);
    if (r == 0)
        r = send(sh, &to, e);
    box_spec_done(&to);
    if (r < 0)
        return r;
    sh->update.what = *update;
    *update = (struct box_update){ 0 };
    sh->update.busy = true;
    sh->update.timer.fired = on_timer;
    loop_timer(sh->loop, &sh->update.timer, UPDATE_WAIT);
    return 0;
}

/* A balloon that does not follow changes nothing of what the box may use. */
static void on_balloon(struct vm_reply *reply, const struct err *failure)
{
    struct shim *sh = CONTAINER_OF(reply, struct shim, update.reply);

    sh->update.balloon_busy = false;
    if (failure)
        log_warn("balloon: %s", failure->text);
    else if (sh->update.balloon_again && sh->vm)
        update_balloon(sh);
}

void update_balloon(struct shim *sh)
{
    sh->update.balloon_again = sh->update.balloon_busy;
    if (sh->update.balloon_busy || !sh->vm)
        return;
    sh->update.balloon_busy = true;
    sh->update.reply.done = on_balloon;
    vm_set_memory(sh->vm, sh->box->spec.memory_bytes, &sh->update.reply);
}

static int done(struct shim *sh, struct err *e)
{
    uint64_t before = sh->box->spec.memory_bytes;
    autoptr(db) db = NULL;
    int r;

    r = db_open(sh->home, &db, e);
    if (r == 0)
        r = box_update_record(db, sh->box, &sh->update.what, true, e);
    if (r == 0 && sh->box->spec.memory_bytes != before)
        update_balloon(sh);
    return r;
}

int update_answer(struct shim *sh, struct cur c, struct err *e)
{
    struct error_info info = { 0 };
    struct err why;
    int r;

    r = config_decode(error_info, c, &info, e);
    if (r < 0)
        return r;
    if (!sh->update.busy) { /* its time was over */
        r = 0;
    } else if (info.kind) {
        (void)error_info_err(&info, ERR_INTERNAL, "the guest refused", &why);
        (void)err_ctx(&why, "Box %s", sh->box->name);
        update_end(sh, &why);
    } else {
        r = done(sh, &why);
        update_end(sh, r < 0 ? &why : NULL);
    }
    config_done(error_info, &info);
    return 0;
}

void update_abandon(struct shim *sh)
{
    struct err e;

    if (!sh->update.busy)
        return;
    (void)err_set(&e, ERR_STATE, "Box %s is not running", sh->box->name);
    update_end(sh, &e);
}

void update_done(struct shim *sh)
{
    loop_timer_cancel(sh->loop, &sh->update.timer);
    box_update_done(&sh->update.what);
}
