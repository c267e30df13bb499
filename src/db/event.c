#include "db/event.h"

#include "util/str.h"
#include "util/time.h"
#include "util/utf8.h"

#include <string.h>

/* Command lines are bytes, and without end. */
static void put_action(struct str *out, const char *text)
{
    size_t left = strlen(text);

    while (left && out->len < EVENT_ACTION_MAX) {
        size_t n = utf8_len(text, left);

        (void)(n ? str_add(out, text, n) : str_adds(out, "\xef\xbf\xbd")); /* see failed */
        n = n ? n : 1;
        text += n;
        left -= n;
    }
}

/* A JSON object of strings. Each byte becomes up to six. */
static void put_attributes(struct str *out, const struct event *ev)
{
    str_addc(out, '{');
    for (size_t i = 0; i < ev->attrs_n; i++) {
        const struct event_attr *a = &ev->attrs[i];
        const char *value = a->value ? a->value : "";
        size_t before = out->len;

        if (strlen(a->key) + strlen(value) > EVENT_ATTRIBUTES_MAX)
            continue;
        if (out->len > 1)
            str_addc(out, ',');
        utf8_put_json(out, a->key);
        str_addc(out, ':');
        utf8_put_json(out, value);
        if (out->len >= EVENT_ATTRIBUTES_MAX && !out->failed)
            out->p[out->len = before] = '\0';
    }
    str_addc(out, '}');
}

/* In bundles: the oldest rows lie on other pages than the new one, and every page costs. */
static int prune(struct db *db, struct err *e)
{
    int64_t seq = sqlite3_last_insert_rowid(db->sql);
    int r;

    if (seq % EVENT_PRUNE_EVERY != 0)
        return 0;
    r = db_exec(db, e, "DELETE FROM events WHERE seq <= ?1", "l", seq - EVENT_KEEP);
    return r < 0 ? r : 0;
}

int event_add(struct db *db, const struct event *ev, struct err *e)
{
    autostr attributes = STR_INIT(0), action = STR_INIT(0);
    int r;

    put_attributes(&attributes, ev);
    put_action(&action, ev->action);
    if (attributes.failed || action.failed)
        return err_set(e, ERR_LIMIT, "The event's attributes are too long");
    r = db_exec(db, e,
                "INSERT INTO events (time_ns, type, action, actor_id, attributes)"
                " VALUES (?1, ?2, ?3, ?4, ?5)",
                "lssss", ev->time_ns ? ev->time_ns : time_real_ns(), ev->type, str_c(&action),
                ev->actor_id, str_c(&attributes));
    return r < 0 ? r : prune(db, e);
}
