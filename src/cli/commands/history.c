#include "cli/images.h"
#include "cli/log_view.h"
#include "cli/output.h"
#include "db/db.h"
#include "oci/cache.h"
#include "show/human.h"
#include "util/time.h"

#include <string.h>

#define SHORT_ID   12
#define SHORT_TEXT 45

struct history_args {
    bool human, no_trunc, quiet;
    const char *format;
};

static const struct opt history_opts[] = {
    OPT_STR(0, "format", "FORMAT", struct history_args, format,
            "table, table TEMPLATE, json, or a Go template"),
    OPT_FLAG('H', "human", struct history_args, human,
             "Sizes and times for people (default true)"),
    OPT_FLAG(0, "no-trunc", struct history_args, no_trunc, "Do not shorten anything"),
    OPT_FLAG('q', "quiet", struct history_args, quiet, "Only ids"),
    { .type = OPT_END },
};

static const struct show_column columns[] = {
    { "ID", "IMAGE" },
    { "CreatedSince", "CREATED" },
    { "CreatedAt", "CREATED AT" },
    { "CreatedBy", "CREATED BY" },
    { "Size", "SIZE" },
    { "Comment", "COMMENT" },
    { NULL, NULL },
};

static const struct show_table history_table = {
    .fallback = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    .columns = columns,
};

static const char *choose_format(const struct history_args *args)
{
    if (args->format)
        return args->format;
    if (args->quiet)
        return "{{.ID}}";
    return args->human ? NULL
                       : "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
}

static const char *member(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));

    return text ? text : "";
}

static void set_created(json_t *row, const json_t *entry, int64_t now)
{
    autostr since = STR_INIT(64);
    char at[TIME_RFC3339_LEN];
    struct err ignored;
    int64_t ns = 0;

    if (log_moment(member(entry, "created"), now, &ns, &ignored) < 0 || ns <= 0) {
        cli_set(row, "CreatedAt", json_string("N/A"));
        cli_set(row, "CreatedSince", json_string("N/A"));
        return;
    }
    time_rfc3339(ns, at);
    memcpy(at + strlen("2026-11-22T13:33:16"), "Z", 2); /* docker shows whole seconds */
    human_duration(now - ns, &since);
    str_adds(&since, " ago");
    cli_set(row, "CreatedAt", json_string(at));
    cli_set(row, "CreatedSince", json_string(str_c(&since)));
}

static void set_command(json_t *row, const json_t *entry, bool no_trunc)
{
    autofree char *text = strdup(member(entry, "created_by"));
    autostr out = STR_INIT(1 << 20);

    for (char *p = text; p && *p; p++)
        if (*p == '\t')
            *p = ' ';
    if (text && no_trunc)
        str_adds(&out, text);
    else if (text)
        human_ellipsis(text, SHORT_TEXT, &out);
    cli_set(row, "CreatedBy", json_string(str_c(&out)));
}

static void set_size(json_t *row, uint64_t bytes, bool human)
{
    autostr out = STR_INIT(64);

    if (human)
        human_size_short(bytes, &out);
    else
        str_addf(&out, "%ju", (uintmax_t)bytes);
    cli_set(row, "Size", json_string(str_c(&out)));
}

static int add_row(struct show_list *out, const json_t *entry, const char *id, uint64_t bytes,
                   const struct history_args *args, struct err *e)
{
    json_t *row = json_object();
    int r;

    cli_set(row, "ID", json_string(id));
    set_created(row, entry, time_real_ns());
    set_command(row, entry, args->no_trunc);
    set_size(row, bytes, args->human);
    cli_set(row, "Comment", json_string(member(entry, "comment")));
    r = show_list_add(out, row, e);
    json_decref(row);
    return r;
}

/* Newest first. Layers that no entry tells about (a history may be short, or absent) come on
 * top, with nothing but their size. */
static int add_rows(struct show_list *out, const struct image *img, const uint64_t *sizes,
                    size_t layers, const struct history_args *args, struct err *e)
{
    json_t *history = json_object_get(img->config, "history");
    autofree char *id =
        args->no_trunc ? strdup(img->id) : strndup(img->id + strlen("sha256:"), SHORT_ID);
    size_t entries = json_array_size(history), told = 0, left = layers;
    int r = id ? 0 : err_os(e, "history");

    for (size_t i = 0; i < entries; i++)
        told += !json_is_true(json_object_get(json_array_get(history, i), "empty_layer"));
    for (; r >= 0 && left > told; left--)
        r = add_row(out, NULL, left == layers ? id : "<missing>", sizes[left - 1], args, e);
    for (size_t i = entries; r >= 0 && i-- > 0;) {
        const json_t *entry = json_array_get(history, i);
        bool empty = json_is_true(json_object_get(entry, "empty_layer")) || left == 0;
        bool top = i + 1 == entries && layers <= told;

        r = add_row(out, entry, top ? id : "<missing>", empty ? 0 : sizes[--left], args, e);
    }
    return r;
}

/* Sizes are known since the image came in; of older databases they are found out now. */
static int layer_sizes(struct cli *cli, struct db *db, const struct image *img, uint64_t **ret,
                       size_t *ret_n, struct err *e)
{
    const char *words[] = { "rebuild", img->id, NULL };
    size_t layers =
        json_array_size(json_object_get(json_object_get(img->config, "rootfs"), "diff_ids"));
    json_t *lines = NULL;
    int r;

    r = image_layer_sizes(db, img->id, ret, ret_n, e);
    if (r < 0 || *ret_n == layers)
        return r;
    free(*ret);
    *ret = NULL;
    r = cli_image_worker(cli, words, -1, &lines, e);
    json_decref(lines);
    return r < 0 ? r : image_layer_sizes(db, img->id, ret, ret_n, e);
}

static int history_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                       struct err *e)
{
    const struct history_args *args = own_args;
    autoptr(show_list) out = NULL;
    autofree uint64_t *sizes = NULL;
    autoptr(image) img = NULL;
    autoptr(db) db = NULL;
    size_t layers = 0;
    int r;

    r = cli_format(cli, &history_table, choose_format(args), &out, e);
    if (r >= 0)
        r = db_open(cli->home, &db, e);
    if (r >= 0)
        r = image_lookup(db, cli->home, argv[0], &img, e);
    if (r >= 0)
        r = layer_sizes(cli, db, img, &sizes, &layers, e);
    if (r >= 0)
        r = add_rows(out, img, sizes, layers, args, e);
    return r < 0 ? r : show_list_end(out, cli->out, e);
}

static const struct history_args history_defaults = { .human = true };

const struct command cmd_history = {
    .name = "history",
    .synopsis = "[OPTIONS] IMAGE",
    .summary = "Show how an image was made, newest layer first",
    .details = "Fields of a template: .Comment .CreatedAt .CreatedBy .CreatedSince .ID .Size\n",
    .group = GROUP_IMAGE,
    .arg = ARG_IMAGE1,
    .min_args = 1,
    .max_args = 1,
    .opts = history_opts,
    .args_size = sizeof(struct history_args),
    .defaults = &history_defaults,
    .run = history_run,
};
