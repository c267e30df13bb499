/*
 * All boxes as `monitor` looks at them: which there are, how they are, and which of them should
 * run and do not.
 */
#pragma once

#include "box/box.h"

struct box_overview_row {
    char id[ID_LEN];
    char *name; /* owned */
    enum box_state state;
    pid_t vm_pid;    /* of a box that runs, else 0 */
    char health[16]; /* "healthy", "unhealthy", "starting"; "" without a check */
    bool missing;    /* its policy wants it to run, nobody has stopped it, and it has no shim */
};

struct box_overview {
    struct box_overview_row *v; /* owned, sorted by id */
    size_t n;
};

void box_overview_done(struct box_overview *o);

/* Records are brought in line with reality first, as by box_find(). */
int box_overview(struct db *db, const char *home, struct box_overview *ret,
                 struct err *e) MUST_CHECK;

/* By id; NULL when it is not there. */
struct box_overview_row *box_overview_find(const struct box_overview *o, const char *id);
