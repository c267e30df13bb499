/* /dev of a container, and which device numbers it may use at all. */
#pragma once

#include "util/err.h"

#include <stdbool.h>

/* Fill the empty /dev at `dev_fd` with docker's nodes, links and directories for mounts; all of
 * the guest's devices but the channel when `all`. */
int devices_make(int dev_fd, bool all, struct err *e) MUST_CHECK;

/* Let the processes in this cgroup open only docker's devices, whatever nodes they make. */
int devices_restrict(int cgroup_fd, struct err *e) MUST_CHECK;
