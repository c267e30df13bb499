/*
 * What the workload prints, in docker's json-file format:
 *
 *   {"log":"line\n","stream":"stdout","time":"2026-11-22T13:33:16.120000000Z"}
 *
 * As docker: one entry per line; a line longer than JSON_LOG_LINE is cut into
 * entries whose "log" does not end in \n; bytes that are not UTF-8 become
 * U+FFFD. Written in batches, never synced.
 *
 * When the disk is full the workload goes on and entries are lost; the first
 * one that can be written again is preceded by an entry that counts them.
 *
 * With `files` set no file grows above files->max_bytes, but for an entry that
 * alone is longer: it is the first of its file then.
 */
#pragma once

#include "shim/log_files.h"
#include "util/err.h"
#include "util/str.h"

#include <sys/types.h>

#define JSON_LOG_LINE 16384

enum json_log_stream { JSON_LOG_STDOUT, JSON_LOG_STDERR, JSON_LOG_STREAMS };

struct json_log {
    int fd;                            /* owned; -1: nothing is logged */
    off_t size;                        /* where the last whole batch ended */
    struct str out;                    /* whole entries that wait for json_log_flush() */
    uint64_t out_n;                    /* their number */
    struct str line[JSON_LOG_STREAMS]; /* the line that is not complete yet */
    uint64_t lost;                     /* entries since the last that was written */
    int lost_os;                       /* why */
    bool lost_told;                    /* json_log_flush() has failed for these */
    struct log_files *files;           /* borrowed; NULL: one file that grows */
    const char *attrs;                 /* borrowed: JSON of all entries' "attrs", or NULL */
};

/* Appends to `path` beneath `dirfd`. */
int json_log_open(struct json_log *log, int dirfd, const char *path, struct err *e) MUST_CHECK;
/* The driver "none". */
void json_log_none(struct json_log *log);
void json_log_close(struct json_log *log);

void json_log_add(struct json_log *log, enum json_log_stream stream, const void *data,
                  size_t len);
/* No more will come: log what is left of incomplete lines. */
void json_log_end(struct json_log *log);
/* Write what waits. Fails when entries begin to be lost: once, not for each. */
int json_log_flush(struct json_log *log, struct err *e) MUST_CHECK;
