/*
 * A box's writable layer: a sparse, empty ext4 with a small journal, made in milliseconds by
 * copying the few blocks of a template that are not holes.
 *
 * Needs libc only: every program may link it. The template is made once per size by
 * a3s-box-image, which has libext2fs.
 */
#pragma once

#include "util/err.h"

#include <stdint.h>

#define DISK_SIZE_DEFAULT                                                                        \
    ((uint64_t)10 << 30) /* what a box may write; a sparse file costs less */
#define DISK_SIZE_MIN ((uint64_t)32 << 20)
#define DISK_SIZE_MAX ((uint64_t)16 << 40) /* ext4 with 4 KiB blocks and 32-bit extents */

/* Create `path` (which must not exist). `worker` is the path of a3s-box-image. Safe to call from
 * many processes at once. */
int rootfs_disk_create(const char *home, const char *worker, uint64_t size, const char *path,
                       struct err *e) MUST_CHECK;

/* Copy a sparse file: a clone where the file system can, else its data without the holes. */
int rootfs_disk_copy(const char *from, const char *to, struct err *e) MUST_CHECK;
