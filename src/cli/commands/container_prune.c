#include "cli/confirm.h"
#include "cli/prune.h"
#include "db/db.h"

struct prune_args {
    bool force;
    struct str_list filters;
};

static const struct opt prune_opts[] = {
    OPT_LIST(0, "filter", "KEY=VALUE", struct prune_args, filters,
             "Only matching boxes: label, label!, until"),
    OPT_FLAG('f', "force", struct prune_args, force, "Do not ask"),
    { .type = OPT_END },
};

static int prune_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv UNUSED,
                     struct err *e)
{
    static const char *const keys[] = { "label", "label!", "until", NULL };
    const struct prune_args *args = own_args;
    struct show_filters filters;
    struct prune p = { .cli = cli, .filters = &filters };
    autoptr(db) db = NULL;
    int r;

    r = show_filters_parse(args->filters.v, args->filters.n, keys, &filters, e);
    if (r < 0)
        return r;
    if (!args->force && !cli_confirm(cli, "This will remove all boxes that do not run.")) {
        prune_total(&p);
        return 0;
    }
    r = db_open(cli->home, &db, e);
    p.db = db;
    if (r >= 0)
        r = prune_boxes(&p, e);
    if (r >= 0)
        prune_total(&p);
    return r;
}

const struct command cmd_container_prune = {
    .name = "container-prune",
    .sub_name = "prune",
    .synopsis = "[OPTIONS]",
    .summary = "Remove all boxes that do not run",
    .group = GROUP_LIFECYCLE,
    .audit = "box_prune",
    .opts = prune_opts,
    .args_size = sizeof(struct prune_args),
    .run = prune_run,
};
