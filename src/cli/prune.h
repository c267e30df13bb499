/* Removing what is not used: for image-prune and system-prune. */
#pragma once

#include "cli/command.h"
#include "oci/cache.h"
#include "show/filter.h"

struct prune {
    struct cli *cli;
    struct db *db;
    const struct show_filters *filters; /* label, label!, until; of images dangling, too */
    bool all_images;                    /* not only those without a name */
    struct cache_limits limits;         /* what the store may keep */
    uint64_t freed;                     /* so far: bytes of the disk */
};

/* Both print what they remove, under docker's titles, each followed by an empty line; and both
 * leave an event with docker's action "prune". What is used, or was just removed by somebody
 * else, is left alone. */

/* Boxes that do not run; without filters, also directories that belong to no box. */
int prune_boxes(struct prune *p, struct err *e) MUST_CHECK;
/* Images; then what broken downloads and killed programs left, and root file systems beyond the
 * limits. */
int prune_images(struct prune *p, struct err *e) MUST_CHECK;

/* The last line. */
void prune_total(const struct prune *p);
