/* A box as an image: the box's image, and a layer with what is different in the box. */
#pragma once

#include "oci/load.h"

struct commit_options {
    const char *home;
    const char *image_id;     /* whole */
    const char *reference;    /* or NULL */
    const char *author;       /* or NULL */
    const char *message;      /* history's comment, or NULL */
    const char **changes;     /* Dockerfile instructions, NULL-terminated, or NULL */
    const struct str *config; /* JSON: what of the box's configuration replaces the image's */
    struct store_limits limits;
};

/* `layer` is an uncompressed tar, read to its end; it is stored compressed with gzip. A layer
 * with nothing in it is left out, as docker does. On failure the store is as it was. */
int commit_image(struct db *db, struct source *layer, const struct commit_options *options,
                 loaded_fn *loaded, void *ctx, struct err *e) MUST_CHECK;
