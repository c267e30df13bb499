/*
 * Mounts by descriptor (fsopen and friends): a file system is made, then put
 * on a directory that was opened before, so that no path is looked up twice
 * and a hostile image cannot redirect one. Kernel's own words in errors.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Attributes of one mount. */
#define MNT_RDONLY      UINT64_C(0x1)
#define MNT_NOSUID      UINT64_C(0x2)
#define MNT_NODEV       UINT64_C(0x4)
#define MNT_NOEXEC      UINT64_C(0x8)
#define MNT_NOATIME     UINT64_C(0x10)
#define MNT_STRICTATIME UINT64_C(0x20)

/* A new file system, not attached anywhere. `options` is "key=value,flag,..." or NULL, `source`
 * may be NULL. Returns its descriptor (O_PATH of its root). */
int mnt_new(const char *type, const char *source, const char *options, uint64_t attrs,
            struct err *e) MUST_CHECK;

/* A copy of the mount at (dirfd, path), as bind mounts are; path "" is dirfd itself. */
int mnt_clone(int dirfd, const char *path, bool recursive, struct err *e) MUST_CHECK;

/* Put a detached mount on (dirfd, path); path "" is dirfd itself. Symlinks are not followed. */
int mnt_attach(int mnt_fd, int dirfd, const char *path, struct err *e) MUST_CHECK;

/* mnt_new() and mnt_attach(). Returns 0. */
int mnt_place(const char *type, const char *options, uint64_t attrs, int dirfd, const char *path,
              struct err *e) MUST_CHECK;

/* Set attributes of the mount at descriptor `fd` (its root). */
int mnt_set(int fd, uint64_t attrs, bool recursive, struct err *e) MUST_CHECK;

/* Make everything below "/" private to this mount namespace. */
int mnt_make_private(struct err *e) MUST_CHECK;

/* Turn the whole file system that `fd` is the root of read-only, for all its mounts: written out
 * and clean on return. */
int mnt_freeze_fs(int fd, struct err *e) MUST_CHECK;
