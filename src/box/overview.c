#include "box/overview.h"

#include "box/brief.h"
#include "box/policy.h"
#include "box/record.h"
#include "db/schema.h"

#include <stdlib.h>
#include <string.h>

void box_overview_done(struct box_overview *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->v[i].name);
    free(o->v);
    *o = (struct box_overview){ 0 };
}

static int by_id(const void *a, const void *b)
{
    const struct box_overview_row *x = a, *y = b;

    return strcmp(x->id, y->id);
}

struct box_overview_row *box_overview_find(const struct box_overview *o, const char *id)
{
    struct box_overview_row key;

    (void)snprintf(key.id, sizeof(key.id), "%s", id);
    return o->n ? bsearch(&key, o->v, o->n, sizeof(*o->v), by_id) : NULL;
}

static int fill(const struct box_list *list, struct box_overview *ret, struct err *e)
{
    ret->v = calloc(list->n ? list->n : 1, sizeof(*ret->v));
    if (!ret->v)
        return err_os(e, "boxes");
    for (; ret->n < list->n; ret->n++) {
        struct box_overview_row *row = &ret->v[ret->n];

        memcpy(row->id, list->v[ret->n].id, sizeof(row->id));
        row->state = list->v[ret->n].state;
        row->name = strdup(list->v[ret->n].name);
        if (!row->name)
            return err_os(e, "boxes");
    }
    qsort(ret->v, ret->n, sizeof(*ret->v), by_id);
    return 0;
}

static int add_live(struct db *db, struct box_overview *o, struct err *e)
{
    struct box_overview_row *row;
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e,
                  "SELECT id, vm_pid, health FROM boxes WHERE state IN " DB_LIVE_STATES, "");
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        row = box_overview_find(o, stmt_text(&st, 0));
        if (!row) /* younger than the list */
            continue;
        row->vm_pid = (pid_t)stmt_i64(&st, 1);
        (void)snprintf(row->health, sizeof(row->health), "%s", stmt_text(&st, 2));
    }
    return r;
}

static int add_missing(struct db *db, struct box_overview *o, struct err *e)
{
    struct record_list found = { 0 };
    struct box_overview_row *row;
    int r;

    r = record_select(db,
                      "WHERE state IN ('dead', 'stopped') AND stopped_by_user = 0 AND"
                      " json_valid(spec) AND json_extract(spec, '$.restart_policy') IS NOT NULL",
                      NULL, &found, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < found.n; i++) {
        row = box_overview_find(o, found.v[i]->id);
        if (row)
            row->missing = restart_missing(found.v[i]);
    }
    record_list_done(&found);
    return 0;
}

int box_overview(struct db *db, const char *home, struct box_overview *ret, struct err *e)
{
    struct box_overview o = { 0 };
    struct box_list list = { 0 };
    int r;

    r = box_list(db, home, &list, e);
    if (r == 0)
        r = fill(&list, &o, e);
    box_list_done(&list);
    if (r == 0)
        r = add_live(db, &o, e);
    if (r == 0)
        r = add_missing(db, &o, e);
    if (r < 0)
        box_overview_done(&o);
    else
        *ret = o;
    return r;
}
