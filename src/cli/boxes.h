/* What commands that take boxes share. */
#pragma once

#include "box/box.h"
#include "box/event.h"
#include "cli/command.h"

/* What is done to each box. 0: done. */
typedef int box_fn(struct cli *cli, struct db *db, struct box *box, const void *arg,
                   struct err *e);

struct box_verb {
    box_fn *run;
    const void *arg;
    bool echo;       /* print the name as it was given when it is done */
    bool missing_ok; /* a box that does not exist is told on cli->err, and is no failure */
};

/* Do it to every named box; go on after failures, which are printed as they happen. */
int cli_each_box(struct cli *cli, char **names, const struct box_verb *verb,
                 struct err *e) MUST_CHECK;

/* One named box. */
int cli_open_box(struct cli *cli, const char *name, struct db **ret_db, struct box **ret,
                 struct err *e) MUST_CHECK;

/* Tell `events` of something that has changed no record, in a transaction of its own. A failure
 * is a warning: what was done is done. */
void cli_tell(struct db *db, const struct box *box, const char *action,
              const struct event_attr *extra, size_t extra_n);

/* A helper program beside this one; the caller frees. NULL without memory. */
char *cli_helper_path(const struct cli *cli, const char *name);

/* Start without attaching. On failure *ret_status (which may be NULL) is what `run` exits with.
 */
int cli_start_box(struct cli *cli, struct db *db, struct box *box, int *ret_status,
                  struct err *e) MUST_CHECK;
