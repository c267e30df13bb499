/*
 * What happened, for `events`: the table of the same name in state.db (docs/events.md).
 *
 * An event is added inside the transaction of the change it tells of: both are there, or neither.
 * `seq` counts the commits in their order, so whoever remembers the last one it has seen sees
 * every event once and in order, whatever the clock does. The oldest are dropped.
 */
#pragma once

#include "db/db.h"

#define EVENT_KEEP           10000 /* at least so many stay; some 3 MiB */
#define EVENT_PRUNE_EVERY    256   /* so many more may be there before they go */
#define EVENT_ACTION_MAX     1024
#define EVENT_ATTRIBUTES_MAX (16UL << 10) /* bytes of JSON: a box may have labels without end */

struct event_attr {
    const char *key, *value;
};

struct event {
    const char *type;     /* docker's: "container" (that is, a box), "image", ... */
    const char *action;   /* docker's: "start", "die", "exec_create: sh -c true"; cut after
                           * EVENT_ACTION_MAX bytes, and made UTF-8 */
    const char *actor_id; /* the full id of a box; of an image its reference or sha256:... */
    /* In any order, the important ones first: what does not fit EVENT_ATTRIBUTES_MAX is left out.
     * Bytes that are not UTF-8 become U+FFFD. All borrowed. */
    const struct event_attr *attrs;
    size_t attrs_n;
    int64_t time_ns; /* 0: now */
};

/* Add a row: one INSERT in the caller's transaction, or in one of its own when there is none.
 * Boxes: box_event() in box/event.h knows their attributes. */
int event_add(struct db *db, const struct event *ev, struct err *e) MUST_CHECK;
