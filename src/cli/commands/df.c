#include "cli/disk_usage.h"
#include "cli/output.h"
#include "db/db.h"

struct df_args {
    bool verbose;
    const char *format;
};

static const struct opt df_opts[] = {
    OPT_STR(0, "format", "FORMAT", struct df_args, format,
            "table, table TEMPLATE, json, or a Go template"),
    OPT_FLAG('v', "verbose", struct df_args, verbose, "Every image, box and root file system"),
    { .type = OPT_END },
};

static const struct show_column columns[] = {
    { "Type", "TYPE" }, { "TotalCount", "TOTAL" },        { "Active", "ACTIVE" },
    { "Size", "SIZE" }, { "Reclaimable", "RECLAIMABLE" }, { NULL, NULL },
};

static const struct show_table df_table = {
    .fallback = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    .columns = columns,
};

static int summary(struct cli *cli, struct db *db, const char *format, struct err *e)
{
    autoptr(show_list) out = NULL;
    json_t *rows = NULL;
    int r;

    r = cli_format(cli, &df_table, format, &out, e);
    if (r >= 0)
        r = disk_usage_summary(cli, db, &rows, e);
    if (r >= 0)
        r = show_list_print(out, rows, cli->out, e);
    json_decref(rows);
    return r;
}

struct section {
    const char *key, *title;
    struct show_table table;
};

static const struct show_column image_columns[] = {
    { "Repository", "REPOSITORY" },  { "Tag", "TAG" },          { "ID", "IMAGE ID" },
    { "CreatedSince", "CREATED" },   { "Size", "SIZE" },        { "SharedSize", "SHARED SIZE" },
    { "UniqueSize", "UNIQUE SIZE" }, { "Containers", "BOXES" }, { NULL, NULL },
};
static const struct show_column box_columns[] = {
    { "ID", "BOX ID" },          { "Image", "IMAGE" },
    { "Command", "COMMAND" },    { "Size", "SIZE" },
    { "RunningFor", "CREATED" }, { "Status", "STATUS" },
    { "Names", "NAMES" },        { NULL, NULL },
};
static const struct show_column rootfs_columns[] = {
    { "ID", "CHAIN ID" }, { "Size", "SIZE" },    { "LastUsedSince", "LAST USED" },
    { "Boxes", "BOXES" }, { "InUse", "IN USE" }, { NULL, NULL },
};

static const struct section sections[] = {
    { "Images",
      "Images space usage:",
      { "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t"
        "{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
        image_columns, NULL } },
    { "Boxes",
      "Boxes space usage:",
      { "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t"
        "{{.Names}}",
        box_columns, NULL } },
    { "RootfsCache",
      "Root file systems space usage:",
      { "table {{.ID}}\t{{.Size}}\t{{.LastUsedSince}}\t{{.Boxes}}\t{{.InUse}}", rootfs_columns,
        NULL } },
};

static int print_sections(struct cli *cli, const json_t *all, struct err *e)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_LEN(sections); i++) {
        autoptr(show_list) out = NULL;

        fprintf(cli->out, "%s%s\n\n", i ? "\n" : "", sections[i].title);
        r = show_list_parse(&sections[i].table, NULL, &out, e);
        if (r >= 0)
            r = show_list_print(out, json_object_get(all, sections[i].key), cli->out, e);
    }
    return r;
}

static int details(struct cli *cli, struct db *db, const char *format, struct err *e)
{
    autoptr(show_template) t = NULL;
    json_t *all = NULL;
    int r;

    r = cli_template(cli, format, &t, e);
    if (r >= 0)
        r = disk_usage_details(cli, db, &all, e);
    if (r >= 0 && t)
        r = cli_print_template(cli, t, &(struct show_exec){ .data = all, .missing_error = true },
                               e);
    else if (r >= 0)
        r = print_sections(cli, all, e);
    json_decref(all);
    return r;
}

static int df_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv UNUSED,
                  struct err *e)
{
    const struct df_args *args = own_args;
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    if (r < 0)
        return r;
    return args->verbose ? details(cli, db, args->format, e) : summary(cli, db, args->format, e);
}

const struct command cmd_df = {
    .name = "df",
    .synopsis = "[OPTIONS]",
    .summary = "Show what images, boxes and caches take on the disk",
    .details =
        "Sizes are what the disk really holds; what images share counts once. Reclaimable\n"
        "is what can go without a box missing it. Fields of a template: .Active\n"
        ".Reclaimable .Size .TotalCount .Type; with --verbose: .Boxes .Images\n"
        ".RootfsCache\n",
    .group = GROUP_SYSTEM,
    .opts = df_opts,
    .args_size = sizeof(struct df_args),
    .run = df_run,
};
