/*
 * `a3s-box monitor`: a daemon in the foreground that looks at all boxes every few seconds,
 * records those whose shim is gone as dead, and starts again what should run (box/policy.h).
 * Nothing else depends on it: a shim restarts its own box; the monitor is for a host that was
 * booted and for shims that were killed. docs/monitor.md.
 */
#pragma once

#include "util/err.h"

#include <stdint.h>
#include <stdio.h>

#define MONITOR_INTERVAL_S 5
#define MONITOR_LOCK       "monitor.lock" /* in A3S_HOME; one monitor at a time */

struct monitor_options {
    const char *home;    /* A3S_HOME, absolute */
    const char *program; /* a3s-box, absolute */
    uint64_t interval_ns;
    const char *metrics_addr; /* NULL: no HTTP */
    FILE *out;                /* a line for everything that happens */
};

/* Until SIGTERM or SIGINT. STATE when another one watches this home. */
int monitor_run(const struct monitor_options *o, struct err *e) MUST_CHECK;

/* /healthz says 503 when the last look is older than this: max(3 * interval, 30 s). */
uint64_t monitor_stale_ns(uint64_t interval_ns);

/* ---- unit.c: systemd ---- */

#define MONITOR_UNIT "a3s-box-monitor.service"

/* The unit as text; the caller frees. LIMIT without memory, INVALID when a path or an address has
 * a control character in it. */
int monitor_unit_text(const struct monitor_options *o, char **ret, struct err *e) MUST_CHECK;

/* Write it (into systemd's directory of the system when we are root, else of the user), replacing
 * one of ours only, and tell on o->out what to do next. */
int monitor_install(const struct monitor_options *o, struct err *e) MUST_CHECK;

/* Remove it; one that is not ours is refused, none is NOT_FOUND. */
int monitor_uninstall(const struct monitor_options *o, struct err *e) MUST_CHECK;
