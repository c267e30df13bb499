/* What a container has used since it began: the kernel's counters, summed. */
#pragma once

#include "guest/container.h"

/* cgroup v2, /proc/meminfo and /proc/PID/net/dev. What the kernel does not count is zero. The
 * strings of *ret are borrowed from the container. */
void stats_read(const struct container *c, struct container_stats *ret);

/* How much memory the container may use: its limit, or what the machine has. */
uint64_t stats_memory_limit(const struct container *c);

/* "key value" lines, as in memory.stat: the value; 0 when the key is not there. */
uint64_t stats_value(const char *text, const char *key);
/* io.stat: bytes of all devices. */
void stats_io(const char *text, uint64_t *ret_read, uint64_t *ret_written);
/* /proc/PID/net/dev: bytes of all interfaces but the loopback. */
void stats_net(const char *text, uint64_t *ret_received, uint64_t *ret_sent);
