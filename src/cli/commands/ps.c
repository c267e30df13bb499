#include "cli/box_filter.h"
#include "cli/box_row.h"
#include "cli/output.h"
#include "util/time.h"

struct ps_args {
    bool all, quiet, latest, no_trunc, size;
    int last;
    const char *format;
    struct str_list filters;
};

static const struct opt ps_opts[] = {
    OPT_FLAG('a', "all", struct ps_args, all, "Show stopped boxes too"),
    OPT_LIST('f', "filter", "KEY=VALUE", struct ps_args, filters,
             "Only matching boxes: ancestor, before, exited, health, id, label, name, network, "
             "since, status"),
    OPT_STR(0, "format", "FORMAT", struct ps_args, format,
            "table, table TEMPLATE, json, or a Go template"),
    OPT_INT('n', "last", "N", struct ps_args, last, "Only the N newest boxes, stopped ones too"),
    OPT_FLAG('l', "latest", struct ps_args, latest, "Only the newest box, stopped ones too"),
    OPT_FLAG(0, "no-trunc", struct ps_args, no_trunc, "Do not shorten ids and commands"),
    OPT_FLAG('q', "quiet", struct ps_args, quiet, "Only ids"),
    OPT_FLAG('s', "size", struct ps_args, size, "Show the size of the writable layer"),
    { .type = OPT_END },
};

static bool shown(const struct ps_args *args, const struct show_filters *filters,
                  const struct box_brief *box)
{
    return args->all || args->last >= 0 || show_filters_has(filters, "status") ||
           (box_state_is_live(box->state) && box->state != BOX_STARTING);
}

static int add_row(struct show_list *out, const struct box_brief *box,
                   const struct box_row_how *how, struct err *e)
{
    json_t *row = box_row(box, how);
    int r = row ? show_list_add(out, row, e) : err_set(e, ERR_LIMIT, "Out of memory");

    json_decref(row);
    return r;
}

/* The rows to print, newest first. */
static int collect(struct cli *cli, const struct ps_args *args, struct show_list *out,
                   struct err *e)
{
    struct box_row_how how = {
        .now_ns = time_real_ns(),
        .no_trunc = args->no_trunc,
        .size = args->size || show_list_use(out, "Size") == SHOW_NAMED, /* as docker's */
        .home = cli->home,
        .fields = box_row_fields(out),
    };
    struct show_filters filters;
    struct box_list list = { 0 };
    struct box_filter filter;
    autoptr(db) db = NULL;
    int left = args->last >= 0 ? args->last : -1, r;

    r = show_filters_parse(args->filters.v, args->filters.n, box_filter_keys, &filters, e);
    if (r >= 0)
        r = db_open(cli->home, &db, e);
    if (r >= 0)
        r = box_list(db, cli->home, &list, e);
    if (r >= 0)
        r = box_filter_init(&filter, &filters, &list, e);
    for (size_t i = 0; r >= 0 && i < list.n && left; i++) {
        if (!shown(args, &filters, &list.v[i]) || !box_filter_match(&filter, &list.v[i]))
            continue;
        left -= left > 0;
        r = add_row(out, &list.v[i], &how, e);
    }
    box_list_done(&list);
    return r;
}

static const char *choose_format(const struct ps_args *args)
{
    if (args->format)
        return args->format;
    if (args->quiet)
        return "{{.ID}}";
    if (args->size)
        return "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t"
               "{{.Ports}}\t{{.Names}}\t{{.Size}}";
    return NULL;
}

static int ps_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv UNUSED,
                  struct err *e)
{
    struct ps_args args = *(const struct ps_args *)own_args;
    autoptr(show_list) list = NULL;
    int r;

    if (args.latest)
        args.last = 1;
    r = cli_format(cli, &box_table, choose_format(&args), &list, e);
    if (r >= 0)
        r = collect(cli, &args, list, e);
    return r < 0 ? r : show_list_end(list, cli->out, e);
}

static const struct ps_args ps_defaults = { .last = -1 };

const struct command cmd_ps = {
    .name = "ps",
    .sub_name = "ls",
    .synopsis = "[OPTIONS]",
    .summary = "List boxes",
    .details = "Fields of a template: .Command .CreatedAt .ID .Image .Label \"KEY\" .Labels\n"
               ".LocalVolumes .Mounts .Names .Networks .Platform .Ports .RunningFor .Size\n"
               ".State .Status\n",
    .group = GROUP_LOOK,
    .opts = ps_opts,
    .args_size = sizeof(struct ps_args),
    .defaults = &ps_defaults,
    .run = ps_run,
};
