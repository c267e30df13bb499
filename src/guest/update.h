/* Other limits for a container that runs: cgroup, and how many CPUs the machine has online. */
#pragma once

#include "guest/container.h"

/* CONTAINER_UPDATE: takes the request over, also on failure. Done in a child, since CPUs and
 * memory take their time; CONTAINER_UPDATED says how it went. */
int update_begin(struct guest *g, struct container_update *own_update, struct err *e) MUST_CHECK;
/* How it went, at once. */
void update_tell(struct guest *g, const char *container, const struct err *failure);

/* Make CPUs 1 to vcpus - 1 online and those above offline; CPU 0 always is. LIMIT when the
 * machine has fewer. `sysfs` is a descriptor of /sys/devices/system/cpu. */
int update_cpus(int sysfs, uint64_t vcpus, struct err *e) MUST_CHECK;
