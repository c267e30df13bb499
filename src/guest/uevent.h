/* The kernel's device events, so that nobody has to poll for a disk or a port. */
#pragma once

#include "util/err.h"

/* A netlink socket that becomes readable with every event. */
int uevent_open(struct err *e) MUST_CHECK;

/* Throw away what waits. Returns whether there was anything. Lost events count as one. */
int uevent_drain(int fd);
