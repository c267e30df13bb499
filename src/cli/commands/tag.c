#include "cli/command.h"
#include "db/db.h"
#include "oci/image.h"

static int tag_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                   struct err *e)
{
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    return r < 0 ? r : image_tag(db, cli->home, argv[0], argv[1], e);
}

const struct command cmd_tag = {
    .name = "tag",
    .synopsis = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    .summary = "Give an image another name",
    .group = GROUP_IMAGE,
    .audit = "image_tag",
    .arg = ARG_IMAGE1,
    .min_args = 2,
    .max_args = 2,
    .run = tag_run,
};
