#include "cli/prune.h"

#include "box/box.h"
#include "cli/box_filter.h"
#include "cli/box_row.h"
#include "cli/images.h"
#include "db/event.h"
#include "oci/store.h"
#include "show/human.h"
#include "util/log.h"

#include <ctype.h>

/* Titles come when there is something to tell. */
struct section {
    struct prune *p;
    const char *title;
    bool begun;
};

static void begin(struct section *s)
{
    if (!s->begun)
        fprintf(s->p->cli->out, "%s:\n", s->title);
    s->begun = true;
}

/* What is gone is gone: that nobody is told is no failure. */
static void end(struct section *s, const char *type, uint64_t freed_before)
{
    char reclaimed[24];
    const struct event_attr attr = { "reclaimed", reclaimed };
    const struct event ev = {
        .type = type, .action = "prune", .actor_id = "", .attrs = &attr, .attrs_n = 1
    };
    struct err e;

    if (s->begun)
        fputc('\n', s->p->cli->out);
    (void)snprintf(reclaimed, sizeof(reclaimed), "%ju", s->p->freed - freed_before);
    if (event_add(s->p->db, &ev, &e) < 0)
        log_warn("event 'prune': %s", e.text);
}

/* ---- boxes ---- */

static int remove_box(struct section *s, const struct box_brief *b, struct err *e)
{
    struct prune *p = s->p;
    uint64_t bytes = box_disk_used(p->cli->home, b->id);
    autoptr(box) box = NULL;
    int r;

    r = box_find(p->db, p->cli->home, b->id, &box, e);
    if (r >= 0)
        r = box_remove(p->db, p->cli->home, box, e);
    if (r == -ERR_STATE || r == -ERR_NOT_FOUND) { /* it was started, or removed */
        err_clear(e);
        return 0;
    }
    if (r < 0)
        return r;
    begin(s);
    fprintf(p->cli->out, "%s\n", b->id);
    p->freed += bytes;
    return 0;
}

int prune_boxes(struct prune *p, struct err *e)
{
    struct section s = { .p = p, .title = "Deleted Containers" };
    struct box_list list = { 0 };
    uint64_t before = p->freed;
    struct box_filter filter;
    int r;

    r = box_list(p->db, p->cli->home, &list, e);
    if (r >= 0)
        r = box_filter_init(&filter, p->filters, &list, e);
    for (size_t i = 0; r >= 0 && i < list.n; i++)
        if (!box_state_is_live(list.v[i].state) && box_filter_match(&filter, &list.v[i]))
            r = remove_box(&s, &list.v[i], e);
    box_list_done(&list);
    if (r >= 0 && !p->filters->n)
        r = box_sweep(p->db, p->cli->home, &p->freed, e);
    end(&s, "container", before);
    return r < 0 ? r : 0;
}

/* ---- images ---- */

/* docker begins these lines with a small letter. */
static void print_line(void *ctx, const char *line)
{
    struct section *s = ctx;

    begin(s);
    fprintf(s->p->cli->out, "%c%s\n", tolower((unsigned char)line[0]), line + 1);
}

/* What boxes use stays; so does what somebody else has just removed. */
static int remove_image(struct section *s, const char *id, struct err *e)
{
    struct prune *p = s->p;
    autofd int lock = store_lock(p->cli->home, e);
    int r;

    if (lock < 0)
        return lock;
    r = image_evict(p->db, p->cli->home, id, print_line, s, &p->freed, e);
    if (r != -ERR_STATE && r != -ERR_NOT_FOUND)
        return r;
    err_clear(e);
    return 0;
}

static int remove_images(struct section *s, struct err *e)
{
    struct prune *p = s->p;
    bool all = p->all_images || show_filters_has(p->filters, "dangling");
    struct image_list list = { 0 };
    struct image_filter filter;
    int r;

    r = image_filter_init(&filter, p->filters, p->db, p->cli->home, e);
    if (r >= 0)
        r = image_list(p->db, p->cli->home, &list, e);
    for (size_t i = 0; r >= 0 && i < list.n; i++)
        if ((all || !list.v[i]->references[0]) && image_filter_match(&filter, list.v[i]))
            r = remove_image(s, list.v[i]->id, e);
    image_list_done(&list);
    return r;
}

static int remove_rest(struct prune *p, struct err *e)
{
    uint64_t swept = 0, trimmed = 0;
    int r;

    r = cache_sweep(p->db, p->cli->home, &swept, e);
    if (r == 0)
        r = cache_trim_rootfs(p->db, p->cli->home, &p->limits, &trimmed, e);
    p->freed += swept + trimmed;
    return r;
}

int prune_images(struct prune *p, struct err *e)
{
    struct section s = { .p = p, .title = "Deleted Images" };
    uint64_t before = p->freed;
    int r;

    r = remove_images(&s, e);
    if (r >= 0)
        r = remove_rest(p, e);
    end(&s, "image", before);
    return r < 0 ? r : 0;
}

void prune_total(const struct prune *p)
{
    autostr size = STR_INIT(64);

    human_size(p->freed, &size);
    fprintf(p->cli->out, "Total reclaimed space: %s\n", str_c(&size));
}
