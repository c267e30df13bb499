/*
 * QEMU's control protocol (QMP, qemu docs/interop/qmp-spec.txt) as a client on a loop: one JSON
 * object per line each way.
 *
 * Commands may be sent at once: the capabilities negotiation is queued in front of them and
 * QEMU reads them when it gets there. The peer is a process that a hostile guest may have taken
 * over, so lines, queues and nesting have limits, and what does not fit ends the connection.
 */
#pragma once

#include "util/loop.h"

#include <jansson.h>
#include <stdbool.h>

#define QMP_LINE_MAX  ((size_t)256 << 10) /* the largest answer we ask for is 4 KB */
#define QMP_QUEUE_MAX ((size_t)256 << 10) /* bytes of ours that QEMU has not read */

enum qmp_kind { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };

struct qmp_msg {
    enum qmp_kind kind;
    json_int_t id;     /* of RETURN and ERROR; 0: none */
    const char *event; /* EVENT: its name; ERROR: its text. Borrowed from root */
    json_t *data;      /* RETURN and EVENT: may be NULL. Borrowed from root */
    json_t *root;      /* owned */
};

void qmp_msg_done(struct qmp_msg *m);

/* One line, without its end. CORRUPT when it is not QMP. */
int qmp_msg_parse(const char *line, size_t len, struct qmp_msg *ret, struct err *e) MUST_CHECK;

/* One command under way. Embedded in the caller's object, borrowed until answered. */
struct qmp_call {
    /* failure NULL: it worked, and data (may be NULL, borrowed) is its result. */
    void (*done)(struct qmp_call *call, json_t *data, const struct err *failure);
    json_int_t id;         /* kept by qmp */
    struct qmp_call *next; /* kept by qmp */
};

struct qmp;

struct qmp_handler {
    void (*event)(struct qmp_handler *h, const char *name, json_t *data);
    /* Once: the connection ended or broke; outstanding calls have been answered. */
    void (*closed)(struct qmp_handler *h, const struct err *why);
};

/* Takes over own_fd, also on failure. `h` is borrowed. */
int qmp_new(struct loop *loop, int own_fd, struct qmp_handler *h, struct qmp **ret,
            struct err *e) MUST_CHECK;

/* Answers outstanding calls with CANCELED first; does not call `closed`. NULL is fine. */
void qmp_free(struct qmp *q);

/* Sends `command` with `own_args` (consumed always; NULL for none) and, with fd >= 0, a copy of
 * that descriptor. The answer comes later, also when sending failed. */
void qmp_call(struct qmp *q, const char *command, json_t *own_args, int fd,
              struct qmp_call *call);

/* What arrived: called by the loop; a fuzzer calls it too. */
void qmp_feed(struct qmp *q, const char *data, size_t len);
