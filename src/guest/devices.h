/* /dev of a container, and which device numbers it may use at all. */
#pragma once

#include "util/err.h"

#include <stdbool.h>

/* Fill the empty /dev at `dev_fd` with docker's nodes, links and directories for mounts; all of
 * the guest's devices but the channel when `all`. */
int devices_make(int dev_fd, bool all, struct err *e) MUST_CHECK;

/* The program that lets through docker's devices only, whatever nodes are made. Returns its
 * descriptor (CLOEXEC), good for any number of containers. */
int devices_filter(struct err *e) MUST_CHECK;
/* Hold the processes in this cgroup to it. */
int devices_restrict(int filter_fd, int cgroup_fd, struct err *e) MUST_CHECK;
