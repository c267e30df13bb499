/*
 * The files of the log driver json-file: box/log_config.h has their names.
 *
 * When container.json is full it becomes container.json.N and a new one takes
 * its place in one step, so that a reader finds container.json at any time,
 * and every entry in exactly one file. Older files are compressed one at a
 * time by a process of its own, a3s-box-log; a file that is dropped before its
 * turn comes is never compressed. What the compressor is given does not
 * change, and takes the place of the plain file when it is whole and on disk.
 */
#pragma once

#include "box/log_config.h"
#include "util/loop.h"

#include <sys/types.h>

struct log_files {
    struct loop *loop;  /* borrowed; NULL: nothing is compressed */
    const char *helper; /* borrowed: path of a3s-box-log */
    int dirfd;          /* logs/; owned, -1: not open */
    uint64_t max_bytes, max_files;
    bool compress;
    uint64_t number; /* what container.json will be called */
    uint64_t next;   /* the oldest that may not be compressed yet */
    bool told;       /* that there is no new file */
    struct {
        pid_t pid; /* 0: none runs */
        struct watch ended;
        uint64_t number;
        int out; /* LOG_FILE_TMP; owned */
        struct timespec modified;
    } job;
};

/* Sweeps what a killed process left, and files beyond max_files. Takes over own_dirfd, also on
 * failure. `c` is read only now. */
int log_files_open(struct log_files *f, int own_dirfd, const struct log_config *c,
                   struct err *e) MUST_CHECK;
/* Compress in the background from now on. */
void log_files_compress(struct log_files *f, struct loop *loop, const char *helper);
/* Ends the compressor: the next shim goes on. Fine when it is not open. */
void log_files_close(struct log_files *f);

/* Give *fd, which is open for LOG_FILE, up for a new file of *size 0. When there is none (a full
 * disk) nothing changes. */
void log_files_rotate(struct log_files *f, int *fd, off_t *size);
