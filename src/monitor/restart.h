/*
 * Boxes that should run and do not are started again: `a3s-box start` for each, a few at a time.
 *
 * The first attempt is immediate; each one that follows waits twice as long as the one before,
 * from 1 s up to 60 s, until the box has been seen running for 30 s (box/policy.h). Kept in
 * memory: a monitor that starts again begins anew. That nobody has stopped the box meanwhile is
 * checked once more in the transaction that claims it (struct box_change, restart).
 */
#pragma once

#include "box/overview.h"
#include "util/loop.h"

#include <stdio.h>

#define RESTARTS_AT_ONCE 4 /* after a reboot all boxes are missing, and a boot is CPU work */

struct restarts;

struct restarts_options {
    struct loop *loop;   /* borrowed, as all of it */
    const char *program; /* a3s-box, absolute */
    FILE *out;           /* what happened, a line each */
    /* One has ended: look again. */
    void (*done)(void *ctx);
    void *ctx;
};

int restarts_new(const struct restarts_options *o, struct restarts **ret,
                 struct err *e) MUST_CHECK;
void restarts_free(struct restarts *r);

/* What was seen at `now_ns` (monotonic). Starts what is due. Returns when the next one is, or 0.
 */
uint64_t restarts_look(struct restarts *r, const struct box_overview *seen, uint64_t now_ns);

/* How many are being started. */
unsigned restarts_busy(const struct restarts *r);
