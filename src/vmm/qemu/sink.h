/*
 * What QEMU or its guest writes to a descriptor of ours: a tail is kept for error messages, and
 * the first bytes go to a file. Internal to the engine.
 */
#pragma once

#include "util/loop.h"

#define SINK_TAIL 4096

struct sink {
    struct loop *loop;
    struct watch watch;
    int out_fd;     /* borrowed, -1: none */
    size_t out_max; /* bytes still to be written to it */
    char tail[SINK_TAIL];
    size_t len; /* bytes in tail */
};

/* Takes over own_fd, also on failure. */
int sink_open(struct sink *s, struct loop *loop, const char *what, int own_fd, int out_fd,
              size_t out_max, struct err *e) MUST_CHECK;
/* Reads what has already arrived. */
void sink_drain(struct sink *s);
void sink_close(struct sink *s);

/* The tail as a string, NULs replaced; the last `size - 1` bytes of it. */
void sink_text(const struct sink *s, char *ret, size_t size);
