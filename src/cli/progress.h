/*
 * What a pull or a push shows while it goes on.
 *
 * On a terminal: one line per layer, redrawn in place, with a bar, bytes and rate; never more
 * lines than the terminal has. Elsewhere: docker's plain lines, one for each thing that happened.
 * Nothing here reads or waits; times are given, so that tests need no clock.
 */
#pragma once

#include "util/attr.h"
#include "util/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress;

struct progress_options {
    FILE *out;
    bool bars;           /* `out` is a terminal */
    const char *full;    /* the reference that is pulled, in full; borrowed */
    bool show_reference; /* end with the full reference, as `docker pull` does */
};

int progress_new(const struct progress_options *o, struct progress **ret,
                 struct err *e) MUST_CHECK;
void progress_free(struct progress *p);

/* Take in one event of a3s-box-registry (registry/pull_events.c, "layer" of registry/push.c);
 * unknown ones are ignored.
 * `cols` and `rows`: of the terminal. */
void progress_event(struct progress *p, const json_t *event, uint64_t now_ns);
/* Draw what has changed; bars only. */
void progress_draw(struct progress *p, uint16_t cols, uint16_t rows);
