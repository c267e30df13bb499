/* A box's files as a tar: POSIX pax, as proto/archive.h says. */
#pragma once

#include "rootfs/overlay.h"

struct overlay_tar;

/* `write` gets the archive's bytes, in order, in pieces of any size. */
int overlay_tar_open(struct overlay *o, overlay_data_fn *write, void *ctx,
                     struct overlay_tar **ret, struct err *e) MUST_CHECK;

/* One member with its data; sockets are left out. Further names of an inode become hard links to
 * its first one in this archive. `name` without a "/" behind it, also for directories. */
int overlay_tar_add(struct overlay_tar *t, struct overlay_ref ref, const char *name,
                    struct err *e) MUST_CHECK;

/* That and everything below. */
int overlay_tar_tree(struct overlay_tar *t, struct overlay_ref ref, const char *name,
                     struct err *e) MUST_CHECK;
/* Only what is below `dir`; `prefix` is put in front of the names ("" or "dir/"). */
int overlay_tar_children(struct overlay_tar *t, struct overlay_ref dir, const char *prefix,
                         struct err *e) MUST_CHECK;

/* An empty file of mode 0, time 0: a whiteout. */
int overlay_tar_mark(struct overlay_tar *t, const char *name, struct err *e) MUST_CHECK;

/* Everything is out then. */
int overlay_tar_finish(struct overlay_tar *t, struct err *e) MUST_CHECK;
void overlay_tar_free(struct overlay_tar *t);
DEFINE_AUTOPTR(overlay_tar)
