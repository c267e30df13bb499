/* Swap of a container: a file in its writable layer, which only the kernel sees. */
#pragma once

#include "util/err.h"

#include <stdint.h>

/* How large it is for --memory-swap as in struct cgroup_limits: -1, as much as may be, is as much
 * as the machine has memory. */
uint64_t swap_bytes(int64_t memory_swap_max);

/* Make it in the file system of the directory `dirfd` and have the kernel use it. Returns its
 * descriptor. LIMIT when there is no room. Needs /proc. */
int swap_on(int dirfd, uint64_t bytes, struct err *e) MUST_CHECK;
/* What is in it comes back to memory first. Closes the descriptor. */
void swap_off(int dirfd, int *own_fd);
