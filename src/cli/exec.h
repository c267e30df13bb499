/* Further processes in a running box: exec, shell. */
#pragma once

#include "box/box.h"
#include "cli/command.h"
#include "db/db.h"

struct exec {
    char *const *argv;      /* NULL-terminated */
    const struct strv *env; /* on top of the box's; "K" without '=' removes; or NULL */
    const char *user, *cwd; /* NULL: the box's */
    const char *detach_keys;
    uint64_t timeout_ns;
    bool tty, in, detach, privileged;
};

/* state.db is closed while the guest works: that takes no time then. `own_db` is consumed, also
 * on failure. Returns the process's exit status, or < 0 with cli->status set (126, 127) when it
 * was not started. */
int cli_exec(struct cli *cli, struct db *own_db, const struct box *box, const struct exec *x,
             struct err *e) MUST_CHECK;
