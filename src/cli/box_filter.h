/* The filters of `ps`. */
#pragma once

#include "box/brief.h"
#include "show/filter.h"

/* Names of filters, ending with NULL. */
extern const char *const box_filter_keys[];

/* What filters refer to, looked up once. */
struct box_filter {
    const struct show_filters *filters;    /* borrowed */
    int64_t before_ns, since_ns, until_ns; /* 0: none */
};

/* Check the values, and look up the boxes that before= and since= name. Those of `prune` are
 * known as well: label!=, until= (a moment). */
int box_filter_init(struct box_filter *f, const struct show_filters *filters,
                    const struct box_list *all, struct err *e) MUST_CHECK;

bool box_filter_match(const struct box_filter *f, const struct box_brief *box);
