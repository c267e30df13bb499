/* The boxes that `stats` looks at, from one look to the next. */
#pragma once

#include "box/brief.h"
#include "cli/stats_row.h"

struct stats_entry {
    char id[ID_LEN];
    const char *given; /* borrowed; NULL: not named */
    char *name;        /* owned */
    struct box *box;   /* its record; NULL: it does not run */
    int64_t started_ns;
    int fd;      /* the answer comes here; -1: none is awaited */
    bool silent; /* it did not answer the last time */
    struct stats_sample last, now;
};

struct stats_watch {
    struct db *db; /* borrowed */
    const char *home;
    bool all;   /* also those that do not run */
    bool named; /* only those that were named */
    struct stats_entry *v;
    size_t n;
};

void stats_watch_done(struct stats_watch *w);

/* Watch the named boxes, in this order. NOT_FOUND when there is no such box. */
int stats_watch_named(struct stats_watch *w, char **names, struct err *e) MUST_CHECK;

/* Look at all boxes, those that have come included; those that have been removed go. A guest
 * that does not answer within `patience_ns` is not waited for. */
int stats_watch_look(struct stats_watch *w, uint64_t patience_ns, struct err *e) MUST_CHECK;
