/*
 * Layers in, one read-only ext4 file out, in one pass and without root.
 *
 * Memory grows with the number of files, not with their size. The result depends on the layers,
 * the uuid and the time given, on nothing else.
 */
#pragma once

#include "rootfs/source.h"

#include <stdint.h>

#define ROOTFS_LAYERS_MAX 512 /* docker's practical limit is 127 */

struct rootfs_limits {
    uint64_t layer_bytes_max; /* file data of one layer */
    uint64_t files_max;       /* names in the whole image */
};

/* 16 GiB a layer; 4 million names take 1 GiB of memory. */
#define ROOTFS_LIMITS_DEFAULT                                                                    \
    {                                                                                            \
        .layer_bytes_max = (uint64_t)16 << 30, .files_max = 4000000                              \
    }

struct rootfs;

/* Creates `path`, which must not exist; it is removed again by rootfs_free() unless finished. */
int rootfs_open(const char *path, const struct rootfs_limits *limits, struct rootfs **ret,
                struct err *e) MUST_CHECK;

/* Apply the next layer, an uncompressed tar, read to its very end. Errors name the entry. After
 * a failure the object can only be freed. */
int rootfs_layer(struct rootfs *fs, struct source *tar, struct err *e) MUST_CHECK;

/* Write the file system. Not synced: that is the business of who gives it its name. */
int rootfs_finish(struct rootfs *fs, const uint8_t uuid[16], int64_t time_s,
                  struct err *e) MUST_CHECK;

/* Bytes of file data in all layers so far. */
uint64_t rootfs_data_bytes(const struct rootfs *fs);

void rootfs_free(struct rootfs *fs);
DEFINE_AUTOPTR(rootfs)
