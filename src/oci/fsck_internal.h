/* fsck*.c only. */
#pragma once

#include "oci/fsck.h"

#define FSCK_BLOBS "images/blobs/sha256"

struct fsck {
    struct db *db;
    const char *home;
    bool repair;
    fsck_fn *found;
    void *ctx;
    size_t findings; /* that remain */
};

/* Tell it, and count it. */
void fsck_found(struct fsck *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Files that no record knows, and what broken work has left. */
int fsck_files(struct fsck *f, struct err *e) MUST_CHECK;
