/* What a running box uses: what its guest has counted, and what its machine costs the host. */
#pragma once

#include "box/ctl.h"

/* The guest's part, in two halves, so that many boxes are asked at once. The first connects and
 * asks; STATE when the box does not run. */
int box_stats_ask(const char *home, const struct box *box, int *ret_fd, struct err *e) MUST_CHECK;
/* Takes the answer, and the connection over. TIMEOUT at `deadline_ns` (monotonic). ret->container
 * is NULL; ret->uptime_ns is 0 when the box is paused. */
int box_stats_get(const struct box *box, int own_fd, uint64_t deadline_ns,
                  struct container_stats *ret, struct err *e) MUST_CHECK;

/* The VMM process. */
struct box_host_stats {
    uint64_t now_ns;    /* when it was read, monotonic; 0: there is none */
    uint64_t cpu_ns;    /* CPU time it has used */
    uint64_t pss_bytes; /* its memory, of shared pages its share; 0: the kernel does not tell */
};

/* By the record's pids: never those of another process. */
void box_stats_host(const struct box *box, struct box_host_stats *ret);
