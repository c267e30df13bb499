#include "box/lifecycle.h"
#include "cli/boxes.h"

static int unpause_one(struct cli *cli, struct db *db, struct box *box, const void *arg UNUSED,
                       struct err *e)
{
    return box_unpause(db, cli->home, box, e);
}

static int unpause_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                       struct err *e)
{
    return cli_each_box(cli, argv, &(struct box_verb){ .run = unpause_one, .echo = true }, e);
}

const struct command cmd_unpause = {
    .name = "unpause",
    .synopsis = "BOX [BOX...]",
    .summary = "Let the processes of one or more paused boxes go on",
    .group = GROUP_LIFECYCLE,
    .audit = "box_unpause",
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .run = unpause_run,
};
