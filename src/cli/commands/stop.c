#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "cli/stop_flags.h"

static int stop_one(struct cli *cli, struct db *db, struct box *box, const void *arg,
                    struct err *e)
{
    const struct stop_how *how = arg;

    return box_stop(db, cli->home, box, how->signal, how->timeout_ns, e);
}

static int stop_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                    struct err *e)
{
    struct stop_how how;
    int r = stop_flags_read(args, &how, e);

    if (r < 0)
        return r;
    return cli_each_box(cli, argv,
                        &(struct box_verb){ .run = stop_one, .arg = &how, .echo = true }, e);
}

static const struct stop_flags stop_defaults = STOP_FLAGS_DEFAULTS;

const struct command cmd_stop = {
    .name = "stop",
    .synopsis = "[OPTIONS] BOX [BOX...]",
    .summary = "Stop one or more boxes",
    .group = GROUP_LIFECYCLE,
    .audit = "box_stop",
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = stop_flag_rows,
    .args_size = sizeof(struct stop_flags),
    .defaults = &stop_defaults,
    .run = stop_run,
};
