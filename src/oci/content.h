/* What lies in the store for one image, read back strictly: for programs that link libcrypto. */
#pragma once

#include "oci/digest.h"
#include "oci/image.h"
#include "oci/manifest.h"
#include "util/str.h"

struct content {
    struct image *image; /* owned */
    struct str text;     /* the manifest's bytes */
    struct manifest manifest;
    struct image_meta meta; /* of the configuration */
};

/* `id` is whole. CORRUPT when manifest and configuration do not have their digests or do not go
 * together. Layers are not looked at. content_done() is needed after a failure, too. */
int content_open(struct content *c, struct db *db, const char *home, const char *id,
                 struct err *e) MUST_CHECK;
void content_done(struct content *c);

/* A small blob's bytes, checked against its name. */
int content_read_blob(const char *home, const char *digest, struct str *ret,
                      struct err *e) MUST_CHECK;

/* Flatten an image's layers again: its file system was pruned, or the sizes of its layers are not
 * known. */
int content_rebuild(struct db *db, const char *home, const char *id, uint64_t layer_bytes_max,
                    struct err *e) MUST_CHECK;
