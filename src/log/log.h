/*
 * a3s-box-log: the parts of logging that take long or block, for the shim, which does neither,
 * and for the CLI, which reads what was compressed.
 */
#pragma once

#include "util/err.h"

/* From `in` to `out` until the end. gzip_pack() returns when all of it is on disk. */
int gzip_pack(int in, int out, struct err *e) MUST_CHECK;
/* CORRUPT when it is no gzip, or ends early; what could be read has been written then. When
 * nobody reads `out` that is no failure. */
int gzip_unpack(int in, int out, struct err *e) MUST_CHECK;

/* Connect a socket, non-blocking from then on: "tcp" and "udp" take a host and a port, "unix"
 * (datagrams, or else a stream) and "unixgram" a path and NULL; a path of NULL is the first there
 * is of /dev/log, /var/run/syslog, /var/run/log. Returns it. */
int dial(const char *how, const char *host, const char *port, struct err *e) MUST_CHECK;
