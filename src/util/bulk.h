/*
 * Big files read and written past the page cache.
 *
 * In a guest without hardware virtualization a page costs more in the page cache, and once more
 * when it is written back, than the whole way to it. Blocks of BULK_BLOCK bytes go from and to
 * the disk as they are; what is left over at the end goes the usual way. Where a file system
 * cannot do that everything goes the usual way.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BULK_BLOCK ((size_t)256 << 10)
#define BULK_MIN   ((uint64_t)1 << 20) /* smaller files are better off in the page cache */

struct bulk {
    char *block; /* BULK_BLOCK bytes; NULL: none was needed so far */
    size_t len;  /* bytes in it that are not written yet */
    bool on;     /* for the file that is being read or written */
};

/* `fd` is a file of `size` bytes to read, or a new one that gets them. */
void bulk_begin(struct bulk *b, int fd, uint64_t size);
/* The next bytes of it. After an error only bulk_done() may follow. */
int bulk_write(struct bulk *b, int fd, const void *data, size_t len, struct err *e) MUST_CHECK;
/* There are no more: `fd` is as it was before. */
int bulk_end(struct bulk *b, int fd, struct err *e) MUST_CHECK;
/* The next BULK_BLOCK bytes into `block`; less only at the end of the file. Only when `on`, which
 * it may end. */
ssize_t bulk_read(struct bulk *b, int fd, struct err *e) MUST_CHECK;
void bulk_done(struct bulk *b);
