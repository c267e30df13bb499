/* CONTAINER_PROCS: what `top` shows. */
#pragma once

#include "guest/container.h"

/* Have the list made by a child, which reads the image's passwd, and sent when it is there. */
int procs_list(struct container *c, struct err *e) MUST_CHECK;

/* One process from the texts of its /proc/PID/stat and status; `ret->pid` is its number one PID
 * namespace below ours, `ret->ppid` its parent's in ours. `user` and `args` stay NULL. Release
 * with config_done(proc_row). CORRUPT when the texts are not what the kernel writes. */
int procs_parse(const char *stat, const char *status, struct proc_row *ret,
                struct err *e) MUST_CHECK;
