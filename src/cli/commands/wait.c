#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "util/time.h"

#define TIME_MAX_NS (INT64_MAX / 4) /* 73 years: longer is for ever */

struct wait_args {
    uint64_t timeout_ns, heartbeat_ns;
    bool no_heartbeat;
};

static const struct opt wait_opts[] = {
    OPT_DURATION(0, "heartbeat-interval", "TIME", struct wait_args, heartbeat_ns,
                 "Say on standard error that it still waits (default 60)"),
    OPT_FLAG(0, "no-heartbeat", struct wait_args, no_heartbeat, "Wait in silence"),
    OPT_DURATION(0, "timeout", "TIME", struct wait_args, timeout_ns,
                 "Give up after so long; the box goes on"),
    { .type = OPT_END },
};

struct waiting {
    struct tick tick;
    struct cli *cli;
    const struct wait_args *args;
    const char *name;
    uint64_t start_ns, end_ns, beat_ns; /* monotonic; UINT64_MAX: never */
};

static void set_tick(struct waiting *w)
{
    w->tick.at_ns = w->end_ns < w->beat_ns ? w->end_ns : w->beat_ns;
}

static int tick(struct tick *t, struct err *e)
{
    struct waiting *w = CONTAINER_OF(t, struct waiting, tick);
    uint64_t now = time_mono_ns();

    if (now >= w->end_ns)
        return err_set(e, ERR_TIMEOUT, "Box %s has not ended in time", w->name);
    if (now >= w->beat_ns) {
        fprintf(w->cli->err, "a3s-box wait: still waiting for %s (%llus)\n", w->name,
                (unsigned long long)((now - w->start_ns) / NS_PER_S));
        w->beat_ns += w->args->heartbeat_ns;
    }
    set_tick(w);
    return 0;
}

static int wait_one(struct cli *cli, struct db *db, struct box *box, const void *arg,
                    struct err *e)
{
    const struct wait_args *args = arg;
    struct waiting w = { .tick = { .fn = tick },
                         .cli = cli,
                         .args = args,
                         .name = box->name,
                         .start_ns = time_mono_ns(),
                         .end_ns = UINT64_MAX,
                         .beat_ns = UINT64_MAX };
    int code, r;

    if (args->timeout_ns && args->timeout_ns < TIME_MAX_NS)
        w.end_ns = w.start_ns + args->timeout_ns;
    if (!args->no_heartbeat && args->heartbeat_ns && args->heartbeat_ns < TIME_MAX_NS)
        w.beat_ns = w.start_ns + args->heartbeat_ns;
    set_tick(&w);
    r = box_wait(db, cli->home, box, &w.tick, &code, e);
    if (r >= 0) {
        fprintf(cli->out, "%d\n", code);
        (void)fflush(cli->out); /* seen when it is known; main checks the stream */
    }
    return r;
}

static int wait_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                    struct err *e)
{
    return cli_each_box(cli, argv, &(struct box_verb){ .run = wait_one, .arg = args }, e);
}

static const struct wait_args wait_defaults = { .heartbeat_ns = 60 * NS_PER_S };

const struct command cmd_wait = {
    .name = "wait",
    .synopsis = "[OPTIONS] BOX [BOX...]",
    .summary = "Wait until boxes have ended, and print their exit codes",
    .group = GROUP_LIFECYCLE,
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = wait_opts,
    .args_size = sizeof(struct wait_args),
    .defaults = &wait_defaults,
    .run = wait_run,
};
