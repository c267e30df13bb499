/* Running a3s-box-registry, for the commands that need the network. */
#pragma once

#include "cli/command.h"

#include <jansson.h>

struct registry_job {
    const char *const *args; /* the verb and its words, NULL-terminated */
    const void *input;       /* its stdin: where passwords go; NULL for none */
    size_t input_len;
    /* One line of what it prints, as soon as it comes; borrowed. A negative result ends it. */
    int (*event)(void *ctx, const json_t *event, struct err *e);
    void *ctx;
};

/* Start it, hand on its events, wait for it. Its own errors have gone to stderr: then *e has no
 * text. It dies with this process. */
int cli_registry(struct cli *cli, const struct registry_job *job, struct err *e) MUST_CHECK;
