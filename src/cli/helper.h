/*
 * Running our helper programs (a3s-box-image, a3s-box-registry) to their end.
 *
 * A signal that would end this process (Ctrl-C reaches the helper as well) ends the helper first:
 * then what it left in images/tmp is removed, and the signal does what it does. A second one
 * kills the helper. So it is when a helper is killed by somebody else.
 */
#pragma once

#include "cli/command.h"
#include "util/spawn.h"
#include "util/str.h"

struct helper {
    const struct spawn *spawn;
    int out;          /* the end of its stdout we read until it ends; -1: none. Whom the helper
                         starts has it too, so that its end is everybody's */
    int *out_w;       /* the end it gets: closed once it runs */
    struct str *text; /* what was read; with `more`: and is left */
    /* After every piece; drops from *text what it took. < 0 ends the helper. NULL: all is kept.
     */
    int (*more)(void *ctx, struct str *text, struct err *e);
    void *ctx;
};

/* When it ended badly it has told why on stderr: then *e has no text. */
int cli_helper_run(struct cli *cli, const struct helper *h, struct err *e) MUST_CHECK;
