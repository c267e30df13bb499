/* Standard output and error of a session: written without ever blocking, whatever they are, so
 * that signals are still forwarded while their reader is stuck. */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct sink {
    int fd;      /* to write and to poll */
    bool owned;  /* fd is a description of our own */
    bool socket; /* send() instead of write() */
    size_t max;  /* bytes of one write() that cannot block after POLLOUT */
    bool off;    /* drops everything */
};

/* O_NONBLOCK belongs to the open file, which we share with our parent: pipes and terminals are
 * opened a second time. */
void sink_open(struct sink *sink, int fd);
void sink_close(struct sink *sink);

/* Returns how many bytes were taken; 0 means wait for POLLOUT. Fails with os EPIPE when the
 * reader is gone. */
ssize_t sink_write(const struct sink *sink, const void *data, size_t len,
                   struct err *e) MUST_CHECK;
