/*
 * The files of a box that does not run: what overlayfs in the guest would show, read (and
 * written, rootfs/overlay_put.h) with libext2fs, without mounting and without root.
 *
 * The lower file system is the image's ext4, made by us; the upper one is /upper of the box's
 * disk, whose bytes the guest has written: hostile. Overlayfs' format (kernel documentation,
 * "Overlay Filesystem"): a character device 0:0 hides the name, trusted.overlay.opaque=y on a
 * directory hides the one below. What our guest's kernel never makes (redirected directories,
 * metadata-only copies) is UNSUPPORTED.
 *
 * Paths are resolved in the view only: a symlink is followed as if the box's root were "/".
 *
 * One thread, one object; the caller makes sure that no machine uses the disk meanwhile.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"
#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

#define OVERLAY_PATH_MAX    4096     /* bytes of a path or of a symlink's target */
#define OVERLAY_DEPTH_MAX   1024     /* directories in each other */
#define OVERLAY_ENTRIES_MAX 4000000u /* of one walk: more than an image may have */

struct overlay;

/* One name: its inode in each file system, 0 for none. Both only for directories that are
 * merged. */
struct overlay_ref {
    uint32_t upper, lower;
};

static inline bool overlay_exists(struct overlay_ref ref)
{
    return ref.upper || ref.lower;
}

struct overlay_stat {
    uint32_t mode; /* type and permissions, as st_mode */
    uint32_t uid, gid;
    uint32_t rdev_major, rdev_minor;
    uint32_t links;
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
};

/* A journal with something in it is replayed: into the disk when `writable`, else into memory
 * only. Waits until a machine that is being killed has let go of the disk. CORRUPT when one of
 * the two is no file system. */
int overlay_open(const char *disk, const char *rootfs, bool writable, struct overlay **ret,
                 struct err *e) MUST_CHECK;

void overlay_free(struct overlay *o);
DEFINE_AUTOPTR(overlay)

struct overlay_ref overlay_root(const struct overlay *o);
int overlay_stat(struct overlay *o, struct overlay_ref ref, struct overlay_stat *ret,
                 struct err *e) MUST_CHECK;

/* 1 and *ret when `dir` has it, 0 when not. */
int overlay_child(struct overlay *o, struct overlay_ref dir, const char *name, size_t len,
                  struct overlay_ref *ret, struct err *e) MUST_CHECK;

struct overlay_entry {
    char *name; /* owned */
    struct overlay_ref ref;
};

struct overlay_list {
    struct overlay_entry *v;
    size_t n, cap;
};

/* Sorted by the bytes of the names, without "." and "..". */
int overlay_list(struct overlay *o, struct overlay_ref dir, struct overlay_list *ret,
                 struct err *e) MUST_CHECK;
void overlay_list_done(struct overlay_list *list);

/* A symlink's target. */
int overlay_target(struct overlay *o, struct overlay_ref ref, struct str *ret,
                   struct err *e) MUST_CHECK;

/* Where a path ends. */
struct overlay_place {
    struct overlay_ref parent;   /* the root's is the root */
    struct overlay_ref self;     /* none: the parent has no such name */
    char path[OVERLAY_PATH_MAX]; /* from the root, symlinks and ".." resolved; "/" */
    const char *name;            /* points into path; "" for the root */
};

/* `follow`: the last component, too, when it is a symlink (a "/" at the end does that always).
 * NOT_FOUND (os ENOENT) when something before the end is missing, INVALID (os ENOTDIR, ELOOP,
 * ENAMETOOLONG) as in the kernel. */
int overlay_walk(struct overlay *o, const char *path, bool follow, struct overlay_place *ret,
                 struct err *e) MUST_CHECK;

/* The attributes a box sees: without overlayfs' own. `value` is as getxattr(2) gives it. */
typedef int overlay_xattr_fn(void *ctx, const char *name, const void *value, size_t size,
                             struct err *e);
int overlay_xattrs(struct overlay *o, struct overlay_ref ref, overlay_xattr_fn *take, void *ctx,
                   struct err *e) MUST_CHECK;

/* All bytes of a regular file, in order; holes are zeros. */
typedef int overlay_data_fn(void *ctx, const void *data, size_t len, struct err *e);
int overlay_read(struct overlay *o, struct overlay_ref ref, overlay_data_fn *take, void *ctx,
                 struct err *e) MUST_CHECK;
