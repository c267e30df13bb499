#include "box/lifecycle.h"
#include "cli/boxes.h"

static int pause_one(struct cli *cli, struct db *db, struct box *box, const void *arg UNUSED,
                     struct err *e)
{
    return box_pause(db, cli->home, box, e);
}

static int pause_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                     struct err *e)
{
    return cli_each_box(cli, argv, &(struct box_verb){ .run = pause_one, .echo = true }, e);
}

const struct command cmd_pause = {
    .name = "pause",
    .synopsis = "BOX [BOX...]",
    .summary = "Freeze all processes of one or more boxes",
    .group = GROUP_LIFECYCLE,
    .audit = "box_pause",
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .run = pause_run,
};
