#include "cli/confirm.h"
#include "cli/prune.h"
#include "db/db.h"
#include "util/str.h"

struct prune_args {
    bool all, force, volumes;
    struct str_list filters;
};

static const struct opt prune_opts[] = {
    OPT_FLAG('a', "all", struct prune_args, all,
             "Every image that no box uses, not only those without a name"),
    OPT_LIST(0, "filter", "KEY=VALUE", struct prune_args, filters,
             "Only matching boxes and images: label, label!, until"),
    OPT_FLAG('f', "force", struct prune_args, force, "Do not ask"),
    OPT_FLAG(0, "volumes", struct prune_args, volumes, "Anonymous volumes too (not supported)"),
    { .type = OPT_END },
};

static bool confirm(struct cli *cli, const struct prune_args *args,
                    const struct show_filters *filters)
{
    autostr text = STR_INIT(0);

    str_addf(&text,
             "This will remove:\n"
             "  - all boxes that do not run\n"
             "  - all %s\n"
             "  - what broken downloads left, and root file systems beyond the cache's limits\n",
             args->all ? "images without at least one box associated to them"
                       : "dangling images");
    if (filters->n)
        str_adds(&text, "\n  Items to be pruned will be filtered with:\n");
    for (size_t i = 0; i < filters->n; i++)
        str_addf(&text, "  - %s\n", filters->text[i]);
    return cli_confirm(cli, str_c(&text));
}

static int prune(struct cli *cli, bool all_images, const struct show_filters *filters,
                 const struct cache_limits *limits, struct err *e)
{
    struct prune p = {
        .cli = cli, .filters = filters, .all_images = all_images, .limits = *limits
    };
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    p.db = db;
    if (r >= 0)
        r = prune_boxes(&p, e);
    if (r >= 0)
        r = prune_images(&p, e); /* those of the boxes that went, too */
    if (r >= 0)
        prune_total(&p);
    return r;
}

static int prune_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv UNUSED,
                     struct err *e)
{
    static const char *const keys[] = { "label", "label!", "until", NULL };
    const struct prune_args *args = own_args;
    struct show_filters filters;
    struct cache_limits limits;
    int r;

    if (args->volumes)
        return err_set(e, ERR_UNSUPPORTED,
                       "--volumes is not supported yet: boxes have no volumes; leave it out");
    r = show_filters_parse(args->filters.v, args->filters.n, keys, &filters, e);
    if (r >= 0)
        r = cache_limits_read(&limits, e);
    if (r < 0)
        return r;
    if (!args->force && !confirm(cli, args, &filters)) {
        fputs("Total reclaimed space: 0B\n", cli->out);
        return 0;
    }
    return prune(cli, args->all, &filters, &limits, e);
}

const struct command cmd_system_prune = {
    .name = "system-prune",
    .sub_name = "prune",
    .synopsis = "[OPTIONS]",
    .summary = "Remove boxes that do not run, and images that nobody uses",
    .details = "Boxes first, so that the images they used are not in use any more. Of images\n"
               "those without a name go; with --all every image that no box uses.\n",
    .group = GROUP_SYSTEM,
    .audit = "system_prune",
    .opts = prune_opts,
    .args_size = sizeof(struct prune_args),
    .run = prune_run,
};
