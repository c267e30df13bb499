/* CONTAINER_PROCS: what `top` shows. */
#pragma once

#include "guest/container.h"

/* Have the list made by a child (it reads the image's passwd) and sent when it is there. One at a
 * time; fails with STATE while another is being made. */
int procs_list(struct container *c, struct err *e) MUST_CHECK;

/* One process from the text of its /proc files; for tests. `stat`, `status`: NUL-terminated.
 * CORRUPT when they are not what the kernel writes. */
int procs_parse(const char *stat, const char *status, struct proc_row *ret,
                struct err *e) MUST_CHECK;
