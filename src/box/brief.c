#include "box/brief.h"

#include "box/record.h"

#include <string.h>

#define COLUMNS                                                                                  \
    "id, state, created_ns, started_ns, finished_ns, exit_code, shim_pid, shim_start, name, "    \
    "error, image, image_id, command, labels, network, platform, health, "                       \
    "(SELECT size_bytes FROM image_content c WHERE c.image_id = boxes.image_id), "               \
    "restart_count"
#define FIRST_TEXT 8
#define TEXTS      9
#define IMAGE_SIZE (FIRST_TEXT + TEXTS)
#define RESTARTS   (IMAGE_SIZE + 1)

void box_list_done(struct box_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i].text);
    free(list->v);
    *list = (struct box_list){ 0 };
}

void box_command(const struct box_spec *spec, struct str *out)
{
    for (size_t i = 0; i < spec->entrypoint.n; i++)
        str_addf(out, "%s%s", out->len ? " " : "", spec->entrypoint.v[i]);
    for (size_t i = 0; i < spec->cmd.n; i++)
        str_addf(out, "%s%s", out->len ? " " : "", spec->cmd.v[i]);
}

void box_labels(const struct box_spec *spec, struct str *out)
{
    autofree char *text =
        json_object_size(spec->labels) ? json_dumps(spec->labels, JSON_COMPACT) : strdup("");

    if (!text || !str_adds(out, text))
        out->failed = true;
}

/* All texts of a row in one piece of memory. */
static int read_texts(struct stmt *st, struct box_brief *b, struct err *e)
{
    const char **const members[TEXTS] = { &b->name,     &b->error,    &b->image,
                                          &b->image_id, &b->command,  &b->labels,
                                          &b->network,  &b->platform, &b->health };
    size_t len[TEXTS], total = 0;
    const char *from[TEXTS];
    char *p;

    for (size_t i = 0; i < TEXTS; i++) {
        from[i] = stmt_text(st, FIRST_TEXT + (int)i);
        len[i] = strlen(from[i]) + 1;
        total += len[i];
    }
    p = b->text = malloc(total);
    if (!p)
        return err_os(e, "box list");
    for (size_t i = 0; i < TEXTS; i++) {
        *members[i] = memcpy(p, from[i], len[i]);
        p += len[i];
    }
    return 0;
}

static int read_row(struct stmt *st, struct box_brief *ret, struct err *e)
{
    struct box_brief b = { 0 };
    int r;

    (void)snprintf(b.id, sizeof(b.id), "%s", stmt_text(st, 0));
    r = box_state_parse(stmt_text(st, 1), &b.state, e);
    if (r < 0)
        return err_ctx(e, "box %.12s", b.id);
    b.created_ns = stmt_i64(st, 2);
    b.started_ns = stmt_i64(st, 3);
    b.finished_ns = stmt_i64(st, 4);
    b.exit_code = (int)stmt_i64(st, 5);
    b.restart_count = (uint64_t)stmt_i64(st, RESTARTS);
    b.image_bytes = (uint64_t)stmt_i64(st, IMAGE_SIZE);
    r = read_texts(st, &b, e);
    if (r == 0)
        *ret = b;
    return r;
}

/* Look again after reconciling. Returns 1, or 0 when it is gone. */
static int read_again(struct db *db, struct box_brief *b, struct err *e)
{
    autostmt st = { 0 };
    struct box_brief now;
    int r;

    r = stmt_open(db, &st, e, "SELECT " COLUMNS " FROM boxes WHERE id = ?1", "s", b->id);
    if (r == 0)
        r = stmt_step(&st, e);
    if (r <= 0)
        return r;
    r = read_row(&st, &now, e);
    if (r < 0)
        return r;
    free(b->text);
    *b = now;
    return 1;
}

/* Who should own this row, and is that process there? Most rows need no look at all. */
static bool is_settled(struct stmt *st, const struct box_brief *b)
{
    struct box owner = { .state = b->state,
                         .created_ns = b->created_ns,
                         .shim_pid = (pid_t)stmt_i64(st, 6),
                         .shim_start = (uint64_t)stmt_i64(st, 7) };

    if (!box_state_is_live(b->state) && b->state != BOX_REMOVING)
        return true;
    return !record_is_unmade(&owner) && record_owner_lives(&owner);
}

struct all {
    struct box_list list;
    bool *unsettled; /* for each: its owner is gone, or it is being made */
};

static int add(struct all *all, struct stmt *st, struct err *e)
{
    size_t n = all->list.n, want = n ? n * 2 : 64;
    void *v = all->list.v, *unsettled = all->unsettled;

    if (!(n & (n - 1)) && (!n || n >= 64)) { /* full at every power of two */
        v = realloc(v, want * sizeof(*all->list.v));
        all->list.v = v ? v : all->list.v;
        unsettled = realloc(unsettled, want * sizeof(*all->unsettled));
        all->unsettled = unsettled ? unsettled : all->unsettled;
    }
    if (!v || !unsettled)
        return err_os(e, "box list");
    if (read_row(st, &all->list.v[n], e) < 0)
        return -(int)e->kind;
    all->unsettled[n] = !is_settled(st, &all->list.v[n]);
    all->list.n++;
    return 0;
}

static int read_all(struct db *db, struct all *all, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e,
                  "SELECT " COLUMNS " FROM boxes ORDER BY created_ns DESC, rowid DESC", "");
    while (r >= 0 && (r = stmt_step(&st, e)) > 0)
        r = add(all, &st, e);
    return r;
}

/* Returns 1 when the box is there (and reads it again), 0 when not. */
static int settle(struct db *db, const char *home, struct box_brief *b, struct err *e)
{
    struct record_list found = { 0 };
    int r;

    r = record_select(db, "WHERE id = ?1", b->id, &found, e);
    if (r == 0 && found.n)
        r = box_reconcile(db, home, found.v[0], e);
    record_list_done(&found);
    return r > 0 ? read_again(db, b, e) : r;
}

int box_list(struct db *db, const char *home, struct box_list *ret, struct err *e)
{
    struct all all = { 0 };
    size_t kept = 0;
    int r;

    r = read_all(db, &all, e);
    for (size_t i = 0; i < all.list.n; i++) {
        struct box_brief *b = &all.list.v[i];
        bool keep = !all.unsettled[i];

        if (!keep && r >= 0) {
            r = settle(db, home, b, e);
            keep = r > 0;
        }
        if (keep)
            all.list.v[kept++] = *b;
        else
            free(b->text);
    }
    all.list.n = kept;
    free(all.unsettled);
    if (r < 0)
        box_list_done(&all.list);
    else
        *ret = all.list;
    return r < 0 ? r : 0;
}
