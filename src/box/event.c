#include "box/event.h"

#include <string.h>

#define FIXED 2 /* image and name */

int box_event(struct db *db, const struct box *box, const char *action,
              const struct event_attr *extra, size_t extra_n, struct err *e)
{
    size_t labels = json_object_size(box->spec.labels), n = 0;
    autofree struct event_attr *attrs = calloc(FIXED + extra_n + labels, sizeof(*attrs));
    struct event ev = {
        .type = "container", .action = action, .actor_id = box->id, .attrs = attrs
    };
    const char *key;
    json_t *value;

    if (!attrs)
        return err_os(e, "event");
    attrs[n++] = (struct event_attr){ "image", box->spec.image };
    attrs[n++] = (struct event_attr){ "name", box->name };
    for (size_t i = 0; i < extra_n; i++)
        attrs[n++] = extra[i];
    json_object_foreach(box->spec.labels, key, value)
    {
        bool taken = false;

        for (size_t i = 0; i < FIXED + extra_n; i++)
            taken = taken || !strcmp(attrs[i].key, key);
        if (!taken) /* a label cannot pose as the name of a box */
            attrs[n++] = (struct event_attr){ key, json_string_value(value) };
    }
    ev.attrs_n = n;
    return event_add(db, &ev, e);
}

int box_event_now(const char *home, const struct box *box, const char *action,
                  const struct event_attr *extra, size_t extra_n, struct err *e)
{
    autoptr(db) db = NULL;
    int r = db_open(home, &db, e);

    return r < 0 ? r : box_event(db, box, action, extra, extra_n, e);
}
