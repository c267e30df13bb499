#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "cli/stop_flags.h"

static int restart_one(struct cli *cli, struct db *db, struct box *box, const void *arg,
                       struct err *e)
{
    const struct stop_how *how = arg;
    int r;

    if (box->spec.auto_remove && box_state_is_live(box->state))
        return err_set(e, ERR_STATE, "Box %s was started with --rm and would be gone", box->name);
    r = box_stop(db, cli->home, box, how->signal, how->timeout_ns, e);
    if (r >= 0)
        r = box_reload(db, box, e);
    if (r >= 0)
        r = cli_start_box(cli, db, box, NULL, e);
    if (r >= 0)
        cli_tell(db, box, "restart", NULL, 0);
    return r;
}

static int restart_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                       struct err *e)
{
    struct stop_how how;
    int r = stop_flags_read(args, &how, e);

    if (r < 0)
        return r;
    return cli_each_box(cli, argv,
                        &(struct box_verb){ .run = restart_one, .arg = &how, .echo = true }, e);
}

static const struct stop_flags restart_defaults = STOP_FLAGS_DEFAULTS;

const struct command cmd_restart = {
    .name = "restart",
    .synopsis = "[OPTIONS] BOX [BOX...]",
    .summary = "Stop and start one or more boxes",
    .group = GROUP_LIFECYCLE,
    .audit = "box_restart",
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = stop_flag_rows,
    .args_size = sizeof(struct stop_flags),
    .defaults = &restart_defaults,
    .run = restart_run,
};
