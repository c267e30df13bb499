#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "util/parse.h"

struct kill_args {
    const char *signal;
};

static const struct opt kill_opts[] = {
    OPT_STR('s', "signal", "SIGNAL", struct kill_args, signal,
            "Signal to send to the box (default KILL)"),
    { .type = OPT_END },
};

static int kill_one(struct cli *cli, struct db *db, struct box *box, const void *arg,
                    struct err *e)
{
    const int *signal = arg;

    if (!box_state_is_live(box->state))
        return err_set(e, ERR_STATE, "Box %s is not running", box->name);
    return box_kill(db, cli->home, box, *signal, e);
}

static int kill_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                    struct err *e)
{
    const struct kill_args *a = args;
    int signal, r;

    r = parse_signal(a->signal, &signal, e);
    if (r < 0)
        return err_set(e, ERR_INVALID, "Unknown signal: %.100s", a->signal);
    return cli_each_box(cli, argv,
                        &(struct box_verb){ .run = kill_one, .arg = &signal, .echo = true }, e);
}

static const struct kill_args kill_defaults = { .signal = "KILL" };

const struct command cmd_kill = {
    .name = "kill",
    .synopsis = "[OPTIONS] BOX [BOX...]",
    .summary = "Send a signal to one or more boxes",
    .group = GROUP_LIFECYCLE,
    .audit = "box_kill",
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = kill_opts,
    .args_size = sizeof(struct kill_args),
    .defaults = &kill_defaults,
    .run = kill_run,
};
