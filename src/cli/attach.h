/* Boxes in the foreground: run, start -a, attach. */
#pragma once

#include "box/box.h"
#include "cli/command.h"
#include "cli/session.h"

struct attach {
    bool in, out, err; /* which of our streams */
    bool sig_proxy;
    const char *detach_keys; /* NULL: docker's */
};

/* Start a box with our streams attached from the first byte on, and stay until it ends. Returns
 * its exit status, or < 0 with cli->status set to docker's for the failure (125..127). */
int cli_start_attached(struct cli *cli, struct db *db, struct box *box, const struct attach *how,
                       struct err *e) MUST_CHECK;

/* Attach to one that runs. */
int cli_attach(struct cli *cli, struct db *db, struct box *box, const struct attach *how,
               struct err *e) MUST_CHECK;
