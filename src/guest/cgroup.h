/* cgroup v2 of a container. */
#pragma once

#include "proto/config.h"

#include <stdbool.h>

/* The group of the first container, whose making is not part of its start; no container's id. */
#define CGROUP_FIRST ".first"
void cgroup_prepare(void);

/* Make the group `name` (CGROUP_FIRST: it may be there) with its limits. Returns its directory's
 * descriptor. */
int cgroup_make(const char *name, const struct cgroup_limits *limits, struct err *e) MUST_CHECK;
void cgroup_remove(const char *name);

/* What memory.max is made of these: memory_max, or else all of the machine that the kernel and
 * PID 1 can spare. */
uint64_t cgroup_memory_max(const struct cgroup_limits *limits);
/* Other limits, while processes run. Nothing is killed for it: LIMIT when they use more memory
 * than would be left. Otherwise a failure may leave some of them changed. */
int cgroup_update(int fd, const struct cgroup_limits *was, const struct cgroup_limits *limits,
                  struct err *e) MUST_CHECK;
/* The kernel tells groups of CPUs that came or went in the background: wait for it. */
int cgroup_settle(int fd, struct err *e) MUST_CHECK;
/* A file with one number. */
int cgroup_number(int fd, const char *file, uint64_t *ret) MUST_CHECK;
/* SIGKILL to all, at once. */
int cgroup_kill(int fd, struct err *e) MUST_CHECK;
/* Any other signal, to one process after the other. */
int cgroup_signal(int fd, int sig, struct err *e) MUST_CHECK;
/* Did the memory limit kill anything here? */
bool cgroup_oom_killed(int fd);
/* Calls each() for every process (pids as we see them). */
int cgroup_each(int fd, void (*each)(void *user, pid_t pid), void *user,
                struct err *e) MUST_CHECK;
