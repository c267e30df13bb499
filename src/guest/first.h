/*
 * The first process of a container, from fork() until it becomes the program.
 *
 * It speaks with PID 1 over a SOCK_SEQPACKET pair: it reports its root file
 * system (struct failure, kind ERR_NONE for success, with descriptors), then
 * waits for one order to start, which carries the request and its descriptors.
 */
#pragma once

#include "guest/container.h"
#include "guest/process.h"

/* Never returns; `sock` is its end. */
void first_main(const struct container *c, int sock) __attribute__((noreturn));

/* The other side. first_report returns 1 and the descriptors (owned by the caller, -1 for none),
 * or 0 when there is nothing yet, or fails with what the first process said. */
int first_report(int sock, int *ret_devpts, int *ret_upper, int *ret_swap,
                 struct err *e) MUST_CHECK;
/* `fds`: request (memfd), stdin, stdout, stderr, status. */
int first_order(int sock, const int fds[5], struct err *e) MUST_CHECK;
