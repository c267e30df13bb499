/* Files and directories, beneath a directory descriptor wherever the name is not ours. */
#pragma once

#include "util/err.h"
#include "util/str.h"

#include <stdint.h>
#include <sys/types.h>

/* mkdir -p with mode 0700 for what is created. */
int fs_mkdirs(const char *path, struct err *e) MUST_CHECK;

/* Open a directory; returns an O_PATH-less, CLOEXEC descriptor. */
int fs_open_dir(int dirfd, const char *path, struct err *e) MUST_CHECK;

/* openat2() with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS: `path` cannot leave `dirfd`. */
int fs_open_beneath(int dirfd, const char *path, uint64_t flags, mode_t mode,
                    struct err *e) MUST_CHECK;

/* The same, and no component may be a symlink. */
int fs_open_no_links(int dirfd, const char *path, uint64_t flags, mode_t mode,
                     struct err *e) MUST_CHECK;

/* openat2() with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: symlinks are followed as if `rootfd`
 * were "/". */
int fs_open_in_root(int rootfd, const char *path, uint64_t flags, mode_t mode,
                    struct err *e) MUST_CHECK;

/* Whole file into `ret` (limit: ret->max). */
int fs_read_file(int dirfd, const char *path, struct str *ret, struct err *e) MUST_CHECK;

/* Write to a temporary name, fsync, rename over `path`. */
int fs_write_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
                  struct err *e) MUST_CHECK;

/* Write a string into a kernel file (/proc, /sys, cgroup): one write(), no creation. */
int fs_write_kernel(int dirfd, const char *path, const char *text, struct err *e) MUST_CHECK;

/* rm -r beneath dirfd, not following symlinks, not crossing mounts; missing is fine. */
int fs_remove_tree(int dirfd, const char *name, struct err *e) MUST_CHECK;
