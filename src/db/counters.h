/*
 * $A3S_HOME/metrics: what the processes of all boxes have counted since it was made.
 *
 * There is no daemon, so everybody counts for himself into one small file that is mapped and
 * added to atomically: no lock, no waiting, 20 us. Counting never fails as far as callers see:
 * where it cannot be done (full disk, read-only home, a file of another version) nothing is
 * counted. The file may be deleted at any time; then all begin at 0 again, as after a restart of
 * a daemon. Layout: docs/protocols.md.
 */
#pragma once

#include "util/err.h"

#include <stdint.h>

#define COUNTERS_FILE "metrics"

/* Positions in the file: append only. name, help */
#define COUNTERS(X)                                                                              \
    X(VM_CREATED, "vm_created_total", "Machines that were started")                              \
    X(VM_DESTROYED, "vm_destroyed_total", "Machines that have ended")                            \
    X(EXEC, "exec_total", "Commands that were executed in running boxes")                        \
    X(EXEC_ERRORS, "exec_errors_total", "... that failed or exited with another status than 0")  \
    X(IMAGE_PULL, "image_pull_total", "Images that were pulled")                                 \
    X(IMAGE_BUILD, "image_build_total", "Images that were built")                                \
    X(ROOTFS_HITS, "rootfs_cache_hits_total", "Starts that found their root file system made")   \
    X(ROOTFS_MISSES, "rootfs_cache_misses_total", "Starts that had to make it again")            \
    X(RESTARTS, "restarts_total", "Starts by a restart policy")

enum counter {
#define X(name, text, help) COUNTER_##name,
    COUNTERS(X)
#undef X
        COUNTER_N,
};

#define HISTOGRAM_BUCKETS_MAX 10

enum histogram { HISTOGRAM_BOOT, HISTOGRAM_EXEC, HISTOGRAM_PULL, HISTOGRAM_N };

struct histogram_desc {
    const char *name, *help;
    const char *le[HISTOGRAM_BUCKETS_MAX];    /* upper bounds as they are printed */
    uint64_t bound_ns[HISTOGRAM_BUCKETS_MAX]; /* the same */
    unsigned n;
};

extern const struct histogram_desc histograms[HISTOGRAM_N];

struct histogram_value {
    uint64_t bucket[HISTOGRAM_BUCKETS_MAX + 1]; /* not cumulative; the last one: above all */
    uint64_t sum_ns;
};

struct counters {
    uint64_t value[COUNTER_N];
    struct histogram_value histogram[HISTOGRAM_N];
};

void counter_add(const char *home, enum counter which);
void histogram_add(const char *home, enum histogram which, uint64_t ns);

/* All of it; zeros where there is no file. CORRUPT when it is not ours. */
int counters_read(const char *home, struct counters *ret, struct err *e) MUST_CHECK;
