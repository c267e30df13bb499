/*
 * What a command did, for whoever watches many: the counters of /metrics (db/counters.h) and,
 * when they are wanted, a span (trace/trace.h). All of it after the answer; nothing of it can
 * fail.
 */
#pragma once

#include "cli/command.h"
#include "trace/trace.h"

struct cli_span {
    struct trace trace;
    uint64_t began_ns;
    int span;
};

void cli_span_begin(struct cli_span *s);

/* It has ended: returns how long it took. `r` < 0: it failed, and *e says why. Then attributes
 * may be added to s->trace, s->span. */
uint64_t cli_span_end(struct cli_span *s, const char *name, int r, const struct err *e);

/* Hand it over and forget it. */
void cli_span_send(struct cli *cli, struct cli_span *s);
