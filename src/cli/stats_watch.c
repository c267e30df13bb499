#include "cli/stats_watch.h"

#include "util/time.h"

#include <string.h>

#define SILENT_NS (2 * NS_PER_S) /* for one that did not answer the last time */

static void entry_done(struct stats_entry *en)
{
    box_free(en->box);
    close_fd(&en->fd);
    free(en->name);
}

void stats_watch_done(struct stats_watch *w)
{
    for (size_t i = 0; i < w->n; i++)
        entry_done(&w->v[i]);
    free(w->v);
    w->v = NULL;
    w->n = 0;
}

static int add(struct stats_watch *w, const char *id, const char *given, struct err *e)
{
    struct stats_entry *v = reallocarray(w->v, w->n + 1, sizeof(*v));

    if (!v)
        return err_os(e, "stats");
    w->v = v;
    v[w->n] = (struct stats_entry){ .given = given, .fd = -1 };
    memcpy(v[w->n++].id, id, ID_LEN);
    return 0;
}

static struct stats_entry *find(const struct stats_watch *w, const char *id)
{
    for (size_t i = 0; i < w->n; i++)
        if (!memcmp(w->v[i].id, id, ID_LEN))
            return &w->v[i];
    return NULL;
}

int stats_watch_named(struct stats_watch *w, char **names, struct err *e)
{
    int r = 0;

    w->named = true;
    for (; r == 0 && *names; names++) {
        autoptr(box) box = NULL;

        r = box_find(w->db, w->home, *names, &box, e);
        if (r >= 0)
            r = find(w, box->id) ? 0 : add(w, box->id, *names, e);
    }
    return r < 0 ? r : 0;
}

/* ---- who is there ---- */

static bool runs(const struct box_brief *b)
{
    return box_state_is_live(b->state) && b->state != BOX_STARTING;
}

static int update_one(struct stats_watch *w, struct stats_entry *en, const struct box_brief *b,
                      struct err *e)
{
    bool again = en->started_ns != b->started_ns; /* another shim, another machine */
    int r = 0;

    if (!en->name || strcmp(en->name, b->name) != 0) {
        free(en->name);
        en->name = strdup(b->name);
        if (!en->name)
            return err_os(e, "stats");
    }
    if (again || !runs(b)) {
        box_free(en->box);
        en->box = NULL;
        en->now = (struct stats_sample){ .host = { 0 } };
    }
    en->started_ns = b->started_ns;
    if (runs(b) && !en->box)
        r = box_find(w->db, w->home, b->id, &en->box, e);
    if (r == -ERR_NOT_FOUND) { /* removed since the list was made */
        err_clear(e);
        r = 0;
    }
    return r < 0 ? r : 0;
}

static const struct box_brief *in_list(const struct box_list *list, const char *id)
{
    for (size_t i = 0; i < list->n; i++)
        if (!strcmp(list->v[i].id, id))
            return &list->v[i];
    return NULL;
}

/* New ones come first, as in `ps`. */
static int add_new(struct stats_watch *w, const struct box_list *list, struct err *e)
{
    struct stats_watch fresh = { .n = 0 };
    struct stats_entry *old;
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->n; i++) {
        const struct box_brief *b = &list->v[i];

        if (!w->all && !runs(b))
            continue;
        r = add(&fresh, b->id, NULL, e);
        old = r == 0 ? find(w, b->id) : NULL;
        if (old) {
            fresh.v[fresh.n - 1] = *old;
            *old = (struct stats_entry){ .fd = -1 };
        }
    }
    for (size_t i = 0; i < w->n; i++)
        entry_done(&w->v[i]);
    free(w->v);
    w->v = fresh.v;
    w->n = fresh.n;
    return r;
}

static void drop(struct stats_watch *w, size_t i)
{
    entry_done(&w->v[i]);
    memmove(&w->v[i], &w->v[i + 1], (--w->n - i) * sizeof(*w->v));
}

static int update(struct stats_watch *w, struct err *e)
{
    struct box_list list = { 0 };
    int r;

    r = box_list(w->db, w->home, &list, e);
    if (r >= 0 && !w->named)
        r = add_new(w, &list, e);
    for (size_t i = 0; r >= 0 && i < w->n;) {
        const struct box_brief *b = in_list(&list, w->v[i].id);

        if (b)
            r = update_one(w, &w->v[i++], b, e);
        else
            drop(w, i);
    }
    box_list_done(&list);
    return r < 0 ? r : 0;
}

/* ---- what they use ---- */

/* A box that has ended in between, and a guest that hangs, show as unknown. */
static void ask(struct stats_watch *w)
{
    struct err ignored;

    for (size_t i = 0; i < w->n; i++) {
        struct stats_entry *en = &w->v[i];

        en->last = en->now;
        en->now = (struct stats_sample){ .host = { 0 } };
        if (en->box && box_stats_ask(w->home, en->box, &en->fd, &ignored) < 0)
            en->fd = -1;
    }
}

static void collect(struct stats_watch *w, uint64_t patience_ns)
{
    uint64_t now = time_mono_ns(), brief = patience_ns < SILENT_NS ? patience_ns : SILENT_NS;

    for (size_t i = 0; i < w->n; i++) {
        struct stats_entry *en = &w->v[i];
        struct err e = { 0 };

        if (!en->box)
            continue;
        box_stats_host(en->box, &en->now.host);
        if (en->fd >= 0 &&
            box_stats_get(en->box, take_fd(&en->fd), now + (en->silent ? brief : patience_ns),
                          &en->now.guest, &e) < 0)
            en->now.guest = (struct container_stats){ .uptime_ns = 0 };
        en->silent = e.kind == ERR_TIMEOUT;
    }
}

int stats_watch_look(struct stats_watch *w, uint64_t patience_ns, struct err *e)
{
    int r = update(w, e);

    if (r < 0)
        return r;
    ask(w);
    collect(w, patience_ns);
    return 0;
}
