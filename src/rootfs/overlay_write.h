/* Changing the upper file system, name by name. Each function leaves it whole; what has changed
 * is on the disk after the next journal_commit(). */
#pragma once

#include "rootfs/journal_write.h"
#include "rootfs/overlay_internal.h"
#include "rootfs/tree.h"

struct writer {
    struct overlay *o;
    struct journal_writer *journal;
    char *buf; /* owned; OVERLAY_BUF bytes */
    bool torn; /* something was begun and not brought to its end: it must not be committed */
};

/* Also finishes what a killed machine was about to remove. writer_done() is needed after a
 * failure, too. */
int writer_open(struct writer *w, struct overlay *o, struct err *e) MUST_CHECK;
/* Everything onto the disk; nothing since the last commit with `keep` false or when it is torn.
 */
int writer_done(struct writer *w, bool keep, struct err *e) MUST_CHECK;

/* The upper inode of the directory at `path` (of overlay_place), copied up with its parents when
 * only the image has it. */
int writer_need_dir(struct writer *w, const char *path, ext2_ino_t *ret,
                    struct err *e) MUST_CHECK;

/* A new directory, which `dir` must not show. `meta` is all that is taken of an inode. */
int writer_add_dir(struct writer *w, struct overlay_ref dir, const char *name,
                   const struct inode *meta, ext2_ino_t *ret, struct err *e) MUST_CHECK;

/* Owner, mode, times and attributes of an inode of the upper file system. */
int writer_set_meta(struct writer *w, ext2_ino_t ino, const struct inode *meta,
                    struct err *e) MUST_CHECK;

int writer_set_time(struct writer *w, ext2_ino_t ino, int64_t mtime_s, uint32_t mtime_ns,
                    struct err *e) MUST_CHECK;

/* A file that is being made: has no name yet. */
struct new_file {
    ext2_ino_t ino; /* 0: none */
    uint32_t mode;
    uint64_t size, at;      /* bytes; how much of it has come */
    struct extent *extents; /* owned */
    size_t extents_n;
    size_t buf_len; /* in writer.buf */
};

/* Anything but a directory, near `dir`. A regular file's blocks are there: write its data. */
int writer_new(struct writer *w, ext2_ino_t dir, const struct inode *meta, struct new_file *ret,
               struct err *e) MUST_CHECK;
int writer_data(struct writer *w, struct new_file *f, const void *data, size_t len,
                struct err *e) MUST_CHECK;

/* Give it its name in place of what had it. */
int writer_name(struct writer *w, struct new_file *f, ext2_ino_t dir, const char *name,
                struct err *e) MUST_CHECK;
/* Instead: it is not wanted. */
int writer_drop(struct writer *w, struct new_file *f, struct err *e) MUST_CHECK;

/* A further name for an upper inode. */
int writer_link(struct writer *w, ext2_ino_t ino, ext2_ino_t dir, const char *name,
                struct err *e) MUST_CHECK;

/* The upper inode of what `place` names, copied up when only the image has it. */
int writer_need_file(struct writer *w, const struct overlay_place *place, ext2_ino_t *ret,
                     struct err *e) MUST_CHECK;
