#include "cli/new_box.h"

static int create_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                      struct err *e)
{
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    int r;

    r = cli_new_box(cli, args, argv, &db, &box, e);
    if (r < 0)
        return r;
    fprintf(cli->out, "%s\n", box->id);
    return 0;
}

static const struct box_flags create_defaults = BOX_FLAGS_DEFAULTS;

const struct command cmd_create = {
    .name = "create",
    .synopsis = "[OPTIONS] IMAGE [--] [COMMAND] [ARG...]",
    .summary = "Create a box without starting it",
    .group = GROUP_LIFECYCLE,
    .audit = "box_create",
    .arg = ARG_IMAGE1,
    .flags = CMD_STOP_AT_ARG,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .usage_status = 125,
    .fail_status = 1,
    .opts = box_flag_rows,
    .args_size = sizeof(struct box_flags),
    .defaults = &create_defaults,
    .run = create_run,
};
