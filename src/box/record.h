/* Rows of the table boxes; private to src/box. */
#pragma once

#include "box/box.h"

/* A box's dir is being made or deleted by the process (shim_pid, shim_start); created_ns is 0
 * while it is being made. When that process is gone, whoever looks next finishes the deletion. */
bool record_is_unmade(const struct box *box);

/* Is the process that the record names (shim, maker or remover) still there? */
bool record_owner_lives(const struct box *box);

struct record_list {
    struct box **v;
    size_t n;
};

void record_list_done(struct record_list *list);

/* All rows matching `where` (SQL with one text parameter, or none), as they are. */
int record_select(struct db *db, const char *where, const char *arg, struct record_list *ret,
                  struct err *e) MUST_CHECK;

/* Insert a row in state removing, owned by this process, created_ns 0. EXISTS: name taken. */
int record_insert(struct db *db, const struct box *box, struct err *e) MUST_CHECK;

/* Bring a record in line with reality. Returns 1 when the box is there, 0 when it is gone (or
 * not there yet). */
int box_reconcile(struct db *db, const char *home, struct box *box, struct err *e) MUST_CHECK;

/* Delete what is in state removing: files, then the row. Missing is fine. */
int box_erase(struct db *db, const char *home, const char *id, struct err *e) MUST_CHECK;

/* The worker program, beside this one, whichever of ours it is; the caller frees. NULL without
 * memory. */
char *box_worker_path(void);

/* Say that the box's image is used now, and have its root file system made again when it is not
 * there: from here on it stays, until ROOTFS_GRACE_S are over or the box has ended. */
int box_need_rootfs(struct db *db, const char *home, const struct box *box,
                    struct err *e) MUST_CHECK;
