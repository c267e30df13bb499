/*
 * The audit log as commands write it: a command with `audit` in its table row is in it, with its
 * outcome, before its answer is seen (docs/audit.md). Commands on several things write a record
 * for each; cli_each_arg() and cli_each_box() do that.
 */
#pragma once

#include "util/err.h"
#include "util/id.h"

#include <aio.h>
#include <stdbool.h>

struct cli;
struct box;

/* Part of struct cli; zero at the start. */
struct audit {
    char box_id[ID_LEN], box_name[256]; /* what the command turned out to be about; "" */
    const char *to;   /* the second thing that a command is about; NULL: none. Borrowed */
    unsigned records; /* written or skipped so far */
    bool syncing;     /* .sync is on its way; its descriptor is ours */
    struct aiocb sync;
};

/* The command is about this box: later records name it. */
void cli_audit_box(struct cli *cli, const struct box *box);

/* Write a record now, and begin to bring it to the disk. `target` (may be NULL) is what the user
 * named; failure NULL: it worked. A log that cannot be written is told on cli->err, and changes
 * nothing else: what was done is done. */
void cli_audit(struct cli *cli, const char *action, const char *target,
               const struct err *failure);

/* Nothing was done after all: no record. */
void cli_audit_skip(struct cli *cli);

/* Wait until everything is on the disk. Before each answer. */
void cli_audit_settle(struct cli *cli);
