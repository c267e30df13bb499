#include "cli/images.h"
#include "cli/output.h"
#include "db/db.h"
#include "util/time.h"

struct images_args {
    bool all, digests, no_trunc, quiet;
    const char *format;
    struct str_list filters;
};

static const struct opt images_opts[] = {
    OPT_FLAG('a', "all", struct images_args, all, "All images (there are no hidden ones)"),
    OPT_FLAG(0, "digests", struct images_args, digests, "Show digests"),
    OPT_LIST('f', "filter", "KEY=VALUE", struct images_args, filters,
             "Only matching images: before, dangling, label, reference, since, until"),
    OPT_STR(0, "format", "FORMAT", struct images_args, format,
            "table, table TEMPLATE, json, or a Go template"),
    OPT_FLAG(0, "no-trunc", struct images_args, no_trunc, "Do not shorten ids"),
    OPT_FLAG('q', "quiet", struct images_args, quiet, "Only ids"),
    { .type = OPT_END },
};

static const char *choose_format(const struct images_args *args)
{
    if (args->format)
        return args->format;
    if (args->quiet)
        return "{{.ID}}";
    if (args->digests)
        return "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t"
               "{{.Size}}";
    return NULL;
}

static int collect(struct cli *cli, const struct images_args *args, const char *only,
                   json_t *rows, struct err *e)
{
    struct image_list list = { 0 };
    struct show_filters filters;
    struct image_row_how how = { time_real_ns(), args->no_trunc, only, &filters };
    struct image_filter filter;
    autoptr(db) db = NULL;
    int r;

    r = show_filters_parse(args->filters.v, args->filters.n, image_filter_keys, &filters, e);
    if (r >= 0)
        r = db_open(cli->home, &db, e);
    if (r >= 0)
        r = image_filter_init(&filter, &filters, db, cli->home, e);
    if (r >= 0)
        r = image_list(db, cli->home, &list, e);
    for (size_t i = 0; r >= 0 && i < list.n; i++)
        if (image_filter_match(&filter, list.v[i]))
            r = image_rows(list.v[i], &how, rows, e);
    image_list_done(&list);
    return r;
}

static int images_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                      struct err *e)
{
    const struct images_args *args = own_args;
    autoptr(show_list) list = NULL;
    json_t *rows;
    int r;

    r = cli_format(cli, &image_table, choose_format(args), &list, e);
    if (r < 0)
        return r;
    rows = json_array();
    if (!rows)
        return err_set(e, ERR_LIMIT, "Out of memory");
    r = collect(cli, args, argv[0], rows, e);
    if (r >= 0)
        r = show_list_print(list, rows, cli->out, e);
    json_decref(rows);
    return r;
}

const struct command cmd_images = {
    .name = "images",
    .sub_name = "ls",
    .synopsis = "[OPTIONS] [REPOSITORY[:TAG]]",
    .summary = "List images",
    .details = "Fields of a template: .Containers .CreatedAt .CreatedSince .Digest .ID .Pulled\n"
               ".Reference .Repository .SharedSize .Size .Tag .UniqueSize .VirtualSize\n",
    .group = GROUP_IMAGE,
    .max_args = 1,
    .opts = images_opts,
    .args_size = sizeof(struct images_args),
    .run = images_run,
};
