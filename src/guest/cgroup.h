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
/* SIGKILL to all, at once. */
int cgroup_kill(int fd, struct err *e) MUST_CHECK;
/* Any other signal, to one process after the other. */
int cgroup_signal(int fd, int sig, struct err *e) MUST_CHECK;
/* Did the memory limit kill anything here? */
bool cgroup_oom_killed(int fd);
/* Calls each() for every process (pids as we see them). */
int cgroup_each(int fd, void (*each)(void *user, pid_t pid), void *user,
                struct err *e) MUST_CHECK;
