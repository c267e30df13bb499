#include "cli/confirm.h"
#include "cli/prune.h"
#include "db/db.h"

struct prune_args {
    bool all, force;
    struct str_list filters;
};

static const struct opt prune_opts[] = {
    OPT_FLAG('a', "all", struct prune_args, all,
             "Every image that no box uses, not only those without a name"),
    OPT_LIST(0, "filter", "KEY=VALUE", struct prune_args, filters,
             "Only matching images: dangling, label, label!, until"),
    OPT_FLAG('f', "force", struct prune_args, force, "Do not ask"),
    { .type = OPT_END },
};

static int prune(struct cli *cli, const struct prune_args *args,
                 const struct show_filters *filters, const struct cache_limits *limits,
                 struct err *e)
{
    struct prune p = {
        .cli = cli, .filters = filters, .all_images = args->all, .limits = *limits
    };
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    p.db = db;
    if (r >= 0)
        r = prune_images(&p, e);
    if (r >= 0)
        prune_total(&p);
    return r;
}

static int prune_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv UNUSED,
                     struct err *e)
{
    static const char *const keys[] = { "dangling", "label", "label!", "until", NULL };
    const struct prune_args *args = own_args;
    struct show_filters filters;
    struct cache_limits limits;
    int r;

    r = show_filters_parse(args->filters.v, args->filters.n, keys, &filters, e);
    if (r >= 0)
        r = cache_limits_read(&limits, e);
    if (r < 0)
        return r;
    if (!args->force &&
        !cli_confirm(cli, args->all ? "This will remove all images without at least one box "
                                      "associated to them."
                                    : "This will remove all dangling images.")) {
        fputs("Total reclaimed space: 0B\n", cli->out);
        return 0;
    }
    return prune(cli, args, &filters, &limits, e);
}

const struct command cmd_image_prune = {
    .name = "image-prune",
    .sub_name = "prune",
    .synopsis = "[OPTIONS]",
    .summary = "Remove images that nobody uses",
    .details = "Removes images without a name; with --all every image that no box uses. What\n"
               "broken downloads and killed programs left goes as well.\n",
    .group = GROUP_IMAGE,
    .audit = "image_prune",
    .opts = prune_opts,
    .args_size = sizeof(struct prune_args),
    .run = prune_run,
};
