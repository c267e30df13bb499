/* /metrics: Prometheus' text format 0.0.4. docs/monitor.md has the list. */
#pragma once

#include "box/overview.h"
#include "db/counters.h"
#include "util/str.h"

/* What a machine uses, between the last two looks at it. */
struct vm_use {
    char box_id[ID_LEN];
    pid_t pid;
    uint64_t cpu_ns, at_ns; /* of the last look */
    double cpu_percent;     /* 100: one CPU */
    uint64_t memory_bytes;  /* resident, of the VMM */
};

struct vm_uses {
    struct vm_use *v; /* owned, sorted by box_id */
    size_t n;
};

void vm_uses_done(struct vm_uses *u);

/* Look at the machines of all that run; `u` has what was seen before. */
int vm_uses_look(struct vm_uses *u, const struct box_overview *boxes, uint64_t now_ns,
                 struct err *e) MUST_CHECK;

struct metrics {
    const struct box_overview *boxes;
    const struct vm_uses *vms;
    const struct counters *counters;
    uint64_t since_poll_ns;
};

/* out->failed when it does not fit. */
void metrics_print(const struct metrics *m, struct str *out);
