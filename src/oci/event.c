#include "oci/event.h"

#include "oci/ref.h"

#include <string.h>

int image_event(struct db *db, const char *action, const char *id, const char *reference,
                struct err *e)
{
    const char *name = reference ? ref_familiar_name(reference) : id;
    bool remote = !strcmp(action, "pull") || !strcmp(action, "push");
    const struct event_attr attr = { "name", name };
    const struct event ev = { .type = "image",
                              .action = action,
                              .actor_id = remote ? name : id,
                              .attrs = &attr,
                              .attrs_n = 1 };

    return event_add(db, &ev, e);
}
