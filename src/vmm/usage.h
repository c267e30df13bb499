/* What a process of ours uses: /proc/PID/stat, statm and smaps_rollup (proc(5)). */
#pragma once

#include "util/err.h"

#include <sys/types.h>

int proc_usage(pid_t pid, uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns,
               struct err *e) MUST_CHECK;

struct child_usage {
    uint64_t cpu_ns;
    uint64_t pss_bytes; /* of shared pages its share; 0: the kernel does not let us see it */
};

/* Of a process that must be a child of `parent`: NOT_FOUND when it is not, or has ended. The
 * kernel walks through its page tables: nothing for a process that must not wait. */
int child_usage(pid_t pid, pid_t parent, struct child_usage *ret, struct err *e) MUST_CHECK;
