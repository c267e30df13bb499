/* What a process of ours uses: /proc/PID/stat and statm (proc(5)). */
#pragma once

#include "util/err.h"

#include <sys/types.h>

int proc_usage(pid_t pid, uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns,
               struct err *e) MUST_CHECK;
