#include "cli/boxes.h"

static int rename_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                      struct err *e)
{
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    int r;

    r = cli_open_box(cli, argv[0], &db, &box, e);
    return r < 0 ? r : box_rename(db, box, argv[1], e);
}

const struct command cmd_rename = {
    .name = "rename",
    .synopsis = "BOX NEW_NAME",
    .summary = "Give a box another name",
    .group = GROUP_LIFECYCLE,
    .audit = "box_rename",
    .arg = ARG_BOX1,
    .min_args = 2,
    .max_args = 2,
    .run = rename_run,
};
