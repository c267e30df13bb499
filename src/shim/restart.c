/*
 * The restart policy. When a run has ended for good and the policy wants another, the record says
 * restarting, clients are told how this run ended, and the shim waits with ctl.sock open. Then it
 * executes itself anew: no part of it has to know how to begin twice. What must not be lost in
 * between goes along: the box's directory with our lock, and the socket with who waits there.
 */
#include "shim/shim.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* Who still reads what the last run left, holds up the next one for so long. */
#define PATIENCE (10 * NS_PER_S)

static struct restart_facts facts_of(const struct shim *sh, int status)
{
    return (struct restart_facts){
        .exit_code = status,
        .count = sh->box->restart_count,
        .unhealthy = sh->restart.unhealthy,
    };
}

static void on_timer(struct timer *t)
{
    struct restart *r = CONTAINER_OF(t, struct restart, timer);
    struct shim *sh = CONTAINER_OF(r, struct shim, restart);

    r->late = r->due;
    r->due = true;
    loop_timer(sh->loop, t, PATIENCE);
}

void restart_init(struct shim *sh, const struct shim_args *args)
{
    sh->restart = (struct restart){
        .timer = { .fired = on_timer },
        .waited_ns = args->waited_ns,
        .again = args->again || args->count_restart,
    };
}

bool restart_due(const struct shim *sh)
{
    const struct restart_facts facts = facts_of(sh, sh->outcome.status);

    if (sh->restart.off || sh->box->spec.auto_remove)
        return false;
    /* What the user has started and does not come up, the user is told of. */
    return (!sh->outcome.start_failed || sh->restart.again) &&
           restart_wanted(&sh->box->spec, &facts);
}

bool restart_if_unhealthy(struct shim *sh)
{
    struct restart_facts facts = facts_of(sh, 1);

    facts.unhealthy = true;
    sh->restart.unhealthy = !sh->restart.off && restart_wanted(&sh->box->spec, &facts);
    return sh->restart.unhealthy;
}

void restart_wait(struct shim *sh)
{
    struct restart *r = &sh->restart;
    uint64_t up = r->running_ns ? time_mono_ns() - r->running_ns : 0;

    r->waited_ns = restart_delay_ns(r->waited_ns, up);
    log_info("ended with status %d: restart %llu in %llu s", sh->outcome.status,
             (unsigned long long)sh->box->restart_count,
             (unsigned long long)(r->waited_ns / NS_PER_S));
    sh->phase = PHASE_RESTART;
    clients_ended(sh);
    loop_timer(sh->loop, &r->timer, r->waited_ns);
}

int restart_update(struct shim *sh, const struct box_update *update, struct err *e)
{
    autoptr(db) db = NULL;
    int r;

    r = db_open(sh->home, &db, e);
    if (r == 0)
        r = box_update_record(db, sh->box, update, true, e);
    if (r == 0 && sh->phase == PHASE_RESTART && !sh->box->spec.restart_policy)
        shim_stop(sh, STOP_HOST, SIGKILL, 0);
    return r;
}

void restart_now(struct shim *sh)
{
    sh->restart.waited_ns = 0;
    loop_timer(sh->loop, &sh->restart.timer, 0);
}

void restart_turn(struct shim *sh)
{
    struct restart *r = &sh->restart;

    if (sh->phase != PHASE_RESTART || !r->due)
        return;
    r->exec = r->late || (clients_idle(sh) && relays_idle(&sh->relays));
}

void restart_done(struct shim *sh)
{
    loop_timer_cancel(sh->loop, &sh->restart.timer);
}

void restart_keep(struct shim *sh, struct restart_kept *ret)
{
    *ret = (struct restart_kept){
        .dir_fd = take_fd(&sh->dir_fd),
        .ctl_fd = clients_take_door(sh),
        .waited_ns = sh->restart.waited_ns,
    };
}

static int inherit(int fd, char *text, size_t size, struct err *e)
{
    if (fcntl(fd, F_SETFD, 0) < 0)
        return err_os(e, "descriptor %d", fd);
    (void)snprintf(text, size, "%d", fd);
    return 0;
}

int restart_exec(char **argv, const char *home, const char *box_id,
                 const struct restart_kept *kept, struct err *e)
{
    char dir[16], ctl[16], waited[24];
    const char *args[] = { argv[0], "--home",   home, "--box",    box_id, "--again",
                           waited,  "--dir-fd", dir,  "--ctl-fd", ctl,    NULL };
    union { /* execv() wants char *; it writes nothing */
        const char *const *c;
        char *const *v;
    } list = { .c = args };
    int r;

    r = inherit(kept->dir_fd, dir, sizeof(dir), e);
    if (r == 0)
        r = inherit(kept->ctl_fd, ctl, sizeof(ctl), e);
    if (r < 0)
        return r;
    (void)snprintf(waited, sizeof(waited), "%llu", (unsigned long long)kept->waited_ns);
    (void)execv(argv[0], list.v); /* the program may have been replaced by a newer one ... */
    (void)execv("/proc/self/exe", list.v); /* ... or removed */
    return err_os(e, "execute %s", argv[0]);
}
