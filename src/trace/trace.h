/*
 * Traces: what took how long, for OpenTelemetry (OTLP/HTTP with JSON). Off unless
 * OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set; docs/monitor.md.
 *
 * Whoever has something to tell collects spans in memory and, when its answer has been given,
 * hands them to a3s-box-otlp, a program of its own that outlives it and is the only one with the
 * network. So a trace slows nothing down, and a collector that is not there disturbs nobody.
 */
#pragma once

#include "util/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TRACE_SPANS_MAX 16
#define TRACE_LOG       "otlp.log" /* in A3S_HOME: why spans did not arrive */

struct trace_span {
    const char *name; /* static */
    char id[17];
    int parent;                /* another span, -1: the root's parent */
    uint64_t start_ns, end_ns; /* monotonic */
    json_t *attributes;        /* owned; an array */
    char error[128];           /* "": it went well */
};

struct trace {
    bool on; /* else nothing is kept */
    char id[33];
    char parent[17];  /* of the spans without one; "" none */
    int64_t real_ns;  /* of one moment ... */
    uint64_t mono_ns; /* ... by both clocks */
    struct trace_span spans[TRACE_SPANS_MAX];
    unsigned n;
};

/* Does the environment ask for traces? */
bool trace_wanted(void);

/* Begin: as a part of the trace that TRACEPARENT (W3C) names, else with an id of its own. Stays
 * off when no traces are wanted or that one is not sampled. */
void trace_begin(struct trace *t);

/* Returns the span's index, or -1 (fine everywhere) when off or full. */
int trace_add(struct trace *t, const char *name, int parent, uint64_t start_ns, uint64_t end_ns);
void trace_text(struct trace *t, int span, const char *key, const char *value);
void trace_number(struct trace *t, int span, const char *key, int64_t value);
void trace_flag(struct trace *t, int span, const char *key, bool value);
void trace_failed(struct trace *t, int span, const char *why);

/* The request: ExportTraceServiceRequest as JSON. The caller frees; NULL without memory. */
char *trace_json(const struct trace *t);

/* Hand over what was collected and forget it. `program`: a3s-box-otlp. Never fails as far as the
 * caller sees. Returns the pid of a process that ends at once and is to be waited for by whoever
 * lives on, with a pidfd (CLOEXEC, the caller's; NULL: not wanted); 0: there is none. */
pid_t trace_send(struct trace *t, const char *home, const char *program, int *ret_pidfd);

void trace_done(struct trace *t);

/* "00-<32>-<16>-<2>" (W3C trace context): true when it is well-formed; ids without NUL ends up in
 * the arrays of struct trace. */
bool trace_parent_parse(const char *text, char ret_trace[33], char ret_span[17],
                        bool *ret_sampled);
