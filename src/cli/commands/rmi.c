#include "cli/command.h"
#include "db/db.h"
#include "oci/image.h"

struct rmi_args {
    bool force, no_prune;
};

static const struct opt rmi_opts[] = {
    OPT_FLAG('f', "force", struct rmi_args, force,
             "Also when it has several names or stopped boxes use it"),
    OPT_FLAG(0, "no-prune", struct rmi_args, no_prune, "Accepted for docker's sake",
             .hidden = true),
    { .type = OPT_END },
};

struct rmi {
    struct db *db;
    const struct rmi_args *args;
};

static void print_line(void *ctx, const char *line)
{
    struct cli *cli = ctx;

    fprintf(cli->out, "%s\n", line);
}

static int rmi_one(struct cli *cli, const char *name, const void *arg, struct err *e)
{
    const struct rmi *rmi = arg;

    return image_remove(rmi->db, cli->home, name, rmi->args->force, print_line, cli, e);
}

static int rmi_run(struct cli *cli, const void *args, int argc UNUSED, char **argv, struct err *e)
{
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    if (r < 0)
        return r;
    return cli_each_arg(cli, argv, rmi_one, &(struct rmi){ db, args }, e);
}

const struct command cmd_rmi = {
    .name = "rmi",
    .sub_name = "rm",
    .synopsis = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Remove one or more images",
    .group = GROUP_IMAGE,
    .audit = "image_delete",
    .arg = ARG_IMAGE,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = rmi_opts,
    .args_size = sizeof(struct rmi_args),
    .run = rmi_run,
};
