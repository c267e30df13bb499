/*
 * The files of a box's log, one after the other, while the shim rotates and
 * compresses them (shim/log_files.h).
 *
 * Numbers only grow, and a file keeps its number when it is compressed: so a
 * reader that is at the end of file N knows that N + 1 is next, whatever it is
 * called by then. container.json is the file that has the greatest number of
 * all plus one; it is one of its own again when its inode changes.
 */
#pragma once

#include "util/err.h"
#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct log_reader {
    int dirfd;          /* logs/; borrowed */
    const char *helper; /* path of a3s-box-log; borrowed */
    uint64_t first;     /* the oldest there was when it was opened */
    uint64_t number;    /* of the open file */
    int fd;             /* of the file, or of the pipe from gunzip; owned, -1: none */
    bool sealed;        /* it is complete: after its end comes the next one */
    pid_t gunzip;       /* 0: none runs */
};

/* Opens container.json. Returns 0 when there is none (never started), else 1. The caller calls
 * log_reader_close(). */
int log_reader_open(struct log_reader *r, int dirfd, const char *helper,
                    struct err *e) MUST_CHECK;
void log_reader_close(struct log_reader *r);

/* Go to the oldest file whose last entry is not older than `since_ns`. */
int log_reader_rewind(struct log_reader *r, int64_t since_ns, struct err *e) MUST_CHECK;
/* Go to the last `n` entries of all files: *ret_skip entries before them are still to be read. */
int log_reader_tail(struct log_reader *r, int64_t n, uint64_t *ret_skip,
                    struct err *e) MUST_CHECK;

/* At most `len` bytes; 0 at the end of the file, for now or for good. */
ssize_t log_reader_read(struct log_reader *r, void *data, size_t len, struct err *e) MUST_CHECK;
/* At the end of the file: 1 when `sealed` has become true (there may be more to read before it
 * counts), else 0. */
int log_reader_check(struct log_reader *r, struct err *e) MUST_CHECK;
/* Behind a sealed file: open the next. */
int log_reader_next(struct log_reader *r, struct err *e) MUST_CHECK;
