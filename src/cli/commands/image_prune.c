#include "cli/confirm.h"
#include "cli/images.h"
#include "db/event.h"
#include "oci/cache.h"
#include "oci/store.h"
#include "show/human.h"
#include "util/log.h"

#include <ctype.h>

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

struct prune {
    struct cli *cli;
    uint64_t freed;
    bool some; /* the title has been printed */
};

/* docker begins these lines with a small letter. */
static void print_line(void *ctx, const char *line)
{
    struct prune *p = ctx;

    if (!p->some)
        fputs("Deleted Images:\n", p->cli->out);
    p->some = true;
    fprintf(p->cli->out, "%c%s\n", tolower((unsigned char)line[0]), line + 1);
}

/* What boxes use stays; so does what somebody else has just removed. */
static int remove_one(struct prune *p, struct db *db, const char *id, struct err *e)
{
    autofd int lock = store_lock(p->cli->home, e);
    int r;

    if (lock < 0)
        return lock;
    r = image_evict(db, p->cli->home, id, print_line, p, &p->freed, e);
    if (r != -ERR_STATE && r != -ERR_NOT_FOUND)
        return r;
    err_clear(e);
    return 0;
}

static int remove_images(struct prune *p, struct db *db, const struct prune_args *args,
                         const struct show_filters *filters, struct err *e)
{
    bool all = args->all || show_filters_has(filters, "dangling");
    struct image_list list = { 0 };
    struct image_filter filter;
    int r;

    r = image_filter_init(&filter, filters, db, p->cli->home, e);
    if (r >= 0)
        r = image_list(db, p->cli->home, &list, e);
    for (size_t i = 0; r >= 0 && i < list.n; i++)
        if ((all || !list.v[i]->references[0]) && image_filter_match(&filter, list.v[i]))
            r = remove_one(p, db, list.v[i]->id, e);
    image_list_done(&list);
    return r;
}

/* Broken downloads, what kill -9 left, and root file systems beyond their limits. */
static int remove_rest(struct prune *p, struct db *db, const struct cache_limits *limits,
                       struct err *e)
{
    uint64_t swept = 0, trimmed = 0;
    int r;

    r = cache_sweep(db, p->cli->home, &swept, e);
    if (r == 0)
        r = cache_trim_rootfs(db, p->cli->home, limits, &trimmed, e);
    p->freed += swept + trimmed;
    return r;
}

static void tell_pruned(struct db *db, uint64_t freed)
{
    char bytes[32];
    const struct event_attr attr = { "reclaimed", bytes };
    const struct event ev = {
        .type = "image", .action = "prune", .actor_id = "", .attrs = &attr, .attrs_n = 1
    };
    struct err e;

    (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)freed);
    if (event_add(db, &ev, &e) < 0)
        log_warn("event 'prune': %s", e.text);
}

static int prune(struct cli *cli, const struct prune_args *args,
                 const struct show_filters *filters, const struct cache_limits *limits,
                 struct err *e)
{
    struct prune p = { .cli = cli };
    autostr size = STR_INIT(64);
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    if (r >= 0)
        r = remove_images(&p, db, args, filters, e);
    if (r >= 0)
        r = remove_rest(&p, db, limits, e);
    if (r < 0)
        return r;
    tell_pruned(db, p.freed);
    human_size(p.freed, &size);
    fprintf(cli->out, "%sTotal reclaimed space: %s\n", p.some ? "\n" : "", str_c(&size));
    return 0;
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
    .opts = prune_opts,
    .args_size = sizeof(struct prune_args),
    .run = prune_run,
};
