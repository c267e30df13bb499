#include "box/lifecycle.h"
#include "cli/boxes.h"

#include <signal.h>

struct rm_args {
    bool force, volumes;
};

static const struct opt rm_opts[] = {
    OPT_FLAG('f', "force", struct rm_args, force, "Kill boxes that run; missing ones are fine"),
    OPT_FLAG('v', "volumes", struct rm_args, volumes, "Anonymous volumes too (boxes have none)"),
    { .type = OPT_END },
};

/* 1 when its shim has removed it, after the end that we asked for. */
static int stop_first(struct cli *cli, struct db *db, struct box *box, struct err *e)
{
    struct err gone;
    int r = box_stop(db, cli->home, box, SIGKILL, 0, e);

    if (r < 0)
        return r;
    return box->spec.auto_remove && box_reload(db, box, &gone) < 0;
}

/* A box may be started between our look at it and its removal, by a shim that was only just
 * spawned for one: box_remove() then refuses and *box says how it is now, and that run is ended,
 * too. */
static int rm_forced(struct cli *cli, struct db *db, struct box *box, struct err *e)
{
    int r;

    do {
        r = box_state_is_live(box->state) ? stop_first(cli, db, box, e) : 0;
        if (r != 0)
            return r < 0 ? r : 0;
        r = box_remove(db, cli->home, box, e);
    } while (r == -ERR_STATE && box_state_is_live(box->state));
    return r == -ERR_NOT_FOUND ? 0 : r;
}

static int rm_one(struct cli *cli, struct db *db, struct box *box, const void *arg, struct err *e)
{
    const struct rm_args *args = arg;

    if (args->force)
        return rm_forced(cli, db, box, e);
    if (box_state_is_live(box->state))
        return err_set(e, ERR_STATE, "Box %s is running. Use --force to remove a running box.",
                       box->name);
    return box_remove(db, cli->home, box, e);
}

static int rm_run(struct cli *cli, const void *args, int argc UNUSED, char **argv, struct err *e)
{
    const struct rm_args *rm = args;

    return cli_each_box(
        cli, argv,
        &(struct box_verb){ .run = rm_one, .arg = args, .echo = true, .missing_ok = rm->force },
        e);
}

const struct command cmd_rm = {
    .name = "rm",
    .synopsis = "[OPTIONS] BOX [BOX...]",
    .summary = "Remove one or more boxes",
    .group = GROUP_LIFECYCLE,
    .audit = "box_destroy",
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = rm_opts,
    .args_size = sizeof(struct rm_args),
    .run = rm_run,
};
