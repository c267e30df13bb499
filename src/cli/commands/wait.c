#include "box/lifecycle.h"
#include "cli/boxes.h"

static int wait_one(struct cli *cli, struct db *db, struct box *box, const void *arg UNUSED,
                    struct err *e)
{
    int code, r;

    r = box_wait(db, cli->home, box, &code, e);
    if (r >= 0) {
        fprintf(cli->out, "%d\n", code);
        (void)fflush(cli->out); /* seen when it is known; main checks the stream */
    }
    return r;
}

static int wait_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                    struct err *e)
{
    return cli_each_box(cli, argv, &(struct box_verb){ .run = wait_one }, e);
}

const struct command cmd_wait = {
    .name = "wait",
    .synopsis = "BOX [BOX...]",
    .summary = "Wait until boxes have ended, and print their exit codes",
    .group = GROUP_LIFECYCLE,
    .arg = ARG_BOX,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .run = wait_run,
};
