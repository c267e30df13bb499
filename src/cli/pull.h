/* Bring an image in from a registry: `pull`, and what `run` and `create` do for a missing one. */
#pragma once

#include "cli/command.h"

struct pull_how {
    const char *platform, *verify_key, *verify_issuer, *verify_identity; /* or NULL */
    bool quiet;                                                          /* no progress */
    bool show_reference; /* end with the full reference */
    FILE *out;           /* where progress goes */
};

/* What cli_registry() says about signals and errors holds; partial downloads stay. */
int cli_pull(struct cli *cli, const char *reference, const struct pull_how *how,
             struct err *e) MUST_CHECK;
