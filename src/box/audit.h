/*
 * $A3S_HOME/audit/audit.jsonl: who did what, and how it ended. docs/audit.md.
 *
 * One JSON object per line. Writers take turns with a lock on the directory. A file that would
 * grow above AUDIT_BYTES_MAX becomes audit.jsonl.1, that one .2, and so on; what would be
 * .(AUDIT_FILES_MAX + 1) is deleted.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

#define AUDIT_BYTES_MAX    (50U << 20)
#define AUDIT_FILES_MAX    10          /* behind the current one */
#define AUDIT_LINE_MAX     (32U << 10) /* of what a reader takes for a record */
#define AUDIT_TEXT_MAX     512U        /* of a value: targets are what users type */
#define AUDIT_METADATA_MAX 12

enum audit_outcome { AUDIT_SUCCESS, AUDIT_FAILURE, AUDIT_DENIED };

struct audit_meta {
    const char *key, *value; /* value NULL: left out */
};

struct audit_record {
    const char *action; /* "box_create" */
    const char *box_id; /* NULL or "": none */
    const char *actor;  /* NULL: "cli"; "system": nobody asked for it (restart policy, monitor) */
    enum audit_outcome outcome;
    const char *message; /* of a failure; NULL: none */
    const struct audit_meta *metadata;
    size_t metadata_n;
};

struct audit_limits {
    uint64_t bytes_max;
    unsigned files_max;
};

/* Append a record; when this returns, it is in the file, whoever is killed then. *ret_fd is what
 * the caller has fdatasync()ed before it gives an answer, and closes. `limits` NULL: the above.
 * On failure the file is as it was. */
int audit_append(const char *home, const struct audit_record *record,
                 const struct audit_limits *limits, int *ret_fd, struct err *e) MUST_CHECK;

/* The files, newest first, -1 behind the last; the caller closes. Rotation waits while they are
 * opened. None is no error. */
int audit_open_all(const char *home, int ret_fds[AUDIT_FILES_MAX + 2], struct err *e) MUST_CHECK;

const char *audit_outcome_name(enum audit_outcome outcome);
