/* save*.c only. */
#pragma once

#include "oci/content.h"

struct save_image {
    struct content content;
    char **names; /* full references with tag; owned */
    size_t names_n;
};

struct save {
    const char *home; /* borrowed */
    struct save_image *v;
    size_t n;
};

/* The three lists at the end of the archive; the caller owns them. NULL without memory. */
json_t *save_index(const struct save *s);        /* index.json */
json_t *save_manifest(const struct save *s);     /* manifest.json */
json_t *save_repositories(const struct save *s); /* repositories */

/* Everything, as a tar. */
int save_write(const struct save *s, int fd, struct err *e) MUST_CHECK;
