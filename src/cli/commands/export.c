#include "cli/files.h"
#include "cli/outfile.h"

struct export_args {
    const char *output;
};

static const struct opt export_opts[] = {
    OPT_STR('o', "output", "FILE", struct export_args, output, "Write to a file, not to stdout"),
    { .type = OPT_END },
};

static int export_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                      struct err *e)
{
    const struct export_args *args = own_args;
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    autoptr(files) files = NULL;
    autoptr(outfile) out = NULL;
    int r = cli_open_box(cli, argv[0], &db, &box, e);

    if (r == 0)
        r = outfile_open(args->output, &out, e);
    if (r == 0)
        r = files_open(cli, db, box, false, &files, e);
    if (r == 0)
        r = files_ask(files, &(struct archive_request){ .op = ARCHIVE_EXPORT }, e);
    if (r == 0)
        r = files_copy_out(files, outfile_fd(out), e);
    if (r == 0)
        r = outfile_finish(out, e);
    if (r == 0)
        cli_tell(db, box, "export", NULL, 0);
    return r;
}

const struct command cmd_export = {
    .name = "export",
    .synopsis = "[OPTIONS] BOX",
    .summary = "Write a box's file system as a tar archive",
    .details =
        "What is mounted in the box is not part of it. `a3s-box import` makes an image of\n"
        "the archive.\n",
    .group = GROUP_IMAGE,
    .arg = ARG_BOX1,
    .min_args = 1,
    .max_args = 1,
    .opts = export_opts,
    .args_size = sizeof(struct export_args),
    .run = export_run,
};
