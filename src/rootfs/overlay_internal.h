/* What overlay*.c share. */
#pragma once

#include "rootfs/overlay.h"

#include <ext2fs/ext2fs.h>

#define OVERLAY_XATTR "trusted.overlay."

struct overlay {
    ext2_filsys upper, lower;
    ext2_ino_t upper_root;
    char *disk; /* owned; the upper one's path */
    char *buf;  /* owned; OVERLAY_BUF bytes, for overlay_read() */
};

#define OVERLAY_BUF ((size_t)1 << 20)

/* An inode with its extra fields and, behind them, the attributes in it. */
union raw_inode {
    struct ext2_inode small;
    struct ext2_inode_large large;
    char room[256];
};

int overlay_fail(struct err *e, errcode_t code, const char *what) NONNULL(1, 3);
int raw_read(ext2_filsys fs, ext2_ino_t ino, union raw_inode *ret, struct err *e) MUST_CHECK;
void raw_stat(const union raw_inode *raw, struct overlay_stat *ret);
bool stat_is_whiteout(const struct overlay_stat *st);

/* Which file system has it, and as what. */
ext2_filsys ref_fs(const struct overlay *o, struct overlay_ref ref, ext2_ino_t *ret_ino);

struct raw_entry {
    char *name; /* owned */
    ext2_ino_t ino;
};

struct raw_list {
    struct raw_entry *v;
    size_t n, cap;
};

/* One file system's directory, sorted. */
int raw_list(ext2_filsys fs, ext2_ino_t dir, struct raw_list *ret, struct err *e) MUST_CHECK;
void raw_list_done(struct raw_list *list);
int raw_lookup(ext2_filsys fs, ext2_ino_t dir, const char *name, size_t len, ext2_ino_t *ret,
               struct err *e) MUST_CHECK;

/* Every attribute, overlayfs' own as well. */
int raw_xattrs(ext2_filsys fs, ext2_ino_t ino, overlay_xattr_fn *take, void *ctx,
               struct err *e) MUST_CHECK;

/* An overlay_xattr_fn: `inode` is a struct inode, which gets a copy. */
int overlay_keep_xattr(void *inode, const char *name, const void *value, size_t size,
                       struct err *e) MUST_CHECK;

/* Whether this directory of the upper file system hides the lower one; UNSUPPORTED when it is
 * redirected. */
int raw_opaque(ext2_filsys fs, ext2_ino_t ino, struct err *e) MUST_CHECK;

/* The upper file system, as it is on the disk now. */
int overlay_open_writable(struct overlay *o, struct err *e) MUST_CHECK;
