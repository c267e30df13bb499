#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "util/parse.h"
#include "util/time.h"

#define OWN_TIMEOUT INT32_MIN       /* nobody gave one: the box's */
#define FOREVER_NS  (INT64_MAX / 4) /* 73 years; far enough from an overflow */

struct restart_args {
    int timeout_s;
    const char *signal;
};

static const struct opt restart_opts[] = {
    OPT_STR('s', "signal", "SIGNAL", struct restart_args, signal,
            "Signal to send (default: the box's stop signal)"),
    OPT_INT('t', "timeout", "SECONDS", struct restart_args, timeout_s,
            "Wait so long before it is killed; -1: for ever (default: the box's, else 10)",
            .alias = "time", .min = -1, .max = INT32_MAX),
    { .type = OPT_END },
};

struct restart_how {
    int signal; /* 0: the box's */
    uint64_t timeout_ns;
};

static int restart_one(struct cli *cli, struct db *db, struct box *box, const void *arg,
                       struct err *e)
{
    const struct restart_how *how = arg;
    int r;

    if (box->spec.auto_remove && box_state_is_live(box->state))
        return err_set(e, ERR_STATE, "Box %s was started with --rm and would be gone", box->name);
    r = box_stop(db, cli->home, box, how->signal, how->timeout_ns, e);
    if (r >= 0)
        r = box_reload(db, box, e);
    return r < 0 ? r : cli_start_box(cli, db, box, e);
}

static int restart_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                       struct err *e)
{
    const struct restart_args *a = args;
    struct restart_how how = { .timeout_ns = UINT64_MAX };

    if (a->signal && parse_signal(a->signal, &how.signal, e) < 0)
        return err_set(e, ERR_INVALID, "Unknown signal: %.100s", a->signal);
    if (a->timeout_s == -1)
        how.timeout_ns = FOREVER_NS;
    else if (a->timeout_s >= 0)
        how.timeout_ns = (uint64_t)a->timeout_s * NS_PER_S;
    return cli_each_box(cli, argv,
                        &(struct box_verb){ .run = restart_one, .arg = &how, .echo = true }, e);
}

static const struct restart_args restart_defaults = { .timeout_s = OWN_TIMEOUT };

const struct command cmd_restart = {
    .name = "restart",
    .synopsis = "[OPTIONS] BOX [BOX...]",
    .summary = "Stop and start one or more boxes",
    .group = GROUP_LIFECYCLE,
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = restart_opts,
    .args_size = sizeof(struct restart_args),
    .defaults = &restart_defaults,
    .run = restart_run,
};
