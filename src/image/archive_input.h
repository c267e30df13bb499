/* A tar that comes as messages: MSG_ARCHIVE_IN..., MSG_ARCHIVE_IN_END. */
#pragma once

#include "proto/archive.h"
#include "proto/msg.h"
#include "rootfs/source.h"

#include <stdbool.h>

struct archive_input {
    struct source source;
    int fd;          /* borrowed */
    struct str text; /* the last message */
    bool ended;      /* IN_END has come */
    bool broken;     /* the connection is of no use any more */
};

void archive_input_init(struct archive_input *in, int fd);
void archive_input_done(struct archive_input *in);

/* Read and drop what is left. CANCELED when the client hangs up before IN_END. */
int archive_input_drain(struct archive_input *in, struct err *e) MUST_CHECK;

/* The first message of `commit`: 0, or CORRUPT when it is something else. */
int archive_input_config(struct archive_input *in, struct str *ret, struct err *e) MUST_CHECK;
