/* Whole reads and writes, descriptor flags, unix sockets and descriptor passing. */
#pragma once

#include "util/err.h"
#include "util/str.h"

#include <stdbool.h>

/* Write all of it, or fail. EINTR is retried; blocking descriptors only. */
int fd_write_all(int fd, const void *data, size_t len, struct err *e) MUST_CHECK;

/* Read up to `len` bytes until end of file. Returns the number read. */
ssize_t fd_read_upto(int fd, void *data, size_t len, struct err *e) MUST_CHECK;

/* Read a descriptor to its end into `ret`, whose max is the limit (LIMIT when exceeded). */
int fd_read_all(int fd, struct str *ret, struct err *e) MUST_CHECK;

int fd_nonblock(int fd, bool on, struct err *e) MUST_CHECK;

/* F_DUPFD_CLOEXEC to at least 3. Returns the new descriptor. */
int fd_dup(int fd, struct err *e) MUST_CHECK;

/* A listening unix stream socket at `name` in the directory `dirfd`, mode 0600, replacing a
 * stale one. Works for paths of any length (binds through /proc/self/fd). Non-blocking, CLOEXEC.
 */
int fd_unix_listen(int dirfd, const char *name, struct err *e) MUST_CHECK;

/* Connect to such a socket. Blocking, CLOEXEC. UNAVAILABLE when nobody listens. */
int fd_unix_connect(int dirfd, const char *name, struct err *e) MUST_CHECK;
