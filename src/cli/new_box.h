/* From the command line of `run` or `create` to a box in state created. */
#pragma once

#include "box/box.h"
#include "cli/command.h"
#include "cli/flags_box.h"

/* argv: the image and the command. Everything is checked before anything changes; --cidfile is
 * written. */
int cli_new_box(struct cli *cli, const struct box_flags *flags, char **argv, struct db **ret_db,
                struct box **ret, struct err *e) MUST_CHECK;
