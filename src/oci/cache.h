/*
 * How much the store may keep, what it keeps, and what goes when it is too much.
 *
 * Two things have limits, each of its own: blobs (manifests, configurations, layers; without them
 * an image is gone) and flattened file systems (can be made again from the blobs). Sizes are what
 * the disk really holds (st_blocks); a blob that several images share counts once.
 */
#pragma once

#include "oci/image.h"

struct cache_limits {
    uint64_t images_bytes;  /* of blobs */
    uint64_t rootfs_bytes;  /* of file systems */
    uint64_t rootfs_ttl_ns; /* of a file system, since its image was used */
};

/* A3S_IMAGE_CACHE_SIZE (10g), A3S_ROOTFS_CACHE_SIZE (10g), A3S_ROOTFS_CACHE_TTL (720h). INVALID
 * names the variable and gives examples. */
int cache_limits_read(struct cache_limits *ret, struct err *e) MUST_CHECK;

/* Bring the store below its limits. Images go, the longest unused first, but none that a box in
 * any state uses and none of `keep` (ids, NULL-terminated). File systems go by age, then the
 * longest unused first, but none of a live box and none used within ROOTFS_GRACE_S. More may stay
 * than the limits say. */
int cache_trim(struct db *db, const char *home, const struct cache_limits *limits,
               char *const *keep, struct err *e) MUST_CHECK;

/* The second half of it alone. */
int cache_trim_rootfs(struct db *db, const char *home, const struct cache_limits *limits,
                      uint64_t *ret_freed, struct err *e) MUST_CHECK;

/* Remove what only a crash or a broken download leaves: directories of images/tmp, files of
 * images/partial that nobody holds locked, files that no record knows. */
int cache_sweep(struct db *db, const char *home, uint64_t *ret_freed, struct err *e) MUST_CHECK;

struct cache_part {
    uint64_t n, active; /* active: used by a box; of file systems: by a live box */
    uint64_t bytes;
    uint64_t free_bytes; /* of them, what can go without hurting a box */
};

struct cache_usage {
    struct cache_part images, rootfs;
    struct cache_part local; /* cache/, images/tmp and images/partial: all can go */
};

int cache_usage(struct db *db, const char *home, struct cache_usage *ret,
                struct err *e) MUST_CHECK;

/* One image's blobs on the disk, and how much of that other images use as well; its boxes. */
struct image_usage {
    uint64_t bytes, shared_bytes;
    uint64_t rootfs_bytes; /* 0: not there, made again when a box needs it */
    uint64_t boxes;
};

int image_usage(struct db *db, const char *home, const struct image *img, struct image_usage *ret,
                struct err *e) MUST_CHECK;

/* Every root file system that is there, the longest unused first. */
struct rootfs_usage {
    const char *chain; /* 64 digits; borrowed */
    uint64_t bytes, boxes;
    int64_t used_ns;
    bool live; /* a live box uses it */
};

int rootfs_each(struct db *db, const char *home,
                void (*fn)(void *ctx, const struct rootfs_usage *usage), void *ctx,
                struct err *e) MUST_CHECK;

/* Of the files in each layer, the lowest first; *ret is owned by the caller. Fewer than there are
 * layers when some are not known. */
int image_layer_sizes(struct db *db, const char *id, uint64_t **ret, size_t *ret_n,
                      struct err *e) MUST_CHECK;
