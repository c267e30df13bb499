#include "cli/disk_usage.h"

#include "cli/box_row.h"
#include "cli/images.h"
#include "cli/output.h"
#include "oci/cache.h"
#include "show/human.h"
#include "util/time.h"

#include <string.h>

#define SHORT_ID 12

static void set_size(json_t *row, const char *key, uint64_t bytes)
{
    autostr text = STR_INIT(64);

    human_size(bytes, &text);
    cli_set(row, key, json_string(str_c(&text)));
}

static void add_part(json_t *rows, const char *type, const struct cache_part *part)
{
    json_t *row = json_object();
    autostr free_text = STR_INIT(64);

    cli_set(row, "Type", json_string(type));
    cli_set(row, "TotalCount", json_sprintf("%ju", (uintmax_t)part->n));
    cli_set(row, "Active", json_sprintf("%ju", (uintmax_t)part->active));
    set_size(row, "Size", part->bytes);
    human_size(part->free_bytes, &free_text);
    if (part->bytes)
        str_addf(&free_text, " (%ju%%)", (uintmax_t)(part->free_bytes * 100 / part->bytes));
    cli_set(row, "Reclaimable", json_string(str_c(&free_text)));
    (void)json_array_append_new(rows, row);
}

static void count_boxes(const char *home, const struct box_list *list, struct cache_part *part)
{
    part->n = list->n;
    for (size_t i = 0; i < list->n; i++) {
        uint64_t bytes = box_disk_used(home, list->v[i].id);
        bool live = box_state_is_live(list->v[i].state);

        part->active += live;
        part->bytes += bytes;
        part->free_bytes += live ? 0 : bytes;
    }
}

int disk_usage_summary(struct cli *cli, struct db *db, json_t **ret, struct err *e)
{
    struct cache_part boxes = { 0 };
    struct box_list list = { 0 };
    struct cache_usage usage;
    json_t *rows;
    int r;

    r = box_list(db, cli->home, &list, e); /* first: it corrects what the rest looks at */
    if (r >= 0)
        r = cache_usage(db, cli->home, &usage, e);
    if (r >= 0) {
        count_boxes(cli->home, &list, &boxes);
        rows = json_array();
        add_part(rows, "Images", &usage.images);
        add_part(rows, "Boxes", &boxes);
        add_part(rows, "Rootfs Cache", &usage.rootfs);
        add_part(rows, "Local Caches", &usage.local);
        *ret = rows;
    }
    box_list_done(&list);
    return r < 0 ? r : 0;
}

/* ---- one by one ---- */

static int add_image(json_t *rows, struct cli *cli, struct db *db, const struct image *img,
                     const struct image_row_how *how, struct err *e)
{
    size_t first = json_array_size(rows);
    struct image_usage usage;
    int r;

    r = image_usage(db, cli->home, img, &usage, e);
    if (r >= 0)
        r = image_rows(img, how, rows, e);
    for (size_t i = first; r >= 0 && i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);

        set_size(row, "Size", usage.bytes);
        set_size(row, "SharedSize", usage.shared_bytes);
        set_size(row, "UniqueSize", usage.bytes - usage.shared_bytes);
        cli_set(row, "Containers", json_sprintf("%ju", (uintmax_t)usage.boxes));
    }
    return r;
}

static int add_images(json_t *rows, struct cli *cli, struct db *db, struct err *e)
{
    const struct show_filters none = { .n = 0 };
    const struct image_row_how how = { .now_ns = time_real_ns(), .filters = &none };
    struct image_list list = { 0 };
    int r;

    r = image_list(db, cli->home, &list, e);
    for (size_t i = 0; r >= 0 && i < list.n; i++)
        r = add_image(rows, cli, db, list.v[i], &how, e);
    image_list_done(&list);
    return r;
}

static int add_boxes(json_t *rows, struct cli *cli, struct db *db, struct err *e)
{
    const struct box_row_how how = { .now_ns = time_real_ns(), .size = true, .home = cli->home };
    struct box_list list = { 0 };
    int r;

    r = box_list(db, cli->home, &list, e);
    for (size_t i = 0; r >= 0 && i < list.n; i++)
        if (json_array_append_new(rows, box_row(&list.v[i], &how)) < 0)
            r = err_set(e, ERR_LIMIT, "Out of memory");
    box_list_done(&list);
    return r;
}

static void add_rootfs(void *ctx, const struct rootfs_usage *usage)
{
    json_t *rows = ctx, *row = json_object();
    autostr since = STR_INIT(64);

    human_duration(time_real_ns() - usage->used_ns, &since);
    str_adds(&since, " ago");
    cli_set(row, "ID", json_stringn(usage->chain, SHORT_ID));
    set_size(row, "Size", usage->bytes);
    cli_set(row, "LastUsedSince", json_string(usage->used_ns ? str_c(&since) : "N/A"));
    cli_set(row, "Boxes", json_sprintf("%ju", (uintmax_t)usage->boxes));
    cli_set(row, "InUse", json_string(usage->live ? "true" : "false"));
    (void)json_array_append_new(rows, row);
}

int disk_usage_details(struct cli *cli, struct db *db, json_t **ret, struct err *e)
{
    json_t *images = json_array(), *boxes = json_array(), *rootfs = json_array();
    json_t *all =
        json_pack("{s:o, s:o, s:o}", "Images", images, "Boxes", boxes, "RootfsCache", rootfs);
    int r;

    r = all ? add_boxes(boxes, cli, db, e) : err_set(e, ERR_LIMIT, "Out of memory");
    if (r >= 0)
        r = add_images(images, cli, db, e);
    if (r >= 0)
        r = rootfs_each(db, cli->home, add_rootfs, rootfs, e);
    if (r < 0) {
        json_decref(all);
        return r;
    }
    *ret = all;
    return 0;
}
