/* A box as a row of `stats`: docker's fields, and what the machine costs the host. */
#pragma once

#include "box/stats.h"
#include "show/table.h"

extern const struct show_table stats_table;

/* One look at a box. Zero: nothing is known. */
struct stats_sample {
    struct container_stats guest;
    struct box_host_stats host;
};

struct stats_view {
    const char *given; /* what the user called it; NULL: its id */
    const char *id, *name;
    struct stats_sample last, now; /* rates are what happened in between */
    bool no_trunc;
};

/* The caller owns the result; NULL without memory. What is not known shows as "--". */
json_t *stats_row(const struct stats_view *v);
